"""Fuzzers of what comes while it plays, or is typed: OSC packets, MIDI messages, every numeric option.

In: hypothesis' data. Out: nothing, or an AssertionError (or whatever was let through): what is no message is not heard,
what is no number is one line; what is heard stays within limits.
"""

from __future__ import annotations

import math
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import click
from click.testing import CliRunner
from hypothesis import strategies as st

from livemove.contracts import Controls
from livemove.control.midi import ActiveSensing, ArrivalTimes, MidiBindings, MidiIn, MidiInterpreter
from livemove.control.midi_clock import MidiClockIn
from livemove.control.midi_timecode import TimecodeIn
from livemove.control.osc import OscIn
from livemove.control.steering import steer
from livemove.control.vocabulary import SETS, SWITCHES, TRIGGERS, Received
from livemove.controls import CONTROLS, GAIN_FACTORS
from tests.support.bad_numbers import NO_NUMBERS, NOTHING


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


# --- OSC ----------------------------------------------------------------------------------------------------


def padded(data: bytes) -> bytes:
    return data + b"\0" * (4 - len(data) % 4)


FLOATS = st.floats(width=32).map(lambda x: ("f", struct.pack(">f", x)))
ARGUMENTS = (
    FLOATS
    | st.floats().map(lambda x: ("d", struct.pack(">d", x)))
    | st.integers(-(2**31), 2**31 - 1).map(lambda x: ("i", struct.pack(">i", x)))
    | st.integers(-(2**63), 2**63 - 1).map(lambda x: ("h", struct.pack(">q", x)))
    | st.text(max_size=6).map(lambda x: ("s", padded(x.replace("\0", "").encode())))
    | st.sampled_from([("T", b""), ("F", b""), ("N", b""), ("I", b""), ("[", b""), ("]", b"")])
    | st.binary(max_size=8).map(lambda x: ("f", x))
    | st.integers(0, 2**32 - 1).map(lambda x: ("b", struct.pack(">I", x)))
)
ADDRESSES = st.sampled_from([f"/livemove/{name}" for name in (*SETS, *SWITCHES, *TRIGGERS, "learn")] + ["/fader"])


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    address = draw(ADDRESSES) + draw(st.sampled_from(["", "", "/by", "/nobody"]))
    arguments = draw(st.lists(ARGUMENTS, max_size=3))
    kinds = "," + "".join(kind for kind, _ in arguments)
    return padded(address.encode()) + padded(kinds.encode()) + b"".join(bits for _, bits in arguments)


@st.composite
def bundles(draw: st.DrawFn) -> bytes:
    """Messages and bundles in a bundle; sizes may lie, its time tag be any."""
    inner = draw(st.lists(messages() | st.binary(max_size=20), max_size=4))
    lie = draw(st.sampled_from([0, 0, 0, 1, -4, 1 << 20, -(1 << 31)]))
    tag = draw(st.sampled_from([1, 0, 2**64 - 1]) | st.integers(0, 2**64 - 1))
    parts = (struct.pack(">i", max(min(len(each) + lie, 2**31 - 1), -(2**31))) + each for each in inner)
    return b"#bundle\0" + struct.pack(">Q", tag) + b"".join(parts)


def nested(packet: bytes, depth: int) -> bytes:
    """A bundle in a bundle in a bundle ..."""
    for _ in range(depth):
        packet = b"#bundle\0" + struct.pack(">Q", 1) + struct.pack(">i", len(packet)) + packet
    return packet


PACKETS = messages() | bundles() | st.builds(nested, messages(), st.integers(1, 60)) | st.binary(max_size=60)


def fuzz_osc(_: Path, data: st.DataObject) -> None:
    packets = data.draw(st.lists(PACKETS, max_size=5))
    ear = OscIn("127.0.0.1", 0, {"model": ("a", "b")})
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for packet in packets:
                sender.sendto(packet, ear.socket.getsockname())
        sound(ear.listen())
    finally:
        ear.close()


# --- MIDI ---------------------------------------------------------------------------------------------------


class _Port:
    """Gives rtmidi's messages: bytes and when they came."""

    def __init__(self, messages: list[list[int]]) -> None:
        self.messages = messages

    def get_message(self) -> tuple[list[int], float] | None:
        return (self.messages.pop(0), 0.0) if self.messages else None


KNOWN = st.builds(
    lambda kind, first, second: [kind, first, second],
    st.sampled_from([0x80, 0x90, 0xA0, 0xB0, 0xC0, 0xD0, 0xE0, 0xB1, 0xF8, 0xFE, 0xFF]),
    st.integers(0, 127) | st.sampled_from([1, 7, 64, 120, 121, 123]), st.integers(0, 127),
)  # fmt: skip


def fuzz_midi(_: Path, data: st.DataObject) -> None:
    messages = data.draw(st.lists(KNOWN | st.lists(st.integers(0, 255), max_size=6), max_size=8))
    port = object.__new__(MidiIn)
    port._client, port._open = _Port(messages), True  # pyright: ignore[reportPrivateUsage]
    port._sensing = ActiveSensing()  # pyright: ignore[reportPrivateUsage]
    port._arrivals = ArrivalTimes()  # pyright: ignore[reportPrivateUsage]
    port.clock, port.timecode = MidiClockIn(), TimecodeIn()
    interpreter, received = MidiInterpreter(MidiBindings(None), presets=data.draw(st.booleans())), Received()
    learning = data.draw(st.sampled_from(["", "", "gain", "mute"]))
    for message in port.messages():
        interpreter.handle(message, received, learning)
    assert not any(map(math.isinf, port.timing(0.01).values()))
    interpreter.silence(received)
    sound(received)


# --- options ------------------------------------------------------------------------------------------------

DIGITS = st.text("0123456789.eE+-_xXnaif ,", max_size=12)
TYPED = st.floats().map(repr) | st.integers().map(str) | DIGITS | st.text(max_size=6) | st.sampled_from(
    [*NO_NUMBERS, *NOTHING]
)  # fmt: skip


def fuzz_options(_: Path, data: st.DataObject) -> None:
    """Any text for any numeric option: a finite number within its limits, or one line and code 2."""
    from tests.test_numbers import COMMANDS, NUMERIC  # all commands of training, and PyTorch with them

    path, parameter = data.draw(st.sampled_from(NUMERIC))
    text = data.draw(TYPED)
    try:
        value = parameter.type.convert(text, parameter, None)
    except click.BadParameter:
        if path[0] == "livemove" and "\0" not in text:
            done = CliRunner().invoke(COMMANDS[path[0]], [*path[1:], f"{parameter.opts[0]}={text}"])
            assert done.exit_code == 2, (text, done.output, done.exception)
            assert len(done.stderr.splitlines()) == 1, done.stderr
        return
    assert math.isfinite(value)
    kind = parameter.type
    low = -math.inf if kind.min is None else kind.min  # type: ignore[attr-defined]
    high = math.inf if kind.max is None else kind.max  # type: ignore[attr-defined]
    assert low <= value <= high


def nothing(folder: Path) -> Path:
    return folder


MESSAGES: dict[str, tuple[Callable[[Path], Path], Callable[[Path, st.DataObject], None]]] = {
    "OSC": (nothing, fuzz_osc),
    "MIDI": (nothing, fuzz_midi),
    "numeric options": (nothing, fuzz_options),
}
"""name -> (makes its material in a folder, the fuzzer)."""
