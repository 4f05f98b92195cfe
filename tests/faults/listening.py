"""What a listener hears: recordings of a sound server's output with the time of each sample, and what is wrong in them.

In: a JACK or PulseAudio server of the tests' own. Out: Heard: samples, when each was let out, when the server itself
was late; its silences, clicks, peak, offset. Knows nothing of livemove's processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from livemove.diagnostics.jack_control import JackControl, held_up
from tests.measure.record import Listener
from tests.support.clicks import clicks
from tests.support.servers import Jack, Pulse
from tests.support.true_peak import offset, true_peak_db

LOUD = 1e-4
"""-80 dBFS: below is silence."""
SHORTEST_S = 0.008
"""A silence is longer than a period of the tone that is played, and shorter than any block."""
PEAK_DB = -1.0
OFFSET = 0.005


@dataclass(frozen=True)
class Piece:
    """One recording without interruption: sound float32 [n], let out at at_s float64 [n] (CLOCK_MONOTONIC); held_up
    float64 [spans, 2]: when the server did not call its clients in time."""

    sound: npt.NDArray[np.float32]
    at_s: npt.NDArray[np.float64]
    rate: int
    held_up: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Heard:
    """All that was heard of one performance: a piece for every life of the server."""

    pieces: tuple[Piece, ...]

    def _loud(self, since_s: float, until_s: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """(times of the samples that can be heard, their numbers; of different pieces never one after the other)."""
        times, numbers, first = [np.zeros(0)], [np.zeros(0, np.int64)], 0
        for piece in self.pieces:
            heard = np.flatnonzero(np.abs(piece.sound) > LOUD)
            times.append(piece.at_s[heard])
            numbers.append(first + heard)
            first += len(piece.sound) + 1
        every, which = np.concatenate(times), np.concatenate(numbers)
        inside = (every >= since_s) & (every < until_s)
        return every[inside], which[inside]

    def silences(self, since_s: float, until_s: float) -> npt.NDArray[np.float64]:
        """float64 [n, 2]: beginning and end (s) of each silence between the two times, those at the edges as well."""
        times, numbers = self._loud(since_s, until_s)
        marks = np.concatenate([[since_s], times, [until_s]])
        # Two samples in a row are no silence, however late the second was let out: a server's clock that catches up.
        apart = np.concatenate([[True], np.diff(numbers) > 1, [True]])[-len(marks) + 1 :]
        long = np.flatnonzero((np.diff(marks) > SHORTEST_S) & apart)
        return np.stack([marks[long], marks[long + 1]], axis=1)

    def longest_silence_s(self, since_s: float, until_s: float) -> float:
        found = self.silences(since_s, until_s)
        return float((found[:, 1] - found[:, 0]).max(initial=0.0))

    def last_sound_s(self, since_s: float, until_s: float) -> float:
        """When the last sample that can be heard was let out; since_s if there was none."""
        return float(self._loud(since_s, until_s)[0].max(initial=since_s))

    def end_s(self) -> float:
        return max((float(piece.at_s[-1]) for piece in self.pieces if len(piece.at_s)), default=0.0)

    @property
    def nonfinite(self) -> int:
        return sum(int((~np.isfinite(piece.sound)).sum()) for piece in self.pieces)

    def _finite(self) -> Iterator[tuple[npt.NDArray[np.float32], int]]:
        """Those that can be measured at all."""
        for piece in self.pieces:
            if len(piece.sound) > piece.rate // 10:
                yield np.nan_to_num(piece.sound), piece.rate

    @property
    def true_peak_db(self) -> float:
        return max((true_peak_db(sound) for sound, _ in self._finite()), default=-180.0)

    @property
    def offset(self) -> float:
        return max((offset(sound, rate) for sound, rate in self._finite()), default=0.0)

    @property
    def clicks_s(self) -> npt.NDArray[np.float64]:
        """When it clicked; samples of one click are one."""
        found = np.concatenate([*(p.at_s[clicks(np.nan_to_num(p.sound))] for p in self.pieces), np.zeros(0)])
        return found[np.diff(found, prepend=-1.0) > 0.005]

    def held_up_s(self, since_s: float, until_s: float) -> float:
        """The longest time between the two for which the server itself did not call anybody."""
        spans = np.concatenate([*(piece.held_up for piece in self.pieces), np.zeros((0, 2))])
        spans = spans[(spans[:, 1] > since_s) & (spans[:, 0] < until_s)]
        return float((spans[:, 1] - spans[:, 0]).max(initial=0.0))

    def troubles(self, since_s: float = 0.0, until_s: float = 0.0) -> list[str]:
        """What no performance may let out, whatever happens to it; but for clicks between the two times."""
        found: list[str] = []
        if self.nonfinite:
            found.append(f"{self.nonfinite} samples not finite")
        if self.true_peak_db > PEAK_DB:
            found.append(f"true peak {self.true_peak_db:.2f} dBFS")
        if self.offset > OFFSET:
            found.append(f"offset {self.offset:.4f}")
        clicks_s = self.clicks_s
        clicks_s = clicks_s[(clicks_s < since_s) | (clicks_s >= until_s)]
        if len(clicks_s):
            found.append(f"{len(clicks_s)} clicks")
        return found


class JackEar:
    """Records what PortAudio's clients play on a JACK server, for as many lives as that has."""

    def __init__(self, server: Jack, program: Path, folder: Path) -> None:
        self._server, self._program, self._folder = server, program, folder
        self._lives: list[JackControl] = []

    def start(self) -> None:
        """Of this life of the server."""
        self._lives.append(JackControl(self._program, self._folder, self._server.environment, hears=True))
        self._lives[-1].start()

    def stop(self) -> Heard:
        pieces: list[Piece] = []
        for life in self._lives:
            life.stop()
            calls, sound = life.calls, life.sound
            frames = self._server.period
            count = min(len(calls), len(sound) // frames)
            # A server that was frozen goes on from where its clock says it should be; it is heard when it calls.
            late_s = np.minimum(calls["late_s"], frames / self._server.rate)
            began_s = (calls["called_s"] - late_s)[:count]
            at_s = (began_s[:, None] + np.arange(frames) / self._server.rate).ravel()
            late = held_up(calls, self._server.rate)
            pieces.append(Piece(sound[: count * frames], at_s, self._server.rate, late))
        return Heard(tuple(pieces))


class PulseEar:
    """Records PulseAudio's null sink, for as many lives as the server has."""

    def __init__(self, server: Pulse) -> None:
        self._server = server
        self._lives: list[Listener] = []

    def start(self) -> None:
        self._lives.append(Listener({**os.environ, **self._server.environment}))

    def stop(self) -> Heard:
        pieces = [Piece(*life.stop(), self._server.rate, np.zeros((0, 2))) for life in self._lives]
        return Heard(tuple(pieces))
