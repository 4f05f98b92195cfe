"""Presets: a model, its mapping, what is set and which devices, under a name, in TOML; set lists of them.

In: files of the presets folder, or any file by its path. Out: Preset. Checks every entry, so that a show does not begin
with half a preset. Knows no process and loads no model.
"""

from __future__ import annotations

import difflib
import itertools
import json
import math
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NoReturn, cast

from livemove import numbers
from livemove.body.notes import NOTES, SCALES
from livemove.contracts import ControlError, Controls
from livemove.control.styles import written_styles
from livemove.control.user_files import presets_folder, write_whole
from livemove.control.vocabulary import note_number
from livemove.controls import BLOCKS, CONTROLS, EFFECT_VALUES, GAIN_FACTORS, LOOP_PARTS, SAMPLE_RATES, SNAP_AS_MAPPED
from livemove.printable import expanded, is_text, printable

_LAYERS_MAPPING = re.compile(r"([:,]mapping=)([^,+]+)")
"""Of a layer, in the text of a model."""

RANGES = {
    **{control.preset: control.limits for control in CONTROLS.values() if control.preset and control.low > -math.inf},
    "gain": GAIN_FACTORS,
    "gain_db": CONTROLS["gain_1"].limits,
    "pan": CONTROLS["pan_1"].limits,
    "block": BLOCKS,
    "samplerate": SAMPLE_RATES,
}


@dataclass(frozen=True)
class Devices:
    """The devices of a preset; None: as the command line has it.

    All of it counts for the first preset of a show; of a later one camera, mirror and device, when it is switched to.
    """

    camera: str | None = None
    mirror: bool | None = None
    device: str | None = None
    block: int | None = None
    samplerate: int | None = None
    osc: str | None = None
    osc_out: str | None = None
    midi: str | None = None
    midi_out: str | None = None
    mpe: bool | None = None
    midi_clock: bool | None = None
    link: bool | None = None


@dataclass(frozen=True)
class SecondDancer:
    """What a preset's [dancer.2] says of the second of two dancers: a model ("": the first one's), a mapping ("": the
    model's own), how loud and where it is heard."""

    model: str = ""
    mapping: str = ""
    gain_db: float = 0.0
    pan: float = 0.0


@dataclass(frozen=True)
class Preset:
    """One sound, ready to be played.

    model     a name from `livemove models`, or a folder; or several as layers, as -m takes them
    mapping   a mapping.toml, from the preset's own folder on; "" the model's own
    style     name, number from 0, or a blend, "cello=0.5,flute=0.5"; "" the first
    scale     one of body.notes.SCALES; "" as the mapping says; root likewise, "C" .. "B"
    snap      how closely it holds the pitch, 0..1; below 0 as the mapping says
    muted     whether a show that begins with it begins in silence

    The effects are as in Controls.
    """

    name: str
    model: str = "theremin"
    mapping: str = ""
    style: str = ""
    gain: float = 1.0
    temperature: float = 1.0
    octave: int = 0
    scale: str = ""
    root: str = ""
    snap: float = SNAP_AS_MAPPED
    look_ahead_ms: float = CONTROLS["look_ahead"].usual
    muted: bool = False
    reverb: float = CONTROLS["reverb"].usual
    reverb_decay_s: float = CONTROLS["reverb_decay"].usual
    reverb_damping: float = CONTROLS["reverb_damping"].usual
    delay: float = CONTROLS["delay"].usual
    delay_time_ms: float = CONTROLS["delay_time"].usual
    delay_beats: float = CONTROLS["delay_beats"].usual
    delay_feedback: float = CONTROLS["delay_feedback"].usual
    tempo: float = CONTROLS["tempo"].usual
    loop_level: float = CONTROLS["loop_level"].usual
    loop_quantize: float = CONTROLS["loop_quantize"].usual
    devices: Devices = field(default_factory=Devices)

    def controls(self, model: int, style: int, styles: tuple[float, ...] = ()) -> Controls:
        """What it sets; model: its number among those that are loaded; style, styles: what `style` comes to there."""
        return Controls(
            gain=self.gain,
            temperature=self.temperature,
            style=style,
            styles=styles,
            octave=self.octave,
            scale=1 + list(SCALES).index(self.scale) if self.scale else 0,
            root=note_number(self.root) if self.root else 0,
            snap=self.snap,
            look_ahead_s=self.look_ahead_ms / 1e3,
            model=model,
            **{control.preset: getattr(self, control.preset) for control in EFFECT_VALUES},
        )


def set_list(names: Sequence[str]) -> list[Preset]:
    """The presets of those names, in order; a file with `presets = [...]` stands for those it lists.

    Raises ControlError naming the file and the entry.
    """
    found: list[Preset] = []
    for name in names:
        path, document = _read(name)
        if "presets" in document:
            found += [_preset(*_read(each, path.parent)) for each in _listed(path, document)]
        else:
            found.append(_preset(path, document))
    return found


def preset_files() -> list[Path]:
    """Presets and set lists that are kept, by name."""
    return sorted(presets_folder().glob("*.toml"))


def describe(path: Path) -> dict[str, Any]:
    """One of `preset_files`, for a list: name, and either what it plays or what is wrong with it."""
    try:
        _, document = _read(str(path))
        if "presets" in document:
            plays = " → ".join(preset.name for preset in set_list([str(path)]))
        else:
            plays = _preset(path, document).model
    except ControlError as error:
        return {"name": path.stem, "plays": None, "error": str(error), "file": str(path)}
    return {"name": path.stem, "plays": plays, "error": None, "file": str(path)}


def check_name(name: str) -> None:
    """Raises ControlError for what cannot be a file's name on every system."""
    if not name.replace("-", "").replace("_", "").replace(" ", "").isalnum():
        raise ControlError(f"{name!r} is no name for a preset: use letters, digits, - and _")


def from_controls(
    name: str, model: str, mapping: Path | None, controls: Controls, devices: Devices, styles: Sequence[str] = ()
) -> Preset:
    """What is set now, as a preset; styles: names of the model's."""
    return Preset(
        name=name,
        model=model,
        mapping=str(mapping.resolve()) if mapping else "",
        style=written_styles(controls.style, controls.styles, styles),
        gain=round(controls.gain, 4),
        temperature=round(controls.temperature, 4),
        octave=controls.octave,
        scale=list(SCALES)[controls.scale - 1] if controls.scale else "",
        root=NOTES[controls.root - 1] if controls.root else "",
        snap=round(controls.snap, 4),
        look_ahead_ms=round(1e3 * controls.look_ahead_s, 3),
        devices=devices,
        **{control.preset: round(getattr(controls, control.preset), 4) for control in EFFECT_VALUES},
    )


def preset_file(name: str) -> Path:
    """Where `save_preset` keeps the preset of that name."""
    return presets_folder() / f"{name}.toml"


def free_name() -> str:
    """live-001, live-002 ...: the first that no preset has."""
    return next(name for number in itertools.count(1) if not preset_file(name := f"live-{number:03d}").exists())


def save_preset(preset: Preset) -> Path:
    """Keep it under its name; one of that name stays as NAME.toml.bak. Raises ControlError."""
    check_name(preset.name)
    for kept in (preset.model, preset.mapping, preset.devices.camera or ""):
        if not is_text(kept):
            raise ControlError(f"{printable(kept)}: no preset can name it: its name is no text; rename it")
    path = preset_file(preset.name)
    plain = {each.name: getattr(preset, each.name) for each in fields(Preset)[1:-1]}
    default = {each.name: each.default for each in fields(Preset)[1:-1]}
    lines = [_line(key, value) for key, value in plain.items() if key == "model" or value != default[key]]
    devices = {each.name: getattr(preset.devices, each.name) for each in fields(Devices)}
    there = [_line(key, value) for key, value in devices.items() if value is not None]
    text = "\n".join([*lines, *(["", "[devices]", *there] if there else [])]) + "\n"
    try:
        write_whole(path, text)
    except OSError as error:
        raise ControlError(f"{path}: cannot be written: {error.strerror}") from error
    return path


def one_preset(name: str) -> tuple[Path, Preset]:
    """A preset and its file; not a set list. Raises ControlError."""
    path, document = _read(name)
    if "presets" in document:
        raise ControlError(f"{path}: is a set list; name one of its presets: {', '.join(_listed(path, document))}")
    return path, _preset(path, document)


def fitted_mapping(preset: Path) -> Path:
    """Where a preset's own mapping is kept: in a folder of its own, as what lies beside presets is a preset."""
    return preset.parent / "mappings" / preset.name


def keep_fitted_mapping(preset: Path, mapping: str) -> Path:
    """Keep the text of a mapping as that preset's own and name it there; all else in the preset stays as it was.

    Both are written whole or not at all, what they were stays as NAME.toml.bak; first the mapping, so that whatever
    happens in between, the preset names one that is there. Raises ControlError.
    """
    import tomlkit  # here, as a show that only reads presets starts quicker without

    path = fitted_mapping(preset)
    file = preset
    try:
        document = tomlkit.parse(preset.read_text(encoding="utf-8-sig"))
        document["mapping"] = path.relative_to(preset.parent).as_posix()
        file = path
        write_whole(path, mapping)
        file = preset
        write_whole(preset, tomlkit.dumps(document))
    except OSError as error:
        raise ControlError(f"{file}: cannot be written: {error.strerror}") from error
    return path


def _line(key: str, value: object) -> str:
    return f"{key} = {json.dumps(value, ensure_ascii=False)}"  # numbers, booleans and strings: the same in TOML


def _read(name: str, beside: Path | None = None) -> tuple[Path, dict[str, Any]]:
    """A preset's file and what is in it; beside: where a set list looks first."""
    if name.endswith(".toml"):
        path = Path(name)
    else:
        path = presets_folder() / f"{name}.toml"
        if beside is not None and (beside / f"{name}.toml").exists():
            path = beside / f"{name}.toml"
    if not path.exists():
        names = [each.stem for each in preset_files()]
        there = f"there are: {', '.join(names)}" if names else "there is none yet: livemove perform --save NAME"
        raise ControlError(f"no preset {name!r} in {path.parent}; {there}")
    try:
        return path, tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:  # ValueError: also a number of thousands of digits
        raise ControlError(f"{path}: cannot be read: {error}") from error


def _listed(path: Path, document: dict[str, Any]) -> list[str]:
    """The names in a set list."""
    names = document["presets"]
    if set(document) != {"presets"}:
        _fail(path, f"a set list has the entry presets and no other, not {sorted(set(document) - {'presets'})[0]!r}")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in cast("list[Any]", names)):
        _fail(path, 'presets: expected names, as in presets = ["soft", "loud"]')
    return cast("list[str]", names)


def _preset(path: Path, document: dict[str, Any]) -> Preset:
    if "presets" in document:
        _fail(path, "a set list cannot be in a set list")
    table, second = document.pop("devices", {}), _second(path, document.pop("dancer", None))
    if not isinstance(table, dict):
        _fail(path, "devices: expected a table, [devices]")
    values = _checked(path, "", document, Preset, ("name", "devices"))
    devices = Devices(**_checked(path, "devices.", cast("dict[str, Any]", table), Devices, ()))
    if second is not None:
        model = values.get("model", Preset.model)
        values["model"] = f"{model}+{_layer_of(path, second, model)}"
    preset = Preset(name=path.stem, devices=devices, **values)
    if preset.scale and preset.scale not in SCALES:
        _fail(path, f"scale: unknown scale {preset.scale!r}{_near(preset.scale, list(SCALES))}")
    if preset.loop_quantize not in LOOP_PARTS:
        _fail(path, f"loop_quantize: {preset.loop_quantize:g} is none of 0, 1, 2 and 4 beats")
    if preset.root and note_number(preset.root) == 0:
        _fail(path, f"root: unknown note {preset.root!r}{_near(preset.root, NOTES)}")
    return preset


def _second(path: Path, table: Any) -> SecondDancer | None:
    """What [dancer.2] says; None: there is none."""
    if table is None:
        return None
    found = cast("dict[str, Any]", table) if isinstance(table, dict) else {}
    if set(found) != {"2"} or not isinstance(found["2"], dict):
        _fail(path, "dancer: expected a table [dancer.2]; what the first dancer plays stands in the preset itself")
    return SecondDancer(**_checked(path, "dancer.2.", cast("dict[str, Any]", found["2"]), SecondDancer, ()))


def _layer_of(path: Path, second: SecondDancer, model: str) -> str:
    """The second dancer's voice, as -m has it. model: the first one's, which both play where no other is named."""
    name = second.model or model
    if re.search(r"[+:]", name) and not Path(name).is_dir():
        _fail(
            path,
            f"dancer.2.model: {numbers.shown(name)} is no single model; write layers as NAME+NAME:dancer=2 in model",
        )
    options = {"gain": second.gain_db, "pan": second.pan, "mapping": second.mapping}
    given = "".join(f",{option}={value}" for option, value in options.items() if value)
    return f"{name}:dancer=2{given}"


def _checked(path: Path, where: str, table: dict[str, Any], kind: type[Any], but: tuple[str, ...]) -> dict[str, Any]:
    """The entries of a table as the fields of that dataclass take them."""
    known = {each.name: str(each.type) for each in fields(kind) if each.name not in but}
    found: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            _fail(path, f"unknown entry {where + key!r}{_near(key, list(known))}")
        wanted = known[key].removesuffix(" | None")
        if key in ("osc", "osc_out", "camera", "device", "style") and type(value) is int:
            value = str(value)
        try:
            if wanted == "float":
                value = numbers.number(value, *RANGES[key])
            elif wanted == "int":
                value = numbers.whole(value, *map(int, RANGES[key]))
        except ValueError as error:
            _fail(path, f"{where}{key}: {error}")
        if type(value).__name__ != wanted:
            kinds = {"str": "a text in quotes", "bool": "true or false"}
            _fail(path, f"{where}{key}: {numbers.shown(value)} is not {kinds[wanted]}")
        found[key] = value
    if found.get("mapping"):
        found["mapping"] = str(path.parent / expanded(found["mapping"]))
    if "model" in found:
        found["model"] = _LAYERS_MAPPING.sub(
            lambda option: option[1] + str(path.parent / expanded(option[2])), found["model"]
        )
    return found


def _fail(path: Path, problem: str) -> NoReturn:
    raise ControlError(f"{path}: {problem}")


def _near(name: str, known: Sequence[str]) -> str:
    matches = difflib.get_close_matches(name, known, n=3)
    return f"; did you mean {' or '.join(matches)}?" if matches else f"; there are: {', '.join(known)}"
