"""A tone beside white noise of a known level, and a small pitched network with a harmonic path that could play it."""

from __future__ import annotations

import dataclasses

import numpy as np

from livemove.contracts import HOP, LEVEL, Float32, HarmonicPath, ModelSpec, Phase
from livemove.synthesis import architectures

RATE, HOPS = 48000, 400


def small_spec(*styles: str) -> ModelSpec:
    return dataclasses.replace(
        architectures.stage(),
        conditioning=16,
        dilations=(1, 2),
        phase=Phase("pitch", 2),
        harmonic_path=HarmonicPath(8, 16, "loudness"),
        styles=styles,
    )


def noisy_tone(noise_db: float, seed: int = 0, loudness: float = 0.6) -> tuple[Float32, Float32]:
    """(audio [HOPS * HOP], channels [HOPS, 3]): five harmonics beside white noise, dB re the level asked for."""
    channels = np.tile(np.float32([57.0, loudness, 0.5]), (HOPS, 1))
    level = LEVEL * loudness**2
    phase = 220.0 * np.arange(HOPS * HOP) / RATE
    tone = sum(np.cos(2 * np.pi * k * phase) / k for k in range(1, 6))
    noise = np.random.default_rng(seed).standard_normal(len(phase)) * 10 ** (noise_db / 20)
    return np.float32(level * (tone / np.std(tone) + noise)), channels
