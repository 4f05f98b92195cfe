"""The names of notes and scales, and what they mean as numbers.

In: what a musician writes. Out: pitch classes, semitones, names. Knows no channel and no mapping; the standard library
only.
"""

from __future__ import annotations

import math
import re

NOTES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
"""Pitch classes 0..11 as they are printed everywhere. Flats are understood, too: see `pitch_class`."""

SCALES: dict[str, tuple[int, ...]] = {
    "chromatic": (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11),
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "harmonic_minor": (0, 2, 3, 5, 7, 8, 11),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "pentatonic": (0, 2, 4, 7, 9),
    "minor_pentatonic": (0, 3, 5, 7, 10),
    "blues": (0, 3, 5, 6, 7, 10),
    "whole_tone": (0, 2, 4, 6, 8, 10),
}
"""Semitones above the root, within an octave."""

_ACCIDENTALS = {"": 0, "#": 1, "b": -1}

_NOTE = re.compile(r"([A-G])([#b]?)(-1|[0-9])")
"""A note and its octave; A4 is 440 Hz."""


def pitch_class(name: str) -> int | None:
    """ "C" .. "B", with # or b behind it, as 0..11; None for what is no note."""
    if name[:1] not in tuple("CDEFGAB") or name[1:] not in _ACCIDENTALS:
        return None
    return (NOTES.index(name[0]) + _ACCIDENTALS[name[1:]]) % len(NOTES)


def midi_note(name: str) -> int | None:
    """ "A4" -> 69, the MIDI note number of what `note_name` writes; also "Bb3"; None for what is no note."""
    found = _NOTE.fullmatch(name)
    return None if found is None else NOTES.index(found[1]) + _ACCIDENTALS[found[2]] + 12 * (int(found[3]) + 1)


def note_name(midi: float) -> tuple[str, int]:
    """A MIDI note number, 69 = 440 Hz, as the nearest note and the cents above it: 69.1 -> ("A4", 10)."""
    nearest = math.floor(midi + 0.5)
    return f"{NOTES[nearest % 12]}{nearest // 12 - 1}", round(100 * (midi - nearest))
