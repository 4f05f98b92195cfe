"""The theremin's own figures: on the control tracks of its procedural sound, beside that sound itself as the ceiling.

In: an engine. Out: figures, and what was heard. The definitions of these figures stay as they are, so that models of
different days compare; figures that any pitched model can have are in metrics/instrument.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track as progress

from livemove.contracts import HOP, Engine, Float32, ModelSpec, Weights
from training.data import procedural
from training.metrics import likelihood, pitched
from training.metrics.playing import Segment, Style, play, sound

REST_S = 0.1
"""Loudness must have been 0 for this long before a hop counts as rest."""


def held_out_tracks(count: int, seconds: float) -> list[Float32]:
    """Control tracks no training run has seen."""
    hops = round(seconds * procedural.HOP_RATE)
    return [procedural.controls(np.random.default_rng((procedural.HELD_OUT_SEED, 1, i)), hops) for i in range(count)]


def held_out_clips(spec: ModelSpec, count: int) -> list[dict[str, Float32]]:
    """Clips of one second as training sees them, none of which it has seen."""
    hops = round(procedural.HOP_RATE)
    seeds = [(procedural.HELD_OUT_SEED, 2, i) for i in range(count)]
    return [procedural.example(np.random.default_rng(seed), spec, hops) for seed in seeds]


def onsets(count: int = 12, rest_hops: int = 40, hops: int = 100) -> list[Float32]:
    """Tracks that rest and then sound at once, at pitches over the whole range: for the response time."""
    tracks = []
    for i in range(count):
        note = np.zeros((hops, 3), np.float32)
        note[:, 0] = 58 + 22 * i / (count - 1)
        note[rest_hops:, 1] = 0.8
        note[:, 2] = 0.5
        tracks.append(note)
    return tracks


def resting(track: Float32) -> np.ndarray:
    """Hops [bool] in which loudness has been 0 for REST_S."""
    wait = round(REST_S * procedural.HOP_RATE)
    sounding = np.convolve(track[:, 1] > 0, np.ones(wait + 1))[: len(track)] > 0
    sounding[:wait] = True
    return ~sounding


def measure(tracks: list[Float32], sounds: list[Float32], rate: int, delay: int) -> dict[str, float]:
    """Pitch, noise, loudness, brightness and rest figures of sounds made from control tracks."""
    cents = np.concatenate([pitched.cents(s, rate, delay, t) for t, s in zip(tracks, sounds, strict=True)])
    hnr = np.concatenate([pitched.harmonic_to_noise_db(s, rate, delay, t) for t, s in zip(tracks, sounds, strict=True)])
    bright = [pitched.brightness_correlation(s, rate, delay, t) for t, s in zip(tracks, sounds, strict=True)]
    levels = np.concatenate([pitched.level(s, delay, len(t)) for t, s in zip(tracks, sounds, strict=True)])
    asked = np.concatenate([t[:, 1] for t in tracks])
    rest = np.concatenate([resting(t) for t in tracks])
    return {
        "pitch_cents_median": float(np.median(cents)),
        "pitch_cents_p90": float(np.percentile(cents, 90)),
        "hnr_db": float(np.median(hnr)),
        "hnr_db_p10": float(np.percentile(hnr, 10)),
        "loudness_correlation": float(np.corrcoef(levels, asked**2)[0, 1]),
        "brightness_correlation": float(np.nanmedian(bright)) if np.isfinite(bright).any() else float("nan"),
        "rest_dbfs": pitched.dbfs(float(np.sqrt((levels[rest] ** 2).mean()))) if rest.any() else float("nan"),
    }


@dataclass(frozen=True)
class Heard:
    """A held-out control track [hops, C], what the model made of it, and what its sound source makes of it."""

    track: Float32
    sound: Float32
    original: Float32


def listen(engine: Engine, temperature: float, count: int, seconds: float, quiet: bool = False) -> list[Heard]:
    """The model on held-out control tracks, freely sampled as on stage; the last one is four seconds of rest."""
    tracks = held_out_tracks(count, seconds)
    tracks.append(np.zeros((round(4 * procedural.HOP_RATE), 3), np.float32) + np.float32([69, 0, 0.5]))
    heard: list[Heard] = []
    for seed, track in enumerate(progress(tracks, "playing", console=Console(stderr=True), disable=quiet)):
        heard.append(Heard(track, sound(engine, track, 0, temperature, seed), procedural.tone(track, 0.0)))
    return heard


def figures_of(engine: Engine, weights: Weights, temperature: float, heard: list[Heard]) -> dict[str, Any]:
    """All figures of a pitched model as a plain dict; "ceiling": the same measures of its own sound source."""
    spec: ModelSpec = engine.spec
    starts = onsets()
    rests = int(np.flatnonzero(starts[0][:, 1])[0])
    rises = [
        pitched.rise_ms(play(engine, t, temperature, i), spec.sample_rate, rests * HOP, (rests + 20) * HOP)
        for i, t in enumerate(starts)
    ]
    tracks = [h.track for h in heard]
    return {
        "model": spec.name,
        "engine": engine.name,
        "temperature": temperature,
        "seconds": sum(len(h.sound) for h in heard) / spec.sample_rate,
        **measure(tracks, [h.sound for h in heard], spec.sample_rate, 0),
        "spectral_distance_db": float(
            np.mean([pitched.spectral_distance_db(h.sound, h.original, spec.sample_rate) for h in heard])
        ),
        "response_ms": float(np.median(rises)),
        **likelihood.bits(spec, weights, held_out_clips(spec, len(heard))),
        "ceiling": measure(tracks, [h.original for h in heard], spec.sample_rate, 0),
    }


def evaluate(
    engine: Engine, weights: Weights, temperature: float, count: int, seconds: float, quiet: bool = False
) -> dict[str, Any]:
    """Listen, and all figures of what was heard."""
    return figures_of(engine, weights, temperature, listen(engine, temperature, count, seconds, quiet))


class Source:
    """The sound the theremin was trained on, as a player: the ceiling."""

    lag = 0

    def sound(self, channels: Float32, style: Style = 0, seed: int = 0, phase: float = 0.0) -> Float32:
        return procedural.tone(channels, phase)

    def sequence(self, segments: Sequence[Segment], seed: int = 0) -> Float32:
        return procedural.tone(np.concatenate([channels for channels, _ in segments]), 0.0)


def is_theremin(spec: ModelSpec) -> bool:
    """Whether a model is played by the channels of data/procedural.py, at its rate: then its own measures apply."""
    return (spec.channels, spec.sample_rate) == (procedural.theremin_spec().channels, procedural.SAMPLE_RATE)
