"""BlazePose's tracking: bodies followed from frame to frame, looked for anew only where one is missing.

In: images in order, with their times. Out: bodies, each with landmarks in the image and in metres. Knows LiteRT through
networks.py only; knows no camera, file or process.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from livemove.body.landmarks import HIPS, SHOULDERS
from livemove.capture.blazepose.networks import LandmarkNetwork, Networks
from livemove.capture.blazepose.regions import Region
from livemove.capture.blazepose.smoothing import BodySmoothing
from livemove.capture.poses import Image
from livemove.contracts import LANDMARKS, Float32

PRESENT = 0.5
"""A body is there if the landmark network is surer than this (MediaPipe's default)."""

NEAR = 0.12
"""A found body whose hips are no farther from those of a followed one, in edges of its region (about 2.5 m), is that
one: two who dance together are."""

SAME, SAME_FACE = 0.05, 0.03
"""Two followed bodies whose landmarks, or only those of whose faces, are no farther apart on average, in edges of their
regions, are one: where one covers the other, a network may mix the two, but there is one face to be seen."""

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

FACE = 11
"""So many landmarks, the first ones, are of the face."""

STRAYED_S = 0.2
"""So long, as a time constant, it counts that a body moved unlike itself."""


@dataclass(eq=False)
class Body:
    """One body that is followed, or place for one.

    region      where it is looked for in the next frame; None: it is not there
    last        where it was last, at last_s
    strayed     how far its landmarks were lately from where they were going, in edges of its region, summed up
    step        float64 [33, 3]: what its landmarks moved by from the frame before; None: they were just found
    image       float64 [33, 3]: pixels of the image, z in the same scale
    metres      float64 [33, 3], hip-centred
    visibility  float64 [33], 0..1
    """

    region: Region | None = None
    last: Region | None = None
    last_s: float = 0.0
    strayed: float = 0.0
    step: Float64 | None = None
    smoothing: BodySmoothing = field(default_factory=BodySmoothing)
    image: Float64 = field(default_factory=lambda: np.zeros((LANDMARKS, 3)))
    metres: Float64 = field(default_factory=lambda: np.zeros((LANDMARKS, 3)))
    visibility: Float64 = field(default_factory=lambda: np.zeros(LANDMARKS))


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
        missing = [body for body in self.bodies if body.region is None]
        alone = len(missing) == len(self.bodies)
        if missing and (alone or not 0.0 <= capture_s - self._looked_s < LOOK_S):
            self._looked_s = capture_s
            self._assign(missing, self._detect(image, self._where(image, alone)), capture_s)
        self._follow_all(image, capture_s)
        for body in self.bodies:
            if body.region is None:
                body.smoothing.lost()
        return [body for body in self.bodies if body.region is not None]

    def _where(self, image: Image, alone: bool) -> Region:
        """Where to look for bodies: in the whole image; for further ones also in its halves, by turns, for a small body
        is found in less of an image. alone: nobody is followed yet."""
        height, width, _ = image.shape
        whole, edge = Region.whole(width, height), float(min(width, height))
        self._turn = 0 if alone else (self._turn + 1) % 3
        if self._turn == 0 or max(width, height) < 1.3 * edge:
            return whole
        ends = (edge / 2, max(width, height) - edge / 2)
        along = ends[self._turn - 1]
        return Region(along, height / 2, edge) if width > height else Region(width / 2, along, edge)

    def _detect(self, image: Image, where: Region) -> list[Region]:
        """The regions of all bodies in that part of image, the surest first."""
        self._networks.detector.crop.take(image, where)
        found = where.to_image(self._networks.detect())
        regions = [Region.around(hips, rim) for _, _, hips, rim in found]
        return [region for region in regions if region.usable]

    def _assign(self, missing: list[Body], found: list[Region], capture_s: float) -> None:
        """Give each missing body the found one that is nearest to where it was, for a while only if that is near; the
        one that is preferred if it never was, or was gone for long."""
        followed = [body.region for body in self.bodies if body.region is not None]
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
                body.region = min(left, key=self._prefer, default=None)
            else:
                apart = {region: _distance(region, body.last) for region in left}
                reach = body.last.edge if gone_s <= HOLD_S else math.inf
                body.region = min((each for each in left if apart[each] <= reach), key=apart.__getitem__, default=None)
            if body.region is not None:
                left.remove(body.region)
                body.strayed, body.step = 0.8 * GARBLED, None  # of two who are one, the new one goes

    def _follow_all(self, image: Image, capture_s: float) -> None:
        """Read the landmarks of all who are followed, side by side; of two who turn out to be one, one is gone."""
        followed = [(body, body.region) for body in self.bodies if body.region is not None]
        regions, networks = [region for _, region in followed], self._networks.landmarkers[: len(followed)]
        images = [image] * len(followed)
        if self._pool is None:
            present = list(map(_presence, images, regions, networks))
        else:
            present = list(self._pool.map(_presence, images, regions, networks))
        before = [(body.last, body.last_s) for body, _ in followed]
        for (body, region), network, presence in zip(followed, networks, present, strict=True):
            self._follow(body, region, network, presence, capture_s)
        there = [(body, last) for (body, _), last in zip(followed, before, strict=True) if body.region is not None]
        if len(there) > 1 and _are_one([body for body, _ in there]):
            body, (body.last, body.last_s) = max(there, key=lambda each: each[0].strayed)
            body.region = None

    def _follow(self, body: Body, region: Region, network: LandmarkNetwork, presence: float, capture_s: float) -> None:
        """What the network has read in region; where nobody is in it, the body is gone."""
        body.region = None
        if presence <= PRESENT:
            return
        reading = network.reading()
        points = region.to_image(reading.points)
        next_region = Region.around(*points[LANDMARKS:, :2])
        if not next_region.usable or _is_another(next_region, region, capture_s - body.last_s):
            return
        marks, metres = points[:LANDMARKS], region.upright_to_image(reading.metres)
        if len(self.bodies) > 1:
            self._stray(body, marks, region.edge, capture_s - body.last_s)
        body.region = body.last = next_region
        body.last_s = capture_s
        smoothed = body.smoothing(marks, metres, reading.visibility, next_region.edge, capture_s)
        body.image, body.metres, body.visibility = smoothed
        if not self._smoothed:
            body.image, body.metres = marks.astype(np.float64), metres.astype(np.float64)

    @staticmethod
    def _stray(body: Body, marks: Float32, edge: float, passed_s: float) -> None:
        """Of two who turn out to be one, it is the one that went there by itself: the other's network jumped to it."""
        if body.step is None:
            body.step = np.zeros((LANDMARKS, 3))
            return
        step = marks - body.image
        unlike = float(np.linalg.norm((step - body.step)[:, :2], axis=1).mean()) / edge
        body.strayed = body.strayed * math.exp(-max(passed_s, 0.0) / STRAYED_S) + min(unlike, 1.0)
        body.step = step


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


def _presence(image: Image, region: Region, network: LandmarkNetwork) -> float:
    """How sure the network is that there is a body in region."""
    network.crop.take(image, region)
    return network.presence()


def _are_one(bodies: Sequence[Body]) -> bool:
    """Whether two bodies have the same landmarks, or the same face, or one of them is a mixture of both."""
    one, other = bodies
    edge = min(body.region.edge for body in bodies if body.region is not None)
    apart = np.linalg.norm((one.image - other.image)[:, :2], axis=1)
    if apart.mean() < SAME * edge or apart[:FACE].mean() < SAME_FACE * edge:
        return True
    near = min(float(apart[list(HIPS)].mean()), float(apart[list(SHOULDERS)].mean())) < NEAR * edge
    return near and max(one.strayed, other.strayed) > GARBLED
