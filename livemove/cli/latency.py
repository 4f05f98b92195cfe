"""`livemove latency`: how late a take's sound followed the body."""

from __future__ import annotations

from pathlib import Path

import click

from livemove.cli import text
from livemove.cli.number_types import Number
from livemove.cli.shared import print_json


@click.command()
@click.argument("take", type=click.Path(path_type=Path))
@click.option(
    "--camera-delay",
    "camera_delay_ms",
    type=Number(0, 1000),
    metavar="MS",
    help="The camera's own delay, if you measured it (`livemove record --help`): counted in.",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE.png", help="Draw movement and sound.")
def latency(take: Path, camera_delay_ms: float | None, as_json: bool, plot: Path | None) -> None:
    """Measure how late the sound of a take followed the body, and what that lag is made of.

    The lag is the delay at which the landmarks, as they were captured, and the pitch, as it was played, agree best;
    again for every six seconds. Its parts add up to it. Besides: how much the pitch trembles while the hand is still,
    how far it goes on when the hand stops, and whether it ripples at the camera's rate.

    \b
    livemove perform --record --duration 40      move a hand up and down while it plays
    livemove latency take-20260131-203000        the lag and its parts
    livemove latency take-20260131-203000 --json --plot lag.png
    """
    from livemove.diagnostics.latency import as_json as rounded
    from livemove.diagnostics.latency import measure
    from livemove.takes.reading import load_take

    report, traces = measure(load_take(take), camera_delay_ms)
    if plot is not None:
        from livemove.diagnostics.latency_plot import draw

        draw(plot, report, traces)
    if as_json:
        print_json(rounded(report))
        return
    for line in text.lag(report):
        click.echo(line)
