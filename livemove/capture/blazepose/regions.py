"""Square, turned regions of an image: what a network is shown of it, and where its answers lie in the image.

In: two keypoints of a body, or an image's size. Out: a Region, points brought back from the crop. Knows
no network. As published: Bazarevsky et al. 2020, "BlazePose: On-device Real-time Body Pose Tracking".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from livemove.contracts import Float32

FARTHEST = 16384.0
"""Pixels; a region beyond is the answer of a network that has lost its body."""

MARGIN = 1.25
"""A region is so many times the circle around a body: the networks were trained on crops with this much air."""


@dataclass(frozen=True)
class Region:
    """A square of an image: centre and edge in pixels; turned, in radians, clockwise as one sees it, so that a body in
    it stands upright."""

    x: float
    y: float
    edge: float
    turned: float = 0.0

    @classmethod
    def around(cls, hips: npt.ArrayLike, rim: npt.ArrayLike) -> Region:
        """The region of a body whose mid-hip is at hips, [2] in pixels, and which a circle through rim, [2], surrounds.

        rim lies on the body's axis: the direction from hips to it is up. Both are keypoints that the networks predict
        for this purpose (BlazePose, figure 3).
        """
        (x, y), (rim_x, rim_y) = np.asarray(hips, np.float64), np.asarray(rim, np.float64)
        turned = math.pi / 2 - math.atan2(y - rim_y, rim_x - x)
        turned -= 2 * math.pi * math.floor((turned + math.pi) / (2 * math.pi))
        return cls(float(x), float(y), 2.0 * MARGIN * math.hypot(rim_x - x, rim_y - y), turned)

    @classmethod
    def whole(cls, width: int, height: int) -> Region:
        """The smallest region with the whole image in it: what lies beside the image is letterboxing."""
        return cls(width / 2, height / 2, float(max(width, height)))

    @property
    def usable(self) -> bool:
        """Neither empty nor absurd: a network that has lost its body may give anything."""
        return max(abs(self.x), abs(self.y), self.edge) <= FARTHEST and self.edge >= 1.0 and math.isfinite(self.turned)

    def matrix(self) -> npt.NDArray[np.float64]:
        """float64 [2, 3]: takes (u, v, 1), 0..1 across the region and down it, to pixels of the image."""
        along, across = self.edge * math.cos(self.turned), self.edge * math.sin(self.turned)
        return np.array(
            [
                [along, -across, self.x - 0.5 * (along - across)],
                [across, along, self.y - 0.5 * (across + along)],
            ]
        )

    def to_image(self, points: Float32) -> Float32:
        """In pixels of the image: points float32 [..., 2 or 3], 0..1 across and down the region, z in that scale."""
        matrix = self.matrix()
        moved = np.empty(points.shape, np.float32)
        moved[..., :2] = points[..., :2] @ matrix[:, :2].T + matrix[:, 2]
        moved[..., 2:] = points[..., 2:] * self.edge
        return moved

    def upright_to_image(self, metres: Float32) -> Float32:
        """metres float32 [N, 3], hip-centred, of the upright body in the region: turned as the body in the image is."""
        cosine, sine = math.cos(self.turned), math.sin(self.turned)
        return metres @ np.array([[cosine, sine, 0.0], [-sine, cosine, 0.0], [0.0, 0.0, 1.0]], np.float32)
