"""Bodies posed as told, for tests of what looks at bodies: landmarks of a person who faces the camera, in plain light.

In: how high the hands are, how far the body has crouched, where in the image it stands. Out: PoseFrames.
"""

from __future__ import annotations

import math

import numpy as np

from livemove.capture import demo
from livemove.contracts import PoseFrame

ARM = 0.5
"""Metres from shoulder to wrist."""


def body(time_s: float, left: float = -1.0, right: float = -1.0, wide: float = 1.0, low: float = 0.0) -> PoseFrame:
    """left, right: how high the hands are, -1 hanging .. 1 straight up; low: crouched, 0 .. 1 on the heels.

    wide: how far the hands go to the sides on their way, 1 the arms stretched, 0 straight in front.
    """
    frame = demo.pose_at(0.0)
    frame.capture_s = time_s
    world = frame.world[0]
    for shoulder, elbow, hand, height, out in ((11, 13, 15, left, 1.0), (12, 14, 16, right, -1.0)):
        aside = math.sqrt(max(1.0 - height * height, 0.0))
        ahead = aside * math.sqrt(1.0 - wide * wide)
        world[hand] = world[shoulder] + ARM * np.array([out * aside * wide, -height, -ahead])
        world[elbow] = 0.5 * (world[shoulder] + world[hand])
    for hip, knee, foot in ((23, 25, 27), (24, 26, 28)):
        world[foot, 1] = world[hip, 1] + 0.84 * (0.97 - 0.65 * low)
        world[knee, 1] = 0.5 * (world[hip, 1] + world[foot, 1])
    frame.image[0, :, 0] = 0.5 + 0.3 * world[:, 0]
    frame.image[0, :, 1] = 0.5 + 0.4 * world[:, 1]
    return frame


def nobody(time_s: float) -> PoseFrame:
    return PoseFrame(capture_s=time_s)


def placed(frame: PoseFrame, scale: float = 1.0, x: float = 0.0, y: float = 0.0) -> PoseFrame:
    """The same body nearer (scale > 1) or elsewhere in the image, x and y in images to the right and down."""
    frame.image[0, :, 0] = 0.5 + x + scale * (frame.image[0, :, 0] - 0.5)
    frame.image[0, :, 1] = 0.5 + y + scale * (frame.image[0, :, 1] - 0.5)
    return frame
