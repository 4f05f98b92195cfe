"""What a performer asks for while playing -> Controls: the one place that knows how far each may go.

Requests come from the monitor's keys (later from MIDI and OSC too). Knows no process, device, key or window.
"""

from __future__ import annotations

import math
from dataclasses import replace

from livemove.contracts import Action, Controls, Request

GAIN_DB = (-60.0, 20.0)
TEMPERATURE = (0.0, 4.0)


def steer(controls: Controls, request: Request, styles: int) -> Controls:
    """The controls after one request; styles: how many the model has. STOP is no control and changes nothing."""
    amount = request.amount
    if not math.isfinite(amount):
        return controls
    if request.action is Action.GAIN:
        decibels = 20.0 * math.log10(max(controls.gain, 1e-6)) + amount
        return replace(controls, gain=10.0 ** (min(max(decibels, GAIN_DB[0]), GAIN_DB[1]) / 20.0))
    if request.action is Action.MUTE:
        return replace(controls, mute=not controls.mute)
    if request.action is Action.TEMPERATURE:
        return replace(controls, temperature=min(max(controls.temperature + amount, TEMPERATURE[0]), TEMPERATURE[1]))
    if request.action is Action.STYLE:
        return replace(controls, style=(controls.style + round(amount)) % max(styles, 1))
    return controls
