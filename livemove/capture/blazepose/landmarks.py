"""What BlazePose's landmark network says, read: landmarks in its crop, in metres, visibility, the next region's points.

In: the network's output tensors. Out: a Reading. numpy only; knows neither image nor network nor the frame before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from livemove.capture.blazepose.sigmoid import sigmoid
from livemove.contracts import LANDMARKS, Float32

EDGE = 256
"""The network looks at 256 x 256 pixels."""

POINTS = 39
"""Landmarks that the network gives: 33 of the body, mid-hip and rim of the next region, four that nothing uses."""

WINDOW = 3
"""The heat map is read so many cells around a landmark: 7 x 7 cells."""

SURE = 0.5
"""A heat map whose highest cell is below this says nothing."""


@dataclass(frozen=True)
class Reading:
    """One body in a crop.

    points      float32 [35, 3]: x and y in 0..1 of the crop, z in the same scale; the last two are the keypoints of the
                region in which the body will be looked for next, mid-hip and rim
    metres      float32 [33, 3], hip-centred, upright as in the crop
    visibility  float32 [33], 0..1
    """

    points: Float32
    metres: Float32
    visibility: Float32


def read(raw: Float32, heat: Float32, metres: Float32) -> Reading:
    """raw float32 [195]: x, y, z, visibility, presence of 39 landmarks; heat [64, 64, 39], logits; metres [117]."""
    marks = raw.reshape(POINTS, 5)
    points = marks[: LANDMARKS + 2, :3] / np.float32(EDGE)
    refine(points, heat)
    return Reading(points, metres.reshape(POINTS, 3)[:LANDMARKS].copy(), sigmoid(marks[:LANDMARKS, 3]))


_REACH = np.arange(-WINDOW, WINDOW + 1)


def refine(points: Float32, heat: Float32) -> None:
    """Move points, [N, 3] in 0..1, in place to the centre of heat, logits [height, width, >= N], in the cells around.

    A point outside the map stays, and so does one about which the map says nothing.
    """
    height, width, _ = heat.shape
    cells = np.trunc(points[:, :2] * (width, height)).astype(np.intp)
    columns, rows = cells[:, :1] + _REACH, cells[:, 1:] + _REACH  # [N, 7]
    inside_x, inside_y = (columns >= 0) & (columns < width), (rows >= 0) & (rows < height)
    logits = heat[
        np.clip(rows, 0, height - 1)[:, :, None], np.clip(columns, 0, width - 1)[:, None, :],
        np.arange(len(points))[:, None, None],
    ]  # fmt: skip
    weights = sigmoid(logits) * (inside_y[:, :, None] & inside_x[:, None, :])
    total = weights.sum(axis=(1, 2))
    in_map = ((cells >= 0) & (cells < (width, height))).all(axis=1)
    moved = in_map & (weights.max(axis=(1, 2)) >= SURE)
    x = (weights.sum(axis=1) * columns).sum(axis=1)
    y = (weights.sum(axis=2) * rows).sum(axis=1)
    points[moved, 0] = x[moved] / total[moved] / width
    points[moved, 1] = y[moved] / total[moved] / height
