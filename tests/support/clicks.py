"""A detector of clicks: where the second difference leaps far above what it is around there.

In: samples. Out: where it clicked. A step or a kink in a waveform is one sample wide in its second difference, while
the sound around it, however bright, spreads evenly over the window it is compared with.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

WINDOW = 256
LEAP = 9.0
"""A thousand samples of white noise have a second difference of no more than 5.5 times its root mean square."""
FLOOR = 1e-4
"""Below -80 dBFS nobody hears it."""


def clicks(x: npt.NDArray[np.floating]) -> npt.NDArray[np.intp]:
    """Samples of x, float [n], whose second difference is LEAP times the root mean square around them."""
    bend = np.abs(np.diff(np.asarray(x, np.float64), 2))
    blocks = bend[: len(bend) // WINDOW * WINDOW].reshape(-1, WINDOW)
    level = np.sqrt(np.mean(blocks**2, axis=1))
    padded = np.concatenate([level[:2], level, level[-2:]])
    # Two windows before and two after, without the one looked at: the louder pair, so that an onset is no click.
    around = np.maximum(np.maximum(padded[:-4], padded[1:-3]), np.maximum(padded[3:-1], padded[4:]))
    found = bend[: blocks.size] > np.repeat(LEAP * around + FLOOR, WINDOW)
    return np.flatnonzero(found) + 1
