"""Numbers as options: the gate of livemove/numbers.py as types of click, whose own FloatRange lets nan and inf through.

In: text as typed. Out: a finite number within limits, or click's complaint. Every numeric option uses one of these.
"""

from __future__ import annotations

from typing import Any

import click

from livemove import numbers


class Number(click.FloatRange):
    """A finite number within limits; what is below float32's smallest counts as 0."""

    def __init__(self, low: float = -numbers.LARGEST, high: float = numbers.LARGEST, above: bool = False) -> None:
        """above: low itself is not within."""
        super().__init__(low, high, min_open=above)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            found = numbers.of_text(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return float(super().convert(found, param, ctx))


class Whole(click.IntRange):
    """A whole number within limits."""

    def __init__(self, low: int = -(2**63), high: int = 2**63 - 1) -> None:
        super().__init__(low, high)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            found = value if isinstance(value, int) else int(str(value))
        except ValueError:
            self.fail(f"{numbers.shown(value)} is not a whole number", param, ctx)
        if not -(2**63) <= found < 2**63:
            self.fail(f"{numbers.shown(found)} is more than anybody counts", param, ctx)
        return int(super().convert(found, param, ctx))


DURATION = Number(0, 1e7, above=True)
"""In seconds: up to 115 days."""
