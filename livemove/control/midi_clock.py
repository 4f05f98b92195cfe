"""MIDI clock as sources: 24 pulses a quarter note, start, stop, continue, song position -> tempo, beat and bar.

In: MIDI's real-time messages as bytes, each with the time it came. Out: numbers under the names that a mapping.toml may
give as a source, as they will be when they are heard. Time only from the arguments. Knows no port and no process.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

CLOCK, START, CONTINUE, STOP, SONG_POSITION = 0xF8, 0xFA, 0xFB, 0xFC, 0xF2
"""Status bytes (MIDI 1.0)."""
PULSES = 24
"""A beat."""
SIXTEENTH = 6
"""Pulses; what a song position counts."""
BAR = 4
"""Beats of a bar, as Link's are counted."""
SHORTEST_S = 1e-3
"""Between two pulses: 2500 beats a minute."""
GONE_S = 0.5
"""Without a pulse for so long nothing runs: at 20 beats a minute they are 0.125 s apart."""


class PulseFilter:
    """When pulses that come with jitter should have come, and how far apart they are: a delay-locked loop of second
    order (Adriaensen 2005, "Using a DLL to filter time"). What polling and a sound server's period add is averaged out;
    another tempo is followed within a beat or two.

    time_s: of the last pulse; period_s: from one to the next; NaN before they are known.
    """

    OMEGA = 0.1
    """2 pi times the loop's bandwidth as a share of the pulses' rate: at 120 beats a minute 0.76 Hz. In theory jitter
    that is independent from pulse to pulse leaves it at a third."""
    FIRST = 6
    """So many pulses to begin with set the period by their mean distance."""
    ASTRAY, MOST_ASTRAY = 1.5, 4
    """A pulse that is so many periods away changes nothing; so many, each further away than the last, are another
    tempo, and it begins again. When a machine stood still, those that waited are less and less late."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """As before the first pulse."""
        self.time_s = self.period_s = self._next_s = self._first_s = math.nan
        self._count = self._astray = 0
        self._late_s = 0.0

    def pulse(self, at_s: float) -> None:
        """One came."""
        if self._count > self.FIRST:
            late_s = at_s - self._next_s
            astray = abs(late_s) > self.ASTRAY * self.period_s
            self._astray = (self._astray + (abs(late_s) >= abs(self._late_s))) * astray
            self._late_s = late_s
            if late_s > GONE_S or self._astray >= self.MOST_ASTRAY:
                self.reset()
            elif astray:
                self.time_s, self._next_s = self._next_s, self._next_s + self.period_s
                return
        self._count += 1
        if self._count == 1:
            self.time_s = self._first_s = at_s
        elif self._count <= self.FIRST + 1:
            self.period_s = (at_s - self._first_s) / (self._count - 1)
            self.time_s, self._next_s = at_s, at_s + self.period_s
        else:
            late_s = at_s - self._next_s
            self.time_s = self._next_s + math.sqrt(2.0) * self.OMEGA * late_s
            self.period_s = max(self.period_s + self.OMEGA * self.OMEGA * late_s, SHORTEST_S)
            self._next_s = self.time_s + self.period_s

    def since(self, now_s: float) -> float:
        """Pulses that have passed since the last one, by the clock; 0 while the period is not known."""
        return max((now_s - self.time_s) / self.period_s, 0.0) if self.period_s > 0.0 else 0.0


class MidiClockIn:
    """The clock of one port."""

    def __init__(self) -> None:
        self._pulses = PulseFilter()
        self._position = -1  # of the last pulse, in pulses from the song's beginning
        self._started = False
        self._last_s = -math.inf
        self._heard = False

    def handle(self, message: Sequence[int], at_s: float) -> bool:
        """A MIDI message that came then; False: it is none of the clock's."""
        status = message[0]
        if status == CLOCK:
            self._pulses.pulse(at_s)
            self._position += self._started
            self._last_s = at_s
        elif status == START:
            self._position, self._started = -1, True  # the next pulse is the song's first
        elif status == CONTINUE:
            self._started = True
        elif status == STOP:
            self._started = False
        elif status == SONG_POSITION and len(message) == 3:
            self._position = SIXTEENTH * (message[1] | message[2] << 7) - 1
        else:
            return False
        self._heard = True
        return True

    def stop(self) -> None:
        """The port is gone."""
        self._started = False
        self._last_s = -math.inf

    def running(self, now_s: float) -> bool:
        """Whether it was started and pulses come."""
        return self._started and now_s - self._last_s < GONE_S

    def inputs(self, now_s: float, ahead_s: float) -> dict[str, float]:
        """Tempo in beats a minute, where in the beat and in the bar (both 0..1) it is in ahead_s seconds, and whether
        it runs (1 or 0): stopped, beat and bar stay where they are. Nothing before the first message."""
        if not self._heard:
            return {}
        running, period_s = self.running(now_s), self._pulses.period_s
        pulses = float(self._position)
        if running and period_s > 0.0:
            pulses += self._pulses.since(now_s) + ahead_s / period_s
        beats = max(pulses, 0.0) / PULSES
        found = {"clock.beat": beats % 1.0, "clock.phase": beats % BAR / BAR, "clock.running": float(running)}
        if period_s > 0.0:
            found["clock.tempo"] = 60.0 / (PULSES * period_s)
        return found
