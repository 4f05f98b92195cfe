"""Numbers of takes, which may come from elsewhere: what each column may hold, checked before anything is made of it.

In: rows as read. Out: nothing, or one TakeError that names file, column and row. Knows no engine and no callback, which
has its own gate for what it is given back.
"""

# numpy's stubs need a newer Python than 3.10.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from livemove.contracts import MAX_DANCERS, MAX_PEOPLE, TakeError
from livemove.controls import CONTROLS, EFFECT_VALUES, GAIN_FACTORS, LOOP_PRESSES, MAX_LAYERS, SAMPLE_RATES

Limits = Mapping[str, tuple[float, float]]

LONG = 1e15
"""Samples, counts or seconds: more than any machine has been on for."""

BLOCK = 1 << 16
"""Frames: more than any device takes at once."""

INDEX_LIMITS: Limits = {
    "clock_s": (-LONG, LONG),
    "rate": SAMPLE_RATES,
    "model_rate": SAMPLE_RATES,
    "block": (1, BLOCK),
    "seed": (0, 2**63 - 1),
}
"""Of take.toml."""

MODEL_LIMITS: Limits = {
    "layer": (1, MAX_LAYERS),
    "transpose": (-127.0, 127.0),
    "note": (-1.0, 127.0),
    "dancer": (0, MAX_DANCERS - 1),
}
"""Of each of its models."""

_PLACES = dict.fromkeys(("tap_at", "read", "written", "target"), (0.0, LONG))
BLOCK_LIMITS: Limits = {**_PLACES, "frames": (1, BLOCK), "start_s": (-LONG, LONG), "dac_s": (-LONG, LONG)}
"""Of blocks; their state is made safe by the callback that takes it up."""

_COUNTS = ("style", "octave", "scale", "root", "model", "preset", "panics", "reloads", "learn", *LOOP_PRESSES.values())
HOP_LIMITS: Limits = {
    **dict.fromkeys(("life_s", "hop", "began_s", "pose", "first_sample"), (-LONG, LONG)),
    **dict.fromkeys(("samples", "sounding"), (0, 1000000.0)),
    **dict.fromkeys(_COUNTS, (-1000000000.0, 1000000000.0)),
    **dict.fromkeys(("mute", "freeze", "swap_hands"), (0, 1)),
    "gain": GAIN_FACTORS,
    **{f"gain_{i + 1}": GAIN_FACTORS for i in range(MAX_LAYERS)},
    **{f"pan_{i + 1}": (-1.0, 1.0) for i in range(MAX_LAYERS)},
    "temperature": CONTROLS["temperature"].limits,
    "snap": CONTROLS["snap"].limits,
    "look_ahead_s": (0.0, CONTROLS["look_ahead"].high / 1e3),
    **{control.preset: control.limits for control in EFFECT_VALUES},
}
POSE_LIMITS: Limits = {
    "capture_s": (-LONG, LONG),
    "sequence": (-1, LONG),
    "people": (0, MAX_PEOPLE),
    "person": (0, MAX_PEOPLE - 1),
}


def check_rows(path: Path, rows: npt.NDArray[np.void], limits: Limits, finite: tuple[str, ...] = ()) -> None:
    """Every column within its limits, those named by `finite` without NaN and infinity; columns that an older livemove
    did not write may be missing. Raises TakeError."""
    for name in rows.dtype.names or ():
        if rows.dtype[name].base.kind not in "fiu":
            raise TakeError(f"{path}: {name}: these are no numbers")
        low, high = limits.get(name, (-np.inf, np.inf))
        column = rows[name]
        wrong = ~((column >= low) & (column <= high)) if name in limits else ~np.isfinite(column)
        if (name in limits or name in finite) and wrong.any():
            row = int(np.argwhere(wrong)[0][0])
            value = float(column[row].reshape(-1)[wrong[row].reshape(-1)][0])
            raise TakeError(f"{path}: {name} of row {row}: {value:g} is not a number within {low:g}..{high:g}")
