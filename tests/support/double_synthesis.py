"""Stands in for livemove.synthesis.synthesis_process: a steady sine into the ring, so that any gap or click can be
measured."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np

from livemove.contracts import HOP, PoseFrame
from livemove.ipc.cpu_affinity import take_sound_core
from livemove.ipc.segment import Segment, State, now_s
from livemove.synthesis.pace import Lead, RealTime
from livemove.synthesis.synthesis_config import SynthesisConfig

TONE_HZ = 441.0
TONE_LEVEL = 0.5


def prepare(segment: Segment, config: SynthesisConfig) -> Callable[[str], None]:
    """A spare: there is nothing to load."""
    return lambda _crashed: run(segment, config)


def run(segment: Segment, config: SynthesisConfig) -> None:
    process_state = segment.processes["synthesis"]
    while not segment.device_rate and not segment.stop_requested:
        time.sleep(0.002)
    rate = phase = 0.0
    frame = PoseFrame(capture_s=np.nan)
    channels = np.array([1.0, 2.0, 3.0], np.float32)
    lead = Lead(HOP / segment.device_rate)
    process_state.running("sine")
    take_sound_core()
    RealTime(math.inf, now_s())
    while not segment.stop_requested or segment.processes["playback"].state is State.RUNNING:  # it fades out at the end
        process_state.heartbeat()
        if segment.device_rate != rate:
            rate = segment.device_rate
            steps = 2 * np.pi * TONE_HZ / rate * np.arange(HOP + 1)
            segment.ring.set_pace(rate, segment.device_block)
            segment.synthesis.set_rate(rate)
        played = segment.playback
        lead.adapt(played.callbacks, played.underruns, played.margin_s, played.heartbeat_s, now_s())
        if not segment.ring.wait_due(lead.seconds, 0.1):
            continue
        began_s = now_s()
        segment.pose.read(frame)
        segment.ring.mark(segment.ring.written, frame.capture_s)
        segment.ring.write((TONE_LEVEL * np.sin(phase + steps[:HOP])).astype(np.float32))
        phase = (phase + steps[HOP]) % (2 * np.pi)
        segment.synthesis.hop(now_s() - began_s, HOP, channels)
