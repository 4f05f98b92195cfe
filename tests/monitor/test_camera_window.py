"""The camera's window of calibrate and record: the image, the skeleton and the words; as in a mirror; its own end."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from livemove.capture.demo import pose_at
from livemove.contracts import SupervisorStatus
from livemove.ipc.segment import Segment
from livemove.monitor import style
from livemove.monitor.camera_window import CameraWindow
from livemove.monitor.monitor_config import CameraWindowConfig
from tests.support.windows import Key, share


@pytest.fixture
def window(application: QApplication, segment: Segment) -> Iterator[CameraWindow]:
    made = CameraWindow(segment, CameraWindowConfig("0"))
    made.resize(640, 600)
    made.show()
    application.processEvents()
    yield made
    made.close()
    application.processEvents()


def halves() -> np.ndarray:
    """Red on the left, dark on the right."""
    image = np.zeros((240, 320, 3), np.uint8)
    image[:, :160, 0] = 255
    return image


def redness(window: CameraWindow) -> tuple[float, float]:
    """Of the left and of the right half of the image."""
    image = window.view.grab().toImage()
    y = round(0.3 * image.height())
    places = (round(0.25 * image.width()), round(0.75 * image.width()))
    left, right = (float(image.pixelColor(x, y).red()) for x in places)
    return left, right


def test_the_image_is_a_mirror_and_i_turns_it_round(window: CameraWindow, segment: Segment) -> None:
    segment.image.write(halves(), 1.0)
    window.look()
    left, right = redness(window)
    assert right > 100 > left
    QTest.keyClick(window, Key.Key_I)
    left, right = redness(window)
    assert left > 100 > right


def test_skeleton_and_words_are_seen_and_go(window: CameraWindow, segment: Segment) -> None:
    dark = share(window.view, style.ACCENT, 40)
    segment.pose.write(pose_at(1.0, 3))
    segment.supervisor_status.write(SupervisorStatus(notice="ARMS UP\nBoth arms up, as high as is comfortable.  3 s"))
    window.look()
    assert share(window.view, style.ACCENT, 40) > dark + 0.001
    assert window.words.startswith("ARMS UP")
    bright = share(window, style.TEXT)
    segment.supervisor_status.write(SupervisorStatus(notice=""))
    nobody = pose_at(1.0, 4)
    nobody.people = 0
    segment.pose.write(nobody)
    window.look()
    assert share(window.view, style.ACCENT, 40) == pytest.approx(dark, abs=1e-3)
    assert share(window, style.TEXT) < 0.5 * bright


def test_words_that_are_too_long_get_smaller_and_stay_whole(window: CameraWindow, segment: Segment) -> None:
    """The margins stay dark."""
    segment.supervisor_status.write(SupervisorStatus(notice="A STEP WITH A VERY LONG NAME INDEED\n" + "and how " * 12))
    window.look()
    image = window.grab().toImage()
    band = range(round(0.81 * image.height()), round(0.93 * image.height()))
    assert all(image.pixelColor(x, y).lightness() < 40 for x in (2, image.width() - 3) for y in band)


def test_it_closes_when_the_session_stops_and_by_key(window: CameraWindow, segment: Segment) -> None:
    QTest.keyClick(window, Key.Key_Escape)
    assert not window.isVisible()
    window.show()
    segment.request_stop()
    window.look()
    assert not window.isVisible()
