"""What is asked of a webcam, and which of its times are believed."""

from __future__ import annotations

import math
import time
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest

from livemove.capture import webcam
from livemove.capture.cameras import open_feed
from livemove.capture.capture_config import CaptureConfig


class Driver:
    """cv2.VideoCapture over a camera with these (width, height, fps) in each format; a frame every 1/fps.

    late_s: from the exposure of a frame to its arrival; clock_s: what the driver's clock is ahead of ours.
    """

    formats: ClassVar[dict[str, list[tuple[int, int, float]]]] = {
        "YUYV": [(640, 480, 30.0), (1280, 720, 10.0)],
        "MJPG": [(640, 480, 30.0), (640, 480, 60.0), (1280, 720, 30.0)],
    }
    backend, late_s, clock_s, exposure, opens = "V4L2", 0.02, 0.0, 156.0, True

    def __init__(self, number: int) -> None:
        assert number == 3
        self.format, self.size, self.fps, self.frames = "YUYV", (640, 480), 30.0, 0
        self.captured_s = 0.0

    def isOpened(self) -> bool:
        return self.opens

    def getBackendName(self) -> str:
        return self.backend

    def set(self, key: int, value: float) -> bool:
        if key == cv2.CAP_PROP_FOURCC:
            asked = bytes((int(value) >> 8 * i) & 255 for i in range(4)).decode()
            self.format = asked if asked in self.formats else self.format
        elif key == cv2.CAP_PROP_FRAME_WIDTH:
            self.size = min((f[:2] for f in self.formats[self.format]), key=lambda size: abs(size[0] - value))
        elif key == cv2.CAP_PROP_FPS:
            rates = [fps for *size, fps in self.formats[self.format] if tuple(size) == self.size]
            self.fps = min(rates, key=lambda fps: abs(fps - value))
        return True

    def get(self, key: int) -> float:
        return {
            cv2.CAP_PROP_FPS: self.fps,
            cv2.CAP_PROP_EXPOSURE: self.exposure,
            cv2.CAP_PROP_POS_MSEC: 1e3 * (self.captured_s + self.clock_s),
        }[key]

    def read(self) -> tuple[bool, Any]:
        time.sleep(1.0 / self.fps)
        self.captured_s = time.monotonic() - self.late_s
        self.frames += 1
        return True, np.full((480, 640, 3), self.frames % 256, np.uint8)

    def release(self) -> None:
        pass


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> type[Driver]:
    class Here(Driver):
        pass

    monkeypatch.setattr(cv2, "VideoCapture", Here)
    return Here


def test_the_fastest_is_asked_for_at_a_size_that_is_enough(driver: type[Driver]) -> None:
    capture = webcam.open_webcam(3)
    assert (capture.format, capture.size, capture.fps) == ("MJPG", (640, 480), 60.0)
    assert webcam.promise(capture) == webcam.Promise(60.0, pytest.approx(0.0156))


def test_a_camera_without_it_gives_what_it_has(driver: type[Driver]) -> None:
    driver.formats = {"YUYV": [(640, 480, 30.0)]}
    capture = webcam.open_webcam(3)
    assert (capture.format, capture.size, capture.fps) == ("YUYV", (640, 480), 30.0)


def test_a_camera_that_is_not_there_is_asked_for_nothing(driver: type[Driver]) -> None:
    driver.opens = False
    assert webcam.open_webcam(3).format == "YUYV"


@pytest.mark.parametrize(("backend", "clock_s", "late_s"), [
    ("V4L2", 0.0, 0.02), ("V4L2", 1e6, 0.0), ("V4L2", -1e3, 0.0), ("MSMF", 0.0, 0.0),
])  # fmt: skip
def test_a_drivers_time_counts_where_it_is_on_our_clock(
    driver: type[Driver], backend: str, clock_s: float, late_s: float
) -> None:
    driver.backend, driver.clock_s = backend, clock_s
    capture = webcam.open_webcam(3)
    capture.read()
    now_s = time.monotonic()
    assert now_s - webcam.capture_time(capture, now_s) == pytest.approx(late_s, abs=0.01)


def test_what_others_call_exposure_is_not_told(driver: type[Driver]) -> None:
    driver.backend, driver.exposure = "MSMF", -6.0
    assert math.isnan(webcam.promise(webcam.open_webcam(3)).exposure_s)


def test_a_feed_has_the_drivers_times_and_what_was_promised(driver: type[Driver]) -> None:
    feed = open_feed(CaptureConfig(camera="3"), time.monotonic)
    try:
        camera_frame = feed.take(5.0)
        assert camera_frame is not None
        assert time.monotonic() - camera_frame.capture_s >= driver.late_s
        assert feed.promise.fps == 60.0
    finally:
        feed.close(2.0)
