"""Preparing: the same corpus however often interrupted and whoever did the work; what is bad is named and skipped."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from click.testing import CliRunner

from livemove.body.features import FEATURES, FeatureStream
from livemove.capture.landmarker import Landmarker
from livemove.contracts import HOP, OutputError
from livemove.media import video_file
from livemove.media.av_writer import TakeFile
from tests.support.paths import ROOT
from tests.support.videos import RATE, clicks, flashes, make_film, tone
from training import prepare as command
from training.data import clip as one_clip
from training.data import workers
from training.data.clip import ClipError, Settings, prepare_item, read_sound
from training.data.clip_plot import draw_clip
from training.data.corpus import Corpus, RandomWindows, recorded
from training.data.items import DatasetError, Item, find_all, find_items
from training.prepare import prepare

SCRIPT = ROOT / "training" / "prepare.py"


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """A folder of six short sounds in two styles."""
    folder = tmp_path / "sounds"
    for i in range(6):
        path = folder / ("flute" if i % 2 else "horn") / f"note {i}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        sf.write(path, tone(0.4 + 0.1 * i, 220 + 40 * i), RATE)
    return folder


# --- where things go ----------------------------------------------------------------------------------------


def test_the_kinetics_layout_gives_splits_and_styles(tmp_path: Path) -> None:
    for name in ("train/tango/aa.mp4", "valid/tango/bb.mp4", "train/tango/cc_raw.mp4", "train/tango/.dd.mp4",
                 "train/loose.mp4", "other/tango/ee.mp4", "train/tango/readme.txt"):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert [source.key for source in find_items(str(tmp_path), {})] == ["train/tango/aa", "valid/tango/bb"]


def test_some_files_of_a_plain_folder_are_for_validation_and_stay_so(sounds: Path) -> None:
    before = {source.path: source.split for source in find_items(str(sounds), {})}
    assert set(before.values()) == {"train", "valid"}
    for i in range(40):
        shutil.copy(sounds / "horn" / "note 0.wav", sounds / "horn" / f"more {i}.wav")
    after = {source.path: source.split for source in find_items(str(sounds), before)}
    assert {path: after[path] for path in before} == before
    assert 0 < list(after.values()).count("valid") < len(after) / 3


def test_files_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    folder = tmp_path / "train" / "folk"
    folder.mkdir(parents=True)
    for name in ("jig.wav", "jig.mp3", "reel.wav"):
        (folder / name).touch()
    assert {source.name for source in find_items(str(tmp_path), {})} == {"jig.wav", "jig.mp3", "reel"}


def test_a_song_among_takes_is_no_clip_and_that_is_said(tmp_path: Path) -> None:
    for name in ("takes/one.mp4", "takes/two.mkv", "takes/song.wav", "flute/note.wav"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert {source.key.partition("/")[2] for source in find_items(str(tmp_path), {})} == {
        "takes/one", "takes/two", "flute/note"
    }  # fmt: skip
    left_out = find_all(str(tmp_path), {}).left_out
    assert [Path(path) for path, _ in left_out] == [tmp_path / "takes" / "song.wav"]
    assert "danced to" in left_out[0][1]
    assert find_all(str(tmp_path / "flute"), {}).left_out == []


@pytest.mark.parametrize(
    ("src", "said"),
    [("nowhere", "no such folder"), ("empty", "nothing to prepare"), ("procedural:kazoo", "no such instrument")],
)
def test_nothing_to_prepare_is_one_line_and_exit_code_2(tmp_path: Path, src: str, said: str) -> None:
    (tmp_path / "empty").mkdir()
    where = src if ":" in src else str(tmp_path / src)
    with pytest.raises(DatasetError, match=said):
        find_items(where, {})
    done = CliRunner().invoke(command.main, [where, "-o", str(tmp_path / "data")])
    assert done.exit_code == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "data").exists()


# --- sound and image on one clock -------------------------------------------------------------------------


@pytest.mark.parametrize(("begin_s", "sound_begin_s"), [(0.0, 0.0), (0.4, 0.4), (0.0, 0.2), (0.4, 0.0)])
def test_sound_counts_from_the_first_frame(tmp_path: Path, begin_s: float, sound_begin_s: float) -> None:
    """A click and its place on the image's clock, wherever the two streams begin in the file."""
    sound = clicks(2.0, [1.0])
    path = make_film(tmp_path / "film.mkv", 2.0, sound, begin_s=begin_s, sound_begin_s=sound_begin_s)
    found = read_sound(path, RATE)
    expected_s = 1.0 + sound_begin_s - begin_s
    assert np.abs(found).argmax() / RATE == pytest.approx(expected_s, abs=0.002)


def test_a_recorded_take_keeps_its_one_clock(tmp_path: Path) -> None:
    """As `livemove record` writes it: the sound runs when the first image comes, and images come when they like."""
    rng = np.random.default_rng(0)
    path = tmp_path / "take.mp4"
    sound = clicks(4.0, [1.0, 2.5])
    with path.open("wb", buffering=0) as file:
        take = TakeFile(file, RATE, 1, (48, 64))
        shown_s, white_s = 0.37, list[float]()
        for first in range(0, len(sound), 480):
            take.add_sound(first, 100 + first / RATE, sound[first : first + 480, None])
            while shown_s < first / RATE:
                flash = min(abs(shown_s - time_s) for time_s in (1.0, 2.5)) < 0.02
                white_s += [shown_s] if flash else []
                take.add_frame(np.full((48, 64, 3), 255 if flash else 40, np.uint8), 100 + shown_s)
                shown_s += 0.03 + 0.008 * rng.random()
        take.finish()
    found = np.abs(read_sound(path, RATE))
    loud = np.flatnonzero(found > 0.1)
    heard = loud[np.diff(loud, prepend=-RATE) > RATE // 10] / RATE
    assert heard == pytest.approx([1.0 - 0.37, 2.5 - 0.37], abs=0.002)
    assert flashes(path) == pytest.approx(np.array(white_s) - 0.37, abs=0.002)


def test_sound_is_resampled_in_place(tmp_path: Path) -> None:
    path = make_film(tmp_path / "film.mp4", 2.0, clicks(2.0, [1.2]))
    found = read_sound(path, 16000)
    assert np.abs(found).argmax() / 16000 == pytest.approx(1.2, abs=0.004)


def test_stereo_is_the_mean_of_both(tmp_path: Path) -> None:
    left, right = tone(0.5, 300), tone(0.5, 500)
    sf.write(tmp_path / "two.wav", np.stack([left, right], -1), RATE, "FLOAT")
    np.testing.assert_allclose(read_sound(tmp_path / "two.wav", RATE), (left + right) / 2, atol=1e-6)


def test_sound_that_is_too_loud_is_made_quieter_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "loud.wav"
    sf.write(path, tone(0.5, level=2.0), RATE, "FLOAT")
    source = Item("sound", "train", "x", "loud", str(path))
    (clip,) = prepare_item(source, tmp_path / "data", Settings())
    assert clip.gain == pytest.approx(0.5, rel=1e-3)


# --- what is bad --------------------------------------------------------------------------------------------


def bad_film(kind: str, folder: Path) -> Path:
    path = folder / f"{kind}.mp4"
    if kind == "no sound":
        return make_film(path)
    if kind == "silent":
        return make_film(path, sound=np.zeros(3 * RATE, np.float32))
    if kind == "nobody":
        return make_film(path, sound=tone(3))
    if kind == "text":
        path.write_text("this is no film")
    elif kind == "empty":
        path.touch()
    elif kind == "truncated":
        content = make_film(path.with_suffix(".avi"), 6.0, tone(6)).read_bytes()
        path = path.with_suffix(".avi")
        path.write_bytes(content[: len(content) // 2])
    elif kind == "no header":
        content = make_film(path, 3.0, tone(3)).read_bytes()
        path.write_bytes(content[: len(content) // 2])
    return path


BAD = {
    "no sound": "it has no sound",
    "silent": "silence",
    "nobody": "in view in 0 %",
    "text": "cannot be read",
    "empty": "cannot be read",
    "no header": "cannot be read",
    "truncated": "breaks off|damaged",
}


@pytest.mark.real
@pytest.mark.parametrize("kind", BAD)
def test_a_bad_film_is_skipped_with_the_reason(tmp_path: Path, pose_model: Path, kind: str) -> None:
    path = bad_film(kind, tmp_path)
    item = Item("film", "train", "x", "y", str(path))
    (clip,) = prepare_item(item, tmp_path / "data", Settings(pose_model=pose_model))
    assert clip.skipped
    assert any(word in clip.skipped for word in BAD[kind].split("|")), clip.skipped
    assert str(path) not in clip.skipped
    assert not (tmp_path / "data" / "clips").exists()


def test_sound_of_no_numbers_is_refused(tmp_path: Path) -> None:
    sound = tone(0.5)
    sound[1000] = np.nan
    sf.write(tmp_path / "nan.wav", sound, RATE, "FLOAT")
    with pytest.raises(ClipError, match="not all numbers"):
        read_sound(tmp_path / "nan.wav", RATE)


def test_bad_files_are_listed_the_rest_goes_on_and_the_exit_code_tells(sounds: Path, tmp_path: Path) -> None:
    (sounds / "horn" / "broken.wav").write_bytes(b"RIFF no more")
    data = tmp_path / "data"
    done = CliRunner().invoke(command.main, [str(sounds), "-o", str(data)])
    assert done.exit_code == 1, done.stderr
    assert f"skipped {sounds}/horn/broken.wav: cannot be read" in done.stderr
    assert "6 clips (3.9 s) prepared" in done.stdout
    assert "1 skipped" in done.stdout
    assert len(Corpus(data).clips) == 6
    again = CliRunner().invoke(command.main, [str(sounds), "-o", str(data)])
    assert again.exit_code == 1
    assert "0 clips" in again.stdout
    assert "7 were there" in again.stdout
    sf.write(sounds / "horn" / "broken.wav", tone(0.3), RATE)
    mended = CliRunner().invoke(command.main, [str(sounds), "-o", str(data)])
    assert mended.exit_code == 0, mended.stderr


class Abort(str):
    """A path that ends the process which receives it, as a fault in a decoder would."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.abort, ()


def test_a_clip_that_kills_its_worker_is_the_only_one_lost(sounds: Path, tmp_path: Path) -> None:
    sources = [Item("sound", "train", "x", "killer", Abort("killer.wav")), *find_items(str(sounds), {})]
    rows = [row for (row,) in workers.on_this_machine(sources, tmp_path / "data", Settings(), 1)]
    assert "SIGABRT" in rows[0].skipped
    assert [row.skipped for row in rows[1:]] == [""] * (len(sources) - 1)


def test_a_full_disk_stops_the_run_with_one_line(sounds: Path, tmp_path: Path) -> None:
    """A limit on file sizes stands for the disk: the worker's write fails in the same way."""
    noise = np.random.default_rng(0).standard_normal(2 * RATE) * 0.1
    sf.write(sounds / "horn" / "noise.wav", noise, RATE)
    limit = "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (50000, 50000)); "
    run = "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", limit + run, str(SCRIPT), str(sounds), "-o", str(tmp_path / "data")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "cannot be written" in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr


# --- interrupted, side by side, on Ray ----------------------------------------------------------------------


PROCEDURAL = ["procedural:theremin", "--clips", "20", "--seconds", "3"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """An uninterrupted run of one worker."""
    root = tmp_path_factory.mktemp("whole") / "data"
    prepare("procedural:theremin", root, Settings(), clips=20, seconds=3)
    return contents(root)


def start(root: Path, *more: str) -> subprocess.Popen[str]:
    """The command, stopped as soon as a few clips are on record."""
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), *PROCEDURAL, "-o", str(root), *more],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    journal = root / "journal.jsonl"
    while process.poll() is None and not (journal.exists() and journal.read_text().count("\n") >= 2):
        time.sleep(0.005)
    return process


def test_killed_and_started_again_it_loses_at_most_one_clip(tmp_path: Path, whole: dict[str, bytes]) -> None:
    root = tmp_path / "data"
    process = start(root)
    process.kill()
    process.communicate()
    on_record = {clip.key for clip in recorded(root)}
    assert 2 <= len(on_record) < 20
    touched = {key: (root / "clips" / f"{key}.npz").stat().st_mtime_ns for key in on_record}
    begun = sum(1 for path in (root / "clips").rglob("*.npz") if not path.name.startswith("."))
    assert begun - len(on_record) <= 1
    done = prepare("procedural:theremin", root, Settings(), clips=20, seconds=3)
    assert done.kept == len(on_record)
    assert {key: (root / "clips" / f"{key}.npz").stat().st_mtime_ns for key in on_record} == touched
    found = {name: content for name, content in contents(root).items() if not Path(name).name.startswith(".")}
    assert found == whole


def test_ctrl_c_keeps_what_is_done_and_says_so(tmp_path: Path) -> None:
    process = start(tmp_path / "data")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130
    assert said.strip().splitlines()[-1].startswith("stopped; what is done is kept")
    assert "Traceback" not in said
    assert not (tmp_path / "data" / "journal.jsonl").exists()
    assert len(Corpus(tmp_path / "data").clips) >= 2


def test_two_workers_make_the_same_corpus(tmp_path: Path, whole: dict[str, bytes]) -> None:
    prepare("procedural:theremin", tmp_path / "data", Settings(), worker_count=2, clips=20, seconds=3)
    assert contents(tmp_path / "data") == whole


def test_ray_makes_the_same_corpus_and_skips_what_is_bad(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    (sounds / "horn" / "broken.wav").write_bytes(b"RIFF no more")
    ours = prepare(str(sounds), tmp_path / "here", Settings())
    theirs = prepare(str(sounds), tmp_path / "ray", Settings(), cluster=True, worker_count=2)
    assert contents(tmp_path / "ray") == contents(tmp_path / "here")
    assert [clip.key for clip in theirs.skipped] == [clip.key for clip in ours.skipped]
    assert [clip.name for clip in ours.skipped] == ["broken"]


def test_a_cluster_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), *PROCEDURAL, "-o", str(tmp_path / "data"), "--cluster"]
    environment = {**os.environ, "RAY_ADDRESS": "127.0.0.1:1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    assert "Ray cluster 127.0.0.1:1" in done.stderr.strip().splitlines()[-1]


# --- what is in it ------------------------------------------------------------------------------------------


def test_procedural_clips_carry_the_controls_that_made_them(tmp_path: Path) -> None:
    prepare("procedural:theremin", tmp_path / "data", Settings(), clips=10, seconds=1)
    corpus = Corpus(tmp_path / "data")
    assert [channel.name for channel in corpus.channels] == ["pitch", "loudness", "brightness"]
    assert len(corpus.select("valid", ["pitch"])) == 1
    for clip in corpus.clips:
        window = corpus.read(clip, ["loudness"])
        silent = np.convolve(window.channels[:, 0] == 0, np.ones(3), "same") == 3
        assert not np.abs(window.audio.reshape(-1, HOP)[silent]).max(initial=0.0) > 0


def test_two_sources_share_a_corpus(sounds: Path, tmp_path: Path) -> None:
    other = tmp_path / "voice"
    other.mkdir()
    sf.write(other / "la.wav", tone(0.5), RATE)
    prepare(str(sounds), tmp_path / "data", Settings())
    prepare(str(other), tmp_path / "data", Settings())
    assert Corpus(tmp_path / "data").styles == ("flute", "horn", "voice")


def test_a_changed_file_is_prepared_again(sounds: Path, tmp_path: Path) -> None:
    prepare(str(sounds), tmp_path / "data", Settings())
    sf.write(sounds / "horn" / "note 0.wav", tone(2.0), RATE)
    done = prepare(str(sounds), tmp_path / "data", Settings())
    assert [clip.name for clip in done.made] == ["note_0"]
    assert done.made[0].seconds == pytest.approx(2.0, abs=0.01)


@pytest.fixture(scope="module")
def danced(tmp_path_factory: pytest.TempPathFactory, dancer_clip: Path, pose_model: Path) -> tuple[Path, Path]:
    """(corpus, film): four seconds of the real dancer, prepared."""
    from training.data.cut import cut

    folder = tmp_path_factory.mktemp("danced")
    path = folder / "kinetics" / "train" / "studio" / "dancer.mp4"
    path.parent.mkdir(parents=True)
    cut([dancer_clip], 6.0, 10.0, path)
    done = prepare(str(folder / "kinetics"), folder / "data", Settings(pose_model=pose_model))
    assert not done.skipped
    return folder / "data", path


@pytest.mark.real
def test_features_are_those_of_the_stage(danced: tuple[Path, Path], pose_model: Path) -> None:
    """Hop by hop what `livemove render` hands to the mapping: the newest frame when the hop begins."""
    root, path = danced
    corpus = Corpus(root)
    window = corpus.read(corpus.clips[0], FEATURES)
    with Landmarker("full", pose_model) as landmarker:
        poses = [landmarker.find(image, time_s) for time_s, image in video_file.frames(path)]
    stream, i = FeatureStream(), 0
    for hop in range(len(window.channels)):
        while i < len(poses) and poses[i].capture_s <= hop * HOP / RATE + 1e-9:
            stream.update(poses[i], (hop + 0.5) * HOP / RATE)
            i += 1
        np.testing.assert_array_equal(window.channels[hop], stream.at((hop + 0.5) * HOP / RATE))


@pytest.mark.real
def test_features_can_be_made_again_from_the_landmarks(danced: tuple[Path, Path]) -> None:
    corpus = Corpus(danced[0])
    clip = corpus.clips[0]
    again = one_clip.features_at_hops(corpus.poses(clip), clip.hops, corpus.sample_rate)
    np.testing.assert_array_equal(again, corpus.read(clip, FEATURES).channels)


@pytest.mark.real
def test_a_film_has_body_and_sound_side_by_side(danced: tuple[Path, Path]) -> None:
    corpus = Corpus(danced[0])
    clip = corpus.clips[0]
    assert clip.person == 1.0
    assert clip.seconds == pytest.approx(4.0, abs=0.05)
    window = RandomWindows(corpus, "train", ["right_hand_height", "pitch", "loudness"], 90, seed=0)[5]
    assert window.channels.shape == (90, 3)
    assert window.audio.shape == (90 * HOP,)
    assert window.channels[:, 0].std() > 0


@pytest.mark.real
def test_a_clip_can_be_drawn(danced: tuple[Path, Path], tmp_path: Path) -> None:
    corpus = Corpus(danced[0])
    draw_clip(corpus, corpus.clips[0], tmp_path / "clip.png")
    assert (tmp_path / "clip.png").read_bytes().startswith(b"\x89PNG")


def test_a_clip_that_is_not_there_cannot_be_drawn(sounds: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(command.main, [str(sounds), "-o", str(tmp_path / "data"), "--plot", "tuba"])
    assert done.exit_code == 2
    assert "--plot tuba: no such clip" in done.stderr.strip().splitlines()[-1]


def test_a_corpus_that_cannot_be_made_is_said_before_the_work(sounds: Path, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be made"):
        prepare(str(sounds), tmp_path / "data", Settings())
