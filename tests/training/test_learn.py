"""`livemove learn` from recordings to a model: decided, trained, stopped and taken up again, measured, exported."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from click.testing import CliRunner

from livemove.bundle import load_bundle
from livemove.cli import learning, main
from livemove.synthesis.engines import make_engine
from tests.support.dances import write_dances
from tests.training.data.test_material import RATE, gusts, melody, noise
from training import export, learn
from training.data.corpus import Corpus
from training.learn import LearnError, Request
from training.loop import watch
from training.metrics import verdict


class Log:
    """What was said; Ctrl-C is pressed as step `stop_at` is done."""

    def __init__(self, stop_at: int = 0) -> None:
        self.lines: list[str] = []
        self.steps: list[int] = []
        self.stop_at = stop_at

    def line(self, text: str) -> None:
        self.lines.append(text)

    def step(self, what: str, done: int, total: int, left_s: float | None = None) -> None:
        if what == "step":
            self.steps.append(done)
            if done == self.stop_at:
                os.kill(os.getpid(), signal.SIGINT)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Few steps and few measures, into a folder of the test's own."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("livemove.bundle.platformdirs.user_data_dir", lambda *_, **__: str(tmp_path / "home"))
    monkeypatch.setattr(learn, "MOST_STEPS", 6)
    monkeypatch.setattr(learn, "LEAST_STEPS", 6)
    monkeypatch.setattr(learn, "MEASURED_S", 0.1)
    monkeypatch.setattr(learn, "AMOUNT", dataclasses.replace(learn.AMOUNT, share=0.1, stress_s=2.0, notes=1))
    monkeypatch.setattr(export, "GOLDEN_TRIES", 1)


def write(path: Path, sound: np.ndarray) -> Path:
    sf.write(path, sound, RATE, subtype="FLOAT")
    return path


def request(path: Path, **more: object) -> Request:
    return Request((path,), minutes=1.0, threads=1, **more)  # type: ignore[arg-type]


def test_notes_become_a_playable_model_after_ctrl_c_too(tmp_path: Path) -> None:
    """A tone's path is fitted before the first step: six steps from another voice suffice to be in tune."""
    recording = write(tmp_path / "pipe.wav", melody(25))
    log = Log(stop_at=3)
    assert learn.learn(request(recording), log).bundle is None
    assert log.steps == [1, 2, 3]
    assert "one instrument's notes" in log.text
    assert "minutes: 6 steps" in log.text  # said before it began
    folder = tmp_path / "home" / "learning" / "pipe"
    assert (folder / "run" / "last.ckpt").is_file()
    assert list((folder / "run" / "examples").glob("*.wav"))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    with pytest.raises(LearnError, match="other recordings"):
        learn.learn(Request((write(tmp_path / "other.wav", melody(25, 1)),), name="pipe"), Log())

    log = Log()
    done = learn.learn(request(recording), log)
    assert log.steps == [4, 5, 6]
    assert done.bundle == tmp_path / "home" / "models" / "pipe"
    bundle = load_bundle(done.bundle)
    assert bundle.spec.harmonic_path is not None
    assert bundle.mapping_path is not None
    assert not bundle.ignores_channels
    assert make_engine("auto", bundle).spec.name == "pipe"
    assert "livemove learn pipe.wav --name pipe" in bundle.description_path.read_text()
    assert "it follows pitch within" in done.lines[0]
    assert float(done.lines[0].split("within ")[1].split(" cents")[0]) <= 15
    assert log.lines[-1] == "play it: livemove perform --model pipe"


def test_sound_without_pitch_is_played_by_loudness_and_brightness(tmp_path: Path) -> None:
    log = Log()
    done = learn.learn(request(write(tmp_path / "wind.wav", gusts(25)), start="none"), log)
    assert done.bundle is not None
    spec = load_bundle(done.bundle).spec
    assert spec.channel_names == ("loudness", "brightness", "onset")
    assert spec.phase is None
    assert done.lines[0].startswith("it follows loudness")


def test_what_does_not_suffice_is_refused_before_it_begins_and_leaves_no_plan(tmp_path: Path) -> None:
    log = Log()
    with pytest.raises(LearnError, match="--anyway"):
        learn.learn(request(write(tmp_path / "hiss.wav", noise(10))), log)
    assert "! too short: 10 s" in log.text
    assert not (tmp_path / "home" / "learning" / "hiss" / "plan.json").exists()


def test_a_check_says_how_long_it_takes_and_begins_nothing(tmp_path: Path) -> None:
    log = Log()
    done = learn.learn(request(write(tmp_path / "pipe.wav", melody(25)), check=True), log)
    assert done.bundle is None
    assert "will take about" in log.text
    assert log.steps == []
    assert not (tmp_path / "home" / "learning" / "pipe" / "plan.json").exists()


def test_a_name_that_a_model_has_is_refused(tmp_path: Path) -> None:
    recording = write(tmp_path / "a.wav", melody(25))
    with pytest.raises(LearnError, match="there is a model theremin already"):
        learn.learn(request(recording, name="theremin"), Log())


def test_movement_is_learnt_end_to_end_and_told_whether_it_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of takes that have been watched; watching itself is prepare's, and tested there."""
    watched = write_dances(tmp_path / "dances", hops=400, rate=RATE)
    monkeypatch.setattr(learn.takes, "watch", lambda *_: Corpus(watched))
    monkeypatch.setattr(learn.takes, "judge", lambda *_: learn.Material(60.0, 60.0, False, ()))
    take = tmp_path / "me.mp4"
    take.write_bytes(b"a video")
    done = learn.learn(request(take, start="none"), Log())
    assert done.bundle is not None
    bundle = load_bundle(done.bundle)
    assert bundle.mapping_path is None
    assert {"nll_bits", "nll_bits_shuffled"} <= bundle.figures.keys()
    assert done.lines[0].startswith("it ignores your movement" if bundle.ignores_channels else "it hears your movement")


# --- sentences ----------------------------------------------------------------------------------------------


def played(cents: float, strays: float, loud: float) -> dict[str, object]:
    values = {"pitch_cents_median": cents, "pitch_gross_share": strays, "loudness_correlation": loud,
              "brightness_correlation": 0.7, "response_ms": 6.0, "hnr_db": 20.0, "rest_dbfs": -120.0}  # fmt: skip
    return {"pitched": {"styles": {"": {"model": {name: [value] * 3 for name, value in values.items()}}}}}


def test_the_verdict_says_what_the_figures_say() -> None:
    good = verdict.of_notes(played(5.6, 0.01, 0.95))
    assert good[0] == "it follows pitch within 5.6 cents (median); loudness well (0.95); brightness roughly (0.70)"
    assert not any("not in tune" in line for line in good)
    assert "not in tune" in verdict.of_notes(played(30.0, 0.01, 0.95))[-1]
    assert "20 % of the time" in verdict.of_notes(played(5.0, 0.2, 0.3))[0]
    assert "no pitch was heard" in verdict.of_notes(played(float("nan"), float("nan"), 0.3))[0]


def test_movement_that_is_not_heard_asks_for_more() -> None:
    deaf = {"data": {"nll_bits": -2.0, "nll_bits_shuffled": -2.0, "ignores_channels": True}}
    assert "at least 2 minutes more" in verdict.of_movement(deaf, 1.0)[0]
    assert "at least 10 minutes more" in verdict.of_movement(deaf, 10.0)[0]
    hears = {"data": {"nll_bits": -2.5, "nll_bits_shuffled": -2.0, "ignores_channels": False}}
    assert "by 0.50 bits" in verdict.of_movement(hears, 1.0)[0]


# --- the command --------------------------------------------------------------------------------------------


def test_without_the_training_libraries_it_says_so_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        learning.importlib.util, "find_spec", lambda name, *more: None if name == "torch" else found(name, *more)
    )
    done = CliRunner().invoke(main, ["learn", str(write(tmp_path / "a.wav", melody(1)))])
    assert done.exit_code == 2
    assert done.output.count("\n") == 1
    assert "pip install 'livemove[train]'" in done.output


def test_the_command_refuses_with_one_last_line_and_code_2(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["learn", str(tmp_path / "none.wav")])
    assert (done.exit_code, done.output) == (2, f"livemove: {tmp_path / 'none.wav'}: no such file or folder\n")


def test_a_checkpoint_is_never_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also between validations: with CHECKPOINT_S 0 there is one after every step."""
    saved: list[bool] = []
    monkeypatch.setattr(watch, "CHECKPOINT_S", 0.0)
    monkeypatch.setattr(learn, "VALIDATE_S", 1e6)

    class Looking(Log):
        def step(self, what: str, done: int, total: int, left_s: float | None = None) -> None:
            super().step(what, done, total, left_s)
            saved.append((tmp_path / "home" / "learning" / "wind" / "run" / "last.ckpt").exists())

    learn.learn(request(write(tmp_path / "wind.wav", gusts(25)), start="none"), Looking())
    assert saved[-5:] == [True] * 5
