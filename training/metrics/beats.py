"""Whether a sound goes with a dance: beats of a body, beats of a sound, and the published scores of how they meet.

In: world landmarks with their times, audio. Out: beat times in seconds, scores. NumPy, SciPy, librosa; knows no model.
"""

from __future__ import annotations

import librosa
import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import butter, find_peaks, sosfilt

from livemove.body.landmarks import MOVING
from livemove.contracts import HOP, Float32, Float64

RATE = 60.0
"""Movement is looked at 60 times a second, as AIST++ does, whatever the camera's rate."""
SMOOTHING_S = 5.0 / 60.0
"""Standard deviation of the Gaussian that smooths speed before its minima are sought."""
ALIGNMENT_S = 3.0 / 60.0
"""Standard deviation of the beat alignment score (Li et al. 2021, arXiv 2101.08779: 3 frames at 60 a second)."""
TOLERANCE_S = 0.1
"""Two beats so near each other are one beat met."""
RISE = 0.03
"""Of full scale: how much louder a hop must be than those before to count as struck."""
APART_S = 0.05
"""Onsets nearer to each other are one."""


def kinematic_beats(world: Float64, times_s: Float64) -> Float64:
    """Times in seconds at which the body stops for a moment: local minima of its mean joint speed (Li et al. 2021).

    world [frames, 33, 3] in metres, times_s [frames] rising. Minima of a prominence below a tenth of the mean
    speed are jitter, not beats.
    """
    if len(times_s) < 3:
        return np.zeros(0)
    grid = np.arange(times_s[0], times_s[-1], 1 / RATE)
    marks = world[:, MOVING].reshape(len(world), -1)
    even = np.stack([np.interp(grid, times_s, column) for column in marks.T], -1).reshape(len(grid), len(MOVING), 3)
    speed = np.linalg.norm(np.diff(even, axis=0), axis=-1).mean(-1) * RATE
    speed = gaussian_filter1d(speed, SMOOTHING_S * RATE)
    lows, _ = find_peaks(-speed, prominence=max(0.1 * speed.mean(), 1e-6))
    return grid[lows] + 0.5 / RATE


def musical_beats(audio: Float32, rate: int) -> Float64:
    """Beat times in seconds by dynamic programming on onset strength (Ellis 2007, librosa). Silence has none."""
    if not audio.any():
        return np.zeros(0)
    return np.asarray(librosa.beat.beat_track(y=audio, sr=rate, units="time")[1], np.float64)


def alignment(kinematic_s: Float64, musical_s: Float64) -> float:
    """Score 0..1 (Li et al. 2021): mean over kinematic beats of exp(-d^2 / 2 sigma^2), d to the next musical beat."""
    if not len(kinematic_s) or not len(musical_s):
        return 0.0
    nearest = np.abs(kinematic_s[:, None] - musical_s).min(1)
    return float(np.exp(-(nearest**2) / (2 * ALIGNMENT_S**2)).mean())


def met(these_s: Float64, those_s: Float64, tolerance_s: float = TOLERANCE_S) -> int:
    """How many of these beats meet one of those within the tolerance, each at most once, in order of time."""
    count = at = 0
    for this in np.sort(these_s):
        while at < len(those_s) and those_s[at] < this - tolerance_s:
            at += 1
        if at < len(those_s) and those_s[at] <= this + tolerance_s:
            count, at = count + 1, at + 1
    return count


def f_measure(found_s: Float64, true_s: Float64, tolerance_s: float = 0.07) -> float:
    """F1 of beats against true ones, matched one to one within +-70 ms (Davies et al. 2009); of none and none, 1."""
    count = len(found_s) + len(true_s)
    return 2 * met(found_s, true_s, tolerance_s) / count if count else 1.0


def in_seconds(generated_s: Float64, original_s: Float64) -> dict[str, float]:
    """Coverage and hit score as Zhu et al. 2022 compute them: each second has a beat or has none; a hit is a second in
    which both have one. Whatever sounds twice a second scores high."""
    generated, original = (set(np.floor(times).astype(int).tolist()) for times in (generated_s, original_s))
    return {
        "coverage": len(generated) / max(len(original), 1),
        "hit": len(generated & original) / max(len(original), 1),
    }


def strong_onsets(audio: Float32, rate: int) -> Float64:
    """Times in seconds at which something is struck: the level of a hop (above 100 Hz, RMS) rises by RISE over the
    loudest of the three hops before. Soft strokes, and what sounds already, do not count."""
    sections = butter(1, 100.0, "high", fs=rate, output="sos")
    heard = np.asarray(sosfilt(sections, audio.astype(np.float64)))
    level = np.sqrt((heard[: len(heard) // HOP * HOP].reshape(-1, HOP) ** 2).mean(1))
    before = np.concatenate([np.zeros(3), level])
    rise = level - np.max([before[i : i + len(level)] for i in range(3)], axis=0)
    struck, _ = find_peaks(np.concatenate([[0.0], rise]), height=RISE, distance=max(round(APART_S * rate / HOP), 1))
    return (struck - 1) * HOP / rate


def of_dance(kinematic_s: Float64, musical_s: Float64) -> dict[str, float]:
    """Coverage and hit rate of Lee et al. 2019 (Dancing to Music, arXiv 1911.02001).

    coverage: kinematic beats / musical beats. hit: kinematic beats that meet a musical one / kinematic beats.
    """
    aligned = met(kinematic_s, musical_s)
    return {
        "coverage": len(kinematic_s) / max(len(musical_s), 1),
        "hit": aligned / max(len(kinematic_s), 1),
    }


def of_music(generated_s: Float64, original_s: Float64) -> dict[str, float]:
    """Coverage and hit score of Zhu et al. 2022 (music for dance videos, arXiv 2204.00604).

    coverage: generated beats / the original music's beats. hit: beats of both that meet / the original music's beats.
    """
    return {
        "coverage": len(generated_s) / max(len(original_s), 1),
        "hit": met(generated_s, original_s) / max(len(original_s), 1),
    }
