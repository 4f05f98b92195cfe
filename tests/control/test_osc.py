"""OSC: every address does what the table says, nothing anybody sends is an error of ours, and what we send is OSC."""

from __future__ import annotations

import contextlib
import math
import socket
import struct
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message_builder import OscMessageBuilder
from pythonosc.osc_packet import OscPacket

from livemove.body.notes import SCALES
from livemove.contracts import Action, ControlError, Request
from livemove.control import osc
from livemove.control.control_config import address
from livemove.control.osc import LONGEST_NAME, MALFORMED, OscIn, OscOut, readable, requests_of
from livemove.control.vocabulary import Received
from livemove.ipc.segment import TEXT_BYTES
from tests.support.osc import packet

NAMES = {"model": ("theremin", "choir"), "preset": ("soft", "loud"), "scale": ("", *SCALES), "root": ("", "C", "C#")}


@pytest.fixture
def ear() -> Iterator[OscIn]:
    made = OscIn("127.0.0.1", 0, {"model": NAMES["model"], "preset": NAMES["preset"]})
    yield made
    made.close()


def tell(ear: OscIn, *packets: bytes) -> Received:
    """Send, and listen until as much was received as was sent, loopback being quick but not immediate."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for each in packets:
            sender.sendto(each, ear.socket.getsockname())
    time.sleep(0.05)
    return ear.listen()


@pytest.mark.parametrize(
    ("where", "values", "expected"),
    [
        ("gain", (1.0,), Request(Action.GAIN, 0.0, True)),
        ("gain", (0.0,), Request(Action.GAIN, -120.0, True)),
        ("gain/by", (10.0,), Request(Action.GAIN, 20.0)),
        ("gain_db", (-6,), Request(Action.GAIN, -6.0, True)),
        ("gain_db/by", (-1.5,), Request(Action.GAIN, -1.5)),
        ("mute", (), Request(Action.MUTE)),
        ("mute", (1,), Request(Action.MUTE, 1.0, True)),
        ("mute", (False,), Request(Action.MUTE, 0.0, True)),
        ("freeze", (0.7,), Request(Action.FREEZE, 1.0, True)),
        ("panic", (), Request(Action.PANIC)),
        ("panic", (1.0,), Request(Action.PANIC)),
        ("reload", (), Request(Action.RELOAD)),
        ("temperature", (0.5,), Request(Action.TEMPERATURE, 0.5, True)),
        ("style", (2,), Request(Action.STYLE, 1.0, True)),
        ("octave", (-1,), Request(Action.OCTAVE, -1.0, True)),
        ("octave/by", (1,), Request(Action.OCTAVE, 1.0)),
        ("scale", ("blues",), Request(Action.SCALE, 1.0 + list(SCALES).index("blues"), True)),
        ("scale", (0,), Request(Action.SCALE, 0.0, True)),
        ("root", ("Db",), Request(Action.ROOT, 2.0, True)),
        ("look_ahead", (40,), Request(Action.LOOK_AHEAD, 40.0, True)),
        ("model", (2,), Request(Action.MODEL, 1.0, True)),
        ("model", ("choir",), Request(Action.MODEL, 1.0, True)),
        ("model/by", (1,), Request(Action.MODEL, 1.0)),
        ("preset", ("soft",), Request(Action.PRESET, 0.0, True)),
        ("preset/by", (-1,), Request(Action.PRESET, -1.0)),
        ("learn", ("gain",), Request(Action.LEARN, float(Action.GAIN))),
        ("learn", (), Request(Action.LEARN)),
        ("camera", (0,), Request(Action.CAMERA, absolute=True, text="0")),
        ("camera", ("rtsp://stage/left",), Request(Action.CAMERA, absolute=True, text="rtsp://stage/left")),
        ("camera/by", (1,), Request(Action.CAMERA, 1.0)),
        ("device", (3.0,), Request(Action.DEVICE, absolute=True, text="3")),
        ("device", ("USB",), Request(Action.DEVICE, absolute=True, text="USB")),
        ("device/by", (-1,), Request(Action.DEVICE, -1.0)),
    ],
)
def test_an_address_asks_for_what_the_table_says(where: str, values: tuple[object, ...], expected: Request) -> None:
    assert requests_of(f"/livemove/{where}", values, NAMES) == [expected]


@pytest.mark.parametrize("where", ["panic", "reload"])
def test_a_button_that_is_let_go_does_nothing(where: str) -> None:
    assert requests_of(f"/livemove/{where}", (0.0,), NAMES) == []


@pytest.mark.parametrize(
    ("where", "values", "word"),
    [
        ("gain", (), "number"),
        ("gain", ("loud",), "no gain 'loud'"),
        ("gain", (math.nan,), "number"),
        ("mute", ("yes",), "1 or 0"),
        ("scale", ("jazz",), "there are chromatic"),
        ("model", ("tuba",), "there are theremin, choir"),
        ("learn", ("tuba",), "there are gain"),
        ("octave/up", (1,), "no such address"),
        ("volume", (1,), "no such address"),
        ("camera", (), "number or a name"),
        ("camera", ("x" * (LONGEST_NAME + 1),), "number or a name"),
        ("device", (1.5,), "number or a name"),
        ("device/by", ("USB",), "number"),
    ],
)
def test_what_is_wrong_with_a_message_is_said(where: str, values: tuple[object, ...], word: str) -> None:
    with pytest.raises((ValueError, ControlError), match=word):
        requests_of(f"/livemove/{where}", values, NAMES)


def test_the_longest_name_finds_room_in_a_request() -> None:
    assert LONGEST_NAME <= TEXT_BYTES


def test_other_peoples_addresses_are_sources_and_no_trouble(ear: OscIn) -> None:
    received = tell(ear, packet("/fader1", 0.25), packet("/xy", 0.5, 0.75), packet("/name", "x"))
    assert received.inputs == {"osc:/fader1": 0.25, "osc:/xy": 0.5}
    assert (received.requests, received.messages, received.troubles) == ([], 3, 0)


def test_a_bundle_is_all_of_its_messages(ear: OscIn) -> None:
    bundle = OscBundleBuilder(IMMEDIATELY)
    for where, value in (("/livemove/gain", 1.0), ("/fader1", 0.5)):
        message = OscMessageBuilder(where)
        message.add_arg(value)
        bundle.add_content(message.build())
    received = tell(ear, bundle.build().dgram)
    assert received.requests == [Request(Action.GAIN, 0.0, True)]
    assert received.inputs["osc:/fader1"] == 0.5


def test_of_more_than_can_be_heard_the_last_of_each_address_counts(ear: OscIn) -> None:
    received = tell(ear, *(packet("/livemove/octave", n % 3) for n in range(200)), packet("/fader1", 0.125))
    assert received.requests == [Request(Action.OCTAVE, float(199 % 3), True)]
    assert received.inputs["osc:/fader1"] == 0.125


@pytest.fixture(scope="module")
def patient_ear() -> Iterator[OscIn]:
    made = OscIn("127.0.0.1", 0, NAMES)
    yield made
    made.close()


@given(rubbish=st.binary(max_size=200), prefix=st.sampled_from([b"", b"/", b"/a\0\0,", b"#bundle\0", b"/a\0\0,[ffi"]))
def test_rubbish_is_counted_and_harms_nobody(patient_ear: OscIn, rubbish: bytes, prefix: bytes) -> None:
    received = Received()
    patient_ear._handle(prefix + rubbish, ("127.0.0.1", 9), received)
    assert received.messages or received.troubles or prefix.startswith(b"#bundle")
    assert bool(received.trouble) == bool(received.troubles)
    assert received.trouble.isprintable()
    assert all(math.isfinite(value) for value in received.inputs.values())


def test_what_is_sent_is_bundles_that_others_read() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        ear.settimeout(5)
        out = OscOut(*ear.getsockname())
        values = {f"/livemove/feature/{n}": float(np.float32(n / 7)) for n in range(40)}
        out.send(values)
        packets = [ear.recv(65535)]
        while sum(len(OscPacket(each).messages) for each in packets) < len(values):
            packets.append(ear.recv(65535))
    assert max(map(len, packets)) <= 1400
    messages = [timed for each in packets for timed in OscPacket(each).messages]
    assert {timed.message.address: timed.message.params[0] for timed in messages} == values


def test_a_port_that_is_taken_is_named(ear: OscIn) -> None:
    port = ear.socket.getsockname()[1]
    with pytest.raises(ControlError, match=f"127.0.0.1:{port}"):
        OscIn("127.0.0.1", port, {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [("9000", ("127.0.0.1", 9000)), ("0.0.0.0:9000", ("0.0.0.0", 9000)), ("[::1]:57120", ("::1", 57120))],
)
def test_an_address_is_this_machine_unless_it_says_otherwise(text: str, expected: tuple[str, int]) -> None:
    assert address(text) == expected


@pytest.mark.parametrize("text", ["", "host", "host:", "0", "70000", "host:x"])
def test_what_is_no_address_is_one_clear_line(text: str) -> None:
    with pytest.raises(ControlError, match="is no address"):
        address(text)


STYLES = {"style": ("cello", "flute", "tuba")}


@pytest.mark.parametrize(
    ("where", "values", "expected"),
    [
        ("style/flute", (0.4,), [Request(Action.STYLE_2, 0.4, True)]),
        ("style/3", (1,), [Request(Action.STYLE_3, 1.0, True)]),
        ("style/flute/by", (-0.1,), [Request(Action.STYLE_2, -0.1)]),
        ("style_2", (0.4,), [Request(Action.STYLE_2, 0.4, True)]),
        ("style", ("tuba",), [Request(Action.STYLE, 2.0, True)]),
        ("style", (2,), [Request(Action.STYLE, 1.0, True)]),
        ("style/by", (1,), [Request(Action.STYLE, 1.0)]),
        ("gain_2", (0.1,), [Request(Action.GAIN_2, -20.0, True)]),
        ("gain_2_db", (-6,), [Request(Action.GAIN_2, -6.0, True)]),
        ("pan_3", (-0.5,), [Request(Action.PAN_3, -0.5, True)]),
        ("pan_1/by", (0.25,), [Request(Action.PAN_1, 0.25)]),
        (
            "styles",
            (0.5, 0.25),
            [
                Request(Action.STYLE_1, 0.5, True),
                Request(Action.STYLE_2, 0.25, True),
                Request(Action.STYLE_3, 0.0, True),
            ],
        ),
    ],
)
def test_styles_are_weighed_one_by_one_or_all_at_once(
    where: str, values: tuple[object, ...], expected: list[Request]
) -> None:
    assert requests_of(f"/livemove/{where}", values, STYLES) == expected


@pytest.mark.parametrize(
    ("where", "values", "names", "said"),
    [
        ("style/oboe", (0.5,), STYLES, "no style 'oboe'; there are cello"),
        ("style/flute", (-0.5,), STYLES, "from 0 to 1"),
        ("style/flute", (math.nan,), STYLES, "from 0 to 1"),
        ("style/flute", (), STYLES, "from 0 to 1"),
        ("style/flute", (0.5,), {}, "no styles"),
        ("styles", (0.5, math.inf), STYLES, "from 0 to 1"),
        ("styles", (0.5, -0.1, 0.1), STYLES, "from 0 to 1"),
        ("styles", (1, 1, 1, 1), STYLES, "as many weights as there are styles: cello, flute, tuba"),
        ("styles", (1.0,), {}, "the model has none"),
        ("styles", (), STYLES, "as many"),
    ],
)
def test_a_weight_that_is_none_is_refused(
    where: str, values: tuple[object, ...], names: dict[str, tuple[str, ...]], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        requests_of(f"/livemove/{where}", values, names)


# --- what others send ---------------------------------------------------------------------------------------


def raw(where: str, tags: str, *data: bytes) -> bytes:
    """A message of any types, byte by byte."""
    padded = [text.encode() + b"\0" * (4 - len(text.encode()) % 4) for text in (where, "," + tags)]
    return b"".join([*padded, *data])


FLOAT = struct.pack(">f", 0.25)


@pytest.mark.parametrize(
    ("tags", "data", "expected"),
    [
        ("c", [b"\0\0\0" + b"7"], 7.0),
        ("S", [b"0.25\0\0\0\0"], 0.25),
        ("s", [b"1e-1\0\0\0\0"], 0.1),
        ("[ff]", [FLOAT, FLOAT], 0.25),
        ("[[f]s]", [FLOAT, b"x\0\0\0"], 0.25),
        ("sf", [b"x\0\0\0", FLOAT], 0.25),
        ("cSf", [b"\0\0\0x", b"sym\0", FLOAT], 0.25),
        ("bf", [struct.pack(">i", 5), b"12345\0\0\0", FLOAT], 0.25),
        ("NIf", [FLOAT], 1.0),
        ("h", [struct.pack(">q", 3)], 3.0),
        ("d", [struct.pack(">d", 0.5)], 0.5),
    ],
)
def test_a_number_is_heard_whatever_its_type(ear: OscIn, tags: str, data: list[bytes], expected: float) -> None:
    heard = tell(ear, raw("/fader", tags, *data))
    assert heard.inputs == {"osc:/fader": pytest.approx(expected)}
    assert not heard.troubles


@pytest.mark.parametrize("text", ["nan", "inf", "-1e999", "", "loud"])
def test_text_that_is_no_number_is_no_input(ear: OscIn, text: str) -> None:
    assert tell(ear, packet("/fader", text)).inputs == {}


def test_numbers_written_out_ask_for_what_numbers_do(ear: OscIn) -> None:
    heard = tell(ear, packet("/livemove/octave", "-1"), packet("/livemove/model", "2"), packet("/livemove/mute", "0"))
    assert heard.requests == [
        Request(Action.OCTAVE, -1.0, True), Request(Action.MODEL, 1.0, True), Request(Action.MUTE, 0.0, True)
    ]  # fmt: skip


def later(ahead_s: float, message: bytes) -> bytes:
    seconds = time.time() + ahead_s + 2_208_988_800
    tag = struct.pack(">II", int(seconds), int(seconds % 1 * 2**32))
    return b"#bundle\0" + tag + struct.pack(">i", len(message)) + message


def test_a_bundle_with_a_time_tag_waits_for_its_time(ear: OscIn) -> None:
    heard = tell(ear, later(0.6, packet("/fader", 0.5)), later(0.3, packet("/livemove/mute", 1)))
    assert (heard.inputs, heard.requests) == ({}, [])
    assert 0.0 < ear.due_in_s < 0.35
    time.sleep(0.35)
    assert ear.listen().requests == [Request(Action.MUTE, 1.0, True)]
    time.sleep(0.35)
    assert ear.listen().inputs == {"osc:/fader": 0.5}
    assert math.isinf(ear.due_in_s)


def test_a_time_tag_of_another_clock_counts_at_once_and_is_said(ear: OscIn) -> None:
    heard = tell(ear, later(3600, packet("/fader", 0.5)))
    assert heard.inputs == {"osc:/fader": 0.5}
    assert "time tag 3600 s ahead" in heard.trouble


@given(st.binary(max_size=80))
def test_reading_any_bytes_ends_in_bytes_or_is_malformed(content: bytes) -> None:
    with contextlib.suppress(*MALFORMED):
        assert len(readable(content)) == len(content)


# --- mistakes ---------------------------------------------------------------------------------------------------


def answers(sender: socket.socket) -> list[tuple[str, list[object]]]:
    """All that came back to a sender: (address, values)."""
    found: list[tuple[str, list[object]]] = []
    sender.settimeout(0.2)
    with contextlib.suppress(TimeoutError):
        while True:
            found += [(t.message.address, t.message.params) for t in OscPacket(sender.recv(65535)).messages]
    return found


def test_a_mistake_is_told_and_answered_once_for_each_address_and_value(ear: OscIn) -> None:
    wrong = [
        packet("/livemove/gian", 0.5), packet("/livemove/gian", 0.7), packet("/livemove/scale", "blus"),
        packet("/livemove/scale", "dorin"), packet("/livemove/scale", "blus"), packet("/livemove/gain", 1.0),
    ]  # fmt: skip
    told: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(2):
            for each in wrong:
                sender.sendto(each, ear.socket.getsockname())
            time.sleep(0.05)
            received = ear.listen()
            assert received.troubles == 5
            told += received.told
        back = answers(sender)
    assert [line.split(": ")[0] for line in told] == [
        "127.0.0.1 sends /livemove/gian", "127.0.0.1 sends /livemove/scale", "127.0.0.1 sends /livemove/scale",
    ]  # fmt: skip
    assert [address for address, _ in back] == ["/livemove/error"] * 3
    assert [values[0] for _, values in back] == ["/livemove/gian", "/livemove/scale", "/livemove/scale"]
    assert [str(values[1])[:20] for _, values in back] == [
        "there is no such add",
        "there is no scale 'b",
        "there is no scale 'd",
    ]
    assert "there are chromatic" in str(back[1][1][1])


def test_rubbish_is_answered_once(ear: OscIn) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(20):
            sender.sendto(b"rubbish", ear.socket.getsockname())
        time.sleep(0.05)
        received = ear.listen()
        back = answers(sender)
    assert received.troubles == 20
    assert received.told == ["127.0.0.1 sends packets that are not OSC"]
    assert back == [("/livemove/error", ["", "packets that are not OSC"])]


def test_a_fader_of_mistakes_ends_in_one_last_line(ear: OscIn) -> None:
    told: list[str] = []
    for start in range(0, 260, 20):
        told += tell(ear, *[packet("/livemove/scale", f"scale {n}") for n in range(start, start + 20)]).told
    assert len(told) == osc.MOST_TOLD
    assert told[-1].endswith("further mistakes are counted, not told")


def test_a_preset_is_kept_under_the_name_that_is_sent() -> None:
    assert requests_of("/livemove/save_preset", ["soft"], {}) == [Request(Action.SAVE_PRESET, text="soft")]
    assert requests_of("/livemove/save_preset", [], {}) == [Request(Action.SAVE_PRESET)]
    assert requests_of("/livemove/save_preset", [0.0], {}) == []
    with pytest.raises(ControlError, match="no name for a preset"):
        requests_of("/livemove/save_preset", ["../soft"], {})
    with pytest.raises(ValueError, match="no presets are loaded"):
        requests_of("/livemove/preset", [2], {"preset": ()})
