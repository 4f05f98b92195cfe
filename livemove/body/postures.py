"""Pose frames -> how much a body is in each of the postures that were shown by example, 0..1, or in none of them.

In: postures, a few examples each (session/teach.py takes them), and pose frames as they arrive. Out: a confidence for
each, inputs of a mapping ("posture.NAME"). Nearest neighbour, nothing is trained. Causal; time only from the arguments.
Knows no file, no mapping and no process.
"""

# numpy's stubs need a newer Python than 3.10, which pyright checks for: its members come out half unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from livemove.body.landmarks import ANKLES, ELBOWS, HIPS, KNEES, NOSE, SHOULDERS, WRISTS
from livemove.contracts import Float64, PoseFrame

PREFIX = "posture."
"""A mapping's source is this and the name of a posture."""

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
"""What a posture may be called: a word that expressions can name."""

JOINTS = {
    "nose": NOSE,
    **{
        f"{side}_{name}": pair[place]
        for name, pair in (
            ("shoulder", SHOULDERS), ("elbow", ELBOWS), ("wrist", WRISTS), ("knee", KNEES), ("ankle", ANKLES),
        )
        for place, side in enumerate(("left", "right"))
    },
}  # fmt: skip
"""Landmarks that make a posture. The hips are its origin; fingers, toes and the rest of the face follow these."""

DEPTH = 0.5
"""Share at which a distance towards the camera counts: a single camera is half as sure of it, or less (the noise of a
still joint is 0.006 torso lengths across the image and 0.02 in depth, see features._NOISE)."""

VISIBLE = 0.5
"""A landmark counts as seen at this visibility, as everywhere (FeatureSpec.visible)."""

COMPARED = 0.6
"""Of an example's joints, by weight, so many must be seen for it to be compared at all."""

LEAST_NEAR = 0.08
"""Nobody stands in one posture more exactly twice: within this a body is wholly in it. This and what follows: torso
lengths, root mean square over the joints."""

REACH, LEAST_FAR, MOST_FAR = 2.0, 0.18, 0.24
"""It is none of a posture's beyond so many times its spread, within these limits. A dancer who comes back to a posture
in the course of a dance misses it by 0.04 to 0.15, and an arm that hangs is 0.44 from one that is stretched out at the
height of the shoulder."""

TOO_LIKE = 0.12
"""Two postures nearer than this cannot be told apart: the half of it is what one body misses itself by at best."""

LOST_S = 0.4
"""For so long a body that is not seen keeps its posture, as its features do (FeatureSpec.hold_s)."""


@dataclass(frozen=True)
class Example:
    """A body in a posture. places: float64 [JOINTS, 3], towards its own left, down, forward from the middle of the
    hips, in torso lengths; visibility: float64 [JOINTS], 0..1."""

    places: Float64
    visibility: Float64


@dataclass(frozen=True)
class Posture:
    """A posture by its examples. spread: how far one of them is from the others, or a frame of it from the rest."""

    name: str
    spread: float
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Seen:
    """A body now: an Example, and which way the camera looks at it: unit vector [3], towards left, down, forward."""

    body: Example
    depth: Float64


_MARKS = np.array(list(JOINTS.values()), np.intp)


def seen_in(frame: PoseFrame) -> Seen | None:
    """The first person of a frame, measured as examples are; None: nobody, or a trunk that cannot be made out.

    Hip-centred, in torso lengths of that frame, turned about the vertical so that shoulders and hips together lie
    across: independent of who it is, how far away, and which way it faces.
    """
    if frame.people < 1 or not np.isfinite(frame.world[0]).all():
        return None
    world: Float64 = frame.world[0].astype(np.float64)
    trunk = frame.visibility[0, [*SHOULDERS, *HIPS]]
    hips = 0.5 * (world[HIPS[0]] + world[HIPS[1]])
    torso = math.dist(0.5 * (world[SHOULDERS[0]] + world[SHOULDERS[1]]), hips)
    across = world[SHOULDERS[0]] - world[SHOULDERS[1]] + world[HIPS[0]] - world[HIPS[1]]
    width = math.hypot(across[0], across[2])
    if torso < 1e-6 or width < 1e-6 or not (trunk >= VISIBLE).all():
        return None
    x, z = across[0] / width, across[2] / width
    axes = np.array([[x, 0.0, z], [0.0, 1.0, 0.0], [z, 0.0, -x]])  # rows: left, down, forward
    places: Float64 = (world[_MARKS] - hips) / torso @ axes.T
    return Seen(Example(places, frame.visibility[0, _MARKS].astype(np.float64)), axes[:, 2])


def distances(examples: Sequence[Example], seen: Seen) -> Float64:
    """float64 [examples]: how far that body is from each, torso lengths (root mean square over the joints that both
    show, weighted by how surely); infinite where too few can be compared."""
    there = np.stack([example.places for example in examples])
    shown = np.stack([_weights(example) for example in examples])
    return _distances(there, shown, seen)


def apart(one: Sequence[Example], other: Sequence[Example]) -> float:
    """How far two postures are from each other: their nearest examples, as somebody who faces the camera shows them."""
    facing = np.array([0.0, 0.0, -1.0])
    found = [distances(other, Seen(example, facing)).min() for example in one]
    return float(min(found, default=math.inf))


def mean_of(frames: Sequence[Example]) -> Example:
    """One example of several frames of a body that stands still."""
    return Example(
        np.mean([frame.places for frame in frames], axis=0), np.mean([frame.visibility for frame in frames], axis=0)
    )


def _weights(example: Example) -> Float64:
    return np.where(example.visibility >= VISIBLE, example.visibility, 0.0)


def _distances(there: Float64, shown: Float64, seen: Seen) -> Float64:
    """there [n, JOINTS, 3], shown [n, JOINTS]."""
    weight = shown * _weights(seen.body)
    off = there - seen.body.places
    towards = off @ seen.depth
    squared = (off * off).sum(axis=2) - (1.0 - DEPTH * DEPTH) * towards * towards
    total = weight.sum(axis=1)
    enough = (total >= COMPARED * shown.sum(axis=1)) & (total > 0.0)
    mean = (weight * squared).sum(axis=1) / np.where(enough, total, 1.0)
    return np.where(enough, np.sqrt(np.maximum(mean, 0.0)), np.inf)


@dataclass(frozen=True)
class Limits:
    """Of a posture by itself: a body no further than `near` is wholly in it, one beyond `far` not at all."""

    near: float
    far: float


def limits(posture: Posture) -> Limits:
    """From the spread of its examples."""
    far = min(max(REACH * posture.spread, LEAST_FAR), MOST_FAR)
    return Limits(min(max(posture.spread, LEAST_NEAR), 0.5 * far), far)


class Recogniser:
    """Confidences of all postures in a stream of pose frames; of one of them at most they are more than 0.

    Costs nothing where no posture was taught. Being in a posture for a moment on the way to another one is being in it:
    who wants it held says so in a trigger (`after_s`).
    """

    def __init__(self, postures: Sequence[Posture] = ()) -> None:
        self.names = tuple(posture.name for posture in postures)
        self._limits = [limits(posture) for posture in postures]
        examples = [example for posture in postures for example in posture.examples]
        counts = [len(posture.examples) for posture in postures]
        self._first = np.cumsum([0, *counts])[:-1]  # the first example of each
        self._there = np.stack([each.places for each in examples]) if examples else np.zeros((0, len(JOINTS), 3))
        self._shown = np.stack([_weights(each) for each in examples]) if examples else np.zeros((0, len(JOINTS)))
        self.reset()

    def reset(self) -> None:
        """Nobody was seen yet."""
        self._place, self._confidence = -1, 0.0
        self._since_s = math.inf
        self._time_s = -math.inf

    def take_over(self, other: Recogniser) -> None:
        """Go on from where one of other postures is: the body is in what it was in, if that is still there."""
        held = other.names[other._place] if other._place >= 0 else ""
        if held in self.names:
            self._place, self._confidence = self.names.index(held), other._confidence
            self._since_s, self._time_s = other._since_s, other._time_s

    def update(self, frame: PoseFrame) -> None:
        """Take a new frame. One with nobody in it changes nothing for LOST_S; one no newer than the last, nothing."""
        if not self.names or frame.capture_s <= self._time_s:
            return
        self._time_s = frame.capture_s
        seen = seen_in(frame)
        if seen is None:
            return
        self._since_s = 0.0
        found = np.minimum.reduceat(_distances(self._there, self._shown, seen), self._first)
        place = int(np.argmin(found))
        limit, off = self._limits[place], float(found[place])
        # Between two postures, or where the joints that tell them apart are hidden, it is neither.
        ahead = float(np.delete(found, place).min(initial=math.inf)) - off if math.isfinite(off) else 0.0
        self._place = place
        self._confidence = min(max(min(limit.far - off, ahead) / (limit.far - limit.near), 0.0), 1.0)

    def step(self, dt_s: float) -> None:
        """Time passes: without a body in view the posture ends."""
        self._since_s += dt_s

    def confidence(self, name: str) -> float:
        """0..1 that the body is in that posture; 0 for one that was not taught."""
        if self._place < 0 or self._since_s > LOST_S or self.names[self._place] != name:
            return 0.0
        return self._confidence
