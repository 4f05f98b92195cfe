"""Pose frames -> hits: a hand that stops dead, a foot that stomps, hands that clap, feet that land after a jump.

Pose frames go in as they arrive, hits with a strength come out; event_inputs.py makes inputs of a mapping of them
("hit:left_hand"). Causal; time only from the arguments. Knows no model, no clock and no process.
"""

# numpy's stubs need a newer Python than 3.10, which pyright checks for: its members come out half unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from livemove.contracts import Float32, Float64, PoseFrame

HITS = ("left_hand", "right_hand", "left_foot", "right_foot", "clap", "landing")
"""What can hit, in the order of the envelopes; left and right are the performer's own."""

VARIATION = "variation"
"""Beside them, a number 0..1 that every hit changes and that stays until the next one, see `variation`."""

TAKES = 4
"""So many recordings of a limb's hit, one after the other along the variation, does a model learn."""

PREFIX = "hit:"
"""A mapping's source is this and one of HITS, as in "hit:clap", or this and VARIATION."""

WEAKEST = 0.2
"""Strength of the softest hit; the hardest is 1."""

DECAY_S = 0.06
"""Time constant of a hit's envelope. Models are trained on this one: changing it means training them again."""

REFRACTORY_S = 0.12
"""Two hits of one limb are at least so far apart. By then the loudest envelope has fallen to 0.14, below WEAKEST: every
hit makes its envelope rise."""

SILENT = 1e-3
"""An envelope that has fallen so far is 0."""


@dataclass(frozen=True)
class Hit:
    """which: index into HITS. strength: WEAKEST..1. time_s: capture time of the frame that showed it."""

    which: int
    strength: float
    time_s: float


@dataclass(frozen=True)
class Stroke:
    """What counts as a hit. Speeds in torso lengths per second.

    slowest, hardest  peak speed of the softest and of the hardest hit
    stopped           it is over when the speed along the stroke has fallen to this share of its peak ...
    within_s          ... no longer than this after the peak; a slower end is a gesture, no hit
    """

    slowest: float
    hardest: float
    stopped: float = 0.5
    within_s: float = 0.115

    def strength(self, peak: float) -> float:
        place = (peak - self.slowest) / (self.hardest - self.slowest)
        return WEAKEST + (1.0 - WEAKEST) * min(max(place, 0.0), 1.0)


@dataclass(frozen=True)
class TriggerSpec:
    """When movement is a hit. Lengths in torso lengths, speeds in torso lengths per second.

    rising       a hand whose stroke goes up more steeply than this (the sine of its angle) is lifted, and does not hit
    lifted       a foot stomps if it was so far above the other one within lifted_s
    clapped      hands are together within this distance of each other in the image plane
    jumped       height of a jump, in the unit of the feature "jump", that can be landed from; highest: the hardest
    visible      a landmark counts as seen at this visibility
    implausible  nobody moves so fast: the landmarks jumped
    turned       cosine of the largest angle that shoulders turn by from one frame to the next; beyond it, left was
                 taken for right, and nothing hits until settle_s later
    """

    hand: Stroke = Stroke(slowest=4.5, hardest=12.0)
    foot: Stroke = Stroke(slowest=1.8, hardest=6.0)
    clap: Stroke = Stroke(slowest=2.5, hardest=12.0)
    rising: float = 0.3
    lifted: float = 0.1
    lifted_s: float = 0.4
    clapped: float = 0.4
    jumped: float = 0.15
    highest: float = 0.9
    visible: float = 0.5
    implausible: float = 20.0
    turned: float = 0.5
    settle_s: float = 0.15


class _Limb:
    """One stroke at a time of one limb: its direction and its peak, until it stops.

    Of air drumming, the strongest deceleration is what drummers and listeners take for the hit (Dahl, "Triggering
    sounds from discrete air gestures", NIME 2014); at a camera's rate that is the first frame of lower speed.
    """

    def __init__(self, stroke: Stroke) -> None:
        self.stroke = stroke
        self.hit_s = -math.inf
        self.reset()

    def reset(self) -> None:
        """Nothing is known of the movement; when it last hit is."""
        self.place: tuple[float, ...] | None = None
        self.time_s = -math.inf
        self.begin()

    def begin(self, armed: bool = True) -> None:
        """Wait for the next stroke; not armed: the limb must slow down first."""
        self.peak, self.peak_s, self.frames, self.armed = 0.0, -math.inf, 0, armed
        self.along: tuple[float, ...] = ()

    def move(self, place: tuple[float, ...], now_s: float, spec: TriggerSpec) -> float | None:
        """Peak speed of the stroke if this frame shows it stopped. place: in torso lengths, any number of axes."""
        last, dt_s = self.place, now_s - self.time_s
        self.place, self.time_s = place, now_s
        if last is None:
            return None
        velocity = tuple((a - b) / dt_s for a, b in zip(place, last, strict=True))
        speed = math.hypot(*velocity)
        if speed > spec.implausible:
            self.reset()
            return None
        slow = 0.4 * self.stroke.slowest
        forward = sum(a * b for a, b in zip(velocity, self.along, strict=True)) if self.along else speed
        if not self.armed:
            if speed >= slow and forward > 0.0:
                return None
            self.begin()
            forward = speed
        peak, late = self.peak, now_s - self.peak_s > self.stroke.within_s
        stopped = forward <= self.stroke.stopped * peak and not late
        if stopped and peak >= self.stroke.slowest and self.frames >= 2:
            return peak
        if speed < slow or forward <= 0.0 or late:
            self.begin()
        if speed >= slow:
            self.frames += 1
            if speed >= self.peak:
                self.peak, self.peak_s = speed, now_s
                self.along = tuple(a / speed for a in velocity)
        return None

    def hit(self, now_s: float) -> bool:
        """The stroke is used up; False if it comes too soon after the last one to be another hit."""
        again = now_s - self.hit_s >= REFRACTORY_S
        if again:
            self.hit_s = now_s
        along = self.along
        self.begin(armed=False)
        self.along = along
        return again


class Triggers:
    """Hits of one person in a stream of pose frames; dancer: their place in it. Nobody in view, or a limb out of view,
    hits nothing."""

    def __init__(self, spec: TriggerSpec = TriggerSpec(), dancer: int = 0) -> None:
        self.spec = spec
        self._dancer = dancer
        self.reset()

    def reset(self) -> None:
        """Back to before the first frame."""
        spec = self.spec
        self._time_s = -math.inf
        self._torso = 0.0
        self._scale: Float64 | None = None
        self._hands = (_Limb(spec.hand), _Limb(spec.hand))
        self._feet = (_Limb(spec.foot), _Limb(spec.foot))
        self._clap = _Limb(spec.clap)
        self._lifted = [(-math.inf, 0.0), (-math.inf, 0.0)]  # when each foot was highest lately, and how high
        self._jump = (-math.inf, 0.0)
        self._landed_s = -math.inf
        self._heading: Float64 | None = None
        self._settled_s = -math.inf

    def update(self, frame: PoseFrame, jump: float) -> tuple[Hit, ...]:
        """Hits that this frame shows. jump: the feature of that name at this frame.

        A frame no newer than the last one changes nothing.
        """
        now_s = frame.capture_s
        if now_s <= self._time_s:
            return ()
        gap = now_s - self._time_s
        self._time_s = now_s
        place = self._dancer
        if not frame.shows(place) or not np.isfinite(frame.world[place]).all():
            self._lose()
            return ()
        world: Float64 = frame.world[place].astype(np.float64)
        seen = frame.visibility[place] >= self.spec.visible
        hips = 0.5 * (world[23] + world[24])
        torso = math.dist(0.5 * (world[11] + world[12]), hips)
        if torso < 1e-6:
            return ()
        follow = 1.0 if self._torso == 0.0 else 1.0 - math.exp(-gap / 1.0)
        self._torso += follow * (torso - self._torso)
        body = (world - hips) / self._torso
        image: Float64 = frame.image[place, :, :2].astype(np.float64)
        scale = _image_scale(image, world[:, :2])
        self._scale = scale if self._scale is None else self._scale + follow * (scale - self._scale)
        if (np.abs(self._scale) < 1e-6).any():
            return ()
        # Across and down as in the image, of which the landmarker is surer than of the world: there a hand may jump
        # half a metre while nothing moves.
        body[:, :2] = (image - 0.5 * (image[23] + image[24])) / (self._scale * self._torso)
        across = body[11, ::2] - body[12, ::2]
        heading: Float64 = across / max(float(np.hypot(across[0], across[1])), 1e-6)
        last, self._heading = self._heading, heading
        if last is not None and float(last @ heading) < self.spec.turned:
            self._settled_s = now_s + self.spec.settle_s
        if now_s < self._settled_s:
            self._lose()
            return ()
        hits = [*self._hand_hits(body, seen, now_s), *self._foot_hits(body, seen, now_s)]
        landing = self._landing(jump, now_s)
        return tuple(Hit(which, strength, now_s) for which, strength in [*hits, *landing])

    def _lose(self) -> None:
        for limb in (*self._hands, *self._feet, self._clap):
            limb.reset()
        self._jump = (-math.inf, 0.0)

    def _hand_hits(self, body: Float64, seen: np.ndarray, now_s: float) -> list[tuple[int, float]]:
        """(index, strength) of hands that stop, or of both in a clap, which is one hit and not three."""
        spec, hits = self.spec, list[tuple[int, float]]()
        closing = False
        if seen[[15, 16]].all():
            left, right = body[[15, 17, 19]].mean(axis=0), body[[16, 18, 20]].mean(axis=0)
            apart, depth = math.hypot(left[0] - right[0], left[1] - right[1]), abs(float(left[2] - right[2]))
            peak = self._clap.move((-apart,), now_s, spec)  # a stroke towards each other, not apart
            together = apart < spec.clapped and depth < 2 * spec.clapped and self._clap.along != (-1.0,)
            # A hand that stops at the other one is the clap that this frame or the next will show.
            closing = together and self._clap.peak >= spec.clap.slowest
            if peak is not None and not together:
                self._clap.begin()
            elif peak is not None:
                if self._clap.hit(now_s):
                    hits.append((4, spec.clap.strength(peak)))
                for hand in self._hands:
                    hand.hit(now_s)
        else:
            self._clap.reset()
        for side, (hand, wrist) in enumerate(zip(self._hands, (15, 16), strict=True)):
            if not seen[wrist]:
                hand.reset()
                continue
            peak = hand.move((float(body[wrist, 0]), float(body[wrist, 1])), now_s, spec)
            if peak is None:
                continue
            lifts = -hand.along[1] > spec.rising  # y points down
            if lifts or closing:
                hand.begin()
            elif hand.hit(now_s):
                hits.append((side, spec.hand.strength(peak)))
        return hits

    def _foot_hits(self, body: Float64, seen: np.ndarray, now_s: float) -> list[tuple[int, float]]:
        """(index, strength) of feet that were up and stop on their way down, seen from the hips."""
        spec, hits = self.spec, list[tuple[int, float]]()
        if not seen[[27, 28]].all():
            for foot in self._feet:
                foot.reset()
            return hits
        for side, (foot, ankle, other) in enumerate(zip(self._feet, (27, 28), (28, 27), strict=True)):
            above = float(body[other, 1] - body[ankle, 1])
            highest_s, highest = self._lifted[side]
            if above >= highest or now_s - highest_s > spec.lifted_s:
                self._lifted[side] = highest_s, highest = now_s, above
            peak = foot.move((float(body[ankle, 1]),), now_s, spec)
            if peak is None:
                continue
            if foot.along[0] < 0.0 or highest < spec.lifted or above > 0.5 * highest:
                foot.begin()
            elif foot.hit(now_s):
                self._lifted[side] = (-math.inf, 0.0)
                hits.append((2 + side, spec.foot.strength(peak)))
        return hits

    def _landing(self, jump: float, now_s: float) -> list[tuple[int, float]]:
        """(index, strength) when both feet are down again."""
        spec = self.spec
        highest_s, highest = self._jump
        if jump >= highest or now_s - highest_s > 0.5:
            self._jump = highest_s, highest = now_s, jump
        if highest < spec.jumped or jump > 0.1 * highest:
            return []
        self._jump = (-math.inf, 0.0)
        if now_s - self._landed_s < REFRACTORY_S:
            return []
        self._landed_s = now_s
        place = (highest - spec.jumped) / (spec.highest - spec.jumped)
        return [(5, WEAKEST + (1.0 - WEAKEST) * min(max(place, 0.0), 1.0))]


def _image_scale(image: Float64, world: Float64) -> Float64:
    """Image units per metre along x and y, float64 [2]: the body's own, fitted (weak perspective); negative where the
    image is mirrored. image, world: float64 [33, 2]."""
    from_middle = world - world.mean(axis=0)
    power = np.maximum((from_middle * from_middle).sum(axis=0), 1e-6)
    return (from_middle * (image - image.mean(axis=0))).sum(axis=0) / power


def variation(count: int) -> float:
    """0..1 after so many hits (those of one hop count as one): multiples of the golden ratio, which fill the range
    evenly and are never near those just before, `within_take`; 0 before the first."""
    return within_take(count * 0.6180339887498949 % 1.0) if count else 0.0


def within_take(place: float) -> float:
    """A number 0..1, squeezed into the middle of its one of TAKES equal parts: what a network has learnt of a recording
    is sure there, and a mixture of two at the edges."""
    part, inside = divmod(place * TAKES, 1.0)
    return (part + 0.2 + 0.6 * inside) / TAKES


def decayed(value: Float32, due: Float32, hop_s: float) -> None:
    """One hop of the envelopes float32 [hits], in place; due: strengths of the hits in this hop, 0 where there is none.

    A hit begins its envelope anew; without one it falls with the time constant DECAY_S, and ends at SILENT.
    """
    value *= math.exp(-hop_s / DECAY_S)
    value[value < SILENT] = 0.0
    np.copyto(value, due, where=due > 0.0)
