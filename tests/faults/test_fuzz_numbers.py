"""Numbers of every kind in everything that is read: model.json, mapping.toml, presets, OSC and MIDI messages.

A parser gives finite numbers within limits, or one line that says what is wrong. `HYPOTHESIS_PROFILE=long` looks for
longer. For each a planted fault shows that it would have been found.
"""

from __future__ import annotations

import contextlib
import copy
import json
import math
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from livemove import numbers
from livemove.body.features import FEATURES
from livemove.body.mapping import load_mapping
from livemove.bundle import Bundle, load_bundle
from livemove.contracts import BundleError, ControlError, Controls, MappingError
from livemove.control.midi import ActiveSensing, MidiBindings, MidiIn, MidiInterpreter
from livemove.control.osc import OscIn
from livemove.control.presets import RANGES, one_preset
from livemove.control.steering import steer
from livemove.control.vocabulary import SETS, SWITCHES, TRIGGERS, Received
from livemove.controls import CONTROLS, GAIN_FACTORS
from tests.support.bad_numbers import VALUES
from tests.support.bundles import MAPPING, small_spec

QUIET = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where in a document something stands that has no parts; lists count as one, too."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(each, (*path, key))
        return
    yield path
    if isinstance(value, list):
        for place, each in enumerate(value):
            yield from leaves(each, (*path, place))


def with_value(document: Any, path: tuple[Any, ...], value: object) -> Any:
    changed = copy.deepcopy(document)
    inner = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return changed


def every_number(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from every_number(each)
    elif isinstance(value, (int, float)):
        yield value


def one_line(error: Exception) -> None:
    text = str(error)
    assert "\n" not in text
    assert len(text) < 2000


def search(body: Callable[..., None], *arguments: object, **more: Any) -> None:
    """The body, again and again, with other `data` each time; arguments come before it."""

    def test(data: st.DataObject) -> None:
        body(*arguments, data)

    settings(QUIET, **more)(given(data=st.data())(test))()


def found_by(body: Callable[..., None], *arguments: object) -> None:
    """It fails, whatever with: a fault was planted."""
    with pytest.raises((AssertionError, ArithmeticError, LookupError, ValueError, TypeError, ExceptionGroup)):
        search(body, *arguments, max_examples=2000, phases=[Phase.generate], derandomize=True, database=None)


def no_gate(value: object, low: float = -math.inf, high: float = math.inf) -> float:
    return float(value)  # type: ignore[arg-type]


# --- model.json ---------------------------------------------------------------------------------------------


def fuzz_model(small_bundle: Bundle, data: st.DataObject) -> None:
    index = small_bundle.path / "model.json"
    whole = json.loads(index.read_text())
    path = data.draw(st.sampled_from(list(leaves(whole))))
    changed = with_value(whole, path, data.draw(VALUES))
    text = json.dumps(whole)
    try:
        index.write_text(json.dumps(changed))
        spec = load_bundle(small_bundle.path).spec
        assert all(abs(number) < numbers.LARGEST for number in every_number(asdict(spec)))
        assert 0 < spec.temperature <= 4
    except BundleError as error:
        one_line(error)
    finally:
        index.write_text(text)


def test_model_json_is_sound_or_one_line(small_bundle: Bundle) -> None:
    search(fuzz_model, small_bundle)


# --- mapping.toml -------------------------------------------------------------------------------------------


def fuzz_mapping(data: st.DataObject) -> None:
    import tomllib

    whole = tomllib.loads(MAPPING)
    for table in whole["channels"].values():
        table.setdefault("curve", 1.0)
        table.setdefault("smoothing_s", 0.1)
    path = data.draw(st.sampled_from(list(leaves(whole))))
    value = data.draw(VALUES.filter(lambda each: each is not None))
    changed = with_value(whole, path, value)
    spec = small_spec()
    try:
        text = tomli_w.dumps(changed) + "\n"
    except ValueError:  # more digits than a text may have: written by hand
        text = tomli_w.dumps(with_value(whole, path, "HERE")).replace('"HERE"', "1" + "0" * 5000)
    try:
        mapping = load_mapping(text, spec, FEATURES)
    except MappingError as error:
        one_line(error)
        return
    for inputs in (np.zeros(len(FEATURES)), np.ones(len(FEATURES)), np.full(len(FEATURES), np.nan)):
        for _ in range(3):
            extra = np.zeros(len(mapping.external))
            channels = mapping.step(np.concatenate([inputs, extra]).astype(np.float32), 0.005)
            assert np.isfinite(channels).all()


def test_mapping_toml_is_sound_or_one_line() -> None:
    search(fuzz_mapping)


# --- presets ------------------------------------------------------------------------------------------------

PRESET = {
    **{
        "model": "theremin",
        "mapping": "",
        "style": "0",
        "gain": 1.0,
        "temperature": 1.0,
        "octave": 0,
        "scale": "major",
    },
    **{"scale": "major", "root": "C", "look_ahead_ms": 0.0, "muted": False},
    "devices": {"camera": "0", "device": "1", "block": 512, "samplerate": 48000, "osc": "9000", "mpe": False},
}


def fuzz_preset(folder: Path, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(list(leaves(PRESET))))
    changed = with_value(PRESET, path, data.draw(VALUES.filter(lambda each: each is not None)))
    file = folder / "fuzzed.toml"
    file.write_text(tomli_w.dumps(changed), encoding="utf-8")
    try:
        _, preset = one_preset(str(file))
    except ControlError as error:
        one_line(error)
        return
    for name, (low, high) in RANGES.items():
        value = getattr(preset, name, None) or getattr(preset.devices, name, None)
        assert value is None or low <= value <= high


def test_presets_are_sound_or_one_line(tmp_path: Path) -> None:
    search(fuzz_preset, tmp_path)


# --- OSC and MIDI -------------------------------------------------------------------------------------------


def sound(received: Received) -> None:
    """Whatever came: what reaches the mapping is finite, and what reaches the controls stays within their limits."""
    assert all(math.isfinite(value) for value in received.inputs.values())
    controls = Controls()
    for request in received.requests:
        controls = steer(controls, request, styles=3, models=2)
    assert GAIN_FACTORS[0] <= controls.gain <= GAIN_FACTORS[1] * 1.001
    assert CONTROLS["temperature"].low <= controls.temperature <= CONTROLS["temperature"].high
    assert 0.0 <= controls.look_ahead_s <= 0.08
    assert controls.model in range(2)
    assert controls.style in range(3)


def padded(data: bytes) -> bytes:
    return data + b"\0" * (4 - len(data) % 4)


FLOATS = st.floats(width=32).map(lambda x: ("f", struct.pack(">f", x)))
ARGUMENTS = (
    FLOATS
    | st.floats().map(lambda x: ("d", struct.pack(">d", x)))
    | st.integers(-(2**31), 2**31 - 1).map(lambda x: ("i", struct.pack(">i", x)))
    | st.integers(-(2**63), 2**63 - 1).map(lambda x: ("h", struct.pack(">q", x)))
    | st.text(max_size=6).map(lambda x: ("s", padded(x.replace("\0", "").encode())))
    | st.sampled_from([("T", b""), ("F", b""), ("N", b""), ("I", b"")])
    | st.binary(max_size=8).map(lambda x: ("f", x))
)
ADDRESSES = st.sampled_from([f"/livemove/{name}" for name in (*SETS, *SWITCHES, *TRIGGERS, "learn")] + ["/fader"])


MESSAGES = st.lists(st.tuples(ADDRESSES, st.sampled_from(["", "/by"]), st.lists(ARGUMENTS, max_size=3)), max_size=5)


def fuzz_osc(data: st.DataObject) -> None:
    messages = data.draw(MESSAGES)
    ear = OscIn("127.0.0.1", 0, {"model": ("a", "b")})
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for address, suffix, arguments in messages:
                kinds = "," + "".join(kind for kind, _ in arguments)
                packet = padded((address + suffix).encode()) + padded(kinds.encode())
                sender.sendto(packet + b"".join(bits for _, bits in arguments), ear.socket.getsockname())
        sound(ear.listen())
    finally:
        ear.close()


def test_osc_is_sound_or_not_heard() -> None:
    search(fuzz_osc)


class _Port:
    """Gives rtmidi's messages: bytes and when they came."""

    def __init__(self, messages: list[list[int]]) -> None:
        self.messages = messages

    def get_message(self) -> tuple[list[int], float] | None:
        return (self.messages.pop(0), 0.0) if self.messages else None


def fuzz_midi(data: st.DataObject) -> None:
    messages = data.draw(st.lists(st.lists(st.integers(0, 255), max_size=6), max_size=8))
    port = object.__new__(MidiIn)
    port._client, port._open = _Port(messages), True  # pyright: ignore[reportPrivateUsage]
    port._sensing = ActiveSensing()  # pyright: ignore[reportPrivateUsage]
    interpreter, received = MidiInterpreter(MidiBindings(None), presets=False), Received()
    for message in port.messages():
        interpreter.handle(message, received)
    sound(received)


def test_midi_is_sound_or_not_heard() -> None:
    pytest.importorskip("mido")
    search(fuzz_midi)


# --- the control: without the gate each is found ------------------------------------------------------------


def test_a_planted_fault_is_found(small_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as fault:
        fault.setattr("livemove.numbers.number", no_gate)
        found_by(fuzz_model, small_bundle)
        found_by(fuzz_mapping)
        found_by(fuzz_preset, tmp_path)
    with monkeypatch.context() as fault:
        fault.setattr("livemove.control.osc.maybe", lambda value: value if isinstance(value, float) else None)
        found_by(fuzz_osc)
    only_values = contextlib.suppress
    with monkeypatch.context() as fault:
        # As it was: a message that ends too soon ended the control process.
        fault.setattr("livemove.control.midi.contextlib.suppress", lambda *_: only_values(ValueError))
        found_by(fuzz_midi)
