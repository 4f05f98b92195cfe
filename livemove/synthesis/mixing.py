"""Voices to stereo: each with its gain and its place between left and right, followed within a hop, so that no knob
clicks.

In: mono hops, and what is set for each. Out: one stereo hop. HOT: fills arrays that are there, allocates none, and
calls NumPy a few times per voice. Knows no model, mapping, control or ring.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from livemove.contracts import HOP, Float32

_WAY = ((np.arange(HOP) + 1.0) / HOP).astype(np.float32)
"""float32 [HOP]: from the level of the hop before to this one's, which its last sample has."""


def sides(gain: float, pan: float) -> tuple[float, float]:
    """(left, right) levels of a voice. gain: a factor; pan -1 (left) .. 1 (right).

    A balance: in the middle both sides are the voice itself, to the bit, which is what mono was; to one side the other
    one falls along a sine and is nothing at its end.
    """
    return (
        gain * math.sin(0.5 * math.pi * min(1.0 - pan, 1.0)),
        gain * math.sin(0.5 * math.pi * min(1.0 + pan, 1.0)),
    )


class Mixer:
    """Sums voices into stereo. Its state is the levels of the last hop."""

    def __init__(self, voices: int) -> None:
        """voices: how many there are at most."""
        self._levels: list[tuple[float, float] | None] = [None] * voices
        self._out = np.zeros((HOP, 2), np.float32)
        self._level = np.zeros(HOP, np.float32)
        self._part = np.zeros(HOP, np.float32)

    def mix(self, voices: Sequence[Float32], gains: Sequence[float], pans: Sequence[float]) -> Float32:
        """float32 [HOP, 2], good until the next call, of voices float32 [HOP], with a gain (a factor) and a pan (-1..1)
        for each."""
        self._out[:] = 0.0
        for i, (voice, gain, pan) in enumerate(zip(voices, gains, pans, strict=True)):
            goal = sides(gain, pan)
            before = self._levels[i] or goal
            for side in (0, 1):
                if before[side] == goal[side]:
                    np.multiply(voice, np.float32(goal[side]), out=self._part)
                else:
                    np.multiply(_WAY, np.float32(goal[side] - before[side]), out=self._level)
                    np.add(self._level, np.float32(before[side]), out=self._level)
                    np.multiply(voice, self._level, out=self._part)
                self._out[:, side] += self._part
            self._levels[i] = goal
        return self._out

    def jump(self) -> None:
        """The next hop has its levels at once: nothing sounded before."""
        self._levels = [None] * len(self._levels)

    def state(self) -> list[list[float]]:
        """Plain numbers from which the same levels follow: (left, right) of each voice; [] of one that had none yet."""
        return [list(level or ()) for level in self._levels]

    def set_state(self, levels: Sequence[Sequence[float]]) -> None:
        """What `state` gave; of voices that it does not have: as never played."""
        self.jump()
        for i, level in enumerate(levels[: len(self._levels)]):
            if level:
                self._levels[i] = (float(level[0]), float(level[1]))
