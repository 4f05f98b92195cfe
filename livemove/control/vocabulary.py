"""Names of all that may be asked for from outside, and what a moment's messages come to. Knows no protocol."""

from __future__ import annotations

from dataclasses import dataclass, field

from livemove.contracts import Action, ControlError, Request

SETS = {
    "gain": Action.GAIN,
    "gain_db": Action.GAIN,
    "temperature": Action.TEMPERATURE,
    "style": Action.STYLE,
    "octave": Action.OCTAVE,
    "scale": Action.SCALE,
    "root": Action.ROOT,
    "look_ahead": Action.LOOK_AHEAD,
    "model": Action.MODEL,
    "preset": Action.PRESET,
    "camera": Action.CAMERA,
    "device": Action.DEVICE,
}
"""What has a value."""

SWITCHES = {"mute": Action.MUTE, "freeze": Action.FREEZE, "record": Action.RECORD}
"""What is on or off."""

TRIGGERS = {"panic": Action.PANIC, "reload": Action.RELOAD, "save_last": Action.SAVE_LAST}
"""What happens once."""

LEARNABLE = {**{name: action for name, action in SETS.items() if name != "gain_db"}, **SWITCHES, **TRIGGERS}
"""What a knob, pad or pedal may be bound to."""


NOTES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
FLATS = {"Db": "C#", "Eb": "D#", "Gb": "F#", "Ab": "G#", "Bb": "A#"}


def note_number(name: str) -> int:
    """C..B -> 1..12, as Controls.root has it; 0 for what is no note."""
    name = FLATS.get(name, name)
    return NOTES.index(name) + 1 if name in NOTES else 0


def learnable(name: str) -> Action:
    """What that name asks for. Raises ControlError naming those there are."""
    if name not in LEARNABLE:
        raise ControlError(f"there is nothing called {name!r} to learn; there are {', '.join(LEARNABLE)}")
    return LEARNABLE[name]


@dataclass
class Received:
    """Requests and values received since the last call, from OSC or MIDI.

    inputs: name -> newest value; skipped: messages of a flood that later ones stood in for; trouble: the first one.
    """

    requests: list[Request] = field(default_factory=list[Request])
    inputs: dict[str, float] = field(default_factory=dict[str, float])
    messages: int = 0
    skipped: int = 0
    troubles: int = 0
    trouble: str = ""

    def complain(self, trouble: str) -> None:
        self.troubles += 1
        self.trouble = self.trouble or trouble
