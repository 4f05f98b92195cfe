"""What was heard of a take, by the hop: where something was asked for, and what the sound was like then.

In: a take on disk, samples. Out: places in its sound, levels, pitches. Knows no session and no way to steer one.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from livemove.contracts import Float64
from livemove.takes.folder import samples24
from livemove.takes.reading import load_take
from tests.support.real_time import timed


class Heard:
    """sound: float64 [samples, 2]; rate in Hz; hops: the take's rows; at: int [hops], where each is heard in it."""

    def __init__(self, folder: Path) -> None:
        """The newest take of a folder."""
        self.take = take = load_take(max(folder.iterdir()))
        self.rate = take.info.rate
        self.sound: Float64 = samples24(take.sound()).astype(np.float64)
        starts = np.concatenate([[0], np.cumsum(take.blocks["frames"])[:-1]])
        block = np.maximum(np.searchsorted(take.blocks["read"], take.hops["first_sample"], side="right") - 1, 0)
        self.hops = take.hops
        self.at = starts[block] + take.hops["first_sample"] - take.blocks["read"][block]

    def source(self, name: str) -> Float64:
        """float64 [hops], an input of the mapping as it was."""
        return self.hops["sources"][:, self.take.info.sources.index(name)].astype(np.float64)

    def changes(self, name: str) -> list[int]:
        """Where that column of the hops changes, as places in the sound."""
        return [int(self.at[i + 1]) for i in np.flatnonzero(np.diff(self.hops[name].astype(np.float64)))]

    def reaches(self, name: str, value: float) -> int:
        """Where in the sound that column of the hops first has about that value."""
        found = np.flatnonzero(np.abs(self.hops[name].astype(np.float64) - value) < 1e-3 * max(abs(value), 1.0))
        with timed():
            assert len(found), f"{name} never was {value}"
        return int(self.at[found[0]])

    def gaps(self, first: int) -> int:
        """Blocks from that place on, and before the end's fade, for which there was not enough sound."""
        blocks, starts = self.take.blocks, np.cumsum(self.take.blocks["frames"])
        missed = np.diff(blocks["read"]) != blocks["frames"][:-1]
        return int(missed[(starts[:-1] > first) & (starts[:-1] < len(self.sound) - self.rate // 4)].sum())

    def falls_silent(self, after: int) -> int:
        """Where in the sound /loudness next goes to 0."""
        loud = self.source("osc:/loudness") > 0.0
        found = [int(self.at[i + 1]) for i in np.flatnonzero(loud[:-1] & ~loud[1:]) if self.at[i + 1] > after]
        with timed():
            assert found
        return found[0]


def level_db(sound: Float64) -> float:
    """RMS in dBFS, of one side or of both."""
    return 10.0 * math.log10(max(float(np.mean(sound**2)), 1e-15)) if sound.size else -math.inf


def partial_db(side: Float64, note: float, rate: float) -> float:
    """RMS in dBFS of a sine at that MIDI note in float64 [n], seen through a Hann window."""
    window = np.hanning(len(side))
    turning = np.exp(-2j * np.pi * hertz(note) / rate * np.arange(len(side)))
    amplitude = 2.0 * abs(complex(np.dot(window * side, turning))) / float(window.sum())
    return 20.0 * math.log10(max(amplitude / math.sqrt(2.0), 1e-9))


def loudest_db(side: Float64, note: float, rate: float) -> float:
    """`partial_db` of the tenth of a second in which it is most."""
    size = round(0.1 * rate)
    return max(partial_db(side[i : i + size], note, rate) for i in range(0, len(side) - size + 1, size // 4))


def note_of(side: Float64, rate: float) -> float:
    """MIDI note of the strongest sine in float64 [n]: the peak of its spectrum, between bins by a parabola."""
    size = 1 << (len(side) * 4 - 1).bit_length()
    power = np.log(np.abs(np.fft.rfft(side * np.hanning(len(side)), size)) + 1e-15)
    peak = int(np.argmax(power[1:-1])) + 1
    before, middle, after = power[peak - 1 : peak + 2]
    place = peak + 0.5 * (before - after) / (before - 2.0 * middle + after)
    return 69.0 + 12.0 * math.log2(place * rate / size / 440.0)


def repeats(sound: Float64, lag: int) -> float:
    """Correlation, -1..1, of a sound with itself so many samples later."""
    one, other = sound[:-lag].ravel(), sound[lag:].ravel()
    return float(one @ other / math.sqrt(max(float(one @ one) * float(other @ other), 1e-30)))


def hertz(note: float) -> float:
    return 440.0 * 2.0 ** ((note - 69.0) / 12.0)
