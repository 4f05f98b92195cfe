"""What is typed in the terminal -> what it asks for: the same letters as in the window.

In: what a terminal gives for a key. Out: Requests. Knows no terminal and no window.
"""

from __future__ import annotations

from livemove.contracts import Action, Request

GAIN_DB, TEMPERATURE, LOOK_AHEAD_MS = 1.0, 0.05, 10.0

KEYS = {
    "up": Request(Action.GAIN, GAIN_DB),
    "down": Request(Action.GAIN, -GAIN_DB),
    "m": Request(Action.MUTE),
    " ": Request(Action.FREEZE),
    "\x7f": Request(Action.PANIC),
    "\b": Request(Action.PANIC),
    "n": Request(Action.MODEL, 1.0),
    "N": Request(Action.MODEL, -1.0),
    "p": Request(Action.PRESET, 1.0),
    "P": Request(Action.PRESET, -1.0),
    "t": Request(Action.TEMPERATURE, TEMPERATURE),
    "T": Request(Action.TEMPERATURE, -TEMPERATURE),
    "o": Request(Action.OCTAVE, 1.0),
    "O": Request(Action.OCTAVE, -1.0),
    "k": Request(Action.SCALE, 1.0),
    "K": Request(Action.SCALE, -1.0),
    "j": Request(Action.ROOT, 1.0),
    "J": Request(Action.ROOT, -1.0),
    "l": Request(Action.LOOK_AHEAD, LOOK_AHEAD_MS),
    "L": Request(Action.LOOK_AHEAD, -LOOK_AHEAD_MS),
    "v": Request(Action.CAMERA, 1.0),
    "V": Request(Action.CAMERA, -1.0),
    "d": Request(Action.DEVICE, 1.0),
    "D": Request(Action.DEVICE, -1.0),
    "r": Request(Action.RECORD),
    "w": Request(Action.SAVE_LAST),
}

HELP = (
    "keys: ↑ ↓ gain, M mute, Space freeze, Backspace panic, R begin or end a take, W keep the last minutes, N model, "
    "P preset, T temperature, O octave, K scale, J root, L look-ahead, V view (camera), D audio device (with "
    "Shift: the other way), Ctrl-C end"
)
"""What one reads in the terminal."""

ARROWS = {"\x1b[A": "up", "\x1bOA": "up", "\x1b[B": "down", "\x1bOB": "down"}
"""As terminals on Linux and macOS send them."""


def asked(typed: str) -> list[Request]:
    """Of everything that was typed since the last time, in order; what means nothing asks for nothing."""
    found: list[Request] = []
    while typed:
        arrow = next((keys for keys in ARROWS if typed.startswith(keys)), "")
        name = ARROWS[arrow] if arrow else typed[0]
        typed = typed[len(arrow) or 1 :]
        request = KEYS.get(name) or KEYS.get(name.lower())
        if request is not None:
            found.append(request)
    return found
