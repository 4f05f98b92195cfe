"""A small corpus of dances that never happened: the right hand's height plays the pitch, the left hand's the loudness.

In: a folder. Out: a prepared corpus in it, written by training.data.corpus, as the tests of training need. The dancer
is the demo's, each dance a later part of it, slower or quicker.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from livemove.body.features import FEATURES, TABLE
from livemove.capture import demo
from livemove.contracts import HOP, Channel, PoseFrame
from training.data import descriptors
from training.data.clip import features_at_hops
from training.data.corpus import Clip, Writer, packed, write_clip

RATE = 16000
FPS = 25
CHANNELS = tuple(Channel(f.name, "", f.minimum, f.maximum, f.rest) for f in TABLE)


def write_dances(root: Path, train: int = 4, valid: int = 2, hops: int = 80, rate: int = RATE) -> Path:
    """Clips of 1.3 s, in two styles, with features, descriptors and landmarks."""
    tracks = {"features": CHANNELS, "descriptors": descriptors.CHANNELS}
    writer = Writer(root, rate, "none", tracks)
    for number in range(train + valid):
        poses, features, audio = dance(number, hops, rate)
        arrays = {"features": features, "descriptors": descriptors.describe(audio, rate), **packed(poses)}
        split = "train" if number < train else "valid"
        clip = Clip(split, ("slow", "quick")[number % 2], f"dance_{number}", f"dance_{number}.mp4",
                    tracks=("features", "descriptors"), hops=hops, seconds=hops * HOP / rate, frames=len(poses),
                    fps=FPS, person=1.0)  # fmt: skip
        write_clip(root, clip, audio, rate, arrays)
        writer.record(clip)
    writer.close()
    return root


def dance(number: int, hops: int, rate: int = RATE) -> tuple[list[PoseFrame], np.ndarray, np.ndarray]:
    """What a camera sees, features float32 [hops, F], and the tone they play, float32 [hops * HOP]."""
    speed = (0.7, 1.5)[number % 2]
    seen_s = np.arange(max(int(hops * HOP / rate * FPS), 2)) / FPS
    poses = [replace(demo.pose_at(speed * t + 10 * number, i), capture_s=t) for i, t in enumerate(seen_s)]
    features = features_at_hops(poses, hops, rate)
    right, left = (features[:, FEATURES.index(f"{side}_hand_height")] for side in ("right", "left"))
    hz = np.repeat(300 * 2**right, HOP)
    level = np.repeat(0.1 + 0.1 * (left + 1), HOP)
    audio = level * np.sin(2 * np.pi * np.cumsum(hz) / rate)
    return poses, features, audio.astype(np.float32)
