"""`livemove features`: what of the body can play a channel, and what it does right now."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from livemove.cli import feature_text
from livemove.cli.number_types import DURATION
from livemove.cli.shared import (
    have_pose_model,
    json_option,
    mirrored_option,
    pose_options,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from livemove.diagnostics.feature_view import FeatureReading


@click.command()
@click.option(
    "--camera", "-c", metavar="N|FILE|URL|TAKE|demo", help="Show them live, as they are of whoever stands before it."
)
@click.option("--loop", is_flag=True, help="Start a video file again at its end.")
@mirrored_option
@pose_options
@click.option("--duration", type=DURATION, metavar="SECONDS", help="With --camera: stop after that.")
@json_option
def features(camera: str | None, duration: float | None, as_json: bool, **options: Any) -> None:
    """List the body features that a mapping can use as a source: name, range, meaning.

    With a camera, live: bars on a terminal, below them the postures that `livemove teach` was shown; into a pipe or a
    file a header and a line of numbers for each pose, between tabs; with --json an object for each pose, one a line,
    postures too. Dim bars are held or ease to rest: that limb is not seen.
    Ctrl-C ends it.

    \b
    livemove features
    livemove features --camera 0
    livemove features -c dance.mp4 > dance.tsv
    livemove features -c 0 --json | my-program
    """
    from livemove.body.features import TABLE
    from livemove.capture.capture_config import CaptureConfig

    if camera is None:
        for name, value in (("--loop", options["loop"]), ("--duration", duration)):
            if value:
                raise click.UsageError(f"{name} goes with --camera")
        if as_json:
            print_json(feature_text.described(TABLE))
            return
        print_table(feature_text.table(TABLE))
        click.echo(feature_text.FURTHER, err=True)
        return
    config = CaptureConfig(camera=camera, **options)
    have_pose_model(config)
    _show(config, duration, as_json)


def _show(config: Any, duration_s: float | None, as_json: bool) -> None:
    """Live; config: a CaptureConfig."""
    from rich.console import Console

    from livemove.body.features import TABLE
    from livemove.body.posture_files import taught_in
    from livemove.control.user_files import postures_folder
    from livemove.diagnostics.feature_view import watch_features

    taught = taught_in(postures_folder()).postures
    console = Console(highlight=False)
    if as_json or not console.is_terminal:
        begun = as_json  # the header stands above the first pose: a camera that gives none leaves nothing behind

        def write(reading: FeatureReading) -> None:
            nonlocal begun
            if not begun:
                begun = True
                click.echo(feature_text.header(TABLE))
            if reading.new:
                click.echo(json.dumps(feature_text.as_json(reading)) if as_json else feature_text.line(reading))

        watch_features(config, write, duration_s, taught=taught)
        return
    from rich.live import Live
    from rich.text import Text

    with Live(Text("starting …"), console=console, refresh_per_second=12, transient=True) as live:

        def update(reading: FeatureReading) -> None:
            size = console.size
            bars = feature_text.bars(TABLE, reading, size.width, size.height)
            live.update(Text.from_markup(bars, overflow="crop"))

        watch_features(config, update, duration_s, taught=taught)
