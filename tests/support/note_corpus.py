"""A corpus of single notes of an instrument made of numbers, whose pitch, phase and noise are known exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from livemove.contracts import HOP, Channel, Float32
from training.data import descriptors
from training.data.corpus import Clip, Corpus, Writer, write_clip
from training.metrics import additive, tone

RATE = 48000


def note(pitch: float, loudness: float, seconds: float, seed: int, noise_db: float = -30.0) -> tuple[Float32, float]:
    """(audio, phase at its start) of a note: an attack, a swell that opens its spectrum, a release; white noise."""
    rng = np.random.default_rng(seed)
    hops = round(seconds * RATE / HOP)
    times = np.linspace(0, 1, hops)
    level = loudness**2 * np.interp(times, [0, 0.1, 0.5, 0.9, 1], [0, 0.5, 1, 0.6, 0])
    number = np.arange(1, additive.HARMONICS + 1)
    amplitude = number ** -(3.0 - 1.5 * level[:, None]) * (number * tone.hertz(np.array(pitch)) < 20000)
    amplitude *= 0.25 * level[:, None] / np.sqrt((amplitude**2).sum(1, keepdims=True) / 2)
    phase = float(rng.random())
    audio = additive.oscillators(np.full(hops, pitch), amplitude, RATE, phase)
    audio += np.repeat(0.25 * level, HOP) * 10 ** (noise_db / 20) * rng.standard_normal(hops * HOP)
    return audio.astype(np.float32), phase


def write(
    root: Path, low: float = 57, high: float = 81, count: int = 24, seconds: float = 2.0, style: str = ""
) -> Corpus:
    """Every fourth note is held out. Channels: the descriptors, the pitch as it was asked for."""
    writer = Writer(root, RATE, "full", {"descriptors": descriptors.CHANNELS})
    for i, pitch in enumerate(np.linspace(low, high, count)):
        audio, phase = note(float(pitch), 0.5 + 0.4 * (i % 3) / 2, seconds, i)
        track = descriptors.describe(audio, RATE)
        track[:, 0] = pitch
        split = "valid" if i % 4 == 1 else "train"
        clip = Clip(
            split, style or "horn", f"note{i:02d}", "made", tracks=("descriptors",), hops=len(track), seconds=seconds
        )
        cycles = tone.running_phase(track[:, 0], RATE, phase)[:-1:HOP] % 1
        write_clip(root, clip, audio, RATE, {"descriptors": track, "phase": cycles.astype(np.float32)})
        writer.record(clip)
    writer.close()
    return Corpus(root)


def channels() -> tuple[Channel, ...]:
    """Of a model of this instrument."""
    return (
        Channel("pitch", "MIDI note", 57.0, 81.0, 69.0),
        Channel("loudness", "0..1.5", 0.0, 1.5, 0.0),
        Channel("brightness", "0..1", 0.0, 1.0, 0.5),
    )
