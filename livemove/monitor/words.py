"""How the pages write figures and channels, and how often. Pure functions."""

from __future__ import annotations

import math

from livemove.monitor.telemetry import signed, written_note

LIMITER_SHOWN_S = 0.4
SLOW = 5
"""Written values change at every fifth redraw: nobody reads faster."""


def number(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:.0f}"


def written(unit: str, value: float) -> str:
    """A channel's value as a musician reads it."""
    return written_note(value) if unit == "MIDI note" else signed(value, ".2f")
