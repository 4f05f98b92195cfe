"""Is a folder of clips fit to learn from? Looks at every clip and says what is wrong with it.

In: a folder in the Kinetics layout (or any folder of videos). Out: a Finding per clip. Changes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from livemove.capture.landmarker import Landmarker, preload
from livemove.capture.posemodel import find_pose_model
from livemove.contracts import CameraError
from livemove.media import video_file
from training.data.clip import SILENT_DBFS, ClipError, level_dbfs, read_sound
from training.data.items import Item

LOOKS = 10
"""Frames of a clip in which a person is looked for."""


@dataclass(frozen=True)
class Finding:
    """A clip and what is wrong with it: any of "unreadable", "no sound", "silent", "no person", "wrong length";
    details in words. seconds and level_dbfs (of its loudest hop) as far as they are known; person: share of looks with
    somebody in view."""

    key: str
    path: str
    troubles: tuple[str, ...]
    detail: str = ""
    seconds: float = 0.0
    level_dbfs: float = -120.0
    person: float = 0.0


@dataclass(frozen=True)
class Expected:
    """What a good clip is like. seconds 0: any length. pose_model: a file, None for the cached one of kind `pose`."""

    seconds: float = 10.0
    tolerance_s: float = 0.5
    person: float = 0.5
    pose: str = "full"
    pose_model: Path | None = None


def check(clips: Sequence[Item], expected: Expected, workers: int) -> Generator[Finding]:
    """Findings as they come, for good clips too. Raises PoseModelError."""
    find_pose_model(expected.pose, expected.pose_model)
    preload()  # once, before threads meet it half loaded
    stop = threading.Event()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for future in as_completed([pool.submit(_look, clip, expected, stop) for clip in clips]):
                yield future.result()
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


def _look(clip: Item, expected: Expected, stop: threading.Event) -> Finding:
    path = Path(clip.path)
    troubles: list[str] = []
    details: list[str] = []
    seconds, level, person = 0.0, -120.0, 0.0
    try:
        about = video_file.probe(path)
        seconds, person = _people(path, about, expected, stop)
        if person < expected.person:
            troubles.append("no person")
            details.append(f"somebody in view in {100 * person:.0f} % of {LOOKS} looks")
    except CameraError as error:
        troubles.append("unreadable")
        details.append(str(error).removeprefix(f"{path}: "))
    else:
        if expected.seconds and abs(seconds - expected.seconds) > expected.tolerance_s:
            troubles.append("wrong length")
            details.append(f"{seconds:.1f} s")
    if "unreadable" not in troubles:
        try:
            level = _level(path)
            if level < SILENT_DBFS:
                troubles.append("silent")
                details.append(f"never above {level:.0f} dBFS")
        except ClipError as error:
            troubles.append("no sound")
            details.append(str(error))
    return Finding(clip.key, clip.path, tuple(troubles), "; ".join(details), seconds, level, person)


def _people(path: Path, about: video_file.VideoInfo, expected: Expected, stop: threading.Event) -> tuple[float, float]:
    """(seconds of video, share of looks that saw somebody); every frame is decoded, so damage shows."""
    due = [about.seconds * (i + 0.5) / LOOKS for i in range(LOOKS)]
    looks: list[bool] = []
    end_s = 0.0

    def wanted(time_s: float) -> bool:
        return len(looks) < LOOKS and time_s >= due[len(looks)]

    with Landmarker(expected.pose, expected.pose_model) as landmarker:
        for time_s, image in video_file.some_frames(path, wanted):
            if stop.is_set():
                break
            end_s = time_s + 1 / about.fps
            if image is not None:
                looks.append(landmarker.find(image, time_s).people > 0)
    return end_s, float(np.mean(looks)) if looks else 0.0


def _level(path: Path) -> float:
    """dBFS of the loudest hop."""
    return level_dbfs(read_sound(path, 16000), 16000)
