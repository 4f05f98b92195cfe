"""Kinetics' annotation files: which seconds of which video show which class. Text in, checked rows out.

Knows no network. What an annotation file says is not trusted: ids, times and names are checked before they are used.
"""

from __future__ import annotations

import csv
import difflib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from livemove.contracts import LivemoveError
from training.data.items import as_name

CATEGORIES: dict[str, tuple[str, ...]] = {
    "dancing": (
        "belly_dancing", "breakdancing", "cheerleading", "country_line_dancing", "dancing_ballet", "dancing_charleston",
        "dancing_gangnam_style", "dancing_macarena", "jumpstyle_dancing", "krumping", "marching", "robot_dancing",
        "salsa_dancing", "swing_dancing", "tango_dancing", "tap_dancing", "zumba",
    ),
}  # fmt: skip
"""Groups of classes that can be asked for by one name."""

COLUMNS = ("label", "youtube_id", "time_start", "time_end", "split")
SPLITS = {"train": "train", "val": "valid", "valid": "valid", "validate": "valid", "validation": "valid"}
"""Kinetics' names of the splits that have labels, and ours."""
LONGEST_S = 60.0

YOUTUBE_ID = re.compile(r"[A-Za-z0-9_-]{11}")


class AnnotationError(LivemoveError):
    """An annotation file that cannot be read, or holds nothing that was asked for."""


@dataclass(frozen=True)
class Annotation:
    """Seconds start_s .. end_s of the video `id` show `style`. split "train" or "valid"."""

    split: str
    style: str
    id: str
    start_s: float
    end_s: float

    @property
    def key(self) -> str:
        return f"{self.split}/{self.style}/{self.id}"


def read_annotations(path: Path) -> tuple[list[Annotation], list[str]]:
    """(rows in file order, what was wrong with the others: "line 7: ..."). Raises AnnotationError.

    A CSV as DeepMind publishes them: label, youtube_id, time_start, time_end, split, in any order.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise AnnotationError(
                    f"{path}: no column {', '.join(missing)}; Kinetics' CSV files have {', '.join(COLUMNS)}"
                )
            rows: dict[str, Annotation] = {}
            troubles: list[str] = []
            for row in reader:
                try:
                    found = _checked(row)
                except ValueError as error:
                    troubles.append(f"line {reader.line_num}: {error}")
                    continue
                if found.key in rows:
                    troubles.append(f"line {reader.line_num}: {found.key} a second time")
                rows.setdefault(found.key, found)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise AnnotationError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return list(rows.values()), troubles


def _checked(row: dict[str, str | None]) -> Annotation:
    """Raises ValueError saying what is wrong."""
    label, video, start, end, split = (row[name] or "" for name in COLUMNS)
    if not YOUTUBE_ID.fullmatch(video):
        raise ValueError(f"{video[:40]!r} is no YouTube id")
    if split not in SPLITS:
        raise ValueError(f"split {split[:20]!r}: only {', '.join(SPLITS)} have labels")
    if not label.strip():
        raise ValueError("no label")
    try:
        start_s, end_s = float(start), float(end)
    except ValueError:
        raise ValueError(f"times {start[:20]!r}, {end[:20]!r} are no numbers") from None
    if not (math.isfinite(end_s) and 0 <= start_s < end_s <= start_s + LONGEST_S):
        raise ValueError(f"{start_s:g} s to {end_s:g} s is no stretch of up to {LONGEST_S:g} s")
    return Annotation(SPLITS[split], style_of(label), video, start_s, end_s)


def style_of(label: str) -> str:
    """A class's name as its folder is called: "salsa dancing" -> "salsa_dancing"."""
    return as_name(label.strip().lower().replace(" ", "_"))


def choose(annotations: Sequence[Annotation], categories: Sequence[str], per_class: int | None) -> list[Annotation]:
    """Those of these categories or classes ("all": every one), at most per_class of each class and split.

    Raises AnnotationError for a name that is neither.
    """
    classes = sorted({a.style for a in annotations})
    wanted: set[str] = set()
    for name in categories:
        style = style_of(name)
        if style == "all":
            wanted.update(classes)
        elif style in CATEGORIES:
            wanted.update(CATEGORIES[style])
        elif style in classes:
            wanted.add(style)
        else:
            close = difflib.get_close_matches(style, [*classes, *CATEGORIES], 3, 0.4)
            near = f"; there is {', '.join(close)}" if close else ""
            raise AnnotationError(f"no class or category {name!r} in the annotations{near}")
    counts: dict[tuple[str, str], int] = {}
    chosen: list[Annotation] = []
    for a in annotations:
        counts[a.split, a.style] = counts.get((a.split, a.style), 0) + (a.style in wanted)
        if a.style in wanted and (per_class is None or counts[a.split, a.style] <= per_class):
            chosen.append(a)
    if not chosen:
        there = f"{len(classes)} classes: {', '.join(classes[:5])} ..."
        raise AnnotationError(f"the annotations hold no clip of {', '.join(categories)}; they hold {there}")
    return chosen
