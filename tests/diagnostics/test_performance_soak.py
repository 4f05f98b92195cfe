"""What a soak test makes of status lines: whose the underruns were, what grew, what it writes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from livemove.diagnostics import performance_soak, performance_soak_plot
from livemove.diagnostics.jack_control import NoControl
from livemove.session.perform import Status

MINUTES = 2.0
STATUS_S = 0.2


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the time, from 1000 s on; there is no control but what a test says, and memory is 500 MB."""

    def nobody(_: Path) -> Path:
        raise NoControl("no C compiler is installed")

    monkeypatch.setattr(performance_soak, "build", nobody)
    monkeypatch.setattr(performance_soak, "resident_mb", lambda: 500.0)
    return lambda at_s: monkeypatch.setattr(performance_soak, "now_s", lambda: 1000.0 + at_s)


def soaked(
    clock: Callable[[float], None],
    underruns: Callable[[float], int] = lambda _: 0,
    latency_ms: Callable[[float], float | None] = lambda _: 70.0,
    faults: bool = False,
    each: Callable[[float], None] = lambda _: None,
) -> tuple[performance_soak.PerformanceSoak, performance_soak.Traces]:
    def play(see: Callable[[performance_soak.Seen], None]) -> str:
        see(Status("starting", 0.0, underruns=7))  # does not count
        for at_s in np.arange(0.0, 60 * MINUTES, STATUS_S):
            clock(at_s)
            each(at_s)
            ms = latency_ms(at_s)
            see(Status("playing", at_s, "native", "system", underruns=underruns(at_s), latency_p50_ms=ms,
                       latency_p95_ms=ms, restarts={"synthesis": 1}))  # fmt: skip
        return "its own report"

    found, traces, report = performance_soak.run(play, MINUTES, faults)
    assert report == "its own report"
    return found, traces


def test_a_calm_performance_has_nothing_wrong(clock: Callable[[float], None]) -> None:
    found, _ = soaked(clock)
    assert found.wrong() == []
    assert (found.underruns, found.memory_mb, found.latency_ms) == (0, (500.0, 500.0), (70.0, 70.0))
    assert (found.engine, found.device, found.restarts) == ("native", "system", {"synthesis": 1})


def test_without_a_control_it_says_so_and_every_underrun_counts(clock: Callable[[float], None]) -> None:
    found, _ = soaked(clock, underruns=lambda at_s: 2 * (at_s > 50))
    assert found.without_control == "no C compiler is installed"
    assert (found.underruns, found.underruns_unexcused) == (2, 2)
    assert found.wrong() == ["2 underruns without an excuse"]


def test_an_underrun_is_excused_by_the_controls_own_lateness_and_by_nothing_else(
    clock: Callable[[float], None],
) -> None:
    _, traces = soaked(clock, underruns=lambda at_s: int(at_s > 30) + int(at_s > 90))
    watch = performance_soak._Watch(MINUTES, False)
    watch.rows, watch.count = traces.rows, len(traces.rows)
    late = performance_soak.Traces(traces.rows, np.array([[1029.95, 1030.05]]), [])
    found = performance_soak._judged(watch, late, "")
    assert (found.underruns, found.underruns_control_late, found.underruns_unexcused) == (2, 1, 1)
    late = performance_soak.Traces(traces.rows, np.array([[1031.0, 1032.0]]), [])
    assert performance_soak._judged(watch, late, "").underruns_unexcused == 2


def test_what_grows_is_told(clock: Callable[[float], None], monkeypatch: pytest.MonkeyPatch) -> None:
    def grows(at_s: float) -> None:
        monkeypatch.setattr(performance_soak, "resident_mb", lambda: 500.0 + at_s)

    found, _ = soaked(clock, latency_ms=lambda at_s: 70.0 + (at_s > 100) * 10, each=grows)
    growth, change = found.wrong()
    assert growth.startswith("memory grew by 1")
    assert change == "latency changed by +14.3%"


def test_faults_are_injected_in_turn_and_their_underruns_are_theirs(
    clock: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []
    monkeypatch.setattr(performance_soak, "_end_child", lambda role, _: ended.append(role) or True)
    found, traces = soaked(clock, underruns=lambda at_s: int(at_s > 46) + int(at_s > 70), faults=True)
    assert ended == ["synthesis", "capture"]
    assert [role for _, role in found.faults] == ended
    assert np.allclose(np.diff(traces.faults_s), performance_soak.FAULT_S)
    assert (found.underruns_after_faults, found.underruns_unexcused) == (1, 1)


def test_what_was_never_measured_is_none_in_the_file(
    clock: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(performance_soak, "resident_mb", lambda: math.nan)
    found, _ = soaked(clock, latency_ms=lambda _: None)
    written = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert written["memory_mb"] == {"start": None, "end": None}
    assert written["memory_growth"] is written["latency_change"] is None
    assert found.wrong() == []


def test_it_is_drawn(clock: Callable[[float], None], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    found, traces = soaked(clock)
    performance_soak_plot.draw(tmp_path / "soak.png", found, traces)
    assert (tmp_path / "soak.png").stat().st_size > 10_000
