"""Sessions for tests of takes: requests asked from within, by the second, through the queue that the window uses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from livemove.contracts import Action, Request
from livemove.ipc.segment import Segment
from livemove.offline.replay import ReplayConfig, ReplayReport, replay
from livemove.session.perform import Report, SessionConfig, Status, run_session
from tests.support.real_time import timed
from tests.support.servers import Jack, Pulse


def asking(
    monkeypatch: pytest.MonkeyPatch,
    model: Path,
    todo: dict[float, Action | Request | Callable[[], None]],
    **options: Any,
) -> tuple[Report, list[str]]:
    """(report, notices) of a session without audio device, of the demo dancer unless another is named.

    todo: seconds of playing -> what then.
    """
    segments: list[Segment] = []
    make = Segment.create

    def create() -> Segment:
        segments.append(make())
        return segments[-1]

    monkeypatch.setattr(Segment, "create", staticmethod(create))
    left = sorted(todo.items())
    notices: list[str] = []

    def on_status(status: Status) -> None:
        if status.notice:
            notices.append(status.notice)
        while left and status.phase == "playing" and status.seconds >= left[0][0]:
            wish = left.pop(0)[1]
            if isinstance(wish, Action):
                wish = Request(wish)
            if isinstance(wish, Request):
                assert segments[0].requests.ask(wish)
            else:
                wish()

    config = SessionConfig.of(
        model=model, camera=options.pop("camera", "demo"), output=options.pop("output"), play=False, monitor=False,
        **options,
    )  # fmt: skip
    report = run_session(config, on_status)
    with timed():
        assert not left, "it ended before all was asked"
        # Holes: the thread that gathers takes was kept waiting for seconds.
        assert not any("holes" in line for line in notices), notices
    return report, notices


def child(number: int) -> int:
    """pid of the child born as number: 0 capture, 1 synthesis, 2 playback."""
    spawned = [c for c in psutil.Process().children() if "--multiprocessing-fork" in c.cmdline()]
    return sorted(c.pid for c in spawned)[number]


def use(server: Jack | Pulse, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)


def perform(
    model: Path, at: dict[float, Callable[[Status], None]] | None = None, **options: Any
) -> tuple[Report, list[Status]]:
    """run_session; `at` maps seconds of playing to what is done then, once."""
    todo = sorted((at or {}).items())
    seen: list[Status] = []

    def on_status(status: Status) -> None:
        seen.append(status)
        while todo and status.phase == "playing" and status.seconds >= todo[0][0]:
            todo.pop(0)[1](status)

    return run_session(SessionConfig.of(model=model, monitor=False, **options), on_status), seen


def made(take: Path, output: Path, **options: str | None) -> ReplayReport:
    return replay(ReplayConfig(take, output, **options), lambda _done, _all: None)  # type: ignore[arg-type]
