"""The bare JACK client beside a performance: compiled on the spot, called once a period, and told when it was late."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from livemove.diagnostics import jack_control
from livemove.diagnostics.jack_control import CALL_ROW, JackControl, NoControl, build, held_up
from tests.support.real_time import in_real_time, timed
from tests.support.servers import Jack

RATE, FRAMES = 48000.0, 512.0
PERIOD_S = FRAMES / RATE

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="JACK's servers of these tests are Linux's")


def calls(count: int = 100) -> np.ndarray:
    rows = np.zeros(count, CALL_ROW)
    rows["called_s"], rows["frames"] = 10.0 + PERIOD_S * np.arange(count), FRAMES
    return rows


def test_who_is_called_in_time_was_never_held_up() -> None:
    assert len(held_up(calls(), RATE)) == 0
    assert len(held_up(calls(0), RATE)) == 0


@pytest.mark.parametrize("what", ["a gap", "late in its period", "an xrun"])
def test_a_late_call_is_a_span_of_time(what: str) -> None:
    rows = calls()
    if what == "a gap":
        rows["called_s"][50:] += 0.8 * PERIOD_S
    elif what == "late in its period":
        rows["late_s"][50] = 0.6 * PERIOD_S
    else:
        rows["xruns"][50:] = 1
    ((since_s, until_s),) = held_up(rows, RATE)
    assert (since_s, until_s) == (rows["called_s"][49], rows["called_s"][50])


@LINUX
@in_real_time
def test_it_is_called_once_a_period(tmp_path: Path, jack: Jack) -> None:
    with JackControl(build(tmp_path), tmp_path, jack.environment, hears=True) as control:
        time.sleep(1.0)
        now_s = time.monotonic()
    rows = control.calls
    assert (rows["frames"] == jack.period).all()
    assert len(control.sound) >= (len(rows) - 1) * jack.period
    with timed():
        assert abs(len(rows) - RATE / jack.period) < 12
        assert np.median(rows["late_s"]) < PERIOD_S / 2
        assert abs(rows["called_s"][-1] - now_s) < 0.1, "not the clock of everybody else"


@LINUX
def test_without_a_server_or_a_compiler_it_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    control = JackControl(build(tmp_path), tmp_path, {"JACK_DEFAULT_SERVER": "livemove-nobody"})
    with pytest.raises(NoControl, match="no JACK server runs"):
        control.start()
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(NoControl, match="no C compiler"):
        build(tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(jack_control, "SOURCE", tmp_path / "nothing.c")
    with pytest.raises(NoControl, match="cannot be compiled here"):
        build(tmp_path)
