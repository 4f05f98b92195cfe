"""BVH motion capture files: a skeleton with its recorded rotations, and where its joints are in space.

In: a .bvh or .bvh.xz file (Meredith & Maddock 2001 describe the format). Out: a Motion; joint positions and
orientations by forward kinematics. Knows no body parts, no units and no camera.
"""

from __future__ import annotations

import lzma
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from livemove.contracts import Float64, LivemoveError

END = "_end"
"""An "End Site" is a joint of its own here, named after its parent with this behind it."""


class MotionError(LivemoveError):
    """A motion file that cannot be read; the message names it."""


@dataclass(frozen=True)
class Joint:
    """One joint. parent: index of one before it, -1 for the root. offset [3] from the parent, in the file's unit.

    moves, turns: the columns of the motion's values that are its position and its rotation, each with its axis 0..2,
    in the file's order.
    """

    name: str
    parent: int
    offset: Float64
    moves: tuple[tuple[int, int], ...] = ()
    turns: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Motion:
    """joints in an order in which parents come first; values float64 [frames, columns], degrees and the file's unit."""

    joints: tuple[Joint, ...]
    frame_s: float
    values: Float64

    @property
    def seconds(self) -> float:
        return len(self.values) * self.frame_s

    def below(self, name: str) -> set[int]:
        """Indices of a joint and all that hang on it; empty if there is none of that name."""
        found: set[int] = set()
        for i, joint in enumerate(self.joints):
            if joint.name == name or joint.parent in found:
                found.add(i)
        return found


def read_bvh(path: Path) -> Motion:
    """Raises MotionError."""
    try:
        content = path.read_bytes()
        text = (lzma.decompress(content) if path.suffix == ".xz" else content).decode("utf-8", "replace")
        hierarchy, found, motion = text.partition("MOTION")
        if not found:
            raise ValueError("it has no MOTION section")
        joints = _joints(hierarchy.split())
        words = motion.split()
        frames, frame_s = int(words[1]), float(words[4])
        columns = sum(len(joint.moves) + len(joint.turns) for joint in joints)
        values = np.array(words[5:], np.float64)
        if not joints:
            raise ValueError("it has no joints")
        if frame_s <= 0 or frames < 2 or len(values) < frames * columns:
            raise ValueError(f"{frames} frames of {columns} values are promised, {len(values)} values are there")
        values = values[: frames * columns].reshape(frames, columns)
        if not np.isfinite(values).all():
            raise ValueError("its values are not all numbers")
    except (OSError, ValueError, IndexError, lzma.LZMAError) as error:
        raise MotionError(f"{path}: not a motion that can be read: {error}") from error
    return Motion(tuple(joints), frame_s, values)


def _joints(words: list[str]) -> list[Joint]:
    """Raises ValueError, IndexError."""
    joints: list[Joint] = []
    open_joints: list[int] = []
    column, at = 0, 0
    while at < len(words):
        word = words[at]
        if word in ("ROOT", "JOINT", "End"):
            parent = open_joints[-1] if open_joints else -1
            name = joints[parent].name + END if word == "End" else words[at + 1]
            joints.append(Joint(name, parent, np.zeros(3)))
            open_joints.append(len(joints) - 1)
            at += 2
        elif word == "OFFSET":
            joint = joints[open_joints[-1]]
            joints[open_joints[-1]] = Joint(joint.name, joint.parent, np.array(words[at + 1 : at + 4], np.float64))
            at += 4
        elif word == "CHANNELS":
            count = int(words[at + 1])
            named = [(column + i, words[at + 2 + i]) for i in range(count)]
            moves = tuple((c, "XYZ".index(n[0])) for c, n in named if n.endswith("position"))
            turns = tuple((c, "XYZ".index(n[0])) for c, n in named if n.endswith("rotation"))
            joint = joints[open_joints[-1]]
            joints[open_joints[-1]] = Joint(joint.name, joint.parent, joint.offset, moves, turns)
            column, at = column + count, at + 2 + count
        else:
            if word == "}":
                open_joints.pop()
            elif word not in ("HIERARCHY", "{"):
                raise ValueError(f"{word!r} is not expected in a hierarchy")
            at += 1
    return joints


def positions(motion: Motion) -> tuple[Float64, Float64]:
    """(positions [frames, joints, 3], orientations [frames, joints, 3, 3]) in the file's world and unit.

    A joint's orientation turns its own axes, in which its children's offsets are given, into the world's.
    """
    frames = len(motion.values)
    place = np.zeros((frames, len(motion.joints), 3))
    turned = np.zeros((frames, len(motion.joints), 3, 3))
    for i, joint in enumerate(motion.joints):
        local = np.broadcast_to(joint.offset, (frames, 3)).copy()
        for column, axis in joint.moves:
            local[:, axis] = motion.values[:, column]
        own = np.broadcast_to(np.eye(3), (frames, 3, 3))
        if joint.turns:
            order = "".join("XYZ"[axis] for _, axis in joint.turns)  # upper case: about the joint's own, turned axes
            own = Rotation.from_euler(order, motion.values[:, [c for c, _ in joint.turns]], degrees=True).as_matrix()
        if joint.parent < 0:
            place[:, i], turned[:, i] = local, own
        else:
            above = turned[:, joint.parent]
            place[:, i] = place[:, joint.parent] + np.einsum("fij,fj->fi", above, local)
            turned[:, i] = above @ own
    return place, turned
