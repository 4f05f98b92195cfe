"""Keys as they are typed in the terminal one was started from, which is left as it was.

In: standard input. Out: text. Knows nothing of what a key means.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Generator

if sys.platform == "win32":
    import msvcrt
else:
    import select
    import termios
    import tty

ARROWS = {
    "\xe0H": "\x1b[A", "\xe0P": "\x1b[B", "\xe0I": "\x1b[5~", "\xe0Q": "\x1b[6~", "\0?": "\x1b[15~",
}  # fmt: skip
"""As Windows has them -> as everybody else."""


@contextlib.contextmanager
def typed_keys() -> Generator[Callable[[], str] | None]:
    """What gives all that was typed since it was last called, and never waits; None where nobody can type.

    Ctrl-C stays what it is.
    """
    if sys.platform == "win32":
        yield _typed_on_windows if sys.stdin is not None and sys.stdin.isatty() else None
        return
    try:
        descriptor = sys.stdin.fileno()
        before = termios.tcgetattr(descriptor)
    except (AttributeError, ValueError, OSError, termios.error):  # closed, a pipe, a file
        yield None
        return
    if not _in_front(descriptor):
        yield None
        return
    tty.setcbreak(descriptor, termios.TCSANOW)
    try:
        yield lambda: _typed(descriptor)
    finally:
        if _in_front(descriptor):
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


if sys.platform == "win32":

    def _typed_on_windows() -> str:
        found = ""
        while msvcrt.kbhit():
            key = msvcrt.getwch()
            found += ARROWS.get(key + msvcrt.getwch(), "") if key in ("\0", "\xe0") else key
        return found

else:

    def _in_front(descriptor: int) -> bool:
        """Whether it is us one types to: from the background, to read or to set a terminal stops the program."""
        try:
            return os.tcgetpgrp(descriptor) == os.getpgrp()
        except OSError:  # it hung up
            return False

    def _typed(descriptor: int) -> str:
        found = b""
        try:
            while _in_front(descriptor) and select.select([descriptor], [], [], 0)[0]:
                if not (some := os.read(descriptor, 1024)):
                    break
                found += some
        except OSError:  # it hung up: nobody types any more, and SIGHUP says the rest
            return ""
        return found.decode(errors="ignore")
