"""How one channel of a model is played, or the weights of its styles; and how a pitch is moved by octaves, semitones,
scales.

In: what a mapping.toml says, checked (mapping.py), and what is set while playing. Out: routes. Knows names and numbers
only: not where an input comes from, nor what a model does with a channel.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from livemove.body.expressions import Expression
from livemove.body.notes import SCALES
from livemove.contracts import Channel, Float32

PITCH_UNIT = "MIDI note"
"""The unit that says a channel can be moved by octaves and put into a scale."""

PLAIN_SNAP = 0.8
"""How closely a scale chosen while playing holds the pitch, where the mapping does not say."""


@dataclass(frozen=True)
class Route:
    """How one channel is played.

    input        index of the input; external inputs are counted on from the features; None: `expression` gives it
    from_range   of the input, low to high (high < low turns it round); what is beyond is clipped
    to_range     of the channel, which from_range is mapped to
    curve        exponent on the way: 2 opens slowly, 0.5 opens fast
    smoothing_s  time constant of a one-pole low-pass
    notes        for pitch: the scale's notes as MIDI numbers, ascending; empty: no scale
    snap         0 free, like a theremin; towards 1 the pitch rests on the scale's notes and hurries between them
    eased        fades to the channel's rest value as the performer leaves (body features; not external inputs)
    steps, root  what notes was made of: semitones above the root, and the root as a MIDI number
    """

    input: int | None
    from_range: tuple[float, float]
    to_range: tuple[float, float]
    curve: float = 1.0
    smoothing_s: float = 0.0
    notes: tuple[float, ...] = ()
    snap: float = 0.0
    eased: bool = False
    steps: tuple[float, ...] = ()
    root: float = 0.0
    expression: Expression | None = None

    @property
    def places(self) -> tuple[int, ...]:
        """Indices of all inputs that play the channel."""
        return (() if self.input is None else (self.input,)) + (self.expression.places if self.expression else ())


@dataclass(frozen=True)
class StyleRoutes:
    """How the weights of a model's styles are played: as channels of their own, after the model's.

    styles  how many the model has
    places  indices of the styles that are played: each by its own route, or all by one that leads along an axis
    """

    styles: int
    places: tuple[int, ...]
    channels: tuple[Channel, ...]
    routes: tuple[Route, ...]

    def weigh(self, values: np.ndarray, weights: Float32) -> None:
        """Fill weights [styles] from the values of `channels`: weights, or a place on the axis 0 .. len(places) - 1."""
        weights[:] = 0.0
        if len(values) == len(self.places):
            weights[list(self.places)] = np.maximum(values, 0.0)
            return
        left = min(int(values[0]), len(self.places) - 2)
        part = float(values[0]) - left
        weights[self.places[left]] = 1.0 - part
        weights[self.places[left + 1]] = part


def steered(
    channel: Channel,
    route: Route,
    octave: int,
    scale: int,
    root: int,
    transpose: float = 0.0,
    note: float | None = None,
) -> Route:
    """A route as `Mapping.steer` has it; what its range has beyond the channel's is played at the channel's end."""
    if channel.unit != PITCH_UNIT or not (octave or scale or root or transpose or note is not None):
        return route
    own = route.to_range if note is None else (note, note)
    low, high = min(own) + transpose, max(own) + transpose
    while octave and not _reaches(channel, low + 12 * octave, high + 12 * octave):
        octave -= 1 if octave > 0 else -1
    first, last = (end + transpose + 12 * octave for end in own)
    if note is not None:
        return replace(route, to_range=(first, last), notes=(), snap=0.0)
    # The scale's notes before they are transposed: a chord keeps its intervals.
    lowest, highest = channel.minimum - transpose, channel.maximum - transpose
    playable = max(min(first, last) - transpose, lowest), min(max(first, last) - transpose, highest)
    steps = tuple(SCALES.values())[scale - 1] if scale else route.steps
    tonic = float(root - 1) if root else route.root
    inside = playable[0] <= playable[1]
    notes = tuple(each + transpose for each in scale_notes(steps, tonic, playable)) if inside else ()
    snap = route.snap or PLAIN_SNAP if scale else route.snap
    return replace(
        route, to_range=(first, last), notes=notes if len(notes) > 1 else (), snap=snap, root=tonic, steps=steps
    )


def _reaches(channel: Channel, low: float, high: float) -> bool:
    """Whether the channel can play some of that range, or that note."""
    if low == high:
        return channel.minimum <= low <= channel.maximum
    return max(low, channel.minimum) < min(high, channel.maximum)


def scale_notes(steps: Iterable[float], root: float, to_range: tuple[float, float]) -> tuple[float, ...]:
    """The notes of the scale within a range, ascending."""
    low, high = min(to_range), max(to_range)
    octaves = range(math.floor((low - root) / 12) - 1, math.ceil((high - root) / 12) + 1)
    every = {root + 12 * octave + step for octave in octaves for step in steps}
    return tuple(sorted(note for note in every if low <= note <= high))
