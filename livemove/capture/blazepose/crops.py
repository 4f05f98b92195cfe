"""A region of an image as a network is shown it: so many pixels square, sampled as MediaPipe samples it.

In: an image, a Region. Out: a crop, in memory that is kept. Knows no network.
"""

from __future__ import annotations

import cv2
import numpy as np

from livemove.capture.blazepose.regions import Region
from livemove.capture.poses import Image

_BITS = 5
_STEPS = 1 << _BITS
"""Samples are taken at multiples of 1/32 of a pixel."""


class Crop:
    """pixels: uint8 RGB [edge, edge, 3]. border: cv2's, for what lies beside the image; letterboxing is black.

    Linear interpolation between positions rounded to 1/32 of a pixel, results rounded half up: OpenCV's fixed-point
    warp, which MediaPipe's own OpenCV uses. `cv2.warpAffine` may be exact instead, depending on how it was built, and
    an eighth of the pixels then differ by 1: enough to move landmarks by a pixel of a large image where this moves them
    by 1/400. `cv2.remap` with fixed-point maps does the same everywhere.
    """

    def __init__(self, edge: int, border: int) -> None:
        self.pixels: Image = np.zeros((edge, edge, 3), np.uint8)
        self._border = border
        self._steps = np.arange(edge) / edge
        self._places = np.empty((2, edge, edge))
        self._fixed = np.empty((2, edge, edge), np.int32)
        self._whole = np.empty((edge, edge, 2), np.int16)
        self._part = np.empty((edge, edge), np.uint16)

    def take(self, image: Image, region: Region) -> None:
        """Fill pixels with what region shows of image, uint8 RGB [height, width, 3]."""
        matrix = region.matrix() * _STEPS
        for places, (along, down, start) in zip(self._places, matrix, strict=True):
            np.add.outer(down * self._steps + start, along * self._steps, out=places)
        np.rint(self._places, out=self._places)
        np.copyto(self._fixed, self._places, casting="unsafe")
        for axis in (0, 1):
            np.right_shift(self._fixed[axis], _BITS, out=self._whole[:, :, axis], casting="unsafe")
        self._fixed &= _STEPS - 1
        self._fixed[1] <<= _BITS
        np.bitwise_or(self._fixed[0], self._fixed[1], out=self._part, casting="unsafe")
        cv2.remap(image, self._whole, self._part, cv2.INTER_LINEAR, self.pixels, self._border, (0, 0, 0))
