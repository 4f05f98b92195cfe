"""The spare of synthesis: it takes over from one that died or stands still, with a fade and no click.

Capture and synthesis of the sessions are doubles (a steady sine), so that every gap can be measured.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from livemove.ipc.segment import Segment, State
from livemove.session.perform import Report, SessionConfig, Status, run_session
from livemove.session.spare import FREEZE_S, SparedChild
from livemove.session.supervisor import SEEN_S, Log
from tests.support import double_synthesis
from tests.support.real_time import in_real_time, timed
from tests.support.stereo import centred

SILENCE_S = 0.4
"""What a listener may hear of it."""


def segments(monkeypatch: pytest.MonkeyPatch) -> list[Segment]:
    """Those that sessions make from now on."""
    made: list[Segment] = []
    create = Segment.create

    def remembered() -> Segment:
        made.append(create())
        return made[-1]

    monkeypatch.setattr(Segment, "create", staticmethod(remembered))
    return made


def attacked(
    model: Path, output: Path, attack: Callable[[psutil.Process], None], monkeypatch: pytest.MonkeyPatch
) -> tuple[Report, list[str]]:
    """(report, notices) of a session whose synthesis is attacked once its spare waits and it played 1.5 s."""
    made = segments(monkeypatch)
    told: list[str] = []
    attacked_s = 0.0

    def on_status(status: Status) -> None:
        nonlocal attacked_s
        if status.notice:
            told.append(status.notice)
        if status.phase != "playing":
            return
        processes = made[0].processes
        if not attacked_s and status.seconds > 1.5 and processes["spare"].state is State.RUNNING:
            attacked_s = status.seconds
            attack(psutil.Process(processes["synthesis"].pid))
        if attacked_s and status.seconds > attacked_s + 2.0:
            os.kill(os.getpid(), signal.SIGINT)

    config = SessionConfig.of(model=model, monitor=False, output=output, play=False, duration_s=60.0)
    report = run_session(config, on_status)
    with timed():
        assert attacked_s, "its spare never came"
    return report, told


@pytest.mark.usefixtures("doubles", "silent_house")
@pytest.mark.parametrize("how", ["killed", "frozen"])
@in_real_time
def test_the_spare_is_heard_soon_and_without_a_click(
    how: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = signal.SIGKILL if how == "killed" else signal.SIGSTOP
    output = tmp_path / "heard.wav"
    report, told = attacked(model, output, lambda synthesis: synthesis.send_signal(number), monkeypatch)
    assert report["restarts"]["synthesis"] == report["take_overs"] == 1
    assert [line for line in told if "its spare plays on" in line], told
    heard, rate = centred(output)
    level = np.flatnonzero(np.abs(heard) > 0.25 * double_synthesis.TONE_LEVEL)
    gaps_s = np.diff(level) / rate
    with timed():
        assert gaps_s.max() < SILENCE_S
    steepest = double_synthesis.TONE_LEVEL * 2 * np.pi * double_synthesis.TONE_HZ / rate
    assert np.abs(np.diff(heard)).max() < 1.2 * steepest, "it fades out and in: no step"


@pytest.mark.usefixtures("doubles", "silent_house")
@in_real_time
def test_a_spare_that_waits_needs_no_core_and_dies_with_the_session(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = segments(monkeypatch)
    spent: list[float] = []
    pid = 0

    def on_status(status: Status) -> None:
        nonlocal pid
        state = made[0].processes["spare"]
        if status.phase == "playing" and state.state is State.RUNNING:
            pid = pid or state.pid
            spent.append(sum(psutil.Process(pid).cpu_times()[:2]))

    run_session(
        SessionConfig.of(model=model, monitor=False, output=tmp_path / "x.wav", play=False, duration_s=6.0), on_status
    )
    with timed():
        assert len(spent) > 5, "its spare came late"
    assert spent[-1] - spent[1] <= 0.02, "two ticks of the clock by which Linux counts"
    assert not psutil.pid_exists(pid)


@pytest.mark.usefixtures("doubles", "silent_house")
@in_real_time
def test_without_a_spare_it_is_started_again(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []
    made = segments(monkeypatch)

    def on_status(status: Status) -> None:
        if status.phase == "playing" and status.seconds > 1.0 and not killed:
            killed.append(made[0].processes["synthesis"].pid)
            os.kill(killed[0], signal.SIGKILL)

    config = SessionConfig.of(
        model=model, monitor=False, output=tmp_path / "x.wav", play=False, spare=False, duration_s=4.0
    )
    report = run_session(config, on_status)
    assert (report["restarts"]["synthesis"], report["take_overs"]) == (1, 0)


# --- the rules ----------------------------------------------------------------------------------------------


class Still:
    """A process that does nothing until it is killed."""

    exitcode: int | None = None

    def is_alive(self) -> bool:
        return self.exitcode is None

    def kill(self) -> None:
        self.exitcode = -9 if self.exitcode is None else self.exitcode

    def join(self, _timeout_s: float | None = None) -> None:
        """It is over."""


class Words:
    """The end of a pipe that a spare listens at."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def send(self, word: str) -> None:
        self.said.append(word)

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def child(segment: Segment) -> SparedChild:
    """One that runs, with a spare that waits."""
    child = SparedChild("synthesis", segment, None, Log())
    child.process = Still()  # type: ignore[assignment]
    child.process_state.running("native")
    child._has_run = True
    child.spare.process = Still()  # type: ignore[assignment]
    child.spare._call = Words()  # type: ignore[assignment]
    child.spare.process_state.running("synthesis")
    return child


@pytest.mark.parametrize(
    ("exitcode", "word"), [(-signal.SIGSEGV, "native"), (-signal.SIGILL, "native"), (-signal.SIGKILL, ""), (1, "")]
)
def test_an_engine_that_crashed_its_process_does_not_play_again(child: SparedChild, exitcode: int, word: str) -> None:
    words, waiting = child.spare._call, child.spare.process
    child.process.exitcode = exitcode  # type: ignore[union-attr]
    assert "its spare plays on" in str(child.watch())
    assert words.said == [word]  # type: ignore[union-attr]
    assert child.process is waiting
    assert child.spare.process is None
    assert child.restarts == child.take_overs == 1


def test_who_stood_still_with_everybody_else_is_not_replaced(
    child: SparedChild, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A laptop that slept: the heartbeats are old, but so is our own last look."""
    clock = child._looked_s = 100.0
    monkeypatch.setattr("livemove.session.supervisor.now_s", lambda: clock)
    monkeypatch.setattr("livemove.session.spare.now_s", lambda: clock)
    assert child.watch() is None
    clock += 3600.0
    assert child.watch() is None
    for _ in range(int(FREEZE_S / SEEN_S) - 1):
        clock += SEEN_S
        assert child.watch() is None
    clock += SEEN_S
    assert f"hung for {FREEZE_S:g} s: its spare plays on" in str(child.watch())
