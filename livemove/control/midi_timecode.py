"""MIDI timecode (MTC) as sources: where a tape, a video or a show is, in seconds, and whether it runs.

In: quarter-frame and full-frame messages as bytes, each with the time it came. Out: numbers under the names that a
mapping.toml may give as a source. Time only from the arguments. Knows no port and no process.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from livemove.control.midi_clock import PulseFilter

QUARTER_FRAME = 0xF1
FULL_FRAME = (0xF0, 0x7F, None, 0x01, 0x01)
"""A full-frame message begins so; the third byte names a device (7F: all). Hours, minutes, seconds, frames and F7
follow."""
RATES = (24.0, 25.0, 30000 / 1001, 30.0)
"""Frames a second, by the two bits that name it: the third is drop-frame."""
DROP_FRAME = 2
GONE_S = 0.15
"""Without a quarter frame for so long it stands still: they are 10 ms apart at most."""


class TimecodeIn:
    """The timecode of one port. Forwards it runs; rewinding counts as standing still, as a locate does."""

    def __init__(self) -> None:
        self._pulses = PulseFilter()
        self._pieces: list[int] = []  # what piece 0, 1 ... said since the last piece 0
        self._quarters: float | None = None  # of the last quarter frame, from 0:00; None: not known
        self._rate = RATES[-1]
        self._last_s = -math.inf
        self._moving = False

    def handle(self, message: Sequence[int], at_s: float) -> bool:
        """A MIDI message that came then; False: it is none of the timecode's."""
        if message[0] == QUARTER_FRAME and len(message) == 2:
            self._quarter_frame(message[1] >> 4, message[1] & 15, at_s)
            return True
        if len(message) == 10 and all(want in (None, got) for want, got in zip(FULL_FRAME, message, strict=False)):
            hours, minutes, seconds, frames = message[5:9]
            self._locate(hours, minutes, seconds, frames)
            self.stop()
            return True
        return False

    def stop(self) -> None:
        """The port is gone, or it was moved: it stands until quarter frames come."""
        self._moving = False
        self._pieces.clear()
        self._pulses.reset()

    def running(self, now_s: float) -> bool:
        """Whether it moves forwards."""
        return self._moving and now_s - self._last_s < GONE_S

    def inputs(self, now_s: float, ahead_s: float) -> dict[str, float]:
        """Seconds from 0:00, as they will be in ahead_s seconds, and whether it runs (1 or 0); stopped, it stays where
        it is. Nothing before the first whole timecode."""
        if self._quarters is None:
            return {}
        running, quarters = self.running(now_s), self._quarters
        if running:
            period_s = self._pulses.period_s
            quarters += self._pulses.since(now_s) + (ahead_s / period_s if period_s > 0.0 else 0.0)
        return {"mtc.seconds": quarters / 4.0 / self._rate, "mtc.running": float(running)}

    def _quarter_frame(self, piece: int, nibble: int, at_s: float) -> None:
        """Eight of them, two frames long, are one timecode: that of the moment of the first."""
        if piece == 0:
            self._pieces.clear()
        follows = piece == len(self._pieces)
        if not follows or at_s - self._last_s > GONE_S:
            self.stop()
        self._last_s = at_s
        self._pulses.pulse(at_s)
        if self._moving and self._quarters is not None:
            self._quarters += 1
        if not follows:
            return
        self._pieces.append(nibble)
        if piece == 7:
            low, high = self._pieces[::2], self._pieces[1::2]
            frames, seconds, minutes, hours = (a | b << 4 for a, b in zip(low, high, strict=True))
            self._locate(hours, minutes, seconds, frames)
            self._quarters = (self._quarters or 0.0) + 7
            self._moving = True

    def _locate(self, hours: int, minutes: int, seconds: int, frames: int) -> None:
        """hours: with the rate in bits 5 and 6."""
        rate = hours >> 5 & 3
        self._rate = RATES[rate]
        whole = 60 * (60 * (hours & 31) + minutes) + seconds
        count = whole * round(self._rate) + frames
        if rate == DROP_FRAME:  # numbers 0 and 1 are left out every minute, but not every tenth
            count -= 2 * (whole // 60 - whole // 600)
        self._quarters = 4.0 * count
