"""The window in a whole performance steered by its keys and mouse, and at the end of one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from livemove.contracts import Controls, SupervisorStatus
from livemove.ipc.segment import Segment, now_s
from livemove.monitor import window
from livemove.monitor.window import MonitorWindow
from livemove.session import perform, supervisor
from livemove.session.perform import SessionConfig, Status, run_session
from tests.support import double_synthesis
from tests.support.bundles import random_bundle, small_spec
from tests.support.real_time import in_real_time, timed
from tests.support.stereo import centred
from tests.support.windows import LEFT, config_of, drag, press

Key = Qt.Key


def test_the_window_survives_the_end_of_the_session_and_says_so(
    application: QApplication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = Segment.create()
    theirs.supervisor_status.write(SupervisorStatus(now_s() - 5.0, now_s() - 60.0))
    ours = Segment.attach(theirs.name)
    made = MonitorWindow(ours, config_of(small_spec(), tmp_path))
    made.show()
    theirs.close()
    theirs.unlink()
    monkeypatch.setattr(window, "FIGURES_S", 0.0)
    QTest.keyClick(made, Key.Key_S)
    for _ in range(10):
        made.tick()
    assert made.stage.words.text == "livemove no longer answers"
    made.close()


def test_the_window_closes_when_the_session_stops(shown: MonitorWindow, segment: Segment) -> None:
    segment.request_stop()
    shown.tick()
    assert not shown.isVisible()


class Performance:
    """A session of the demo dancer into a file, with a window of ours on it; `at` maps seconds to what is done then."""

    def __init__(self, application: QApplication, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.take = folder / "take.wav"
        self.model = random_bundle(folder / "small", small_spec())
        self.config = config_of(self.model.spec, folder)
        self.application = application
        self.controls: list[tuple[float, Controls]] = []
        self.shown: MonitorWindow | None = None
        self._create = Segment.create
        self._segment: Segment | None = None
        monkeypatch.setattr(perform.Segment, "create", self._made)
        monkeypatch.setitem(supervisor.MODULES, "synthesis", "tests.support.double_synthesis")

    def _made(self) -> Segment:
        self._segment = self._create()
        return self._segment

    def play(self, at: dict[float, Callable[[MonitorWindow], None]], duration_s: float) -> perform.Report:
        todo = sorted(at.items())

        def on_status(status: Status) -> None:
            if status.phase != "playing":
                return
            assert self._segment is not None
            if self.shown is None:
                self.shown = MonitorWindow(Segment.attach(self._segment.name), self.config)
                self.shown.show()
            self.shown.tick()
            self.application.processEvents()
            while todo and status.seconds >= todo[0][0]:
                todo.pop(0)[1](self.shown)
            self.controls.append((status.seconds, self._segment.controls.read()))

        options = {"camera": "demo", "output": self.take, "play": False, "monitor": False}
        try:
            return run_session(SessionConfig.of(model=self.model.path, duration_s=duration_s, **options), on_status)
        finally:
            if self.shown is not None:
                self.shown.close()

    def level(self, number: int) -> float:
        """RMS of the take while the number-th setting of the controls held, as a factor on the tone that was played."""
        settings = list(dict.fromkeys(controls for _, controls in self.controls))
        times = [seconds for seconds, controls in self.controls if controls == settings[number]]
        take, rate = centred(self.take)
        part = take[int((times[0] + 0.3) * rate) : int((times[-1] - 0.05) * rate)]
        return float(np.sqrt(np.mean(part**2)) / (double_synthesis.TONE_LEVEL / np.sqrt(2)))


@pytest.fixture
def performance(application: QApplication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Performance:
    return Performance(application, tmp_path, monkeypatch)


@in_real_time
def test_the_keys_steer_what_is_heard(performance: Performance) -> None:
    performance.play({1.5: press(*[Key.Key_Down] * 6), 3.0: press(Key.Key_M)}, 4.5)
    with timed():
        assert performance.level(0) == pytest.approx(1.0, abs=0.05)
        assert performance.level(-2) == pytest.approx(10 ** (-6 / 20), abs=0.02)
        assert performance.level(-1) == 0.0


@in_real_time
def test_the_mouse_steers_what_is_heard(performance: Performance) -> None:
    def quieter(target: MonitorWindow) -> None:
        drag(target.play.console.values["gain"], -30)

    def mute(target: MonitorWindow) -> None:
        QTest.mouseClick(target.play.buttons["mute"], LEFT)

    performance.play({1.5: quieter, 3.0: mute}, 4.5)
    with timed():
        assert performance.level(0) == pytest.approx(1.0, abs=0.05)
        assert performance.level(-2) == pytest.approx(10 ** (-6 / 20), abs=0.02)
        assert performance.level(-1) == 0.0


@in_real_time
def test_m_twice_brings_the_sound_back(performance: Performance) -> None:
    performance.play({0.5: press(Key.Key_M), 1.0: press(Key.Key_M)}, 3.0)
    take, rate = centred(performance.take)
    with timed():
        assert np.sqrt(np.mean(take[int(2.0 * rate) : int(2.8 * rate)] ** 2)) > 0.3


@in_real_time
def test_two_keys_at_once_are_both_done(performance: Performance) -> None:
    performance.play({0.5: press(Key.Key_T, Key.Key_T, Key.Key_Up, Key.Key_M, Key.Key_PageDown)}, 1.5)
    last = performance.controls[-1][1]
    with timed():
        assert last.temperature == pytest.approx(1.1)
        assert last.gain == pytest.approx(10 ** (1 / 20))
        assert last.mute


@in_real_time
def test_q_and_q_end_the_performance_with_a_fade(performance: Performance) -> None:
    report = performance.play({0.6: press(Key.Key_Q), 1.2: press(Key.Key_Q)}, 60.0)
    with timed():
        assert report["seconds"] < 10.0
    take, _ = centred(performance.take)
    with timed():
        assert abs(take[-1]) < 1e-3
