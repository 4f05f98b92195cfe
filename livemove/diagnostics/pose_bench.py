"""Benchmark of the pose landmarker with and without its segmentation mask, the two in turn on every frame of a clip.

In: a clip, a pose model. Out: medians and 95th percentiles in milliseconds. Prints nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from livemove.capture.landmarker import Landmarker
from livemove.contracts import CameraError
from livemove.media import video_file

WARM_UP = 10
"""Frames that do not count: nobody has been found in the first ones, and the caches are cold."""


@dataclass(frozen=True)
class PoseTime:
    """Milliseconds per frame. segmentation_mask: whether it was computed; poses: frames with a person, of `frames`."""

    segmentation_mask: bool
    frames: int
    poses: int
    p50_ms: float
    p95_ms: float


def as_json(result: PoseTime) -> dict[str, object]:
    """As `bench --clip FILE --json` has always written it: its field names are not those of the class."""
    return {
        "silhouette": result.segmentation_mask,
        "pictures": result.frames,
        "poses": result.poses,
        "p50_ms": result.p50_ms,
        "p95_ms": result.p95_ms,
    }


def run(clip: Path, kind: str, path: Path | None, frames: int, show: Callable[[float, float], None]) -> list[PoseTime]:
    """Both variants, the published model first. show is called with (frames done, frames in all).

    Raises CameraError: no video, or shorter than the warm-up; PoseModelError.
    """
    variants = (True, False)
    spent: tuple[list[float], list[float]] = ([], [])
    poses = [0, 0]
    with Landmarker(kind, path, segmentation_mask=True) as published, Landmarker(kind, path) as trimmed:
        for n, (time_s, image) in enumerate(islice(video_file.frames(clip), WARM_UP + frames)):
            for variant, landmarker in enumerate((published, trimmed)):
                began_s = time.perf_counter()
                found = landmarker.find(image, time_s)
                took_s = time.perf_counter() - began_s
                if n >= WARM_UP:
                    spent[variant].append(took_s)
                    poses[variant] += found.people > 0
            show(n + 1, WARM_UP + frames)
    if not spent[0]:
        raise CameraError(f"{clip}: too short to measure: more than {WARM_UP} frames are needed")
    quantiles = [1e3 * np.quantile(each, (0.5, 0.95)) for each in spent]
    return [
        PoseTime(with_mask, len(each), count, float(p50), float(p95))
        for with_mask, each, count, (p50, p95) in zip(variants, spent, poses, quantiles, strict=True)
    ]
