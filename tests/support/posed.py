"""A body that takes postures one after the other, as a script has it: landmarks as from a camera, and which when.

In: seeds, names of POSES. Out: pose frames with the noise of a landmarker, and the moments at which a posture is there.
Bodies differ in size, in proportions and in how exactly they take a posture; they turn, and go from one to the next.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from livemove.capture import demo
from livemove.contracts import PoseFrame

UP, DOWN, OUT, AHEAD, IN = (0.0, -1.0, 0.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (-1.0, 0.0, 0.0)
"""Directions of a limb: outwards from the body's middle, down, forward."""


def between(one: Sequence[float], other: Sequence[float]) -> tuple[float, float, float]:
    x, y, z = (a + b for a, b in zip(one, other, strict=True))
    return x, y, z


@dataclass(frozen=True)
class Pose:
    """Directions of upper arm and forearm, left and right; low: crouched 0..1; knee: the left one lifted 0..1."""

    left: tuple[Sequence[float], Sequence[float]] = (DOWN, DOWN)
    right: tuple[Sequence[float], Sequence[float]] = (DOWN, DOWN)
    low: float = 0.0
    knee: float = 0.0


def both(upper: Sequence[float], fore: Sequence[float], **rest: float) -> Pose:
    return Pose((upper, fore), (upper, fore), **rest)


TAUGHT = {
    "arms_up": both(UP, UP),
    "arms_wide": both(OUT, OUT),
    "akimbo": both(between(OUT, DOWN), between(IN, DOWN)),
    "left_up": Pose(left=(UP, UP)),
    "before_chest": both(between(DOWN, AHEAD), between(IN, UP)),
    "low_and_wide": both(OUT, OUT, low=0.8),
}
"""Postures that are shown by example."""

OTHERS = {
    "standing": Pose(),
    "sleepwalker": both(AHEAD, AHEAD),
    "salute": Pose(right=(OUT, between(UP, IN))),
    "right_out": Pose(right=(OUT, OUT)),
    "right_up": Pose(right=(UP, UP)),
    "knee": Pose(knee=1.0),
    "crouching": Pose(low=0.8),
    "robot": Pose(left=(OUT, UP), right=(OUT, DOWN)),
}
"""What is none of them."""


@dataclass(frozen=True)
class Body:
    """Sizes: whole, and of the arms beside it. careless: by how many radians a limb misses a posture (standard
    deviation)."""

    size: float = 1.0
    arms: float = 1.0
    careless: float = 0.12


@dataclass(frozen=True)
class Held:
    """A pose from the moment it is reached to the moment it is left."""

    name: str
    from_s: float
    to_s: float


def landmarks(pose: Pose, body: Body, yaw: float, rng: np.random.Generator | None = None) -> np.ndarray:
    """float64 [33, 3], metres as MediaPipe's world landmarks: x right in the image, y down, z away from the camera; a
    body that faces the camera has its left at the image's right. rng: by how much it misses the pose."""
    marks = demo.pose_at(0.0).world[0].astype(np.float64)
    marks[:11] = (0.0, -0.72, -0.08)  # the face
    for side, out in ((0, 1.0), (1, -1.0)):
        shoulder, hip = np.array([0.18 * out, -0.5, 0.0]), np.array([0.11 * out, 0.0, 0.0])
        upper, fore = (_missed(each, body, rng) for each in (pose.left, pose.right)[side])
        elbow = shoulder + 0.27 * body.arms * upper * (out, 1.0, -1.0)
        hand = elbow + 0.25 * body.arms * fore * (out, 1.0, -1.0)
        lifted = pose.knee if side == 0 else 0.0
        bent = max(pose.low, lifted)
        knee = hip + np.array([0.05 * out, 0.42 * (1 - 0.6 * bent), -0.34 * bent])
        foot = hip + np.array([0.07 * out, 0.84 * (1 - 0.5 * pose.low) - 0.35 * lifted, -0.08 * lifted])
        marks[11 + side], marks[13 + side], marks[23 + side] = shoulder, elbow, hip
        marks[[15 + side, 17 + side, 19 + side, 21 + side]] = hand
        marks[25 + side] = knee
        marks[[27 + side, 29 + side, 31 + side]] = foot
    turn = np.array([[math.cos(yaw), 0.0, -math.sin(yaw)], [0.0, 1.0, 0.0], [math.sin(yaw), 0.0, math.cos(yaw)]])
    return body.size * marks @ turn.T


def frame_of(world: np.ndarray, time_s: float, seen: float = 0.95) -> PoseFrame:
    frame = PoseFrame(capture_s=time_s, sequence=round(30 * time_s), people=1)
    frame.world[0] = world
    frame.image[0, :, :2] = (0.5, 0.5) + 0.4 * world[:, :2]
    frame.visibility[0] = seen
    return frame


def script(seed: int, seconds: float, names: Sequence[str]) -> list[Held]:
    """Poses in random order, held for 0.7 to 1.6 s, 0.4 to 0.9 s on the way from each to the next."""
    rng = np.random.default_rng((seed, 1))
    found: list[Held] = []
    at_s, last = 1.0, ""
    while at_s < seconds - 2.0:
        name = str(rng.choice([each for each in names if each != last]))
        found.append(Held(name, at_s, at_s + rng.uniform(0.7, 1.6)))
        at_s, last = found[-1].to_s + rng.uniform(0.4, 0.9), name
    return found


def video(acts: Sequence[Held], seconds: float, body: Body, seed: int, fps: float = 30.0) -> list[PoseFrame]:
    """That script before a camera: noise of 0.006 torso lengths across and 0.02 in depth, a wrist or an ankle that
    jumps now and then, frames that are lost or show nobody."""
    rng = np.random.default_rng((seed, 2))
    poses = {**TAUGHT, **OTHERS}
    stations: list[tuple[float, np.ndarray]] = [(0.0, landmarks(Pose(), body, 0.0))]
    for act in acts:
        yaw = rng.uniform(-0.7, 0.7)
        stations += [(act.from_s, landmarks(poses[act.name], body, yaw, rng))] * 2
        stations[-1] = act.to_s, stations[-1][1]
    stations.append((seconds, stations[0][1]))
    frames: list[PoseFrame] = []
    for i in range(int(seconds * fps)):
        now_s = i / fps + 0.003 * float(np.clip(rng.standard_normal(), -2, 2))
        after = next((k for k, (at_s, _) in enumerate(stations) if at_s > now_s), len(stations) - 1)
        (from_s, here), (to_s, there) = stations[max(after - 1, 0)], stations[after]
        part = min(max((now_s - from_s) / max(to_s - from_s, 1e-9), 0.0), 1.0)
        part = part**3 * (10 - 15 * part + 6 * part * part)  # minimum jerk (Flash & Hogan 1985)
        world = here + part * (there - here) + 0.5 * rng.standard_normal((33, 3)) * (0.006, 0.006, 0.02)
        if rng.random() < 0.02:
            world[rng.choice([15, 16, 27, 28])] += 0.25 * rng.standard_normal(3)
        if rng.random() < 0.02:
            continue
        frames.append(frame_of(world, now_s))
        if rng.random() < 0.01:
            frames[-1].people = 0
    return frames


def _missed(direction: Sequence[float], body: Body, rng: np.random.Generator | None) -> np.ndarray:
    """Unit vector [3] near that direction."""
    found = np.array(direction, np.float64)
    found /= np.linalg.norm(found)
    if rng is not None:
        found = found + body.careless * rng.standard_normal(3)
    return found / np.linalg.norm(found)
