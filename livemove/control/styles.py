"""Styles as somebody writes them, NAME, N or NAME=0.5,NAME=0.5 -> what Controls has; and back.

In: a text, the names of a model's styles. Out: numbers. Knows no model and no file.
"""

from __future__ import annotations

from collections.abc import Sequence

from livemove import numbers
from livemove.contracts import MAX_BLEND, ControlError

Chosen = tuple[int, tuple[float, ...]]
"""Controls.style and Controls.styles."""


def read_styles(text: str, names: Sequence[str]) -> Chosen:
    """ "cello", "2" (numbers from 0) or "cello=0.5,flute=0.5", whose weights come out with sum 1.

    Raises ControlError: a style that the model does not have, a weight that is no number, not finite or below 0,
    weights that are all 0.
    """
    if "=" not in text:
        return place(text, names), ()
    if not 1 < len(names) <= MAX_BLEND:
        there = f"one of its {len(names)} styles can play at a time" if names else "no styles"
        raise ControlError(f"nothing to blend: {there}")
    weights = [0.0] * len(names)
    given: set[int] = set()
    for part in text.split(","):
        name, _, amount = (each.strip() for each in part.partition("="))
        index = place(name, names)
        if index in given:
            raise ControlError(f"{name} stands there twice")
        given.add(index)
        weights[index] = weight(amount)
    total = sum(weights)
    if total <= 0.0:
        raise ControlError("at least one weight must be above 0")
    weights = [each / total for each in weights]
    return max(range(len(weights)), key=weights.__getitem__), tuple(weights)


def place(name: str, names: Sequence[str]) -> int:
    """A style's index from its name or number. Raises ControlError that lists the styles."""
    if name in names:
        return names.index(name)
    index = numbers.place(name)
    if index is not None and 0 <= index < max(len(names), 1):
        return index
    raise ControlError(f"no style {numbers.shown(name)}; there are {', '.join(names)}" if names else "no styles")


def weight(text: str) -> float:
    """A finite number from 0 on. Raises ControlError."""
    try:
        return numbers.number(numbers.of_text(text), 0.0)
    except ValueError as error:
        raise ControlError(f"a weight: {error}; write a number from 0 on, as in cello=0.5,flute=0.5") from None


def written_styles(style: int, styles: Sequence[float], names: Sequence[str]) -> str:
    """The text that `read_styles` reads as these; "" for the first style. Without names it has numbers."""

    def name(index: int) -> str:
        return names[index] if index < len(names) else str(index)

    if any(styles):
        return ",".join(f"{name(i)}={round(each, 4):g}" for i, each in enumerate(styles) if round(each, 4) > 0)
    return name(style) if style else ""
