"""For tests of what only real processes and a real clock can show: tried again if the machine itself stood still.

A shared host takes a machine's cores away for half a second now and then; nothing live holds then, nothing is learnt.
An assertion about time (`with timed()`) counts only if the machine kept time while the test ran; every other failure
counts at once. How often tests were tried again is told at the end, and bounded (tests/conftest.py).
"""

from __future__ import annotations

import contextlib
import functools
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import ParamSpec

import pytest

from livemove.ipc.cpu_affinity import sound_core
from livemove.synthesis.pace import Lead

P = ParamSpec("P")

STALL_S = 0.1
STEAL = 0.05
"""A sleep that lasts so much longer, or such a share of the cores taken by other machines: time was not kept."""
SOUND_STALL_S = Lead.MARGIN_S
"""The same for a thread on the sound core that goes before all of ours: what the lead leaves room for, and no more."""
TRIES = 4

TRIED_AGAIN = "tried again: the machine stood still"
"""How the warning begins that tells of it; tests/conftest.py counts these."""


class TooLate(AssertionError):
    """An assertion about time that failed: the only failure that a machine which stood still excuses."""


@contextlib.contextmanager
def timed() -> Iterator[None]:
    """Around assertions that a machine which stands still would break, however right the program is."""
    try:
        yield
    except AssertionError as failure:
        raise TooLate(*failure.args) from failure


SENTINEL = """
import os, signal, sys, time
over, parent = [], os.getppid()
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, lambda *_: over.append(1))
try:
    os.sched_setaffinity(0, {int(sys.argv[1])})
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(60))
except OSError:
    over.append(1)
print("ready", flush=True)
longest_s, last_s = 0.0, time.monotonic()
while not over and os.getppid() == parent:
    time.sleep(0.001)
    now_s = time.monotonic()
    longest_s, last_s = max(longest_s, now_s - last_s - 0.001), now_s
if over:
    print(longest_s)
"""
"""A process of its own: in ours it would wait for the interpreter. Says how long it was kept waiting at most; ends with
us, also where we are killed."""


class Watch:
    """How well the machine keeps time between enter and exit."""

    def __init__(self) -> None:
        self.longest_s = self.sound_stall_s = 0.0
        self._sentinel: subprocess.Popen[str] | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        while not self._over.is_set():
            began_s = time.monotonic()
            self._over.wait(0.01)
            self.longest_s = max(self.longest_s, time.monotonic() - began_s - 0.01)

    def __enter__(self) -> Watch:
        core = sound_core()
        if core is not None:
            self._sentinel = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", SENTINEL, str(core)],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            assert self._sentinel.stdout is not None
            self._sentinel.stdout.readline()
        self._began = cpu_ticks()
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        if self._sentinel is not None:
            self._sentinel.terminate()
            self.sound_stall_s = float(self._sentinel.communicate()[0] or 0.0)
        total, stolen = (now - then for now, then in zip(cpu_ticks(), self._began, strict=True))
        self.stolen = stolen / total if total else 0.0

    @property
    def kept_time(self) -> bool:
        return self.longest_s < STALL_S and self.sound_stall_s < SOUND_STALL_S and self.stolen < STEAL


def in_real_time(test: Callable[P, None]) -> Callable[P, None]:
    """Decorator: run the test again, TRIES times in all, after it was TooLate while the machine stood still.

    It is marked `live`: nothing else should run beside it.
    """

    @functools.wraps(test)
    def tried(*args: P.args, **kwargs: P.kwargs) -> None:
        for left in reversed(range(TRIES)):
            with Watch() as watch:
                try:
                    return test(*args, **kwargs)
                except TooLate as failure:
                    failed = failure
            if watch.kept_time or not left:
                raise failed
            warnings.warn(
                f"{TRIED_AGAIN} for {watch.longest_s:.3f} s, its sound core for "
                f"{watch.sound_stall_s:.3f} s, {watch.stolen:.0%} of it stolen",
                stacklevel=2,
            )

    return pytest.mark.live(tried)


def cpu_ticks() -> tuple[int, int]:
    """All, and those other machines took from us; zeros where the system does not tell."""
    try:
        fields = [int(x) for x in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    except (OSError, ValueError):
        return 0, 0
    return sum(fields), fields[7]
