"""What can be steered while playing, each thing once: its name, how far it goes, and every way to it.

In: nothing, not even numpy: the command line's help reads it. Out: Action and CONTROLS, from which OSC addresses,
MIDI behaviour, keys, the window's tiles, presets and the command line take names and limits. Knows no protocol.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass


class Action(enum.IntEnum):
    """What may be asked for while playing. Takes keep the numbers: they never change."""

    GAIN = 1
    MUTE = 2
    TEMPERATURE = 3
    STYLE = 4
    STOP = 5
    FREEZE = 6
    PANIC = 7
    OCTAVE = 8
    SCALE = 9
    ROOT = 10
    LOOK_AHEAD = 11
    RELOAD = 12
    MODEL = 13
    PRESET = 14
    LEARN = 15
    RECORD = 16
    SAVE_LAST = 17
    CAMERA = 18
    DEVICE = 19
    STYLE_1 = 20
    STYLE_2 = 21
    STYLE_3 = 22
    STYLE_4 = 23
    STYLE_5 = 24
    STYLE_6 = 25
    STYLE_7 = 26
    STYLE_8 = 27
    SWAP_HANDS = 28
    SAVE_PRESET = 29
    SNAP = 30
    GAIN_1 = 40
    GAIN_2 = 41
    GAIN_3 = 42
    GAIN_4 = 43
    PAN_1 = 44
    PAN_2 = 45
    PAN_3 = 46
    PAN_4 = 47
    REVERB = 50
    REVERB_DECAY = 51
    REVERB_DAMPING = 52
    DELAY = 53
    DELAY_TIME = 54
    DELAY_BEATS = 55
    DELAY_FEEDBACK = 56
    TEMPO = 57
    LOOP = 60
    LOOP_UNDO = 61
    LOOP_STOP = 62
    LOOP_CLEAR = 63
    LOOP_LEVEL = 64
    LOOP_QUANTIZE = 65


class Kind(enum.Enum):
    """How a control behaves.

    VALUE    a number within limits; a knob sets it, a key held down goes on changing it
    STEPS    a whole number within limits
    LIST     one of a list, by its place; step by step it goes round
    SWITCH   on or off
    TRIGGER  happens once
    """

    VALUE = "value"
    STEPS = "steps"
    LIST = "list"
    SWITCH = "switch"
    TRIGGER = "trigger"


LOOK_AHEAD_MS = 80.0
"""The most that a body is predicted, and what is usual: "auto" compensates the latency that is measured, up to this."""


SNAP_AS_MAPPED = -0.05
"""Below 0, the lower end of snap: the mapping says how closely a scale holds the pitch."""


@dataclass(frozen=True)
class Control:
    """One thing that can be steered.

    name        its OSC address, /livemove/NAME, and what MIDI learning calls it
    help        what its key does, in a few words
    low, high   limits in `unit`, the unit of a Request's amount; of VALUE and STEPS
    usual       in that unit: what it is when nobody set it
    step        what one press of its key adds
    resolution  the finest step of the mouse; of VALUE
    key         a letter, digit or mark, or a name of KEY_NAMES; with Shift, or as back_key, the other way round
    in_decibels a further OSC address, where `name` itself takes a linear factor
    counts      LIST: the number OSC has for the first entry
    by_name     OSC takes what the command line takes: a number, an address or part of a name
    knob        MIDI: the values at both ends of a knob
    controller  MIDI: the control change that plays it without being taught
    preset      its entry in a preset
    """

    name: str
    action: Action
    kind: Kind
    help: str
    low: float = -math.inf
    high: float = math.inf
    usual: float = 0.0
    unit: str = ""
    step: float = 1.0
    resolution: float = 0.0
    key: str = ""
    back_key: str = ""
    in_decibels: str = ""
    counts: int = 0
    by_name: bool = False
    knob: tuple[float, float] | None = None
    controller: int | None = None
    preset: str = ""

    @property
    def limits(self) -> tuple[float, float]:
        return self.low, self.high

    @property
    def label(self) -> str:
        """As the window writes it."""
        return self.name.replace("_", "-")

    @property
    def key_label(self) -> str:
        """The key as it is printed on a keyboard; of two, both."""
        return " ".join(KEY_NAMES.get(key, key.upper()) for key in (self.key, self.back_key) if key)

    def amount(self, back: bool = False) -> float:
        """What one press of its key asks for: a step, or 0 for what has no direction."""
        if self.kind in (Kind.SWITCH, Kind.TRIGGER):
            return 0.0
        return -self.step if back else self.step


KEY_NAMES = {
    "up": "↑",
    "down": "↓",
    "space": "Space",
    "backspace": "Backspace",
    "page_up": "Page ↑",
    "page_down": "Page ↓",
    "f5": "F5",
}
"""Keys that are no letters, and how they are written."""

STYLE_WEIGHTS = tuple(Action[f"STYLE_{i}"] for i in range(1, 9))
"""The weights of a model's styles, in their order: so many styles can be blended. One with more plays one at a time."""

MAX_LAYERS = 4
"""So many voices can one body play at once."""

LAYER_GAINS = tuple(Action[f"GAIN_{i}"] for i in range(1, MAX_LAYERS + 1))
LAYER_PANS = tuple(Action[f"PAN_{i}"] for i in range(1, MAX_LAYERS + 1))

LOWEST_TEMPO = 20.0
"""Beats a minute; below it there is no tempo."""

LOOP_PARTS = (0.0, 1.0, 2.0, 4.0)
"""Beats that the looper's main pedal may wait for: none, a beat, half a bar, a bar."""

_TABLE = (
    Control(
        "gain", Action.GAIN, Kind.VALUE, "gain", -60.0, 20.0, 0.0, "dB", step=1.0, resolution=0.5, key="up",
        back_key="down", in_decibels="gain_db", knob=(-48.0, 6.0), preset="gain",
    ),
    Control("mute", Action.MUTE, Kind.SWITCH, "mute", key="m", preset="muted"),
    Control("freeze", Action.FREEZE, Kind.SWITCH, "freeze", key="space", controller=64),
    Control("panic", Action.PANIC, Kind.TRIGGER, "panic", key="backspace", controller=120),
    Control("record", Action.RECORD, Kind.SWITCH, "begin or end a take", key="r"),
    Control("save_last", Action.SAVE_LAST, Kind.TRIGGER, "keep the last minutes", key="w"),
    Control("model", Action.MODEL, Kind.LIST, "model", key="n", counts=1, preset="model"),
    Control("preset", Action.PRESET, Kind.LIST, "preset", key="p", counts=1),
    Control(
        "temperature", Action.TEMPERATURE, Kind.VALUE, "temperature", 0.0, 4.0, 1.0, step=0.05, resolution=0.01,
        key="t", knob=(0.0, 2.0), preset="temperature",
    ),
    Control("style", Action.STYLE, Kind.LIST, "style", key="page_down", back_key="page_up", counts=1, preset="style"),
    # From one end of a knob to the other: five octaves, each as wide as the others.
    Control("octave", Action.OCTAVE, Kind.STEPS, "octave", -4, 4, 0, "octaves", key="o", knob=(-2.4, 2.4),
            preset="octave"),
    Control("scale", Action.SCALE, Kind.LIST, "scale", key="k", preset="scale"),
    Control("root", Action.ROOT, Kind.LIST, "root", key="j", preset="root"),
    Control(
        "snap", Action.SNAP, Kind.VALUE, "snap to the scale", SNAP_AS_MAPPED, 1.0, SNAP_AS_MAPPED, step=0.1,
        resolution=0.01, key="z", knob=(0.0, 1.0), preset="snap",
    ),
    Control(
        "look_ahead", Action.LOOK_AHEAD, Kind.VALUE, "look-ahead", 0.0, LOOK_AHEAD_MS, LOOK_AHEAD_MS, "ms",
        step=10.0, resolution=1.0, key="l", knob=(0.0, LOOK_AHEAD_MS), preset="look_ahead_ms",
    ),
    Control("swap_hands", Action.SWAP_HANDS, Kind.SWITCH, "swap left and right", key="x"),
    Control("save_preset", Action.SAVE_PRESET, Kind.TRIGGER, "keep what is set as a preset", key="b"),
    Control(
        "reverb", Action.REVERB, Kind.VALUE, "reverb send", 0.0, 1.0, 0.0, step=0.05, resolution=0.01, key="e",
        knob=(0.0, 1.0), preset="reverb",
    ),
    Control(
        "reverb_decay", Action.REVERB_DECAY, Kind.VALUE, "reverb decay", 0.2, 20.0, 2.0, "s", step=0.1,
        resolution=0.1, key="8", back_key="7", knob=(0.2, 8.0), preset="reverb_decay_s",
    ),
    Control(
        "reverb_damping", Action.REVERB_DAMPING, Kind.VALUE, "reverb damping", 0.0, 1.0, 0.5, step=0.05,
        resolution=0.01, key="6", back_key="5", knob=(0.0, 1.0), preset="reverb_damping",
    ),
    Control(
        "delay", Action.DELAY, Kind.VALUE, "delay send", 0.0, 1.0, 0.0, step=0.05, resolution=0.01, key="y",
        knob=(0.0, 1.0), preset="delay",
    ),
    Control(
        "delay_time", Action.DELAY_TIME, Kind.VALUE, "delay time", 10.0, 2000.0, 400.0, "ms", step=10.0,
        resolution=5.0, key="u", knob=(50.0, 1000.0), preset="delay_time_ms",
    ),
    Control(
        "delay_beats", Action.DELAY_BEATS, Kind.VALUE, "delay in beats", 0.0, 4.0, 0.0, "beats", step=0.25,
        resolution=0.25, key="0", back_key="9", knob=(0.0, 2.0), preset="delay_beats",
    ),
    Control(
        "delay_feedback", Action.DELAY_FEEDBACK, Kind.VALUE, "delay feedback", 0.0, 0.95, 0.4, step=0.05,
        resolution=0.01, key="g", knob=(0.0, 0.95), preset="delay_feedback",
    ),
    Control(
        "tempo", Action.TEMPO, Kind.VALUE, "tempo", 0.0, 300.0, 0.0, "bpm", step=1.0, resolution=0.5, key="a",
        knob=(60.0, 187.0), preset="tempo",
    ),
    Control("loop", Action.LOOP, Kind.TRIGGER, "loop: record, close, overdub", key="1"),
    Control("loop_undo", Action.LOOP_UNDO, Kind.TRIGGER, "loop: undo", key="2"),
    Control("loop_stop", Action.LOOP_STOP, Kind.TRIGGER, "loop: silent, heard", key="3"),
    Control("loop_clear", Action.LOOP_CLEAR, Kind.TRIGGER, "loop: clear", key="4"),
    Control(
        "loop_level", Action.LOOP_LEVEL, Kind.VALUE, "loop level", 0.0, 1.0, 1.0, step=0.05, resolution=0.01, key=".",
        back_key=",", knob=(0.0, 1.0), preset="loop_level",
    ),
    Control(
        "loop_quantize", Action.LOOP_QUANTIZE, Kind.VALUE, "loop on the beat", 0.0, LOOP_PARTS[-1], 0.0, "beats",
        step=1.0, resolution=1.0, key="+", back_key="-", knob=(0.0, LOOP_PARTS[-1]), preset="loop_quantize",
    ),
    Control("camera", Action.CAMERA, Kind.LIST, "view (camera)", key="v", by_name=True),
    Control("device", Action.DEVICE, Kind.LIST, "audio device", key="d", by_name=True),
    Control("reload", Action.RELOAD, Kind.TRIGGER, "read the mapping again", key="f5"),
    *(
        Control(f"style_{i}", action, Kind.VALUE, f"weight of style {i}", 0.0, 1.0, 0.0, step=0.05, resolution=0.01,
                knob=(0.0, 1.0))
        for i, action in enumerate(STYLE_WEIGHTS, 1)
    ),
    *(
        Control(f"gain_{i}", action, Kind.VALUE, f"gain of layer {i}", -60.0, 20.0, 0.0, "dB", step=1.0, resolution=0.5,
                in_decibels=f"gain_{i}_db", knob=(-48.0, 6.0))
        for i, action in enumerate(LAYER_GAINS, 1)
    ),
    *(
        Control(f"pan_{i}", action, Kind.VALUE, f"layer {i} between left (-1) and right (1)", -1.0, 1.0, 0.0, step=0.1,
                resolution=0.05, knob=(-1.0, 1.0))
        for i, action in enumerate(LAYER_PANS, 1)
    ),
)  # fmt: skip

CONTROLS = {control.name: control for control in _TABLE}
"""By name; in the order in which keys are listed. All of Action but STOP, which ends the performance, and LEARN, which
binds a knob to one of these."""

BY_ACTION = {control.action: control for control in _TABLE}

EFFECT_VALUES = tuple(
    CONTROLS[name]
    for name in (
        *("reverb", "reverb_decay", "reverb_damping", "delay", "delay_time", "delay_beats", "delay_feedback"),
        *("tempo", "loop_level", "loop_quantize"),
    )
)
"""What is set of the effects: in Controls and in presets under `preset`, in the unit of a Request's amount."""

LOOP_PRESSES = {
    Action.LOOP: "loops", Action.LOOP_UNDO: "loop_undos", Action.LOOP_STOP: "loop_stops",
    Action.LOOP_CLEAR: "loop_clears",
}  # fmt: skip
"""What the looper is told, and where Controls counts it: synthesis does one thing with each new one."""

GAIN_FACTORS = (0.0, 10.0 ** (CONTROLS["gain"].high / 20.0))
"""The limits of gain as a linear factor, as the command line and presets have it; 0 is silence."""

MAX_DANCERS = 2
"""People who are told from each other."""

BLOCKS = (32, 8192)
"""Frames an audio device may be asked to take at once."""

SAMPLE_RATES = (8000, 192000)
"""Rates in Hz an audio device may be asked for."""


def key_press(key: str, shifted: bool) -> tuple[Control, float] | None:
    """What a key, a letter or one of KEY_NAMES, asks for, and by how much; None: nothing."""
    for control in _TABLE:
        if key and key in (control.key, control.back_key):
            return control, control.amount(key == control.back_key or (shifted and not control.back_key))
    return None


def decibels(factor: float) -> float:
    """Of a linear factor, not below -120."""
    return 20.0 * math.log10(max(factor, 1e-6))
