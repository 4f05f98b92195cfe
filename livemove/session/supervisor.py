"""The children as the supervisor sees them: started, watched, started again, sent to another camera or audio device.

In: a role and its configuration. Out: processes, and notices in words. What a child itself does first and last is
`child`'s. Must not know what the children load, nor what a performance is.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Generator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from livemove.contracts import LivemoveError
from livemove.ipc.child import begin
from livemove.ipc.leftovers import held, sweep
from livemove.ipc.segment import ProcessState, Segment, State, now_s
from livemove.ipc.signals import signals_held
from livemove.monitor.monitor_config import MonitorConfig

START_LIMIT_S = {"capture": 60.0, "synthesis": 120.0, "playback": 15.0, "monitor": 60.0, "control": 30.0}
"""A child that starts and does nothing for so long, neither calculating nor giving a heartbeat, is stuck; it does not
matter how long it takes in all. A busy machine loads slowly, and the first start on a GPU compiles. synthesis: a
compiler is a process of its own, whose work is seen only when it is done."""
BIRTH_S = 60.0
"""Until the interpreter of a child is up, nobody can see what it does."""
LEAVE_S = 1.5
"""A child that is to make room for another camera or audio device is waited for: playback fades out. Then it is
ended."""
KILL_S = 0.05
"""Mostly a millisecond is enough for the signal to arrive."""
KILLED_S = 1.0
"""At the end of the session: so long for the system to clear up behind a process that was killed."""
NO_ROOM_S = 0.5
"""A system that has no room for another process is asked again so much later."""
HANG_S = 5.0
"""A running child without a heartbeat for so long is killed and started again."""
SEEN_S = 0.05
"""Between two looks no more than this counts as seen: a supervisor that was held up does not know who else was."""

RUNS = (State.RUNNING, State.FINISHED)
"""A short video may be over before we look."""

MODULES = {
    "capture": "livemove.capture.capture_process",
    "synthesis": "livemove.synthesis.synthesis_process",
    "playback": "livemove.playback.playback_process",
    "monitor": "livemove.monitor.monitor_process",
    "control": "livemove.control.control_process",
}
"""Where each child's `run(segment, config)` is. Imported in the child alone: the supervisor stays small."""


class Child:
    """One child process, and the rule for starting it again.

    Before it has run once, its error is the session's error. Afterwards, on stage, it is started again however it
    ended: at once, then after growing pauses while it keeps failing. With another configuration it has one try; if that
    fails it is the old one again.
    """

    def __init__(self, role: str, segment: Segment, config: Any, log: Log) -> None:
        self.role = role
        self.config = config
        self.process_state: ProcessState = segment.processes[role]
        self.restarts = 0
        self.process: BaseProcess | None = None
        self._killed: list[BaseProcess] = []  # the system is not done with them yet
        self._segment = segment
        self._log = log
        self._started_s = self._looked_s = self._beat_s = self._still_s = 0.0
        self._has_run = False
        self._pause_s = 0.0
        self._retry_s = 0.0
        self._remarks = 0
        self._leave_by_s: float | None = None
        self._before: tuple[Any, str] | None = None  # while it switches: the configuration to go back to, and in words
        self._arrived = ""

    def start(self) -> None:
        self._forget()
        try:
            self.process = spawn(self.role, self._segment, self.config, self._log)
        except OSError as error:  # no memory for it, or no more open files
            self.process = None
            if not self._has_run:
                raise LivemoveError(f"the {self.role} process cannot be started: {error.strerror}") from error
            self._retry_s = now_s() + NO_ROOM_S

    def _forget(self) -> None:
        """Before another process: what the last one said of itself."""
        self.process_state.clear()
        self._remarks = 0
        self._started_s = self._looked_s = now_s()
        self._beat_s, self._still_s = 0.0, 0.0

    @property
    def switching(self) -> bool:
        """Whether it is not known yet how a switch ends."""
        return self._before is not None

    @property
    def over(self) -> bool:
        """It ended by itself, and will not be started again."""
        return self.process_state.state is State.FINISHED and self._leave_by_s is None

    def switch(self, config: Any, arrived: str, back: str) -> None:
        """Go on with another configuration; it must have run. What `watch` says then: arrived, or why not, and back."""
        if self._before is None:
            self._before = (self.config, back)
        self.config, self._arrived = config, arrived
        self._pause_s = 0.0
        if self.process is not None and self.process_state.state is State.RUNNING:
            self.process_state.ask_to_leave()
            self._leave_by_s = self._leave_by_s or now_s() + LEAVE_S
        else:
            self._leave_by_s = now_s()

    def watch(self) -> str | None:
        """Look after it once; a notice if it was started again or switched. Raises its error if it never ran."""
        now = now_s()
        if self._leave_by_s is not None:
            if self.process is not None and self.process.is_alive() and now < self._leave_by_s:
                return None
            self._leave_by_s = None
            self._kill()
            self.start()
            return None
        state = self.process_state.state
        if state in RUNS:
            self._has_run = True
            if self._before is not None:
                self._before = None
                return self._arrived
        if state is State.FINISHED:
            return None
        if self.process is None:
            if now >= self._retry_s:
                self.restarts += 1
                self.start()
            return None
        self._look_at_heart(now)
        reason = self._trouble(state, now)
        if reason is None:
            if state is State.RUNNING and now - self._started_s > 10.0:
                self._pause_s = 0.0
            return None
        exitcode = self.process.exitcode
        crashed = exitcode == 1
        self._kill()
        error = self.process_state.error
        if not self._has_run:
            raise error or LivemoveError(f"the {self.role} process {reason}: {self._log.keep()}")
        why = error or (self._log.keep() if crashed else None)
        if self._before is not None:
            self.config, back = self._before
            self._before = None
            self.start()
            return f"{why or f'the {self.role} process {reason}'}; {back}"
        return f"{self.role} {reason}{f' ({why})' if why else ''}: {self._remedy(exitcode)}"

    def _remedy(self, exitcode: int | None) -> str:
        """What is done about it, and in words; exitcode: of the process that was there, None if it had to be killed."""
        self._retry_s = now_s() + self._pause_s
        self._pause_s = min(max(2 * self._pause_s, 0.25), 2.0)
        return "starting it again"

    @property
    def _patience_s(self) -> float:
        """How long it may run without a heartbeat."""
        return HANG_S

    def _look_at_heart(self, now: float) -> None:
        """How long it has stood still, as far as we were there to see it: a machine that slept stops everybody."""
        beat_s = self.process_state.heartbeat_s
        if beat_s != self._beat_s:
            self._beat_s, self._still_s = beat_s, 0.0
        else:
            self._still_s += min(now - self._looked_s, SEEN_S)
        self._looked_s = now

    def remark(self) -> str | None:
        """What it has to say, once."""
        count, text = self.process_state.remarks
        if count == self._remarks:
            return None
        self._remarks = count
        return text

    def _trouble(self, state: State, now: float) -> str | None:
        assert self.process is not None
        if state is State.FAILED:
            return "failed"
        if not self.process.is_alive():
            return f"died (exit code {self.process.exitcode})"
        if state is State.RUNNING and self._still_s > self._patience_s:
            return f"hung for {self._patience_s:g} s"
        if state is State.STARTING and now - self.process_state.heartbeat_s > START_LIMIT_S[self.role]:
            return f"was stuck for {START_LIMIT_S[self.role]:.0f} s while it started"
        if state is State.NONE and now - self._started_s > BIRTH_S:
            return f"did not begin within {BIRTH_S:.0f} s"
        return None

    def _kill(self) -> None:
        """It runs no more from now on. Hardly waited for: where a driver is stuck the system may take seconds to clear
        up behind it, and mute is decided in the same loop."""
        if self.process is not None:
            self.process.kill()
            self.process.join(KILL_S)
            self._killed = [each for each in (*self._killed, self.process) if each.is_alive()]
            self.process = None

    def join(self, deadline_s: float) -> None:
        """Wait for its own end until the deadline, then end it; at once if it does not sound yet."""
        if self.process is not None:
            if self.process_state.state in RUNS:
                self.process.join(max(0.0, deadline_s - now_s()))
            self._kill()
        for process in self._killed:
            process.join(max(KILLED_S, deadline_s - now_s()))


def spawn(
    role: str, segment: Segment, config: Any, log: Log, called: Connection | None = None, module: str | None = None
) -> BaseProcess:
    """The process of that role, started; called: as a spare, which waits for a word from there; module: another one
    than the role's in a performance."""
    process = multiprocessing.get_context("spawn").Process(
        target=begin,
        args=(role, module or MODULES[role], segment.name, config, str(log.path), called),
        name=f"livemove-{'spare' if called else role}",
        daemon=True,
    )
    with signals_held(), _without_main():
        process.start()
    return process


class Window(Child):
    """The monitor: nothing depends on it, so nothing about it is ever an error of the session.

    A window that never came is not tried again: without Qt or a display it never will. Closed, it stays closed.
    """

    CRASHES = 5

    def __init__(self, segment: Segment, config: MonitorConfig, log: Log) -> None:
        super().__init__("monitor", segment, config, log)
        self._over = False

    def watch(self) -> str | None:
        if self._over:
            return None
        try:
            notice = super().watch()
        except LivemoveError as error:
            self._over = True
            return f"playing without a window: {error}"
        if self.process_state.state is State.FINISHED:
            self._over = True
            self._kill()
            return "the window is closed, the sound goes on: Ctrl-C ends it"
        if notice and self.restarts >= self.CRASHES:
            self._over = True
            return f"the window crashed {self.CRASHES + 1} times: playing without it"
        return notice


LIVE = "livemove-running-"
"""The name of a log begins so until somebody is told to read it."""


class Log:
    """Where the children's stdout and stderr go: a temporary file, thrown away unless something went wrong."""

    def __init__(self) -> None:
        sweep(Path(tempfile.gettempdir()), f"{LIVE}*.log")
        handle, name = tempfile.mkstemp(prefix=LIVE, suffix=".log")
        os.close(handle)
        self.path = Path(name)
        self._held = held(self.path)
        self._kept = False

    def keep(self) -> str:
        """The last line written, and where to read the rest."""
        try:
            if not self._kept:
                self.path = self.path.rename(self.path.with_name(self.path.name.replace(LIVE, "livemove-", 1)))
                self._kept = True
            text = self.path.read_text(errors="replace")
        except OSError as error:  # somebody has tidied up the temporary folder
            return f"its log is gone: {error.strerror}"
        lines = [line for line in text.splitlines() if line.strip()]
        return f"{lines[-1].strip() if lines else 'no message'} (all of it: {self.path})"

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._kept:
            self.path.unlink(missing_ok=True)
        if self._held is not None:
            os.close(self._held)
            self._held = None


@contextlib.contextmanager
def _without_main() -> Generator[None]:
    """Spawned children import the parent's main module again; ours need nothing of it, and it costs time."""
    main = sys.modules["__main__"]
    hidden = {name: vars(main).pop(name) for name in ("__file__", "__spec__") if name in vars(main)}
    main.__spec__ = None
    try:
        yield
    finally:
        vars(main).update(hidden)
