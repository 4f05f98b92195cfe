"""What a picture's light is like: for the whole of it, and for the dancer in it.

In: a picture, and where in it somebody is. Out: Light. Judges nothing: it measures.
"""

# cv2's types are partial; numpy's stubs need a newer Python than 3.10.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from livemove.contracts import PoseFrame

WIDTH = 160
"""Measured on pictures reduced to this: quick, and free of the noise of single pixels."""
BURNT = 250
"""Luminance of 255 from which on there is nothing left to see."""

# The head and the trunk: what of a body is seen as an area, whatever the limbs do.
_TRUNK = np.array([0, 7, 8, 11, 12, 23, 24])


@dataclass(frozen=True)
class Light:
    """Luminances and shares, all 0..1.

    brightness   mean luminance (Rec. 601)
    contrast     between the 5th and the 95th percentile
    burnt        share of pixels that are plain white
    body, around mean luminance of head and trunk and of all else; NaN with nobody in the picture
    """

    brightness: float
    contrast: float
    burnt: float
    body: float = math.nan
    around: float = math.nan


Box = tuple[float, float, float, float]


def trunk_box(frame: PoseFrame) -> Box | None:
    """(left, top, right, bottom) of head and trunk, 0..1 of the picture; None: nobody, or nothing of them in it."""
    if frame.people == 0:
        return None
    places = np.clip(frame.image[0, _TRUNK, :2], 0.0, 1.0)
    (left, top), (right, bottom) = places.min(axis=0).tolist(), places.max(axis=0).tolist()
    return (left, top, right, bottom) if right - left > 0.02 and bottom - top > 0.02 else None


def light(picture: npt.NDArray[np.uint8], box: Box | None = None) -> Light:
    """How the light in picture is, uint8 RGB [height, width, 3]; box: where head and trunk are."""
    import cv2

    height, width, _ = picture.shape
    size = WIDTH, max(round(height * WIDTH / width), 2)
    grey = cv2.cvtColor(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    dark, bright = np.percentile(grey, (5, 95)) / 255.0
    body, around = math.nan, math.nan
    if box is not None:
        left, top, right, bottom = box
        rows = slice(int(top * size[1]), max(math.ceil(bottom * size[1]), 1))
        columns = slice(int(left * size[0]), max(math.ceil(right * size[0]), 1))
        inside = np.zeros(grey.shape, np.bool_)
        inside[rows, columns] = True
        body = float(grey[inside].mean()) / 255.0
        around = float(grey[~inside].mean()) / 255.0 if not inside.all() else math.nan
    return Light(float(grey.mean()) / 255.0, float(bright - dark), float((grey >= BURNT).mean()), body, around)
