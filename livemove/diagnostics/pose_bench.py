"""Benchmark of the landmarker: its runtimes and threads, with and without the segmentation mask, in turn on one clip.

In: a clip, a pose model. Out: milliseconds per frame, shares of MediaPipe's time, distances from its landmarks. Prints
nothing.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from livemove.capture.landmarker import Landmarker, chosen
from livemove.contracts import CameraError, PoseFrame, PoseModelError
from livemove.ipc.cpu_affinity import cores_here
from livemove.media import video_file

WARM_UP = 10
"""Frames that do not count: nobody has been found in the first ones, and the caches are cold."""

TURN = 10
"""Frames that one variant looks at before the next one's turn: short enough for a machine that is busy with something
else to be as busy for all, long enough for the threads of one to have gone to sleep."""


@dataclass(frozen=True)
class Variant:
    """One way to compute a pose; see `Landmarker`."""

    runtime: str
    threads: int
    segmentation_mask: bool = False


YARDSTICK = Variant("mediapipe", 1)
"""What the others' times and landmarks are held against."""


@dataclass(frozen=True)
class PoseTime:
    """Of one variant: frames with a person, of `frames`; milliseconds per frame; its share of the yardstick's time, of
    each turn's median: median, lowest and highest; how far its landmarks are from the yardstick's, in pixels.
    """

    variant: Variant
    frames: int
    poses: int
    p50_ms: float
    p95_ms: float
    share: tuple[float, float, float]
    apart_p50_px: float
    apart_p95_px: float


def as_json(result: PoseTime) -> dict[str, object]:
    """As `bench --clip FILE --json` has always written it: some field names are not those of the class."""
    median, lowest, highest = result.share
    return {
        "silhouette": result.variant.segmentation_mask,
        "pictures": result.frames,
        "poses": result.poses,
        "p50_ms": result.p50_ms,
        "p95_ms": result.p95_ms,
        "runtime": result.variant.runtime,
        "threads": result.variant.threads,
        "share_of_mediapipe": median,
        "share_lowest": lowest,
        "share_highest": highest,
        "apart_p50_px": result.apart_p50_px,
        "apart_p95_px": result.apart_p95_px,
    }


@dataclass
class _Counted:
    """What is counted of one variant: seconds per frame, turn by turn; landmarks in pixels, or None, frame by frame."""

    turns: list[list[float]] = field(default_factory=lambda: [])
    landmarks: list[np.ndarray | None] = field(default_factory=lambda: [])


def variants() -> list[Variant]:
    """MediaPipe as published, and as livemove runs it; LiteRT, if it is installed, on one thread and on all."""
    found = [Variant("mediapipe", 1, segmentation_mask=True), YARDSTICK]
    with contextlib.suppress(PoseModelError):
        found += [Variant(chosen("litert"), threads) for threads in sorted({1, cores_here()})]
    return found


def run(clip: Path, kind: str, path: Path | None, frames: int, show: Callable[[float, float], None]) -> list[PoseTime]:
    """All variants, the published model first. show is called with (frames done, frames in all).

    Raises CameraError: no video, or shorter than the warm-up; PoseModelError.
    """
    counted = {variant: _Counted() for variant in variants()}
    with contextlib.ExitStack() as stack:
        landmarkers = {
            variant: stack.enter_context(
                Landmarker(
                    kind,
                    path,
                    segmentation_mask=variant.segmentation_mask,
                    runtime=variant.runtime,
                    threads=variant.threads,
                    smoothed=True,
                )
            )
            for variant in counted
        }
        source, done = islice(video_file.frames(clip), WARM_UP + frames), 0
        while turn := list(islice(source, TURN if done else WARM_UP)):
            for variant, landmarker in landmarkers.items():
                spent, seen = _look(landmarker, turn)
                if done:
                    counted[variant].turns.append(spent)
                    counted[variant].landmarks += seen
            done += len(turn)
            show(done, WARM_UP + frames)
    if done <= WARM_UP:
        raise CameraError(f"{clip}: too short to measure: more than {WARM_UP} frames are needed")
    yardstick = counted[YARDSTICK]
    return [_summary(variant, each, yardstick) for variant, each in counted.items()]


def _look(landmarker: Landmarker, turn: list[tuple[float, np.ndarray]]) -> tuple[list[float], list[np.ndarray | None]]:
    """One variant's turn: seconds and landmarks of each frame."""
    spent: list[float] = []
    seen: list[np.ndarray | None] = []
    for time_s, image in turn:
        began_s = time.perf_counter()
        pose = landmarker.find(image, time_s)
        spent.append(time.perf_counter() - began_s)
        seen.append(_in_pixels(pose, image))
    return spent, seen


def _in_pixels(pose: PoseFrame, image: np.ndarray) -> np.ndarray | None:
    """Landmarks [33, 2] of the one who plays."""
    return pose.image[0, :, :2] * image.shape[1::-1] if pose.people else None


def _summary(variant: Variant, counted: _Counted, yardstick: _Counted) -> PoseTime:
    spent = np.concatenate(counted.turns)
    p50_ms, p95_ms = 1e3 * np.quantile(spent, (0.5, 0.95))
    shares = [np.median(mine) / np.median(its) for mine, its in zip(counted.turns, yardstick.turns, strict=True)]
    apart = [
        np.linalg.norm(mine - its, axis=1)
        for mine, its in zip(counted.landmarks, yardstick.landmarks, strict=True)
        if mine is not None and its is not None
    ]
    apart_p50_px, apart_p95_px = np.quantile(apart, (0.5, 0.95)) if apart else (np.nan, np.nan)
    return PoseTime(
        variant, len(spent), sum(each is not None for each in counted.landmarks), float(p50_ms), float(p95_ms),
        (float(np.median(shares)), float(min(shares)), float(max(shares))), float(apart_p50_px), float(apart_p95_px),
    )  # fmt: skip
