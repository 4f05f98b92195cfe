"""For tests of what only real processes and a real clock can show: tried again if the machine itself stood still.

A shared host takes a machine's cores away for half a second now and then; nothing live holds then, nothing is learnt. A
failure counts only if the machine kept time while the test ran. Pace itself is tested on virtual clocks.
"""

from __future__ import annotations

import functools
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import ParamSpec

import pytest

P = ParamSpec("P")

STALL_S = 0.03
STEAL = 0.03
"""A sleep that lasts so much longer, which is more than the ring holds, or such a share of the cores taken by other
machines: time was not kept."""
TRIES = 4


class Watch:
    """How well the machine keeps time between enter and exit."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        while not self._over.is_set():
            began_s = time.monotonic()
            self._over.wait(0.01)
            self.longest_s = max(self.longest_s, time.monotonic() - began_s - 0.01)

    def __enter__(self) -> Watch:
        self._began = _cpu_ticks()
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        total, stolen = (now - then for now, then in zip(_cpu_ticks(), self._began, strict=True))
        self.stolen = stolen / total if total else 0.0

    @property
    def kept_time(self) -> bool:
        return self.longest_s < STALL_S and self.stolen < STEAL


def in_real_time(test: Callable[P, None]) -> Callable[P, None]:
    """Decorator: run the test again, TRIES times in all, after a failure during which the machine stood still.

    It is marked `live`: nothing else should run beside it.
    """

    @functools.wraps(test)
    def tried(*args: P.args, **kwargs: P.kwargs) -> None:
        for left in reversed(range(TRIES)):
            with Watch() as watch:
                try:
                    return test(*args, **kwargs)
                except (Exception, pytest.fail.Exception) as failure:
                    failed = failure
            if watch.kept_time or not left:
                raise failed
            warnings.warn(
                f"tried again: the machine stood still for {watch.longest_s:.2f} s, {watch.stolen:.0%} of it stolen",
                stacklevel=2,
            )

    return pytest.mark.live(tried)


def _cpu_ticks() -> tuple[int, int]:
    """All, and those other machines took from us; zeros where the system does not tell."""
    try:
        fields = [int(x) for x in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    except (OSError, ValueError):
        return 0, 0
    return sum(fields), fields[7]
