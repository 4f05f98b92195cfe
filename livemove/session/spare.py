"""A child with a spare: a second process that has loaded everything and waits, to take its place without a pause.

In: a role and its configuration. Out: processes, and notices in words, as any child's. Must not know what the children
load, nor what a performance is.

A spare waits in a read of a pipe: it needs no core until it is called. Where memory is short, a session goes without.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from livemove.ipc.segment import ProcessState, Segment, State, now_s
from livemove.session.supervisor import BIRTH_S, START_LIMIT_S, Child, Log, spawn

FREEZE_S = 0.33
"""With a spare at hand, a child without a heartbeat for so long stands still: it is killed, and the spare plays. Heard
is that, less what the ring held, and the way in: 0.4 s of silence are allowed."""

CRASHES = frozenset({signal.SIGSEGV, signal.SIGILL, signal.SIGABRT, signal.SIGFPE, *(
    [signal.SIGBUS] if hasattr(signal, "SIGBUS") else []
)})  # fmt: skip
"""Signals by which a process ends itself: what computed then is at fault, and does not go on. SIGKILL is another's."""

PAUSE_S = (1.0, 5.0, 30.0)
"""Before another spare is started: the machine has just lost a process, perhaps for want of memory."""


class Spare:
    """The process in waiting for one role."""

    def __init__(self, role: str, segment: Segment, log: Log) -> None:
        self.process_state: ProcessState = segment.processes["spare"]
        self.process: BaseProcess | None = None
        self._role = role
        self._segment = segment
        self._log = log
        self._call: Connection | None = None
        self._started_s = 0.0
        self._retry_s = 0.0
        self._failures = 0

    @property
    def ready(self) -> bool:
        """It has loaded everything, and lives."""
        process = self.process
        return process is not None and self.process_state.state is State.RUNNING and process.is_alive()

    def look(self, config: Any) -> str | None:
        """Once in a while, while the child itself runs: start one if there is none; a line if one failed."""
        now = now_s()
        if self.process is None:
            if now >= self._retry_s:
                self._start(config)
            return None
        state = self.process_state.state
        stuck = state is State.STARTING and now - self.process_state.heartbeat_s > START_LIMIT_S[self._role]
        unborn = state is State.NONE and now - self._started_s > BIRTH_S
        if self.process.is_alive() and state is not State.FAILED and not stuck and not unborn:
            return None
        why = self.process_state.error or ("it was stuck" if stuck or unborn else f"exit code {self.process.exitcode}")
        self.end()
        pause_s = PAUSE_S[min(self._failures, len(PAUSE_S) - 1)]
        self._failures += 1
        self._retry_s = now + pause_s
        return f"the spare of {self._role} is gone ({why}): another one follows" if self._failures == 1 else None

    def take(self, word: str) -> BaseProcess:
        """It is called, with that word, and belongs to the child from now on. Only if it is `ready`."""
        assert self.process is not None
        assert self._call is not None
        process, self.process = self.process, None
        self._call.send(word)
        self._call.close()
        self._call = None
        self.process_state.clear()
        self._failures = 0
        self._retry_s = now_s() + PAUSE_S[0]
        return process

    def end(self) -> None:
        if self._call is not None:
            self._call.close()
            self._call = None
        if self.process is not None:
            self.process.kill()
            self.process.join(1.0)
            self.process = None
        self.process_state.clear()

    def _start(self, config: Any) -> None:
        self.process_state.clear()
        self._started_s = now_s()
        try:
            heard, self._call = multiprocessing.get_context("spawn").Pipe(duplex=False)
            with contextlib.closing(heard):
                self.process = spawn(self._role, self._segment, config, self._log, heard)
        except OSError:  # no memory for it, or no more open files: the child plays on without one
            self.end()
            self._retry_s = now_s() + PAUSE_S[-1]


class SparedChild(Child):
    """A child whose place a spare takes: at once if it ended, and soon if it stands still."""

    def __init__(self, role: str, segment: Segment, config: Any, log: Log) -> None:
        super().__init__(role, segment, config, log)
        self.spare = Spare(role, segment, log)
        self.take_overs = 0
        self._has_died = False

    def watch(self) -> str | None:
        notice = super().watch()
        if self.process is not None and self.process_state.state is State.RUNNING:
            notice = notice or self.spare.look(self.config)
        return notice

    def join(self, deadline_s: float) -> None:
        self.spare.end()
        super().join(deadline_s)

    @property
    def _patience_s(self) -> float:
        return FREEZE_S if self.spare.ready else super()._patience_s

    def _remedy(self, exitcode: int | None) -> str:
        if not self.spare.ready:
            return super()._remedy(exitcode)
        crashed = self.process_state.label if exitcode is not None and -exitcode in CRASHES else ""
        self.restarts += 1
        self.take_overs += 1
        self._forget()
        self.process = self.spare.take(crashed)
        return "its spare plays on"
