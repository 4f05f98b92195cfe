"""No silent exit 0: whoever gets less than was asked for reads it, whichever command gives less, and why."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from livemove.bundle import Bundle
from livemove.media import video_file
from tests.support.paths import ROOT
from tests.support.videos import RATE, make_film, tone


def command(*words: object, module: str = "livemove.cli") -> tuple[int, str]:
    """Exit code, and what it says on standard error."""
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stderr


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """Six seconds of film with a sound."""
    return make_film(tmp_path / "whole.mkv", 6.0, tone(6.0))


@pytest.fixture
def half(whole: Path) -> Path:
    """As it is when the copy was interrupted: its header promises six seconds."""
    path = whole.with_name("half.mkv")
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    return path


def test_a_film_says_how_long_it_was_to_be(whole: Path, half: Path) -> None:
    assert video_file.promised_s(half) == pytest.approx(6.0, abs=0.1)
    times = [time_s for time_s, _ in video_file.frames(half)]
    assert 1.0 < times[-1] < 5.0


@pytest.mark.real
def test_render_of_half_a_film(half: Path, small_bundle: Bundle, pose_model: Path, tmp_path: Path) -> None:
    words = ["render", half, "-m", small_bundle.path, "--pose-model", pose_model, "--report", tmp_path / "r.json"]
    code, said = command(*words, "-o", tmp_path / "o.wav")
    assert code == 0
    assert "the image ends there, short of 6.0 s" in said
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["clip_seconds"] - report["seconds"] > 1.0


@pytest.mark.real
def test_render_of_a_film_shorter_than_asked(
    whole: Path, small_bundle: Bundle, pose_model: Path, tmp_path: Path
) -> None:
    words = ["render", whole, "-m", small_bundle.path, "--pose-model", pose_model]
    code, said = command(*words, "-o", tmp_path / "o.mp4", "--duration", 20)
    assert code == 0
    assert "the image ends there, short of 20.0 s" in said
    code, said = command(*words, "-o", tmp_path / "p.mp4", "--duration", 2)
    assert code == 0
    assert "short of" not in said


@pytest.mark.real
def test_perform_of_half_a_film(half: Path, small_bundle: Bundle, pose_model: Path, tmp_path: Path) -> None:
    words = ["perform", "--camera", half, "-m", small_bundle.path, "--pose-model", pose_model, "--no-monitor"]
    code, said = command(*words, "-o", tmp_path / "o.wav", "--duration", 30)
    assert code == 0
    assert f"{half}: breaks off after" in said or f"{half}: damaged after" in said, said
    assert "the video ended after" in said
    assert "of 30 s" in said


def prepare(folder: Path, data: Path) -> tuple[int, str]:
    return command(folder, "-o", data, module="training.prepare")


@pytest.mark.real
def test_prepare_of_what_breaks_off_is_empty_or_has_no_sound(half: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    half.rename(folder / half.name)
    make_film(folder / "mute.mp4", 2.0)
    (folder / "empty.mp4").touch()
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    sf.write(sounds / "cut.flac", np.random.default_rng(0).uniform(-0.5, 0.5, 6 * RATE), RATE)
    (sounds / "cut.flac").write_bytes((sounds / "cut.flac").read_bytes()[:400_000])
    (sounds / "empty.wav").touch()
    sf.write(sounds / "none.wav", np.zeros(0), RATE)
    for place, names in (
        (folder, ("half.mkv", "mute.mp4", "empty.mp4")),
        (sounds, ("cut.flac", "empty.wav", "none.wav")),
    ):
        code, said = prepare(place, tmp_path / "data")
        assert code == 1
        lines = [line for line in said.splitlines() if line.startswith("skipped")]
        assert {Path(line.split(": ")[0].removeprefix("skipped ")).name for line in lines} >= names, said
    code, said = command("--dataset", tmp_path / "data", "--out", tmp_path / "run", module="training.train")
    assert code == 2
    assert "holds no clip (6 skipped)" in said


def test_training_says_what_its_folder_holds_that_is_not_learnt(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(2):
        sf.write(folder / f"{number}.wav", tone(1.0, 220 + 40 * number), RATE)
    (folder / "notes.txt").touch()
    (folder / "empty.wav").touch()
    words = ["--dataset", folder, "--prepared_path", tmp_path / "data", "--out", tmp_path / "run", "--steps", 0]
    _, said = command(*words, module="training.train")
    assert "notes.txt: .txt: no video or sound" in said
    assert "empty.wav: skipped:" in said


def test_evaluate_needs_the_dancer_a_stranger_stands_beside(small_bundle: Bundle, whole: Path) -> None:
    code, said = command("--model", small_bundle.path, "--stranger", whole, module="training.evaluate")
    assert code == 2
    assert "--stranger: it stands beside a dancer" in said
