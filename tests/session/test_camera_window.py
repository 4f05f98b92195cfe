"""The camera's window as a process: it opens, sees, and fails or goes without harm; its memory goes with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from livemove.capture.demo import pose_at
from livemove.ipc.leftovers import SHARED_MEMORY
from livemove.ipc.segment import Segment, State
from livemove.monitor.monitor_config import CameraWindowConfig
from livemove.session import calibrate, camera_window
from livemove.session.calibrate import STEPS, CalibrationConfig, Progress
from livemove.session.camera_window import ShownCamera
from livemove.session.record import Progress as Take
from tests.support.control_process import wait_for
from tests.support.paths import THEREMIN


def segments() -> set[Path]:
    return set(SHARED_MEMORY.glob("livemove-*"))


def of(window: ShownCamera) -> Segment:
    assert window._segment is not None
    return window._segment


def test_a_real_window_opens_sees_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    monkeypatch.setattr(camera_window, "END_S", 60.0)  # however busy the machine is, it closes by itself
    with ShownCamera(CameraWindowConfig("0")) as window:
        state = of(window).processes["monitor"]
        wait_for(lambda: state.state is State.RUNNING, 60.0)
        window.say("ARMS UP")
        window.pose(pose_at(1.0, 3))
        window.image(np.zeros((480, 640, 3), np.uint8), 1.0)
        assert window.trouble() is None
        process, own = window._process, SHARED_MEMORY / of(window).name
        assert own in segments()
    assert process.exitcode == 0, "it closed by itself"
    assert own not in segments()


def test_without_a_display_a_line_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    with ShownCamera(CameraWindowConfig("0")) as window:
        line = wait_for(window.trouble, 60.0)
        assert "without the camera's window: there is no display here" in line
        assert window.trouble() is None
        window.say("it goes on")


def test_without_a_config_there_is_no_process() -> None:
    before = segments()
    with ShownCamera(None) as window:
        window.image(np.zeros((480, 640, 3), np.uint8), 1.0)
        window.pose(pose_at(1.0, 3))
        window.say("nobody")
        assert window.trouble() is None
        assert segments() == before


def test_words_say_what_to_do_and_whether_one_is_seen() -> None:
    moving = Progress("moving", STEPS[1], STEPS[2], 2.4, 4.0, 20.0, seen=True)
    assert moving.words == "ARMS UP\nBoth arms up, as high as is comfortable.  3 s"
    assert Progress("moving", STEPS[1], seen=False).words == "ARMS UP\nnobody in view"
    assert Progress("waiting").words.startswith("STEP INTO THE FRAME")
    assert Progress("watching", done_s=3.0).words == "3 s\nnobody in view"
    assert Take("counting", -2.5).words == "3"
    assert Take("recording", 12.0, 60.0).words == "● 12 s\nof 60 s"


def test_a_calibration_tells_its_window_what_it_tells_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    poses: list[int] = []
    monkeypatch.setattr(ShownCamera, "say", lambda _, words: told.append(words))
    monkeypatch.setattr(ShownCamera, "pose", lambda _, frame: poses.append(frame.sequence))
    clock = [0.0]

    def sleep(seconds: float) -> None:
        clock[0] += max(seconds, 1e-3)

    config = CalibrationConfig(THEREMIN, camera="demo", duration_s=4.0)
    seen: list[Progress] = []
    calibrate.watch(config, seen.append, lambda: clock[0], sleep)
    assert len(poses) > 60
    assert told == [each.words for each in seen[1:]]
