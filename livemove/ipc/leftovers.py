"""What performances that were killed left in shared memory and the temporary folder, thrown away at the next start.

In: files whose owner holds a lock on them, which ends with the owner however that ends. Knows not what is in them.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

if sys.platform != "win32":
    import fcntl

SHARED_MEMORY = Path("/dev/shm")
"""Where Linux shows it; elsewhere nobody can list it."""

YOUNG_S = 10.0
"""A file that is younger may be about to be locked."""


def held(path: Path) -> int | None:
    """A descriptor that locks the file until it is closed or this process ends; None where there are no such locks."""
    if sys.platform == "win32":
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def sweep(folder: Path, pattern: str) -> None:
    """Remove the files of that pattern that nobody holds, and that are ours to remove."""
    if sys.platform == "win32":
        return
    for path in folder.glob(pattern):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_ctime < YOUNG_S:
                continue
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(descriptor)
