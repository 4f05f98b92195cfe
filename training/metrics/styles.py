"""Whether the styles of one model differ, and whether a blend of two lies between them.

In: a player with several styles, the ranges of each, recordings if there are any. Out: shares and distances. Spectra
are means over time of 64 mel bands in dB, less their mean: timbre without level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import librosa
import numpy as np

from livemove.contracts import HOP, Float32, Float64, ModelSpec
from training.data.corpus import Corpus
from training.metrics.control_tracks import Composer, Ranges
from training.metrics.playing import Player

BLENDS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Weights of the second style."""
WINDOW_S = 1.0
"""Length of what is classified."""
SHRINKAGE = 0.1
WINDOWS = 120
"""Of each style, to train the classifier on."""


def spectrum(audio: Float32, rate: int) -> Float64:
    """[64] in dB."""
    size = 2048 * rate // 48000
    mel = librosa.feature.melspectrogram(y=audio, sr=rate, n_fft=size, hop_length=size // 2, n_mels=64, norm=None)
    decibels = 10 * np.log10(mel.mean(1) + 1e-7)
    return decibels - decibels.mean()


def distance(one: Float64, other: Float64) -> float:
    return float(np.sqrt(((one - other) ** 2).mean()))


def blend(player: Player, spec: ModelSpec, ranges: Mapping[str, Ranges], seed: int = 0) -> dict[str, Any]:
    """Of every style and its next: {"A>B": distances in dB to A and to B at BLENDS}, and "monotone": the share of steps
    that lead away from A and towards B."""
    names, out, right = spec.styles, {}, []
    for a in range(len(names) if len(names) > 2 else 1):
        b = (a + 1) % len(names)
        first, second = ranges[names[a]], ranges[names[b]]
        low, high = max(first.pitch[0], second.pitch[0]), min(first.pitch[1], second.pitch[1])
        if low >= high:
            low = high = (low + high) / 2
        composer = Composer(spec, first)
        notes = np.repeat(np.linspace(low, high, 5)[1:4], composer.hops(0.7))
        bright = (first.bright(notes, 0.5) + second.bright(notes, 0.5)) / 2
        channels = composer.channels(notes, (first.loudness[1] + second.loudness[1]) / 3)
        if "brightness" in spec.channel_names:
            channels[:, spec.channel_names.index("brightness")] = bright
        spectra = []
        for share in BLENDS:
            weights = np.zeros(len(names), np.float32)
            weights[a], weights[b] = 1 - share, share
            spectra.append(spectrum(player.sound(channels, weights, seed), spec.sample_rate))
        from_a = [distance(s, spectra[0]) for s in spectra]
        to_b = [distance(s, spectra[-1]) for s in spectra]
        right += [*(np.diff(from_a) > 0), *(np.diff(to_b) < 0)]
        out[f"{names[a]}>{names[b]}"] = {"from": from_a, "to": to_b}
    return {"monotone": float(np.mean(right)), "pairs": out}


def told_apart(
    player: Player, spec: ModelSpec, ranges: Mapping[str, Ranges], corpus: Corpus | None, seed: int = 0
) -> dict[str, Any]:
    """{"accuracy", "trained_on"} of linear discriminant analysis (shrunk covariance) on spectra of one second: trained
    on the corpus's recordings of these styles where there are any, else on other sounds of the player's own; tested on
    what the player makes in each style."""
    names = spec.styles
    known = corpus is not None and set(names) <= set(corpus.styles)
    training = [
        _recorded(corpus, spec, name, seed)
        if corpus is not None and known
        else _played(player, spec, ranges, i, 7 + seed)
        for i, name in enumerate(names)
    ]
    testing = [_played(player, spec, ranges, i, 8 + seed) for i in range(len(names))]
    guess = discriminant(training)
    right = np.concatenate([guess(spectra) == i for i, spectra in enumerate(testing)])
    return {"accuracy": float(right.mean()), "trained_on": "recordings" if known else "its own sounds"}


def discriminant(classes: Sequence[Float64]) -> Any:
    """A function from spectra [n, D] to classes [n], equal priors."""
    means = np.array([c.mean(0) for c in classes])
    within = np.concatenate([c - m for c, m in zip(classes, means, strict=True)])
    covariance = within.T @ within / len(within)
    size = len(covariance)
    covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.trace(covariance) / size * np.eye(size)
    inverse = np.linalg.inv(covariance)

    def guess(spectra: Float64) -> np.ndarray:
        away = spectra[:, None] - means
        return np.einsum("nci,ij,ncj->nc", away, inverse, away).argmin(1)

    return guess


def _played(player: Player, spec: ModelSpec, ranges: Mapping[str, Ranges], style: int, seed: int) -> Float64:
    composer = Composer(spec, ranges[spec.styles[style]])
    length = composer.hops(WINDOW_S) * HOP
    tracks = composer.phrases(np.random.default_rng((2**31, 5, seed, style)), 6)
    sounds = [player.sound(track.channels, style, seed) for track in tracks]
    return _windows(sounds, length, spec.sample_rate)


def _recorded(corpus: Corpus, spec: ModelSpec, style: str, seed: int) -> Float64:
    clips = [clip for clip in corpus.select("train", spec.channel_names) if clip.style == style]
    order = np.random.default_rng((2**31, 6, seed)).permutation(len(clips))[:WINDOWS]
    length = round(WINDOW_S * spec.sample_rate / HOP) * HOP
    sounds = [corpus.read(clips[i], spec.channel_names, 0, min(clips[i].hops, 3 * length // HOP)).audio for i in order]
    return _windows(sounds, length, spec.sample_rate)[:WINDOWS]


def _windows(sounds: Sequence[Float32], length: int, rate: int) -> Float64:
    """Spectra [n, 64] of the windows that sound for the most part."""
    cut = [x[i : i + length] for x in sounds for i in range(0, len(x) - length + 1, length)]
    loud = [x for x in cut if np.median(np.abs(x)) > 1e-3]
    return np.array([spectrum(x, rate) for x in loud or cut])
