"""BlazePose's tracking: bodies followed from frame to frame, looked for anew only where one is missing.

In: images in order, with their times. Out: bodies, each with landmarks in the image and in metres. Knows LiteRT through
networks.py only; knows no camera, file or process.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from livemove.body.landmarks import HIPS, SHOULDERS
from livemove.capture.blazepose.landmarks import Reading
from livemove.capture.blazepose.networks import LandmarkNetwork, Networks
from livemove.capture.blazepose.regions import Region
from livemove.capture.blazepose.silhouettes import Cover
from livemove.capture.blazepose.smoothing import BodySmoothing
from livemove.capture.poses import Image
from livemove.contracts import LANDMARKS, Float32

PRESENT = 0.5
"""A body is there if the landmark network is surer than this (MediaPipe's default)."""
STAYS = 0.2
"""One of whom another one may cover a part stays there if the network is surer than this: without a head it is less
sure."""

NEAR = 0.12
"""A found body whose hips are no farther from those of a followed one, in edges of its region (about 2.5 m), is that
one: two who dance together are."""

SAME, SAME_FACE, SAME_BODY = 0.05, 0.03, 0.1
"""Two followed bodies whose landmarks are no farther apart on average than SAME, in edges of their regions, are one; so
are two with one face, SAME_FACE, whose bodies are near, SAME_BODY: a network may mix two, but it was one face that it
saw."""

LOOK_S = 0.12
"""While somebody is followed, others are looked for no more often: it takes half the time of a pose."""

DANCERS: dict[str, Callable[[Region], float]] = {
    "largest": lambda region: -region.edge,
    "left": lambda region: region.x,
    "right": lambda region: -region.x,
}
"""Who is followed of several, at the start and after a long absence: the smallest of these; left and right of the image
as the camera gives it."""

HOLD_S = 1.0
"""Who is lost is looked for only where it was, no farther than its own region's edge, for so long: nobody else takes
its place because it bent down. Then the nearest does."""
FORGOTTEN_S = 10.0
"""Who was away for so long comes back as if it never was."""

FRAME_S, JUMP, GROWTH = 0.25, 0.6, 1.7
"""From a frame to one no later than FRAME_S: a region that moves by more than JUMP of its edge, or grows or shrinks by
more than GROWTH, is somebody else's. A leap across the stage moves it by 0.1 at 25 frames a second."""

Float64 = npt.NDArray[np.float64]


GARBLED = 0.2
"""Of two bodies as near to each other as NEAR, one that has strayed so far is a mixture of both. A dancer's landmarks
stray by 0.05 to 0.1, by 0.25 in a fast kick at 60 frames a second."""

GUESSED = 0.6
"""A body of whose landmarks a larger share lies where another one is in front of it is guessed, not seen."""

FACE = 11
"""So many landmarks, the first ones, are of the face."""

BESIDE, COVERED_S, PACE_S = 0.4, 1.0, 0.25
"""One who is lost no farther than BESIDE from another one, in edges of its region, is behind it: for COVERED_S it is
looked for where it was going, by its pace of the last PACE_S, in images without the one in front."""

STRAYED_S = 0.2
"""So long, as a time constant, it counts that a body moved unlike itself."""


@dataclass(eq=False)
class Body:
    """One body that is followed, or place for one.

    region      where it is looked for in the next frame; None: nowhere
    there       whether it was seen in the last frame; with a region, but not there: another one is in the way
    behind      whether another one is beside it and in front, and is painted over whole
    last        where it was last, at last_s
    pace        where last was going, pixels a second
    strayed     how far its landmarks were lately from where they were going, in edges of its region, summed up
    step        float64 [33, 3]: what its landmarks moved by from the frame before; None: they were just found
    image       float64 [33, 3]: pixels of the image, z in the same scale
    metres      float64 [33, 3], hip-centred
    visibility  float64 [33], 0..1
    """

    region: Region | None = None
    there: bool = False
    behind: bool = False
    last: Region | None = None
    last_s: float = 0.0
    pace: tuple[float, float] = (0.0, 0.0)
    strayed: float = 0.0
    step: Float64 | None = None
    smoothing: BodySmoothing = field(default_factory=BodySmoothing)
    image: Float64 = field(default_factory=lambda: np.zeros((LANDMARKS, 3)))
    metres: Float64 = field(default_factory=lambda: np.zeros((LANDMARKS, 3)))
    visibility: Float64 = field(default_factory=lambda: np.zeros(LANDMARKS))

    def expected(self, now_s: float) -> Float64 | None:
        """float64 [33, 2]: where its landmarks will be in the frame of now_s; None: it was only just found."""
        if self.step is None:
            return None
        return (self.image + self.step)[:, :2] if self.there else self.image[:, :2] + self.went(now_s)

    def went(self, now_s: float) -> Float64:
        """float64 [2], pixels: how far it may have gone since it was last seen."""
        return np.array(self.pace) * (now_s - self.last_s)


class Tracker:
    """Follows up to `people` bodies. A body keeps its place in `bodies` as long as it is seen; who it is, of several
    who come and go, is for others to say."""

    def __init__(self, networks: Networks, people: int = 1, dancer: str = "largest", smoothed: bool = False) -> None:
        """dancer: one of DANCERS, who is followed of several. smoothed: as MediaPipe smooths landmarks: by its filter a
        hand at 0.05 m/s is 76 ms late (one pole, 0.1 Hz and 40 Hz for every m/s); body/ has one that also predicts."""
        self.bodies = [Body() for _ in range(people)]
        self._networks = networks
        self._prefer = DANCERS[dancer]
        self._smoothed = smoothed
        self._looked_s = -math.inf
        self._turn = 0
        self._pool = ThreadPoolExecutor(people, "landmarks") if people > 1 else None

    def close(self) -> None:
        """End its threads."""
        if self._pool is not None:
            self._pool.shutdown()

    def look(self, image: Image, capture_s: float) -> list[Body]:
        """Those who are in image, uint8 RGB [height, width, 3], seen capture_s, later than the one before."""
        missing = [body for body in self.bodies if not body.there]
        alone = len(missing) == len(self.bodies)
        places = _places(image)
        self._turn = 0 if alone else self._turn
        looks = bool(missing) and (self._turn < len(places) or not 0.0 <= capture_s - self._looked_s < LOOK_S)
        if looks:
            self._looked_s = capture_s
            self._assign(missing, self._detect(image, places[self._turn % len(places)], capture_s), capture_s)
            self._turn += 1
        # One who is covered, and whom the detector just did not find, waits: three networks would make this frame late.
        shown = [body for body in self.bodies if body.there or body.step is None or not looks]
        self._follow_all(image, capture_s, shown)
        for body in self.bodies:
            if body.region is not None:
                self._place(body, capture_s)
            if not body.there:
                body.smoothing.lost()
        return [body for body in self.bodies if body.there]

    def _detect(self, image: Image, where: Region, capture_s: float) -> list[Region]:
        """The regions of all bodies in that part of image, the surest first."""
        self._networks.detector.crop.take(image, where)
        followed = [body.expected(capture_s) for body in self.bodies if body.there]
        Cover([marks for marks in followed if marks is not None]).paint(self._networks.detector.crop.pixels, where)
        found = where.to_image(self._networks.detect())
        regions = [Region.around(hips, rim) for _, _, hips, rim in found]
        return [region for region in regions if region.usable]

    def _assign(self, missing: list[Body], found: list[Region], capture_s: float) -> None:
        """Give each missing body the found one that is nearest to where it was, for a while only if that is near; the
        one that is preferred if it never was, or was gone for long."""
        followed = [body.region for body in self.bodies if body.there and body.region is not None]
        left = [
            region
            for region in found
            if all(_distance(region, other) > NEAR * max(region.edge, other.edge) for other in followed)
        ]
        for body in missing:
            gone_s = capture_s - body.last_s
            if body.last is not None and gone_s > FORGOTTEN_S:
                body.last = None
            if body.last is None:
                new = min(left, key=self._prefer, default=None)
            else:
                apart = {region: _distance(region, body.last) for region in left}
                reach = body.last.edge if gone_s <= HOLD_S else math.inf
                new = min((each for each in left if apart[each] <= reach), key=apart.__getitem__, default=None)
            if new is not None:
                left.remove(new)
                body.region = new
                body.strayed, body.step = 0.8 * GARBLED, None  # of two who are one, the new one goes

    def _follow_all(self, image: Image, capture_s: float, bodies: Sequence[Body]) -> None:
        """Read the landmarks of those with a region, side by side; of two who turn out to be one, one is gone."""
        followed = [(body, body.region) for body in bodies if body.region is not None]
        regions, networks = [region for _, region in followed], self._networks.landmarkers[: len(followed)]
        images = [image] * len(followed)
        covers = [self._cover(body, capture_s) for body, _ in followed]
        if self._pool is None:
            readings = list(map(_read, images, regions, networks, covers))
        else:
            readings = list(self._pool.map(_read, images, regions, networks, covers))
        before = [replace(body) for body, _ in followed]
        for (body, region), reading in zip(followed, readings, strict=True):
            self._follow(body, region, reading, capture_s)
        there = [(body, old) for (body, _), old in zip(followed, before, strict=True) if body.there]
        if len(there) > 1 and _are_one([body for body, _ in there]):
            body, old = max(there, key=lambda each: each[0].strayed)
            body.there, body.last, body.last_s, body.pace = False, old.last, old.last_s, old.pace
            body.image, body.step = old.image, old.step

    def _cover(self, body: Body, now_s: float) -> Cover:
        """What is not that body's of an image: the others', where these will be, but for what is its own, too, unless
        it is behind them."""
        others = [each.expected(now_s) for each in self.bodies if each is not body and each.region is not None]
        own = body.expected(now_s) if body.there and not body.behind else None
        return Cover([marks for marks in others if marks is not None], own, body.there)

    def _place(self, body: Body, capture_s: float) -> None:
        """Whether another one is in front of that body, and where it is looked for in the next frame if that one hides
        it. Of two beside each other the one that moves unlike itself is behind: it is the network that is misled."""
        where, gone_s = body.region if body.there else body.last, capture_s - body.last_s
        beside = [
            each for each in self.bodies
            if each is not body and each.there and each.region is not None and where is not None
            and _distance(where, each.region) < BESIDE * each.region.edge
        ]  # fmt: skip
        if not beside:
            body.behind = False
        elif body.there and body.strayed > max(GARBLED, 2.0 * max(each.strayed for each in beside)):
            body.behind = True
            for each in beside:
                each.behind = False
        if body.there:
            return
        body.region = None
        if beside and where is not None and 0.0 <= gone_s <= COVERED_S:
            body.behind = True
            for each in beside:
                each.behind = False
            x, y = body.went(capture_s)
            body.region = replace(where, x=where.x + x, y=where.y + y)

    def _follow(self, body: Body, region: Region, reading: Reading | None, capture_s: float) -> None:
        """What was read in region; where nobody is in it, the body is not there."""
        before, body.there = body.there, False
        if reading is None:
            return
        points = region.to_image(reading.points)
        next_region = Region.around(*points[LANDMARKS:, :2])
        if not next_region.usable or _is_another(next_region, region, capture_s - body.last_s):
            return
        marks, metres = points[:LANDMARKS], region.upright_to_image(reading.metres)
        if len(self.bodies) > 1:
            self._stray(body, marks, region.edge, capture_s - body.last_s, before)
        passed_s = capture_s - body.last_s
        if body.last is not None and 0.0 < passed_s < FRAME_S:
            share = 1.0 - math.exp(-passed_s / PACE_S)
            x, y = body.pace
            body.pace = (
                x + share * ((next_region.x - body.last.x) / passed_s - x),
                y + share * ((next_region.y - body.last.y) / passed_s - y),
            )
        else:
            body.pace = (0.0, 0.0)
        body.there = True
        body.region = body.last = next_region
        body.last_s = capture_s
        smoothed = body.smoothing(marks, metres, reading.visibility, next_region.edge, capture_s)
        body.image, body.metres, body.visibility = smoothed
        if not self._smoothed:
            body.image, body.metres = marks.astype(np.float64), metres.astype(np.float64)

    @staticmethod
    def _stray(body: Body, marks: Float32, edge: float, passed_s: float, before: bool) -> None:
        """Of two who turn out to be one, it is the one that went there by itself: the other's network jumped to it.
        before: whether it was there in the frame before."""
        if body.step is None or not before:
            body.step = np.zeros((LANDMARKS, 3))
            return
        step = marks - body.image
        unlike = float(np.linalg.norm((step - body.step)[:, :2], axis=1).mean()) / edge
        body.strayed = body.strayed * math.exp(-max(passed_s, 0.0) / STRAYED_S) + min(unlike, 1.0)
        body.step = step


def _places(image: Image) -> list[Region]:
    """Where bodies are looked for, by turns: in the whole image, and in its halves: a small body is found in less of an
    image. The first round of them goes from frame to frame, for one who was there from the start."""
    height, width, _ = image.shape
    whole, edge, longer = Region.whole(width, height), float(min(width, height)), float(max(width, height))
    if longer < 1.3 * edge:
        return [whole]
    ends = (edge / 2, longer - edge / 2)
    return [whole, *(Region(end, height / 2, edge) if width > height else Region(width / 2, end, edge) for end in ends)]


def _distance(region: Region, last: Region) -> float:
    """From last, in pixels."""
    return math.hypot(region.x - last.x, region.y - last.y)


def _is_another(now: Region, before: Region, since_s: float) -> bool:
    """Whether that is somebody who passes in front: nobody moves so far, or grows so much, from one frame to the
    next."""
    if since_s > FRAME_S:
        return False
    grown = now.edge / before.edge
    return _distance(now, before) > JUMP * before.edge or not 1 / GROWTH < grown < GROWTH


def _read(image: Image, region: Region, network: LandmarkNetwork, cover: Cover) -> Reading | None:
    """The body in region, as the network sees it without what others cover of it; None: there is none, or most of it
    would be guessed."""
    network.crop.take(image, region)
    painted = cover.paint(network.crop.pixels, region)
    if network.presence() <= (PRESENT if painted is None or not cover.there else STAYS):
        return None
    reading = network.reading()
    if painted is not None:
        places = np.nan_to_num(reading.points[FACE:LANDMARKS, :2]) * len(painted)
        x, y = np.clip(places, 0, len(painted) - 1).astype(np.intp).T
        if (painted[y, x] > 0).mean() > GUESSED:
            return None
    return reading


def _are_one(bodies: Sequence[Body]) -> bool:
    """Whether two bodies have the same landmarks, or the same face, or one of them is a mixture of both."""
    one, other = bodies
    edge = min(body.region.edge for body in bodies if body.region is not None)
    apart = np.linalg.norm((one.image - other.image)[:, :2], axis=1)
    if apart.mean() < SAME * edge or (apart[:FACE].mean() < SAME_FACE * edge and apart.mean() < SAME_BODY * edge):
        return True
    if one.behind or other.behind:
        return False
    near = min(float(apart[list(HIPS)].mean()), float(apart[list(SHOULDERS)].mean())) < NEAR * edge
    return near and max(one.strayed, other.strayed) > GARBLED
