"""Stands in for livemove.capture.process: a pose thirty times a second, 20 ms old when it arrives. No camera, no model.

A session finds it through its table of modules (see `doubles` in test_session.py).
"""

from __future__ import annotations

import time

from livemove.contracts import PoseFrame
from livemove.exchange import Segment, now_s


def run(segment: Segment, config: object) -> None:
    life = segment.lives["capture"]
    life.running("double")
    frame = PoseFrame(people=1)
    while not segment.stop_requested:
        frame.sequence += 1
        frame.capture_s = now_s() - 0.020
        segment.capture.frame_seen()
        segment.pose.write(frame)
        segment.capture.frame_used(20.0, 1)
        life.heartbeat()
        time.sleep(1 / 30)
