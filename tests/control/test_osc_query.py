"""OSCQuery: the tree has every address, type and limit that OSC in hears; whoever asks badly harms nobody."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import math
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livemove.body.notes import NOTES, SCALES
from livemove.contracts import Action, ControlError, Controls, Request
from livemove.control import osc_query
from livemove.control.control_config import ControlConfig
from livemove.control.osc import ERROR, requests_of
from livemove.control.osc_namespace import READ, WRITE, Node, OscNames, OscState, find, namespace
from livemove.control.osc_query import HEAD_BYTES, MOST_AT_ONCE, OscQuery, answer
from livemove.control.steering import steer
from livemove.controls import CONTROLS
from livemove.ipc.segment import Segment
from livemove.synthesis import architectures
from tests.support.control_process import control, wait_for
from tests.support.osc import free_port, packet, send

STYLES = ("cello", "flute", "bass clarinet")
NAMES = OscNames(("theremin", "ensemble"), ("soft", "loud"), ((), STYLES), ((architectures.PITCH,), ()))
KNOWN = {"model": NAMES.models, "preset": NAMES.presets, "style": STYLES, "scale": ("", *SCALES), "root": ("", *NOTES)}
SET = Controls(
    gain=0.5, temperature=1.25, octave=-1, scale=3, root=7, look_ahead_s=0.04, model=1, preset=2, freeze=True,
    styles=(0.25, 0.5, 0.0), style=1,
)  # fmt: skip


def methods(node: Node) -> Iterator[Node]:
    if "TYPE" in node:
        yield node
    for each in node.get("CONTENTS", {}).values():
        yield from methods(each)


def tree(state: OscState | None = None) -> Node:
    return namespace(NAMES, state or OscState(SET))


WRITABLE = [node for node in methods(tree()) if node["ACCESS"] & WRITE]


def test_every_row_of_the_table_is_in_it_and_every_path_is_where_it_says() -> None:
    root = tree()
    for name in CONTROLS:
        node = find(root, f"/livemove/{name}")
        shown = not name.startswith("style_") or int(name[6:]) <= len(STYLES)
        words = f"weight of the style {STYLES[int(name[6:]) - 1]}" if name.startswith("style_") and shown else ""
        assert (node is not None and node["DESCRIPTION"] == (words or CONTROLS[name].help)) == shown, name
    for node in methods(root):
        assert find(root, node["FULL_PATH"]) is node
        assert node["DESCRIPTION"]
        assert "CONTENTS" not in node, "a method is no container"
    json.dumps(root, allow_nan=False)


@pytest.mark.parametrize("node", WRITABLE, ids=lambda node: node["FULL_PATH"])
def test_what_it_says_can_be_sent_is_understood_within_its_range(node: Node) -> None:
    for value in samples(node):
        values = value if isinstance(value, list) else [value]
        assert requests_of(node["FULL_PATH"], values, KNOWN), value


def samples(node: Node) -> list[Any]:
    """Values of the type it names, both ends or all choices of its range."""
    (limits,) = node["RANGE"] if len(node.get("RANGE", ())) == 1 else ({},)
    if "VALS" in limits:
        return list(limits["VALS"])
    if "MIN" in limits:
        return [limits["MIN"], limits["MAX"]]
    if len(node["TYPE"]) > 1:
        return [[each["MAX"] for each in node["RANGE"]]]
    return {"T": [True, False], "I": [True], "s": ["x"], "f": [0.5], "i": [1]}[node["TYPE"]]


@pytest.mark.parametrize("node", [n for n in WRITABLE if "VALUE" in n], ids=lambda node: node["FULL_PATH"])
def test_its_value_sent_back_changes_nothing(node: Node) -> None:
    """The same numbers and names in both directions: of gain a factor, of gain_db decibels, of lists what they are."""
    path, after = node["FULL_PATH"], SET
    for request in requests_of(path, node["VALUE"], KNOWN):
        after = steer(after, request, len(STYLES), 2, (SET, SET))
    if path in ("/livemove/model", "/livemove/style"):  # to choose one again undoes what was blended since
        after = dataclasses.replace(after, style=SET.style, styles=SET.styles)
    for name, value in vars(SET).items():
        assert getattr(after, name) == (pytest.approx(value) if isinstance(value, float) else value), name


def value_at(root: Node, path: str) -> Any:
    node = find(root, path)
    assert node is not None
    return node.get("VALUE")


def test_features_channels_and_sources_can_be_read() -> None:
    state = OscState(Controls(), features=[0.5] * 33, channels=[60.0], inputs={"/fader1": 0.25, "/go": math.nan})
    root = tree(state)
    assert value_at(root, "/livemove/channel/pitch") == [60.0]
    assert value_at(root, "/livemove/feature/crouch") == [0.5]
    assert (value_at(root, "/fader1"), value_at(root, "/go"), value_at(root, ERROR)) == ([0.25], None, None)
    assert [each["ACCESS"] for each in root["CONTENTS"].values()] == [0, READ | WRITE, READ | WRITE]


def test_cameras_and_devices_are_not_told() -> None:
    for name in ("camera", "device"):
        node = find(tree(), f"/livemove/{name}")
        assert node is not None
        assert node["ACCESS"] == WRITE
        assert not node.keys() & {"VALUE", "RANGE"}


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/", 200), ("/?HOST_INFO", 200), ("/livemove/gain", 200), ("/livemove/gain?VALUE", 200),
        ("/livemove%2Fgain", 200), ("/livemove/panic?VALUE", 204), ("/livemove?RANGE", 204), ("/livemove/tuba", 404),
        ("/livemove/gain/", 200), ("/livemove/gain?TUBA", 400), ("/../etc/passwd", 404), ("/%2e%2e/etc", 404),
        ("//etc", 404), ("/livemove/gain?VALUE&RANGE", 400),
    ],
)  # fmt: skip
def test_answers_are_the_proposals(target: str, status: int) -> None:
    assert answer(target, tree, {"NAME": "livemove"})[0] == status


def test_one_attribute_alone() -> None:
    assert answer("/livemove/octave?VALUE", tree, {})[1] == {"VALUE": [-1]}
    assert answer("/livemove/octave?RANGE", tree, {})[1] == {"RANGE": [{"MIN": -4, "MAX": 4}]}
    assert answer("/livemove/scale?VALUE", tree, {})[1] == {"VALUE": [list(SCALES)[2]]}


# --- over HTTP ----------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[OscQuery]:
    made = OscQuery("127.0.0.1", 0, 9000, tree)
    yield made
    made.close()


def get(port: int, target: str) -> tuple[int, Any]:
    """By the standard library's client."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{target}", timeout=10) as response:
            data = response.read()
            assert not data or response.headers["Content-Type"].startswith("application/json")
            return response.status, json.loads(data) if data else None
    except urllib.error.HTTPError as error:
        return error.code, None


def raw(port: int, request: bytes) -> bytes:
    """What comes back for these bytes, until it hangs up."""
    found = b""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(request)
        while some := connection.recv(65536):
            found += some
    return found


def test_a_client_reads_the_tree(server: OscQuery) -> None:
    status, info = get(server.port, "/?HOST_INFO")
    assert (status, info["OSC_PORT"], info["OSC_TRANSPORT"]) == (200, 9000, "UDP")
    assert info["EXTENSIONS"]["VALUE"] is True
    status, root = get(server.port, "/")
    assert (status, root["FULL_PATH"]) == (200, "/")
    assert root == json.loads(json.dumps(tree()))
    assert get(server.port, "/livemove/gain?VALUE") == (200, {"VALUE": [0.5]})
    assert get(server.port, "/livemove/panic?VALUE") == (204, None)
    assert get(server.port, "/tuba") == (404, None)


def test_head_has_no_body_and_nothing_can_be_changed(server: OscQuery) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    for method, status in (("HEAD", 200), ("POST", 405), ("PUT", 405), ("DELETE", 405)):
        connection.request(method, "/livemove/gain")
        response = connection.getresponse()
        assert (response.status, response.read()) == (status, b"")
        connection.close()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: " + b"x" * HEAD_BYTES * 4 + b"\r\n\r\n", b"431"),
        (b"GET /" + b"a" * HEAD_BYTES * 2 + b" HTTP/1.1\r\n\r\n", b"431"),
        (b"\0\xff\x80rubbish\r\n\r\n", b"400"),
        (b"GET livemove HTTP/1.1\r\n\r\n", b"400"),
        (b"GET http://elsewhere/ HTTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/9\r\n\r\n", b"400"),
        (b"GET /%ff%fe%00\xff HTTP/1.1\r\n\r\n", b"404"),
        (b"GET /" + b"a/" * 3000 + b" HTTP/1.1\r\n\r\n", b"404"),
    ],
)
def test_what_is_no_request_of_ours_is_refused_and_the_next_is_answered(
    server: OscQuery, request_bytes: bytes, status: bytes
) -> None:
    found = raw(server.port, request_bytes)
    hung_up = status == b"431" and not found  # on what it had not read
    assert found.startswith(b"HTTP/1.1 " + status) or hung_up
    assert get(server.port, "/livemove/octave?VALUE") == (200, {"VALUE": [-1]})


@given(st.binary(max_size=400))
def test_any_bytes_get_an_answer_or_nothing(rubbish: bytes) -> None:
    target = rubbish.decode("latin-1")
    status, content = answer("/" + target, tree, {})
    assert status in (200, 204, 400, 404)
    assert (content is not None) == (status == 200)


def test_the_slow_are_cut_off_and_keep_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(osc_query, "REQUEST_S", 1.0)
    server = OscQuery("127.0.0.1", 0, 9000, tree)
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(MOST_AT_ONCE - 2)]
    for each in idle:
        each.sendall(b"GET / HT")
    began_s = time.monotonic()
    assert get(server.port, "/livemove/octave?VALUE")[0] == 200
    assert time.monotonic() - began_s < 0.9, "the idle ones were waited for"
    for each in idle:
        each.settimeout(20)
        with contextlib.suppress(ConnectionError):
            assert each.recv(100) == b""
        each.close()
    more = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(4 * MOST_AT_ONCE)]
    for each in more:
        each.close()
    wait_for(lambda: get_or_none(server.port) == 200)
    assert sum(thread.name == "OSCQuery" for thread in threading.enumerate()) == 1
    server.close()
    assert not any(thread.name == "OSCQuery" for thread in threading.enumerate())


def get_or_none(port: int) -> int | None:
    try:
        return get(port, "/")[0]
    except OSError:
        return None


def test_a_taken_port_is_said(server: OscQuery) -> None:
    with pytest.raises(ControlError, match=f"{server.port}.*OSC itself is heard"):
        OscQuery("127.0.0.1", server.port, 9000, tree)


# --- the control process ------------------------------------------------------------------------------------


def test_osc_and_its_description_are_at_one_port_and_say_the_same(segment: Segment, tmp_path: Path) -> None:
    port = free_port()
    place = segment.external_inputs.want("osc:/fader1")
    config = ControlConfig(
        osc=("127.0.0.1", port), models=NAMES.models, presets=NAMES.presets, styles=tuple(map(tuple, NAMES.styles)),
        channels=tuple(map(tuple, NAMES.channels)),
    )  # fmt: skip
    segment.controls.write(SET)
    with control(segment, config, tmp_path / "log"):
        assert get(port, "/livemove/gain?VALUE") == (200, {"VALUE": [0.5]})
        assert get(port, "/livemove/preset?VALUE") == (200, {"VALUE": ["loud"]})
        segment.controls.write(Controls(**{**vars(SET), "gain": 2.0}))
        assert get(port, "/livemove/gain?VALUE") == (200, {"VALUE": [2.0]})
        info = get(port, "/?HOST_INFO")[1]
        send(info["OSC_PORT"], packet("/livemove/octave", 2), packet("/fader1", 0.75))
        assert wait_for(segment.commands.take) == Request(Action.OCTAVE, 2.0, True)
        wait_for(lambda: segment.external_inputs.values[place] == 0.75)
        assert get(port, "/fader1?VALUE") == (200, {"VALUE": [0.75]})
        with pytest.raises(OSError):  # noqa: PT011  (whichever error this system has for it)
            socket.create_connection((own_address(), port), timeout=2).close()


def own_address() -> str:
    """Of this machine as others see it; where it has none, one that answers to nobody."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "192.0.2.1"


def test_where_the_tcp_port_is_taken_osc_is_heard_all_the_same(segment: Segment, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with control(segment, ControlConfig(osc=("127.0.0.1", port)), tmp_path / "log"):
            wait_for(lambda: "OSC itself is heard" in segment.processes["control"].remarks[1])
            send(port, packet("/livemove/mute"))
            assert wait_for(segment.commands.take) == Request(Action.MUTE)
