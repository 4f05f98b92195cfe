"""A performance by hand, block by block, for tests of what is recorded of it. No process, no device.

In: a segment. Out: noise played through the real callback code, with poses, channels and heads of hops beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from livemove.contracts import Controls, PoseFrame
from livemove.ipc.segment import Segment
from livemove.native._realtime import Output
from livemove.takes.config import TakesConfig
from livemove.takes.folder import TakenModel
from livemove.takes.history import TakeSettings


def settings(folder: Path, keep_s: float = 300.0) -> TakeSettings:
    return TakeSettings(
        config=TakesConfig(folder=folder, keep_s=keep_s),
        models=(TakenModel("m", "/m", "00", "", 0.0, ("pitch",), ""),),
        mappings=(None,),
        features=("presence", "energy"),
        model_rate=48000,
        seed=0,
        camera="demo",
    )


def until(what: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline_s, "it never came"
        time.sleep(0.01)


class Stage:
    """A performance by hand: noise, a hop a block, somebody in view."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.random = np.random.default_rng(0)
        self.hops = 0
        segment.set_device_rate(48000.0)
        self.output = Output(segment.bytes, 48000.0, 1, 0.0)

    def play(self, blocks: int) -> None:
        for _ in range(blocks):
            channels = np.array([self.hops], np.float32)
            sources = self.random.random(2 + 64).astype(np.float32)
            head = (1.0, self.hops, 2.0, 0.0, 1.9, self.segment.ring.written, 512, 0.0)
            self.segment.made.add(head, Controls(gain=0.5), sources, channels, channels[:0])
            self.segment.synthesis.hop(0.0, 512, channels)
            self.segment.pose.write(PoseFrame(capture_s=0.01 * self.hops, sequence=self.hops, people=1))
            self.segment.ring.write(self.random.uniform(-0.5, 0.5, 512).astype(np.float32))
            self.output.render(512)
            self.hops += 1

    def change_card(self, rate: float) -> None:
        self.segment.set_device_rate(rate)
        self.output = Output(self.segment.bytes, rate, 1, 0.0)

    def played(self, start: int, samples: int) -> np.ndarray:
        out = np.empty((samples, 2), np.float32)
        assert self.segment.tap.read(start, out)
        return out
