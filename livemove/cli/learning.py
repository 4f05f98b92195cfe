"""Your own instrument: `livemove learn`. Finds the training code beside livemove, and shows what it says.

training/ is no part of the package that plays: it is found where it lies (a clone of the repository, or the copy that
an installed livemove carries) and loaded by name when this command runs, so that nothing else ever needs it.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import time
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import click

from livemove.cli.number_types import Whole
from livemove.cli.shared import UserError, stderr_console

PLAIN_STEP_S = 30.0
"""How often it says where it is when nobody watches a terminal."""


@click.command()
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SOUND…|TAKE…")
@click.option("--name", metavar="NAME", help="What the instrument is called; without it, like the recording.")
@click.option(
    "--minutes", type=Whole(1, 10000), default=40, show_default=True,
    help="Time to learn in. A minute of sound needs no more than 6,000 steps, and ends sooner where these are quick.",
)  # fmt: skip
@click.option(
    "--from", "start", default="", metavar="MODEL|none",
    help="Begin with this model instead of the one that expects the sound best; none: from nothing.",
)  # fmt: skip
@click.option("--threads", type=Whole(0, 256), default=0, help="CPU threads; 0: what is quickest here.")
@click.option("--check", is_flag=True, help="Only say what the recordings are good for, and how long it would take.")
@click.option("--anyway", is_flag=True, help="Learn in spite of what is wrong with the recordings.")
@click.option("--finish", is_flag=True, help="Learn no more; make a model of what has been learnt so far.")
@click.option("--pose", type=click.Choice(["full", "lite"]), default="full", show_default=True,
              help="Of takes: MediaPipe's pose model; play with the same.")  # fmt: skip
@click.option("--pose-model", type=click.Path(path_type=Path), metavar="FILE",
              help="Pose model file (.task) to use instead of the one fetched at first use.")  # fmt: skip
def learn(sources: tuple[Path, ...], name: str | None, **options: Any) -> None:
    """Make an instrument of your recordings: of a sound, or of a sound and the movement it belongs to.

    SOUNDs are audio files or folders of them: a minute of one instrument or voice, single notes one after the other,
    all that it is to play, soft and loud; or a sound without pitch that changes. The body then plays pitch, loudness
    and brightness. TAKEs are videos of yourself moving to a sound (`livemove record`): then movement makes the sound.

    It says what is wrong with the recordings and how long it will take before it begins, writes an example to listen to
    every few minutes, and ends with figures and the command that plays it. Ctrl-C is fine: the same command goes on.

    \b
    livemove learn flute.wav                             play it: livemove perform --model flute
    livemove learn recordings/ --name horn --minutes 90  a folder of sounds, and more time
    livemove learn flute.wav --check                     what is it good for, how long would it take?
    livemove record --sound song.wav takes/ && livemove learn takes/ --name me
    """
    module = _training()
    with _Display() as display:
        done = module.learn(module.Request(tuple(sources), name=name or "", **options), display)
    if done.bundle is None and not options["check"]:
        click.get_current_context().exit(130)


def _training() -> ModuleType:
    """The module training.learn. Raises UserError where it cannot run."""
    for library in ("torch", "pytorch_lightning", "pyarrow", "yaml", "scipy", "matplotlib"):
        if importlib.util.find_spec(library) is None:
            raise UserError(
                f"learning needs the training libraries ({library} is missing): pip install 'livemove[train]'"
            )
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "extra", package.parent):
        if (folder / "training" / "learn.py").is_file():
            if str(folder) not in sys.path:
                sys.path.insert(0, str(folder))
            return importlib.import_module("training.learn")
    raise UserError("the training code is not beside this livemove; install it again, or run it from its repository")


class _Display:
    """What the training code tells (training.learn.Listener): a bar on a terminal, else a line now and then."""

    def __init__(self) -> None:
        self.console = stderr_console()
        self.live: Any = None
        self.task: Any = None
        self.said_s = time.monotonic()

    def __enter__(self) -> _Display:
        if self.console.is_terminal:
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[left]}"),
            )
            self.live = Progress(*columns, console=self.console, transient=True)
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live is not None:
            self.live.stop()

    def line(self, text: str) -> None:
        self.console.print(text, markup=False, soft_wrap=True)

    def step(self, what: str, done: int, total: int, left_s: float | None = None) -> None:
        left = "" if left_s is None else f"{left_s / 60:.0f} min left" if left_s >= 90 else f"{left_s:.0f} s left"
        if self.live is not None:
            if self.task is None:
                self.task = self.live.add_task(what, total=total, left=left)
            self.live.update(self.task, description=what, completed=done, total=total, left=left)
        elif time.monotonic() - self.said_s >= PLAIN_STEP_S:
            self.said_s = time.monotonic()
            self.line(f"{what} {done} of {total}" + (f", {left}" if left else ""))
