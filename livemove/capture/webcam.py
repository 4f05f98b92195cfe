"""A webcam through OpenCV: opened at the highest frame rate that it has, and when each of its frames was captured.

In: its number. Out: an open cv2.VideoCapture, what the camera promises, times of frames on the clock of `now_s`. Knows
no thread, no file and no pose.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

SIZE = (640, 480)
"""Enough: the landmarker looks at 256 x 256 of it, and more takes longer over USB."""

FASTEST_FPS = 60.0
"""What is asked for; a driver that has less gives its nearest. At 60 a frame is 17 ms younger than at 30, on average 8,
and its exposure cannot last longer than 17 ms either."""

COMPRESSED = "MJPG"
"""Raw 640 x 480 takes 18 MB/s at 30 frames per second: over USB 2 most webcams have more than that compressed only."""

OLDEST_S = 0.5
"""A driver's time from further back than this, or from the future, is of another clock."""

ON_OUR_CLOCK = "V4L2"
"""OpenCV's only backend that hands on the driver's times as they are, on the monotonic clock: for USB cameras the start
of the exposure. Media Foundation's are relative to the first frame, AVFoundation's are not handed on."""


@dataclass(frozen=True)
class Promise:
    """What a camera says it does; NaN: it does not say. exposure_s: how long a frame is exposed."""

    fps: float = math.nan
    exposure_s: float = math.nan


def open_webcam(number: int) -> Any:
    """A cv2.VideoCapture, which may not be open, for want of a camera."""
    import cv2

    capture = cv2.VideoCapture(number)
    if not capture.isOpened():
        return capture
    # Format first: which sizes and rates there are depends on it. What a driver does not have, it leaves as it was.
    if capture.getBackendName() != "AVFOUNDATION":  # decodes by itself, and an unknown rate is an error there
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*COMPRESSED))
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, SIZE[0])
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, SIZE[1])
    if capture.getBackendName() != "AVFOUNDATION":
        capture.set(cv2.CAP_PROP_FPS, FASTEST_FPS)
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return capture


def promise(capture: Any) -> Promise:
    """What an open webcam says of its rate and exposure."""
    import cv2

    fps = float(capture.get(cv2.CAP_PROP_FPS))
    exposure = float(capture.get(cv2.CAP_PROP_EXPOSURE))
    # V4L2 counts in 0.1 ms. Others count in powers of two or not at all, each driver in its own way.
    told = capture.getBackendName() == ON_OUR_CLOCK and 1.0 <= exposure <= 20000.0
    return Promise(fps if 1.0 <= fps <= 1000.0 else math.nan, exposure * 1e-4 if told else math.nan)


def capture_time(capture: Any, arrived_s: float) -> float:
    """When the frame that was read last was captured: as the driver says, where it says so on our clock; else when it
    reached us. arrived_s: now, on the monotonic clock."""
    import cv2

    if capture.getBackendName() != ON_OUR_CLOCK:
        return arrived_s
    driver_s = 1e-3 * float(capture.get(cv2.CAP_PROP_POS_MSEC))
    return driver_s if arrived_s - OLDEST_S < driver_s <= arrived_s else arrived_s
