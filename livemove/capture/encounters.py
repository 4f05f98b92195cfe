"""Two who came near each other: whether each left it as the other one, by where and how fast each went before.

In: where each of two dancers is in each frame. Out: whether they were taken for each other. Knows no image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from livemove.contracts import Float64

APART = 1.2
"""Lengths of the trunk between two bodies from which on neither covers the other."""
SETTLED_S = 0.08
"""They have been apart again for so long before it is decided who is who."""
LONGEST_S = 1.0
"""Who was near the other for longer may have turned back: how they went before says nothing then."""
JUMP = 0.5
"""Lengths of the trunk by which, on average, the joints of one who was followed leapt from where they were going: below
that, they were followed without a break, and that says more."""
SURER, AS_EXPECTED = 1.5, 1.0
"""They are each other if both together are SURER, in lengths of the trunk, nearer to where the other would be by now,
and no farther from there than AS_EXPECTED."""


@dataclass(frozen=True)
class _Before:
    """Before they met: when, float64 [2, 2] where in pixels, and how fast in pixels per second."""

    at_s: float
    places: Float64
    speeds: Float64


class Encounter:
    """The present or last one of two dancers."""

    def __init__(self) -> None:
        self._before: _Before | None = None
        self._near = self._hidden = False
        self._leapt = 0.0
        self._apart_s = 0.0

    def exchanged(
        self, places: Mapping[int, Float64], speeds: Sequence[Float64], trunk: float, leapt: float, now_s: float
    ) -> bool:
        """Whether they left as each other; true once. places: by dancer, of those who are seen, float64 [2]; speeds: of
        both; trunk: the length of one in pixels; leapt: the farthest that one of them did since the frame before."""
        if len(places) < 2 or float(np.hypot(*(places[0] - places[1]))) < APART * trunk:
            self._near = self._near or self._before is not None
            self._hidden = self._hidden or len(places) < 2
            self._leapt, self._apart_s = max(self._leapt, leapt), now_s
            return False
        here = np.array([places[0], places[1]])
        wrong = False
        if self._near:
            self._leapt = max(self._leapt, leapt)
            if now_s - self._apart_s < SETTLED_S:
                return False
            wrong = self._judged(here, trunk, now_s)
        order = [1, 0] if wrong else [0, 1]
        self._before = _Before(now_s, here[order], np.array(speeds)[order])
        self._near, self._hidden, self._leapt = False, False, 0.0
        return wrong

    def _judged(self, here: Float64, trunk: float, now_s: float) -> bool:
        """At the end of an encounter; here: where both are, [2, 2]."""
        before = self._before
        if before is None or not self._hidden or self._leapt < JUMP or not 0.0 < now_s - before.at_s < LONGEST_S:
            return False
        expected = before.places + before.speeds * (now_s - before.at_s)
        kept, left = (float(np.hypot(*(each - expected).T).sum()) / trunk for each in (here, here[::-1]))
        return left < AS_EXPECTED and kept - left > SURER
