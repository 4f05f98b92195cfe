"""MediaPipe's 33 landmarks: which of them are joined, and which belong together.

In: nothing. Out: landmark numbers. Left and right are the performer's own. Knows no frame; the standard library only.
"""

from __future__ import annotations

BONES = (
    (11, 12), (23, 24), (11, 23), (12, 24),
    (11, 13), (13, 15), (15, 19), (12, 14), (14, 16), (16, 20),
    (23, 25), (25, 27), (27, 31), (24, 26), (26, 28), (28, 32),
)  # fmt: skip
"""Pairs that a line joins: trunk, arms, legs."""

FACE_LINES = ((7, 0), (0, 8))
"""Pairs that a line joins in the face: each ear with the nose."""

EARS, SHOULDERS, ELBOWS, WRISTS = (7, 8), (11, 12), (13, 14), (15, 16)
HIPS, KNEES, ANKLES = (23, 24), (25, 26), (27, 28)
"""Left, right."""

NOSE = 0

LIMB_JOINTS: dict[str, tuple[int, ...]] = {
    "head": EARS,
    "left arm": (13, 15),
    "right arm": (14, 16),
    "left leg": (25, 27),
    "right leg": (26, 28),
}
"""The joints of which all must be made out for the limb to play."""

LIMB_LANDMARKS: dict[str, tuple[int, ...]] = {
    "left arm": (13, 15, 17, 19, 21),
    "right arm": (14, 16, 18, 20, 22),
    "left leg": (25, 27, 29, 31),
    "right leg": (26, 28, 30, 32),
}
"""Every landmark of a limb: its joints, and what hangs on them."""

PAIRS = ((1, 4), (2, 5), (3, 6), (7, 8), (9, 10), *((left, left + 1) for left in range(11, 33, 2)))
"""The landmarks of the left and of the right side; the nose has no other."""

MOVING = (NOSE, *SHOULDERS, *ELBOWS, *WRISTS, *HIPS, *KNEES, *ANKLES)
"""Landmarks whose movement is the body's: head, shoulders, elbows, wrists, hips, knees, ankles."""
