"""What a command asks of the network, counted from outside by strace: every socket that could leave this machine.

In: a command. Out: the sockets it got and those it was denied, in all its processes and threads, as strace writes them.
Knows nothing of livemove.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import ROOT

LOCAL = ("AF_UNIX", "AF_NETLINK")
"""Families that end in this machine."""
CALL = re.compile(r"(?:socket\((?P<family>\w+)|io_uring_setup\().*= (?P<result>-?\d+)")


class NoTracer(Exception):
    """strace is not here, or this machine does not let it trace."""


@dataclass(frozen=True)
class Traced:
    """opened, denied: lines of strace about sockets of the internet, and rings that could open some; code: the
    command's exit status; said: what it wrote."""

    opened: list[str]
    denied: list[str]
    code: int
    said: str


def traced(command: Sequence[str], environment: dict[str, str] | None = None, timeout_s: float = 120.0) -> Traced:
    """Run a command to its end under strace. Raises NoTracer."""
    strace = shutil.which("strace")
    if strace is None:
        raise NoTracer("strace is not installed (Debian: apt-get install strace)")
    with tempfile.TemporaryDirectory() as folder:
        # A file for each thread (-ff): no call is torn in two. seccomp-bpf: only the two calls cost time.
        options = ["-ff", "-qq", "--seccomp-bpf", "-e", "signal=none", "-e", "trace=socket,io_uring_setup"]
        process = subprocess.Popen(
            [strace, *options, "-o", f"{folder}/thread", *command],
            env={**os.environ, **(environment or {})}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        try:
            said, _ = process.communicate(timeout=timeout_s)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)  # strace alone would let the command run on
            process.communicate()
            raise
        if "ptrace" in said and process.returncode:
            raise NoTracer(f"strace cannot trace here: {said.strip()[:200]}")
        lines = [line for file in sorted(Path(folder).iterdir()) for line in file.read_text().splitlines()]
    calls = [(line, found) for line in lines if (found := CALL.match(line)) and found["family"] not in LOCAL]
    opened = [line for line, found in calls if int(found["result"]) >= 0]
    return Traced(opened, [line for line, _ in calls if line not in opened], process.returncode, said)


def perform(
    camera: str, engine: str, seconds: float, folder: Path, environment: dict[str, str] | None = None, *more: str
) -> Traced:
    """A performance with window and all recordings into folder, traced; environment: of the sound server, say."""
    command = [
        *(sys.executable, "-m", "livemove.cli", "perform", "--camera", camera, "--engine", engine, "--monitor"),
        *("--duration", str(seconds), "-o", str(folder / "played.wav"), "--record", "--video", "--takes", str(folder)),
        *more,
    ]  # fmt: skip
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    given = {"QT_QPA_PLATFORM": "offscreen", "PYTHONPATH": path, **(environment or {})}
    return traced(command, given, seconds + 300.0)
