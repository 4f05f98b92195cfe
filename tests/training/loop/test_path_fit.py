"""The harmonic path fitted to a corpus: known amplitudes are found, and what it explains is counted honestly."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from livemove.contracts import HOP, HarmonicPath, Phase
from livemove.synthesis import architectures, harmonic_path
from training.data.corpus import CorpusError
from training.data.feed import Recorded
from training.loop import path_fit
from training.model.wavenet import WaveNet

RATE = 48000


def test_demodulation_finds_known_amplitudes_of_a_gliding_tone() -> None:
    hz = np.linspace(220.0, 330.0, 120)
    phase = (np.cumsum(hz) - hz) * HOP / RATE + 0.3
    samples = (phase[:, None] + hz[:, None] * np.arange(HOP) / RATE).reshape(-1)
    amplitudes = np.array([0.4, 0.2j, -0.1 + 0.05j])
    audio = sum((a * np.exp(2j * np.pi * k * samples)).real for k, a in enumerate(amplitudes, 1))
    # Three periods under a Hann window let the neighbours through at about -30 dB.
    found = path_fit.demodulated(np.float32(audio), phase % 1.0, hz, RATE, 4)
    np.testing.assert_allclose(found[10:-10, :3], np.tile(amplitudes, (100, 1)), atol=0.015)
    assert np.abs(found[10:-10, 3]).max() < 0.015


class _Notes(Recorded):
    """Two clips of a tone whose harmonics follow pitch and loudness exactly, beside noise; no files."""

    def __init__(self, silent: bool = False) -> None:
        spec = architectures.stage()
        rng = np.random.default_rng(0)
        hops = 800
        note = 57 + 24 * (0.5 + 0.5 * np.sin(np.arange(hops) / 40))
        loudness = np.zeros(hops) if silent else 0.5 + 0.3 * np.sin(np.arange(hops) / 23)
        self.track = np.stack([note, loudness, np.full(hops, 0.5)], -1).astype(np.float32)
        hz = 440 * 2 ** ((note - 69) / 12)
        self.phase = (np.cumsum(hz) - hz) * HOP / RATE
        cycles = (self.phase[:, None] + hz[:, None] * np.arange(HOP) / RATE).reshape(-1)
        level = np.repeat(harmonic_path.level(_spec(), self.track), HOP)
        slope = np.repeat((note - 57) / 24, HOP)
        audio = level * ((1 + slope) * np.cos(2 * np.pi * cycles) + slope * np.sin(4 * np.pi * cycles))
        self.audio = (audio + 1e-3 * rng.standard_normal(len(audio))).astype(np.float32)
        self.names, self.corpus, self.spec = spec.channel_names, self, spec  # type: ignore[assignment]
        self.root, self.styles = "made up", ()

    def select(self, split: str | None, names: object) -> tuple[int, ...]:
        return (0, 1)

    def read(self, clip: object, names: object) -> object:
        return type("Window", (), {"audio": self.audio, "channels": self.track, "style": 0})()

    def cycles(self, window: object) -> np.ndarray:
        return self.phase % 1.0


def _spec() -> object:
    return dataclasses.replace(
        architectures.stage(),
        conditioning=16,
        dilations=(1, 2),
        phase=Phase("pitch", 2),
        harmonic_path=HarmonicPath(4, 64, "loudness"),
    )


def test_a_path_is_fitted_to_harmonics_that_follow_the_channels() -> None:
    torch.manual_seed(0)
    network = WaveNet(_spec())  # type: ignore[arg-type]
    notes = _Notes()
    assert path_fit.fit(network, notes, steps=400) > 0.99
    rows = path_fit.measured(network.spec, notes)  # type: ignore[arg-type]
    made = network.path_amplitudes(rows.channels[:, None], rows.style)[:, 0].detach()
    heard, wanted = (np.hypot(*x.numpy().reshape(-1, 2, 4).swapaxes(0, 1)) for x in (made, rows.wanted))
    loud = wanted[:, 1] > 0.1  # the second harmonic begins at nothing
    assert np.median(np.abs(20 * np.log10(heard / wanted))[loud, :2]) < 0.5


def test_a_corpus_of_silence_is_refused() -> None:
    with pytest.raises(CorpusError, match="loud enough"):
        path_fit.fit(WaveNet(_spec()), _Notes(silent=True))  # type: ignore[arg-type]
