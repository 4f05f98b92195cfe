"""Who is who of two dancers: each found body in its dancer's place, through crossings and absences.

In: the bodies found in each frame, in any order, and its image. Out: the same bodies by dancer. Told by where each one
was going, how large they are and what they wear. Causal; time from the caller. numpy only; knows no network.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from livemove.body.landmarks import HIPS, MOVING, SHOULDERS
from livemove.capture.encounters import APART, Encounter
from livemove.capture.poses import FoundBody, Image
from livemove.contracts import MAX_DANCERS, Float64

FIRST: dict[str, Callable[[_Look], float]] = {
    "largest": lambda look: -look.trunk,
    "left": lambda look: look.place[0],
    "right": lambda look: -look.place[0],
}
"""Which of two new bodies is the earlier dancer: the one of whom this is smaller."""

NEAR, SPREADS, LONGEST_S = 0.3, 2.0, 5.0
"""How far from where it was expected a body may well be, in lengths of the trunk: in the next frame, and more for every
second unseen, up to so many."""
GLIDE_S, SPEED_S = 0.5, 0.15
"""Time constants: who is out of sight goes on as it went, slower and slower; the speed it went at."""
FASTEST = 6.0
"""Lengths of the trunk per second that a speed may be."""
FARTHEST, ODDEST = 16.0, 2.0
"""Most that the way to a body, and its size, count against a dancer, in squared standard deviations."""
LIMBS, LOOSENS, ANY_POSE, UNLIKE = 0.2, 1.5, 0.8, 9.0
"""How far, on average and in lengths of the trunk, its joints may well be from where they were around the trunk: in the
next frame, and more for every second, up to where a pose says nothing any more; most that this counts."""
STRANGER = 12.0
"""What counts against every body for a dancer who was never seen: more than for one who has been away for long."""
COLOURS = 8.0
"""Most that colours count, where dancers can be told by them."""
STAYS = 1.0
"""What counts for the body that a runtime says it has followed since the frame before."""
HYSTERESIS = 1.5
"""So much more must speak for whoever colours name than for whom movement names."""

LEARN_S, FEWEST = 3.0, 5
"""Time constant of what a dancer is known to wear, and after how many looks it is known."""
PLAIN = 0.03
"""What colours vary by at least."""
DOUBT_S, DOUBT = 0.25, 0.5
"""Dancers whose colours, on average over DOUBT_S, are by more than DOUBT each other's, were taken for each other."""


@dataclass(frozen=True)
class _Look:
    """One body in one frame. place float64 [2]: middle of the trunk, in pixels; trunk: its length in pixels; pose
    float64 [13, 2]: its joints from there, in lengths of the trunk; colours float64 [12], 0..1: what it wears (NaN:
    outside the image); track: as in `FoundBody`."""

    place: Float64
    trunk: float
    pose: Float64
    colours: Float64
    track: int


@dataclass
class _Dancer:
    """What is known of one: as in `_Look`, smoothed; speed in pixels per second; varied: how far colours usually are
    from the learnt ones; looks: how many these were learnt from; leapt: how far its joints were, on average and in
    lengths of the trunk, from where they were going, if it was seen in the frame before."""

    place: Float64 = field(default_factory=lambda: np.zeros(2))
    speed: Float64 = field(default_factory=lambda: np.zeros(2))
    trunk: float = 1.0
    pose: Float64 = field(default_factory=lambda: np.zeros((len(MOVING), 2)))
    seen_s: float = -math.inf
    colours: Float64 = field(default_factory=lambda: np.full(12, np.nan))
    varied: float = PLAIN
    looks: int = 0
    track: int = -1
    leapt: float = 0.0

    def against(self, look: _Look, now_s: float) -> float:
        """How much speaks against that body being this dancer, by movement and size.

        The negative logarithm of a normal distribution around where it is expected, which grows wider while nobody sees
        it, and so less likely at every single place: who may be anywhere is not sooner here than who was here just now.
        """
        if math.isinf(self.seen_s):
            return STRANGER
        gone_s = min(max(now_s - self.seen_s, 0.0), LONGEST_S)
        expected = self.place + self.speed * GLIDE_S * (1.0 - math.exp(-gone_s / GLIDE_S))
        spread = 1.0 + SPREADS / NEAR * gone_s
        away = float(np.hypot(*(look.place - expected))) / (self.trunk * NEAR * spread)
        grown = math.log(look.trunk / self.trunk) / (0.25 + 0.5 * gone_s)
        loose = min(LIMBS + LOOSENS * gone_s, ANY_POSE) / LIMBS
        unlike = float(np.hypot(*(look.pose - self.pose).T).mean()) / (LIMBS * loose)
        stays = STAYS if look.track == self.track >= 0 else 0.0
        return (
            min(away * away, FARTHEST) + 2.0 * math.log(spread) + min(grown * grown, ODDEST)
            + min(unlike * unlike, UNLIKE) + 2.0 * math.log(loose) - stays
        )  # fmt: skip

    def see(self, look: _Look, now_s: float) -> None:
        """It is this body."""
        passed_s, self.leapt = now_s - self.seen_s, 0.0
        if 0.0 < passed_s < 0.2:
            joints, before = look.place + look.trunk * look.pose, self.place + self.trunk * self.pose
            self.leapt = float(np.hypot(*(joints - before - self.speed * passed_s).T).mean()) / look.trunk
            speed = (look.place - self.place) / passed_s
            speed *= min(FASTEST * look.trunk / max(float(np.hypot(*speed)), 1e-9), 1.0)
            self.speed = self.speed + (1.0 - math.exp(-passed_s / SPEED_S)) * (speed - self.speed)
        else:
            self.speed = np.zeros(2)
        new = math.isinf(self.seen_s)
        self.trunk = look.trunk if new else self.trunk + 0.2 * (look.trunk - self.trunk)
        self.place, self.pose, self.seen_s, self.track = look.place, look.pose, now_s, look.track

    def learn(self, look: _Look, passed_s: float) -> None:
        """What this dancer wears."""
        if np.isnan(look.colours).any():
            return
        share = max(1.0 - math.exp(-passed_s / LEARN_S), 1.0 / (self.looks + 1.0))
        if self.looks:
            off = float(np.linalg.norm(look.colours - self.colours))
            self.varied = max(self.varied + share * (off - self.varied), PLAIN)
            self.colours = self.colours + share * (look.colours - self.colours)
        else:
            self.colours = look.colours
        self.looks += 1


class Identities:
    """Keeps `MAX_DANCERS` dancers apart. first: one of FIRST, who is dancer 1 of two who are new. exchanged: whether
    the last frame put right who had been taken for each other, so that neither continues what its place held before."""

    def __init__(self, first: str = "left") -> None:
        self._first = FIRST[first]
        self._dancers = [_Dancer() for _ in range(MAX_DANCERS)]
        self.exchanged = False
        self._encounter = Encounter()
        self._doubt = 0.0
        self._last_s = -math.inf

    def assign(self, bodies: Sequence[FoundBody], image: Image, now_s: float) -> list[FoundBody | None]:
        """By dancer: their body among those in image, uint8 RGB [height, width, 3], or None where there is none."""
        passed_s = min(max(now_s - self._last_s, 0.0), 0.2)
        self._last_s = now_s
        looks = [look_at(body, image) for body in bodies[:MAX_DANCERS]]
        if all(math.isinf(dancer.seen_s) for dancer in self._dancers):
            order = sorted(range(len(looks)), key=lambda body: self._first(looks[body]))
            chosen = dict(enumerate(order))
        else:
            chosen = self._choose(looks, now_s)
        self.exchanged = self._mistaken({dancer: looks[body] for dancer, body in chosen.items()}, passed_s)
        if self.exchanged:
            self._exchange()
            chosen = {1 - dancer: body for dancer, body in chosen.items()}
        apart = len(looks) < 2 or _apart(*looks) > APART
        for dancer, body in chosen.items():
            known, look = self._dancers[dancer], looks[body]
            known.see(look, now_s)
            if apart and self._side(look) * (1 - 2 * dancer) >= 0.0:
                known.learn(look, passed_s)
        if self._left_as_each_other({dancer: looks[body] for dancer, body in chosen.items()}, now_s):
            self._exchange()
            self.exchanged = True
            chosen = {1 - dancer: body for dancer, body in chosen.items()}
        return [bodies[chosen[dancer]] if dancer in chosen else None for dancer in range(MAX_DANCERS)]

    def _left_as_each_other(self, seen: dict[int, _Look], now_s: float) -> bool:
        """Whether the two were taken for each other in an encounter, where colours do not tell."""
        places = {dancer: look.place for dancer, look in seen.items()}
        trunk = max((look.trunk for look in seen.values()), default=1.0)
        leapt = max((self._dancers[dancer].leapt for dancer in seen), default=0.0)
        wrong = self._encounter.exchanged(places, [each.speed for each in self._dancers], trunk, leapt, now_s)
        return wrong and self._sure() < DOUBT

    def _choose(self, looks: Sequence[_Look], now_s: float) -> dict[int, int]:
        """Dancer -> body, whatever least speaks against; what colours say must outweigh movement."""
        moved = np.array([[dancer.against(look, now_s) for look in looks] for dancer in self._dancers])
        worn = np.array([[self._worn(dancer, look) for look in looks] for dancer in range(MAX_DANCERS)])
        ways = [
            dict(zip(dancers, range(len(looks)), strict=True))
            for dancers in itertools.permutations(range(MAX_DANCERS), len(looks))
        ]

        def against(way: dict[int, int], costs: Float64) -> float:
            return sum(float(costs[dancer, body]) for dancer, body in way.items())

        by_movement = min(ways, key=lambda way: against(way, moved))
        best = min(ways, key=lambda way: against(way, moved + worn))
        gained = against(by_movement, moved + worn) - against(best, moved + worn)
        return best if gained > HYSTERESIS else by_movement

    def _worn(self, dancer: int, look: _Look) -> float:
        """How much its colours speak against that body being this dancer."""
        return 0.5 * COLOURS * (self._sure() - self._side(look) * (1 - 2 * dancer))

    def _sure(self) -> float:
        """0..1: how well the two can be told by their colours: whether these are farther apart than they vary."""
        one, two = self._dancers
        if min(one.looks, two.looks) < FEWEST:
            return 0.0
        length = float(np.linalg.norm(one.colours - two.colours))
        return min(max(length / (0.5 * (one.varied + two.varied)) - 1.0, 0.0), 1.0)

    def _side(self, look: _Look) -> float:
        """1: wears what dancer 1 wears, -1: what dancer 2 does; 0: they wear the same, or it is not known."""
        sure = self._sure()
        if not sure or np.isnan(look.colours).any():
            return 0.0
        one, two = self._dancers
        between = one.colours - two.colours
        along = float((look.colours - 0.5 * (one.colours + two.colours)) @ between) / (0.5 * float(between @ between))
        return sure * min(max(along, -1.0), 1.0)

    def _mistaken(self, seen: dict[int, _Look], passed_s: float) -> bool:
        """Whether the two were taken for each other, by what they have worn for a while now."""
        if not seen or (len(seen) == 2 and _apart(*seen.values()) < APART):
            return False
        sides = [self._side(look) * (1 - 2 * dancer) for dancer, look in seen.items()]
        self._doubt += (1.0 - math.exp(-passed_s / DOUBT_S)) * (-sum(sides) / len(sides) - self._doubt)
        return self._doubt > DOUBT

    def _exchange(self) -> None:
        """Each is where the other was thought to be; what they wear stays theirs."""
        one, two = self._dancers
        for name in ("place", "speed", "trunk", "pose", "seen_s", "track"):
            mine, other = getattr(one, name), getattr(two, name)
            setattr(one, name, other)
            setattr(two, name, mine)
        self._doubt = 0.0


def look_at(body: FoundBody, image: Image) -> _Look:
    """Where a body is in image, uint8 RGB [height, width, 3], and what it wears."""
    height, width, _ = image.shape
    marks = body.image[:, :2].astype(np.float64) * (width, height)
    left, right, left_hip, right_hip = marks[[*SHOULDERS, *HIPS]]
    knees = marks[[25, 26]]
    shoulders, hips = 0.5 * (left + right), 0.5 * (left_hip + right_hip)
    # A trunk that leans towards the camera looks short; a thigh then does not.
    trunk = max(float(np.hypot(*(shoulders - hips))), *np.hypot(*(knees - (left_hip, right_hip)).T).tolist(), 1.0)
    quad = np.array([[left, right], [left_hip, right_hip]])
    patches = [
        _between(quad, _ACROSS, _UPPER), _between(quad, _ACROSS, _LOWER),
        *(start + _ALONG[:, None] * (end - start) for start, end in zip((left_hip, right_hip), knees, strict=True)),
    ]  # fmt: skip
    colours = np.concatenate([_colour(patch, image) for patch in patches])
    place = 0.5 * (shoulders + hips)
    return _Look(place, trunk, (marks[list(MOVING)] - place) / trunk, colours, body.track)


_ACROSS, _UPPER, _LOWER = np.linspace(0.2, 0.8, 6), np.linspace(0.1, 0.5, 5), np.linspace(0.55, 0.95, 5)
_ALONG = np.linspace(0.15, 0.85, 12)


def _between(quad: Float64, across: Float64, down: Float64) -> Float64:
    """float64 [N, 2]: points of a quadrilateral [2, 2, 2], at those parts of its width and height."""
    u, v = (part.reshape(-1, 1) for part in np.meshgrid(across, down))
    upper, lower = quad
    return (1 - v) * ((1 - u) * upper[0] + u * upper[1]) + v * ((1 - u) * lower[0] + u * lower[1])


def _colour(points: Float64, image: Image) -> Float64:
    """float64 [3], 0..1: the median colour at those points; NaN where most of them lie outside."""
    height, width, _ = image.shape
    with np.errstate(invalid="ignore"):
        inside = ((points >= 0) & (points < (width, height))).all(axis=1)
    if 2 * int(inside.sum()) < len(points):
        return np.full(3, np.nan)
    x, y = points[inside].astype(np.intp).T
    return np.median(image[y, x], axis=0) / 255.0


def _apart(one: _Look, other: _Look) -> float:
    """Distance of two bodies in lengths of the trunk, of the larger one."""
    return float(np.hypot(*(one.place - other.place))) / max(one.trunk, other.trunk)
