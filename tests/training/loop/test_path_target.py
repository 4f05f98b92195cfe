"""What the network learns beside a fitted path: steady deviations go, attacks and noise stay."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from livemove.contracts import HOP, HarmonicPath, ModelSpec, Phase
from livemove.synthesis import architectures, conditioning, pqmf
from training.loop import path_target
from training.model.wavenet import WaveNet

RATE = 48000
HOPS = 300
HZ = 220.0


def _spec() -> ModelSpec:
    return dataclasses.replace(
        architectures.stage(),
        conditioning=16,
        dilations=(1, 2),
        phase=Phase("pitch", 2),
        harmonic_path=HarmonicPath(4, 16, "loudness"),
    )


def _network() -> WaveNet:
    """A path that gives a fundamental of amplitude 1 over the level, and nothing else."""
    network = WaveNet(_spec())
    with torch.no_grad():
        network.weight("harmonics.weight_3").zero_()
        network.weight("harmonics.bias_3").zero_()
        network.weight("harmonics.bias_3")[0] = 1.0
    return network


def _resident(audio: np.ndarray, loudness: np.ndarray, phase: float = 0.1) -> SimpleNamespace:
    """As training.data.resident.Resident, of one clip of a steady pitch."""
    spec = _spec()
    track = np.stack([np.full(HOPS, 57.0), loudness, np.full(HOPS, 0.5)], -1).astype(np.float32)
    cycles = (phase + HZ * np.arange(HOPS) * HOP / RATE) % 1.0
    columns = (
        pqmf.analysis(audio.astype(np.float32), spec.bands, spec.pqmf_taps),
        conditioning.normalise(spec, track),
        np.full(HOPS, HZ, np.float32),
        cycles.astype(np.float32),
    )
    bands, channels, hz, cycles = (torch.from_numpy(np.ascontiguousarray(c)) for c in columns)
    return SimpleNamespace(bands=bands, channels=channels, hz=hz, cycles=cycles, spans=[(0, HOPS, 0)])


def _tone(k: int, phase: float = 0.1) -> np.ndarray:
    return np.cos(2 * np.pi * k * (phase + HZ * np.arange(HOPS * HOP) / RATE))


def test_a_steady_tone_is_taught_as_the_path_has_it() -> None:
    loudness = np.full(HOPS, 0.6)
    level = 0.25 * 0.6**2
    noise = 0.01 * level * np.random.default_rng(0).standard_normal(HOPS * HOP)
    path, own = level * _tone(1), level * (0.3 * _tone(1) + 0.2 * _tone(3))  # louder than the path, and a third partial
    resident = _resident(path + own + noise, loudness)
    taught = _resident(path + noise, loudness).bands
    left = (resident.bands - taught).square().mean()
    path_target.take_out(_network(), resident)  # type: ignore[arg-type]
    inner = slice(40 * 16, -40 * 16)
    after = (resident.bands - taught)[inner].square().mean()
    # what comes along is the noise near the harmonics that is as slow as SLOW_S
    assert after < left * 1e-3


def test_attacks_stay_as_recorded() -> None:
    loudness = np.where(np.arange(HOPS) < 150, 0.05, 0.6)
    level = np.repeat(0.25 * loudness**2, HOP)
    resident = _resident(level * 1.4 * _tone(1), loudness)
    before = resident.bands.clone()
    path_target.take_out(_network(), resident)  # type: ignore[arg-type]
    attack = slice(148 * 16, 153 * 16)
    gone = (resident.bands - before).square()
    assert gone[attack].sum() < 1e-3 * before[attack].square().sum()
    steady = slice(200 * 16, 250 * 16)
    assert gone[steady].sum() > 0.05 * before[steady].square().sum()


def test_what_is_faster_than_the_average_stays() -> None:
    hop_s = HOP / RATE
    time = np.arange(HOPS) * hop_s
    fast, still = np.cos(2 * np.pi * 30 * time), np.full(HOPS, 0.3)
    found = path_target.slow((fast + still)[:, None].astype(complex), np.ones(HOPS), hop_s)
    np.testing.assert_allclose(found[30:-30, 0].real, 0.3, atol=0.02)


@pytest.mark.parametrize(
    ("notes", "loudness"),
    [
        (np.full(HOPS, 60.0), np.where(np.arange(HOPS) < 150, 0.3, 0.6)),  # swells at once
        (np.full(HOPS, 60.0), np.where(np.arange(HOPS) < 150, 0.6, 0.1)),  # stops
        (np.where(np.arange(HOPS) < 150, 60.0, 63.0), np.full(HOPS, 0.5)),  # leaps
    ],
)
def test_changes_are_not_steady(notes: np.ndarray, loudness: np.ndarray) -> None:
    found = path_target.steadiness(notes, loudness, HOP / RATE)
    assert found[147:153].max() < 0.05
    assert found[:120].min() > 0.95
    assert found[180:].min() > 0.95


def test_vibrato_and_swells_are_steady() -> None:
    time = np.arange(HOPS) * HOP / RATE
    notes, loudness = 60 + 0.3 * np.sin(2 * np.pi * 6 * time), 0.4 + 0.2 * np.sin(2 * np.pi * 0.5 * time)
    assert path_target.steadiness(notes, loudness, HOP / RATE)[5:-5].min() > 0.95
