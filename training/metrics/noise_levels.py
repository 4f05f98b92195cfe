"""How loud the noise of a pitched sound is, in each band of a model's filter bank.

In: audio and the channels it was played by or measured as. Out: levels. Knows no network.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import fft

from livemove.contracts import HOP, LEVEL, Float32, Float64, ModelSpec
from training.data import descriptors
from training.metrics import tone

EVERY = 4
"""Noise is measured around every so many hops."""
WHOLE_DB = -90.0
"""Re the level asked for: noise below it counts as this."""


def band_noise(
    audio: Float32, channels: Float32, voiced: np.ndarray, spec: ModelSpec
) -> tuple[npt.NDArray[np.intp], Float64]:
    """(hops [n], dB re the level asked for [n, bands]): what is not periodic, around every EVERY-th voiced hop.

    By least squares over four or more periods (tone.split); a band of the filter bank is 1 / bands of the spectrum.
    """
    names, rate = spec.channel_names, spec.sample_rate
    notes, loudness = channels[:, names.index("pitch")], channels[:, names.index("loudness")]
    periods = tone.Periods(audio, rate, tone.running_phase(notes, rate))
    hz, borders = tone.hertz(notes), np.linspace(0, rate / 2, spec.bands + 1)
    hops: list[int] = []
    rows: list[Float64] = []
    for hop in range(EVERY // 2, len(channels), EVERY):
        level = LEVEL * loudness[hop] ** 2
        if level <= descriptors.SILENT or not voiced[hop]:
            continue
        count = tone.periods_for(hz[hop], least=4, seconds=0.03)
        frames = periods.around(hop * HOP + HOP // 2, count)
        if frames is None:
            continue
        _, residual = tone.split(frames)
        power = 2 * np.abs(fft.rfft(residual.reshape(-1))) ** 2 / residual.size**2 * count / (count - 2)
        bands = np.histogram(np.arange(len(power)) * hz[hop] / count, borders, weights=power)[0]
        rows.append(np.maximum(10 * np.log10(np.maximum(bands, 1e-20)) - 20 * np.log10(level), WHOLE_DB))
        hops.append(hop)
    return np.array(hops, np.intp), np.array(rows).reshape(-1, spec.bands)
