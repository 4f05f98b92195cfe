"""Motion capture made by code: a small skeleton in Maya's names, as BVH text, that dances what a test asks for."""

from __future__ import annotations

from pathlib import Path

import numpy as np

SIDES = (("Left", 1.0), ("Right", -1.0))


def skeleton() -> str:
    """BVH hierarchy, centimetres, y up, facing +z, arms hanging: hips at 90, shoulders 20 to each side."""

    def chain(name: str, offset: tuple[float, float, float], *below: str) -> str:
        inside = "".join(below) or "End Site { OFFSET 0 -10 0 }"
        x, y, z = offset
        return f"JOINT {name} {{ OFFSET {x} {y} {z} CHANNELS 3 Zrotation Xrotation Yrotation {inside} }} "

    legs = [
        chain(f"{side}UpLeg", (9 * s, 0, 0),
              chain(f"{side}Leg", (0, -42, 0), chain(f"{side}Foot", (0, -42, 0), chain(f"{side}ToeBase", (0, -5, 14)))))
        for side, s in SIDES
    ]  # fmt: skip
    arms = [
        chain(f"{side}Arm", (20 * s, 0, 0), chain(f"{side}ForeArm", (0, -30, 0), chain(f"{side}Hand", (0, -28, 0))))
        for side, s in SIDES
    ]
    spine = chain("Spine", (0, 50, 0), *arms, chain("Head", (0, 15, 0)))
    root = "CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation"
    return f"HIERARCHY ROOT Hips {{ OFFSET 0 0 0 {root} {''.join(legs)}{spine} }}\n"


COLUMNS = ("Hips position", "Hips", "LeftUpLeg", "LeftLeg", "LeftFoot", "LeftToeBase", "RightUpLeg", "RightLeg",
           "RightFoot", "RightToeBase", "Spine", "LeftArm", "LeftForeArm", "LeftHand", "RightArm", "RightForeArm",
           "RightHand", "Head")  # fmt: skip
"""Three columns each, in the file's order: X, Y, Z position, or Z, X, Y rotation."""


def write_motion(path: Path, seconds: float, fps: float = 60.0, **turns: np.ndarray) -> Path:
    """A file in which joints turn: LeftArm=[frames, 3], degrees about Z, X, Y; the others hang still."""
    frames = round(seconds * fps)
    values = np.zeros((frames, 3 * len(COLUMNS)))
    values[:, 1] = 90.0
    for name, angles in turns.items():
        at = 3 * COLUMNS.index(name)
        values[:, at : at + 3] = angles
    lines = "\n".join(" ".join(f"{v:.4f}" for v in row) for row in values)
    path.write_text(f"{skeleton()}MOTION\nFrames: {frames}\nFrame Time: {1 / fps:.6f}\n{lines}\n", encoding="utf-8")
    return path


def swinging(seconds: float, swings_per_s: float, degrees: float, fps: float = 60.0, axis: int = 1) -> np.ndarray:
    """[frames, 3] for `write_motion`: an angle that swings, and stands for half of every swing."""
    times = np.arange(round(seconds * fps)) / fps
    place = np.clip((times * swings_per_s % 1) * 2, 0, 1)
    angles = np.zeros((len(times), 3))
    angles[:, axis] = degrees * np.sin(np.pi * place) ** 2
    return angles
