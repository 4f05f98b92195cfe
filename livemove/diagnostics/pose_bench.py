"""How long does it take to find a pose? With and without the silhouette, picture by picture in turn.

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
"""Pictures that do not count: nobody has been found in the first ones, and the caches are cold."""


@dataclass(frozen=True)
class PoseTime:
    """Milliseconds a picture. poses: pictures with somebody in them, of `pictures`."""

    silhouette: bool
    pictures: int
    poses: int
    p50_ms: float
    p95_ms: float


def run(
    clip: Path, kind: str, path: Path | None, pictures: int, show: Callable[[float, float], None]
) -> list[PoseTime]:
    """Both ways, the published model first. show is called with (pictures done, pictures in all).

    Raises CameraError: no video, or shorter than the warm-up; PoseModelError.
    """
    ways = (True, False)
    spent: tuple[list[float], list[float]] = ([], [])
    poses = [0, 0]
    with Landmarker(kind, path, silhouette=True) as published, Landmarker(kind, path) as trimmed:
        for n, (time_s, picture) in enumerate(islice(video_file.frames(clip), WARM_UP + pictures)):
            for way, landmarker in enumerate((published, trimmed)):
                began_s = time.perf_counter()
                found = landmarker.find(picture, time_s)
                took_s = time.perf_counter() - began_s
                if n >= WARM_UP:
                    spent[way].append(took_s)
                    poses[way] += found.people > 0
            show(n + 1, WARM_UP + pictures)
    if not spent[0]:
        raise CameraError(f"{clip}: too short to measure: more than {WARM_UP} pictures are needed")
    quantiles = [1e3 * np.quantile(each, (0.5, 0.95)) for each in spent]
    return [
        PoseTime(silhouette, len(each), count, float(p50), float(p95))
        for silhouette, each, count, (p50, p95) in zip(ways, spent, poses, quantiles, strict=True)
    ]
