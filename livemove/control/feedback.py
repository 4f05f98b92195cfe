"""What a request did, or why it did nothing, in a line for the performer: the same whoever asked.

In: the controls before and after, and what is loaded. Out: text. Knows no key, no process and no file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from livemove.body.features import FEATURES
from livemove.body.mapping import Mapping
from livemove.body.notes import NOTES, SCALES, note_name
from livemove.body.routes import PITCH_UNIT
from livemove.body.sources import other_side
from livemove.contracts import MAX_BLEND, Action, Controls, ModelSpec, Request
from livemove.controls import (
    BY_ACTION,
    EFFECT_VALUES,
    LAYER_GAINS,
    LAYER_PANS,
    LOWEST_TEMPO,
    STYLE_WEIGHTS,
    Control,
    Kind,
    decibels,
)


@dataclass(frozen=True)
class Loaded:
    """What is there to be steered. models, presets: their names, in order; model: the name of the one that plays; spec,
    mapping: that model's, of several layers the first one's (None: its mapping cannot be read now); from_file: whether
    the mapping is a file; layers: how many play."""

    models: Sequence[str]
    presets: Sequence[str]
    model: str
    spec: ModelSpec
    mapping: Mapping | None = None
    from_file: bool = True
    layers: int = 1


def refusal(before: Controls, after: Controls, request: Request, loaded: Loaded) -> str:
    """Why a request changed nothing; "": it did something, or what it does is no matter of the controls."""
    action, model = request.action, loaded.model
    control = BY_ACTION.get(action)
    if action is Action.STYLE or action in STYLE_WEIGHTS:
        return _no_style(action, model, loaded.spec.styles)
    for actions in (LAYER_GAINS, LAYER_PANS):
        if action in actions and actions.index(action) >= loaded.layers:
            there = "one layer" if loaded.layers == 1 else f"{loaded.layers} layers"
            return f"{model} has {there}: -m {model}+NAME adds one"
    if control is not None and loaded.mapping is not None and control.name in loaded.mapping.played_effects:
        return f"{control.label} is played by the mapping of {model}, which comes before what is set"
    if action is Action.MODEL and len(loaded.models) < 2:
        return f"{model} is the only model that is loaded: -m {model} -m NAME loads two, to switch between"
    if action is Action.PRESET and not loaded.presets:
        return "no presets are loaded: -p NAME -p NAME loads two, to switch between; B keeps what is set as one"
    if action in (Action.OCTAVE, Action.SCALE, Action.ROOT, Action.SNAP) and not _has_pitch(loaded):
        return f"{model} has no pitch channel: octave, scale, root and snap change nothing"
    if action in (Action.ROOT, Action.SNAP) and not after.scale and not _mapped_scale(loaded.mapping):
        return f"{'a root' if action is Action.ROOT else 'snap'} counts only in a scale: K chooses one"
    if action is Action.SWAP_HANDS and loaded.mapping is not None and not _has_sides(loaded.mapping):
        return f"nothing of {model} is played by one hand or foot: there is nothing to swap"
    if action is Action.RELOAD and not loaded.from_file:
        return f"{model} plays body features as they are: it has no mapping to read"
    if control is not None and control.kind in (Kind.VALUE, Kind.STEPS) and before == after and not request.absolute:
        return f"{control.label} is {written(control, after)}: it goes no further"
    return ""


def change(after: Controls, request: Request, loaded: Loaded) -> str:
    """What a request did, now that the controls are so; "" for what is told elsewhere (takes, cameras, presets)."""
    action = request.action
    control = BY_ACTION.get(action)
    if action is Action.MUTE:
        return "muted: M brings the sound back" if after.mute else "sound again"
    if action is Action.FREEZE:
        return "frozen: the sound holds, whatever you do" if after.freeze else "the sound follows you again"
    if action is Action.PANIC:
        return "panic: silence; M brings the sound back"
    if action is Action.SWAP_HANDS:
        return "hands swapped: left plays what right played" if after.swap_hands else "hands as mapped"
    if action is Action.OCTAVE:
        return reach(after, loaded)
    if action in (Action.SCALE, Action.ROOT):
        return scale_line(after, loaded.mapping)
    if action is Action.STYLE and loaded.spec.styles:
        return f"style: {loaded.spec.styles[min(after.style, len(loaded.spec.styles) - 1)]}"
    if control is not None and control.kind is Kind.VALUE and action not in STYLE_WEIGHTS:
        return f"{control.label} {written(control, after)}"
    return ""


def reach(controls: Controls, loaded: Loaded) -> str:
    """The octave that is set, and what of it the model cannot play."""
    line = f"octave {controls.octave:+d}" if controls.octave else "octave 0"
    channel = next((c for c in loaded.spec.channels if c.unit == PITCH_UNIT), None)
    if loaded.mapping is None or channel is None:
        return line
    loaded.mapping.steer(controls.octave, controls.scale, controls.root, snap=controls.snap)
    moved, below, above = loaded.mapping.pitch_reach() or (controls.octave, 0.0, 0.0)
    if moved != controls.octave:
        line += f", no further than {moved:+d}" if moved else ", no further than as mapped"
    if below > 0.0:
        line += f": {loaded.model} plays from {note_name(channel.minimum)[0]} up, {_stay('lowest', below)}"
    if above > 0.0:
        line += f": {loaded.model} plays up to {note_name(channel.maximum)[0]}, {_stay('highest', above)}"
    return line


def _stay(which: str, semitones: float) -> str:
    return f"the {which} {semitones:g} semitones of your range stay there"


def scale_line(controls: Controls, mapping: Mapping | None) -> str:
    """The scale and its root that count now."""
    if not controls.scale and not _mapped_scale(mapping):
        return "scale: none, the pitch glides"
    name = list(SCALES)[controls.scale - 1].replace("_", " ") if controls.scale else "as mapped"
    return f"scale: {name}" + (f", root {NOTES[controls.root - 1]}" if controls.root else "")


def written(control: Control, controls: Controls) -> str:
    """What a control of VALUE or STEPS is, with its unit."""
    values = {
        Action.GAIN: decibels(controls.gain), Action.TEMPERATURE: controls.temperature, Action.OCTAVE: controls.octave,
        Action.LOOK_AHEAD: 1e3 * controls.look_ahead_s, Action.SNAP: controls.snap,
        **{action: decibels(gain) for action, gain in zip(LAYER_GAINS, controls.gains, strict=True)},
        **dict(zip(LAYER_PANS, controls.pans, strict=True)),
        **{each.action: getattr(controls, each.preset) for each in EFFECT_VALUES},
    }  # fmt: skip
    value = values.get(control.action, 0.0)
    if control.action in LAYER_PANS:
        return "in the middle" if abs(value) < 0.005 else f"{abs(value):.2f} {'left' if value < 0 else 'right'}"
    if control.action in (Action.GAIN, *LAYER_GAINS):
        return f"{value:+.1f} dB" if value > control.low else "−∞ dB"
    if control.action is Action.TEMPERATURE:
        return f"{value:.2f}"
    if control.action is Action.SNAP:
        return "as mapped" if value < 0.0 else "free, the pitch glides" if value < 0.005 else f"{100 * value:.0f} %"
    if control.action is Action.LOOK_AHEAD:
        return "auto" if value >= control.high else f"{value:.0f} ms"
    if control in EFFECT_VALUES:
        return _written_effect(control, value)
    return f"{value:+.0f}" if value else "0"


def _written_effect(control: Control, value: float) -> str:
    if control.action is Action.TEMPO:
        return f"{value:.1f} bpm" if value >= LOWEST_TEMPO else "none"
    if control.action is Action.LOOP_QUANTIZE:
        return {0.0: "free", 1.0: "to the beat", 4.0: "to the bar"}.get(value, f"to {value:g} beats")
    if control.action is Action.DELAY_BEATS:
        return f"{value:g} beats" if value else "off"
    if control.unit:
        return f"{value:.0f} ms" if control.unit == "ms" else f"{value:.1f} {control.unit}"
    return f"{value:.2f}" if value else "0"


def _no_style(action: Action, model: str, styles: Sequence[str]) -> str:
    count = len(styles)
    if action is Action.STYLE and count == 1:
        return f"{model} has one style, {styles[0]}"
    if count > 0 if action is Action.STYLE else 1 < count <= MAX_BLEND:
        return ""
    if count > MAX_BLEND:
        return f"{model} has {count} styles and plays one at a time: {MAX_BLEND} at most can be blended"
    return f"{model} has no styles{' to blend' if count else ''}"


def _has_pitch(loaded: Loaded) -> bool:
    return any(channel.unit == PITCH_UNIT for channel in loaded.spec.channels)


def _mapped_scale(mapping: Mapping | None) -> bool:
    """Whether the mapping itself names a scale; a mapping nobody could read may."""
    return mapping is None or any(route.steps for route in mapping.routes)


def _has_sides(mapping: Mapping) -> bool:
    """Whether an input of one hand or foot plays anything."""
    names = (*FEATURES, *mapping.external)
    places = {place for route in mapping.routes for place in route.places}
    for trigger in mapping.triggers.triggers:
        places.update([trigger.source] if isinstance(trigger.source, int) else trigger.source.places)
    return mapping.styles is not None or any(other_side(names[place]) != names[place] for place in places)
