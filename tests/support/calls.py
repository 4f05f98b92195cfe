"""Was the sound server itself on time where the sound starved? For measurements on machines that stand still at times.

In: a segment's name. Out: counts, from the log of the callback's calls, which a thread follows.
"""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt

from livemove.ipc.segment import BLOCK_ROW, Segment

PLAYING = 1
"""Output::State::playing, in native/realtime/output.hpp."""


class Calls:
    """Follows the callback: was the sound server itself on time where the sound starved?"""

    LATE = 0.5
    """Of a block: a call so much later than a block after the one before it means that the server was held up."""
    LOOK_BACK = 4
    """Calls: a server that was held up catches up for some blocks."""

    def __init__(self, name: str) -> None:
        self._segment = Segment.attach(name)  # with a place of its own in the log
        self._last = np.zeros(0, BLOCK_ROW)
        self.late = self.starved_on_time = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()
        self._count()

    def _follow(self) -> None:
        while not self._over.wait(1.0):
            self._count()

    def _count(self) -> None:
        new, _ = self._segment.blocks.take()
        known, blocks = len(self._last), np.concatenate([self._last, new])
        for at in range(max(known, 1), len(blocks)):
            block = blocks[at]
            late = self._late(blocks, at)
            self.late += late
            starved = block["state"] == PLAYING and block["written"] - block["read"] < block["frames"]
            excused = any(self._late(blocks, k) for k in range(max(at - self.LOOK_BACK + 1, 1), at + 1))
            self.starved_on_time += bool(starved and not excused)
        self._last = blocks[-self.LOOK_BACK :]

    def _late(self, blocks: npt.NDArray[np.void], at: int) -> bool:
        apart_s = blocks[at]["start_s"] - blocks[at - 1]["start_s"]
        return bool(apart_s > (1.0 + self.LATE) * blocks[at - 1]["frames"] / self._segment.device_rate)
