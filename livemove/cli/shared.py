"""What the commands share: options, how things are shown while they run and when they are done, what cannot be mended.

Loads nothing heavy, and rich only to show something.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from livemove.capture.runtimes import POSE_RUNTIMES
from livemove.cli import text
from livemove.cli.number_types import Number, Whole
from livemove.cli.streams import lasting
from livemove.controls import CONTROLS, GAIN_FACTORS, MAX_LAYERS
from livemove.printable import printable_content
from livemove.synthesis.synthesis_config import ENGINES, PROVIDERS

if TYPE_CHECKING:
    from rich.console import Console

    from livemove.capture.capture_config import CaptureConfig
    from livemove.session.perform import Status

PLAIN_STATUS_S = 5.0
"""How often a command says where it is when nobody watches a terminal."""

ENGINE_CHOICES = ("auto", *ENGINES)

Command = TypeVar("Command", bound=Callable[..., Any])


class UserError(click.ClickException):
    """Something the user can put right (a typing error, a missing camera): one line each, exit code 2."""

    exit_code = 2

    def __init__(self, *troubles: str) -> None:
        super().__init__("; ".join(troubles))
        self.troubles = troubles

    def show(self, file: Any = None) -> None:
        for trouble in self.troubles:
            click.echo(f"livemove: {' '.join(trouble.split())}", err=True)


# --- options ------------------------------------------------------------------------------------------------


def pose_model_options(command: Command) -> Command:
    """Which networks see the body."""
    path = click.option("--pose-model", type=click.Path(path_type=Path), metavar="FILE",
                        help="Pose model file (.task) to use instead of the one fetched at first use.")  # fmt: skip
    kind = click.option("--pose", type=click.Choice(["full", "lite"]), default="full", show_default=True,
                        help="MediaPipe's pose model: full sees more exactly, lite is faster.")  # fmt: skip
    return kind(path(command))


def mirrored_option(command: Command) -> Command:
    """For videos whose mirroring is stored."""
    return click.option(
        "--mirrored", is_flag=True,
        help="The camera or video shows you mirrored already, as selfie videos do: left and right are put back.",
    )(command)  # fmt: skip


def camera_window_option(command: Command) -> Command:
    """For who must see whether all of the body is in the frame."""
    return click.option(
        "--monitor/--no-monitor", default=None,
        help="A window with what the camera sees, as in a mirror; without either, one opens where there is a display.",
    )(command)  # fmt: skip


def has_window(monitor: bool | None) -> bool:
    """Whether --monitor, or else the machine, has a window."""
    from livemove.monitor.monitor_config import has_display

    return has_display() if monitor is None else monitor


def pose_options(command: Command) -> Command:
    """How the body is seen: the same wherever a camera is looked through."""
    runtime = click.option("--pose-runtime", type=click.Choice(("auto", *POSE_RUNTIMES)), default="auto",
                           show_default=True,
                           help="What computes it: MediaPipe itself, or LiteRT, faster, on all cores that are free. "
                                "auto: LiteRT where it is installed.")  # fmt: skip
    return pose_model_options(runtime(command))


def instrument_options(command: Command) -> Command:
    """Options about what plays: the same in perform and render, but for the model: perform may load several."""
    options = [
        click.option("--engine", type=click.Choice(ENGINE_CHOICES), default="auto",
                     show_default=True, help="What computes the sound. auto: the fastest that passes its test."),
        click.option("--provider", type=click.Choice(tuple(PROVIDERS)), default="cpu",
                     show_default=True, help="What the onnx engine runs on; README says how to install the others."),
        pose_options,
        click.option("--mapping", type=click.Path(path_type=Path), metavar="FILE",
                     help="Your own mapping.toml: which part of the body plays what, alone or in expressions: "
                     "source = 'max(left_hand_height, right_hand_height)' (livemove/control/README.md)."),
        click.option(
            "--style", default=None, metavar="NAME|N|NAME=W,...",
            help="Style, for models that have some, or a blend: cello=0.5,flute=0.5.",
        ),
        click.option("--temperature", type=Number(*CONTROLS["temperature"].limits), default=1.0,
                     show_default=True,
                     help="How freely the network chooses: above 1 wilder, below 1 calmer."),
        click.option("--gain", type=Number(*GAIN_FACTORS), default=1.0, show_default=True,
                     help="Loudness as a factor: 0.5 is half, 2 double; a limiter holds peaks below -1 dB."),
        click.option("--reverb", type=Number(*CONTROLS["reverb"].limits), default=0.0, show_default=True,
                     metavar="SEND", help="How much of the sound goes to the reverb, up to 1; 0: dry."),
        click.option("--delay", type=Number(*CONTROLS["delay"].limits), default=0.0, show_default=True,
                     metavar="SEND", help="How much of it goes to the delay."),
        click.option("--seed", type=Whole(0), default=0, show_default=True,
                     help="The same number, the same random choices of the network."),
        click.option("--report", type=click.Path(path_type=Path), metavar="FILE",
                     help="Write what happened as JSON ('-': to standard output)."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def model_option(several: bool, layers: bool = False) -> Callable[[Command], Command]:
    more = " Several times: all are loaded, to switch between while playing." if several else ""
    if layers:
        more += (
            f" Up to {MAX_LAYERS} play at once as layers, NAME+NAME, each as "
            "NAME:gain=-6,pan=-0.5,octave=-1,transpose=7,note=A2,mapping=FILE: gain in dB, pan from -1 (left) to 1, "
            "transpose in semitones; with note it is a drone, whose pitch stays there. NAME:chord=0/4/7/C2 is a chord "
            "over a drone, each note a layer."
        )
    return click.option(
        "--model", "-m", "models" if several else "model", multiple=several, show_default=True, metavar="NAME|DIR",
        default=("theremin",) if several else "theremin",
        help=f"The instrument: a name from `livemove models`, or a folder.{more}",
    )  # fmt: skip


def have_pose_model(config: CaptureConfig) -> None:
    """Fetch the pose model where one can see it come, if it is needed and not there yet."""
    from livemove.capture.posemodel import MODELS, cache_folder, find_pose_model

    kind = config.pose
    if (
        config.kind in ("demo", "take")
        or config.pose_model is not None
        or (cache_folder() / MODELS[kind].file).exists()
    ):
        return
    from rich.progress import BarColumn, DownloadColumn, TextColumn
    from rich.progress import Progress as ProgressBar

    from livemove.capture.cameras import check_camera

    if not config.patient:
        check_camera(config)  # no use in fetching it for a camera that is not there
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with ProgressBar(*columns, console=stderr_console(), transient=True) as bar:
        task = bar.add_task(f"pose model ({kind}), once", total=None)
        find_pose_model(kind, None, lambda done, total: bar.update(task, completed=done, total=total or None))


OTHER_NAMES = "livemove.other_names"
"""In the context of a command: lines about files that got another name than asked for."""

Given = TypeVar("Given", Path, Path | None)


def unused(path: Given) -> Given:
    """The rule of all commands: a file that is there is never overwritten. Of its name the next free one is written,
    name-002.ext after name.ext, name-005.ext after name-004.ext, and a line says so once the command has done it."""
    if path is None or not path.is_file():  # standard output, a device, or nothing yet
        return path
    name, dash, number = path.stem.rpartition("-")
    counted = bool(dash) and len(number) == 3 and number.isdecimal()
    stem, first = (name, int(number) + 1) if counted else (path.stem, 2)
    others = (path.with_name(f"{stem}-{each:03d}{path.suffix}") for each in itertools.count(first))
    free = next(each for each in others if not each.exists())
    context = click.get_current_context()
    context.meta.setdefault(OTHER_NAMES, []).append(f"{path} was there already: {free} is written")
    return free


def check_report(report: Path | None) -> Path | None:
    """Find out before the show, not after it, that the report cannot be written; where it goes."""
    if report is None or str(report) == "-":
        return report
    report = unused(report)
    there = report.exists()
    write_text(report, "", "a")
    if not there:
        report.unlink(missing_ok=True)
    return report


def write_report(report: Path | None, content: Any) -> None:
    text = json.dumps(printable_content(content), indent=1)
    if report is None:
        return
    if str(report) == "-":
        click.echo(text)
    else:
        write_text(report, text + "\n")


def write_text(path: Path, text: str, mode: str = "w") -> None:
    try:
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        from livemove.contracts import OutputError

        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def stderr_console() -> Console:
    """For what is worth seeing but not the result: standard error.

    On a descriptor of its own: the pose model's library is noisy, and while it is hushed, so is descriptor 2.
    """
    from rich.console import Console

    return Console(file=lasting(os.dup(2), close=True), highlight=False)


def json_option(command: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="JSON on standard output.")(command)


def print_json(content: Any) -> None:
    click.echo(json.dumps(printable_content(content), indent=1))


def print_table(content: text.Table) -> None:
    """Folded to the width of a terminal; into a pipe or a file a line for each row, as wide as it is."""
    from rich import box
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table as RichTable

    table = RichTable(box=box.SIMPLE, pad_edge=False)
    for column in content.columns:
        table.add_column(column.rstrip(">"), justify="right" if column.endswith(">") else "left", overflow="fold")
    for row in content.rows:
        table.add_row(*row)
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(table)
        return
    console.width = 10_000  # wide enough for any row; then as wide as they are
    console.width = max(Measurement.get(console, console.options, table).maximum, 1)
    with console.capture() as written:
        console.print(table)
    click.echo("\n".join(line for each in written.get().splitlines() if (line := each.rstrip())))


@contextlib.contextmanager
def progress(stage: str) -> Generator[Callable[[float, float], None]]:
    """A bar; what it yields takes the seconds done and those of all."""
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as ProgressBar

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with ProgressBar(*columns, console=stderr_console(), transient=True) as bar:
        task = bar.add_task(stage)
        yield lambda done_s, total_s: bar.update(task, completed=done_s, total=total_s)


def given(context: click.Context, name: str) -> bool:
    """Whether somebody typed that option."""
    return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


@contextlib.contextmanager
def status_display(model: str) -> Generator[Callable[[Status], None]]:
    """A live line on a terminal; elsewhere the same line every few seconds, without colours."""
    console = stderr_console()
    if console.is_terminal:
        from rich.live import Live
        from rich.text import Text

        with Live(Text("starting …"), console=console, refresh_per_second=8, transient=True) as live:
            yield notice_handler(
                lambda notice: live.console.print(notice, markup=False),
                lambda status: live.update(Text.from_markup(text.status_line(status, model))),
            )
        return
    last_s = -math.inf

    def show(status: Status) -> None:
        nonlocal last_s
        if status.phase == "playing" and status.seconds - last_s >= PLAIN_STATUS_S:
            last_s = status.seconds
            console.print(text.status_line(status, model), soft_wrap=True)

    yield notice_handler(lambda notice: console.print(notice, markup=False, soft_wrap=True), show)


def notice_handler(say: Callable[[str], None], show: Callable[[Status], None]) -> Callable[[Status], None]:
    """Gives each notice to say, each status to show. Until it plays, notices wait: a start that fails has one line."""
    waiting: list[str] = []

    def tell(status: Status) -> None:
        if status.notice:
            waiting.append(status.notice)
        if status.seconds > 0:
            while waiting:
                say(waiting.pop(0))
        show(status)

    return tell
