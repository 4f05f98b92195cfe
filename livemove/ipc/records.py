"""The named fields of shared memory, as numpy views, and lists of texts in them.

In: a mapping, and where native/realtime/fields.hpp says each field lies. Out: views. Knows no record's meaning.
"""

# numpy's stubs need a newer Python than 3.10, which pyright checks for: its members come out half unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from livemove.native import _realtime

Record = dict[str, npt.NDArray[Any]]
"""Field name -> view of shared memory, [1] or [count]. An aligned 8-byte store is one store: never half-written. What
says something about other fields (a state, a count of entries) is stored and read by `publish` and `observe`."""


View = Callable[[npt.DTypeLike, int, int], npt.NDArray[Any]]
"""view(dtype, count, offset) of the shared memory."""


def record(fields: Any, view: View) -> Record:
    """fields: one list of `_realtime.layout()`, (name, kind, count, offset) each."""
    views: Record = {}
    for name, kind, count, offset in cast("list[tuple[str, str, int, int]]", fields):
        dtype = np.dtype(f"S{count}") if kind == "S" else np.dtype(f"<{kind}")
        views[name] = view(dtype, 1 if kind == "S" else count, offset)
    return views


def publish(field: npt.NDArray[np.uint64], value: int) -> None:
    """Store it so that who observes it sees all that this process stored before. field uint64 [1]."""
    _realtime.publish(field, value)


def observe(field: npt.NDArray[np.uint64]) -> int:
    """What `publish` stored; what is read afterwards is as it was then, or newer."""
    return _realtime.observe(field)


def lines(texts: Sequence[str], room: int) -> bytes:
    """As many of the texts as find room, one a line."""
    kept = b""
    for name in texts:
        line = name.replace("\n", " ").encode(errors="replace") + b"\n"
        if len(kept) + len(line) >= room:
            break
        kept += line
    return kept


def names(field: npt.NDArray[Any]) -> tuple[str, ...]:
    """What `lines` made of a field [1]."""
    return tuple(bytes(field[0]).decode(errors="ignore").split("\n")[:-1])
