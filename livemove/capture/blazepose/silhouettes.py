"""What a body covers of a crop, by its landmarks, so that a network can be shown another body without it.

In: landmarks in the image, the region that a crop shows. Out: a mask, or the crop painted over. Knows no network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from livemove.body.landmarks import BONES, EARS, HIPS, SHOULDERS
from livemove.capture.blazepose.regions import Region
from livemove.capture.poses import Image
from livemove.contracts import Float64

LIMB, HEAD, HAND = 0.36, 0.42, 0.18
"""Widths of limbs, radii of head, hands and feet, in lengths of the trunk."""
OWN = 1.4
"""So much wider a body's own silhouette is left free: landmarks that are a little off must not eat it away."""
GREY = 127
"""What a body that is in the way is painted with: a network takes it for a thing."""

_ENDS = (19, 20, 31, 32)


@dataclass(frozen=True)
class Cover:
    """What hides a body: others, each float64 [33, 2] in pixels of the image, but for what its own landmarks cover;
    there: whether that body was seen in the frame before."""

    others: Sequence[Float64] = ()
    own: Float64 | None = None
    there: bool = False

    def paint(self, pixels: Image, region: Region) -> Image | None:
        """Over a crop of region, uint8 RGB [edge, edge, 3], in place; where: uint8 [edge, edge], 255, or None."""
        edge, painted = len(pixels), None
        for other in self.others:
            mask = silhouette(other, region, edge)
            if mask is None:
                continue
            if self.own is not None and (kept := silhouette(self.own, region, edge, OWN)) is not None:
                mask &= ~kept
            pixels[mask > 0] = GREY
            painted = mask if painted is None else painted | mask
        return painted


def silhouette(marks: Float64, region: Region, edge: int, wide: float = 1.0) -> Image | None:
    """uint8 [edge, edge], 255 where a body with those landmarks, [33, 2] in pixels of the image, is in a crop of that
    region; None: nowhere. wide: factor on the widths of its parts."""
    cosine, sine = math.cos(region.turned), math.sin(region.turned)
    turned = (marks - (region.x, region.y)) @ np.array([[cosine, -sine], [sine, cosine]])
    points = (turned / region.edge + 0.5) * edge
    outside = (points.max(axis=0) < 0).any() or (points.min(axis=0) > edge).any()
    if outside or not np.isfinite(points).all():
        return None
    whole = np.rint(np.clip(points, -edge, 2 * edge)).astype(np.int32)
    trunk = float(np.hypot(*(whole[list(SHOULDERS)].mean(axis=0) - whole[list(HIPS)].mean(axis=0))))
    trunk *= wide
    mask = np.zeros((edge, edge), np.uint8)
    for a, b in BONES:
        cv2.line(mask, whole[a].tolist(), whole[b].tolist(), 255, max(round(LIMB * trunk), 1))
    cv2.fillConvexPoly(mask, cv2.convexHull(whole[[*SHOULDERS, *HIPS]]), 255)
    cv2.circle(mask, whole[list(EARS)].mean(axis=0).astype(int).tolist(), max(round(HEAD * trunk), 1), 255, -1)
    for end in _ENDS:
        cv2.circle(mask, whole[end].tolist(), max(round(HAND * trunk), 1), 255, -1)
    return mask
