"""How loud the noise of a pitched model is, band by band, beside the noise of the sound it was trained on; and the
correction of its weights that makes them alike.

In: a model's spec and weights, its corpus. Out: weights whose log scales are shifted, and what was measured. A network
that is uncertain of a band's harmonics gives that band a wide distribution, and sampling makes noise of the doubt: a
single temperature trades the breath that belongs to a sound against noise that does not. The shift is a temperature of
each band, kept in head.bias_2, so that no engine needs to know of it. Knows no loop.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import fft

from livemove.contracts import HOP, LEVEL, Engine, Float32, Float64, ModelSpec, Weights
from training.data import descriptors
from training.data.corpus import Corpus, CorpusError
from training.metrics import tone
from training.metrics.held_out import Note, stretches
from training.metrics.playing import EnginePlayer

ROUNDS = 4
"""The noise goes back into the network, so its level answers a shift by more or less than the shift."""
NOTES, SECONDS = 24, 3.0
"""Stretches of training clips that are played per style, and their length."""
LIMITS = (-4.0, 1.0)
"""Of a band's whole shift, in nats: from 35 dB less to 9 dB more."""
EVERY = 4
"""Noise is measured around every so many hops."""
WHOLE_DB = -90.0
"""Re the level asked for: noise below it counts as this."""

MakeEngine = Callable[[ModelSpec, Weights], Engine]


def band_noise(audio: Float32, channels: Float32, voiced: np.ndarray, spec: ModelSpec) -> Float64:
    """dB re the level asked for [n, bands]: what is not periodic, around every EVERY-th voiced hop.

    By least squares over four or more periods (tone.split); a band of the filter bank is 1 / bands of the spectrum.
    """
    names, rate = spec.channel_names, spec.sample_rate
    notes, loudness = channels[:, names.index("pitch")], channels[:, names.index("loudness")]
    periods = tone.Periods(audio, rate, tone.running_phase(notes, rate))
    hz, borders = tone.hertz(notes), np.linspace(0, rate / 2, spec.bands + 1)
    rows: list[Float64] = []
    for hop in range(EVERY // 2, len(channels), EVERY):
        level = LEVEL * loudness[hop] ** 2
        if level <= descriptors.SILENT or not voiced[hop]:
            continue
        count = tone.periods_for(hz[hop], least=4, seconds=0.03)
        frames = periods.around(hop * HOP + HOP // 2, count)
        if frames is None:
            continue
        _, residual = tone.split(frames)
        power = 2 * np.abs(fft.rfft(residual.reshape(-1))) ** 2 / residual.size**2 * count / (count - 2)
        bands = np.histogram(np.arange(len(power)) * hz[hop] / count, borders, weights=power)[0]
        rows.append(np.maximum(10 * np.log10(np.maximum(bands, 1e-20)) - 20 * np.log10(level), WHOLE_DB))
    return np.array(rows).reshape(-1, spec.bands)


def excess_db(engine: Engine, played: list[Note], temperature: float, seed: int = 0) -> Float64:
    """Median over hops [bands] of the model's noise less the recordings', the same hops of the same notes."""
    player, spec = EnginePlayer(engine, temperature), engine.spec
    found: list[Float64] = []
    for index, note in enumerate(played):
        sound = player.sound(note.channels, note.style, seed + index, note.phase)
        found.append(
            band_noise(sound, note.channels, note.voiced, spec)
            - band_noise(note.audio, note.channels, note.voiced, spec)
        )
    rows = np.concatenate(found)
    if not len(rows):
        raise CorpusError("nothing voiced in what the noise is to be measured on")
    return np.median(rows, 0)


def calibrated(
    spec: ModelSpec, weights: Weights, corpus: Corpus, make: MakeEngine, temperature: float = 1.0
) -> tuple[Weights, Float64, Float64]:
    """(weights, excess before, excess after [bands] in dB): at `temperature` the noise is as loud as the corpus's.

    Of the training clips, for held-out ones are to judge it. Raises CorpusError without anything voiced.
    """
    played = stretches(corpus, spec, "train", NOTES * max(len(spec.styles), 1), SECONDS)
    mine = {name: np.array(w) for name, w in weights.items()}
    layout = mine["head.bias_2"].reshape(spec.bands, 3, spec.mixtures)
    shift = np.zeros(spec.bands)
    start = layout[:, 2].copy()
    before = np.zeros(spec.bands)
    for turn in range(ROUNDS + 1):
        excess = excess_db(make(spec, mine), played, temperature, 100 * turn)
        before = excess if turn == 0 else before
        if turn == ROUNDS:
            return mine, before, excess
        shift = np.clip(shift - excess * np.log(10) / 20, *LIMITS)
        layout[:, 2] = start + shift[:, None]
    raise AssertionError
