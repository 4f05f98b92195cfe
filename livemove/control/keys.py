"""What is typed in the terminal -> what it asks for: the same letters as in the window.

In: what a terminal gives for a key. Out: Requests. Knows no terminal and no window; keys and steps are controls.py's.
"""

from __future__ import annotations

from livemove.contracts import Request
from livemove.controls import CONTROLS, key_press

TYPED = {
    "\x1b[A": "up",
    "\x1bOA": "up",
    "\x1b[B": "down",
    "\x1bOB": "down",
    "\x7f": "backspace",
    "\b": "backspace",
    " ": "space",
}
"""Keys that are no letters, as terminals send them."""

_LISTED = [control for control in CONTROLS.values() if len(control.key) == 1 or control.key in TYPED.values()]

HELP = (
    f"keys: {', '.join(f'{control.key_label} {control.help}' for control in _LISTED)} (with Shift: the other way), "
    "Ctrl-C end"
)
"""What one reads in the terminal."""


def asked(typed: str) -> list[Request]:
    """Of everything that was typed since the last time, in order; what means nothing asks for nothing."""
    found: list[Request] = []
    while typed:
        sent = next((sent for sent in TYPED if typed.startswith(sent)), typed[0])
        typed = typed[len(sent) :]
        press = key_press(TYPED.get(sent, sent.lower()), shifted=sent.isupper())
        if press is not None:
            found.append(Request(press[0].action, press[1]))
    return found
