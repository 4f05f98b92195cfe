"""Other people's folders and sounds: names of any script, links, splits, long, offset and mirrored material."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from click.testing import CliRunner

from livemove.capture.landmarker import Landmarker
from livemove.contracts import HOP
from livemove.media import video_file
from tests.support.paths import ROOT
from tests.support.videos import RATE, tone
from training import prepare as command
from training.data import clip as one_clip
from training.data import workers
from training.data.clip import Settings, prepare_item
from training.data.corpus import Clip, Corpus
from training.data.items import Item, as_name, find_all, find_items
from training.prepare import prepare


def test_names_of_any_script_keep_apart_and_stay(tmp_path: Path) -> None:
    """踊り, 歌声 and é were one file once, and each run prepared the losers again."""
    names = ("踊り", "歌声", "e\u0301", "\u00e9", "a b", "a_b", "A_B", "CON", "x" * 180, "x" * 181)
    folder = tmp_path / "in"
    folder.mkdir()
    for number, name in enumerate(names):
        sf.write(folder / f"{name}.wav", tone(0.3, 220 + 40 * number), RATE)
    first = prepare(str(folder), tmp_path / "data", Settings())
    assert len(first.made) == len(names)
    assert len({key.casefold() for key in (clip.key for clip in Corpus(tmp_path / "data").clips)}) == len(names)
    assert len(list((tmp_path / "data" / "clips").rglob("*.flac"))) == len(names)
    sf.write(folder / "a-b.wav", tone(0.3), RATE)
    sf.write(folder / "a+b.wav", tone(0.3), RATE)
    again = prepare(str(folder), tmp_path / "data", Settings())
    assert (len(again.made), again.kept) == (2, len(names))


def test_a_second_folder_takes_nothing_from_the_first(tmp_path: Path) -> None:
    for place in ("one", "two"):
        (tmp_path / place / "horn").mkdir(parents=True)
        sf.write(tmp_path / place / "horn" / "note.wav", tone(0.3), RATE)
        prepare(str(tmp_path / place), tmp_path / "data", Settings())
    assert len(Corpus(tmp_path / "data").clips) == 2
    for place in ("one", "two"):
        assert not prepare(str(tmp_path / place), tmp_path / "data", Settings()).made


@pytest.mark.parametrize("name", ["nul", "COM1.x", "..", "", "a/b", "\udcff", "é" * 300])
def test_every_name_is_made_fit_for_every_system(name: str) -> None:
    made = as_name(name)
    assert made.encode("utf-8")
    assert 0 < len(made.encode()) <= 100
    assert "/" not in made
    assert not made.startswith(".")
    assert made.split(".")[0].lower() not in ("nul", "com1")


def test_every_file_is_prepared_or_said_to_be_left_out(tmp_path: Path) -> None:
    root = tmp_path / "set"
    inside = ("train/tango/a.mp4", "train/tango/part1/b.mts", "val/tango/c.wmv", "test/tango/d.mp4", "train/loose.mp4",
              "train/tango/notes.txt", "more/tango/e.mp4")  # fmt: skip
    for name in inside:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "f.m2ts").touch()
    (root / "train" / "waltz").symlink_to(elsewhere, target_is_directory=True)
    (root / "train" / "tango" / "again").symlink_to(root, target_is_directory=True)
    (root / "train" / "tango" / "gone.mp4").symlink_to(tmp_path / "nothing")
    found = find_all(str(root), {})
    assert [item.key for item in found.items] == [
        "train/tango/a", "train/tango/part1_b", "train/waltz/f", "valid/tango/c"
    ]  # fmt: skip
    reasons = {Path(path).relative_to(root).as_posix(): why for path, why in found.left_out}
    assert set(reasons) == {
        "test/tango/d.mp4", "train/loose.mp4", "train/tango/notes.txt", "more/tango/e.mp4", "train/tango/again",
        "train/tango/gone.mp4",
    }  # fmt: skip


def test_raw_is_a_name_like_any_other_outside_kinetics(tmp_path: Path) -> None:
    for name in ("guitar_raw.wav", "voice.caf", "film/x.ogv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert {item.name for item in find_items(str(tmp_path), {})} == {"guitar_raw", "voice", "x"}


def test_a_name_that_is_no_text_is_left_out_with_a_word(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    sf.write(folder / "good.wav", tone(0.3), RATE)
    shutil.copy(folder / "good.wav", os.fsencode(folder) + b"/bad\xff.wav")
    done = CliRunner().invoke(command.main, [str(folder), "-o", str(tmp_path / "data")])
    assert done.exit_code == 0, done.stderr
    assert "bad?.wav: its name is no text" in done.stderr


def test_a_long_sound_becomes_clips_in_a_row_and_shrinks_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of a second here; each is what the whole was there, and no part of a longer time is left."""
    monkeypatch.setattr(one_clip, "PART_S", 1.0)
    folder, data = tmp_path / "in", tmp_path / "data"
    folder.mkdir()
    sound = np.concatenate([tone(1.0, 220 + 20 * i) for i in range(4)])[: round(3.5 * RATE)]
    sf.write(folder / "long.wav", sound, RATE)

    def here(sources: list[Item], root: Path, settings: Settings, workers: int) -> Iterator[tuple[Clip, ...]]:
        yield from (prepare_item(source, root, settings) for source in sources)

    monkeypatch.setattr(workers, "on_this_machine", here)
    prepare(str(folder), data, Settings())
    corpus = Corpus(data)
    clips = sorted(corpus.clips, key=lambda clip: clip.start_s)
    assert [clip.name for clip in clips] == ["long", "long+2", "long+3", "long+4"]
    heard = np.concatenate([corpus.read(clip, ["pitch"]).audio for clip in clips])
    assert heard == pytest.approx(sound[: len(heard)], abs=1e-4)
    assert len(heard) > len(sound) - HOP
    assert not prepare(str(folder), data, Settings()).made
    sf.write(folder / "long.wav", sound[: round(1.5 * RATE)], RATE)
    prepare(str(folder), data, Settings())
    assert [clip.name for clip in Corpus(data).clips] == ["long", "long+2"]
    assert len(list((data / "clips").rglob("*.flac"))) == 2


PEAK = """
import pathlib, resource, sys
from training.data import clip
from training.data.items import Item
clip.PART_S = 5.0
item = Item("sound", "train", "x", "long", sys.argv[1])
rows = clip.prepare_item(item, pathlib.Path(sys.argv[2]), clip.Settings(16000))
print(len(rows), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def test_the_memory_of_a_worker_does_not_grow_with_its_sound(tmp_path: Path) -> None:
    """Two hours took 5.7 GB once, 0.8 MB a second at 48 kHz. Parts of five seconds here, 10 s and 160 s of them."""
    megabytes: list[float] = []
    for parts in (2, 32):
        path = tmp_path / f"{parts}.wav"
        with sf.SoundFile(path, "w", samplerate=16000, channels=1) as file:
            for i in range(parts):
                file.write(0.3 * np.sin(2 * np.pi * (220 + i) * np.arange(5 * 16000) / 16000))
        done = subprocess.run(
            [sys.executable, "-c", PEAK, str(path), str(tmp_path / f"data{parts}")],
            capture_output=True, text=True, check=True, cwd=ROOT,
        )  # fmt: skip
        rows, peak = done.stdout.split()
        assert int(rows) >= parts
        megabytes.append(float(peak))
    assert megabytes[1] - megabytes[0] < 20, megabytes


@pytest.mark.parametrize("constant", [0.01, -0.2])
def test_a_constant_is_no_sound(tmp_path: Path, constant: float) -> None:
    quiet = tone(2.0, level=0.001)
    without, _ = one_clip.described_with_phase(quiet, RATE)
    offset, _ = one_clip.described_with_phase(quiet + np.float32(constant), RATE)
    assert offset[20:-20] == pytest.approx(without[20:-20], abs=0.02)
    sf.write(tmp_path / "dc.wav", np.full(3 * RATE, 0.5), RATE)
    (row,) = prepare_item(Item("sound", "train", "x", "dc", str(tmp_path / "dc.wav")), tmp_path / "data", Settings())
    assert row.skipped == "the sound is silence"


def test_a_constant_that_drifts_is_no_sound() -> None:
    """A sensor warming up: half of full scale in three seconds."""
    drift = np.linspace(0, 0.5, 3 * RATE, dtype=np.float32)
    described, _ = one_clip.described_with_phase(drift, RATE)
    assert described[20:-20, 2].max() < 0.15
    assert described[20:-20, 1].max() < 0.5


@pytest.mark.real
def test_a_mirrored_video_is_turned_over_first(tmp_path: Path, dancer_clip: Path, pose_model: Path) -> None:
    """The right hand of the dancer in the mirror is the right hand again."""
    frames = [image for _, (_, image) in zip(range(10), video_file.frames(dancer_clip), strict=False)]
    with Landmarker("full", pose_model) as landmarker:
        plain = [landmarker.find(image, i / 25) for i, image in enumerate(frames)]
    with Landmarker("full", pose_model) as landmarker:
        mirrored = [np.ascontiguousarray(image[:, ::-1]) for image in frames]
        back = [landmarker.find(video_file.facing(image, True), i / 25) for i, image in enumerate(mirrored)]
    for one, other in zip(plain, back, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
