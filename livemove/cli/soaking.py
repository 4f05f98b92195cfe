"""`livemove soak`: a whole performance for minutes, beside a bare JACK client."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from livemove.cli import text
from livemove.cli.number_types import Number, Whole
from livemove.cli.shared import (
    ENGINE_CHOICES,
    UserError,
    have_pose_model,
    json_option,
    model_option,
    pose_options,
    print_json,
    status_display,
    unused,
    write_report,
)
from livemove.controls import BLOCKS

if TYPE_CHECKING:
    from livemove.session.perform import Report, Status


@click.command()
@click.option("--minutes", type=Number(0.1, 1e5), default=10.0, show_default=True, help="How long it plays.")
@click.option("--faults", is_flag=True, help="End synthesis, capture and playback in turn, one every 45 seconds.")
@click.option(
    "--camera", "-c", default="demo", show_default=True, metavar="N|FILE|URL|TAKE|demo",
    help="As in perform; a video starts again at its end.",
)  # fmt: skip
@click.option("--device", "-d", metavar="N|NAME", help="As in perform.")
@click.option("--block", type=Whole(*BLOCKS), default=512, show_default=True, help="As in perform.")
@click.option("--engine", type=click.Choice(ENGINE_CHOICES), default="auto", show_default=True, help="As in perform.")
@click.option("--monitor/--no-monitor", default=None, help="As in perform.")
@click.option(
    "--out", "-o", type=click.Path(file_okay=False, path_type=Path), default=Path("soak"), show_default=True,
    metavar="DIR", help="Where soak.json and soak.png go.",
)  # fmt: skip
@model_option(several=False, layers=True)
@pose_options
@json_option
def soak(
    minutes: float, faults: bool, monitor: bool | None, out: Path, model: str, as_json: bool, **options: Any
) -> None:
    """Play for minutes, and tell whether sound, memory and latency held: report and plot. Exit code 1: they did not.

    Beside it runs a bare JACK client, compiled on the spot where a C compiler and JACK are: an underrun while that
    client was late, too, is the machine's. Without it (another sound server, no compiler) the report says so, and every
    underrun counts. `livemove bench --soak` holds the engines alone.

    \b
    livemove soak --minutes 30 --camera dance.mp4 --monitor
    livemove soak --minutes 10 --faults
    """
    from livemove.cli.layers import dancers_of, read_layers
    from livemove.contracts import MissingDeviceError, OutputError
    from livemove.diagnostics import performance_soak, performance_soak_plot
    from livemove.monitor.monitor_config import has_display
    from livemove.session.perform import SessionConfig, run_session

    performance_soak_plot.check_plots()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: cannot be made: {error.strerror}") from error
    layers = read_layers(model, lambda line: click.echo(line, err=True))
    config = SessionConfig.of(
        model=layers[0].model, layers=(layers,), dancers=dancers_of([layers], 1), loop=True, duration_s=60 * minutes,
        monitor=has_display() if monitor is None else monitor, **options,
    )  # fmt: skip
    have_pose_model(config.capture)

    def play(see: Callable[[performance_soak.Seen], None]) -> Report:
        with status_display("+".join(layer.model.name for layer in layers)) as show:

            def on_status(status: Status) -> None:
                see(status)
                show(status)

            return run_session(config, on_status)

    try:
        result, traces, session = performance_soak.run(play, minutes, faults)
    except MissingDeviceError as error:
        raise UserError(f"{error}: a soak test needs a device that asks for sound") from error
    report, plot = unused(out / "soak.json"), unused(out / "soak.png")
    write_report(report, performance_soak.written(result, dict(session)))
    performance_soak_plot.draw(plot, result, traces)
    if as_json:
        print_json(result.as_json())
    else:
        for line in text.performance_soak(result, report, plot):
            click.echo(line)
    click.get_current_context().exit(bool(result.wrong()))
