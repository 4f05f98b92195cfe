"""What a listener must be spared: peaks between the samples, and a constant that moves the loudspeaker to no purpose.

In: samples, float [n]. Out: true peak in dBTP, the largest mean of a second.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import signal

Samples = npt.NDArray[np.floating]

_PHASES = np.array(
    [
        [0.0017089843750, 0.0109863281250, -0.0196533203125, 0.0332031250000, -0.0594482421875, 0.1373291015625,
         0.9721679687500, -0.1022949218750, 0.0476074218750, -0.0266113281250, 0.0148925781250, -0.0083007812500],
        [-0.0291748046875, 0.0292968750000, -0.0517578125000, 0.0891113281250, -0.1665039062500, 0.4650878906250,
         0.7797851562500, -0.2003173828125, 0.1015625000000, -0.0582275390625, 0.0330810546875, -0.0189208984375],
    ]
)  # fmt: skip
"""The interpolator of ITU-R BS.1770-4, annex 2: two of its four phases; the others are these, backwards."""


def true_peak_db(x: Samples) -> float:
    """dBTP: the higher of what BS.1770-4 finds at 4 times the rate and a longer interpolator at 8 times.

    The recording is faded out over its last 10 ms first: an end in the middle of a wave is no part of the sound.
    """
    x = np.asarray(x, np.float64).copy()
    fade = min(480, len(x))
    x[len(x) - fade :] *= np.linspace(1.0, 0.0, fade)
    standard = max(float(np.abs(np.convolve(x, taps)).max()) for taps in (*_PHASES, *_PHASES[:, ::-1]))
    longer = float(np.abs(signal.resample_poly(x, 8, 1)).max())
    return 20.0 * float(np.log10(max(standard, longer, 1e-9)))


def offset(x: Samples, rate: float) -> float:
    """The largest mean of any second of x, or of all of it if that is shorter."""
    n = min(round(rate), len(x))
    total = np.concatenate([[0.0], np.cumsum(np.asarray(x, np.float64))])
    return float(np.abs(total[n:] - total[:-n]).max()) / n
