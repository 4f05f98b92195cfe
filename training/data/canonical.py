"""Harmonics of a steady tone get one canonical phase each, relative to its running phase; the rest of it is kept.

Recordings of notes contradict each other in the phases of their harmonics, which nobody hears and a network must learn
by heart. In: mono sound of a constant, known frequency. Out: the same sound, rewritten. NumPy/SciPy on arrays.
"""

from __future__ import annotations

import numpy as np
from scipy import fft, ndimage

from livemove.contracts import Float64

PERIOD = 40
"""K of the Schroeder phases: the same for every note, so that a harmonic's phase does not depend on pitch."""
BAND = 0.35, 60.0
"""Half-width of what is taken for harmonic k: of the fundamental's frequency, at most so many Hz."""
SLOW_HZ = 15.0
"""A harmonic's phase is what is left of it below this; faster turns are noise of the bow or the breath, and stay."""
TOP = 0.46
"""Harmonics above this share of the sample rate stay as they are."""


def phases(count: int) -> Float64:
    """Radians [count] of harmonics 1..: -pi k (k - 1) / K, low crest (Schroeder 1970), and 0 of the fundamental."""
    k = np.arange(1, count + 1)
    return -np.pi * k * (k - 1) / PERIOD


def rewritten(sound: Float64, rate: int, f0_hz: float) -> Float64:
    """sound [n] of fundamental cos(2 pi f0 t) from sample 0 on, with every harmonic's slow phase made canonical.

    The band around each harmonic is cut from one FFT of the whole, turned by its own slow phase, and put back.
    """
    pad = int(0.1 * rate)
    size = fft.next_fast_len(len(sound) + 2 * pad, real=True)
    spectrum = fft.rfft(np.pad(sound, (pad, size - len(sound) - pad)))
    half = int(min(BAND[0] * f0_hz, BAND[1]) * size / rate)
    offset = np.arange(-half, half + 1)
    edge = np.abs(offset) / (half + 1)
    window = np.where(edge < 0.6, 1.0, 0.5 + 0.5 * np.cos(np.pi * (edge - 0.6) / 0.4))
    slow = np.exp(-0.5 * (offset * rate / size / (SLOW_HZ / 2)) ** 2)
    length = 2 * len(offset)
    old, new = np.zeros_like(spectrum), np.zeros_like(spectrum)
    time = np.arange(length) * (size / length) - pad  # samples of the sound
    count = int(TOP * rate / f0_hz)
    for k, phase in enumerate(phases(count), 1):
        centre = round(k * f0_hz * size / rate)
        if centre - half < 0 or centre + half >= len(spectrum):
            break
        here = slice(centre - half, centre + half + 1)
        part = spectrum[here] * window
        # Baseband, from frequency centre; what is asked for is relative to k f0.
        tone, steady = (fft.ifft(_wrapped(p, half, length)) for p in (part, part * slow))
        carrier = 2 * np.pi * (k * f0_hz / rate * time - centre / size * (time + pad))
        turn = np.exp(1j * (phase + carrier)) * np.conj(steady) / np.maximum(np.abs(steady), 1e-12)
        old[here] += part
        new[here] += _unwrapped(fft.fft(tone * turn), half)
    keep = slice(pad, pad + len(sound))
    old_sound, new_sound = (fft.irfft(s, size)[keep] for s in (old, new))
    # A band that narrow rings before an attack: harmonics are no louder than the sound they are taken from.
    width = max(int(0.006 * rate), int(0.5 * rate / f0_hz))
    level, tonal = (np.sqrt(ndimage.uniform_filter1d(s**2, width) + 1e-14) for s in (sound, old_sound))
    share = ndimage.uniform_filter1d(np.clip(level / np.maximum(tonal, 1e-7), 0, 1), width)
    return sound + share * (new_sound - old_sound)


def _wrapped(part: np.ndarray, half: int, length: int) -> np.ndarray:
    """Bins -half..half in the order of an FFT of that length."""
    out = np.zeros(length, complex)
    out[: half + 1], out[length - half :] = part[half:], part[:half]
    return out


def _unwrapped(bins: np.ndarray, half: int) -> np.ndarray:
    return np.concatenate([bins[len(bins) - half :], bins[: half + 1]])
