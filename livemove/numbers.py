"""The gate where numbers enter: each is finite, within its limits and of its kind, whoever it comes from.

In: a value as TOML, JSON, OSC, an option or a file of rows gave it. Out: a number that arithmetic may have, or a
ValueError that says what is wrong. Knows no file, protocol or terminal; the last gate is the callback's.
"""

from __future__ import annotations

import math
import re

SMALLEST = 1.2e-38
"""Below this, float32 (which engines and callback work in) has only denormals: it counts as 0, as -0.0 does."""

LARGEST = 3.0e38
"""Beyond this, float32 has only infinity."""


def number(value: object, low: float = -LARGEST, high: float = LARGEST) -> float:
    """A finite number within low..high, as a float. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{shown(value)} is not a number")
    try:
        found = float(value)
    except OverflowError:
        found = math.inf if value > 0 else -math.inf
    if not math.isfinite(found):
        raise ValueError(f"{shown(value)} is not a finite number")
    if not low <= found <= high:
        raise ValueError(f"{shown(value)} is outside {low:g}..{high:g}")
    return 0.0 if abs(found) < SMALLEST else found


def whole(value: object, low: int, high: int) -> int:
    """A whole number within low..high; 3.0 is none. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{shown(value)} is not a whole number")
    if not low <= value <= high:
        raise ValueError(f"{shown(value)} is outside {low}..{high}")
    return value


def maybe(value: object) -> float | None:
    """`number`, or None: for what comes unasked (OSC), where a truth value counts as 1 or 0."""
    try:
        return number(float(value) if isinstance(value, bool) else value)
    except ValueError:
        return None


def of_text(text: str) -> float:
    """The finite number that somebody typed. Raises ValueError."""
    try:
        found = float(text)
    except ValueError:
        raise ValueError(f"{shown(text)} is not a number") from None
    return number(found)


def place(text: str) -> int | None:
    """The whole number that this text is, of up to nine digits (Arabic ones: Python takes many more); None: it is
    none."""
    return int(text) if re.fullmatch(r"-?[0-9]{1,9}", text) else None


def shown(value: object) -> str:
    """For a message: at most 40 characters, also of a number with thousands of digits."""
    if isinstance(value, int) and abs(value) >= 10**40:
        return f"a whole number of {int(value.bit_length() * math.log10(2)) + 1} digits"
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
