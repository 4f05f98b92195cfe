"""How well a camera sees a dancer: lighting, distance, frame rate, and which limbs are hard to make out.

In: a CaptureConfig, or, for `measure` alone, poses and lights. Out: a CameraCheck, in figures; what they mean to a
dancer is for others to say. Must not know cv2 or the terminal.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from livemove.body.landmarks import ANKLES, EARS, LIMB_JOINTS, NOSE, WRISTS
from livemove.capture.capture_config import CaptureConfig
from livemove.capture.capture_process import follow
from livemove.capture.lighting import Light, face_box, light
from livemove.capture.webcam import Promise
from livemove.contracts import Float64, PoseFrame
from livemove.ipc.segment import now_s

SECONDS = 5.0
"""How long is looked, from the first pose on."""
VISIBLE = 0.5
"""A landmark of this visibility counts as seen; as in features.FeatureSpec."""
END_S = 2.0
"""The camera's thread has so long to end."""

EDGES: dict[str, tuple[int, ...]] = {"head": (NOSE, *EARS), "hands": WRISTS, "feet": ANKLES}
"""Landmarks of which none should leave the frame."""


@dataclass(frozen=True)
class CameraCheck:
    """Statistics of a few seconds. Shares are 0..1; NaN or None: not known, for want of an image or a body.

    fps        poses a second; seen_fps: frames a second that the camera gave
    longest_s  the longest time without a new pose
    people     share of the frames with somebody in them
    height     of the image's height, what the body fills (median), and room_m: metres that fit into it where the
               dancer stands, by the body's own size
    aside      where the hips are across the image, 0 its left edge, 1 its right (median)
    top, foot  the body's highest and lowest point in the image, 0 its upper edge, 1 its lower (medians)
    out        share of the frames in which a part (EDGES) is out of the frame
    hidden     share of the frames in which a limb (landmarks.LIMB_JOINTS), though inside it, is not made out
    light      medians
    promise    what the camera says it gives
    """

    fps: float
    seen_fps: float
    longest_s: float
    people: float
    height: float = math.nan
    room_m: float = math.nan
    aside: float = math.nan
    top: float = math.nan
    foot: float = math.nan
    out: dict[str, float] = field(default_factory=dict[str, float])
    hidden: dict[str, float] = field(default_factory=dict[str, float])
    light: Light | None = None
    promise: Promise = field(default_factory=Promise)


def look(
    config: CaptureConfig,
    seconds: float = SECONDS,
    now: Callable[[], float] = now_s,
    sleep: Callable[[float], object] = time.sleep,
) -> CameraCheck:
    """Look through a camera for so long; blocks. Raises CameraError, PoseModelError, TakeError."""
    watching = _Watching(seconds, now)
    feed = follow(config, watching.see, watching.over, watching, now, sleep, watching.show)
    check = measure(watching.frames, watching.lights, watching.frames_given)
    if feed is None:
        return check
    feed.close(END_S)
    return replace(check, promise=feed.promise)


class _Watching:
    """Poses, lights and counts so far."""

    def __init__(self, seconds: float, now: Callable[[], float]) -> None:
        self.frames: list[PoseFrame] = []
        self.lights: list[Light] = []
        self.frames_given = 0
        self._seconds = seconds
        self._now = now

    def see(self, frame: PoseFrame) -> None:
        self.frames.append(frame)

    def show(self, image: npt.NDArray[np.uint8], capture_s: float) -> None:
        self.lights.append(light(image, face_box(self.frames[-1])))

    def over(self) -> bool:
        return bool(self.frames) and self._now() - self.frames[0].capture_s >= self._seconds

    def frame_seen(self, count: int = 1) -> None:
        self.frames_given += count if self.frames else 0  # while the landmarker loads, they only queue

    def frame_used(self, pose_ms: float, people: int) -> None:
        pass


def measure(frames: Sequence[PoseFrame], lights: Sequence[Light], frames_given: int) -> CameraCheck:
    """The check from poses and lights; frames_given: how many frames the camera gave in the same time."""
    times = np.array([frame.capture_s for frame in frames])
    lasted_s = float(times[-1] - times[0]) if len(times) > 1 else 0.0
    bodies = [frame for frame in frames if frame.people > 0]
    check = CameraCheck(
        fps=(len(times) - 1) / lasted_s if lasted_s else 0.0,
        seen_fps=max(frames_given, len(times) - 1) / lasted_s if lasted_s else 0.0,
        longest_s=float(np.diff(times).max()) if len(times) > 1 else math.inf,
        people=len(bodies) / max(len(frames), 1),
        light=_median_light(lights),
    )
    if not bodies:
        return check
    places = np.stack([body.image[0, :, :2] for body in bodies]).astype(np.float64)  # [T, 33, x and y]
    beyond: Float64 = np.abs(places - 0.5).max(axis=2)  # the image's edge is at 0.5
    clear = np.where(beyond > 0.5, 1.0, np.stack([body.visibility[0] for body in bodies]))
    tops, feet = places[:, :, 1].min(axis=1), places[:, :, 1].max(axis=1)
    return replace(
        check,
        height=float(np.median(np.clip(feet, 0.0, 1.0) - np.clip(tops, 0.0, 1.0))),
        room_m=float(np.nanmedian([_room_m(body, place) for body, place in zip(bodies, places, strict=True)])),
        aside=float(np.median(places[:, (23, 24), 0])),
        top=float(np.median(tops)),
        foot=float(np.median(feet)),
        out={part: float((beyond[:, marks].max(axis=1) > 0.5).mean()) for part, marks in EDGES.items()},
        hidden={limb: float((clear[:, marks].min(axis=1) < VISIBLE).mean()) for limb, marks in LIMB_JOINTS.items()},
    )


def _room_m(body: PoseFrame, place: Float64) -> float:
    """Metres from the image's upper edge to its lower where that body is: its own metres fitted to the image."""
    world = body.world[0, :, 1].astype(np.float64)
    from_middle = world - world.mean()
    slope = float((from_middle * (place[:, 1] - place[:, 1].mean())).sum())
    return float((from_middle * from_middle).sum()) / slope if slope > 1e-6 else math.nan


def _median_light(lights: Sequence[Light]) -> Light | None:
    if not lights:
        return None
    rows = np.array([(each.brightness, each.contrast, each.burnt, each.face) for each in lights])
    return Light(*(float(np.median(row[np.isfinite(row)])) if np.isfinite(row).any() else math.nan for row in rows.T))
