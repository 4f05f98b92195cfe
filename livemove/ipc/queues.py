"""Requests to the supervisor, in order and once: what the window, the keyboard, MIDI, OSC and triggers ask for; and
messages that triggers send, on their way to control.

In: requests of one asking process for each queue, messages of synthesis. Out: the same, to the supervisor and to
control. Knows no action's meaning and no protocol.
"""

# numpy's stubs need a newer Python than 3.10, which pyright checks for: its members come out half unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from livemove.contracts import Action, Request, SentMessage
from livemove.native import _realtime
from livemove.native._realtime import TEXT_BYTES


class RequestQueue:
    """What the performer asks of the supervisor, in order and once. One asker, one taker."""

    def __init__(self, native: _realtime.Requests | _realtime.Commands | _realtime.Triggered) -> None:
        self._native = native

    def ask(self, request: Request) -> bool:
        """The asker only. False: the supervisor has not listened to the last 64.

        PANIC is never refused, and not only the supervisor hears it: the callback fades out from its next block on.
        """
        if request.action is Action.PANIC:
            self._native.panic()
            return True
        text = request.text.encode(errors="replace")
        if len(text) > TEXT_BYTES:
            raise ValueError(f"a request has room for {TEXT_BYTES} bytes of text, not {len(text)}")
        return self._native.push(-request.action if request.absolute else request.action, request.amount, text)

    def take(self) -> Request | None:
        """Supervisor only: PANIC, if it was asked for (amount: how often), else the oldest one not taken yet."""
        if panics := self._native.take_panics():
            return Request(Action.PANIC, float(panics))
        asked = self._native.pop()
        if asked is None:
            return None
        action, amount, text = asked
        return Request(Action(abs(action)), amount, absolute=action < 0, text=text.decode(errors="ignore"))


class Outbox:
    """What triggers send: OSC messages, MIDI notes and program changes. Synthesis puts, control takes."""

    def __init__(self, native: _realtime.Outbox) -> None:
        self._native = native

    def put(self, message: SentMessage) -> bool:
        """Synthesis only; of OSC, with a value. False: nobody took the last 64, as where nothing is to be sent; it is
        left out."""
        kind = 0 if not message.address else 2 if message.whole else 1
        what = message.address or f"{message.note} {message.velocity} {message.seconds} {message.program}"
        return self._native.push(kind, message.value or 0.0, f"{message.due_s} {what}".encode())

    def take(self) -> SentMessage | None:
        """Control only: the oldest one not taken yet."""
        found = self._native.pop()
        if found is None:
            return None
        kind, value, text = found
        due, _, what = text.decode().partition(" ")
        if kind:
            return SentMessage(address=what, value=value, whole=kind == 2, due_s=float(due))
        note, velocity, seconds, program = what.split()
        return SentMessage(
            note=int(note), velocity=int(velocity), seconds=float(seconds), program=int(program), due_s=float(due)
        )
