"""Control tracks for any pitched model, within what it can be asked for: notes, glides, vibrato, leaps, swells, rests.

In: a model's channels, the ranges to play in, a seed. Out: tracks [hops, C] in natural units. Pure NumPy; knows no
engine, no measure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from livemove.contracts import HOP, Float32, Float64, ModelSpec
from training.data.corpus import Corpus

PLAYED = ("pitch", "loudness", "brightness")
"""The channels a pitched model is played by; what else it has rests, and a voicing channel says: periodic."""
ONSET_REST_S, ONSET_SOUND_S = 0.25, 0.45


@dataclass(frozen=True)
class Ranges:
    """What a model is asked for: ends of pitch (MIDI notes) and loudness, and of brightness by pitch.

    brightness: float64 [n, 3], rows (pitch, lowest, highest), pitch rising; between them in straight lines.
    """

    pitch: tuple[float, float]
    loudness: tuple[float, float]
    brightness: Float64

    def bright(self, notes: np.ndarray, share: np.ndarray | float) -> Float64:
        """Brightness a share 0..1 of the way up, at these pitches."""
        low, high = (np.interp(notes, self.brightness[:, 0], self.brightness[:, i]) for i in (1, 2))
        return low + share * (high - low)

    @property
    def sounding(self) -> float:
        """Loudness below which nothing is said about the tone."""
        return 0.6 * self.loudness[0]

    def as_plain(self) -> dict[str, Any]:
        rows = np.round(self.brightness, 3).tolist()
        return {"pitch": list(self.pitch), "loudness": list(self.loudness), "brightness": rows}

    @staticmethod
    def from_plain(plain: Mapping[str, Any]) -> Ranges:
        pitch, loudness = ((float(low), float(high)) for low, high in (plain["pitch"], plain["loudness"]))
        return Ranges(pitch, loudness, np.array(plain["brightness"], np.float64).reshape(-1, 3))


def whole_ranges(spec: ModelSpec) -> Ranges:
    """Of the channels alone: all pitches, the middle 60 % of loudness and brightness."""
    channel = {c.name: c for c in spec.channels}

    def middle(name: str) -> tuple[float, float]:
        c = channel[name]
        return c.minimum + 0.2 * (c.maximum - c.minimum), c.minimum + 0.8 * (c.maximum - c.minimum)

    pitch = channel["pitch"]
    bright = middle("brightness") if "brightness" in channel else (0.0, 0.0)
    return Ranges((pitch.minimum, pitch.maximum), middle("loudness"), np.array([[pitch.minimum, *bright]]))


def met_ranges(spec: ModelSpec, corpus: Corpus, style: str | None = None) -> Ranges:
    """What a corpus's training clips (of a style) hold where they sound: 1-99 % of pitch, 10-98 % of loudness, and of
    brightness 10-90 % around each of some pitches. Within the model's channels."""
    names = [name for name in PLAYED if name in spec.channel_names]
    clips = [c for c in corpus.select("train", names) if style in (None, c.style)]
    rows = np.concatenate([np.asarray(corpus.read(clip, names).channels) for clip in clips[:: len(clips) // 200 + 1]])
    column = dict(zip(names, rows.T.astype(np.float64), strict=True))
    for channel in spec.channels:
        if channel.name in column:
            column[channel.name] = np.clip(column[channel.name], channel.minimum, channel.maximum)
    loud = column["loudness"] > 0.1
    if loud.sum() < 100:
        return whole_ranges(spec)
    column = {name: values[loud] for name, values in column.items()}
    low, high = np.percentile(column["pitch"], (1, 99))
    knots = np.linspace(low, high, max(round((high - low) / 4), 1) + 1)
    bands: list[list[float]] = []
    for knot in knots:
        near = np.abs(column["pitch"] - knot) <= 3
        if "brightness" in column and near.sum() >= 50:
            bands.append([float(knot), *np.percentile(column["brightness"][near], (10, 90)).tolist()])
    loudness = np.percentile(column["loudness"], (10, 98))
    plain = np.array(bands or [[low, 0.0, 0.0]])
    return Ranges((float(low), float(high)), (float(loudness[0]), float(loudness[1])), plain)


@dataclass(frozen=True)
class Track:
    """A control track [hops, C]: of one kind, with what a measure of that kind needs to know (vibrato's rate in Hz)."""

    kind: str
    channels: Float32
    rate_hz: float = 0.0


@dataclass(frozen=True)
class Composer:
    """Makes the tracks of a model, at its hop rate."""

    spec: ModelSpec
    ranges: Ranges

    def hops(self, seconds: float) -> int:
        return round(seconds * self.spec.sample_rate / HOP)

    def channels(self, notes: np.ndarray, loudness: np.ndarray | float, bright: np.ndarray | float = 0.5) -> Float32:
        """[hops, C] from pitch [hops], loudness [hops], and brightness as a share 0..1 of what that pitch has."""
        out = np.tile(np.float32([c.rest for c in self.spec.channels]), (len(notes), 1))
        names = self.spec.channel_names
        out[:, names.index("pitch")] = notes
        out[:, names.index("loudness")] = loudness
        if "brightness" in names:
            out[:, names.index("brightness")] = self.ranges.bright(notes, bright)
        if "voicing" in names:
            top = self.spec.channels[names.index("voicing")].maximum
            out[:, names.index("voicing")] = np.where(out[:, names.index("loudness")] > 0, top, 0)
        return out

    def loud(self, share: np.ndarray | float) -> np.ndarray | float:
        low, high = self.ranges.loudness
        return low + share * (high - low)

    def scale(self, rng: np.random.Generator, count: int, margin: float = 0.0) -> Float64:
        """Pitches [count] spread over the range, no two tracks of two seeds on the same ones."""
        low, high = self.ranges.pitch
        each = (high - low - 2 * margin) / count
        return low + margin + each * (np.arange(count) + rng.random(count))

    def held(self, rng: np.random.Generator, count: int, seconds: float) -> list[Track]:
        """One steady note each."""
        return [
            Track("held", self.channels(np.full(self.hops(seconds), note), self.loud(rng.random()), rng.random()))
            for note in self.scale(rng, count)
        ]

    def glides(self, rng: np.random.Generator, count: int, seconds: float = 2.0) -> list[Track]:
        """There and back in a straight line, 5 to 14 semitones, ever faster from the first to the last."""
        low, high = self.ranges.pitch
        tracks = []
        for i in range(count):
            width = min(rng.uniform(5, 14), high - low)
            base = rng.uniform(low, high - width)
            hops = self.hops(seconds)
            there = np.interp(np.arange(hops) / hops * (1 + i % 3), np.arange(5), [0, 1, 0, 1, 0])
            tracks.append(Track("glide", self.channels(base + width * there, self.loud(0.7))))
        return tracks

    def vibrati(self, rng: np.random.Generator, count: int, seconds: float = 2.0) -> list[Track]:
        """4.5 to 6.5 Hz, 25 to 50 cents to either side."""
        tracks = []
        for note in self.scale(rng, count, margin=0.5):
            rate_hz, depth = rng.uniform(4.5, 6.5), rng.uniform(0.25, 0.5)
            times = np.arange(self.hops(seconds)) * HOP / self.spec.sample_rate
            notes = note + depth * np.sin(2 * np.pi * (rate_hz * times + rng.random()))
            tracks.append(Track("vibrato", self.channels(notes, self.loud(0.7)), rate_hz))
        return tracks

    def leaps(self, rng: np.random.Generator, count: int, seconds: float = 4.0) -> list[Track]:
        """Another note anywhere every 0.3 to 0.7 s, at once."""
        tracks = []
        for _ in range(count):
            hops = self.hops(seconds)
            ends = np.cumsum([self.hops(rng.uniform(0.3, 0.7)) for _ in range(round(seconds / 0.3) + 1)])
            values = rng.uniform(*self.ranges.pitch, len(ends) + 1)
            notes = values[np.searchsorted(ends, np.arange(hops), "right")]
            tracks.append(Track("leaps", self.channels(notes, self.loud(0.7), rng.random())))
        return tracks

    def swells(self, rng: np.random.Generator, count: int, seconds: float = 3.0) -> list[Track]:
        """From nothing to loud and back on one note."""
        hops = self.hops(seconds)
        shape = np.sin(np.pi * np.arange(hops) / (hops - 1))
        top = self.ranges.loudness[1]
        return [
            Track("swell", self.channels(np.full(hops, note), top * shape, rng.random()))
            for note in self.scale(rng, count)
        ]

    def brightenings(self, rng: np.random.Generator, count: int, seconds: float = 3.0) -> list[Track]:
        """From dark to bright and back on one note."""
        hops = self.hops(seconds)
        shape = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(hops) / (hops - 1))
        return [
            Track("brightening", self.channels(np.full(hops, note), self.loud(rng.uniform(0.5, 1)), shape))
            for note in self.scale(rng, count)
        ]

    def onsets(self, rng: np.random.Generator, count: int) -> list[Track]:
        """Rest, then loud at once; and silent again for a second: response time, and rest after a note."""
        rest, sound, after = self.hops(ONSET_REST_S), self.hops(ONSET_SOUND_S), self.hops(1.0)
        gate = np.concatenate([np.zeros(rest), np.ones(sound), np.zeros(after)])
        return [
            Track("onset", self.channels(np.full(len(gate), note), gate * self.loud(rng.uniform(0.5, 1)), rng.random()))
            for note in self.scale(rng, count)
        ]

    def phrases(self, rng: np.random.Generator, count: int, seconds: float = 5.0) -> list[Track]:
        """All of it at once, as somebody might play."""
        tracks = []
        for _ in range(count):
            hops = self.hops(seconds)
            glide = self.curve(rng, hops, 1.5)
            low, high = self.ranges.pitch
            notes = np.clip((low + high) / 2 + 0.35 * (high - low) * glide, low, high)
            loudness = np.clip(self.loud(0.55 + 0.45 * self.curve(rng, hops, 2.5)), 0, self.ranges.loudness[1])
            rest = np.repeat(rng.random(round(seconds / 0.5) + 1) < 0.2, self.hops(0.5) + 1)[:hops]
            loudness = np.where(rest, 0.0, loudness)
            bright = np.clip(0.5 + 0.5 * self.curve(rng, hops, 2.0), 0, 1)
            tracks.append(Track("phrase", self.channels(notes, loudness, bright)))
        return tracks

    def curve(self, rng: np.random.Generator, hops: int, changes_s: float) -> Float64:
        """A smooth wandering [hops], mostly within -1..1, with so many turns a second."""
        spacing = self.spec.sample_rate / HOP / changes_s
        knots = rng.uniform(-1, 1, int(hops / spacing) + 3)
        at = np.arange(hops) / spacing
        eased = at % 1
        eased = eased * eased * (3 - 2 * eased)
        left = at.astype(int)
        return knots[left] * (1 - eased) + knots[left + 1] * eased

    def everything(self, seed: int, share: float = 1.0) -> list[Track]:
        """About 110 s of all kinds for one seed; share: of the number of tracks."""
        rng = np.random.default_rng((2**31, seed))

        def some(count: int) -> int:
            return max(round(count * share), 2)

        return [
            *self.held(rng, some(12), 1.8),
            *self.glides(rng, some(6)),
            *self.vibrati(rng, some(6)),
            *self.leaps(rng, some(3)),
            *self.swells(rng, some(5)),
            *self.brightenings(rng, some(5)),
            *self.onsets(rng, some(10)),
            *self.phrases(rng, some(4)),
        ]


def of_kind(tracks: Sequence[Track], *kinds: str) -> list[int]:
    """Numbers of the tracks of these kinds."""
    return [i for i, track in enumerate(tracks) if track.kind in kinds]
