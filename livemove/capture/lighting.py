"""Lighting of a camera image: over all of it, and on the dancer's face.

In: an image, and where in it the face is. Out: Light, luminances 0..1. Measures only; what is too dark is decided
elsewhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from livemove.contracts import PoseFrame

WIDTH = 320
"""Measured on images reduced to this width: quick, and free of the noise of single pixels."""
BURNT = 250
"""Luminance of 255 from which on there is nothing left to see."""

_FACE = np.arange(11)
"""Landmarks of nose, eyes, ears and mouth: of a body, what clothes do not make dark or bright."""


@dataclass(frozen=True)
class Light:
    """Luminances and shares, all 0..1.

    brightness   mean luminance (Rec. 601)
    contrast     between the 5th and the 95th percentile
    burnt        share of pixels that are plain white
    face         mean luminance of the face; NaN with nobody in view
    """

    brightness: float
    contrast: float
    burnt: float
    face: float = math.nan


Box = tuple[float, float, float, float]


def face_box(frame: PoseFrame) -> Box | None:
    """(left, top, right, bottom) of the face, 0..1 of the image; None with nobody there, or a face outside it."""
    if frame.people == 0:
        return None
    places = np.clip(frame.image[0, _FACE, :2], 0.0, 1.0)
    (left, top), (right, bottom) = places.min(axis=0).tolist(), places.max(axis=0).tolist()
    return (left, top, right, bottom) if right > left and bottom > top else None


def light(image: npt.NDArray[np.uint8], box: Box | None = None) -> Light:
    """The light in image, uint8 RGB [height, width, 3]; box: where the face is."""
    import cv2

    height, width, _ = image.shape
    size = WIDTH, max(round(height * WIDTH / width), 2)
    grey = cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    dark, bright = np.percentile(grey, (5, 95)) / 255.0
    face = math.nan
    if box is not None:
        left, top, right, bottom = box
        rows = slice(int(top * (size[1] - 1)), int(bottom * (size[1] - 1)) + 1)
        columns = slice(int(left * (size[0] - 1)), int(right * (size[0] - 1)) + 1)
        face = float(grey[rows, columns].mean()) / 255.0
    return Light(float(grey.mean()) / 255.0, float(bright - dark), float((grey >= BURNT).mean()), face)
