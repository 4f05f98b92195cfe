"""Which styles of a model sound, and how much of each: a choice, weights set by hand, or what the mapping plays.

In, once a hop: what is set, what the mapping plays. Out: weights for Engine.generate, which follow smoothly, so that
no jump clicks. Knows no engine.
"""

from __future__ import annotations

import math

import numpy as np

from livemove.contracts import MAX_BLEND, Controls, Float32, ModelSpec

SMOOTHING_S = 0.03
"""Time constant of a one-pole low-pass, a step a hop: 95 % of the way after 90 ms. Within a hop the harmonic path's
amplitudes go from one hop's weights to the next one's in a straight line."""
CLOSE = 1e-3
"""A weight so near to its goal is there: a single style then sounds as if there were no other."""


class StyleBlend:
    """weights: float32 [styles] of the last hop, sum 1; None of a model that has nothing to blend."""

    def __init__(self, spec: ModelSpec, hop_s: float) -> None:
        self.count = len(spec.styles)
        self._share = -math.expm1(-hop_s / SMOOTHING_S)
        self._goal = np.zeros(self.count, np.float32)
        self._fresh = True
        self.weights: Float32 | None = np.zeros(self.count, np.float32) if 1 < self.count <= MAX_BLEND else None

    def jump(self) -> None:
        """The next hop has its weights at once: nothing sounded before."""
        self._fresh = True

    def step(self, controls: Controls, played: Float32 | None) -> int | Float32:
        """A hop on: what Engine.generate takes as style. played float32 [styles]: the mapping's weights, if any."""
        weights = self.weights
        if weights is None:
            return controls.style if 0 <= controls.style < self.count else 0
        self._aim(controls, played)
        if self._fresh:
            weights[:] = self._goal
            self._fresh = False
        else:
            weights += np.float32(self._share) * (self._goal - weights)
            if np.abs(self._goal - weights).max() < CLOSE:
                weights[:] = self._goal
        return weights

    def _aim(self, controls: Controls, played: Float32 | None) -> None:
        goal, by_hand = self._goal, controls.styles[: self.count]
        if any(by_hand):
            goal[:] = 0.0
            goal[: len(by_hand)] = by_hand
        elif played is not None and controls.style == 0 and float(played.sum()) > 1e-6:
            goal[:] = played
        else:
            goal[:] = 0.0
            goal[controls.style if 0 <= controls.style < self.count else 0] = 1.0
        goal /= goal.sum()
