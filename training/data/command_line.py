"""What the commands of training/ have in common on a terminal: one line for what can be mended, Ctrl-C, progress.

In: click commands and counts. Out: lines on standard error, exit codes 0 (all done), 1 (done, but some clips failed or
were skipped), 2 (something to mend), 130 (stopped). Knows nothing of clips.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any, Protocol, TypeVar

import click

from livemove.cli.streams import keep_streams
from livemove.contracts import LivemoveError

Result = TypeVar("Result")

SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
"""Of every command."""

PLAIN_S = 5.0
"""How often progress is said when nobody watches a terminal."""


class Mendable(click.ClickException):
    """What somebody can mend: one line, exit code 2."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        click.echo(" ".join(self.format_message().split()), err=True)


class _Plain:
    """LivemoveErrors become one line, Ctrl-C becomes exit code 130; what is written outlives the terminal."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        keep_streams()
        return super().main(*args, **kwargs)  # type: ignore[misc]

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)  # type: ignore[misc]
        except LivemoveError as error:
            raise Mendable(str(error)) from error
        except KeyboardInterrupt:
            click.echo("stopped; what is done is kept, the same command goes on from there", err=True)
            ctx.exit(130)


class Command(_Plain, click.Command):
    """A command by itself."""


class Group(click.Group):
    """A command with subcommands."""

    command_class = Command


class Say(Protocol):
    """Called with how many are done, the newest, and how many there are if that has become known."""

    def __call__(self, done: int, newest: str, total: int = 0, /) -> None: ...


@contextlib.contextmanager
def progress(what: str, total: int) -> Generator[Say]:
    """A bar with the time left, or a line now and then where nobody watches a terminal. total 0: not known yet."""
    if not sys.stderr.isatty():
        said_s = time.monotonic()

        def say(done: int, newest: str, known: int = 0) -> None:
            nonlocal said_s
            if time.monotonic() - said_s >= PLAIN_S:
                said_s = time.monotonic()
                click.echo(f"{what} {done}/{total or known or '?'}  {newest}".rstrip(), err=True)

        yield say
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total or None)

        def show(done: int, newest: str, known: int = 0) -> None:
            bar.update(task, completed=done, total=total or known or None, description=newest.replace("[", "\\["))

        yield show


@contextlib.contextmanager
def following(
    what: str, total: int, results: Generator[Result], name: Callable[[Result], str]
) -> Generator[Iterator[Result]]:
    """Results as they come, each counted and named once it has been dealt with; who makes them ends with the block."""

    def counted(say: Say) -> Iterator[Result]:
        for count, result in enumerate(results, 1):
            yield result
            say(count, name(result))

    with progress(what, total) as say, contextlib.closing(results):
        yield counted(say)
