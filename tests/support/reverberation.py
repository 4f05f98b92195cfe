"""What is measured of a reverberator: decay in octave bands, density of echoes, evenness of the spectrum.

In: impulse responses, float [samples]. Out: seconds, shares. Knows no effect.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

OCTAVES = (125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)

Response = npt.NDArray[np.floating]


def octave_band(response: Response, rate: float, centre_hz: float) -> npt.NDArray[np.float64]:
    """Without phase, flat within the octave and raised cosines of a sixth of one at both ends, in the spectrum."""
    count = 1 << int(np.ceil(np.log2(len(response)))) + 1
    octaves = np.log2(np.maximum(np.fft.rfftfreq(count, 1 / rate), 1e-3) / centre_hz)
    inside = np.clip((0.5 + 1 / 12 - np.abs(octaves)) * 6, 0.0, 1.0)
    gain = 0.5 - 0.5 * np.cos(np.pi * inside)
    return np.fft.irfft(np.fft.rfft(response, count) * gain)[: len(response)]


def decay_s(response: Response, rate: float, from_db: float = -5.0, to_db: float = -35.0) -> float:
    """Time to fall by 60 dB: a line through the energy that is still to come, from -5 to -35 dB (Schroeder 1965; T30 of
    ISO 3382-1)."""
    left = np.cumsum(np.asarray(response, np.float64)[::-1] ** 2)[::-1]
    level_db = 10 * np.log10(np.maximum(left / left[0], 1e-30))
    first, last = int(np.argmax(level_db <= from_db)), int(np.argmax(level_db <= to_db))
    slope, _ = np.polyfit(np.arange(first, last) / rate, level_db[first:last], 1)
    return float(-60.0 / slope)


def echo_density(response: Response, rate: float, window_s: float = 0.02) -> npt.NDArray[np.float64]:
    """Share of samples beyond the standard deviation around them, over that of Gaussian noise: 1 where echoes are so
    dense that no ear tells them apart (Abel & Huang 2006). One number per half window, from the beginning."""
    size = round(window_s * rate)
    hann = np.hanning(size)
    hann /= hann.sum()
    found: list[float] = []
    for start in range(0, len(response) - size, size // 2):
        piece = np.asarray(response[start : start + size], np.float64)
        deviation = np.sqrt((hann * piece**2).sum())
        found.append(float((hann * (np.abs(piece) > deviation)).sum() / 0.31731) if deviation > 0 else 0.0)
    return np.array(found)


def flatness(response: Response, rate: float, low_hz: float = 200.0, high_hz: float = 6000.0) -> float:
    """Geometric over arithmetic mean of the power, of each bin over what is around it (1/3 octave): 0.56 for Gaussian
    noise (e to the minus Euler's constant), near 0 where a few resonances stand out."""
    power = np.abs(np.fft.rfft(np.asarray(response, np.float64) * np.hanning(len(response)))) ** 2
    hertz = np.fft.rfftfreq(len(response), 1 / rate)
    total = np.concatenate([[0.0], np.cumsum(power)])
    bins = np.arange(len(power))
    lower, upper = (bins * 2 ** (-1 / 6)).astype(int), np.minimum((bins * 2 ** (1 / 6)).astype(int) + 1, len(power))
    around = (total[upper] - total[lower]) / np.maximum(upper - lower, 1)
    chosen = (hertz >= low_hz) & (hertz <= high_hz)
    ratio = power[chosen] / around[chosen]
    return float(np.exp(np.mean(np.log(np.maximum(ratio, 1e-12)))) / np.mean(ratio))
