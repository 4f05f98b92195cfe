"""What the performer is told about what was asked: what it did, or why it did nothing.

In: requests, who asked, the controls before and after. Out: notices. A key that is held, or a fader that moves, is one
line and not thirty. Knows no process.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable

from livemove.contracts import Action, Controls, Request
from livemove.control import feedback
from livemove.control.feedback import Loaded
from livemove.controls import BY_ACTION, Kind
from livemove.ipc.segment import now_s

SETTLED_S = 0.3
"""A value that is still moving is told once it has stood for so long."""
AGAIN_S = 2.0
"""A key that is held asks thirty times a second: why it does nothing is told once, and again after such a pause."""


class Asker(enum.Enum):
    """Who asks. The window shows what is set itself; a terminal does not. OSC, MIDI and triggers are no fingers."""

    WINDOW = "window"
    TERMINAL = "terminal"
    OUTSIDE = "outside"


SHOWN_BY_NOTHING = (Action.OCTAVE, Action.SWAP_HANDS)
"""What the window tells in words, too: how far the voice reaches, and which hand is which."""


class Answers:
    """Lines about requests, into `notices`."""

    def __init__(self, notices: deque[str]) -> None:
        self._notices = notices
        self._refused: dict[str, float] = {}
        self._moving: dict[Action, tuple[str, float]] = {}

    def answer(
        self, asker: Asker, request: Request, before: Controls, after: Controls, loaded: Callable[[], Loaded]
    ) -> None:
        """About one request; loaded: what there is, asked for only where a line needs it."""
        told = asker is Asker.TERMINAL or request.action in SHOWN_BY_NOTHING
        if request.action not in BY_ACTION or (before != after and not told):
            return
        there = loaded()
        if line := feedback.refusal(before, after, request, there):
            self._refuse(line, asker)
        elif told and (before != after or request.action is Action.PANIC):
            line = feedback.change(after, request, there)
            if line and BY_ACTION[request.action].kind in (Kind.VALUE, Kind.STEPS, Kind.LIST):
                self._moving[request.action] = (line, now_s())
            elif line:
                self._notices.append(line)

    def settle(self, all_of_them: bool = False) -> None:
        """A few times a second: tell what has stopped moving."""
        for action, (line, since_s) in list(self._moving.items()):
            if all_of_them or now_s() - since_s >= SETTLED_S:
                del self._moving[action]
                self._notices.append(line)

    def _refuse(self, line: str, asker: Asker) -> None:
        """Keys again after a pause; OSC and MIDI, which nobody reads while they are sent, once."""
        last_s = self._refused.get(line)
        self._refused[line] = now_s()
        if last_s is None or (asker is not Asker.OUTSIDE and now_s() - last_s > AGAIN_S):
            self._notices.append(line)
