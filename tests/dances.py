"""A small corpus of dances that never happened: the right hand's height plays the pitch, the left hand's the loudness.

In: a folder. Out: a prepared corpus in it, written by training.corpus, as the tests of training need one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from livemove.contracts import HOP, Channel
from livemove.features import FEATURES, REST, TABLE
from training import descriptors
from training.corpus import Clip, Writer, write_clip

RATE = 16000
CHANNELS = tuple(Channel(f.name, "", f.minimum, f.maximum, f.rest) for f in TABLE)


def write_dances(root: Path, train: int = 4, valid: int = 2, hops: int = 80) -> Path:
    """Clips of 1.3 s, in two styles, with features and descriptors."""
    tracks = {"features": CHANNELS, "descriptors": descriptors.CHANNELS}
    writer = Writer(root, RATE, "none", tracks)
    for number in range(train + valid):
        features, audio = dance(number, hops)
        arrays = {"features": features, "descriptors": descriptors.describe(audio, RATE)}
        split = "train" if number < train else "valid"
        clip = Clip(split, ("slow", "quick")[number % 2], f"dance_{number}", f"dance_{number}.mp4",
                    tracks=("features", "descriptors"), hops=hops, seconds=hops * HOP / RATE)  # fmt: skip
        write_clip(root, clip, audio, RATE, arrays)
        writer.record(clip)
    writer.close()
    return root


def dance(number: int, hops: int) -> tuple[np.ndarray, np.ndarray]:
    """Features float32 [hops, F], and the tone they play, float32 [hops * HOP]."""
    t = np.arange(hops) * HOP / RATE
    speed = (1.0, 3.0)[number % 2]
    features = np.tile(REST, (hops, 1))
    features[:, FEATURES.index("presence")] = 1
    right = np.sin(speed * t + number)
    left = np.cos(1.7 * speed * t + number)
    features[:, FEATURES.index("right_hand_height")] = right
    features[:, FEATURES.index("left_hand_height")] = left
    hz = np.repeat(300 * 2**right, HOP)
    level = np.repeat(0.1 + 0.1 * (left + 1), HOP)
    audio = level * np.sin(2 * np.pi * np.cumsum(hz) / RATE)
    return features.astype(np.float32), audio.astype(np.float32)
