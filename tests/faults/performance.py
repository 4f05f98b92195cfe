"""`livemove perform` as a user starts it, on a sound server of its own, with a listener: what faults are done to.

In: options. Out: its processes by role, its shared memory seen from outside, what is heard, how it ended and what it
left behind. Decides nothing about what is right.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from livemove.contracts import PoseFrame
from livemove.ipc.process_state import ROLES, State
from livemove.ipc.segment import Segment, now_s
from tests.faults.listening import Heard, JackEar, PulseEar
from tests.support.mjpeg import NetworkCamera
from tests.support.osc import free_port, packet, send
from tests.support.paths import ROOT
from tests.support.servers import Jack, Pulse

NOBODY = {"JACK_DEFAULT_SERVER": "livemove-nobody", "JACK_NO_START_SERVER": "1", "PULSE_SERVER": "unix:/nonexistent"}
"""An environment in which no sound server answers."""

MAPPING = """\
[channels.pitch]
source = "osc:/pitch"
from = [0.0, 1.0]
to = [69.0, 81.0]
smoothing_s = 0.02

[channels.loudness]
source = "osc:/loudness"
from = [0.0, 1.0]
to = [0.6, 1.0]
smoothing_s = 0.02

[channels.brightness]
source = "osc:/brightness"
from = [0.0, 1.0]
to = [0.4, 1.0]
smoothing_s = 0.02
"""
"""A tone that sounds whoever is in view, once these are said: every silence is a fault's."""

START_S = 180.0
"""On a machine that is busy with other things; a calm one needs two."""
END_S = 20.0


class Unready(Exception):
    """It did not come to play, or did not do what a row waits for; says what it said instead."""


class Performance:
    """One run. `with Performance(...) as show:` it plays; at the end it is stopped if a row has not done so.

    server: "jack", "pulse" or "" (into a file); camera: of the options, or one on loopback that can fail.
    """

    def __init__(
        self, folder: Path, program: Path, options: tuple[str, ...] = (), server: str = "jack",
        camera: NetworkCamera | None = None, prepare: Callable[[Performance], object] | None = None,
    ) -> None:  # fmt: skip
        self.folder = folder
        self.camera = camera
        self.port = free_port()
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.cleanup = contextlib.ExitStack()
        self.server: Jack | Pulse | None = {"jack": Jack, "pulse": Pulse}.get(server, lambda: None)()
        self.ear: JackEar | PulseEar | None = None
        if isinstance(self.server, Jack):
            self.ear = JackEar(self.server, program, folder)
        elif isinstance(self.server, Pulse):
            self.ear = PulseEar(self.server)
        (folder / "mapping.toml").write_text(MAPPING)
        self.mapping = folder / "mapping.toml"
        self._options = options
        self._prepare = prepare
        self.family: list[psutil.Process] = []
        self.heard = Heard(())
        self.keyboard: subprocess.Popen[str] | None = None
        self.code: int | None = None
        self.ended_in_s: float | None = None

    # --- from start to end

    def __enter__(self) -> Performance:
        with self.cleanup:
            if self.server is not None:
                self.cleanup.enter_context(self.server)
            if self._prepare is not None:
                self._prepare(self)
            self._start()
            self.cleanup = self.cleanup.pop_all()
        return self

    def _start(self) -> None:
        camera = self.camera.url if self.camera else "demo"
        given = [] if "--camera" in self._options else ["--camera", camera]
        mapping = [] if "--preset" in self._options else ["--mapping", str(self.mapping)]
        window = [] if "--monitor" in self._options else ["--no-monitor"]
        command = [
            *(sys.executable, "-m", "livemove.cli", "perform", "--osc", str(self.port)),
            *("--report", str(self.folder / "report.json"), *given, *mapping, *window, *self._options),
        ]  # fmt: skip
        said = (self.folder / "said.txt").open("wb")
        self.process = subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            start_new_session=True,
        )  # fmt: skip
        self.cleanup.callback(self._kill_all)
        said.close()
        if self.ear is not None:
            self.ear.start()
        self.segment: Segment = self.until(self._attached, START_S, "shared memory")
        absent = {"monitor": "--monitor" not in self._options, "spare": "--no-spare" in self._options}
        roles = [role for role in ROLES if not absent.get(role)]
        processes = self.segment.processes
        runs = (State.RUNNING, State.FINISHED)
        self.until(lambda: all(processes[role].state in runs for role in roles), START_S, "all processes")
        self.until(self._sounds, START_S, "the first sound")
        self.family = psutil.Process(self.process.pid).children(recursive=True)

    def _attached(self) -> Segment | None:
        """Its shared memory, once it is made; which one it is, its memory map says."""
        with contextlib.suppress(OSError, ValueError):  # not there yet, or not filled yet
            found = re.search(r"/dev/shm/(livemove-\w+)", Path(f"/proc/{self.process.pid}/maps").read_text())
            return Segment.attach(found.group(1)) if found else None
        return None

    def _sounds(self) -> bool:
        for name in ("pitch", "loudness", "brightness"):
            self.osc(f"/{name}", 0.5)
        return self.segment.playback.first_sound_s > 0

    def until(self, what: Callable[[], Any], timeout_s: float, name: str) -> Any:
        """What it gives, once that is true; looked at every 5 ms. Raises Unready."""
        deadline_s = time.monotonic() + timeout_s
        while not (found := what()):
            if self.process.poll() is not None and self.code is None:
                raise Unready(f"it ended with {self.process.returncode}: {self.said[-400:]}")
            if time.monotonic() > deadline_s:
                raise Unready(f"{name}: not within {timeout_s:g} s; it said: {self.said[-400:]}")
            time.sleep(0.005)
        return found

    def stop(self, number: int = signal.SIGINT) -> None:
        """Let it end, and stop listening. Does nothing the second time."""
        if self.code is not None:
            return
        self.remember_family()
        began_s = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        self.wait_for_end(began_s)

    def wait_for_end(self, began_s: float) -> None:
        """It has been asked to end, or was ended, at that time."""
        try:
            self.code = self.process.wait(END_S)
            self.ended_in_s = time.monotonic() - began_s
        except subprocess.TimeoutExpired:
            self.code = 255
        psutil.wait_procs(self.family, timeout=5)
        if self.ear is not None:
            self.heard = self.ear.stop()

    def remember_family(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            now = psutil.Process(self.process.pid).children(recursive=True)
            self.family = list({p.pid: p for p in (*self.family, *now)}.values())

    def _kill_all(self) -> None:
        """Whatever a row has left: nothing of it may run on."""
        self.remember_family()
        for process in self.family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.kill()
        self.process.wait()
        if self.ear is not None and self.code is None:
            self.heard = self.ear.stop()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.stop()
        self.cleanup.close()
        if hasattr(self, "segment"):
            self.segment.close()

    # --- what is done to it

    @property
    def environment(self) -> dict[str, str]:
        """Of the instrument, and of whoever plays with it on its server."""
        return {
            **os.environ, **NOBODY, **(self.server.environment if self.server else {}), "TMPDIR": str(self.temporary),
            "PYTHONPATH": str(ROOT), "QT_QPA_PLATFORM": "offscreen", "XDG_CONFIG_HOME": str(self.folder / "config"),
            "RTMIDI_API": "UNIX_JACK",
        }  # fmt: skip

    def pid(self, role: str) -> int:
        return self.process.pid if role == "supervisor" else self.segment.processes[role].pid

    def signal(self, role: str, number: int) -> None:
        os.kill(self.pid(role), number)

    def osc(self, address: str, *values: object) -> None:
        send(self.port, packet(address, *values))

    # --- what is seen of it

    @property
    def said(self) -> str:
        return (self.folder / "said.txt").read_text(errors="replace")

    @property
    def report(self) -> dict[str, Any]:
        file = self.folder / "report.json"
        return json.loads(file.read_text()) if file.exists() and file.stat().st_size else {}

    def pose_after(self, time_s: float, timeout_s: float) -> float | None:
        """When the first pose of somebody seen after time_s was there to be played; None: not in time."""
        frame = PoseFrame()
        deadline_s = now_s() + timeout_s
        while now_s() < deadline_s:
            self.segment.pose.read(frame)
            if frame.people and frame.capture_s > time_s:
                return now_s()
            time.sleep(0.004)
        return None

    def left(self) -> list[str]:
        """What is still there of it: processes, shared memory, temporary files but logs that tell of something."""
        alive = [f"process {p.pid}" for p in self.family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
        shared = [f"/dev/shm/{self.segment.name}"] if (Path("/dev/shm") / self.segment.name).exists() else []
        there = self.temporary.iterdir() if self.temporary.exists() else ()
        files = [p.name for p in there if not re.fullmatch(r"livemove-(?!running-)\w+\.log", p.name)]
        return [*alive, *shared, *files]
