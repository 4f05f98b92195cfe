"""Before playing: `livemove calibrate`, which fits a mapping to a body."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from livemove.cli import text
from livemove.cli.number_types import DURATION
from livemove.cli.shared import (
    camera_window_option,
    given,
    has_window,
    have_pose_model,
    json_option,
    mirrored_option,
    model_option,
    pose_options,
    print_json,
    print_table,
    stderr_console,
)

if TYPE_CHECKING:
    from livemove.session.calibrate import Progress as Calibrating


@click.command()
@click.option("--camera", "-c", default="0", show_default=True, metavar="N|URL|FILE|TAKE|demo", help="As in perform.")
@click.option("--mirror", is_flag=True, help="As in perform.")
@mirrored_option
@click.option(
    "--preset",
    "-p",
    metavar="NAME|FILE",
    help="For this preset: its model and mapping; the fitted one is kept with it.",
)
@model_option(several=False)
@click.option(
    "--mapping",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The mapping to fit, if not the model's own; it stays as it is.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    metavar="FILE.toml",
    help="Where the fitted mapping goes; without it and --preset, among your settings.",
)
@pose_options
@click.option(
    "--duration",
    "duration_s",
    type=DURATION,
    metavar="SECONDS",
    help="How long all steps together take (20), or how much of a video is watched (all of it).",
)
@camera_window_option
@json_option
@click.pass_context
def calibrate(
    context: click.Context,
    preset: str | None,
    model: str,
    output: Path | None,
    monitor: bool | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Fit the mapping to your body, your room and your camera: 20 seconds of moving as the screen says.

    Stand still, arms up, down, wide, crouch, then move as you will on stage. What you reach in these seconds is the
    whole range of every channel from then on: `livemove perform` takes the fitted mapping by itself. What you do not
    move keeps the range it had. Ctrl-C changes nothing.
    A video, a take or the demo is watched as it is. Where there is a display, a window shows what the camera sees, and
    what to do.

    \b
    livemove calibrate                                  webcam, the theremin
    livemove calibrate --preset soft                    for this preset, and kept with it
    livemove calibrate -m mine --mapping my.toml -o me.toml
    livemove calibrate --camera rehearsal.mp4           from a video of you
    livemove calibrate --duration 40                    with more time for each step
    """
    import shlex

    from livemove.capture.capture_config import CaptureConfig
    from livemove.cli.layers import only_model
    from livemove.cli.models import model_name
    from livemove.contracts import ControlError
    from livemove.control.presets import fitted_mapping, keep_fitted_mapping, one_preset
    from livemove.control.user_files import fitted_file
    from livemove.session import calibrate

    file = None
    if preset is not None:
        if given(context, "model") or output is not None:
            raise ControlError("a preset names its model and keeps its mapping: leave out --model and --output")
        file, kept = one_preset(preset)
        model = kept.model
        if not given(context, "camera") and kept.devices.camera is not None:
            options["camera"] = kept.devices.camera
        if not given(context, "mirror") and kept.devices.mirror is not None:
            options["mirror"] = kept.devices.mirror
        options["mapping"] = options["mapping"] or (Path(kept.mapping) if kept.mapping else None)
    config = calibrate.CalibrationConfig(model=only_model(model), monitor=has_window(monitor), **options)
    written = output or fitted_file(config.model.name)
    written = written if file is None else fitted_mapping(file)
    calibrate.check_place(written)
    have_pose_model(CaptureConfig(camera=config.camera, pose=config.pose, pose_model=config.pose_model))
    with _calibration_display() as on_progress:
        done = calibrate.calibrate(config, on_progress)
    play = [
        "livemove",
        "perform",
        "--camera",
        config.camera,
        *(["--mirror"] if config.mirror else []),
        *(["--mirrored"] if config.mirrored else []),
    ]
    if file is None:
        calibrate.keep_mapping(written, done.text)
        play += ["--model", model_name(config.model), "--mapping", str(written)]
    else:
        keep_fitted_mapping(file, done.text)
        play += ["--preset", str(preset)]
    if as_json:
        print_json(calibrate.report(done, written, play))
        return
    print_table(text.calibrated(done.channels))
    click.echo(f"kept: {written}\nplay with it: {shlex.join(play)}")


@contextlib.contextmanager
def _calibration_display() -> Generator[Callable[[Calibrating], None]]:
    """On a terminal big letters, and a bell at each step for who looks elsewhere; without one a line for each step."""
    console = stderr_console()
    last: Any = None

    def is_new(now: Calibrating) -> bool:
        """Whether it is another step."""
        nonlocal last
        before, last = last, (now.phase, now.step)
        return before != last

    if console.is_terminal:
        from rich.live import Live
        from rich.text import Text

        with Live(Text("starting …"), console=console, refresh_per_second=10, transient=True) as live:

            def update(now: Calibrating) -> None:
                if now.notice:
                    live.console.print(now.notice, markup=False)
                if is_new(now) and now.phase == "moving":
                    live.console.bell()
                live.update(Text.from_markup(text.calibration(now, live.console.width)))

            yield update
        return

    def show(now: Calibrating) -> None:
        if now.notice:
            console.print(now.notice, markup=False, soft_wrap=True)
        if is_new(now):
            console.print(text.calibration_line(now), soft_wrap=True)

    yield show
