"""Standard streams that outlive the terminal: what is written to one that is closed or gone leads nowhere, the sound
goes on.

In: the process's descriptors 0 to 2. Out: streams that never raise. Knows no command.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Generator
from types import FrameType
from typing import Any, TextIO


class _Lasting(io.FileIO):
    """A descriptor whose reader may go: from then on it is the null device."""

    def write(self, content: Any, /) -> int:
        try:
            return super().write(content) or 0
        except OSError:  # a pipe that nobody reads (head), a terminal that was closed, a full disk
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return memoryview(content).nbytes


def lasting(descriptor: int, close: bool = False) -> TextIO:
    """Text to a descriptor, line by line; bytes of paths that are no text are written as escapes."""
    raw = _Lasting(descriptor, "w", closefd=close)
    return io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", "backslashreplace", line_buffering=True)


def keep_streams() -> None:
    """At the very beginning: descriptors 0 to 2 are open, so that no file ever gets their number, and stay usable."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            os.set_inheritable(number, True)  # or a child's next file would get it
        mine = getattr(sys, name)
        if mine is not None and mine is not getattr(sys, f"__{name}__"):
            continue  # somebody else's: a test's
        if number == 0 and mine is None:
            sys.stdin = os.fdopen(0, closefd=False)
        elif number > 0:
            setattr(sys, name, lasting(number))
            setattr(sys, f"__{name}__", getattr(sys, name))


@contextlib.contextmanager
def ended_tidily() -> Generator[None]:
    """SIGTERM and a lost terminal (SIGHUP) end a command by an exception, so that its drafts are thrown away.

    A SIGHUP that nohup ignores stays ignored. Who has more to do at its end has `ipc.signals.stop_signals`.
    """
    numbers = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {n: signal.getsignal(n) for n in numbers if signal.getsignal(n) is signal.SIG_DFL}
    for number in before:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
