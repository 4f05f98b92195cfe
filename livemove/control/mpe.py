"""Channels as MPE (MIDI Polyphonic Expression 1.0), for synthesizers that bend every note by itself.

In: a model's channels and their values, at the rate of poses. Out: MIDI messages as bytes. Knows no port, no process.
"""

from __future__ import annotations

from collections.abc import Sequence

from livemove.body.routes import PITCH_UNIT
from livemove.contracts import Channel

MEMBERS = 15
"""The lower zone: channel 1 speaks for all, channels 2 to 16 have a note each. A new note takes the next one, so that
what rings on is not bent with it."""

BEND = 48
"""Semitones from the middle of the pitch bend to its end, as MPE has them unless told otherwise; we tell."""

ON, OFF = 0.08, 0.04
"""Shares of the loudness channel's range: a note begins above the one and ends below the other. In between is room for
a hand that trembles. The theremin's amplitude is the square of its loudness: 0.08 is -44 dB."""

VELOCITY = 64
"""What MIDI asks for where nothing was struck: how loud it is, the pressure says, before the note and all along."""

MIDDLE = 8192


class Mpe:
    """One note at a time. Bend from the channel of pitches, pressure from `loudness`, CC 74 (timbre) from
    `brightness`."""

    def __init__(self) -> None:
        self._member = 0
        self._note: int | None = None
        self._last: dict[int, tuple[int, ...]] = {}  # of the note: status -> what it was given last

    def setup_messages(self) -> list[list[int]]:
        """Before the first note: the zone and its members (RPN 6), and how far each one's notes bend (RPN 0)."""
        zone = _parameter(0, 6, MEMBERS)
        return [*zone, *(message for member in range(1, MEMBERS + 1) for message in _parameter(member, 0, BEND))]

    def messages(self, channels: Sequence[Channel], values: Sequence[float]) -> list[list[int]]:
        """What is new; values in the channels' natural units. A model without pitch or loudness is silent."""
        found = roles(channels)
        shares = {name: _share(channels[place], values[place]) for name, place in found.items()}
        if "pitch" not in found or "loudness" not in found or shares["loudness"] < OFF:
            return self.end()
        pitch = values[found["pitch"]]
        out: list[list[int]] = []
        if self._note is not None and abs(pitch - self._note) > BEND:
            out += self.end()  # as far as it bends: it goes on as another note
        elif self._note is None and shares["loudness"] < ON:
            return []
        begins = self._note is None
        if self._note is None:
            self._note = min(max(round(pitch), 0), 127)
            self._member = self._member % MEMBERS + 1
            self._last.clear()
        bend = min(max(MIDDLE + round((pitch - self._note) / BEND * MIDDLE), 0), 2 * MIDDLE - 1)
        out += self._new(0xE0, bend & 127, bend >> 7)
        if "brightness" in shares:
            out += self._new(0xB0, 74, round(127 * shares["brightness"]))
        out += self._new(0xD0, round(127 * shares["loudness"]))
        return [*out, [0x90 | self._member, self._note, VELOCITY]] if begins else out

    def end(self) -> list[list[int]]:
        """The note that sounds ends."""
        if self._note is None:
            return []
        note, self._note = self._note, None
        return [[0x80 | self._member, note, VELOCITY]]

    def _new(self, status: int, *data: int) -> list[list[int]]:
        if self._last.get(status) == data:
            return []
        self._last[status] = data
        return [[status | self._member, *data]]


def roles(channels: Sequence[Channel]) -> dict[str, int]:
    """Which channel is the pitch, the loudness, the brightness, as far as there are such."""
    found = {c.name: place for place, c in enumerate(channels) if c.name in ("loudness", "brightness")}
    pitches = [place for place, c in enumerate(channels) if c.unit == PITCH_UNIT]
    return {**found, "pitch": pitches[0]} if pitches else found


def _parameter(channel: int, number: int, value: int) -> list[list[int]]:
    """Set a registered parameter of a channel (from 0), and let go of it, so that no later data entry changes it."""
    status = 0xB0 | channel
    return [[status, *each] for each in ((101, 0), (100, number), (6, value), (101, 127), (100, 127))]


def _share(channel: Channel, value: float) -> float:
    return min(max((value - channel.minimum) / (channel.maximum - channel.minimum), 0.0), 1.0)
