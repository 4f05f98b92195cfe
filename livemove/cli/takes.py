"""Videos and takes: `livemove record`, `livemove render`, `livemove replay`."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from livemove.cli import text
from livemove.cli.dancer_options import dancers_option
from livemove.cli.number_types import DURATION, Number, Whole
from livemove.cli.shared import (
    ENGINE_CHOICES,
    PLAIN_STATUS_S,
    UserError,
    camera_window_option,
    check_report,
    has_window,
    have_pose_model,
    instrument_options,
    mirrored_option,
    model_option,
    progress,
    status_display,
    stderr_console,
    unused,
    write_report,
)
from livemove.synthesis.synthesis_config import PROVIDERS

if TYPE_CHECKING:
    from livemove.offline.render import Progress
    from livemove.session.record import Progress as Take


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--camera",
    "-c",
    default="0",
    show_default=True,
    metavar="N|URL|FILE",
    help="Webcam by number, an http or rtsp address, or a video file at its own pace.",
)
@mirrored_option
@click.option(
    "--sound",
    "-s",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Play this (WAV, FLAC, Ogg, MP3, a video's sound ...); the take lasts as long.",
)
@click.option(
    "--mic", is_flag=True, help="Record voice or instrument; with --sound (on headphones), the microphone is kept."
)
@click.option("--name", metavar="TAKE", help="The take becomes FOLDER/TAKE.mp4; without it, date and time.")
@click.option(
    "--count-in",
    "count_in_s",
    type=Whole(0, 60),
    default=0,
    show_default=True,
    metavar="SECONDS",
    help="Time to get into place, one beep a second.",
)
@click.option(
    "--duration",
    "duration_s",
    type=DURATION,
    metavar="SECONDS",
    help="End the take after that.",
)
@click.option(
    "--device", "-d", metavar="N|NAME", help="Audio device to play on: number or part of its name (`livemove devices`)."
)
@click.option("--input-device", metavar="N|NAME", help="What --mic records from (`livemove devices --input`).")
@click.option(
    "--camera-delay",
    type=Number(0, 1000),
    metavar="MS",
    help="How long a frame takes from the camera to the computer; without it, what claps told (see above), or 0.",
)
@camera_window_option
def record(camera_delay: float | None, monitor: bool | None, **options: Any) -> None:
    """Record yourself on video while you move to a sound, both on one clock, as a take in FOLDER to train on.

    Video and sound are in FOLDER/TAKE.mp4 (H.264 and FLAC), never mirrored: a camera that mirrors needs --mirrored.
    What you heard and what the camera saw at one moment have one time in it. Where there is a display, a window shows
    what the camera sees, so that you know whether you are in the frame. Ctrl-C ends a take and keeps it; after a
    crash all but its last two seconds can be read. Nothing is ever overwritten. Then: `livemove learn FOLDER`.

    A camera's own delay (mostly 20 to 80 ms) cannot be known from here. `livemove latency --clap` measures it, and it
    is taken off from then on.

    \b
    livemove record --sound song.wav takes/                      dance to a song
    livemove record --sound song.wav --count-in 5 takes/         with time to get into place
    livemove record --mic --duration 60 takes/                   sing or play while you move
    livemove record --mic --sound beat.mp3 takes/                the same, to a beat on headphones
    livemove record --camera http://phone:8080/video --sound song.wav --camera-delay 120 takes/
    """
    from livemove.control.delays import camera_delay_ms
    from livemove.session.record import RecordConfig
    from livemove.session.record import record as record_take

    delay_ms = camera_delay_ms(options["camera"]) or 0.0 if camera_delay is None else camera_delay
    config = RecordConfig(camera_delay_s=delay_ms / 1000, monitor=has_window(monitor), **options)
    if config.sound is None and not config.mic:
        raise UserError("nothing to record: give --sound FILE to move to, or --mic to record what you sing or play")
    with take_display() as on_progress:
        report = record_take(config, on_progress)
    click.echo(text.recorded(report), err=True)


@contextlib.contextmanager
def take_display() -> Generator[Callable[[Take], None]]:
    """A live line on a terminal; elsewhere the same line every few seconds, and what there is to notice."""
    console = stderr_console()
    if console.is_terminal:
        from rich.live import Live
        from rich.text import Text

        with Live(Text("starting …"), console=console, refresh_per_second=8, transient=True) as live:

            def update(take: Take) -> None:
                if take.notice:
                    live.console.print(take.notice, markup=False)
                live.update(Text.from_markup(text.take_line(take)))

            yield update
        return
    last_s = -math.inf

    def show(take: Take) -> None:
        nonlocal last_s
        if take.notice:
            console.print(take.notice, markup=False, soft_wrap=True)
        if take.phase != "starting" and take.seconds - last_s >= PLAIN_STATUS_S:
            last_s = take.seconds
            console.print(text.take_line(take), soft_wrap=True)

    yield show


@click.command()
@click.argument("clip", type=click.Path(path_type=Path))
@click.option(
    "--output",
    "-o",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE.wav|FILE.mp4",
    help="WAV: the sound. mp4: the video with that sound. A file that is there is never overwritten: NAME-002.mp4.",
)
@click.option("--duration", type=DURATION, metavar="SECONDS", help="Only the clip's first seconds.")
@click.option("--dry", is_flag=True, help="Without delay and reverb, whatever the mapping plays of them.")
@mirrored_option
@dancers_option
@model_option(several=False, layers=True)
@instrument_options
def render(report: Path | None, model: str, style: str | None, duration: float | None, **options: Any) -> None:
    """Let the dancer in CLIP play the instrument; as fast as the machine can, the same file for the same seed.

    \b
    livemove render dance.mp4 -o dance-played.mp4        the video with its new sound
    livemove render dance.mp4 -o dance.wav --pose lite   the sound alone, quicker
    livemove render dance.mp4 -o b.wav --seed 2          another take
    livemove render dance.mp4 -o d.wav --reverb 0.3      in a space, in stereo; --dry leaves out what the mapping plays
    livemove render dance.mp4 -o c.wav -m cello:pan=-0.3+bodydrum   two layers; stereo, as one is panned
    livemove render take-20260131-203000 -o take.mp4     a take: the dancer drawn in light, under what was played
    """
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as ProgressBar

    from livemove.capture.capture_config import CaptureConfig
    from livemove.cli.layers import beyond_reach, dancers_of, for_dancers, read_layers
    from livemove.cli.models import chosen_styles
    from livemove.control.user_files import postures_folder
    from livemove.offline.render import RenderConfig
    from livemove.offline.render import render as render_clip
    from livemove.takes.folder import is_take

    report, options["output"] = check_report(report), unused(options["output"])
    if is_take(options["clip"]):
        _take_video(options["clip"], options["output"], report)
        return
    read = read_layers(model, lambda line: click.echo(line, err=True), options["mapping"])
    layers = for_dancers(read, options["dancers"])
    options["dancers"] = dancers_of([layers], options["dancers"])
    for line in beyond_reach(layers):
        click.echo(line, err=True)
    chosen, weights = chosen_styles(style, layers[0].model)
    config = RenderConfig(
        model=layers[0].model, layers=layers, style=chosen, styles=weights, duration_s=duration,
        postures=postures_folder(), **options,
    )  # fmt: skip
    have_pose_model(CaptureConfig(camera=str(config.clip), pose=config.pose, pose_model=config.pose_model))
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with ProgressBar(*columns, console=stderr_console(), transient=True) as bar:
        task = bar.add_task("sound")

        def show(progress: Progress) -> None:
            bar.update(task, description=progress.stage, completed=progress.done_s, total=progress.total_s)

        result = render_clip(config, show)
    write_report(report, result)
    for line in (*result["notices"], *text.fired(result["triggers"])):
        click.echo(line, err=True)
    click.echo(text.rendered(result), err=True)


def _take_video(folder: Path, output: Path, report: Path | None) -> None:
    from livemove.contracts import OutputError
    from livemove.offline.render import check_output
    from livemove.offline.take_video import write_take_video
    from livemove.takes.reading import load_take

    if output.suffix.lower() != ".mp4":
        raise OutputError(f"{output}: a take becomes an mp4; its sound is {folder / 'take.wav'} already")
    check_output(output)
    take = load_take(folder)
    _say_unfinished(folder)
    with progress("video") as show:
        write_take_video(take, output, lambda done_s: show(done_s, take.seconds))
    write_report(report, {"take": str(folder), "output": str(output), "seconds": take.seconds})
    click.echo(f"{output}: {take.seconds:.1f} s", err=True)


def _say_unfinished(folder: Path) -> None:
    from livemove.takes.folder import unfinished

    if line := unfinished(folder):
        click.echo(line, err=True)


@click.command()
@click.argument("take", type=click.Path(path_type=Path))
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), metavar="FILE.wav", help="Into a file, as fast as it goes."
)
@click.option("--model", "-m", metavar="NAME|DIR", help="Another instrument than the one that played.")
@click.option("--engine", type=click.Choice(ENGINE_CHOICES), help="Another engine than the one that played.")
@click.option("--provider", type=click.Choice(tuple(PROVIDERS)), default="cpu", help="What the onnx engine runs on.")
@click.option("--mapping", type=click.Path(path_type=Path), metavar="FILE", help="Another mapping than the take's.")
@click.option("--device", "-d", metavar="N|NAME", help="Audio device, when played live.")
@click.option("--loop", is_flag=True, help="Again and again, when played live.")
@click.option("--dry", is_flag=True, help="With --output: without delay and reverb, to be mixed elsewhere.")
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write what happened as JSON ('-': to standard output).",
)
def replay(
    take: Path, output: Path | None, report: Path | None, device: str | None, loop: bool, **options: Any
) -> None:
    """Play a take again: live, its movement in place of the camera; with --output, the same sound to the bit.

    With another model, engine or mapping it is the movement that is played, and the hands at the controls.

    \b
    livemove replay take-20260131-203000                       live, to the audio device
    livemove replay take-20260131-203000 -m mine               live, through another model
    livemove replay take-20260131-203000 -o again.wav          bit by bit what was played; says so, or why not
    livemove replay take-20260131-203000 -m mine -o mine.wav   its movement, through another model
    livemove replay take-20260131-203000 --dry -o dry.wav      what was played, without delay and reverb
    """
    from livemove.offline.replay import ReplayConfig, live_choice
    from livemove.offline.replay import replay as replay_take

    report, output = check_report(report), unused(output)
    model = options.pop("model")
    _say_unfinished(take)
    if output is not None:
        config = ReplayConfig(take, output, model, **options)
        with progress("sound") as show:
            done = replay_take(config, show)
        write_report(report, done)
        click.echo(text.replayed(done), err=True)
        return
    from livemove.contracts import DeviceError
    from livemove.diagnostics.doctor import whatever_is_missing
    from livemove.monitor.monitor_config import has_display
    from livemove.session.perform import SessionConfig, run_session

    layers, seed, dancers = live_choice(take, model, options.pop("mapping"))
    live = SessionConfig.of(
        model=layers[0].model, layers=(layers,), dancers=dancers, seed=seed, camera=str(take), loop=loop, device=device,
        monitor=has_display(), engine=options["engine"] or "auto", provider=options["provider"],
    )  # fmt: skip
    try:
        with status_display("+".join(layer.model.name for layer in layers)) as on_status:
            result = run_session(live, on_status)
    except DeviceError as error:
        raise UserError(*whatever_is_missing(live.capture.camera, device, None, error)) from error
    write_report(report, result)
    for line in text.summary(result, None):
        click.echo(line, err=True)
