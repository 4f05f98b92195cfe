"""Recordings of dry, centred voices: both sides must be the same, and one of them is enough to look at.

In: a file. Out: one side of it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from livemove.contracts import Float32


def centred(path: Path) -> tuple[Float32, int]:
    """(float32 [n], samples per second) of a stereo file whose sides are the same to the bit, which it checks."""
    sound, rate = soundfile.read(path, dtype="float32", always_2d=True)
    assert sound.shape[1] == 2, f"{path.name} has {sound.shape[1]} channels"
    np.testing.assert_array_equal(sound[:, 0], sound[:, 1])
    return np.ascontiguousarray(sound[:, 0]), rate
