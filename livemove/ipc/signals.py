"""Ctrl-C and its kin, for commands that start processes and have something to finish.

In: SIGINT, SIGTERM and SIGHUP (the terminal is gone). Out: an event that is set. Knows nothing of what is stopped.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Generator
from multiprocessing import resource_tracker

STOPPING = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if sys.platform != "win32" else []))
"""What asks a command to end."""


@contextlib.contextmanager
def stop_signals() -> Generator[threading.Event]:
    """SIGINT, SIGTERM and SIGHUP set the event instead of raising; a second one of them kills the old way.

    One that is ignored stays so: that is what nohup is for.
    """
    event = threading.Event()
    before = {n: signal.getsignal(n) for n in STOPPING if signal.getsignal(n) is not signal.SIG_IGN}

    def stop(number: int, _: object) -> None:
        event.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, stop)
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def signals_held() -> Generator[None]:
    """A child inherits the mask: Ctrl-C reaches the whole terminal group, and must not end a child that just starts."""
    if sys.platform == "win32":
        yield
        return
    old = signal.pthread_sigmask(signal.SIG_BLOCK, set(STOPPING))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)


def start_tracker() -> None:
    """Start multiprocessing's resource tracker deaf to a lost terminal, as it is to Ctrl-C: else SIGHUP ends it first,
    and a new one, which knows nothing of our shared memory, ends in a traceback."""
    if not hasattr(signal, "SIGHUP") or threading.current_thread() is not threading.main_thread():
        return
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        resource_tracker.ensure_running()
    finally:
        signal.signal(signal.SIGHUP, before)
