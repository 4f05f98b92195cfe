"""The state of each child process: is it there, does its heart beat, what runs, what went wrong.

In and out: heartbeats, states, texts, in shared memory. Every method says which process may call it; knows nothing of
what a process does.
"""

# numpy's stubs need a newer Python than 3.10, which pyright checks for: its members come out half unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import enum
from typing import cast

import numpy as np

from livemove import contracts
from livemove.contracts import LivemoveError
from livemove.ipc.records import Record, observe, publish
from livemove.native._realtime import now_s

ROLES = ("capture", "synthesis", "playback", "monitor", "control", "spare")
"""The children, in the order of their records. spare: a second synthesis, which waits to take the first one's place."""


WAITING = "waiting for "
"""The label of a process that runs without its device begins so."""


class State(enum.IntEnum):
    """Where a child process is. FINISHED: nothing more to do (a video ended); FAILED: see ProcessState.error."""

    NONE = 0
    STARTING = 1
    RUNNING = 2
    FINISHED = 3
    FAILED = 4


class ProcessState:
    """One child's heartbeat, state and last words. Written by that child, cleared by the supervisor."""

    def __init__(self, record: Record) -> None:
        self._record = record

    # --- the child

    def starting(self, pid: int) -> None:
        self._record["pid"][0] = pid
        self.heartbeat()  # first: who looks at the state looks at how old this is
        self._publish(State.STARTING)

    def running(self, label: str) -> None:
        """label names what it runs on: the engine, the device, the camera. At most 127 bytes are kept."""
        self._put("label", label)
        self.heartbeat()
        self._publish(State.RUNNING)

    def waiting(self, what: str) -> None:
        """It runs, but what the performer named is not there yet, or gone: a camera, an audio device."""
        self.running(WAITING + what)

    def heartbeat(self) -> None:
        """A few times a second at least, from the loop that does the work."""
        self._record["heartbeat_s"][0] = now_s()

    def remark(self, text: str) -> None:
        """Something the person should read that ends nothing. At most 511 bytes are kept, and only the newest."""
        self._put("remark", text)
        publish(self._record["remarks"], int(self._record["remarks"][0]) + 1)

    def finished(self) -> None:
        self._publish(State.FINISHED)

    @property
    def asked_to_leave(self) -> bool:
        return bool(self._record["leave"][0])

    def failed(self, error: LivemoveError) -> None:
        self._put("error", type(error).__name__)
        self._put("message", str(error))
        self._publish(State.FAILED)

    # --- the supervisor

    def ask_to_leave(self) -> None:
        """The child is to end as at a stop; another one takes its place."""
        self._record["leave"][0] = 1

    def clear(self) -> None:
        for field in self._record.values():
            field[...] = np.zeros(1, field.dtype)

    # --- anyone

    @property
    def state(self) -> State:
        return State(observe(self._record["state"]))

    @property
    def pid(self) -> int:
        return int(self._record["pid"][0])

    @property
    def remarks(self) -> tuple[int, str]:
        """How many there were since it started, and the newest."""
        return observe(self._record["remarks"]), self._get("remark")

    @property
    def label(self) -> str:
        return self._get("label")

    @property
    def waits_for(self) -> str:
        """What `waiting` was given; "": it has what it needs."""
        return self.label.removeprefix(WAITING) if self.label.startswith(WAITING) else ""

    @property
    def heartbeat_s(self) -> float:
        return float(self._record["heartbeat_s"][0])

    @property
    def error(self) -> LivemoveError | None:
        """What `failed` was given, as the same class, once state is FAILED."""
        if self.state is not State.FAILED:
            return None
        kind = cast("type[LivemoveError]", getattr(contracts, self._get("error"), LivemoveError))
        return kind(self._get("message"))

    def _publish(self, state: State) -> None:
        """After all that belongs to it: its label, its error, the heartbeat by which its age is told."""
        publish(self._record["state"], state)

    def _put(self, name: str, text: str) -> None:
        field = self._record[name]
        room = field.dtype.itemsize - 1
        field[0] = text.encode(errors="replace")[:room]

    def _get(self, name: str) -> str:
        return bytes(self._record[name][0]).decode(errors="ignore")
