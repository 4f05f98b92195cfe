"""Cosine-modulated pseudo-QMF bank: audio <-> critically sampled bands.

Training analyses with it, every multi-band engine synthesises with it. Pure NumPy on arrays; knows no engine.
Near-perfect reconstruction (Nguyen 1994; Kaiser-window prototype, Lin & Vaidyanathan 1998): error -62 dB at 10 taps
per band.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from livemove.contracts import Float32, Float64

BETA = 9.0
"""Kaiser window shape of the prototype."""

CUTOFF = {16: 0.6061, 8: 0.6068, 4: 0.6081}
"""Prototype cut-off times bands, in units of Nyquist, minimising the reconstruction error at 10 taps per band."""


@lru_cache(maxsize=8)
def prototype(bands: int, taps: int) -> Float64:
    """Low-pass prototype h [taps], unit gain at DC."""
    if bands not in CUTOFF or taps % bands:
        raise ValueError(f"no PQMF of {bands} bands, {taps} taps: bands {sorted(CUTOFF)}, taps a multiple of the bands")
    n = np.arange(taps) - (taps - 1) / 2
    cutoff = CUTOFF[bands] / bands
    h = cutoff * np.sinc(cutoff * n) * np.kaiser(taps, BETA)
    return h / h.sum()


@lru_cache(maxsize=8)
def filters(bands: int, taps: int) -> tuple[Float64, Float64]:
    """(analysis, synthesis) impulse responses [bands, taps]; a sinusoid keeps its amplitude inside its band."""
    h = prototype(bands, taps)
    n = np.arange(taps) - (taps - 1) / 2
    k = np.arange(bands)[:, None]
    carrier = (2 * k + 1) * math.pi / (2 * bands) * n
    offset = np.where(k % 2, -1, 1) * math.pi / 4
    return 2 * h * np.cos(carrier + offset), 2 * h * np.cos(carrier - offset) * bands


def delay(bands: int, taps: int) -> int:
    """Samples by which synthesis(analysis(x)) lags x: small, because analysis looks ahead (it runs offline only)."""
    return taps // 2 - bands


def analysis(audio: Float32, bands: int, taps: int) -> Float32:
    """Bands [steps, bands] of audio [steps * bands]; step t is centred on the end of its own samples."""
    steps = len(audio) // bands
    ahead = taps // 2 + bands - 1
    padded = np.pad(audio[: steps * bands].astype(np.float64), (taps, taps))
    frames = np.lib.stride_tricks.sliding_window_view(padded, taps)[ahead + 1 :: bands][:steps]
    return (frames @ filters(bands, taps)[0][:, ::-1].T).astype(np.float32)


def synthesis(history: Float32, values: Float32, bands: int, taps: int) -> Float32:
    """Audio [steps * bands] of band signals values [steps, bands], given the overlap that precedes them.

    history [taps // bands - 1, bands]: the band signals of the steps before, oldest first.
    """
    overlap = taps // bands - 1
    stack = np.concatenate([history, values])
    blocks = filters(bands, taps)[1].reshape(bands, overlap + 1, bands)  # [band, age, sample]
    out = np.zeros((len(values), bands))
    for age in range(overlap + 1):
        out += stack[overlap - age : len(stack) - age] @ blocks[:, age]
    return out.reshape(-1).astype(np.float32)
