"""The options that say who plays: how many dancers, and which of those in view.

In: what was typed. Out: options of a command, and what capture is told. Knows no camera.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from livemove.cli.number_types import Whole
from livemove.controls import MAX_DANCERS

Command = TypeVar("Command", bound=Callable[..., Any])


def dancers_option(command: Command) -> Command:
    return click.option(
        "--dancers", type=Whole(1, MAX_DANCERS), default=1, show_default=True,
        help="How many dance: each of two is followed, through crossings and absences, and has features of their "
        "own; a mapping has those of the second as dancer2.NAME.",
    )(command)  # fmt: skip


def dancer_options(command: Command) -> Command:
    """--dancer and --dancers."""
    return click.option(
        "--dancer", type=click.Choice(["largest", "left", "right"]),
        help="Who plays, of several in view (largest); left and right of the image as the camera gives it. Whoever "
        "plays is followed until gone. Of two dancers: who is the first (left).",
    )(dancers_option(command))  # fmt: skip


def chosen_dancer(dancer: str | None, dancers: int) -> str:
    """What capture is told: who plays, or of two dancers who is the first."""
    return dancer or ("largest" if dancers == 1 else "left")
