"""A region of an image as a network is shown it: so many pixels square, sampled as MediaPipe samples it.

In: an image, a Region. Out: a crop, in memory that is kept. Knows no network.
"""

from __future__ import annotations

import cv2
import numpy as np

from livemove.capture.blazepose.regions import Region
from livemove.capture.poses import Image

_PART_BITS = 5
"""Samples are taken at multiples of 1/32 of a pixel."""
_SPARE_BITS = 11
"""So many more while places are computed: with those, 16 for the part of a pixel and 16 for whole ones in an int32."""
_ONE = 1 << (_PART_BITS + _SPARE_BITS)


class Crop:
    """pixels: uint8 RGB [edge, edge, 3]. border: cv2's, for what lies beside the image; letterboxing is black.

    Linear interpolation between places rounded to 1/32 of a pixel, results rounded half up: OpenCV's fixed-point warp,
    which MediaPipe's own OpenCV uses. `cv2.warpAffine` may be exact instead, depending on how it was built, and an
    eighth of the pixels then differ by 1: enough to move landmarks by a pixel of a large image where this moves them by
    1/100. `cv2.remap` with fixed-point maps does the same everywhere.

    The networks push everything out of the caches from frame to frame, so what counts is how much memory is touched:
    integers of 32 bits take 0.33 ms where floats of 64 took 0.85 (2 cores, 4 GHz, 256 x 256).
    """

    def __init__(self, edge: int, border: int) -> None:
        self.pixels: Image = np.zeros((edge, edge, 3), np.uint8)
        self._border = border
        self._steps = np.arange(edge) / edge
        self._x = np.empty((edge, edge), np.int32)
        self._y = np.empty((edge, edge), np.int32)
        self._spare = np.empty((edge, edge), np.int32)
        self._whole = np.empty((edge, edge), "<i4")
        """Two int16 in one: x in the lower half, y in the upper."""
        self._part = np.empty((edge, edge), np.uint16)
        """The parts that are left of a pixel, in steps: x, and 32 times y."""

    def take(self, image: Image, region: Region) -> None:
        """Fill pixels with what region, a usable one, shows of image, uint8 RGB [height, width, 3]."""
        x, y, whole = self._x, self._y, self._whole
        for places, (along, down, start) in zip((x, y), region.matrix() * _ONE, strict=True):
            row, column = along * self._steps, down * self._steps + start + (1 << (_SPARE_BITS - 1))  # to round half up
            np.add.outer(np.rint(column).astype(np.int32), np.rint(row).astype(np.int32), out=places)
        np.bitwise_and(y, -_ONE, out=whole)
        for places in (x, y):
            places >>= _SPARE_BITS
        np.right_shift(x, _PART_BITS, out=self._spare)
        self._spare &= 0xFFFF
        whole |= self._spare
        x &= (1 << _PART_BITS) - 1
        y &= (1 << _PART_BITS) - 1
        y <<= _PART_BITS
        np.bitwise_or(x, y, out=self._part, casting="unsafe")
        maps = whole.view("<i2").reshape(*whole.shape, 2)
        cv2.remap(image, maps, self._part, cv2.INTER_LINEAR, self.pixels, self._border, (0, 0, 0))
