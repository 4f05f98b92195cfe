"""What is played in a phrase: tracks of pitch and level, cut into bows, as players of the instrument would.

In: a seeded generator and a range. Out: a Score. Pure NumPy; knows neither notes nor audio.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from livemove.contracts import Float32, Float64
from training.data.descriptors import CHANNELS
from training.data.procedural import HOP_RATE, lag, smooth_noise

SOFTEST_DB, LOUDEST_DB = -48.0, -11.0
"""RMS in dBFS of the levels that phrases begin with; curves lead from there down to nothing."""
NOTHING_DB = -84.0
TREMBLE_CENTS = 6.0
BEYOND = 0.6
"""Semitones that vibrato leads out of the range."""
PITCH = CHANNELS[0]
KINDS = ("melody", "long", "glide", "detached", "staccato", "wander")
SHARES = (0.34, 0.16, 0.16, 0.14, 0.08, 0.12)


@dataclass(frozen=True)
class Bow:
    """One stroke or breath, hops first .. last. attack, release: those of the recordings, or the level's own.

    short: a staccato note as it was recorded, whole.
    """

    first: int
    last: int
    attack: bool
    release: bool
    short: bool = False


@dataclass(frozen=True)
class Score:
    """pitch float32 [hops]: MIDI notes as the network is told; near float64 [hops]: which recordings sound, a note's
    own pitch without its vibrato; level_db, effort_db, tilt float64 [hops]: loudness in dBFS, by how much louder or
    softer playing it comes from, and the bow's place (-1 dark .. 1 bright). bows in order, silence between them."""

    pitch: Float32
    near: Float64
    level_db: Float64
    effort_db: Float64
    tilt: Float64
    bows: tuple[Bow, ...]


def compose(rng: np.random.Generator, hops: int, low: float, high: float) -> Score:
    """A score of so many hops within MIDI notes low..high."""
    pitch, near = np.zeros(hops), np.zeros(hops)
    level = np.full(hops, NOTHING_DB)
    bows: list[Bow] = []
    at = int(rng.integers(2, 60)) if rng.random() < 0.5 else 2
    here = rng.uniform(low, high)
    pitch[:at] = near[:at] = here
    while at < hops - 30:
        kind = str(rng.choice(KINDS, p=SHARES))
        length = min(hops, at + _seconds(rng.uniform(1.5, 6.0)))
        here = float(np.clip(rng.uniform(low, high) if rng.random() < 0.6 else here + rng.normal(0, 4), low, high))
        section = _SECTIONS[kind](rng, length - at, here, low, high)
        end = min(at + len(section.pitch), hops)
        n = end - at
        pitch[at:end], near[at:end], level[at:end] = section.pitch[:n], section.near[:n], section.level_db[:n]
        bows += [
            Bow(at + b.first, min(at + b.last, end), b.attack, b.release, b.short)
            for b in section.bows
            if min(b.last, n) - b.first > 4
        ]
        here, at = float(near[end - 1]), end
        rest = _rest(rng)
        if rest and at < hops:
            # The pitch stays while a note dies away, and so does its phase.
            end = min(at + rest, hops)
            pitch[at:end], near[at:end] = pitch[at - 1], near[at - 1]
            at = end
    pitch[at:], near[at:] = pitch[at - 1], near[at - 1]
    effort = rng.normal(0, 6) + rng.uniform(0, 5) * smooth_noise(rng, hops, rng.uniform(0.1, 1.0))
    tilt = np.clip(rng.normal(0, 0.4) + rng.uniform(0, 0.5) * smooth_noise(rng, hops, rng.uniform(0.1, 1.5)), -1, 1)
    bounds = max(low - BEYOND, PITCH.minimum), min(high + BEYOND, PITCH.maximum)
    return Score(np.clip(pitch, *bounds).astype(np.float32), near, level, effort, tilt, tuple(bows))


def vibrato(rng: np.random.Generator, hops: int, always: bool = False) -> Float64:
    """Semitones [hops] around a note: vibrato that begins late, grows and wavers, a hand that trembles."""
    t = np.arange(hops) / HOP_RATE
    out = TREMBLE_CENTS / 100 * rng.uniform(0, 1) * smooth_noise(rng, hops, rng.uniform(1, 8)) * 0.5
    if always or rng.random() < 0.6:
        depth = rng.uniform(0.08, 0.5) * rng.beta(2, 2) * 2
        begin, rise = rng.uniform(0, 0.6), rng.uniform(0.1, 0.8)
        rate = rng.uniform(4.5, 7.0) * (1 + 0.05 * smooth_noise(rng, hops, 1.0))
        swell = np.clip((t - begin) / rise, 0, 1) * (1 + 0.2 * smooth_noise(rng, hops, 1.5))
        turn = 2 * np.pi * np.cumsum(rate) / HOP_RATE
        out += np.clip(min(depth, 0.5) * swell, 0, 0.5) * np.sin(turn - turn[0])
    return out


# --- sections -----------------------------------------------------------------------------------------------


def _melody(rng: np.random.Generator, hops: int, here: float, low: float, high: float) -> Score:
    """Legato: notes of one bow, by steps and leaps, each reached in 20 to 120 ms."""
    pitch, near = np.empty(hops), np.empty(hops)
    tempo_s = float(np.exp(rng.uniform(np.log(0.13), np.log(0.9))))
    at, note = 0, here
    scale = rng.random() < 0.8
    note = round(note) if scale else note
    while at < hops:
        n = min(max(_seconds(tempo_s * rng.choice([0.5, 1, 1, 1, 2])), 10), hops - at)
        near[at : at + n] = note
        pitch[at : at + n] = note + (vibrato(rng, n) if n > 70 else 0)
        at += n
        leap = rng.choice([1, 2, 2, 3, 4, 5, 7, 12, 19], p=[0.2, 0.2, 0.15, 0.12, 0.1, 0.08, 0.08, 0.05, 0.02])
        note += leap * (1 if rng.random() < (high - note) / max(high - low, 1) else -1)
        note = float(np.clip(note, low, high))
    pitch = _reached(pitch, rng.uniform(0.02, 0.12) if rng.random() < 0.8 else rng.uniform(0.12, 0.3))
    _scoop(rng, pitch)
    return _section(rng, pitch, near, _curve(rng, hops), [Bow(0, hops, rng.random() < 0.75, rng.random() < 0.75)])


def _long(rng: np.random.Generator, hops: int, here: float, low: float, high: float) -> Score:
    here = round(here) if rng.random() < 0.5 else here
    pitch = here + vibrato(rng, hops)
    _scoop(rng, pitch)
    level = _curve(rng, hops, swell=True)
    bow = Bow(0, hops, rng.random() < 0.5, rng.random() < 0.5)
    return _section(rng, pitch, np.full(hops, float(here)), level, [bow])


def _glide(rng: np.random.Generator, hops: int, here: float, low: float, high: float) -> Score:
    """From here to anywhere, once or there and back; slow or quick, straight or eased."""
    knots = int(rng.integers(2, 5))
    targets = np.concatenate([[here], np.clip(here + rng.normal(0, 9, knots), low, high)])
    if rng.random() < 0.3:
        targets[-1] = rng.choice([low, high])
    times = np.concatenate([[0], np.sort(rng.uniform(0.1, 1, knots))]) * hops
    near = np.interp(np.arange(hops), times, targets)
    near = _reached(near, rng.uniform(0.03, 0.4))
    pitch = near + (vibrato(rng, hops) if rng.random() < 0.5 else 0)
    return _section(rng, pitch, near, _curve(rng, hops), [Bow(0, hops, rng.random() < 0.5, rng.random() < 0.5)])


def _wander(rng: np.random.Generator, hops: int, here: float, low: float, high: float) -> Score:
    """A body that plays the pitch: never at rest, and the level as freely."""
    near = np.clip(here + rng.uniform(1, 6) * smooth_noise(rng, hops, rng.uniform(0.3, 3)), low, high)
    level = rng.uniform(-34, -16) + rng.uniform(2, 12) * smooth_noise(rng, hops, rng.uniform(0.5, 4))
    if rng.random() < 0.5:  # down to nothing, while the pitch goes on
        level -= 45 * np.maximum(smooth_noise(rng, hops, rng.uniform(0.3, 1.5)), 0)
    return _section(rng, near, near, np.clip(level, NOTHING_DB, LOUDEST_DB), [Bow(0, hops, False, False)])


def _detached(rng: np.random.Generator, hops: int, here: float, low: float, high: float) -> Score:
    """Notes one by one, each with its attack and release, a little silence between them."""
    return _separate(rng, hops, here, low, high, False)


def _staccato(rng: np.random.Generator, hops: int, here: float, low: float, high: float) -> Score:
    return _separate(rng, hops, here, low, high, True)


def _separate(rng: np.random.Generator, hops: int, here: float, low: float, high: float, short: bool) -> Score:
    pitch, near, level = np.empty(hops), np.empty(hops), np.empty(hops)
    bows, at = [], 0
    tempo_s = rng.uniform(0.2, 0.8)
    base = _base(rng)
    gap = 0 if not short and rng.random() < 0.3 else _seconds(tempo_s * rng.uniform(0.05, 0.5))
    note = float(round(here))
    while at < hops:
        n = min(max(_seconds(tempo_s * rng.choice([0.5, 1, 1, 2])), 16), hops - at)
        near[at : at + n] = note
        pitch[at : at + n] = note + (vibrato(rng, n) if n > 90 else rng.normal(0, 0.03))
        if rng.random() < 0.15:
            _scoop(rng, pitch[at : at + n], True)
        level[at : at + n] = base + rng.normal(0, 3) + rng.uniform(-6, 3) * np.linspace(0, 1, n)
        if n > 12:
            bows.append(Bow(at, at + max(n - gap, min(n, 12)), True, True, short))
        at += n
        note = float(np.clip(note + rng.normal(0, 4), low, high))
        note = round(note) if rng.random() < 0.9 else note
    return _section(rng, pitch, near, np.clip(level, NOTHING_DB, LOUDEST_DB), bows)


_SECTIONS = {
    "melody": _melody, "long": _long, "glide": _glide, "detached": _detached, "staccato": _staccato, "wander": _wander,
}  # fmt: skip


def _section(rng: np.random.Generator, pitch: Float64, near: Float64, level: Float64, bows: list[Bow]) -> Score:
    # A recording a little off is as good: brightness comes apart from pitch and level.
    zero = np.zeros(len(pitch))
    return Score(pitch.astype(np.float32), near + rng.uniform(-0.7, 0.7), level, zero, zero, tuple(bows))


def _base(rng: np.random.Generator) -> float:
    return float(SOFTEST_DB + (LOUDEST_DB - SOFTEST_DB) * rng.beta(2.2, 1.3))


def _curve(rng: np.random.Generator, hops: int, swell: bool = False) -> Float64:
    """Level in dBFS [hops]: crescendo, diminuendo, swells, tremolo, to and from nothing."""
    t = np.linspace(0, 1, hops)
    level = np.full(hops, _base(rng))
    kind = rng.random()
    if kind < 0.3:
        level += rng.uniform(-22, 22) * (t - 0.5)
    elif kind < 0.5 or swell:
        level += rng.uniform(-20, 8) * np.abs(t - rng.uniform(0.2, 0.8)) * 2
    elif kind < 0.75:
        level += rng.uniform(1, 8) * smooth_noise(rng, hops, rng.uniform(0.3, 4))
    if rng.random() < 0.12:
        rate = rng.uniform(4, 8)
        level += rng.uniform(2, 9) * (np.sin(2 * np.pi * rate * np.arange(hops) / HOP_RATE) - 1)
    if rng.random() < 0.18:  # dies away to nothing
        n = min(_seconds(rng.uniform(0.2, 2.0)), hops)
        level[-n:] += np.linspace(0, NOTHING_DB - level[-1], n)
    if rng.random() < 0.15:  # comes from nothing
        n = min(_seconds(rng.uniform(0.1, 1.5)), hops)
        level[:n] += np.linspace(NOTHING_DB - level[0], 0, n)
    return np.clip(level, NOTHING_DB, LOUDEST_DB)


def _reached(track: Float64, time_s: float) -> Float64:
    """Steps become slides of about so long, eased at both ends."""
    return lag(lag(track, time_s / 4), time_s / 4)


def _scoop(rng: np.random.Generator, pitch: Float64, always: bool = False) -> None:
    """A note reached from below, in place."""
    if always or rng.random() < 0.2:
        n = min(_seconds(rng.uniform(0.06, 0.25)), len(pitch))
        pitch[:n] -= rng.uniform(0.2, 1.6) * (1 - np.sin(np.linspace(0, np.pi / 2, n)))


def _rest(rng: np.random.Generator) -> int:
    kind = rng.random()
    if kind < 0.2:
        return 0
    return _seconds(rng.uniform(0.08, 0.5) if kind < 0.7 else rng.uniform(0.5, 1.8))


def _seconds(s: float) -> int:
    return round(s * HOP_RATE)
