"""Held-out notes played again from their own channels: by the model, by the additive baseline, beside the recordings.

In: a corpus, players. Out: distances and figures with intervals. The recordings by the same measures are the ceiling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from livemove.contracts import HOP, Float32, ModelSpec
from training.data import descriptors
from training.data.corpus import Clip, Corpus, CorpusError
from training.metrics import pitched, tone
from training.metrics.instrument import correlation, pitch_summary, spread
from training.metrics.playing import Player

LONGEST_S = 4.0
DRAWS = 2000
"""Of the bootstrap."""


@dataclass(frozen=True)
class Note:
    """A stretch of a held-out clip: style is the model's index; phase in cycles at its start; voiced [hops]."""

    name: str
    style: int
    channels: Float32
    audio: Float32
    phase: float
    voiced: np.ndarray


def notes(corpus: Corpus, spec: ModelSpec, count: int = 24, seconds: float = LONGEST_S) -> list[Note]:
    """Stretches of what the corpus holds out. Raises CorpusError if it holds nothing out."""
    return stretches(corpus, spec, "valid", count, seconds)


def stretches(corpus: Corpus, spec: ModelSpec, split: str, count: int, seconds: float) -> list[Note]:
    """Up to `count` stretches of at most `seconds`, spread over a split, none overlapping another.

    Raises CorpusError if the split has no clip that the model could play.
    """
    clips = [c for c in corpus.select(split, spec.channel_names) if not spec.styles or c.style in spec.styles]
    if not clips:
        there = "holds out no clip" if split == "valid" else "no clip to train on"
        raise CorpusError(f"{corpus.root}: {there} with {', '.join(spec.channel_names)}")
    hops = round(seconds * spec.sample_rate / HOP)
    places = [(clip, at) for clip in clips for at in range(0, max(clip.hops - hops // 2, 1), hops)]
    chosen = np.unique(np.linspace(0, len(places) - 1, min(count, len(places))).round().astype(int))
    return [_note(corpus, spec, *places[i], hops) for i in chosen]


def _note(corpus: Corpus, spec: ModelSpec, clip: Clip, at: int, hops: int) -> Note:
    hops = min(clip.hops - at, hops)
    known = {c.name for c in corpus.channels}
    voicing = corpus.read(clip, ("voicing",), at, hops).channels[:, 0] if "voicing" in known else np.ones(hops)
    window = corpus.read(clip, spec.channel_names, at, hops)
    style = spec.styles.index(clip.style) if clip.style in spec.styles else 0
    channels = np.ascontiguousarray(window.channels)
    voiced = (voicing > 0.5) & (channels[:, spec.channel_names.index("loudness")] > 0.15)
    phase = corpus.phase(clip)
    start = 0.0 if phase is None else float(phase[at])
    name = f"{clip.name} from {at * HOP / spec.sample_rate:.1f} s" if at else clip.name
    return Note(name, style, channels, window.audio, start, voiced)


def figures(sounds: Sequence[Float32], played: Sequence[Note], spec: ModelSpec) -> dict[str, float]:
    """Of one player's sounds, or of the recordings': as metrics/instrument.py, where the notes are voiced."""
    rate, names = spec.sample_rate, spec.channel_names
    errors: list[np.ndarray] = []
    hnr: list[np.ndarray] = []
    loud: list[np.ndarray] = []
    bright: list[np.ndarray] = []
    for note, audio in zip(played, sounds, strict=True):
        pitch = note.channels[:, names.index("pitch")]
        if note.voiced.any():
            errors.append(tone.pitch_errors(audio, rate, pitch, note.voiced))
            hnr.append(tone.harmonic_to_noise_db(audio, rate, pitch, note.voiced))
        found = descriptors.describe(audio, rate)
        loud.append(
            np.stack([note.channels[:, names.index("loudness")], found[:, descriptors.NAMES.index("loudness")]])
        )
        if "brightness" in names:
            pair = np.stack(
                [note.channels[:, names.index("brightness")], found[:, descriptors.NAMES.index("brightness")]]
            )
            bright.append(pair[:, note.voiced])
    noise = np.concatenate(hnr) if hnr else np.empty(0)
    return {
        **pitch_summary(np.concatenate(errors) if errors else np.empty(0)),
        "hnr_db": float(np.median(noise)) if len(noise) else float("nan"),
        "loudness_correlation": correlation(*np.concatenate(loud, 1)),
        **({"brightness_correlation": correlation(*np.concatenate(bright, 1))} if bright else {}),
    }


def scores(
    players: Mapping[str, Player], played: Sequence[Note], spec: ModelSpec, seeds: int = 3
) -> dict[str, Any]:  # fmt: skip
    """{"notes", "recordings": figures, player: {figure: Spread}, "baseline_minus_model_db": [mean, lowest, highest]}.

    Each player's figures have "log_mel_db": mean distance to the recordings (pitched.spectral_distance_db). The last is
    how much farther the baseline is from them, note by note, mean over seeds, with its 95 % bootstrap interval.
    """
    out: dict[str, Any] = {
        "notes": len(played),
        "recordings": figures([note.audio for note in played], played, spec),
    }
    distances: dict[str, np.ndarray] = {}
    for name, player in players.items():
        rows, each = [], []
        for seed in range(seeds):
            sounds = [player.sound(n.channels, n.style, 1000 * seed + i, n.phase) for i, n in enumerate(played)]
            away = [
                pitched.spectral_distance_db(sound, note.audio, spec.sample_rate)
                for sound, note in zip(sounds, played, strict=True)
            ]
            each.append(away)
            rows.append({"log_mel_db": float(np.mean(away)), **figures(sounds, played, spec)})
        distances[name] = np.mean(each, 0)
        out[name] = spread(rows)
    if {"model", "baseline"} <= set(distances):
        out["baseline_minus_model_db"] = interval(distances["baseline"] - distances["model"])
    return out


def interval(values: np.ndarray, seed: int = 0) -> list[float]:
    """[mean, 2.5 %, 97.5 %] of the mean, by bootstrap over the values (Efron 1979)."""
    drawn = np.random.default_rng(seed).choice(values, (DRAWS, len(values))).mean(1)
    return [float(values.mean()), *np.percentile(drawn, (2.5, 97.5)).tolist()]
