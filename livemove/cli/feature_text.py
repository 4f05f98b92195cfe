"""The body features as text: a table of what they mean, lines for other programs, bars for a terminal. Pure functions.

Prints nothing; of the body it knows the table of features alone, by type.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from livemove.cli.text import Table

if TYPE_CHECKING:
    from livemove.body.features import Feature
    from livemove.diagnostics.feature_view import FeatureReading

BAR = 20
"""Cells of a bar; those of a feature that goes below 0 grow from its middle."""
CELL = 20 + 7 + BAR + 3
"""A feature in a column: its name, its value, its bar and a gap."""

FURTHER = (
    'further sources: "hit:NAME", "accent:NAME", "posture.NAME" (livemove teach), "osc:/ADDRESS", "midi:cc1" ..., '
    '"link.beat" ...; of a second dancer (--dancers 2) "dancer2.NAME"'
)


def described(features: Sequence[Feature]) -> list[dict[str, Any]]:
    """Each as plain values, for JSON."""
    return [
        {"name": f.name, "meaning": f.doc, "minimum": f.minimum, "maximum": f.maximum, "rest": f.rest} for f in features
    ]


def table(features: Sequence[Feature]) -> Table:
    """Name, range, rest value and meaning."""
    rows = [(f.name, f"{f.minimum:g} … {f.maximum:g}", f"{f.rest:g}", f.doc) for f in features]
    return Table(("feature", "range>", "at rest>", "meaning"), rows)


def header(features: Sequence[Feature]) -> str:
    """Above `line`: names of its columns, between tabs."""
    return "\t".join(("seconds", "people", *(f.name for f in features)))


def line(reading: FeatureReading) -> str:
    """One pose as numbers between tabs."""
    return "\t".join((f"{reading.seconds:.3f}", f"{reading.people}", *(f"{v:.3f}" for v in reading.values.values())))


def as_json(reading: FeatureReading) -> dict[str, Any]:
    """One pose as plain values."""
    return {
        "seconds": round(reading.seconds, 4),
        "people": reading.people,
        "features": {name: round(value, 5) for name, value in reading.values.items()},
        "measured": reading.measured,
        **({"postures": {name: round(v, 3) for name, v in reading.postures.items()}} if reading.postures else {}),
    }


def bars(features: Sequence[Feature], reading: FeatureReading, width: int, height: int) -> str:
    """All features, and the postures that were taught, with value and bar, in as few columns as the terminal's height
    allows and its width has room for; dim: not seen in the newest pose. Lines of markup."""
    every = [_cell(f, reading) for f in features]
    colour = "green" if reading.people else "dim"
    for name, value in reading.postures.items():
        every.append(_drawn(f"posture.{name}"[:19], value, colour, 0, round(value * BAR)))
    columns = min(max(math.ceil(len(every) / max(height - 2, 1)), 1), max(width // CELL, 1))
    lines = math.ceil(len(every) / columns)
    who = "[yellow]nobody in view[/]" if not reading.people else f"{reading.people} in view"
    found = [f"{reading.seconds:.0f} s  {who}  Ctrl-C ends"]
    found += ["".join(every[row::lines]).rstrip() for row in range(lines)]
    return "\n".join(found)


def _cell(feature: Feature, reading: FeatureReading) -> str:
    value, colour = reading.values[feature.name], "green" if reading.measured[feature.name] else "dim"
    place = (value - feature.minimum) / (feature.maximum - feature.minimum)
    zero = round(-feature.minimum / (feature.maximum - feature.minimum) * BAR)
    at = round(min(max(place, 0.0), 1.0) * BAR)
    return _drawn(feature.name, value, colour, min(zero, at), max(zero, at))


def _drawn(name: str, value: float, colour: str, low: int, high: int) -> str:
    """A bar from one cell to another, with name and value."""
    bar = "·" * low + "█" * (high - low) + "·" * (BAR - high)
    return f"{name:<20}{value:>6.2f} [{colour}]{bar}[/]   "
