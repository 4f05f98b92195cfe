"""All that happened lately, in order, for takes: poses, hops, calls of the callback; and what the engines were.

In: rows of one writing process each. Out: the same rows, to the supervisor. A writer waits for nobody: who reads too
late is told how much was lost.
"""

# numpy's stubs need a newer Python than 3.10, which pyright checks for: its members come out half unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from livemove import contracts
from livemove.contracts import MAX_BLEND, MAX_LAYERS, Controls, Float32
from livemove.native import _realtime
from livemove.native._realtime import SNAPSHOT_BYTES

_BODY = (contracts.MAX_PEOPLE, contracts.LANDMARKS)

POSE_ROW = np.dtype(
    [
        *(("capture_s", "<f8"), ("sequence", "<i8"), ("people", "<i8")),
        *(("image", "<f4", (*_BODY, 3)), ("world", "<f4", (*_BODY, 3)), ("visibility", "<f4", _BODY)),
    ]
)
"""A PoseFrame, as the mailbox and the log hold it."""

BLOCK_ROW = np.dtype([(name, f"<{kind}", *([count] if count > 1 else [])) for name, kind, count, _ in _realtime.BLOCK])
"""One call of the callback, as native/realtime/layout.hpp says."""

_STEERED = tuple(field.name for field in dataclasses.fields(Controls) if field.name not in ("styles", "gains", "pans"))

_LEVELS = (*(f"gain_{i + 1}" for i in range(MAX_LAYERS)), *(f"pan_{i + 1}" for i in range(MAX_LAYERS)))
"""Controls.gains and pans: in full, for what is mixed by them must come out the same again."""

_HOP = (
    # When the engine began (on the clock), the hop's number since then, when the hop was begun.
    *("life_s", "hop", "began_s"),
    # The pose it was made from: its sequence number, and when it was captured (NaN: none).
    *("pose", "capture_s"),
    # Its place in the ring, at the device's rate; number of the stack that sounds or comes in.
    *("first_sample", "samples", "sounding"),
    # How many of the sources and channels there are (of what sounds, of what leaves); all controls.
    *("source_count", "channel_count", "leaving_count", *_STEERED, *_LEVELS),
)

_VECTORS = {
    "sources": 128,
    "channels": 64 * MAX_LAYERS,
    "leaving": 64 * MAX_LAYERS,
    "styles": MAX_BLEND,
    "blend": MAX_BLEND * MAX_LAYERS,
    "leaving_blend": MAX_BLEND * MAX_LAYERS,
    "effects": 16,
}
"""float32 of a hop, and how many there is room for."""

HOP_ROW = np.dtype(
    {
        "names": [*_HOP, *_VECTORS],
        "formats": ["<f8"] * len(_HOP) + [("<f4", count) for count in _VECTORS.values()],
        "itemsize": _realtime.HOP_BYTES,
    }
)
"""One hop as synthesis made it: sources as the mappings got them, channels as the engines did; styles as the performer
set them, blend and leaving_blend as the engines got them, effects as synthesis/effects.py did (NaN: not so many, none).
What layers have stands layer after layer."""


class Log:
    """All that happened of one kind, in order, as rows; the supervisor reads it for takes, and nobody waits for it."""

    def __init__(self, native: _realtime.PoseLog | _realtime.HopLog | _realtime.BlockLog, row: np.dtype[Any]) -> None:
        self._native = native
        self.row = row
        self._seen = native.written

    def skip(self) -> None:
        """What was added until now is not taken."""
        self._seen = self._native.written

    def last(self, count: int) -> npt.NDArray[Any]:
        """Anyone: the newest `count` rows, oldest first; fewer where there are no more, none where a writer is in the
        way again and again."""
        for _ in range(8):
            written = self._native.written
            rows = np.zeros(min(count, written), self.row)
            if self._native.read(written - len(rows), rows.view(np.uint8)):
                return rows
        return np.zeros(0, self.row)

    def take(self) -> tuple[npt.NDArray[Any], int]:
        """One reader: rows added since the last call, and how many before them were lost."""
        lost = 0
        while True:
            rows = np.zeros(self._native.written - self._seen, self.row)
            if not len(rows) or self._native.read(self._seen, rows.view(np.uint8)):
                self._seen += len(rows)
                return rows, lost
            # The writer went round: what is left is what it cannot reach while we copy.
            step = max(len(rows) // 2, 1)
            self._seen += step
            lost += step


class HopLog:
    """Where synthesis says what it made; one row, filled in place and added."""

    def __init__(self, memory: npt.NDArray[np.uint8]) -> None:
        self._native = _realtime.HopLog(memory)
        row = np.zeros(1, HOP_ROW)
        self._bytes = row.view(np.uint8)
        self._head = self._bytes[: 8 * len(_HOP)].view(np.float64)
        self._vectors = [row[name][0] for name in ("sources", "channels", "leaving")]
        self._styles, self._blend, self._leaving = (row[name][0] for name in ("styles", "blend", "leaving_blend"))
        self._effects = row["effects"][0]

    def add(
        self,
        head: tuple[float, ...],
        controls: Controls,
        *vectors: Float32,
        blend: Float32 | None = None,
        leaving: Float32 | None = None,
        effects: Float32 | None = None,
    ) -> None:
        """Synthesis only. head: HOP_ROW's fields up to sounding; vectors: its sources, channels, leaving, float32;
        blend, leaving: weights [styles] of what sounds, and of what leaves; effects: its settings; None: none."""
        counts = [len(vector) for vector in vectors]
        for place, values in (
            (self._styles, controls.styles),
            (self._blend, blend),
            (self._leaving, leaving),
            (self._effects, effects),
        ):
            count = 0 if values is None else len(values)
            place[count:] = math.nan
            if values is not None:
                place[:count] = values
        steered = (getattr(controls, name) for name in _STEERED)
        self._head[:] = (*head, *counts, *steered, *controls.gains, *controls.pans)
        for place, vector, count in zip(self._vectors, vectors, counts, strict=True):
            place[:count] = vector
        self._native.add(self._bytes)


class SnapshotBox:
    """What the engines are before a hop, now and then, so that a take can begin anywhere. One writer: synthesis."""

    def __init__(self, memory: npt.NDArray[np.uint8]) -> None:
        self._native = _realtime.Snapshot(memory)
        self._seen = 0

    def write(self, head: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> bool:
        """Synthesis only. head: plain numbers and names. False: it has no room."""
        shapes = {name: (array.dtype.str, array.shape) for name, array in arrays.items()}
        text = json.dumps([head, shapes]).encode()
        text += b" " * (-len(text) % 8)
        size = len(text) + sum(array.nbytes for array in arrays.values())
        words = np.zeros(2 + -(-size // 8), np.uint64)
        if words.nbytes > SNAPSHOT_BYTES:
            return False
        words[:2] = size, len(text)
        room = words[2:].view(np.uint8)
        room[: len(text)] = np.frombuffer(text, np.uint8)
        at = len(text)
        for array in arrays.values():
            room[at : at + array.nbytes] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            at += array.nbytes
        self._native.write(words.view(np.uint8))
        return True

    def take(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]] | None:
        """The supervisor, and a synthesis that takes over: what was written, if that is newer than at the last call."""
        if self._native.sequence == self._seen:
            return None
        start = np.zeros(2, np.uint64)
        if not self._native.read(start.view(np.uint8)):
            return None
        words = np.zeros(2 + -(-int(start[0]) // 8), np.uint64)
        sequence = self._native.read(words.view(np.uint8))
        if sequence == 0 or (words[:2] != start).any():
            return None  # another one came in between: next time
        self._seen = sequence
        room, at = words[2:].view(np.uint8), int(start[1])
        head, shapes = json.loads(room[:at].tobytes())
        arrays: dict[str, npt.NDArray[Any]] = {}
        for name, (kind, shape) in shapes.items():
            size = np.dtype(kind).itemsize * math.prod(shape)
            arrays[name] = np.frombuffer(room[at : at + size].tobytes(), kind).reshape(shape)
            at += size
        return head, arrays
