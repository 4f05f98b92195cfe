"""An instrument of a note library: which notes sound at which pitch and level, and with what weight.

In: a Library and what instruments of the manifest make up this one. Out: weights of notes for tracks of pitch and
level. Knows nothing of scores or audio.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from livemove.contracts import Float64
from training.data.notes import Library, Note, NotesError

LOUDEST_DBFS = -15.0
"""Level of the loudest layer's steady part."""
APART_DB, SPREAD_DB = 4.0, 7.0
"""Layers are at least so far apart; so far each where the recordings have them all at one level."""
NAMES = ("ppp", "pp", "p", "mp", "m", "mf", "f", "ff", "fff")
CROSS_S = 0.05
"""Notes follow each other, in legato, in a crossfade of about this length."""


@dataclass(frozen=True)
class Part:
    """An instrument of the manifest within MIDI notes low..high; where parts overlap, they blend."""

    name: str
    low: float
    high: float


PARTS: dict[str, tuple[Part, ...]] = {
    "saxophone": (
        Part("baritone sax", 36, 49), Part("tenor sax", 45, 61), Part("alto sax", 56, 73), Part("soprano sax", 68, 88),
    ),
    "tuba": (Part("tuba", 33, 55),),
}  # fmt: skip
"""Instruments made of several, or of less than all that was recorded; any other is its name in the manifest."""


def parts_of(instrument: str) -> tuple[Part, ...]:
    return PARTS.get(instrument, (Part(instrument, 0, 127),))


@dataclass(frozen=True)
class Cell:
    """Notes of one part, pitch and dynamic: takes of the same. level_db: what it stands for, alike at all pitches."""

    midi: float
    level_db: float
    takes: tuple[Note, ...]


class Instrument:
    """Cells by part and pitch. low, high: its range in MIDI notes. Raises NotesError if the library lacks it."""

    def __init__(self, library: Library, name: str, held_out: bool = False) -> None:
        self.name, self.parts = name, parts_of(name)
        self._levels: dict[str, dict[str, float]] = {}
        self._slots: list[tuple[Part, list[tuple[float, list[Cell]]]]] = []
        for part in self.parts:
            notes = [n for n in library.notes if n.instrument == part.name and part.low <= n.midi <= part.high]
            if not notes:
                raise NotesError(f"the note library has no {part.name} between {part.low:g} and {part.high:g}")
            self._levels[part.name] = _nominal(notes)
            usable = [n for n in notes if n.held_out == held_out]
            self._slots.append((part, _slots(usable, self._levels[part.name])))
        self.low = min(slots[0][0] for _, slots in self._slots)
        self.high = max(slots[-1][0] for _, slots in self._slots)

    def level_db(self, note: Note) -> float:
        """What a note's dynamic stands for."""
        return self._levels[note.instrument][note.dynamic]

    def weights(self, pitch: Float64, level_db: Float64, hop_s: float) -> dict[Cell, Float64]:
        """Weight [hops] of every cell that sounds when its pitch [hops] and layer [hops] are asked for; they sum to 1.

        Neighbours in pitch blend between the middle half of their distance, so that held notes are mostly one
        recording; layers blend linearly. Jumps become crossfades of CROSS_S.
        """
        out: dict[Cell, Float64] = {}
        for (_, slots), share in zip(self._slots, _part_shares(self.parts, pitch), strict=True):
            if not share.any():
                continue
            midis = np.array([midi for midi, _ in slots])
            right = np.clip(np.searchsorted(midis, pitch, "right"), 1, max(len(midis) - 1, 1))
            left = right - 1
            right = np.minimum(right, len(midis) - 1)
            apart = np.maximum(midis[right] - midis[left], 1e-6)
            part = np.clip((pitch - midis[left]) / apart * 2 - 0.5, 0, 1)
            part = part * part * (3 - 2 * part)
            for index in np.unique(np.concatenate([left, right])):
                weight = share * (np.where(left == index, 1 - part, 0) + np.where(right == index, part, 0))
                if len(midis) == 1:
                    weight = share
                if weight.any():
                    _layered(slots[index][1], weight, level_db, out)
        width = max(round(CROSS_S / hop_s), 1)
        smooth = {cell: ndimage.uniform_filter1d(w, width, mode="nearest") for cell, w in out.items()}
        total = sum((np.where(w > 2e-3, w, 0) for w in smooth.values()), np.zeros(len(pitch)))
        return {c: np.where(w > 2e-3, w, 0) / total for c, w in smooth.items() if (w > 2e-3).any()}


def _part_shares(parts: Sequence[Part], pitch: Float64) -> list[Float64]:
    """[hops] per part, ordered from low to high: linear in pitch where two overlap."""
    shares = []
    for i, part in enumerate(parts):
        share = np.ones(len(pitch))
        if i:
            low, high = part.low, max(parts[i - 1].high, part.low + 1e-6)
            share = np.clip((pitch - low) / (high - low), 0, 1)
        if i + 1 < len(parts):
            low, high = parts[i + 1].low, max(part.high, parts[i + 1].low + 1e-6)
            share = share * (1 - np.clip((pitch - low) / (high - low), 0, 1))
        shares.append(share)
    return shares


def _layered(cells: list[Cell], weight: Float64, level_db: Float64, out: dict[Cell, Float64]) -> None:
    """Share a slot's weight [hops] among its layers."""
    levels = np.array([cell.level_db for cell in cells])
    for i, cell in enumerate(cells):
        unit = np.zeros(len(levels))
        unit[i] = 1
        share = weight * np.interp(level_db, levels, unit)
        if share.any():
            out[cell] = out.get(cell, 0) + share


def _slots(notes: Sequence[Note], levels: dict[str, float]) -> list[tuple[float, list[Cell]]]:
    """(MIDI note, its cells from soft to loud), ascending."""
    cells: dict[float, dict[str, list[Note]]] = {}
    for note in notes:
        cells.setdefault(note.midi, {}).setdefault(note.dynamic, []).append(note)
    return [
        (midi, sorted((Cell(midi, levels[d], tuple(takes)) for d, takes in of.items()), key=lambda c: c.level_db))
        for midi, of in sorted(cells.items())
    ]


def _nominal(notes: Sequence[Note]) -> dict[str, float]:
    """dBFS per dynamic: as far apart as recorded, the loudest at LOUDEST_DBFS; by their names where recorded alike."""
    measured: dict[str, float] = {}
    for dynamic in sorted({note.dynamic for note in notes}):
        measured[dynamic] = float(np.median([note.level_db for note in notes if note.dynamic == dynamic]))
    order = sorted(measured, key=lambda d: measured[d])
    if max(measured.values()) - min(measured.values()) < APART_DB * (len(order) - 1) and all(d in NAMES for d in order):
        order = sorted(measured, key=NAMES.index)
        measured = {dynamic: SPREAD_DB * i for i, dynamic in enumerate(order)}
    level, out = LOUDEST_DBFS, {}
    for i, dynamic in enumerate(reversed(order)):
        if i:
            level = min(level - APART_DB, LOUDEST_DBFS + measured[dynamic] - measured[order[-1]])
        out[dynamic] = level
    return out
