"""Clips prepared side by side: by processes of this machine, or by Ray on many. Results come as they are finished.

In: sources. Out: their rows. What takes a worker down takes one clip with it, and the row says so. Knows no terminal.
"""

from __future__ import annotations

import dataclasses
import logging
import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from multiprocessing import connection
from pathlib import Path
from typing import Any

from livemove.contracts import LivemoveError, OutputError
from training.data import cluster
from training.data.clip import Settings, prepare_item
from training.data.corpus import Clip
from training.data.items import Item


def on_this_machine(
    sources: Sequence[Item], root: Path, settings: Settings, workers: int
) -> Iterator[tuple[Clip, ...]]:
    """The rows of each source, in the order they are finished. Raises OutputError if the corpus cannot be written.

    Each worker holds one landmarker and one clip. They end with this process, however it ends.
    """
    todo = list(reversed(sources))
    pool = [_Worker(root, settings) for _ in range(min(workers, len(sources)))]
    try:
        for worker in pool:
            worker.give(todo.pop())
        while busy := [worker for worker in pool if worker.source]:
            ready = connection.wait([worker.pipe for worker in busy])
            for i, worker in enumerate(pool):
                if worker.source and worker.pipe in ready:
                    yield worker.take()
                    if not worker.process.is_alive():
                        pool[i] = worker = _Worker(root, settings)
                    if todo:
                        worker.give(todo.pop())
    finally:
        for worker in pool:
            worker.end()


class _Worker:
    """A process that prepares one clip after the other."""

    def __init__(self, root: Path, settings: Settings) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, root, settings), daemon=True)
        self.process.start()
        theirs.close()  # or its end would never be seen
        self.source: Item | None = None

    def give(self, source: Item) -> None:
        self.source = source
        self.pipe.send(source)

    def take(self) -> tuple[Clip, ...]:
        """The rows of the source it was given; one that says how the worker died if it did."""
        source, self.source = self.source, None
        assert source is not None
        try:
            result = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            return (died(source, f"its worker was ended by {_cause(self.process.exitcode)}"),)
        if isinstance(result, BaseException):
            raise result
        return result

    def end(self) -> None:
        self.pipe.close()
        self.process.kill()
        self.process.join()


def _work(pipe: connection.Connection, root: Path, settings: Settings) -> None:
    """The worker's process. Ctrl-C is the parent's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        while True:
            pipe.send(_prepared(pipe.recv(), root, settings))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent is gone


def _prepared(source: Item, root: Path, settings: Settings) -> tuple[Clip, ...] | LivemoveError:
    try:
        return prepare_item(source, root, settings)
    except LivemoveError as error:
        return error
    except Exception as error:  # one clip that meets what nobody foresaw must not stop a night's work
        return (died(source, f"{type(error).__name__}: {error}"),)


def died(source: Item, why: str) -> Clip:
    """The row of a source that could not be looked at to the end. Without its size: the next run tries it again."""
    return Clip(source.split, source.style, source.name, source.path, skipped=why)


def _cause(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        return signal.Signals(-exitcode).name
    return f"exit code {exitcode}"


# --- Ray ----------------------------------------------------------------------------------------------------


def on_ray(sources: Sequence[Item], root: Path, settings: Settings, workers: int) -> Iterator[tuple[Clip, ...]]:
    """The same rows by Ray Data: on the cluster RAY_ADDRESS names, else on a local one of so many workers.

    Nodes see SRC, DATA and the pose model under the same paths. Raises OutputError, ClusterError.
    """
    with cluster.connected(workers) as ray:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.max_errored_blocks = -1  # a task that dies loses its clip, nothing else
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        rows = [{"source": dataclasses.asdict(source)} for source in sources]
        data = ray.data.from_items(rows, override_num_blocks=len(rows))
        left = {source.key: source for source in sources}
        for row in data.map(_on_node, fn_args=(root, settings)).iter_rows():
            if row["error"]:
                raise OutputError(row["error"])
            clips = tuple(Clip(**{**each, "tracks": tuple(each["tracks"])}) for each in row["clips"])
            del left[clips[-1].key]
            yield clips
        for source in left.values():
            yield (died(source, "its task died on the cluster"),)


def _on_node(row: dict[str, Any], root: Path, settings: Settings) -> dict[str, Any]:
    """A task: the same function the local workers run."""
    result = _prepared(Item(**row["source"]), root, settings)
    if isinstance(result, LivemoveError):
        return {"clips": [dataclasses.asdict(died(Item(**row["source"]), ""))], "error": str(result)}
    return {"clips": [dataclasses.asdict(clip) for clip in result], "error": ""}
