"""Keeps what C++ libraries say before anybody can set a log level off standard error."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Generator

_TURNED_AWAY = threading.Lock()
"""Held while standard error leads nowhere: the descriptor is the process's, so its guard is too."""


@contextlib.contextmanager
def quiet() -> Generator[None]:
    """Nothing reaches standard error: MediaPipe and LiteRT write up to a dozen lines there.

    It is the file descriptor of the whole process that is turned away, for as short as possible: while the landmarker
    is made, until it has seen its first person, and while it closes. One thread at a time: of two, the second would
    keep the first one's nowhere and bring that back.
    """
    with _TURNED_AWAY:
        sys.stderr.flush()
        kept = os.dup(2)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
