"""What the looper does, as it is told: by synthesis, to whoever shows it.

In: what the looper counts. Out: LoopStatus, and the same in words. Knows no sample and no key.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class LoopState(enum.IntEnum):
    """In the order of Looper::State in native/effects/looper.hpp.

    CLOSING: recording goes on until the beat at which the loop ends. SILENT: it goes round unheard.
    """

    EMPTY = 0
    RECORDING = 1
    CLOSING = 2
    PLAYING = 3
    OVERDUBBING = 4
    SILENT = 5


@dataclass(frozen=True)
class LoopStatus:
    """seconds: of the loop, or recorded so far; beats: of the loop, 0 without a tempo; at_s: its place in itself."""

    state: LoopState = LoopState.EMPTY
    seconds: float = 0.0
    beats: float = 0.0
    at_s: float = 0.0

    @property
    def words(self) -> str:
        """For a line of text; "": there is no loop."""
        if self.state is LoopState.EMPTY:
            return ""
        if self.state in (LoopState.RECORDING, LoopState.CLOSING):
            until = ", closes on the beat" if self.state is LoopState.CLOSING else ""
            return f"LOOP RECORDS {self.seconds:.0f} s{until}"
        length = f"{self.seconds:.1f} s" + (f", {self.beats:g} beats" if self.beats else "")
        does = {LoopState.OVERDUBBING: "LOOP OVERDUBS", LoopState.SILENT: "loop silent"}.get(self.state, "loop")
        return f"{does} {length}"
