"""What is typed in the terminal -> what it asks for: the same letters as in the window; and why a key does nothing.

In: what a terminal gives for a key. Out: Requests and lines. Knows no terminal and no window; keys and steps are
controls.py's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from livemove.contracts import Request
from livemove.controls import CONTROLS, key_press

TYPED = {
    "\x1b[A": "up",
    "\x1bOA": "up",
    "\x1b[B": "down",
    "\x1bOB": "down",
    "\x1b[5~": "page_up",
    "\x1b[6~": "page_down",
    "\x1b[15~": "f5",
    "\x7f": "backspace",
    "\b": "backspace",
    " ": "space",
}
"""Keys that are no letters, as terminals send them."""

_LISTED = [control for control in CONTROLS.values() if len(control.key) == 1 or control.key in TYPED.values()]

HELP = (
    f"keys: {', '.join(f'{control.key_label} {control.help}' for control in _LISTED)} (with Shift: the other way), "
    "? these keys, Ctrl-C end"
)
"""What one reads in the terminal."""

WINDOW_KEYS = {"c": "body features", "s": "the stage view", "f": "full screen", "i": "the mirrored image"}
"""What only the window has."""

_SEQUENCE = re.compile(r"\x1b(\[[0-9;]*[ -/]*[@-~]|O.|[^\[O])?")
"""A key that is no character, as terminals send it (ECMA-48); or Esc alone."""


@dataclass
class Typed:
    """requests: what was asked for, in order; lines: for the person, about keys that ask for nothing."""

    requests: list[Request] = field(default_factory=list[Request])
    lines: list[str] = field(default_factory=list[str])


def understood(typed: str) -> Typed:
    """Of everything that was typed since the last time."""
    found = Typed()
    while typed:
        sent = _SEQUENCE.match(typed)
        key = typed[0] if sent is None else sent.group()
        typed = typed[len(key) :]
        press = key_press(TYPED.get(key, key.lower()), shifted=key.isupper())
        if press is not None:
            found.requests.append(Request(press[0].action, press[1]))
        elif (line := _why_not(key)) not in found.lines:
            found.lines.append(line)
    return found


def _why_not(key: str) -> str:
    """What there is to say about a key that asks for nothing."""
    if key.lower() in ("?", "h"):
        return HELP
    if key.lower() == "q":
        return "Q ends the performance in the window only: here Ctrl-C does"
    if key.lower() in WINDOW_KEYS:
        return f"{key.upper()}: {WINDOW_KEYS[key.lower()]}: in the window only (--monitor)"
    name = key.upper() if key.isprintable() else "Esc" if key == "\x1b" else "this key"
    return f"{name} does nothing here: ? lists the keys"
