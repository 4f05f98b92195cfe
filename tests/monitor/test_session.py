"""The window as a process of a session: it comes, crashes, is closed or cannot come at all, and the sound goes on."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from livemove.ipc.segment import Segment, State
from livemove.session import perform, supervisor
from livemove.session.perform import Report, SessionConfig, Status, run_session
from tests.support import double_synthesis
from tests.support.bundles import random_bundle, small_spec
from tests.support.real_time import in_real_time, timed
from tests.support.stereo import centred

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has a display, and no signals to kill with")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_bundle(tmp_path_factory.mktemp("models") / "small", small_spec()).path


@pytest.fixture(autouse=True)
def doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dancer and a steady tone; no display but what a test gives."""
    monkeypatch.setitem(supervisor.MODULES, "capture", "tests.support.double_capture")
    monkeypatch.setitem(supervisor.MODULES, "synthesis", "tests.support.double_synthesis")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def offscreen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")


class Watched:
    """A session with a window: its notices, and its shared memory while it lasts."""

    def __init__(self, model: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.model = model
        self.take = folder / "take.wav"
        self.notices: list[str] = []
        self.segment: Segment | None = None
        create = Segment.create

        def made() -> Segment:
            self.segment = create()
            return self.segment

        monkeypatch.setattr(perform.Segment, "create", made)

    def play(self, duration_s: float, each: Callable[[Segment, Status], None] = lambda segment, status: None) -> Report:
        self.notices.clear()

        def on_status(status: Status) -> None:
            if status.notice:
                self.notices.append(status.notice)
            if status.phase == "playing" and self.segment is not None:
                each(self.segment, status)

        config = SessionConfig.of(
            model=self.model, output=self.take, play=False, duration_s=duration_s, started_s=None, monitor=True
        )
        return run_session(config, on_status)

    def sounded(self) -> bool:
        """The tone was there until the end."""
        take, rate = centred(self.take)
        last = take[-int(0.5 * rate) : -int(0.1 * rate)]
        return float(np.sqrt(np.mean(last**2))) > 0.6 * double_synthesis.TONE_LEVEL


@pytest.fixture
def watched(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(model, tmp_path, monkeypatch)


def killing(times: int) -> Callable[[Segment, Status], None]:
    """Kills the window whenever it runs, so often."""
    killed: set[int] = set()

    def each(segment: Segment, status: Status) -> None:
        process_state = segment.processes["monitor"]
        if process_state.state is State.RUNNING and process_state.pid not in killed and len(killed) < times:
            killed.add(process_state.pid)
            os.kill(process_state.pid, signal.SIGKILL)

    return each


@pytest.mark.usefixtures("offscreen")
@in_real_time
def test_a_killed_window_comes_back_and_the_sound_never_noticed(watched: Watched) -> None:
    seen: list[State] = []
    kill = killing(1)

    def each(segment: Segment, status: Status) -> None:
        kill(segment, status)
        seen.append(segment.processes["monitor"].state)

    report = watched.play(8.0, each)
    with timed():
        assert report["restarts"] == {"capture": 0, "synthesis": 0, "playback": 0, "monitor": 1}
    assert any(notice.startswith("monitor died") for notice in watched.notices)
    with timed():
        assert seen[-1] is State.RUNNING
        assert watched.sounded()


@in_real_time
def test_a_window_that_was_closed_stays_closed(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(supervisor.MODULES, "monitor", "tests.support.double_monitor")
    report = watched.play(3.0)
    assert watched.notices == ["the window is closed, the sound goes on: Ctrl-C ends it"]
    with timed():
        assert report["restarts"]["monitor"] == 0
        assert report["seconds"] > 2.9
        assert watched.sounded()


@in_real_time
def test_a_window_that_keeps_crashing_is_given_up(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(supervisor.MODULES, "monitor", "tests.support.double_monitor")
    monkeypatch.setattr(supervisor.Window, "CRASHES", 1)
    watched.play(6.0, killing(9))
    assert watched.notices[-1] == "the window crashed 2 times: playing without it"
    with timed():
        assert watched.sounded()


@in_real_time
def test_without_a_display_it_plays_and_says_so(watched: Watched) -> None:
    report = watched.play(2.0)
    assert len(watched.notices) == 1
    assert watched.notices[0].startswith("playing without a window: there is no display here")
    with timed():
        assert report["restarts"]["monitor"] == 0
        assert watched.sounded()


@pytest.mark.usefixtures("offscreen")
@in_real_time
def test_without_qt_it_plays_and_says_so(watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = tmp_path / "absent" / "PySide6"
    absent.mkdir(parents=True)
    (absent / "__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'PySide6'\", name='PySide6')\n")
    monkeypatch.syspath_prepend(str(absent.parent))  # what spawned children inherit
    watched.play(3.0)
    assert watched.notices == [
        "playing without a window: Qt is not installed: pip install 'PySide6-Essentials<6.12'",
    ]
    with timed():
        assert watched.sounded()


@pytest.mark.skipif(sys.platform != "linux", reason="X11")
@in_real_time
def test_a_display_that_does_not_answer_is_no_harm(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":4711")
    report = watched.play(4.0)
    assert [notice for notice in watched.notices if notice.startswith("playing without a window: ")]
    with timed():
        assert report["restarts"]["monitor"] == 0
        assert watched.sounded()
