"""Stands in for livemove.capture.capture_process: a pose thirty times a second, 20 ms old when it arrives. No camera,
no model.

A session finds it through its table of modules (`doubles` in tests/conftest.py). The camera's name says what it does:
"0" lasts, "film" ends after a second, "missing" is an error of the user, "broken" one of ours. If it is filmed, grey
images are, each a little brighter.
"""

from __future__ import annotations

import time

import numpy as np

from livemove.capture.capture_config import CaptureConfig
from livemove.contracts import CameraError, PoseFrame
from livemove.ipc.segment import Segment, now_s
from livemove.takes.camera_track import VideoSender


def run(segment: Segment, config: CaptureConfig) -> None:
    process_state = segment.processes["capture"]
    if config.camera == "missing":
        raise CameraError("no camera called missing: try --camera demo")
    if config.camera == "broken":
        raise ZeroDivisionError("a mistake of ours")
    ends_s = now_s() + 1.0
    process_state.running("double")
    frame = PoseFrame(people=1)
    sender = VideoSender(config.video_address) if config.video_address else None
    while not (segment.stop_requested or process_state.asked_to_leave) and not (
        config.camera == "film" and now_s() > ends_s
    ):
        frame.sequence += 1
        frame.capture_s = now_s() - 0.020
        segment.capture.frame_seen()
        segment.pose.write(frame)
        segment.capture.frame_used(20.0, 1)
        if sender:
            sender.add(np.full((48, 64, 3), 20 + frame.sequence % 200, np.uint8), frame.capture_s)
        process_state.heartbeat()
        time.sleep(1 / 30)
