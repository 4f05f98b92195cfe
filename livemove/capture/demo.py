"""The demo dancer: landmarks written by us, so that anyone without a camera hears the instrument.

Time in, PoseFrame out: a dance at 96 beats a minute in phrases of eight bars. No image, no randomness, no state.
"""

from __future__ import annotations

import math

import numpy as np

from livemove.contracts import Float64, PoseFrame

FPS = 30.0
BEAT_S = 60.0 / 96.0
BAR = 4
PHRASE = 8 * BAR

# The right hand's melody and the left hand's swell: one height a beat (-1 hanging .. 1 straight up), a tuple a bar.
_MELODY = (
    (-0.3, -0.1, 0.1, 0.1), (0.3, 0.1, -0.1, -0.1), (-0.3, 0.1, 0.45, 0.45), (0.3, 0.3, 0.1, -0.1),
    (-0.1, 0.1, 0.3, 0.6), (0.6, 0.45, 0.3, 0.1), (0.3, -0.1, 0.1, -0.3), (-0.5, -0.5, -0.5, -0.9),
)  # fmt: skip
_SWELL = (
    (0.0, 0.1, 0.2, 0.1), (0.0, -0.1, -0.2, -0.3), (0.0, 0.2, 0.4, 0.3), (0.2, 0.1, -0.2, -0.6),
    (0.0, 0.2, 0.3, 0.5), (0.5, 0.4, 0.2, 0.0), (0.1, 0.0, -0.1, -0.3), (-0.2, -0.4, -0.7, -1.0),
)  # fmt: skip
_RIGHT = np.array(_MELODY).reshape(-1)
_LEFT = np.array(_SWELL).reshape(-1)

# A grown-up in metres. Axes as MediaPipe's world landmarks: x right in the image, y down, z away from the camera.
_TRUNK, _HIP, _SHOULDER = 0.50, 0.11, 0.18
_UPPER_ARM, _FOREARM, _THIGH, _SHANK = 0.27, 0.25, 0.42, 0.42
_REACH = _UPPER_ARM + _FOREARM
_LEG = _THIGH + _SHANK
_FACE = {  # from the shoulders' middle, facing the camera: (left and right landmark, x outwards, y, z)
    "nose": (0, 0, 0.0, -0.20, -0.12),
    "eye_inner": (1, 4, 0.015, -0.235, -0.10),
    "eye": (2, 5, 0.03, -0.235, -0.10),
    "eye_outer": (3, 6, 0.045, -0.235, -0.09),
    "ear": (7, 8, 0.075, -0.22, 0.0),
    "mouth": (9, 10, 0.025, -0.16, -0.10),
}


BESIDE, SMALLER = 0.24, 0.8
"""Two dancers stand so far from the middle of the image, as a share of its width, and are so much smaller than one."""


def pose_at(time_s: float, sequence: int = 0, mirror: bool = False, dancers: int = 1) -> PoseFrame:
    """The dancer, time_s seconds into the dance; capture_s is time_s. Mirrors image x only, as `Landmarker` does.

    dancers 2: another one on the right of the first, who dances the same two bars later.
    """
    frame = _alone(time_s, sequence, mirror)
    if dancers > 1:
        other = _alone(time_s + 2 * BAR * BEAT_S, sequence, mirror)
        frame.people = 2
        for array in ("image", "world", "visibility"):
            getattr(frame, array)[1] = getattr(other, array)[0]
        middle, aside = np.array([0.5, 0.92, 0.0]), BESIDE * (-1.0 if mirror else 1.0)
        frame.image[:2] = middle + SMALLER * (frame.image[:2] - middle)
        frame.image[:2, :, 0] += np.array([[-aside], [aside]])
    return frame


def _alone(time_s: float, sequence: int, mirror: bool) -> PoseFrame:
    beat = time_s / BEAT_S
    swing = math.sin(math.pi * beat)  # one side, the other side
    bounce = 0.5 - 0.5 * math.cos(2 * math.pi * beat)
    bar = beat / BAR
    turn = 0.6 * math.sin(2 * math.pi * bar / 4)
    crouch = 0.03 + 0.07 * bounce + 0.12 * max(math.sin(math.pi * bar / 2), 0.0) ** 8
    hop = 0.20 * max(math.sin(math.pi * (beat % PHRASE - PHRASE + 2)), 0.0) if beat % PHRASE > PHRASE - 2 else 0.0
    spread = 0.5 + 0.35 * math.sin(2 * math.pi * bar / 2)

    marks = np.zeros((33, 3))
    for side, hip, out in ((0, 23, 1.0), (1, 24, -1.0)):  # left, right; out: towards that side
        marks[hip] = (out * _HIP, 0.0, 0.0)
        shoulder = np.array([out * _SHOULDER + 0.06 * swing, -_TRUNK, 0.03 * bounce])
        marks[11 + side] = shoulder
        height = _between(_LEFT if side == 0 else _RIGHT, beat)
        wide = spread * math.sqrt(max(1.0 - height * height, 0.0)) + 0.08
        before = 0.35 * (1.0 - abs(height))
        aim = np.array([out * wide, -height, -before])
        hand = shoulder + aim / max(float(np.linalg.norm(aim)), 1.0) * 0.97 * _REACH
        marks[13 + side] = _joint(shoulder, hand, _UPPER_ARM, _FOREARM, np.array([out * 0.4, 1.0, 0.3]))
        marks[15 + side] = hand
        along = (hand - marks[13 + side]) / _FOREARM
        marks[17 + side] = hand + 0.08 * along + np.array([out * 0.02, 0.0, 0.0])
        marks[19 + side] = hand + 0.09 * along
        marks[21 + side] = hand + 0.05 * along - np.array([out * 0.02, 0.0, 0.0])
        step = 0.10 * max(out * math.sin(math.pi * beat), 0.0) ** 2  # that foot's beat
        foot = np.array([out * (_HIP + 0.05 + 0.06 * spread), _LEG * (1.0 - crouch) - step, -0.5 * step])
        marks[25 + side] = _joint(marks[hip], foot, _THIGH, _SHANK, np.array([out * 0.3, 0.0, -1.0]))
        marks[27 + side] = foot
        marks[29 + side] = foot + np.array([0.0, 0.06, 0.05])
        marks[31 + side] = foot + np.array([0.0, 0.07, -0.14])
    neck = 0.5 * (marks[11] + marks[12])
    tilt = 0.15 * swing
    for left, right, outwards, down, away in _FACE.values():
        for mark, out in ((left, outwards), (right, -outwards)):
            marks[mark] = neck + np.array([out - tilt * down, down + tilt * out, away])

    yaw = np.array([[math.cos(turn), 0.0, -math.sin(turn)], [0.0, 1.0, 0.0], [math.sin(turn), 0.0, math.cos(turn)]])
    world = marks @ yaw.T

    frame = PoseFrame(capture_s=time_s, sequence=sequence, people=1)
    scale = 0.42  # image heights per metre, in a 4:3 image
    ground = 0.92 - scale * hop
    frame.image[0, :, 0] = 0.5 + 0.05 * math.sin(math.pi * beat / 4) + 0.75 * scale * world[:, 0]
    frame.image[0, :, 1] = ground + scale * (world[:, 1] - _LEG * (1.0 - crouch))
    frame.image[0, :, 2] = 0.75 * scale * world[:, 2]
    if mirror:
        frame.image[0, :, 0] = 1.0 - frame.image[0, :, 0]
    frame.world[0] = world
    frame.visibility[0] = 1.0
    return frame


def _between(heights: Float64, beat: float) -> float:
    """The height at a beat: a quick smooth reach for each, then a hold."""
    index = math.floor(beat)
    part = min((beat - index) / 0.6, 1.0)
    part = part * part * part * (10 - 15 * part + 6 * part * part)  # minimum jerk (Flash & Hogan 1985)
    last, this = float(heights[(index - 1) % len(heights)]), float(heights[index % len(heights)])
    return last + (this - last) * part


def _joint(start: Float64, end: Float64, first: float, second: float, towards: Float64) -> Float64:
    """Where elbow or knee is, float64 [3]: bones of those lengths from start to end, bent towards a direction."""
    line = end - start
    length = min(max(float(np.linalg.norm(line)), 1e-6), first + second)
    axis = line / max(float(np.linalg.norm(line)), 1e-6)
    along = (first * first - second * second + length * length) / (2 * length)
    bend = towards - axis * float(towards @ axis)
    bend = bend / max(float(np.linalg.norm(bend)), 1e-6)
    return start + axis * along + bend * math.sqrt(max(first * first - along * along, 0.0))
