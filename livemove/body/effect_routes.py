"""[effects] of a mapping: which sources play the reverberation, the delay and the place between left and right.

In: tables of a mapping.toml, through the reader of channels. Out: PlayedEffects, played like channels. Knows no effect:
what they do with it is synthesis/effects.py.

    [effects]
    reverb = "crouch"            0..1 of the source are 0..1 of the send
    [effects.delay]              or with all that a channel has
    source = "right_hand_height"
    from = [-0.5, 1.0]
    to = [0.0, 0.6]
    smoothing_s = 0.1
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from livemove.contracts import Channel, Float32
from livemove.controls import CONTROLS

EFFECT_CHANNELS = {
    "reverb": Channel("effects.reverb", "send", *CONTROLS["reverb"].limits, 0.0),
    "delay": Channel("effects.delay", "send", *CONTROLS["delay"].limits, 0.0),
    "delay_time": Channel("effects.delay_time", "ms", *CONTROLS["delay_time"].limits, CONTROLS["delay_time"].usual),
    "pan": Channel("effects.pan", "left..right", -1.0, 1.0, 0.0),
}
"""What can be played, in the unit of its control; with nobody in view it rests: dry, and in the middle."""

PLAYED = ("reverb", "delay", "delay_s", "pan")
"""The same as settings of a hop, in their order; the delay's time in seconds."""

_SCALES = np.array([1.0, 1.0, 1e-3, 1.0])


@dataclass(frozen=True)
class PlayedEffects:
    """Which of EFFECT_CHANNELS are played: the channels behind the model's and its styles'. names: in their order."""

    names: tuple[str, ...]

    def take(self, values: np.ndarray, played: Float32) -> None:
        """Fill played [PLAYED] from the values of those channels; NaN where none is."""
        played[:] = math.nan
        for name, value in zip(self.names, values, strict=True):
            place = list(EFFECT_CHANNELS).index(name)
            played[place] = value * _SCALES[place]


def entries_of(name: str, value: object) -> object:
    """The table of one effect as a channel has it: a source alone plays all of it with 0..1 (the pan: with -1..1)."""
    if not isinstance(value, str):
        return value
    return {"source": value, "from": [-1.0 if name == "pan" else 0.0, 1.0]}
