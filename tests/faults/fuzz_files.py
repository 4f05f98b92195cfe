"""Fuzzers of what is read from disk: model.json, safetensors, mappings, presets, postures, takes, videos and sounds.

In: a folder of sound material, and hypothesis' data. Out: nothing, or an AssertionError (or whatever the parser let
through): each gives something sound, or one line that says what is wrong.
"""

from __future__ import annotations

import contextlib
import json
import struct
import time
import tomllib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from hypothesis import strategies as st

from livemove import numbers
from livemove.body.features import FEATURES
from livemove.body.mapping import load_mapping
from livemove.body.posture_files import as_text, read_posture
from livemove.body.postures import Posture, Recogniser, seen_in
from livemove.bundle import load_bundle
from livemove.capture.demo import pose_at
from livemove.contracts import BundleError, CameraError, ControlError, MappingError, PostureError, TakeError
from livemove.control.presets import RANGES, one_preset
from livemove.media import sound_file, video_file
from livemove.media.clock import LONGEST_GAP_S
from livemove.media.opening import MediaError
from livemove.takes.reading import load_take
from tests.faults.mutating import damaged, edited, every_number, leaves, with_value
from tests.measure.mutate import good_files
from tests.support.bad_numbers import VALUES
from tests.support.bundles import MAPPING, random_bundle, small_spec
from tests.support.mutations import mutated
from tests.takes.test_trust import whole
from tests.test_bundle import replace_file

SLOW_S = 30.0
"""No file of a second takes longer, however busy the machine."""


def one_line(error: Exception) -> None:
    text = str(error)
    assert "\n" not in text
    assert 0 < len(text) < 2000


NO_NULL = VALUES.filter(lambda each: each is not None)
"""TOML has no null."""


def as_toml(document: dict[str, Any], path: tuple[Any, ...], value: object) -> str:
    """The document with that value at that path; an integer of more digits than Python writes is written by hand."""
    try:
        return tomli_w.dumps(with_value(document, path, value)) + "\n"
    except ValueError:
        return tomli_w.dumps(with_value(document, path, "HERE")).replace('"HERE"', "1" + "0" * 5000)


# --- bundles ------------------------------------------------------------------------------------------------


def a_bundle(folder: Path) -> Path:
    return random_bundle(folder / "small", small_spec()).path


def fuzz_model(bundle: Path, data: st.DataObject) -> None:
    """One value becomes any other, or the text is edited."""
    index = bundle / "model.json"
    text = index.read_text()
    whole = json.loads(text)
    changed = data.draw(
        st.builds(
            lambda path, value: json.dumps(with_value(whole, path, value)),
            st.sampled_from(list(leaves(whole))),
            VALUES,
        )
        | edited(text)
    )
    try:
        index.write_text(changed, encoding="utf-8", errors="surrogatepass")
        spec = load_bundle(bundle).spec
        assert all(abs(number) < numbers.LARGEST for number in every_number(asdict(spec)))
        assert 0 < spec.temperature <= 4
    except BundleError as error:
        one_line(error)
    finally:
        index.write_text(text)


def fuzz_weights(bundle: Path, data: st.DataObject) -> None:
    """The header of weights.safetensors: a value, its text, its length, or any bytes."""
    content = (bundle / "weights.safetensors").read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    text = content[8 : 8 + size].decode()
    header = json.loads(text)
    said = data.draw(
        st.builds(
            lambda path, value: json.dumps(with_value(header, path, value)).encode(),
            st.sampled_from(list(leaves(header))),
            VALUES | st.sampled_from(["F16", "F64", "U8", "BOOL", [0, 1 << 62], [1 << 60, (1 << 60) + 32]]),
        )
        | edited(text).map(lambda x: x.encode(errors="replace"))
        | damaged(text.encode())
    )
    lie = data.draw(st.sampled_from([0, 0, 0, 1, -1, 1 << 20, 1 << 40, (1 << 64) - 11]))
    length = struct.pack("<Q", (len(said) + lie) % (1 << 64))
    try:
        replace_file(bundle, "weights.safetensors", length + said + content[8 + size :])
        weights = load_bundle(bundle).weights
        assert all(np.isfinite(each).all() for each in weights.values())
    except BundleError as error:
        one_line(error)
    finally:
        replace_file(bundle, "weights.safetensors", content)


# --- mappings and presets -----------------------------------------------------------------------------------


def nothing(folder: Path) -> Path:
    return folder


def a_mapping() -> dict[str, Any]:
    whole = tomllib.loads(MAPPING)
    for table in whole["channels"].values():
        table.setdefault("curve", 1.0)
        table.setdefault("smoothing_s", 0.1)
    whole["channels"]["pitch"] |= {"scale": "major", "root": "A", "snap": 0.5}
    whole["channels"]["loudness"]["source"] = "osc:/fader"
    return whole


def fuzz_mapping(_: Path, data: st.DataObject) -> None:
    whole = a_mapping()
    text = data.draw(
        st.builds(as_toml, st.just(whole), st.sampled_from(list(leaves(whole))), NO_NULL) | edited(tomli_w.dumps(whole))
    )
    try:
        mapping = load_mapping(text + "\n", small_spec(), FEATURES)
    except MappingError as error:
        one_line(error)
        return
    for octave, scale, root in ((0, 0, 0), (2, 1, 3), (-4, 5, 12)):
        mapping.steer(octave, scale, root)
        for value in (0.0, 1.0, np.nan, np.inf, -1e30):
            inputs = np.full(len(FEATURES) + len(mapping.external), value, np.float32)
            assert np.isfinite(mapping.step(inputs, 0.005)).all()


PRESET: dict[str, Any] = {
    **{"model": "theremin", "mapping": "", "style": "0", "gain": 1.0, "temperature": 1.0, "octave": 0},
    **{"scale": "major", "root": "C", "look_ahead_ms": 0.0, "muted": False},
    "devices": {"camera": "0", "device": "1", "block": 512, "samplerate": 48000, "osc": "9000", "mpe": False},
}


def fuzz_preset(folder: Path, data: st.DataObject) -> None:
    text = data.draw(
        st.builds(as_toml, st.just(PRESET), st.sampled_from(list(leaves(PRESET))), NO_NULL)
        | edited(tomli_w.dumps(PRESET))
    )
    file = folder / "fuzzed.toml"
    file.write_bytes(text.encode("utf-8", errors="surrogatepass"))
    try:
        _, preset = one_preset(str(file))
    except ControlError as error:
        one_line(error)
        return
    for name, (low, high) in RANGES.items():
        value = getattr(preset, name, None) or getattr(preset.devices, name, None)
        assert value is None or low <= value <= high
    controls = preset.controls(0, 0)
    assert all(np.isfinite([controls.gain, controls.temperature, controls.look_ahead_s]))


def a_posture() -> Posture:
    examples = tuple(seen.body for time_s in (0.0, 1.0) if (seen := seen_in(pose_at(time_s))))
    return Posture("fuzzed", 0.1, examples)


def fuzz_posture(folder: Path, data: st.DataObject) -> None:
    text = as_text(a_posture())
    document = tomllib.loads(text)
    places = st.sampled_from(list(leaves(document)))
    file = folder / "fuzzed.toml"
    fuzzed = data.draw(st.builds(as_toml, st.just(document), places, NO_NULL) | edited(text))
    file.write_bytes(fuzzed.encode("utf-8", errors="surrogatepass"))
    try:
        posture = read_posture(file)
    except PostureError as error:
        one_line(error)
        return
    recogniser = Recogniser((posture,))
    recogniser.update(pose_at(0.0))
    assert 0.0 <= recogniser.confidence("fuzzed") <= 1.0


# --- takes --------------------------------------------------------------------------------------------------


def a_take(folder: Path) -> Path:
    return whole(folder / "take")


def fuzz_take(folder: Path, data: st.DataObject) -> None:
    """A file of it is damaged, its take.toml edited, or a number in it another."""
    file = data.draw(st.sampled_from(sorted(path for path in folder.iterdir() if path.is_file())))
    intact = file.read_bytes()
    ways = damaged(intact)
    if file.suffix == ".toml":
        document = tomllib.loads(intact.decode())
        ways |= edited(intact.decode()).map(lambda text: text.encode(errors="replace"))
        if places := list(leaves(document)):
            ways |= st.builds(as_toml, st.just(document), st.sampled_from(places), NO_NULL).map(
                lambda text: text.encode(errors="replace")
            )
    try:
        file.write_bytes(data.draw(ways))
        take = load_take(folder)
        sound = take.sound()
        assert np.isfinite(sound).all()
        assert all(0 <= frame.people <= 4 and np.isfinite(frame.capture_s) for frame in take.frames())
        take.video()
    except TakeError as error:
        one_line(error)
    finally:
        file.write_bytes(intact)


# --- videos and sounds --------------------------------------------------------------------------------------


def media(folder: Path) -> Path:
    """One file of each kind of container, a second long."""
    good = folder / "good"
    good.mkdir()
    good_files(good)
    return folder


def fuzz_media(folder: Path, data: st.DataObject) -> None:
    sources = sorted((folder / "good").iterdir())
    source = data.draw(st.sampled_from(sources))
    path = folder / f"case{source.suffix}"
    path.write_bytes(mutated(source.read_bytes(), data.draw(st.integers(0, 2**32))))
    began_s = time.monotonic()
    for look in (_look, _hear):
        try:
            look(path)
        except (CameraError, MediaError) as error:
            one_line(error)
    assert time.monotonic() - began_s < SLOW_S


def _look(path: Path) -> None:
    probed = video_file.probe(path)
    assert np.isfinite([probed.fps, probed.seconds]).all()
    last_s, step_s = -1.0, max(LONGEST_GAP_S, 2.0 / probed.fps) + 1.0
    with contextlib.closing(video_file.some_frames(path, lambda time_s: time_s < 0.5)) as frames:  # type: ignore[type-var]
        for count, (time_s, image) in enumerate(frames):
            assert last_s < time_s < last_s + step_s
            last_s = time_s
            assert image is None or (image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3)
            if count > 100:
                return


def _hear(path: Path) -> None:
    for count, block in enumerate(sound_file.mono_blocks(path, 16000)):
        assert block.dtype == np.float32
        assert np.isfinite(block).all()
        if count > 100:
            return


FILES: dict[str, tuple[Callable[[Path], Path], Callable[[Path, st.DataObject], None]]] = {
    "model.json": (a_bundle, fuzz_model),
    "safetensors": (a_bundle, fuzz_weights),
    "mapping.toml": (nothing, fuzz_mapping),
    "presets": (nothing, fuzz_preset),
    "postures": (nothing, fuzz_posture),
    "takes": (a_take, fuzz_take),
    "videos and sounds": (media, fuzz_media),
}
"""name -> (makes its material in a folder, the fuzzer)."""
