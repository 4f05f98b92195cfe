"""How the pages write figures and channels, and how often. Pure functions."""

from __future__ import annotations

import math

from livemove.body.notes import note_name
from livemove.body.routes import PITCH_UNIT
from livemove.monitor.telemetry import signed, written_note

LIMITER_SHOWN_S = 0.4
SLOW = 5
"""Written values change at every fifth redraw: nobody reads faster."""


def number(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:.0f}"


def written(unit: str, value: float) -> str:
    """A channel's value as a musician reads it."""
    return written_note(value) if unit == PITCH_UNIT else signed(value, ".2f")


def edge(unit: str, value: float) -> str:
    """The end of a channel's or a feature's range, on an axis."""
    return note_name(value)[0] if unit == PITCH_UNIT else signed(value, "g")
