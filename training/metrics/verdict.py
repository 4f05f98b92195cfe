"""What the figures of a model mean to whoever wants to play it, in plain sentences.

In: the figures of an evaluation, a model and its corpus. Out: lines, the verdict last. Measures how a model without
pitch follows its channels; all else comes from the other measures. Knows no terminal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from livemove.contracts import HOP, Engine
from training.data import descriptors
from training.data.corpus import Corpus
from training.metrics.instrument import correlation
from training.metrics.playing import sound

WELL, ROUGHLY = 0.9, 0.6
"""Correlations from which a channel is followed well, or roughly; the shipped cello has 0.99 and 0.96."""
IN_TUNE_CENTS = 15.0
"""Median error of pitch up to which a model is called in tune."""
STRAYS = 0.05
"""Share of gross errors (> 50 cents) that is worth a word."""
LEAST_MINUTES = 3
"""Of takes: less than a minute did not suffice (training/LOG.md); how many do is not known, so it asks for as much
again, and for no less than this in all."""
PLAYED_S = 8.0


def of_notes(figures: Mapping[str, Any]) -> list[str]:
    """Of a pitched model, by evaluate's figures on control tracks."""
    played = next(iter(figures["pitched"]["styles"].values()))["model"]
    pitch, strays = played["pitch_cents_median"][0], played["pitch_gross_share"][0]
    if not math.isfinite(pitch):
        return ["no pitch was heard in what it plays: it has not learnt the sound; give it more time (--minutes)"]
    words = [f"it follows pitch within {max(pitch, 0.1):.2g} cents (median)"]
    if strays > STRAYS:
        words[0] += f", but is more than 50 cents off for {100 * strays:.0f} % of the time"
    words.append(f"loudness {how_well(played['loudness_correlation'][0])}")
    if "brightness_correlation" in played:
        words.append(f"brightness {how_well(played['brightness_correlation'][0])}")
    lines = ["; ".join(words)]
    lines.append(
        f"it answers in {played['response_ms'][0]:.0f} ms; its tone is {played['hnr_db'][0]:.0f} dB above its noise; "
        f"at rest it is at {played['rest_dbfs'][0]:.0f} dBFS"
    )
    if pitch > IN_TUNE_CENTS or strays > STRAYS:
        lines.append("it is not in tune yet: give it more time (--minutes), or a longer recording of single notes")
    return lines


def of_sound(engine: Engine, corpus: Corpus, temperature: float) -> tuple[list[str], dict[str, float]]:
    """Of a model played by descriptors of sound: (lines, correlation of each channel asked for with what is heard), on
    what the corpus holds out."""
    spec = engine.spec
    names = [name for name in spec.channel_names if name in descriptors.NAMES]
    asked: list[np.ndarray] = []
    heard: list[np.ndarray] = []
    for i, clip in enumerate(corpus.select("valid", spec.channel_names) or corpus.select("train", spec.channel_names)):
        hops = min(clip.hops, round(PLAYED_S * spec.sample_rate / HOP))
        channels = np.ascontiguousarray(corpus.read(clip, spec.channel_names, 0, hops).channels)
        found = descriptors.describe(sound(engine, channels, 0, temperature, i), spec.sample_rate)
        asked.append(np.stack([channels[:, spec.channel_names.index(name)] for name in names]))
        heard.append(np.stack([found[:, descriptors.NAMES.index(name)] for name in names]))
    pairs = zip(names, np.concatenate(asked, 1), np.concatenate(heard, 1), strict=True)
    follows = {name: correlation(wanted, got) for name, wanted, got in pairs}
    return ["it follows " + "; ".join(f"{name} {how_well(value)}" for name, value in follows.items())], follows


def of_movement(figures: Mapping[str, Any], minutes: float) -> list[str]:
    """Of a model played by the body's features, trained on so many minutes of takes."""
    data = figures["data"]
    gain = float(data["nll_bits_shuffled"]) - float(data["nll_bits"])
    if data["ignores_channels"]:
        more = max(math.ceil(minutes), math.ceil(LEAST_MINUTES - minutes))
        return [
            "it ignores your movement: what was held out it expects as well from the movement of another moment; "
            f"record at least {more} minutes more, always moving to the sound in the same way"
        ]
    return [f"it hears your movement: by {gain:.2f} bits a value it expects held-out sound better than by another's"]


def how_well(value: float) -> str:
    if not math.isfinite(value):
        return "unmeasured"
    return f"{'well' if value >= WELL else 'roughly' if value >= ROUGHLY else 'hardly'} ({value:.2f})"
