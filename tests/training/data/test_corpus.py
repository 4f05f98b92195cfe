"""The corpus on disk: what was written is read, windows depend on their number alone, damage is one clear line."""

from __future__ import annotations

import json
import pickle
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile as sf

from livemove.contracts import HOP, Channel, LivemoveError, OutputError, PoseFrame
from tests.support.paths import ROOT
from training.data.corpus import AllWindows, Clip, Corpus, CorpusError, RandomWindows, Writer, packed, write_clip

RATE = 16000
TRACKS = {
    "descriptors": (Channel("pitch", "MIDI note", 0, 127, 69), Channel("loudness", "0..1", 0, 1, 0)),
    "features": (Channel("energy", "speed", 0, 1, 0),),
}


def put(writer: Writer, split: str, style: str, name: str, hops: int, features: bool = True) -> Clip:
    """A clip whose every value tells where it stands: pitch is the hop, audio the sample (in 1/32768)."""
    tracks = ("features", "descriptors") if features else ("descriptors",)
    clip = Clip(split, style, name, f"/{name}.mp4", tracks=tracks, hops=hops, seconds=hops * HOP / RATE)
    count = np.arange(hops, dtype=np.float32)
    arrays = {"descriptors": np.stack([count, count / 1000], -1)}
    if features:
        arrays["features"] = -count[:, None]
    audio = (np.arange(hops * HOP) % 30000 / 32768).astype(np.float32)
    write_clip(writer.root, clip, audio, RATE, arrays)
    writer.record(clip)
    return clip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    writer = Writer(tmp_path / "data", RATE, "full", TRACKS)
    put(writer, "train", "tango", "b", 40)
    put(writer, "train", "salsa", "a", 25)
    put(writer, "train", "salsa", "sound", 30, features=False)
    put(writer, "valid", "tango", "c", 33)
    writer.record(Clip("train", "salsa", "bad", "/bad.mp4", skipped="it has no sound"))
    writer.close()
    return writer.root


def test_what_was_written_is_read(root: Path) -> None:
    corpus = Corpus(root)
    assert corpus.styles == ("salsa", "tango")
    assert [clip.name for clip in corpus.clips] == ["a", "sound", "b", "c"]
    assert [(clip.name, clip.skipped) for clip in corpus.skipped] == [("bad", "it has no sound")]
    clip = corpus.select("train", ["energy"])[1]
    window = corpus.read(clip, ["loudness", "energy", "pitch"], 7, 5)
    assert window.channels.dtype == np.float32
    np.testing.assert_allclose(window.channels[:, 2], np.arange(7, 12))
    np.testing.assert_allclose(window.channels[:, 1], -np.arange(7, 12))
    np.testing.assert_allclose(window.channels[:, 0], np.arange(7, 12) / 1000)
    np.testing.assert_array_equal(window.audio * 32768, np.arange(7 * HOP, 12 * HOP))
    assert window.style == 1


def test_clips_that_lack_a_channel_are_left_out(root: Path) -> None:
    corpus = Corpus(root)
    assert [clip.name for clip in corpus.select("train", ["pitch"])] == ["a", "sound", "b"]
    assert [clip.name for clip in corpus.select("train", ["pitch", "energy"])] == ["a", "b"]


def test_a_window_depends_on_seed_and_number_alone(root: Path) -> None:
    ours = RandomWindows(Corpus(root), "train", ["pitch"], 8, seed=3)
    theirs = pickle.loads(pickle.dumps(RandomWindows(Corpus(root), "train", ["pitch"], 8, seed=3)))
    for index in (0, 17, 5, 17):
        np.testing.assert_array_equal(ours[index].channels, theirs[index].channels)
    other = RandomWindows(Corpus(root), "train", ["pitch"], 8, seed=4)
    assert any(ours[i].first != other[i].first for i in range(8))


def test_every_place_of_every_clip_is_drawn_alike(root: Path) -> None:
    windows = RandomWindows(Corpus(root), "train", ["pitch"], 20, seed=1)
    places = 6 + 11 + 21  # starts in clips of 25, 30 and 40 hops
    count = 20 * places
    drawn: dict[tuple[str, int], int] = {}
    for i in range(count):
        window = windows[i]
        place = (window.clip.name, window.first)
        drawn[place] = drawn.get(place, 0) + 1
    assert len(drawn) == places
    expected = count / places
    chi_square = sum((n - expected) ** 2 / expected for n in drawn.values())
    assert chi_square < 80  # 37 degrees of freedom: one in 100,000 is above


def test_windows_side_by_side_cover_a_split_once(root: Path) -> None:
    windows = AllWindows(Corpus(root), "train", ["pitch"], 10)
    seen = [(w.clip.name, w.first) for w in (windows[i] for i in range(len(windows)))]
    assert seen == [("a", 0), ("a", 10), ("sound", 0), ("sound", 10), ("sound", 20), *(("b", 10 * i) for i in range(4))]
    with pytest.raises(IndexError):
        windows[len(windows)]


def test_what_cannot_be_had_is_said(root: Path, tmp_path: Path) -> None:
    corpus = Corpus(root)
    with pytest.raises(CorpusError, match=r"no channel 'colour'; there are: energy, pitch, loudness"):
        corpus.select("train", ["colour"])
    with pytest.raises(CorpusError, match=r"no clip in valid has pitch and lasts 0\.64 s; 1 have.*lasts 0\.53 s"):
        RandomWindows(corpus, "valid", ["pitch"], 40, seed=0)
    with pytest.raises(CorpusError, match=r"no corpus there; make one with"):
        Corpus(tmp_path / "nothing")


def test_rows_survive_a_kill_and_half_a_line(root: Path) -> None:
    writer = Writer(root, RATE, "full", TRACKS)
    put(writer, "train", "waltz", "new", 30)
    with (root / "journal.jsonl").open("a") as journal:
        journal.write('{"split": "train", "sty')  # the process ends here
    assert [clip.name for clip in Corpus(root).clips] == ["a", "sound", "b", "new", "c"]
    again = Writer(root, RATE, "full", TRACKS)
    put(again, "train", "waltz", "newer", 30)
    again.close()
    assert [clip.name for clip in Corpus(root).clips] == ["a", "sound", "b", "new", "newer", "c"]
    assert not (root / "journal.jsonl").exists()


def test_the_manifest_is_plain_parquet(root: Path) -> None:
    table = pq.read_table(root / "clips.parquet").to_pylist()
    assert [(row["name"], row["hops"]) for row in table] == [("a", 25), ("bad", 0), ("sound", 30), ("b", 40), ("c", 33)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sample_rate": 48000}, "sample_rate 16000, not 48000"),
        ({"pose": "lite"}, "pose full, not lite"),
        ({"tracks": {"controls": TRACKS["descriptors"]}}, "prepare into another folder"),
        (
            {"tracks": {"features": (Channel("energy", "speed", 0, 2, 0),)}},
            "its features have other channels or ranges",
        ),
    ],
)
def test_what_does_not_fit_a_corpus_is_refused(root: Path, change: dict[str, object], said: str) -> None:
    options = {"sample_rate": RATE, "pose": "full", "tracks": TRACKS, **change}
    with pytest.raises(OutputError, match=said):
        Writer(root, **options)  # type: ignore[arg-type]


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("all of it")
    with pytest.raises(OutputError, match="holds other things"):
        Writer(tmp_path, RATE, "full", TRACKS)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("damage", ["nan", "cut", "gone", "npz", "manifest", "header"])
def test_damage_is_one_line_that_names_the_file(root: Path, damage: str) -> None:
    sound, arrays = ((root / "clips/train/tango/b").with_suffix(suffix) for suffix in (".flac", ".npz"))
    if damage == "nan":
        found = dict(np.load(arrays))
        found["descriptors"][12, 0] = np.nan
        np.savez(arrays, **found)
    elif damage == "cut":
        audio, _ = sf.read(sound)
        sf.write(sound, audio[: 20 * HOP], RATE)
    elif damage == "gone":
        sound.unlink()
    elif damage == "npz":
        arrays.write_bytes(arrays.read_bytes()[:500])
    elif damage == "manifest":
        (root / "clips.parquet").write_bytes(b"PAR1 no more")
    else:
        (root / "corpus.json").write_text(json.dumps({"format": 99}))
    where = {"manifest": "data", "header": "corpus.json"}.get(damage, "tango/b")

    def read() -> None:
        corpus = Corpus(root)
        corpus.read(corpus.clips[2], ["pitch"])

    with pytest.raises(CorpusError, match=where) as error:
        read()
    assert "\n" not in str(error.value)


def test_poses_come_back_as_they_went(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    poses = []
    for i in range(5):
        pose = PoseFrame(capture_s=i / 25, sequence=i, people=int(i != 2))
        pose.image[0], pose.world[0] = rng.random((2, 33, 3))
        pose.visibility[0] = rng.random(33)
        poses.append(pose)
    writer = Writer(tmp_path / "data", RATE, "full", TRACKS)
    clip = Clip("train", "x", "y", "", tracks=("descriptors",), hops=1, frames=5)
    write_clip(writer.root, clip, np.zeros(HOP, np.float32), RATE, {"descriptors": np.zeros((1, 2)), **packed(poses)})
    writer.record(clip)
    writer.close()
    for ours, theirs in zip(Corpus(writer.root).poses(clip), poses, strict=True):
        assert (ours.capture_s, ours.sequence, ours.people) == (theirs.capture_s, theirs.sequence, theirs.people)
        np.testing.assert_array_equal(ours.world[0], theirs.world[0])
        np.testing.assert_array_equal(ours.image[0], theirs.image[0])
        np.testing.assert_array_equal(ours.visibility[0], theirs.visibility[0])


def test_reading_needs_no_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; import training.data.corpus"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_a_corpus_larger_than_the_memory_is_read(tmp_path: Path) -> None:
    """The process may take 64 MB more than when it began to read; the arrays are 96 MB, and all are read."""
    tracks = {"descriptors": tuple(Channel(f"c{i}", "", 0, 1, 0) for i in range(1000))}
    writer = Writer(tmp_path / "data", RATE, "full", tracks)
    for i in range(8):
        clip = Clip("train", "x", str(i), "", tracks=("descriptors",), hops=3000)
        values = np.broadcast_to(np.arange(3000, dtype=np.float32)[:, None], (3000, 1000))
        write_clip(writer.root, clip, np.zeros(3000 * HOP, np.float32), RATE, {"descriptors": values})
        writer.record(clip)
    writer.close()
    code = """if True:
        import resource, sys
        from pathlib import Path
        from training.data.corpus import AllWindows, Corpus
        windows = AllWindows(Corpus(Path(sys.argv[1])), "train", ["c0", "c999"], 100)
        windows[0]
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + 64 * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        print(sum(int(windows[i].channels[0, 0] == windows[i].first) for i in range(len(windows))))
    """
    done = subprocess.run(
        [sys.executable, "-c", code, str(writer.root)], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.stdout.strip() == "240", done.stderr[-500:]


def test_a_full_disk_is_one_line_and_leaves_no_half_file(tmp_path: Path) -> None:
    """A limit on file sizes stands for the disk: the write fails in the same way."""
    writer = Writer(tmp_path / "data", RATE, "full", TRACKS)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(LivemoveError, match=r"big\.flac: cannot be written: "):
            put(writer, "train", "x", "big", 400)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not [path for path in (tmp_path / "data").rglob("*") if path.is_file() and "big" in path.name]
