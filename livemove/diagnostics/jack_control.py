"""The control of everything live: a bare JACK client in C, compiled on the spot, and when it was called.

In: a folder to build and write in, and the JACK server that the environment names. Out: one row for each call, the
sound it heard. Where a C compiler, JACK's library or a server is missing, NoControl says which. Knows nothing of the
instrument: what is late for this client is late for everybody.
"""

# numpy's stubs need a newer Python than 3.10, which pyright checks for: its members come out half unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import os
import select
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from livemove.contracts import Float32
from livemove.ipc.cpu_affinity import on_sound_core

SOURCE = Path(__file__).with_name("jack_control.c")

CALL_ROW = np.dtype([("called_s", "<f8"), ("late_s", "<f8"), ("xruns", "<f8"), ("frames", "<f8")])
"""One call: when (CLOCK_MONOTONIC), how long after its period began, JACK's count of xruns so far, frames."""

START_S = 10.0


class NoControl(Exception):
    """Why there is no such client on this machine."""


def build(folder: Path) -> Path:
    """The program, compiled into folder. Raises NoControl."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        raise NoControl("no C compiler is installed")
    program = folder / "jack_control"
    done = subprocess.run(
        [compiler, "-O2", "-o", str(program), str(SOURCE), "-l:libjack.so.0"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["it said nothing"]
        raise NoControl(f"it cannot be compiled here: {lines[-1]}")
    return program


class JackControl:
    """The client while it runs. `with JackControl(program, folder) as control:`, then `calls` and `sound`."""

    def __init__(
        self, program: Path, folder: Path, environment: Mapping[str, str] | None = None, hears: bool = False
    ) -> None:
        """hears: keep what PortAudio's clients play, too; several may use one folder, one after the other."""
        self._program = program
        self._environment = {**os.environ, **(environment or {})}
        number = len(list(folder.glob("calls-*")))
        self._calls = folder / f"calls-{number}"
        self._sound = folder / f"sound-{number}" if hears else None
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Raises NoControl where no JACK server answers."""
        command = [str(self._program), str(self._calls), *([str(self._sound)] if self._sound else [])]
        with on_sound_core():  # the sound is made there: what a shared host takes of another core keeps nobody up
            process = subprocess.Popen(
                command, env=self._environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, text=True,
            )  # fmt: skip
        self._process = process
        assert process.stdout is not None
        ready = select.select([process.stdout], [], [], START_S)[0]
        if not ready or process.stdout.readline().strip() != "listening":
            self.stop()
            raise NoControl("no JACK server runs")

    def stop(self) -> None:
        """Its files are whole afterwards, if its server lives or not."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None

    def __enter__(self) -> JackControl:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def calls(self) -> npt.NDArray[np.void]:
        """CALL_ROW [calls] so far; whole rows only."""
        content = self._calls.read_bytes() if self._calls.exists() else b""
        return np.frombuffer(content[: len(content) // CALL_ROW.itemsize * CALL_ROW.itemsize], CALL_ROW)

    @property
    def sound(self) -> Float32:
        """float32 [samples]: what was heard so far, the frames of all calls one after the other."""
        assert self._sound is not None
        content = self._sound.read_bytes() if self._sound.exists() else b""
        return np.frombuffer(content[: len(content) // 4 * 4], np.float32)


def held_up(calls: npt.NDArray[np.void], rate: float, share: float = 0.5) -> npt.NDArray[np.float64]:
    """float64 [n, 2]: spans of time (s) in which the client itself was not called in time, by more than `share` of a
    period: the gap before a call that came late after the one before or after its period's beginning, or an xrun."""
    if len(calls) < 2:
        return np.zeros((0, 2))
    called_s, period_s = calls["called_s"], calls["frames"] / rate
    apart_s = np.diff(called_s)
    late = apart_s > (1.0 + share) * period_s[1:]
    late |= calls["late_s"][1:] > share * period_s[1:]
    late |= np.diff(calls["xruns"]) > 0
    return np.stack([called_s[:-1][late], called_s[1:][late]], axis=1)
