"""Layers as somebody writes them, cello:pan=-0.5+bodydrum:gain=-6, -> what synthesis is told; and back.

In: a text, from -m or a preset. Out: Layers, or a LivemoveError that names the layer and the option; a layer whose
model is missing is left out, with a line, while another one is there. Must not know the terminal.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from livemove import numbers
from livemove.body.dancers import own_name
from livemove.body.features import FEATURES
from livemove.body.mapping import mapping_for
from livemove.body.notes import note_name, pitch_class
from livemove.body.routes import PITCH_UNIT
from livemove.bundle import find_bundle, load_bundle
from livemove.contracts import BundleError, ControlError, Controls
from livemove.control.user_files import fitted_file
from livemove.controls import CONTROLS, MAX_DANCERS, MAX_LAYERS, decibels
from livemove.printable import expanded
from livemove.synthesis.synthesis_config import Layer

SYNTAX = "NAME:gain=-6,pan=-0.5,octave=-1,transpose=7,chord=0/4/7,note=A2,mapping=FILE,dancer=2"
"""All that may stand behind a layer's name; each may be left out."""

ASIDE = 0.4
"""How far to the left the first dancer's voices are heard, and the second's to the right, where no pan is given."""

_OCTAVES, _SEMITONES = (-4.0, 4.0), (-48.0, 48.0)
_LAYER = re.compile(r"(?P<model>.+?)(?::(?P<options>[a-z]+=.*))?", re.DOTALL)
_NOTE = re.compile(r"(?P<name>[A-G][#b]?)(?P<octave>-?[0-9])")


def read_layers(text: str, tell: Callable[[str], None], mapping: Path | None = None) -> tuple[Layer, ...]:
    """The layers of a text, as -m and a preset's model have it; `tell` gets a line for each that is missing. mapping:
    of the first that is there, all notes of its chord, if it names none of its own.

    The name of a folder that is there is one layer, whatever is in it. Raises BundleError where no model is there at
    all, ControlError for an option that is none, and for more than MAX_LAYERS.
    """
    parts = [_options(part) for part in ([text] if expanded(text).is_dir() else text.split("+"))]
    if (count := sum(len(voices) for voices, _ in parts)) > MAX_LAYERS:
        raise ControlError(
            f"-m {text}: {count} layers; {MAX_LAYERS} at most play at once, and each note of a chord is one"
        )
    layers: list[Layer] = []
    missing: list[BundleError] = []
    for voices, model in parts:
        try:
            folder = find_bundle(model)
            load_bundle(folder)
        except BundleError as error:
            missing.append(error)
            continue
        given = None if layers else mapping
        layers += [replace(layer, model=folder, mapping=layer.mapping or given) for layer in voices]
    if not layers:
        raise missing[0]
    for error in missing:
        tell(f"a layer of {text} is left out, the rest plays: {error}")
    return tuple(layers)


def only_model(text: str) -> Path:
    """The folder of the one model that a text names. Raises BundleError, and ControlError for layers."""
    if "+" in text and not expanded(text).is_dir():
        raise ControlError(
            f"{text}: these are layers; calibrate one, -m NAME: what is fitted is played by every layer of that model "
            "without a mapping of its own"
        )
    return find_bundle(text if expanded(text).is_dir() else _options(text)[1])


def mapped(layers: Sequence[Layer], tell: Callable[[str], None]) -> tuple[Layer, ...]:
    """Each with its mapping: its own; else what `calibrate` fitted, with a line that says so; else the model's."""
    found: dict[Path, Path | None] = {}
    for model in dict.fromkeys(layer.model for layer in layers if layer.mapping is None):
        path = fitted_file(model.name)
        found[model] = path if path.is_file() else None
        if path.is_file():
            tell(f"{model.name}: as calibrated, {path}; without it: --mapping {model / 'mapping.toml'}")
    return tuple(layer if layer.mapping else replace(layer, mapping=found[layer.model]) for layer in layers)


def for_dancers(layers: Sequence[Layer], dancers: int) -> tuple[Layer, ...]:
    """The layers as so many dancers play them. Of two, the second has the layers with dancer=2; where there are none,
    the same again, unless a mapping of the first's lets both play one voice. The first is heard a little to the left,
    the second to the right, if no pan is given.

    Raises ControlError where that makes more than MAX_LAYERS; BundleError, MappingError.
    """
    second = any(layer.dancer for layer in layers)
    if dancers > 1 and not second and not any(map(_is_shared, layers)):
        if 2 * len(layers) > MAX_LAYERS:
            raise ControlError(
                f"--dancers 2: {len(layers)} layers for each of two are {2 * len(layers)}; {MAX_LAYERS} at most "
                "play at once. Say who plays which: NAME+NAME:dancer=2"
            )
        layers, second = (*layers, *(replace(layer, dancer=1) for layer in layers)), True
    if second and not any(layer.pan for layer in layers):
        return tuple(replace(layer, pan=ASIDE if layer.dancer else -ASIDE) for layer in layers)
    return tuple(layers)


def dancers_of(stacks: Sequence[Sequence[Layer]], asked: int) -> int:
    """How many dance: as asked, or as the layers need."""
    return max(asked, *(1 + layer.dancer for layers in stacks for layer in layers))


def _is_shared(layer: Layer) -> bool:
    """Whether its mapping has inputs of the second dancer."""
    bundle = load_bundle(layer.model)
    mapping = mapping_for(layer.mapping or bundle.mapping_path, bundle.spec, FEATURES)
    return any(own_name(name)[0] for name in mapping.external)


def _options(part: str) -> tuple[tuple[Layer, ...], str]:
    """One layer, or the layers of its chord, their model still to be found; and the model as it is called."""
    found = _LAYER.fullmatch(part)
    if found is None:
        raise ControlError("-m: a layer without a name; write them as in cello+bodydrum")
    layer, transpose, chord = Layer(Path()), 0.0, [_chord_note("0")]
    for option in filter(None, (found["options"] or "").split(",")):
        name, _, value = option.partition("=")
        try:
            if name == "gain":
                layer = replace(layer, gain_db=_number(value, CONTROLS["gain_1"].limits))
            elif name == "pan":
                layer = replace(layer, pan=_number(value, CONTROLS["pan_1"].limits))
            elif name == "octave":
                transpose += 12 * _number(value, _OCTAVES)
            elif name == "transpose":
                transpose += _number(value, _SEMITONES)
            elif name == "chord":
                chord = [_chord_note(each) for each in value.split("/")]
            elif name == "note":
                layer = replace(layer, note=_note(value))
            elif name == "dancer":
                layer = replace(layer, dancer=round(_number(value, (1, MAX_DANCERS))) - 1)
            elif name == "mapping":
                layer = replace(layer, mapping=expanded(value))
            else:
                raise ValueError("there is no such option")
        except ValueError as error:
            raise ControlError(f"layer {found['model']}: {option}: {error}; a layer is {SYNTAX}") from None
    if layer.note is not None and len(chord) > 1:
        raise ControlError(
            f"layer {found['model']}: note and chord: the note of a drone goes into the chord, chord=0/7/A2"
        )
    # So many voices at once are about as loud as one: what differs in pitch adds in power.
    gain_db = max(layer.gain_db - 10.0 * math.log10(len(chord)), CONTROLS["gain_1"].low)
    layer = replace(layer, gain_db=gain_db)
    voices = (
        replace(layer, transpose=up + transpose) if stays is None else replace(layer, note=stays) for up, stays in chord
    )
    return tuple(voices), found["model"]


def _chord_note(text: str) -> tuple[float, float | None]:
    """(semitones up, None), or of a note with its name (0, where it stays)."""
    if _NOTE.fullmatch(text):
        return 0.0, _note(text)
    return _number(text, _SEMITONES), None


def _number(text: str, limits: tuple[float, float]) -> float:
    return numbers.number(numbers.of_text(text), *limits)


def _note(text: str) -> float:
    """A note's name with its octave (A4 is 440 Hz), or a MIDI number."""
    found = _NOTE.fullmatch(text)
    pitch = pitch_class(found["name"]) if found else None
    if found is None or pitch is None:
        return _number(text, (0.0, 127.0))
    return numbers.number(12.0 * (int(found["octave"]) + 1) + pitch, 0.0, 127.0)


def written_layers(layers: Sequence[Layer], controls: Controls, name: Callable[[Path], str]) -> str:
    """The text that `read_layers` reads as these, with the gains and pans that are set; name: of a model's folder.

    Raises ControlError where a mapping cannot be named in it.
    """
    parts: list[str] = []
    for layer, gain, pan in zip(layers, controls.gains, controls.pans, strict=False):
        gain_db = round(decibels(gain), 2)
        options = {
            "gain": f"{gain_db:g}" if gain_db else "",
            "pan": f"{round(pan, 3):g}" if round(pan, 3) else "",
            "transpose": f"{layer.transpose:g}" if layer.transpose else "",
            "note": "" if layer.note is None else f"{layer.note:g}",
            "dancer": f"{layer.dancer + 1}" if layer.dancer else "",
            "mapping": str(layer.mapping.resolve()) if layer.mapping else "",
        }
        if re.search(r"[+,]", options["mapping"]):
            raise ControlError(f"{layer.mapping}: its path has a + or a comma, which no preset with layers can name")
        given = ",".join(f"{option}={value}" for option, value in options.items() if value)
        parts.append(name(layer.model) + (f":{given}" if given else ""))
    return "+".join(parts)


def beyond_reach(layers: Sequence[Layer]) -> list[str]:
    """A line for each layer that is moved beyond what its model can play. Raises BundleError, MappingError."""
    lines: list[str] = []
    for number, layer in enumerate(layers, 1):
        if not layer.transpose and layer.note is None:
            continue
        bundle = load_bundle(layer.model)
        what = f"layer {number}, {layer.model.name}"
        pitch = next((channel for channel in bundle.spec.channels if channel.unit == PITCH_UNIT), None)
        if pitch is None:
            lines.append(f"{what}: it has no pitch, so transpose, octave and note change nothing")
            continue
        mapping = mapping_for(layer.mapping or bundle.mapping_path, bundle.spec, FEATURES)
        mapping.steer(transpose=layer.transpose, note=layer.note)
        _, below, above = mapping.pitch_reach() or (0, 0.0, 0.0)
        for beyond, end, which in ((below, pitch.minimum, "lowest"), (above, pitch.maximum, "highest")):
            if beyond > 0.0:
                stays = "it" if layer.note is not None else f"the {which} {beyond:g} semitones of its range"
                stay = "stays" if layer.note is not None else "stay"
                lines.append(f"{what}: {stays} {stay} at {note_name(end)[0]}, the {which} note it can play")
    return lines
