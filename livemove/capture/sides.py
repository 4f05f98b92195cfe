"""Left and right taken for each other by the landmarker: found, and put back, for as long as a mistake may last.

In: PoseFrames in order. Out: the same, with arms or legs exchanged where they were exchanged from one frame to the
next. Causal; time from the frames. Knows no network and no camera.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from livemove.contracts import LANDMARKS, Float64, PoseFrame

_UPPER = [(1, 4), (2, 5), (3, 6), (7, 8), *((left, left + 1) for left in range(9, 23, 2))]
_LOWER = [(left, left + 1) for left in range(23, 33, 2)]
"""MediaPipe's landmarks, (left, right): face and arms, hips and legs. Each of the two is exchanged as a whole."""

LEAST_M = 0.10
"""Metres by which landmarks must have moved on average: two sides that are near each other matter to nobody."""
SHARE = 0.4
"""They are exchanged if that explains all but this share of the movement. A turn of 48 degrees from one frame to the
next leaves 0.67 of it where it is hardest to tell (through the profile), for it moves the sides in depth, too."""
DEPTH = 0.3
"""How much depth counts: a landmarker that mistakes front for back mistakes it as well."""
GAP_S = 0.2
"""After a longer gap anybody may stand anyhow."""
HOLD_S = 1.0
"""A landmarker that insists for so long is believed: it may have been wrong before."""


class Sides:
    """What was left and right of one person, and since when the landmarker says otherwise."""

    def __init__(self) -> None:
        self._last: Float64 | None = None  # [33, 3] metres, sides as given out
        self._last_s = 0.0
        self._since_s: list[float | None] = [None, None]  # of upper and lower: exchanged since

    def correct(self, frame: PoseFrame, person: int) -> bool:
        """Put back what is exchanged in that person of the frame, in place; whether anything was."""
        world = frame.world[person].astype(np.float64) * (1.0, 1.0, DEPTH)
        if self._last is None or not 0.0 < frame.capture_s - self._last_s <= GAP_S:
            self._since_s = [None, None]
            self._keep(world, frame.capture_s)
            return False
        undone = False
        for part, order in enumerate((_EXCHANGE_UPPER, _EXCHANGE_LOWER)):
            moved = order != np.arange(LANDMARKS)
            as_given = _apart(world[moved], self._last[moved])
            exchanged = _apart(world[order][moved], self._last[moved])
            if as_given < LEAST_M or exchanged > SHARE * as_given:
                self._since_s[part] = None
                continue
            since_s = self._since_s[part]
            self._since_s[part] = since_s = frame.capture_s if since_s is None else since_s
            if frame.capture_s - since_s > HOLD_S:
                self._since_s[part] = None
                continue
            undone = True
            world = world[order]
            for array in (frame.image, frame.world, frame.visibility):
                array[person] = array[person][order]
        self._keep(world, frame.capture_s)
        return undone

    def lost(self) -> None:
        """Nobody was in the frame."""
        self._last = None

    def _keep(self, world: Float64, capture_s: float) -> None:
        self._last, self._last_s = world, capture_s


def _exchange(pairs: list[tuple[int, int]]) -> npt.NDArray[np.intp]:
    """Places [33] that exchange these pairs and leave the rest."""
    order = np.arange(LANDMARKS)
    for left, right in pairs:
        order[[left, right]] = right, left
    return order


_EXCHANGE_UPPER, _EXCHANGE_LOWER = _exchange(_UPPER), _exchange(_LOWER)


def _apart(one: Float64, other: Float64) -> float:
    """Mean distance of landmarks [n, 3]."""
    return float(np.sqrt(((one - other) ** 2).sum(axis=1)).mean())
