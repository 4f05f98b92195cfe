"""Stands in for livemove.synthesis.process: a steady sine into the ring, so that any gap or click can be measured."""

from __future__ import annotations

import time

import numpy as np

from livemove.contracts import HOP, PoseFrame
from livemove.exchange import Segment, now_s

TONE_HZ = 441.0
TONE_LEVEL = 0.5


def run(segment: Segment, config: object) -> None:
    life = segment.lives["synthesis"]
    while not segment.device_rate and not segment.stop_requested:
        time.sleep(0.002)
    step = 2 * np.pi * TONE_HZ / segment.device_rate
    frame = PoseFrame(capture_s=np.nan)
    channels = np.array([1.0, 2.0, 3.0], np.float32)
    sample = 0
    segment.ring.set_target(4 * HOP)
    life.running("sine")
    while not segment.stop_requested:
        life.heartbeat()
        if not segment.ring.wait_below(4 * HOP, 0.1):
            continue
        began_s = now_s()
        segment.pose.read(frame)
        segment.ring.mark(segment.ring.written, frame.capture_s)
        segment.ring.write((TONE_LEVEL * np.sin(step * np.arange(sample, sample + HOP))).astype(np.float32))
        sample += HOP
        segment.synthesis.hop(now_s() - began_s, HOP, channels)
