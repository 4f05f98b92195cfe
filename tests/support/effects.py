"""Hops through an effect, for tests. In: signals as float [samples] or [samples, 2]. Out: float32 [samples, 2]."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from livemove.contracts import HOP, Float32


def stereo(signal: np.ndarray) -> Float32:
    """float32 [whole hops, 2]: mono on both sides, silence at the end."""
    wide = np.repeat(signal[:, None], 2, axis=1) if signal.ndim == 1 else signal
    padded = np.zeros((-(-len(wide) // HOP) * HOP, 2), np.float32)
    padded[: len(wide)] = wide
    return padded


def through(work: Callable[[Float32, int], object], signal: np.ndarray) -> Float32:
    """work(block, hop) for every hop of the signal, in place."""
    out = stereo(signal)
    for hop in range(len(out) // HOP):
        work(out[hop * HOP : (hop + 1) * HOP], hop)
    return out


def settled(work: Callable[[Float32, int], object], signal: np.ndarray) -> Float32:
    """`through`, after a silent hop in which all levels arrive where they are set."""
    work(np.zeros((HOP, 2), np.float32), -1)
    return through(work, signal)


def impulse(seconds: float, rate: int, left: float = 1.0, right: float = 0.0) -> Float32:
    out = np.zeros((round(seconds * rate), 2), np.float32)
    out[0] = left, right
    return out


def noise(seconds: float, rate: int, seed: int = 0, level: float = 0.1) -> Float32:
    return (level * np.random.default_rng(seed).standard_normal((round(seconds * rate), 2))).astype(np.float32)
