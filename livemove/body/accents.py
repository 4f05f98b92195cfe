"""Body features -> accents: a hand or a foot that was moving and stops, a hand that goes up.

Features go in hop by hop; out come the strengths of what is accented in this hop, and envelopes that die away, inputs
of a mapping ("accent:left_foot"). Gentler than the hits of triggers.py, which need a blow: any dance has several of
them a second. Causal; time only from the arguments. Knows no landmarks, no model and no process.
"""

from __future__ import annotations

import numpy as np

from livemove.body.features import FEATURES
from livemove.body.triggers import WEAKEST, decayed
from livemove.contracts import Float32

ACCENTS = ("left_foot", "right_foot", "left_hand", "right_hand", "left_raise", "right_raise")
"""A foot or hand that stops, a hand that goes up past the shoulder; left and right are the performer's own."""

PREFIX = "accent:"
"""A mapping's source is this and one of ACCENTS."""

CHANNEL = "{}_accent"
"""Name of the channel that an accent plays without a mapping."""

PLAYS_ITSELF = frozenset((*FEATURES, *(CHANNEL.format(name) for name in ACCENTS)))
"""Names of the channels that need no mapping: end-to-end models have no others."""

HAND, FOOT = 0.5, 0.58
"""How fast a hand or a foot must have been for its stop to count, in the features' own units."""
FASTEST = 0.95
"""A limb that was so fast is accented as strongly as can be."""
UP, DOWN = 0.35, 0.1
"""A hand is raised above the one, and may be raised again once below the other."""
MEMORY_S = 0.25
"""A limb that was fast must stop within so long, or it did not stop: it slowed down."""
REST_S = 0.12
"""One limb is accented no sooner again."""
APART_S = 0.2
"""Feet strike no faster than this after each other, nor hands; what comes sooner is left out."""
HIDDEN = 1e-3
"""A speed is exactly 0 where the limb is out of view: it vanished, it did not stop."""

_SPEEDS = [FEATURES.index(f"{limb}_speed") for limb in ACCENTS[:4]]
_HEIGHTS = [FEATURES.index(f"{hand}_height") for hand in ACCENTS[2:4]]


class _Stop:
    """A speed that was at least `high` has fallen to half of its peak within MEMORY_S. The next needs a new rise."""

    def __init__(self, high: float) -> None:
        self.high = high
        self.peak = self.low = 0.0
        self.armed = True
        self.since_high_s = self.since_last_s = np.inf

    def step(self, value: float, hop_s: float) -> float:
        """The peak it has fallen from, 0 if it has not."""
        self.since_high_s += hop_s
        self.since_last_s += hop_s
        self.low = min(self.low, value)
        if not self.armed and value >= self.high and value > 1.5 * self.low:
            self.armed, self.peak = True, 0.0
        if value >= self.high:
            self.since_high_s = 0.0
        if value < HIDDEN:
            self.armed, self.peak, self.low = False, 0.0, 0.0
        if not self.armed:
            return 0.0
        if value >= self.high:
            self.peak = max(self.peak, value)
        if self.peak < self.high or value > 0.5 * self.peak:
            return 0.0
        peak = self.peak
        self.armed, self.peak, self.low = False, 0.0, value
        if self.since_high_s > MEMORY_S or self.since_last_s < REST_S:
            return 0.0
        self.since_last_s = 0.0
        return peak


class Accents:
    """strengths: float32 [ACCENTS], WEAKEST..1 of what is accented in this hop, else 0; value: their envelopes, as
    those of hits (triggers.decayed). Both are good until the next step."""

    def __init__(self) -> None:
        self.strengths = np.zeros(len(ACCENTS), np.float32)
        self.value = np.zeros(len(ACCENTS), np.float32)
        self._stops = [_Stop(FOOT), _Stop(FOOT), _Stop(HAND), _Stop(HAND)]
        self._since_s = [np.inf, np.inf]  # any foot, any hand
        self._may_rise = [True, True]

    def step(self, features: Float32, hop_s: float) -> None:
        """One hop: features float32 [FEATURES], of nobody in view, too; a number that is none counts as 0."""
        values = np.nan_to_num(features).tolist()
        self.strengths[:] = 0.0
        for pair in (0, 1):
            self._since_s[pair] += hop_s
        for i, stop in enumerate(self._stops):
            peak = stop.step(values[_SPEEDS[i]], hop_s)
            if peak and self._since_s[i // 2] >= APART_S:
                self._since_s[i // 2] = 0.0
                self.strengths[i] = _strength((peak - stop.high) / (FASTEST - stop.high))
        for hand in (0, 1):
            height = values[_HEIGHTS[hand]]
            if self._may_rise[hand] and height >= UP:
                self.strengths[4 + hand] = _strength(values[_SPEEDS[2 + hand]])
            self._may_rise[hand] = height < DOWN or (self._may_rise[hand] and height < UP)
        decayed(self.value, self.strengths, hop_s)


def _strength(place: float) -> float:
    return WEAKEST + (1.0 - WEAKEST) * min(max(place, 0.0), 1.0)
