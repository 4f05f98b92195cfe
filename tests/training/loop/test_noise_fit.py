"""A network's noise is brought to its corpus's: on the whole, wherever its channels are, and in each style."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from livemove.contracts import ModelSpec, Weights
from livemove.synthesis.native import NativeEngine
from tests.support.noisy_tones import HOPS, noisy_tone, small_spec
from training.loop import noise_fit
from training.metrics.held_out import Note
from training.metrics.noise_levels import band_noise
from training.metrics.playing import EnginePlayer
from training.model.wavenet import WaveNet


def hissing(spec: ModelSpec) -> Weights:
    """An untrained network whose every band is a wide logistic, and whose noise does not come back to it."""
    weights: Weights = WaveNet(spec).weights()
    layout = weights["head.bias_2"].reshape(spec.bands, 3, spec.mixtures)
    layout[:, 1:] = np.array([0.0, np.log(1e-2)])[:, None]
    weights["head.weight_2"][:] = 0.0
    weights["bands.scale"][:] = 0.1
    return weights


def note(style: int, noise_db: float, seed: int, loudness: float = 0.6) -> Note:
    audio, channels = noisy_tone(noise_db, seed, loudness)
    return Note("made", style, channels, audio, 0.0, np.arange(HOPS) > 20)


def test_a_network_is_made_as_noisy_as_its_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calibrated to noise 40 dB below a tone, by one shift for each band."""
    spec = small_spec()
    weights = hissing(spec)
    monkeypatch.setattr(noise_fit, "stretches", lambda *_: [note(0, -40.0, 1)])
    corrected, before, after = noise_fit.calibrated(spec, weights, None, NativeEngine, quick=True)  # type: ignore[arg-type]
    assert before.shape == after.shape == (1, spec.bands)
    assert np.abs(before).max() > 5
    assert np.abs(after).max() < 1
    assert set(corrected) == set(weights)
    moved = [name for name in weights if not np.array_equal(weights[name], corrected[name])]
    assert moved == ["head.bias_2"]


def test_soft_and_loud_notes_get_noise_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """One style: 25 dB below soft tones, 45 below loud ones. One shift for all could not come nearer than 10."""
    spec = dataclasses.replace(small_spec(), residual=16, skip=16, hidden=16)
    monkeypatch.setattr(noise_fit, "STEPS", 80)
    monkeypatch.setattr(noise_fit, "ROUNDS", 3)
    monkeypatch.setattr(noise_fit, "RATE", 0.02)
    notes = [note(0, noise_db, seed, loud) for seed, (loud, noise_db) in enumerate([(0.3, -25.0), (0.8, -45.0)] * 2)]
    monkeypatch.setattr(noise_fit, "stretches", lambda *_: notes)
    corrected, _, after = noise_fit.calibrated(spec, hissing(spec), None, NativeEngine)  # type: ignore[arg-type]
    player = EnginePlayer(NativeEngine(spec, corrected), 1.0)
    for made in notes[:2]:
        mine = band_noise(player.sound(made.channels, 0, 5), made.channels, made.voiced, spec)[1]
        asked = band_noise(made.audio, made.channels, made.voiced, spec)[1]
        assert np.median(np.abs(np.median(mine, 0) - np.median(asked, 0))) < 4
    assert np.abs(np.median(after)) < 3


def test_each_style_gets_its_own_noise_and_the_path_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two styles, 30 and 50 dB below a tone; a smaller network that learns in larger steps."""
    spec = dataclasses.replace(small_spec("breathy", "clean"), residual=16, skip=16, hidden=16)
    monkeypatch.setattr(noise_fit, "STEPS", 80)
    monkeypatch.setattr(noise_fit, "RATE", 0.02)
    weights = hissing(spec)
    notes = [note(style, noise_db, seed) for seed, (style, noise_db) in enumerate([(0, -30.0), (1, -50.0)] * 2)]
    monkeypatch.setattr(noise_fit, "stretches", lambda *_: notes)
    corrected, before, after = noise_fit.calibrated(spec, weights, None, NativeEngine)  # type: ignore[arg-type]
    assert np.abs(np.diff(before, axis=0)).min() > 15
    assert np.abs(after).max() < 4
    moved = {name for name in weights if not np.array_equal(weights[name], corrected[name])}
    assert "head.weight_2" in moved
    assert not any(name.startswith(noise_fit.KEPT) for name in moved)
