"""Noise by band: a known level is measured, and a network's is brought to the corpus's."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from livemove.contracts import HOP, LEVEL, HarmonicPath, ModelSpec, Phase, Weights
from livemove.synthesis import architectures
from livemove.synthesis.native import NativeEngine
from training.metrics import noise_levels
from training.metrics.held_out import Note
from training.model.wavenet import WaveNet

RATE, HOPS = 48000, 400


def _spec() -> ModelSpec:
    return dataclasses.replace(
        architectures.stage(),
        conditioning=16,
        dilations=(1, 2),
        phase=Phase("pitch", 2),
        harmonic_path=HarmonicPath(8, 16, "loudness"),
    )


def _tone(noise_db: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(audio, channels): five harmonics at loudness 0.6 beside white noise, dB re the level asked for."""
    channels = np.tile(np.float32([57.0, 0.6, 0.5]), (HOPS, 1))
    level = LEVEL * 0.6**2
    phase = 220.0 * np.arange(HOPS * HOP) / RATE
    tone = sum(np.cos(2 * np.pi * k * phase) / k for k in range(1, 6))
    noise = np.random.default_rng(seed).standard_normal(len(phase)) * 10 ** (noise_db / 20)
    return np.float32(level * (tone / np.std(tone) + noise)), channels


@pytest.mark.parametrize("noise_db", [-30.0, -50.0])
def test_white_noise_is_measured_band_by_band(noise_db: float) -> None:
    audio, channels = _tone(noise_db)
    found = noise_levels.band_noise(audio, channels, np.ones(HOPS, bool), _spec())
    mean_db = 10 * np.log10((10 ** (found / 10)).mean(0))
    np.testing.assert_allclose(mean_db[:14], noise_db - 10 * np.log10(16), atol=1)
    # the splines lose a little near Nyquist, of whatever sound
    np.testing.assert_allclose(mean_db[14:], noise_db - 10 * np.log10(16), atol=3)


def test_a_network_is_made_as_noisy_as_its_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """An untrained network whose every band is a wide logistic, calibrated to noise 40 dB below a tone."""
    spec = _spec()
    weights: Weights = WaveNet(spec).weights()
    audio, channels = _tone(-40.0, 1)
    notes = [Note("made", 0, channels, audio, 0.0, np.arange(HOPS) > 20)]
    monkeypatch.setattr(noise_levels, "stretches", lambda *_: notes)
    layout = weights["head.bias_2"].reshape(spec.bands, 3, spec.mixtures)
    layout[:, 1:] = np.array([0.0, np.log(1e-2)])[:, None]
    weights["head.weight_2"][:] = 0.0  # its noise does not come back to it
    weights["bands.scale"][:] = 0.1
    corrected, before, after = noise_levels.calibrated(spec, weights, None, NativeEngine)  # type: ignore[arg-type]
    assert np.abs(before).max() > 5
    assert np.abs(after).max() < 1
    assert set(corrected) == set(weights)
    moved = [name for name in weights if not np.array_equal(weights[name], corrected[name])]
    assert moved == ["head.bias_2"]


def test_white_noise_alone_is_not_voiced() -> None:
    audio, channels = _tone(-40.0)
    assert noise_levels.band_noise(audio, channels, np.zeros(HOPS, bool), _spec()).shape == (0, 16)
