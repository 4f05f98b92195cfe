"""Where every child process begins and ends: signals, log, shared memory, the watch on its parent, its last words.

In: which module's `run(segment, config)` is its work. Imports as little as it can: every child pays for it.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, TypeVar

from livemove.contracts import LivemoveError
from livemove.ipc.cpu_affinity import go_first, leave_sound_core, take_sound_core
from livemove.ipc.segment import ProcessState, Segment, State
from livemove.ipc.signals import STOPPING

T = TypeVar("T")


def begin(
    role: str, module: str, segment_name: str, config: Any, log_path: str, called: Connection | None = None
) -> None:
    """Where every child begins: ears shut to signals (the supervisor decides), words to the log, then its own work.

    called: it is a spare, which prepares all its work and waits there for a word, to take the place of another child.
    """
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    try:
        log = os.open(log_path, os.O_WRONLY | os.O_APPEND)
    except OSError:  # somebody has tidied up the temporary folder: the show goes on without a log
        log = os.open(os.devnull, os.O_WRONLY)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    try:
        segment = Segment.attach(segment_name)
    except FileNotFoundError:  # the supervisor was killed, and its other children have tidied up
        Path(log_path).unlink(missing_ok=True)
        os._exit(1)
    process_state = segment.processes["spare" if called else role]
    process_state.starting(os.getpid())
    threading.Thread(target=_end_with_parent, args=(segment, log_path), name="parent watch", daemon=True).start()
    threading.Thread(target=_beat_while_it_starts, args=(process_state,), name="start watch", daemon=True).start()
    try:
        if called is None:
            importlib.import_module(module).run(segment, config)
        else:
            work = _at_leisure(lambda: importlib.import_module(module).prepare(segment, config))
            process_state.running(role)
            take_sound_core()
            go_first(True)  # who waits needs no core, and is awake at once
            word = called.recv()  # costs nothing until somebody speaks, or is gone
            process_state = segment.processes[role]
            process_state.starting(os.getpid())
            work(word)
        if process_state.state is not State.FAILED:
            process_state.finished()
        code = 0
    except LivemoveError as error:
        process_state.failed(error)
        code = 1
    except EOFError:  # the supervisor has no use for a spare any more
        code = 0
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    # No interpreter shutdown: libraries with threads of their own (PortAudio, MediaPipe) can hang or abort in it.
    os._exit(code)


def _at_leisure(work: Callable[[], T]) -> T:
    """What work gives, done by a thread behind all that plays: off the sound core, and after ordinary threads.

    A thread of its own, for on Linux both are the thread's, and who gave up a priority does not get it back.
    """
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        if sys.platform == "linux":
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LEISURE_NICE)
        leave_sound_core()
        try:
            done.append(work())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="preparing")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return done[0]


LEISURE_NICE = 15

WORK_S = 0.01
"""Time on a core that is a sign of progress. What only waits, for a server that hangs say, has none of it."""


def _beat_while_it_starts(process_state: ProcessState) -> None:
    """A heartbeat whenever some more work was done: on a machine that is busy, loading takes as long as it takes."""
    beaten_s = 0.0
    while process_state.state is State.STARTING:
        time.sleep(0.25)
        mine, spent = time.thread_time(), os.times()
        worked_s = time.process_time() - mine + spent.children_user + spent.children_system
        if worked_s - beaten_s >= WORK_S:
            beaten_s = worked_s
            process_state.heartbeat()


def _end_with_parent(segment: Segment, log_path: str) -> None:
    """A supervisor that was killed cannot say stop or tidy up: do it for it, leave time for the fade, and go."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    Path(log_path).unlink(missing_ok=True)  # first: who is asked to stop may be gone before the fade is over
    segment.unlink_for_parent()
    segment.request_stop()
    time.sleep(1.0)
    os._exit(1)
