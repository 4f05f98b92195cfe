"""BlazePose's tracking: bodies followed from frame to frame, looked for anew only where one is missing.

In: images in order, with their times. Out: bodies, each with landmarks in the image and in metres. Knows LiteRT through
networks.py only; knows no camera, file or process.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from livemove.capture.blazepose.networks import Networks
from livemove.capture.blazepose.regions import Region
from livemove.capture.blazepose.smoothing import BodySmoothing
from livemove.capture.poses import Image
from livemove.contracts import LANDMARKS

PRESENT = 0.5
"""A body is there if the landmark network is surer than this (MediaPipe's default)."""

OVERLAP = 0.5
"""A found body whose region overlaps that of a followed one more than this (intersection over union) is that one."""

Float64 = npt.NDArray[np.float64]


@dataclass
class Body:
    """One body that is followed, or place for one.

    region      where it is looked for in the next frame; None: it is not there
    last        where it was last
    image       float64 [33, 3]: pixels of the image, z in the same scale
    metres      float64 [33, 3], hip-centred
    visibility  float64 [33], 0..1
    """

    region: Region | None = None
    last: Region | None = None
    smoothing: BodySmoothing = field(default_factory=BodySmoothing)
    image: Float64 = field(default_factory=lambda: np.zeros((LANDMARKS, 3)))
    metres: Float64 = field(default_factory=lambda: np.zeros((LANDMARKS, 3)))
    visibility: Float64 = field(default_factory=lambda: np.zeros(LANDMARKS))


class Tracker:
    """Follows up to `people` bodies. A body keeps its place in `bodies` as long as it is seen."""

    def __init__(self, networks: Networks, people: int = 1, smoothed: bool = False) -> None:
        """smoothed: as MediaPipe smooths landmarks. By its filter a hand at 0.05 m/s is 76 ms late (one pole at 0.1 Hz
        and 40 Hz for every m/s); body/ has one that also predicts."""
        self.bodies = [Body() for _ in range(people)]
        self._networks = networks
        self._smoothed = smoothed

    def look(self, image: Image, capture_s: float) -> list[Body]:
        """Those who are in image, uint8 RGB [height, width, 3], seen capture_s, later than the one before."""
        missing = [body for body in self.bodies if body.region is None]
        if missing:
            self._assign(missing, self._detect(image))
        for body in self.bodies:
            if body.region is not None:
                self._follow(body, body.region, image, capture_s)
            if body.region is None:
                body.smoothing.lost()
        return [body for body in self.bodies if body.region is not None]

    def _detect(self, image: Image) -> list[Region]:
        """The regions of all bodies in image, the surest first."""
        height, width, _ = image.shape
        whole = Region.whole(width, height)
        self._networks.detector.crop.take(image, whole)
        found = whole.to_image(self._networks.detect())
        regions = [Region.around(hips, rim) for _, _, hips, rim in found]
        return [region for region in regions if region.usable]

    def _assign(self, missing: list[Body], found: list[Region]) -> None:
        """Give each missing body the found one that is nearest to where it was; the largest if it never was."""
        followed = [body.region for body in self.bodies if body.region is not None]
        left = [region for region in found if all(_overlap(region, other) <= OVERLAP for other in followed)]
        for body in missing:
            if left:
                body.region = min(left, key=lambda region, last=body.last: _distance(region, last))
                left.remove(body.region)

    def _follow(self, body: Body, region: Region, image: Image, capture_s: float) -> None:
        """Read the landmarks in region; where nobody is in it, the body is gone."""
        self._networks.landmarker.crop.take(image, region)
        body.region = None
        if self._networks.presence() <= PRESENT:
            return
        reading = self._networks.reading()
        points = region.to_image(reading.points)
        next_region = Region.around(*points[LANDMARKS:, :2])
        if not next_region.usable:
            return
        body.region = body.last = next_region
        image, metres = points[:LANDMARKS], region.upright_to_image(reading.metres)
        smoothed = body.smoothing(image, metres, reading.visibility, next_region.edge, capture_s)
        body.image, body.metres, body.visibility = smoothed
        if not self._smoothed:
            body.image, body.metres = image.astype(np.float64), metres.astype(np.float64)


def _distance(region: Region, last: Region | None) -> float:
    """From last in pixels; without one, the larger the nearer."""
    return -region.edge if last is None else math.hypot(region.x - last.x, region.y - last.y)


def _overlap(one: Region, other: Region) -> float:
    """Intersection over union, as if neither were turned."""
    reach = (one.edge + other.edge) / 2
    shared = math.prod(
        max(min(reach - abs(apart), one.edge, other.edge), 0.0) for apart in (one.x - other.x, one.y - other.y)
    )
    return shared / (one.edge**2 + other.edge**2 - shared)
