"""Which channels of a model with many are worth showing: those that move. Knows no widget and no session.

In: channel values as they come. Out: their places.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from livemove.contracts import Channel, Float64

MEMORY_S = 4.0
"""Time constant of how much a channel has moved."""
CHOOSE_S = 2.0
"""Others are chosen no more often: who reads them must not lose the place."""
BETTER = 1.5
"""So many times as much as one that is shown must another move to take its place."""


class MovingChannels:
    """places: indices of the channels that are shown, ascending; of a model with no more than that, all of them."""

    def __init__(self, channels: tuple[Channel, ...], shown: int) -> None:
        self.places = tuple(range(min(shown, len(channels))))
        self._span = np.array([max(c.maximum - c.minimum, 1e-9) for c in channels])
        self._moved = np.zeros(len(channels))
        self._last: Float64 | None = None
        self._chosen_s = -math.inf

    def see(self, values: npt.NDArray[np.float64], now_s: float, dt_s: float) -> bool:
        """values [n, C], the newest last, of the dt_s seconds until now_s; whether others are shown from now on."""
        if len(self.places) == len(self._span) or not len(values):
            return False
        if self._last is not None:
            moved = np.abs(np.diff(np.concatenate([self._last[None], values]), axis=0)).sum(axis=0) / self._span
            keep = math.exp(-dt_s / MEMORY_S)
            self._moved = keep * self._moved + moved
        self._last = values[-1].copy()
        if now_s - self._chosen_s < CHOOSE_S:
            return False
        self._chosen_s = now_s
        shown, others = list(self.places), [i for i in range(len(self._span)) if i not in self.places]
        for other in sorted(others, key=lambda i: -self._moved[i]):
            least = min(shown, key=lambda i: self._moved[i])
            if self._moved[other] <= BETTER * self._moved[least] or self._moved[other] < 1e-6:
                break
            shown[shown.index(least)] = other
        changed = tuple(sorted(shown)) != self.places
        self.places = tuple(sorted(shown))
        return changed
