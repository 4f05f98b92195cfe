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
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from livemove.contracts import LivemoveError
from livemove.exchange import Segment, State


def begin(role: str, module: str, segment_name: str, config: Any, log_path: str) -> None:
    """Where every child begins: ears shut to signals (the supervisor decides), words to the log, then its own work."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    log = os.open(log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    segment = Segment.attach(segment_name)
    life = segment.lives[role]
    life.starting(os.getpid())
    threading.Thread(target=_end_with_parent, args=(segment, log_path), name="parent watch", daemon=True).start()
    try:
        importlib.import_module(module).run(segment, config)
        if life.state is not State.FAILED:
            life.finished()
        code = 0
    except LivemoveError as error:
        life.failed(error)
        code = 1
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    # No interpreter shutdown: libraries with threads of their own (PortAudio, MediaPipe) can hang or abort in it.
    os._exit(code)


def _end_with_parent(segment: Segment, log_path: str) -> None:
    """A supervisor that was killed cannot say stop or tidy up: do it for it, leave time for the fade, and go."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    segment.request_stop()
    time.sleep(1.0)
    Path(log_path).unlink(missing_ok=True)
    os._exit(1)
