"""Whether the styles of one model differ, and whether a blend of two lies between them.

In: a player with several styles, the ranges of each, recordings if there are any. Out: shares and distances. Spectra
are means over time of 64 mel bands in dB, less their mean: timbre without level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import librosa
import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from livemove.contracts import HOP, Float32, Float64, ModelSpec
from training.data.corpus import Corpus
from training.metrics.control_tracks import Composer, Ranges
from training.metrics.playing import Player

BLENDS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Weights of the second style."""
WINDOW_S = 1.0
"""Length of what is classified."""
MELS = 64
WINDOWS = 400
"""Of each style, at most, to train the classifier on."""
PHRASES = 8
"""Of each style that a player plays."""


def spectrum(audio: Float32, rate: int) -> Float64:
    """[64] in dB."""
    size = 2048 * rate // 48000
    mel = librosa.feature.melspectrogram(y=audio, sr=rate, n_fft=size, hop_length=size // 2, n_mels=MELS, norm=None)
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
    """{"accuracy", "recordings", "trained_on"} of a support vector machine (radial basis functions, C = 10) on spectra
    of one second, mean over styles.

    Trained on the corpus's recordings of these styles where there are any, else on other sounds of the player's own;
    accuracy: of what the player makes in each style; recordings: of the recordings that the corpus holds out, the
    ceiling, None without.
    """
    names = spec.styles
    known = corpus is not None and set(names) <= set(corpus.styles)
    if corpus is not None and known:
        training = [_recorded(corpus, spec, name, "train", seed) for name in names]
        held_out = [_recorded(corpus, spec, name, "valid", seed) for name in names]
    else:
        training = [_played(player, spec, ranges, i, 7 + seed) for i in range(len(names))]
        held_out = []
    machine = make_pipeline(StandardScaler(), SVC(C=10.0, class_weight="balanced"))
    machine.fit(np.concatenate(training), np.repeat(range(len(names)), [len(part) for part in training]))

    def accuracy(parts: Sequence[Float64]) -> float:
        return float(np.mean([(machine.predict(part) == i).mean() for i, part in enumerate(parts) if len(part)]))

    return {
        "accuracy": accuracy([_played(player, spec, ranges, i, 8 + seed) for i in range(len(names))]),
        "recordings": accuracy(held_out) if any(len(part) for part in held_out) else None,
        "trained_on": "recordings" if known else "its own sounds",
    }


def _played(player: Player, spec: ModelSpec, ranges: Mapping[str, Ranges], style: int, seed: int) -> Float64:
    composer = Composer(spec, ranges[spec.styles[style]])
    length = composer.hops(WINDOW_S) * HOP
    tracks = composer.phrases(np.random.default_rng((2**31, 5, seed, style)), PHRASES)
    sounds = [player.sound(track.channels, style, seed) for track in tracks]
    return _windows(sounds, length, spec.sample_rate)


def _recorded(corpus: Corpus, spec: ModelSpec, style: str, split: str, seed: int) -> Float64:
    """[n, 64], at most WINDOWS."""
    clips = [clip for clip in corpus.select(split, spec.channel_names) if clip.style == style]
    length = round(WINDOW_S * spec.sample_rate / HOP) * HOP
    found: list[Float64] = []
    for i in np.random.default_rng((2**31, 6, seed)).permutation(len(clips)):
        found.append(_windows([corpus.read(clips[i], spec.channel_names).audio], length, spec.sample_rate))
        if sum(map(len, found)) >= WINDOWS:
            break
    return np.concatenate(found or [np.zeros((0, MELS))])[:WINDOWS]


def _windows(sounds: Sequence[Float32], length: int, rate: int) -> Float64:
    """Spectra [n, 64] of the windows that sound for the most part."""
    cut = [x[i : i + length] for x in sounds for i in range(0, len(x) - length + 1, length)]
    return np.array([spectrum(x, rate) for x in cut if np.median(np.abs(x)) > 1e-3]).reshape(-1, MELS)
