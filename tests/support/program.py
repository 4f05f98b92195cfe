"""`livemove perform` as somebody starts it: in a terminal and a session of its own, with a home of its own, recording.

In: options, keys that are typed, steps to go through while it plays. Out: what it wrote on the terminal, its take.
Knows no test.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import psutil

from livemove.ipc.segment import Segment
from tests.support.osc import free_port
from tests.support.paths import ROOT
from tests.support.real_time import TooLate

if sys.platform != "win32":
    import fcntl
    import pty
    import termios

Steps = Sequence[tuple[float, Callable[[], None]]]
"""What is done one after the other: (seconds since the step before, what then)."""

START_S = 60.0


class Program:
    """takes: the folder of its take; port: where it hears OSC; said: all that it wrote so far."""

    def __init__(self, folder: Path, *options: str) -> None:
        """It plays once this is there. Raises TooLate if it does not within START_S."""
        self.takes, self.port = folder / "takes", free_port()
        self._written = bytearray()
        output = folder / "whole.wav"
        output.unlink(missing_ok=True)  # of a try in which the machine stood still
        self._ours, theirs = pty.openpty()
        home = {name: str(folder / "home") for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "livemove.cli", "perform", "-c", "demo", "-o", str(output), "--record", "--takes",
             str(self.takes), "--no-monitor", "--osc", str(self.port), *options],
            cwd=ROOT, env={**os.environ, **home, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}, stdin=theirs,
            stdout=theirs, stderr=theirs, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # its keys come from this terminal
        )  # fmt: skip
        os.close(theirs)
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        deadline_s = time.monotonic() + START_S
        while not output.exists() or output.stat().st_size < 200_000:
            ended, late = self.process.poll() is not None, time.monotonic() > deadline_s
            if ended or late:
                self.kill()
                assert late, f"it ended by itself: {self.said}"
                raise TooLate(f"it does not play: {self.said}")
            time.sleep(0.05)

    @property
    def said(self) -> str:
        return self._written.decode(errors="replace")

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def go_through(self, steps: Steps) -> None:
        """Each step waits for the one before it, however slow the machine is."""
        for wait_s, then in steps:
            time.sleep(wait_s)
            then()

    def segment(self) -> Segment:
        """Its shared memory, to be looked into as its window does; the caller closes it."""
        maps = psutil.Process(self.process.pid).memory_maps()
        (name,) = {Path(each.path).name for each in maps if each.path.startswith("/dev/shm/livemove-")}
        return Segment.attach(name)

    def end(self) -> None:
        """As Ctrl-C ends it."""
        self.type("\x03")
        try:
            assert self.process.wait(30) == 0, self.said
        finally:
            self.kill()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reading.join(5)
        with contextlib.suppress(OSError):
            os.close(self._ours)

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # nobody writes there any more
            while found := os.read(self._ours, 4096):
                self._written.extend(found)


@contextlib.contextmanager
def performing(folder: Path, *options: str) -> Generator[Program]:
    """The program while it plays; it has ended well, and its take is whole, afterwards."""
    program = Program(folder, *options)
    try:
        yield program
    except BaseException:
        program.kill()
        raise
    program.end()
