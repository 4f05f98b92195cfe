"""What BlazePose's detector says, read: boxes with keypoints, one per body.

In: the detector's two output tensors. Out: bodies, the surest first. numpy only; knows neither image nor network.
"""

from __future__ import annotations

import numpy as np

from livemove.capture.blazepose.sigmoid import sigmoid
from livemove.contracts import Float32

EDGE = 224
"""The detector looks at 224 x 224 pixels."""

SURE = 0.5
"""A box that the detector believes in less is none (MediaPipe's default)."""

SAME = 0.5
"""Two boxes whose intersection is more than this share of their union show the same body (MediaPipe's default)."""


def anchors() -> Float32:
    """The centres of the 2,254 anchors, float32 [2254, 2], x and y in 0..1 (SSD, Liu et al. 2016).

    Strides 8, 16, 32, 32, 32 at one aspect ratio: MediaPipe's SSD gives each layer two anchors per place and puts
    layers of one stride together, so 2 x 28², 2 x 14², 6 x 7². Sizes are fixed to 1 and need no array.
    """
    places: list[Float32] = []
    for cells, count in ((28, 2), (14, 2), (7, 6)):
        steps = (np.arange(cells, dtype=np.float32) + 0.5) / cells
        grid = np.stack(np.meshgrid(steps, steps), -1)  # x varies fastest
        places.append(np.repeat(grid.reshape(-1, 2), count, axis=0).astype(np.float32))
    return np.concatenate(places)


def bodies(boxes: Float32, logits: Float32, centres: Float32) -> Float32:
    """The bodies in a crop: float32 [N, 4, 2], per body the corners of its box, mid-hip and rim of the whole body.

    boxes float32 [2254, 12]: centre x, y, width, height, four keypoints x, y, in pixels of the crop, centres from
    their anchors on; logits float32 [2254]; centres: `anchors()`. What comes out is in 0..1 of the crop, surest first.
    Boxes of one body are averaged by their scores (weighted non-maximum suppression, BlazeFace, Bazarevsky 2019).
    """
    scores = sigmoid(logits)
    kept = np.flatnonzero((scores >= SURE) & (boxes[:, 2:4] >= 0.0).all(axis=1))
    kept = kept[np.argsort(-scores[kept], kind="stable")]
    scores = scores[kept]
    raw = boxes[kept, :8].reshape(-1, 4, 2) / EDGE
    found = np.add(raw, centres[kept, None, :], dtype=np.float32)  # rows: centre, size, mid-hip, rim
    half = raw[:, 1] / 2
    found[:, 0], found[:, 1] = found[:, 0] - half, found[:, 0] + half
    merged: list[Float32] = []
    while len(found):
        same = _overlap(found[0], found) > SAME
        same[0] = True  # an empty box does not even overlap itself
        shares = scores[same] / scores[same].sum()
        merged.append(np.einsum("n,nij->ij", shares, found[same]))
        found, scores = found[~same], scores[~same]
    return np.array(merged, np.float32).reshape(-1, 4, 2)


def _overlap(one: Float32, others: Float32) -> Float32:
    """Intersection over union of the box of one, [4, 2], with those of others, [N, 4, 2]."""
    shared = _area(np.minimum(one[1], others[:, 1]) - np.maximum(one[0], others[:, 0]))
    union = _area(one[1] - one[0]) + _area(others[:, 1] - others[:, 0]) - shared
    return np.divide(shared, np.maximum(union, np.finfo(np.float32).tiny), dtype=np.float32)


def _area(size: Float32) -> Float32:
    """Width times height, [..., 2]; nothing where either is negative."""
    size = np.maximum(size, np.float32(0.0))
    return size[..., 0] * size[..., 1]
