"""Names of all that may be asked for from outside, and what a moment's messages come to. Knows no protocol."""

from __future__ import annotations

from dataclasses import dataclass, field

from livemove.body.notes import pitch_class
from livemove.contracts import Action, ControlError, Request
from livemove.controls import CONTROLS, Kind

SETS = {
    name: control.action
    for control in CONTROLS.values()
    for name in (control.name, control.in_decibels)
    if name and control.kind in (Kind.VALUE, Kind.STEPS, Kind.LIST)
}
"""What has a value."""

SWITCHES = {name: control.action for name, control in CONTROLS.items() if control.kind is Kind.SWITCH}
"""What is on or off."""

TRIGGERS = {name: control.action for name, control in CONTROLS.items() if control.kind is Kind.TRIGGER}
"""What happens once."""

LEARNABLE = {name: control.action for name, control in CONTROLS.items()}
"""What a knob, pad or pedal may be bound to."""


def note_number(name: str) -> int:
    """A note's name -> 1..12 for C..B, as Controls.root has it; 0 for what is no note."""
    pitch = pitch_class(name)
    return 0 if pitch is None else pitch + 1


def learnable(name: str) -> Action:
    """What that name asks for. Raises ControlError naming those there are."""
    if name not in LEARNABLE:
        raise ControlError(f"there is nothing called {name!r} to learn; there are {', '.join(LEARNABLE)}")
    return LEARNABLE[name]


@dataclass
class Received:
    """Requests and values received since the last call, from OSC or MIDI.

    inputs: name -> newest value; skipped: messages of a flood that later ones stood in for; troubles: what was not
    understood, trouble: the first one; told: lines about it that the person has not read yet.
    """

    requests: list[Request] = field(default_factory=list[Request])
    inputs: dict[str, float] = field(default_factory=dict[str, float])
    messages: int = 0
    skipped: int = 0
    troubles: int = 0
    trouble: str = ""
    told: list[str] = field(default_factory=list[str])

    def complain(self, trouble: str) -> None:
        self.troubles += 1
        self.trouble = self.trouble or trouble
