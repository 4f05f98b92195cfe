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
    """What triggers send: OSC messages and MIDI notes. Synthesis puts, control takes."""

    def __init__(self, native: _realtime.Outbox) -> None:
        self._native = native

    def put(self, message: SentMessage) -> bool:
        """Synthesis only. False: nobody took the last 64, as where nothing is to be sent; it is left out."""
        what = message.address or f"{message.note} {message.velocity} {message.seconds}"
        text = f"{message.due_s} {what}"
        return self._native.push(int(bool(message.address)), message.value, text.encode())

    def take(self) -> SentMessage | None:
        """Control only: the oldest one not taken yet."""
        found = self._native.pop()
        if found is None:
            return None
        is_osc, value, text = found
        due, _, what = text.decode().partition(" ")
        if is_osc:
            return SentMessage(address=what, value=value, due_s=float(due))
        note, velocity, seconds = what.split()
        return SentMessage(
            value=value, note=int(note), velocity=int(velocity), seconds=float(seconds), due_s=float(due)
        )
