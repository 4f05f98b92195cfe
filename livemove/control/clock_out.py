"""MIDI clock out: 24 pulses a beat with start, stop and continue, at Link's beat or at a tempo of our own.

In: a beat that goes on by itself. Out: MIDI messages as bytes, from a thread of its own, for the control process looks
around every few milliseconds only, which is too coarse for a clock. Knows no port, no process and no Link session.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Protocol

from livemove.control.midi_clock import BAR, CLOCK, CONTINUE, PULSES, SIXTEENTH, SONG_POSITION, START, STOP

LOOK_S = 0.05
"""The longest sleep: another tempo, or the end, is seen so soon."""
STALL = PULSES
"""Pulses that are made up for when the machine stood still: who counts them stays in place. After more, stop, song
position and continue say where it is."""
LAST_POSITION = (1 << 14) - 1
"""A song position has 14 bits, in sixteenths: 1024 bars, then it begins again."""


class BeatClock(Protocol):
    """What is followed. beat: quarter notes, from anywhere; tempo: of them a minute; playing: False: stopped."""

    @property
    def beat(self) -> float: ...

    @property
    def tempo(self) -> float: ...

    @property
    def playing(self) -> bool: ...


class OwnClock:
    """A tempo of our own, from now on; the first beat comes after one beat, in which who follows learns the tempo."""

    playing = True

    def __init__(self, tempo: float, now: Callable[[], float] = time.monotonic) -> None:
        self.tempo = tempo
        self._now, self._began_s = now, now()

    @property
    def beat(self) -> float:
        """From -1 on."""
        return (self._now() - self._began_s) * self.tempo / 60.0 - 1.0


class ClockEncoder:
    """Which messages are due at a beat. A song begins at the first bar after the beginning, and again at the first bar
    after a stop."""

    def __init__(self) -> None:
        self._sent: int | None = None  # the last pulse, counted on the beat's own axis; None: none yet
        self._song: int | None = None  # the pulse that the song began with; None: stopped
        self._held = False  # stopped on the way: it goes on, and does not begin again

    def interrupt(self) -> None:
        """Who listened was gone: once he is back he is told where the song is."""
        self._sent, self._held = None, self._song is not None

    def messages(self, beat: float, playing: bool) -> list[list[int]]:
        """All that is due until that beat."""
        now = math.floor(beat * PULSES)
        out: list[list[int]] = []
        if not playing and self._song is not None:
            out += [[STOP]]
            self._song, self._held = None, False
        if self._sent is not None and not 0 <= now - self._sent <= STALL:
            out += [[STOP]] if self._song is not None and not self._held else []
            self._song = self._song if self._song is not None and now >= self._song else None
            self._sent, self._held = None, self._song is not None
        if self._sent is None:
            self._sent = now
            return out
        for pulse in range(self._sent + 1, now + 1):
            out.append([CLOCK])
            self._sent = pulse
            if not playing:
                continue
            if self._held and self._song is not None and (pulse + 1) % SIXTEENTH == 0:
                position = (pulse + 1 - self._song) // SIXTEENTH & LAST_POSITION
                out += [[SONG_POSITION, position & 127, position >> 7], [CONTINUE]]
                self._held = False
            elif self._song is None and (pulse + 1) % (BAR * PULSES) == 0:
                out.append([START])
                self._song = pulse + 1
        return out

    def end(self) -> list[list[int]]:
        """The song is over."""
        stopped = self._song is None or self._held
        self._song, self._held = None, False
        return [] if stopped else [[STOP]]


class ClockOut:
    """The thread. send: takes messages, in order; False: nobody listens now."""

    def __init__(self, clock: BeatClock, send: Callable[[list[list[int]]], bool]) -> None:
        self.clock = clock
        self._send = send
        self._encoder = ClockEncoder()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="MIDI clock", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop, the message too."""
        self._over.set()
        self._thread.join()
        self._send(self._encoder.end())

    def _run(self) -> None:
        wait_s = 0.0
        while not self._over.wait(wait_s):
            beat, tempo = self.clock.beat, self.clock.tempo
            due = self._encoder.messages(beat, self.clock.playing)
            if due and not self._send(due):
                self._encoder.interrupt()
            following = (math.floor(beat * PULSES) + 1) / PULSES
            wait_s = min(max((following - self.clock.beat) * 60.0 / tempo, 0.0), LOOK_S)
