"""How a stored frame is to be shown: its pixels' shape, and how it is turned and mirrored.

In: a decoded frame and its stream. Out: the frame upright and with square pixels, in any pixel format. Knows no time.
"""

# PyAV's stubs are partial.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import SideDataContainer, Type
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream

Image = npt.NDArray[np.uint8]

NARROWEST, WIDEST = Fraction(1, 8), Fraction(8)
"""Shapes of pixels that are believed; 32:27 and 64:45 are common, 2:1 is rare."""

LONGEST_EDGE = 8192
"""Of a frame made square: it is reduced as a whole beyond that."""


@dataclass(frozen=True)
class Geometry:
    """width, height: of a frame as stored, its pixels made square; then transposed (rows become columns); then
    mirrored left to right (flip_x), upside down (flip_y), or both."""

    width: int
    height: int
    transposed: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @property
    def shown(self) -> tuple[int, int]:
        """(width, height) as displayed."""
        return (self.height, self.width) if self.transposed else (self.width, self.height)

    def turned(self, plane: Image) -> Image:
        """A plane [height, width, ...] as it is displayed."""
        if self.transposed:
            plane = plane.swapaxes(0, 1)
        return plane[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]


class PixelShape:
    """The shape of a stream's pixels, width by height. A broadcast may change it on the way; a container's word goes
    before the codec's."""

    def __init__(self, stream: VideoStream) -> None:
        self._context = stream.codec_context
        self._coded = self._context.sample_aspect_ratio
        self._first = stream.sample_aspect_ratio or self._coded

    def now(self) -> Fraction:
        """1 where nothing is said, or nothing that can be."""
        coded = self._context.sample_aspect_ratio
        shape = self._first if coded == self._coded else coded
        return shape if shape and NARROWEST <= shape <= WIDEST else Fraction(1)


def geometry_of(frame: VideoFrame, shape: Fraction) -> Geometry:
    """Of a frame whose pixels have that shape. No pixel is thrown away: narrow ones are made wide, flat ones tall."""
    width = frame.width * max(shape, 1)
    height = frame.height / min(shape, 1)
    scale = min(Fraction(LONGEST_EDGE) / max(width, height, 1), Fraction(1))
    square = Geometry(max(round(width * scale), 1), max(round(height * scale), 1))
    # Not frame.side_data: it would stay with the frame and hold it, a cycle that keeps the image until Python's
    # collector comes by, which is after hundreds of frames.
    matrix = cast(Any, SideDataContainer)(frame).get(Type.DISPLAYMATRIX)
    return square if matrix is None else _displayed(square, bytes(matrix))


def _displayed(square: Geometry, matrix: bytes) -> Geometry:
    """By a display matrix (ISO/IEC 14496-12, 8.2.2): x' = a x + c y, y' = b x + d y, in 16.16 fixed point.

    Angles between the quarter turns are taken for the nearest; a matrix that turns nothing into nothing is left out.
    """
    if len(matrix) < 20:
        return square
    a, b, _, c, d = struct.unpack("=5i", matrix[:20])
    if abs(b) + abs(c) > abs(a) + abs(d):
        return replace(square, transposed=True, flip_x=c < 0, flip_y=b < 0) if b and c else square
    return replace(square, flip_x=a < 0, flip_y=d < 0) if a and d else square


def even(size: tuple[int, int]) -> tuple[int, int]:
    """The size of frames that H.264 takes."""
    width, height = (max(edge // 2 * 2, 2) for edge in size)
    return width, height


def as_image(frame: VideoFrame, geometry: Geometry) -> Image:
    """uint8 RGB [height, width, 3], as displayed, in one piece."""
    rgb = frame.reformat(geometry.width, geometry.height, "rgb24", dst_color_range=ColorRange.JPEG)
    return np.ascontiguousarray(geometry.turned(cast(Image, rgb.to_ndarray())))


def as_yuv(frame: VideoFrame, geometry: Geometry, width: int, height: int) -> VideoFrame:
    """yuv420p, as displayed, scaled into width by height (even), with black beside it where the shape differs."""
    shown_w, shown_h = geometry.shown
    scale = min(width / shown_w, height / shown_h)
    fits_w = width if shown_w * scale > width - 2 else max(round(shown_w * scale / 2) * 2, 2)
    fits_h = height if shown_h * scale > height - 2 else max(round(shown_h * scale / 2) * 2, 2)
    stored = (fits_h, fits_w) if geometry.transposed else (fits_w, fits_h)
    yuv = frame.reformat(*stored, "yuv420p", dst_color_range=ColorRange.MPEG)
    if not (geometry.transposed or geometry.flip_x or geometry.flip_y) and stored == (width, height):
        return yuv
    flat = cast(Image, yuv.to_ndarray()).ravel()
    out = VideoFrame(width, height, "yuv420p")
    begin = 0
    for place, plane in enumerate(out.planes):
        part = 2 if place else 1
        w, h = stored[0] // part, stored[1] // part
        turned = geometry.turned(flat[begin : begin + w * h].reshape(h, w))
        begin += w * h
        rows = np.full((plane.height, plane.line_size), 128 if place else 16, np.uint8)
        top, left = (height - fits_h) // 4 * 2 // part, (width - fits_w) // 4 * 2 // part
        rows[top : top + turned.shape[0], left : left + turned.shape[1]] = turned
        plane.update(rows.tobytes())
    out.colorspace, out.color_range = yuv.colorspace, yuv.color_range
    return out
