"""Pitch of a sound whose pitch is roughly known: YIN in NumPy.

In: samples, and for every frame where to look. Out: fractional MIDI notes. Knows no take and no model.
"""

from __future__ import annotations

import numpy as np

from livemove.contracts import Float32, Float64

WINDOW_S = 0.016
"""Samples that are compared: two periods of 125 Hz. Longer smears glides, shorter jitters."""

NEAR = 4.0
"""Semitones around what is expected in which the period is looked for."""

BATCH = 512


def yin(audio: Float32, rate: float, centres: Float64, expected: Float64) -> Float64:
    """MIDI notes [n] of audio float32 [samples] around centres [n] (in samples), near expected [n] (MIDI notes).

    The cumulative mean normalised difference of de Cheveigné & Kawahara (2002), its minimum refined by a parabola. NaN
    where the sound does not repeat itself (the normalised difference stays above 0.5) or its frame is cut off.
    """
    found = np.full(len(centres), np.nan)
    known = np.isfinite(expected)
    if not known.any():
        return found
    width = round(WINDOW_S * rate)
    longest = int(np.ceil(rate / _hz(float(np.min(expected[known])) - NEAR))) + 2
    starts = np.round(centres - 0.5 * (width + rate / _hz(expected))).astype(np.float64)
    usable = np.flatnonzero(known & (starts >= 0) & (starts + width + longest < len(audio)))
    size = 1 << int(np.ceil(np.log2(width + longest)))
    lags = np.arange(longest + 1)
    for some in np.array_split(usable, max(len(usable) // BATCH, 1)):
        if not len(some):
            continue
        at = starts[some].astype(np.intp)[:, None] + np.arange(width + longest)
        frames = audio[at].astype(np.float64)
        head = np.fft.rfft(frames[:, :width], size)
        products = np.fft.irfft(np.conj(head) * np.fft.rfft(frames, size), size)[:, : longest + 1]
        energy = np.concatenate([np.zeros((len(some), 1)), np.cumsum(frames**2, axis=1)], axis=1)
        shifted = energy[:, width : width + longest + 1] - energy[:, : longest + 1]
        difference = shifted[:, :1] + shifted - 2 * products
        mean = np.cumsum(difference[:, 1:], axis=1) / lags[1:]
        normal = np.concatenate([np.ones((len(some), 1)), difference[:, 1:] / np.maximum(mean, 1e-12)], axis=1)
        period = rate / np.asarray(_hz(expected[some]), np.float64)[:, None]
        near = (lags >= period * 2 ** (-NEAR / 12)) & (lags <= period * 2 ** (NEAR / 12))
        near[:, [0, -1]] = False
        best = np.argmin(np.where(near, normal, np.inf), axis=1)
        rows = np.arange(len(some))
        before, middle, after = (normal[rows, best + step] for step in (-1, 0, 1))
        bend = before - 2 * middle + after
        shift = np.where(np.abs(bend) > 1e-12, 0.5 * (before - after) / np.where(bend == 0, 1.0, bend), 0.0)
        note = 69 + 12 * np.log2(rate / (best + np.clip(shift, -0.5, 0.5)) / 440)
        found[some] = np.where(near.any(axis=1) & (middle < 0.5), note, np.nan)
    return found


def _hz(note: Float64 | float) -> Float64 | float:
    return 440.0 * 2.0 ** ((note - 69.0) / 12.0)
