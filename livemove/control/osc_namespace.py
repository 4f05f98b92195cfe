"""The OSC addresses that `osc.py` hears, and those that go out, as a tree in the form of the OSCQuery proposal.

In: the table in controls.py, the names of what is loaded, what is set now. Out: nested dicts that are JSON as they are.
A node is a method or a container, never both, as OSC 1.0 has it: /livemove/gain/by and /livemove/style/NAME are heard
and left out. Knows no socket and no shared memory. https://github.com/Vidvox/OSCQueryProposal
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from livemove.body.features import TABLE
from livemove.body.notes import NOTES, SCALES
from livemove.contracts import MAX_BLEND, Action, Channel, Controls
from livemove.control.osc import ERROR, PREFIX
from livemove.control.vocabulary import LEARNABLE
from livemove.controls import (
    CONTROLS,
    EFFECT_VALUES,
    GAIN_FACTORS,
    LAYER_GAINS,
    LAYER_PANS,
    STYLE_WEIGHTS,
    Control,
    Kind,
    decibels,
)

READ, WRITE = 1, 2
"""Bits of ACCESS: its value can be asked for here; a message sets it."""

Node = dict[str, Any]
"""FULL_PATH, and as far as they apply DESCRIPTION, ACCESS, TYPE, VALUE, RANGE, UNIT, OVERLOADS, CONTENTS."""

UNITS = {"dB": "gain.db", "ms": "time.ms", "bpm": "time.bpm"}
"""Ours -> the proposal's."""


@dataclass(frozen=True)
class OscNames:
    """What is loaded, by name: models and presets in the order of their numbers, each model's styles and channels."""

    models: Sequence[str] = ()
    presets: Sequence[str] = ()
    styles: Sequence[Sequence[str]] = ()
    channels: Sequence[Sequence[Channel]] = ()


@dataclass(frozen=True)
class OscState:
    """What is set and heard now.

    features  the 33, in their order; fewer: none have come yet
    channels  of the model that plays
    inputs    addresses that a mapping plays -> what came last; NaN: nothing yet
    """

    controls: Controls = field(default_factory=Controls)
    recording: bool = False
    features: Sequence[float] = ()
    channels: Sequence[float] = ()
    inputs: Mapping[str, float] = field(default_factory=dict[str, float])


def namespace(names: OscNames, state: OscState) -> Node:
    """The root of the tree."""
    model = state.controls.model
    styles = tuple(names.styles[model]) if model < len(names.styles) else ()
    channels = tuple(names.channels[model]) if model < len(names.channels) else ()
    values = _values(names, styles, state)
    root = _node("/", "livemove")
    for control in CONTROLS.values():
        if control.action not in STYLE_WEIGHTS:
            _add_control(root, control, names, styles, values)
    _add_styles(root, styles, values)
    _add(root, f"{PREFIX}learn", "the next MIDI knob, pad or pedal plays this", WRITE, "s", choices=tuple(LEARNABLE))
    _add(root, ERROR, "comes back to who sent what is wrong: its address, and why", 0, "ss")
    for feature, value in zip(TABLE, _padded(state.features, len(TABLE)), strict=True):
        where = f"{PREFIX}feature/{feature.name}"
        _add(root, where, feature.doc, READ, "f", value, (feature.minimum, feature.maximum))
    for channel, value in zip(channels, _padded(state.channels, len(channels)), strict=True):
        where = f"{PREFIX}channel/{channel.name}"
        limits = (channel.minimum, channel.maximum)
        _add(root, where, f"{channel.name} of the model, in {channel.unit}", READ, "f", value, limits)
    for where, value in state.inputs.items():
        if not where.startswith(PREFIX):
            _add(root, where, "a source of the mapping", READ | WRITE, "f", value)
    return root


def find(root: Node, path: str) -> Node | None:
    """The node at a path like "/livemove/gain"; None: there is none."""
    node: Node | None = root
    for part in filter(None, path.split("/")):
        node = node.get("CONTENTS", {}).get(part) if node is not None else None
    return node


def _values(names: OscNames, styles: Sequence[str], state: OscState) -> dict[Action, Any]:
    """What has a value, as a message would set it. Cameras and audio devices are left out: an address may hold a
    password."""
    controls = state.controls
    alone = [float(place == controls.style) for place in range(len(styles))]
    weights = [*controls.styles, *[0.0] * len(styles)][: len(styles)] if any(controls.styles) else alone
    return {
        Action.GAIN: controls.gain,
        Action.MUTE: controls.mute,
        Action.FREEZE: controls.freeze,
        Action.TEMPERATURE: controls.temperature,
        Action.OCTAVE: controls.octave,
        Action.LOOK_AHEAD: 1e3 * controls.look_ahead_s,
        Action.SWAP_HANDS: controls.swap_hands,
        Action.RECORD: state.recording,
        Action.MODEL: _at(names.models, controls.model),
        Action.PRESET: _at(("", *names.presets), controls.preset),
        Action.STYLE: _at(styles, controls.style),
        Action.SCALE: _at(("", *SCALES), controls.scale),
        Action.ROOT: _at(("", *NOTES), controls.root),
        **dict(zip(STYLE_WEIGHTS, weights, strict=False)),
        **dict(zip(LAYER_GAINS, controls.gains, strict=True)),
        **dict(zip(LAYER_PANS, controls.pans, strict=True)),
        **{control.action: getattr(controls, control.preset) for control in EFFECT_VALUES},
    }


def _at(names: Sequence[str], place: int) -> str | None:
    return names[place] if 0 <= place < len(names) else None


def _add_control(
    root: Node, control: Control, names: OscNames, styles: Sequence[str], values: Mapping[Action, Any]
) -> None:
    """One row of the table: its address, and its further one in decibels."""
    where, words, value = PREFIX + control.name, control.help, values.get(control.action)
    if control.kind is Kind.TRIGGER:
        kind = "s" if control.action is Action.SAVE_PRESET else "I"
        _add(root, where, words, WRITE, kind)
        return
    if control.kind is Kind.SWITCH:
        _add(root, where, words, READ | WRITE, "T", value)
        return
    if control.kind is Kind.LIST:
        lists: dict[str, Sequence[str]] = {
            "model": names.models, "preset": names.presets, "style": styles, "scale": ("", *SCALES),
            "root": ("", *NOTES),
        }  # fmt: skip
        choices = tuple(lists.get(control.name, ()))
        access = WRITE if control.by_name else READ | WRITE
        node = _add(root, where, words, access, "s", value, choices=choices)
        if choices:
            last = control.counts + len(choices) - 1
            node["OVERLOADS"] = [{"TYPE": "i", "RANGE": [{"MIN": control.counts, "MAX": last}]}]
        return
    limits = GAIN_FACTORS if control.in_decibels else control.limits
    kind = "i" if control.kind is Kind.STEPS else "f"
    unit = "" if control.in_decibels else control.unit
    _add(root, where, words, READ | WRITE, kind, value, limits, unit=unit)
    if control.in_decibels:
        where = PREFIX + control.in_decibels
        level = decibels(values[control.action])
        _add(root, where, words, READ | WRITE, "f", level, control.limits, unit=control.unit)


def _add_styles(root: Node, styles: Sequence[str], values: Mapping[Action, Any]) -> None:
    """The weights of the model's styles, each by its number, and all at once."""
    if not 1 < len(styles) <= MAX_BLEND:
        return
    weights = [values[action] for action in STYLE_WEIGHTS[: len(styles)]]
    for number, (name, weight) in enumerate(zip(styles, weights, strict=True), 1):
        where = f"{PREFIX}style_{number}"
        _add(root, where, f"weight of the style {name}", READ | WRITE, "f", weight, (0.0, 1.0))
    node = _add(root, f"{PREFIX}styles", "weights of all styles", READ | WRITE, "f" * len(styles))
    node["VALUE"], node["RANGE"] = weights, [{"MIN": 0.0, "MAX": 1.0}] * len(styles)


def _node(path: str, description: str = "") -> Node:
    node: Node = {"FULL_PATH": path, "ACCESS": 0}
    return {**node, "DESCRIPTION": description} if description else node


def _add(
    root: Node,
    where: str,
    description: str,
    access: int,
    kind: str,
    value: Any = None,
    limits: tuple[float, float] | None = None,
    choices: Sequence[str] = (),
    unit: str = "",
) -> Node:
    """Put a method into the tree, with the containers above it. value None or not finite: there is none now."""
    node, path = root, ""
    for part in where.strip("/").split("/"):
        path += f"/{part}"
        node = node.setdefault("CONTENTS", {}).setdefault(part, _node(path))
    node.update(DESCRIPTION=description, ACCESS=access, TYPE=kind)
    if access & READ and value is not None and not (isinstance(value, float) and not math.isfinite(value)):
        node["VALUE"] = [value]
    if choices:
        node["RANGE"] = [{"VALS": list(choices)}]
    elif limits is not None:
        low, high = limits
        node["RANGE"] = [{"MIN": int(low), "MAX": int(high)} if kind == "i" else {"MIN": low, "MAX": high}]
    if unit in UNITS:
        node["UNIT"] = [UNITS[unit]]
    return node


def _padded(values: Sequence[float], count: int) -> list[float | None]:
    """As many as there should be; None for those that have not come."""
    return [*values[:count], *[None] * max(count - len(values), 0)]
