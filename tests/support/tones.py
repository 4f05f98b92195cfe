"""Pitched sound whose phase is known at every sample, and a tiny instrument of single notes, for the tests.

In: pitch tracks and seeds. Out: arrays, WAV files and their manifest.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import soundfile as sf

RATE = 48000


def tone(
    note: np.ndarray, seed: int = 0, missing: bool = False, snr_db: float | None = None, count: int = 30
) -> tuple[np.ndarray, np.ndarray]:
    """(float32 [n], cycles [n]) along MIDI notes [n]: harmonics 1/k in phases drawn by seed, the first a cosine."""
    rng = np.random.default_rng(seed)
    hz = 440 * 2 ** ((note - 69) / 12)
    cycles = rng.random() + np.concatenate([[0], np.cumsum(hz)[:-1]]) / RATE
    sound = np.zeros(len(note))
    for k in range(1, count + 1):
        offset = 0.0 if k == 1 else rng.uniform(0, 2 * np.pi)
        if k > 1 or not missing:
            sound += np.where(hz * k < 0.42 * RATE, np.cos(2 * np.pi * k * cycles + offset) / k, 0)
    sound *= 0.15 / np.sqrt((sound**2).mean())
    if snr_db is not None:
        sound += rng.standard_normal(len(sound)) * 0.15 * 10 ** (-snr_db / 20)
    return sound.astype(np.float32), cycles


def bowed(note: float, seconds: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(sound, cycles) like a bowed string's: pitch that jitters, harmonics that come and go, bow noise."""
    rng = np.random.default_rng(seed)
    n = round(seconds * RATE)

    def slow(hz: float) -> np.ndarray:
        knots = rng.standard_normal(int(seconds * hz) + 4)
        return np.interp(np.arange(n) / RATE * hz, np.arange(len(knots)), knots)

    hz = 440 * 2 ** ((note + 0.03 * slow(12) - 69) / 12)
    cycles = np.concatenate([[0], np.cumsum(hz)[:-1]]) / RATE
    sound = np.zeros(n)
    for k in range(1, 26):
        drift = 0 if k == 1 else rng.uniform(0, 2 * np.pi) + 0.2 * slow(3)
        sound += np.exp(0.25 * slow(4)) / k * np.cos(2 * np.pi * k * cycles + drift)
    noise = np.diff(rng.standard_normal(n + 1)) * 0.03
    return (0.1 * (sound + noise)).astype(np.float32), cycles


def write_notes(folder: Path, instrument: str = "pipe", midis: tuple[float, ...] = (57, 60, 63)) -> None:
    """Held notes, soft and loud, and short ones: 20 cents sharp, with their own phases, silence around them."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for i, midi in enumerate(midis):
        for dynamic, level, brightness in (("p", 0.05, 6), ("f", 0.2, 20)):
            for articulation, seconds in (("sustain", 1.6), ("staccato", 0.5)):
                name = f"{instrument}_{midi:g}_{dynamic}_{articulation}.wav"
                n = round(seconds * RATE)
                sound, _ = tone(np.full(n, midi + 0.2), i, snr_db=40, count=brightness)
                rise, fall = (np.clip(t / 0.04, 0, 1) for t in (np.arange(n) / RATE, np.arange(n)[::-1] / RATE))
                gap = np.zeros(RATE // 20)
                sound = np.concatenate([gap, level / 0.15 * sound * rise * fall, gap])
                sf.write(folder / name, sound, RATE, subtype="PCM_24")
                rows.append((name, instrument, f"{midi:g}", dynamic, articulation))
    with (folder / "manifest.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("file", "instrument", "midi", "dynamic", "articulation"))
        table.writerows(rows)
