"""Postures on disk, a small TOML file each in a folder of the performer's; whether those that are named are there.

In: a folder, or a file's text. Out: Postures, or one line that names the file. Writes nothing itself: `as_text` gives
what to write. Knows no camera, no mapping's entries and no process.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np

from livemove import numbers
from livemove.body.postures import JOINTS, NAME, PREFIX, Example, Posture
from livemove.body.sources import near
from livemove.contracts import MappingError, PostureError

FORMAT = 1

MOST_EXAMPLES = 32
"""Of one posture: what a file may ask for at every pose."""

FURTHEST = 20.0
"""Torso lengths: no joint is further from the hips."""


@dataclass(frozen=True)
class Taught:
    """What was taught: postures by name, in order; broken: name -> why its file cannot be used."""

    postures: tuple[Posture, ...] = ()
    broken: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(posture.name for posture in self.postures)


def taught_in(folder: Path | None) -> Taught:
    """Every posture of a folder; None, or a folder that is not there: none."""
    postures: list[Posture] = []
    broken: dict[str, str] = {}
    for path in sorted(folder.glob("*.toml")) if folder is not None and folder.is_dir() else ():
        try:
            postures.append(read_posture(path))
        except PostureError as error:
            broken[path.stem] = str(error)
    return Taught(tuple(postures), broken)


def check_taught(external: Iterable[str], taught: Taught, where: str) -> None:
    """Raise MappingError if a mapping's external inputs name a posture that is not there; where: the mapping's file."""
    for name in external:
        if not name.startswith(PREFIX):
            continue
        own = name.removeprefix(PREFIX)
        if own in taught.broken:
            raise MappingError(f"{where}: source {name!r}: {taught.broken[own]}")
        if own not in taught.names:
            there = near(name, [PREFIX + each for each in taught.names]) if taught.names else "; none was taught yet"
            raise MappingError(f"{where}: posture {own!r} was never shown: `livemove teach {own}`{there}")


def read_posture(path: Path) -> Posture:
    """Raises PostureError naming the file and the entry."""
    try:
        document = cast("dict[str, object]", tomllib.loads(path.read_text(encoding="utf-8-sig")))
    except (OSError, ValueError, RecursionError) as error:
        raise PostureError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
    if NAME.fullmatch(path.stem) is None:
        raise PostureError(f"{path}: a posture is called by a word of up to 40 letters, digits and _")
    try:
        if document.get("format") != FORMAT:
            raise ValueError(f"format: expected {FORMAT}, as this livemove writes it")
        if document.get("joints") != list(JOINTS):
            raise ValueError(f"joints: expected {', '.join(JOINTS)}, in this order")
        (spread,) = _numbers("spread", [document.get("spread")], 1, 0.0, FURTHEST)
        examples = document.get("examples")
        if not isinstance(examples, list) or not 0 < len(cast("list[object]", examples)) <= MOST_EXAMPLES:
            raise ValueError(f"examples: expected 1 to {MOST_EXAMPLES} tables, [[examples]]")
        return Posture(path.stem, spread, tuple(map(_example, cast("list[object]", examples))))
    except ValueError as error:
        raise PostureError(f"{path}: {error}; teach it again: `livemove teach {path.stem} --replace`") from error


def as_text(posture: Posture) -> str:
    """The file of a posture, for who looks into it, too."""
    lines = [
        f"# The posture {posture.name}, as `livemove teach` was shown it: a mapping's source is {PREFIX}{posture.name}",
        "# Each joint towards the body's own left, down and forward from the hips, in torso lengths; then how surely",
        "# it was seen, 0 to 1.",
        f"format = {FORMAT}",
        f"spread = {posture.spread:.4f}",
        "joints = [" + ", ".join(f'"{name}"' for name in JOINTS) + "]",
    ]
    for example in posture.examples:
        lines += ["", "[[examples]]", "places = ["]
        lines += [f"  [{', '.join(f'{value:.4f}' for value in row)}]," for row in example.places.tolist()]
        lines += ["]", f"visibility = [{', '.join(f'{value:.3f}' for value in example.visibility.tolist())}]"]
    return "\n".join(lines) + "\n"


def _example(value: object) -> Example:
    table = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    places = [_numbers("places", row, 3, -FURTHEST, FURTHEST) for row in _rows("places", table.get("places"))]
    seen = _numbers("visibility", table.get("visibility"), len(JOINTS), 0.0, 1.0)
    return Example(np.array(places, np.float64), np.array(seen, np.float64))


def _rows(entry: str, value: object) -> list[object]:
    rows = cast("list[object]", value) if isinstance(value, list) else []
    if len(rows) != len(JOINTS):
        raise ValueError(f"{entry}: expected {len(JOINTS)} rows, one for each joint")
    return rows


def _numbers(entry: str, value: object, count: int, low: float, high: float) -> list[float]:
    found = cast("list[object]", value) if isinstance(value, list) else []
    if len(found) != count:
        raise ValueError(f"{entry}: expected {count} numbers")
    try:
        return [numbers.number(each, low, high) for each in found]
    except ValueError as error:
        raise ValueError(f"{entry}: {error}") from error
