"""Model bundles on disk: save, list, and load models/<name>/ after checking everything in it.

In: a folder or a name. Out: a Bundle (spec, float32 weights, golden vector, paths), or one BundleError line that names
file, field, expected and found. Executes nothing, bounds what it reads, and must not know any engine or mapping.
Over 500 lines, because one format is read, checked and written in one place.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import math
import os
import shutil
import stat
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeVar, cast

import numpy as np
import platformdirs
from safetensors import SafetensorError
from safetensors.numpy import load as parse_safetensors
from safetensors.numpy import save as write_safetensors

from livemove import numbers
from livemove.contracts import (
    FORMAT_VERSION,
    HOP,
    BundleError,
    Channel,
    Float32,
    Gate,
    HarmonicPath,
    ModelSpec,
    OutputError,
    Phase,
    Weights,
    weight_shapes,
)
from livemove.printable import expanded

INDEX = "model.json"
WEIGHTS = "weights.safetensors"
ONNX = "generator.onnx"
GOLDEN = "golden.npz"
MAPPING = "mapping.toml"
DESCRIPTION = "MODEL.md"
FIGURES = "figures.json"
SPECTROGRAM = "spectrogram.png"

REQUIRED = (WEIGHTS, GOLDEN, DESCRIPTION)
OPTIONAL = (ONNX, MAPPING, FIGURES, SPECTROGRAM)
LIMIT_BYTES = {
    INDEX: 1 << 20,
    WEIGHTS: 1 << 29,
    ONNX: 1 << 30,
    GOLDEN: 1 << 26,
    MAPPING: 1 << 20,
    DESCRIPTION: 1 << 20,
    FIGURES: 1 << 20,
    SPECTROGRAM: 1 << 20,
}
"""Largest size of each file that is read at all; the stage model's weights are 1.5 MB."""

HEADER_LIMIT_BYTES = 1 << 20
"""Largest part of weights.safetensors that may be something else than the tensors."""

GOLDEN_HOPS = 4096
NAME_LENGTH = 200

LIMIT = 1e6
"""Of a channel, in its natural unit: a network that is given more knows no steps between its values."""

MATCHED = ("nll_bits", "nll_bits_shuffled")
"""Of figures.json: negative log likelihood of held-out sound in bits, by its own channels and by another window's."""

Plain = dict[str, object]
T = TypeVar("T")


@dataclass(frozen=True)
class Golden:
    """One take every engine must reproduce, generated from `initial_state` with the stored (float16) weights.

    channels float32 [hops, C] in natural units; noise float32 [hops * steps_per_hop, noise_width];
    audio float32 [hops * HOP]. style and temperature are what `Engine.generate` was given.
    """

    channels: Float32
    noise: Float32
    audio: Float32
    style: int
    temperature: float


@dataclass(frozen=True)
class Bundle:
    """A model folder that has been checked; weights are float32, exactly as stored in float16.

    onnx_path is None for a bundle exported without generator.onnx, mapping_path for an end-to-end model: its channels
    are the body's features. figures: what was measured at its export (training/export.py), empty for an older bundle.
    """

    path: Path
    spec: ModelSpec
    weights: Weights
    golden: Golden
    mapping_path: Path | None
    onnx_path: Path | None
    description_path: Path
    figures: Plain = dataclasses.field(default_factory=dict[str, object])

    @property
    def ignores_channels(self) -> bool:
        """Whether it expected held-out sound no better by its own channels than by another window's; False where that
        was not measured."""
        matched, shuffled = (self.figures.get(name) for name in MATCHED)
        return isinstance(matched, float) and isinstance(shuffled, float) and shuffled <= matched


def as_stored(weights: Mapping[str, Float32]) -> Weights:
    """Weights rounded to float16 and back: what a loaded bundle holds. Golden vectors are made with these."""
    return {name: np.asarray(w, np.float32).astype(np.float16).astype(np.float32) for name, w in weights.items()}


# --- where bundles live -------------------------------------------------------------------------------------


def bundle_folders() -> list[Path]:
    """Folders searched for bundles: the installed package's, the repository's when run from it, the user's own."""
    package = Path(__file__).resolve().parent
    folders = [package / "models"]
    if (package.parent / "pyproject.toml").is_file():
        folders.append(package.parent / "models")
    folders.append(Path(platformdirs.user_data_dir("livemove", appauthor=False)) / "models")
    return folders


def list_bundles() -> list[Path]:
    """Every folder with a model.json in `bundle_folders`, unchecked; of two with one name the first counts."""
    found: dict[str, Path] = {}
    for folder in bundle_folders():
        if folder.is_dir():
            for index in sorted(folder.glob(f"*/{INDEX}")):
                found.setdefault(index.parent.name, index.parent)
    return list(found.values())


def find_bundle(path_or_name: str | Path) -> Path:
    """The bundle folder at this path, or of this name in `bundle_folders`; the BundleError lists what exists."""
    text = str(path_or_name)
    path = expanded(text)
    if path.is_dir() and (path / INDEX).exists():
        return path
    named = {p.name: p for p in list_bundles()}
    if text in named:
        return named[text]
    known = ", ".join(sorted(named)) or "none"
    if path.is_dir():
        raise BundleError(f"{path}: no {INDEX} in this folder, so it is not a model; models found: {known}")
    raise BundleError(f"no model folder or name '{text}'; models found: {known} (see `livemove models`)")


# --- load ---------------------------------------------------------------------------------------------------


def load_bundle(path_or_name: str | Path) -> Bundle:
    """Load and check a bundle, by folder or by name. Raises BundleError."""
    folder = find_bundle(path_or_name)
    spec, manifest = _read_index(folder / INDEX)
    content = {name: _read_listed(folder / name, *manifest[name]) for name in manifest}
    weights = _parse_weights(folder / WEIGHTS, content[WEIGHTS], spec)
    golden = _parse_golden(folder / GOLDEN, content[GOLDEN], spec)
    return Bundle(
        path=folder,
        spec=spec,
        weights=weights,
        golden=golden,
        mapping_path=folder / MAPPING if MAPPING in manifest else None,
        onnx_path=folder / ONNX if ONNX in manifest else None,
        description_path=folder / DESCRIPTION,
        figures=_parse_figures(folder / FIGURES, content[FIGURES]) if FIGURES in manifest else {},
    )


def _wrong(file: Path, field: str, expected: object, found: object) -> NoReturn:
    raise BundleError(f"{file}: {field}: expected {expected}, found {found}")


def read_part(file: Path, limit: int) -> bytes:
    """A plain file of at most so many bytes that lies in its folder; nothing else that a name may lead to. Raises
    BundleError."""
    try:
        if not file.resolve().is_relative_to(file.parent.resolve()):
            _wrong(file, "place", "a file in the model's folder", "a link that leads out of it; copy the file there")
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would never end, and a device neither
            _wrong(file, "kind", "a plain file", "something else")
        if status.st_size > limit:
            _wrong(file, "size", f"at most {limit} bytes", f"{status.st_size} bytes")
        return file.read_bytes()
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        if isinstance(error, RuntimeError):
            raise BundleError(f"{file}: cannot be read: its links lead in a circle") from error
        reason = "the file is missing" if isinstance(error, FileNotFoundError) else error.strerror
        raise BundleError(f"{file}: cannot be read: {reason}; copy or export the model again") from error


def _read_listed(file: Path, size: int, sha256: str) -> bytes:
    """The content of a file, which must be what the manifest says."""
    content = read_part(file, LIMIT_BYTES[file.name])
    mend = " (to play with your own mapping, leave the model as it is and use --mapping FILE)" * (file.name == MAPPING)
    if len(content) != size:
        _wrong(file, "size", f"{size} bytes as in {INDEX}", f"{len(content)} bytes{mend}")
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        _wrong(file, "sha256", f"{sha256[:16]}… as in {INDEX}", f"{found[:16]}…{mend}")
    return content


def _read_index(file: Path) -> tuple[ModelSpec, dict[str, tuple[int, str]]]:
    """(spec, file name -> (bytes, sha256)) of a model.json."""
    try:
        data = json.loads(read_part(file, LIMIT_BYTES[INDEX]).decode("utf-8"))
    except (ValueError, RecursionError) as error:  # ValueError: also no UTF-8, or a number of thousands of digits
        raise BundleError(f"{file}: content: expected JSON, found something else ({error})") from error
    index = _table(file, "content", data)
    version = _take(file, index, "format_version", int)
    if version > FORMAT_VERSION:
        raise BundleError(
            f"{file}: format_version: expected at most {FORMAT_VERSION}, found {version}: "
            "the model is newer than this livemove; update livemove (pip install -U livemove)"
        )
    if version < 1:
        _wrong(file, "format_version", f"1..{FORMAT_VERSION}", version)
    spec = _spec_from_plain(file, _table(file, "spec", index.get("spec")))
    manifest = {
        name: _manifest_entry(file, name, entry) for name, entry in _table(file, "files", index.get("files")).items()
    }
    for name in REQUIRED:
        if name not in manifest:
            _wrong(file, "files", name, "no such entry")
    return spec, manifest


def _manifest_entry(file: Path, name: str, entry: object) -> tuple[int, str]:
    if name not in (*REQUIRED, *OPTIONAL):
        _wrong(file, "files", f"only {', '.join((*REQUIRED, *OPTIONAL))}", repr(name))
    table = _table(file, f"files.{name}", entry)
    size = _take(file, table, "bytes", int, f"files.{name}.")
    sha256 = _take(file, table, "sha256", str, f"files.{name}.")
    if len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
        _wrong(file, f"files.{name}.sha256", "64 hexadecimal digits", repr(sha256[:80]))
    return size, sha256


def _parse_figures(file: Path, content: bytes) -> Plain:
    try:
        figures = _table(file, "content", json.loads(content.decode("utf-8")))
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{file}: content: expected JSON, found something else ({error})") from error
    for name in MATCHED:
        if name in figures:
            figures[name] = _take(file, figures, name, float)
    return figures


def _parse_weights(file: Path, content: bytes, spec: ModelSpec) -> Weights:
    shapes = weight_shapes(spec)
    payload = sum(2 * math.prod(shape) for shape in shapes.values())
    if not payload <= len(content) <= payload + HEADER_LIMIT_BYTES:
        _wrong(file, "size", f"{payload} bytes of float16 tensors and a header", f"{len(content)} bytes")
    try:
        tensors = parse_safetensors(content)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{file}: content: expected safetensors, found something else ({error})") from error
    if set(tensors) != set(shapes):
        missing, extra = sorted(set(shapes) - set(tensors)), sorted(set(tensors) - set(shapes))
        _wrong(
            file,
            "names",
            f"the {len(shapes)} tensors of the spec",
            f"missing {', '.join(missing) or 'none'}; unknown {', '.join(extra) or 'none'}",
        )
    weights: Weights = {}
    for name, shape in shapes.items():
        tensor = tensors[name]
        if tensor.shape != shape:
            _wrong(file, f"{name} shape", list(shape), list(tensor.shape))
        if tensor.dtype != np.float16:
            _wrong(file, f"{name} dtype", "float16", tensor.dtype)
        if not np.isfinite(tensor).all():
            bad = int(np.count_nonzero(~np.isfinite(tensor)))
            _wrong(file, f"{name} values", "finite numbers", f"{bad} NaN or infinite of {tensor.size}")
        weights[name] = tensor.astype(np.float32)
    return weights


NO_ARRAYS = (
    *(zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, KeyError, IndexError, TypeError, SyntaxError),
    *(tokenize.TokenError, MemoryError, OverflowError, RecursionError, RuntimeError, NotImplementedError),
)
"""What zipfile and NumPy raise on bytes that are no arrays: a password, an unknown packing, a header that is no
literal."""


def _parse_golden(file: Path, content: bytes, spec: ModelSpec) -> Golden:
    expected_names = {"channels", "noise", "audio", "style", "temperature"}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > LIMIT_BYTES[GOLDEN]:  # a compressed bomb says its size here, before anything is unpacked
            _wrong(file, "unpacked size", f"at most {LIMIT_BYTES[GOLDEN]} bytes", f"{unpacked} bytes")
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            names = set(archive.files)
            if names != expected_names:
                _wrong(file, "names", ", ".join(sorted(expected_names)), ", ".join(sorted(names)) or "none")
            arrays = {name: cast(np.ndarray, archive[name]) for name in sorted(names)}
    except NO_ARRAYS as error:
        raise BundleError(
            f"{file}: content: expected an npz of plain arrays, found something else ({error})"
        ) from error

    def array(name: str, shape: tuple[int, ...]) -> Float32:
        a = arrays[name]
        if a.dtype != np.float32:
            _wrong(file, f"{name} dtype", "float32", a.dtype)
        if a.shape != shape:
            _wrong(file, f"{name} shape", list(shape), list(a.shape))
        if not np.isfinite(a).all():
            _wrong(file, f"{name} values", "finite numbers", "NaN or infinity")
        return np.ascontiguousarray(a)

    hops = len(arrays["channels"]) if arrays["channels"].ndim else 0
    if not 1 <= hops <= GOLDEN_HOPS:
        _wrong(file, "channels shape", f"1..{GOLDEN_HOPS} hops", f"{hops} hops")
    for name, kinds in (("style", "iu"), ("temperature", "f")):
        if arrays[name].shape != () or arrays[name].dtype.kind not in kinds:
            _wrong(file, name, "one number", f"{arrays[name].dtype} {list(arrays[name].shape)}")
    style, temperature = int(arrays["style"]), float(arrays["temperature"])
    if not 0 <= style < max(len(spec.styles), 1):
        _wrong(file, "style", f"0..{max(len(spec.styles), 1) - 1}", style)
    if not 0 < temperature <= 4:
        _wrong(file, "temperature", "above 0, at most 4", temperature)
    return Golden(
        channels=array("channels", (hops, len(spec.channels))),
        noise=array("noise", (hops * spec.steps_per_hop, spec.noise_width)),
        audio=array("audio", (hops * HOP,)),
        style=style,
        temperature=temperature,
    )


# --- the spec as plain fields -------------------------------------------------------------------------------


def _table(file: Path, field: str, value: object) -> Plain:
    if not isinstance(value, dict):
        _wrong(file, field, "an object", "nothing" if value is None else type(value).__name__)
    return cast(Plain, value)


def _take(file: Path, table: Plain, name: str, kind: type[T], prefix: str = "") -> T:
    if name not in table:
        _wrong(file, prefix + name, f"a value of type {kind.__name__}", "nothing")
    value = table[name]
    if kind is float and type(value) is int and abs(value) <= numbers.LARGEST:
        value = cast(T, float(value))
    if not isinstance(value, kind) or isinstance(value, bool):
        _wrong(file, prefix + name, f"a value of type {kind.__name__}", numbers.shown(value))
    if kind in (float, int):
        try:
            numbers.number(value)
        except ValueError as error:
            raise BundleError(f"{file}: {prefix + name}: {error}") from error
    return value


def spec_as_json(spec: ModelSpec) -> str:
    """A spec alone, for another process; `spec_from_json` takes it."""
    return json.dumps(dataclasses.asdict(spec))


def spec_from_json(text: str) -> ModelSpec:
    """What `spec_as_json` gave, checked as that of a bundle is. Raises BundleError, ValueError."""
    return _spec_from_plain(Path("spec"), _table(Path("spec"), "content", json.loads(text)))


def _spec_from_plain(file: Path, table: Plain) -> ModelSpec:
    def take(name: str, kind: type[T]) -> T:
        return _take(file, table, name, kind, "spec.")

    def list_of(name: str, kind: type[T]) -> tuple[T, ...]:
        values = cast("list[object]", take(name, list))
        entries: Plain = {str(i): value for i, value in enumerate(values)}
        return tuple(_take(file, entries, i, kind, f"spec.{name}.") for i in entries)

    known = {field.name for field in dataclasses.fields(ModelSpec)}
    unknown = sorted(set(table) - known)
    if unknown:
        _wrong(file, "spec", "only the fields of format " + str(FORMAT_VERSION), f"unknown {', '.join(unknown)}")
    channels: list[Channel] = []
    for i, entry in enumerate(list_of("channels", object)):
        plain, where = _table(file, f"spec.channels.{i}", entry), f"spec.channels.{i}."
        texts = [_take(file, plain, name, str, where) for name in ("name", "unit")]
        numbers = [_take(file, plain, name, float, where) for name in ("minimum", "maximum", "rest")]
        channels.append(Channel(texts[0], texts[1], numbers[0], numbers[1], numbers[2]))
    phase = None
    if table.get("phase") is not None:
        plain = _table(file, "spec.phase", table["phase"])
        phase = Phase(
            _take(file, plain, "channel", str, "spec.phase."), _take(file, plain, "harmonics", int, "spec.phase.")
        )
    path, gate = None, None
    if table.get("harmonic_path") is not None:
        plain, where = _table(file, "spec.harmonic_path", table["harmonic_path"]), "spec.harmonic_path."
        sizes = [_take(file, plain, name, int, where) for name in ("harmonics", "hidden")]
        path = HarmonicPath(sizes[0], sizes[1], _take(file, plain, "level", str, where))
    if table.get("gate") is not None:
        plain, where = _table(file, "spec.gate", table["gate"]), "spec.gate."
        limits = [_take(file, plain, name, float, where) for name in ("closed", "full")]
        gate = Gate(_take(file, plain, "channel", str, where), limits[0], limits[1])
    spec = ModelSpec(
        name=take("name", str),
        sample_rate=take("sample_rate", int),
        bands=take("bands", int),
        head=take("head", str),
        classes=take("classes", int),
        mixtures=take("mixtures", int),
        residual=take("residual", int),
        skip=take("skip", int),
        hidden=take("hidden", int),
        dilations=list_of("dilations", int),
        conditioning=take("conditioning", int),
        channels=tuple(channels),
        styles=list_of("styles", str),
        phase=phase,
        pqmf_taps=take("pqmf_taps", int),
        temperature=take("temperature", float),
        harmonic_path=path,
        gate=gate,
    )
    check_spec(spec, lambda field, expected, found: _wrong(file, f"spec.{field}", expected, found))
    return spec


def check_spec(spec: ModelSpec, wrong: Callable[[str, object, object], NoReturn]) -> None:
    """Call wrong(field, expected, found) at the first value of a spec that makes no sense or is out of bounds."""
    within = {
        "sample_rate": (8000, 192000),
        "bands": (1, 64),
        "residual": (1, 1024),
        "skip": (1, 4096),
        "hidden": (1, 4096),
        "conditioning": (1, 1024),
        "pqmf_taps": (0, 4096),
    }
    if spec.head not in ("mulaw", "logistic"):
        wrong("head", "mulaw or logistic", repr(spec.head))
    within |= {"classes": (2, 65536)} if spec.head == "mulaw" else {"mixtures": (1, 64)}
    for name, (low, high) in within.items():
        if not low <= getattr(spec, name) <= high:
            wrong(name, f"{low}..{high}", getattr(spec, name))
    if HOP % spec.bands:
        wrong("bands", f"a divisor of the hop ({HOP})", spec.bands)
    if spec.head == "mulaw" and spec.bands != 1:
        wrong("bands", "1 for a mulaw head", spec.bands)
    if spec.bands > 1 and (spec.pqmf_taps % spec.bands or spec.pqmf_taps < 2 * spec.bands):
        wrong("pqmf_taps", f"a multiple of bands ({spec.bands}), at least twice", spec.pqmf_taps)
    if not 1 <= len(spec.dilations) <= 128 or not all(1 <= d <= 65536 for d in spec.dilations):
        wrong("dilations", "1..128 layers of 1..65536 steps", f"{spec.dilations!r:.80}")
    if not 0 < spec.temperature <= 4:
        wrong("temperature", "above 0, at most 4", spec.temperature)
    names = spec.channel_names
    if not 1 <= len(names) <= 256 or len(set(names)) != len(names) or not all(names):
        wrong("channels", "1..256 channels with different names", f"{names!r:.80}")
    for c in spec.channels:
        if not c.minimum < c.maximum:
            wrong(f"channels.{c.name}", "minimum below maximum", f"{c.minimum}..{c.maximum}")
        if not (c.minimum >= -LIMIT and c.maximum <= LIMIT):
            wrong(f"channels.{c.name}", f"a range within {-LIMIT:g}..{LIMIT:g}", f"{c.minimum}..{c.maximum}")
        if not c.minimum <= c.rest <= c.maximum:
            wrong(f"channels.{c.name}.rest", f"{c.minimum}..{c.maximum}", c.rest)
    if len(spec.styles) > 1024 or len(set(spec.styles)) != len(spec.styles):
        wrong("styles", "at most 1024 different names", f"{spec.styles!r:.80}")
    for text in (spec.name, *names, *(c.unit for c in spec.channels), *spec.styles):
        if len(text) > NAME_LENGTH or not text.isprintable():  # it is printed: no control codes for the terminal
            wrong("name, channels or styles", f"at most {NAME_LENGTH} printable characters", ascii(text[:80]))
    if spec.phase and (spec.phase.channel not in names or not 1 <= spec.phase.harmonics <= 256):
        wrong("phase", f"a channel of {', '.join(names)} and 1..256 harmonics", spec.phase)
    path, gate = spec.harmonic_path, spec.gate
    if path and (spec.phase is None or spec.head != "logistic" or spec.bands == 1):
        wrong("harmonic_path", "none without a phase, a logistic head and bands", path)
    if path and not (1 <= path.harmonics <= 256 and 1 <= path.hidden <= 1024 and path.level in ("", *names)):
        wrong("harmonic_path", f"1..256 harmonics, 1..1024 hidden, a level of {', '.join(names)} or none", path)
    if gate and not (gate.channel in names and -LIMIT <= gate.closed < gate.full <= LIMIT):
        wrong("gate", f"a channel of {', '.join(names)}, closed below full", gate)


# --- save ---------------------------------------------------------------------------------------------------


def save_bundle(
    path: str | Path,
    spec: ModelSpec,
    weights: Mapping[str, Float32],
    golden: Golden,
    onnx_bytes: bytes | None,
    mapping_text: str | None,
    model_md: str,
    figures: Mapping[str, object] | None = None,
    spectrogram: bytes | None = None,
) -> Bundle:
    """Write a bundle and load it back. The folder appears whole or not at all; an older one of that name is replaced.

    figures: what was measured, as JSON can hold it; spectrogram: a PNG that MODEL.md shows.
    weights are stored as float16: make golden with `as_stored(weights)`. Raises BundleError when the bundle would not
    load again, OutputError when the folder cannot be written.
    """
    target = expanded(path).absolute()
    golden_file = io.BytesIO()
    np.savez_compressed(
        golden_file,
        channels=np.asarray(golden.channels, np.float32),
        noise=np.asarray(golden.noise, np.float32),
        audio=np.asarray(golden.audio, np.float32),
        style=np.int64(golden.style),
        temperature=np.float64(golden.temperature),
    )
    with np.errstate(over="ignore"):  # too large for float16 becomes infinite, which loading back refuses by name
        halves = {name: np.ascontiguousarray(w, np.float32).astype(np.float16) for name, w in sorted(weights.items())}
    content = {
        WEIGHTS: write_safetensors(halves),
        GOLDEN: golden_file.getvalue(),
        DESCRIPTION: model_md.encode(),
    }
    if mapping_text is not None:
        content[MAPPING] = mapping_text.encode()
    if onnx_bytes is not None:
        content[ONNX] = onnx_bytes
    if figures is not None:
        content[FIGURES] = (json.dumps(figures, indent=1) + "\n").encode()
    if spectrogram is not None:
        content[SPECTROGRAM] = spectrogram
    index = {
        "format_version": FORMAT_VERSION,
        "spec": dataclasses.asdict(spec),
        "files": {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in content.items()
        },
    }
    content[INDEX] = (json.dumps(index, indent=1) + "\n").encode()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {error.strerror}") from error
    try:
        draft.chmod(0o755)  # mkdtemp makes it private; a model may be read by all
        for name, data in content.items():
            (draft / name).write_bytes(data)
        load_bundle(draft)
        _replace_folder(draft, target)
    except BundleError as error:
        raise BundleError(str(error).replace(str(draft), str(target))) from error
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return load_bundle(target)


def _replace_folder(draft: Path, target: Path) -> None:
    """Rename draft to target. A folder cannot be renamed over another: an old one steps aside first."""
    if not target.exists():
        os.rename(draft, target)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}-old-", dir=target.parent))
    os.rename(target, aside / target.name)
    try:
        os.rename(draft, target)
    except OSError:
        os.rename(aside / target.name, target)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
