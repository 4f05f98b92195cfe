"""Which core the sound is made on, always the same one, while pose estimation stays off it; and who goes first there.

In: the cores this process may use. Knows no process, engine or clock.

Linux wakes a real-time thread where it last ran, also while another core is free, and whoever computes there waits: on
two cores synthesis, twice in every block, in front of the landmarker. Apart, a pose came after 41-48 ms instead of
48-78 (p95, a slow hour of the machine), and motion became sound after 109-148 ms instead of 131-213
(`perform --report`, three runs of 15 s each, in turn). Other systems do not let a program choose; there these functions
do nothing.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Generator


def sound_core() -> int | None:
    """The second core of those allowed, for the first serves the machine's interrupts; None if there is only one."""
    if sys.platform != "linux":
        return None
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[1] if len(allowed) > 1 else None


def cores_here() -> int:
    """On how many cores the calling thread may run. Where a program cannot choose, one is left for sound."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return max((os.cpu_count() or 1) - 1, 1)


def take_sound_core() -> None:
    """From here on the calling thread, and threads it starts, run on the core for sound."""
    core = sound_core()
    if core is not None and sys.platform == "linux":
        with contextlib.suppress(OSError):  # a container may forbid it; then the system's own choice stands
            os.sched_setaffinity(0, {core})


@contextlib.contextmanager
def on_sound_core() -> Generator[None]:
    """Processes that the calling thread starts within run on the core for sound, where the system allows it."""
    before = os.sched_getaffinity(0) if sys.platform == "linux" else set[int]()
    take_sound_core()
    try:
        yield
    finally:
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                os.sched_setaffinity(0, before)


def go_first(on: bool) -> None:
    """The calling thread runs before ordinary ones from here on, or no longer, where the system allows it; threads that
    it starts are ordinary ones."""
    if sys.platform == "linux":
        policy, priority = (os.SCHED_RR | os.SCHED_RESET_ON_FORK, PRIORITY) if on else (os.SCHED_OTHER, 0)
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, policy, os.sched_param(priority))


PRIORITY = 20
"""Below the sound server (JACK: 70) and above everything that has no deadline."""


def leave_sound_core() -> None:
    """From here on the calling thread, and threads it starts, run on all the other cores."""
    core = sound_core()
    if core is not None and sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, os.sched_getaffinity(0) - {core})
