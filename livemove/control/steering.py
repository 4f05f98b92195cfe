"""What a performer asks for while playing -> Controls; how far each may go says controls.py.

Requests come from the monitor's keys, from OSC and from MIDI. Knows no process, device, key or window.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from livemove.body.notes import NOTES, SCALES
from livemove.body.routes import PLAIN_SNAP
from livemove.contracts import MAX_BLEND, Action, ControlError, Controls, Request
from livemove.controls import (
    BY_ACTION,
    EFFECT_VALUES,
    LAYER_GAINS,
    LAYER_PANS,
    LOOP_PARTS,
    LOOP_PRESSES,
    LOWEST_TEMPO,
    STYLE_WEIGHTS,
    decibels,
)


def steer(
    controls: Controls, request: Request, styles: int, models: int = 1, presets: Sequence[Controls] = ()
) -> Controls:
    """The controls after one request.

    styles: how many the model has; models: how many are loaded; presets: what each of the set list sets, which is all
    but mute, swapped hands (they are the performer's) and whatever only counts. What is no control (STOP) changes
    nothing, nor does nonsense.
    """
    amount, absolute = request.amount, request.absolute
    if not math.isfinite(amount):
        return controls

    def near(now: float) -> float:
        """Within its limits."""
        low, high = BY_ACTION[action].limits
        return min(max(amount if absolute else now + amount, low), high)

    def place(now: int, count: int) -> int:
        """In a list: absolutely no further than its ends, step by step round and round."""
        step = round(min(max(amount, -1e9), 1e9))
        return min(max(step, 0), count - 1) if absolute else (now + step) % count

    action = request.action
    if action is Action.GAIN:
        return replace(controls, gain=10.0 ** (near(decibels(controls.gain)) / 20.0))
    if action in LAYER_GAINS:
        layer = LAYER_GAINS.index(action)
        gain = 10.0 ** (near(decibels(controls.gains[layer])) / 20.0)
        return replace(controls, gains=_with(controls.gains, layer, gain))
    if action in LAYER_PANS:
        layer = LAYER_PANS.index(action)
        return replace(controls, pans=_with(controls.pans, layer, near(controls.pans[layer])))
    if action is Action.MUTE:
        return replace(controls, mute=amount != 0.0 if absolute else not controls.mute)
    if action is Action.TEMPERATURE:
        return replace(controls, temperature=near(controls.temperature))
    if action is Action.STYLE:
        return replace(controls, style=place(controls.style, max(styles, 1)), styles=())
    if action in STYLE_WEIGHTS:
        return _weighed(controls, STYLE_WEIGHTS.index(action), near, styles)
    if action is Action.FREEZE:
        return replace(controls, freeze=amount != 0.0 if absolute else not controls.freeze)
    if action is Action.SWAP_HANDS:
        return replace(controls, swap_hands=amount != 0.0 if absolute else not controls.swap_hands)
    if action is Action.PANIC:
        return replace(controls, mute=True, freeze=False, panics=controls.panics + max(round(amount), 1))
    if action is Action.OCTAVE:
        return replace(controls, octave=round(near(controls.octave)))
    if action is Action.SCALE:
        return replace(controls, scale=place(controls.scale, len(SCALES) + 1))
    if action is Action.ROOT:
        return replace(controls, root=place(controls.root, len(NOTES) + 1))
    if action is Action.SNAP:
        first = PLAIN_SNAP if controls.snap < 0.0 < abs(amount) and not absolute else controls.snap
        return replace(controls, snap=near(first))
    if action is Action.LOOK_AHEAD:
        return replace(controls, look_ahead_s=near(1e3 * controls.look_ahead_s) / 1e3)
    if action in _EFFECTS:
        field = _EFFECTS[action]
        value = near(getattr(controls, field))
        if action is Action.TEMPO and 0.0 < value < LOWEST_TEMPO:  # step by step: from none to the usual one, and back
            value = 0.0 if absolute or amount < 0.0 else USUAL_TEMPO
        if action is Action.LOOP_QUANTIZE:
            value = _loop_part(value, up=not absolute and amount > 0.0)
        return replace(controls, **{field: value})
    if action in LOOP_PRESSES:
        field = LOOP_PRESSES[action]
        return replace(controls, **{field: getattr(controls, field) + 1})
    if action is Action.RELOAD:
        return replace(controls, reloads=controls.reloads + 1)
    if action is Action.MODEL:
        return replace(controls, model=place(controls.model, models), style=0, styles=())
    if action is Action.PRESET and presets:
        number = place(controls.preset - 1 if absolute or controls.preset else -1 if amount > 0 else 0, len(presets))
        kept = {name: getattr(controls, name) for name in _KEPT}
        return replace(presets[number], preset=number + 1, **kept)
    if action is Action.LEARN:
        return replace(controls, learn=round(min(max(amount, 0.0), float(max(Action)))))
    return controls


USUAL_TEMPO = 120.0

_EFFECTS = {control.action: control.preset for control in EFFECT_VALUES}


def _loop_part(wanted: float, up: bool) -> float:
    """One of LOOP_PARTS: the first that is not below what is wanted, or the last that is not above it."""
    return min(part for part in LOOP_PARTS if part >= wanted) if up else max(p for p in LOOP_PARTS if p <= wanted)


_KEPT = ("mute", "panics", "reloads", "learn", "swap_hands", *LOOP_PRESSES.values())
"""What no preset changes."""


def _with(values: tuple[float, ...], place: int, value: float) -> tuple[float, ...]:
    return (*values[:place], value, *values[place + 1 :])


def _weighed(controls: Controls, index: int, near: Callable[[float], float], styles: int) -> Controls:
    """With another weight of one style; before the first, the style that is set has all of it."""
    if not index < styles <= MAX_BLEND or styles < 2:
        return controls
    own = controls.styles or tuple(float(i == controls.style) for i in range(styles))
    weights = [*own, *[0.0] * (styles - len(own))][:styles]
    weights[index] = near(weights[index])
    strongest = max(range(styles), key=weights.__getitem__)
    return replace(controls, styles=tuple(weights) if any(weights) else (), style=strongest)


def choose(request: Request, names: Sequence[str], now: int) -> str | None:
    """Which camera or audio device a request means: its name in the list, or as it was given; None: none at all.

    names: cameras, or audio devices as "N NAME (HOST)". now: place of the one in use; -1: it is not in the list, so
    that the next is the first and the one before the last. A text is a whole name, a number, or a part of one name;
    what is in no list is taken as it is, for it may have been plugged in just now. Raises ControlError where several
    fit.
    """
    text = request.text
    if not text:
        if not names or not math.isfinite(request.amount):
            return None
        step = round(min(max(request.amount, -1e9), 1e9))
        if request.absolute:
            return names[min(max(step, 0), len(names) - 1)]
        return names[(now + step if now >= 0 else step - (step > 0)) % len(names)]
    if text in names:
        return text
    if text.isdecimal():
        return next((name for name in names if name.split(" ")[0] == text), text)
    wanted = text.casefold()
    found = [name for name in names if wanted in name.casefold()]
    exact = [name for name in found if wanted in _without_number(name.casefold())]
    found = exact or found
    if len(found) > 1:
        raise ControlError(f"{text!r} fits several: {', '.join(found[:4])}; give the number or the whole name")
    return found[0] if found else text


def _without_number(card: str) -> tuple[str, str]:
    """ "3 usb audio (alsa)" -> "usb audio (alsa)", "usb audio"."""
    label = card.partition(" ")[2]
    return label, label.rpartition(" (")[0]
