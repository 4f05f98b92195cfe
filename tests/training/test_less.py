"""No silent exit 0: whoever gets less than was asked for reads it, whichever command gives less, and why."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from click.testing import CliRunner

from livemove.bundle import Bundle
from livemove.media import video_file
from tests.support.paths import ROOT
from tests.support.videos import RATE, make_film, tone
from training import evaluate, learn, prepare, train
from training.data import takes
from training.data.clip import Settings
from training.data.corpus import Corpus, CorpusError
from training.metrics import clip_scores


def command(*words: object) -> tuple[int, str]:
    """Exit code, and what it says on standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "livemove.cli", *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stderr


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """Six seconds of video with a sound."""
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


@pytest.mark.real
def test_prepare_of_what_breaks_off_is_empty_or_has_no_sound(half: Path, tmp_path: Path, pose_model: Path) -> None:
    films, sounds = tmp_path / "films", tmp_path / "sounds"
    films.mkdir()
    sounds.mkdir()
    half.rename(films / half.name)
    make_film(films / "mute.mp4", 2.0)
    (films / "empty.mp4").touch()
    for name in ("cut.wav", "cut.flac"):
        sf.write(sounds / name, np.random.default_rng(0).uniform(-0.5, 0.5, 6 * RATE), RATE)
        (sounds / name).write_bytes((sounds / name).read_bytes()[:300_000])
    (sounds / "empty.wav").touch()
    sf.write(sounds / "none.wav", np.zeros(0), RATE)
    bad = {films: {"half.mkv", "mute.mp4", "empty.mp4"}, sounds: {"cut.wav", "cut.flac", "empty.wav", "none.wav"}}
    for place, names in bad.items():
        words = [str(place), "-o", str(tmp_path / "data"), "--pose-model", str(pose_model), "--person", "0"]
        done = CliRunner().invoke(prepare.main, words)
        assert done.exit_code == 1
        lines = [line for line in done.stderr.splitlines() if line.startswith("skipped")]
        found = {Path(line.split(": ")[0].removeprefix("skipped ")).name for line in lines}
        assert found >= names, done.stderr
    with pytest.raises(CorpusError, match=r"holds no clip \(7 skipped\)"):
        Corpus(tmp_path / "data")


def test_training_says_what_its_folder_holds_that_is_not_learnt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(2):
        sf.write(folder / f"{number}.wav", tone(1.0, 220 + 40 * number), RATE)
    (folder / "notes.txt").touch()
    (folder / "empty.wav").touch()
    wanted = {"dataset": folder, "devices": 1, "sample_rate": 16000, "prepared_path": tmp_path / "data"}
    train.prepared(argparse.Namespace(architecture="stage", **wanted))
    said = capsys.readouterr().err
    assert "notes.txt: .txt: no video or sound" in said
    assert "empty.wav: skipped:" in said


def test_learn_says_what_it_leaves_out(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "take.mp4").touch()
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "linked").symlink_to(elsewhere, target_is_directory=True)
    for name in ("song.wav", "notes.txt", os.fsdecode(b"\xff.mp4")):
        (folder / name).touch()
    files, left_out = learn.find_files((folder,))
    assert files == [folder / "linked" / "take.mp4"]
    assert {Path(path).name: why.split(":")[0] for path, why in left_out} == {
        "song.wav": "it lies among videos, so it is what was danced to",
        "notes.txt": ".txt",
        os.fsdecode(b"\xff.mp4"): "its name is no text that can be written down",
    }
    with pytest.raises(learn.LearnError, match="its name is no text"):
        learn.find_files((folder / os.fsdecode(b"\xff.mp4"),))


@pytest.mark.real
def test_takes_to_learn_from_are_watched_and_what_cannot_be_used_is_said(tmp_path: Path, pose_model: Path) -> None:
    good, mute = make_film(tmp_path / "good.mp4", 3.0, tone(3.0)), make_film(tmp_path / "mute.mp4", 1.0)
    settings = Settings(pose_model=pose_model, person=0.0)
    corpus = takes.watch([good, mute], tmp_path / "watched", "me", settings, lambda *_: None)
    assert corpus is not None
    assert [clip.source for clip in corpus.clips] == [str(good)]
    texts = [finding.text for finding in takes.judge(tmp_path / "watched", corpus).findings]
    assert "mute.mp4: it has no sound" in texts
    assert takes.watch([good], tmp_path / "watched", "me", settings, lambda *_: pytest.fail("again")) is not None


def test_evaluate_needs_the_dancer_a_stranger_stands_beside(
    small_bundle: Bundle, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate.main(["--model", str(small_bundle.path), "--stranger", str(whole)]) == 2
    assert "--stranger: it stands beside a dancer" in capsys.readouterr().err


@pytest.mark.real
def test_evaluate_says_when_a_clip_breaks_off_or_nobody_is_in_it(
    small_bundle: Bundle, whole: Path, half: Path, pose_model: Path
) -> None:
    for clip, said in ((half, "breaks off after"), (whole, "somebody is in view in 0 % of the frames only")):
        assert said in clip_scores.watch(clip, small_bundle.path, pose_model=pose_model).less()
