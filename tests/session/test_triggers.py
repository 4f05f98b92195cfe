"""Triggers of a mapping in whole sessions: asked, sent and recorded once each, from OSC in to OSC out."""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from pythonosc.osc_packet import OscPacket

from livemove.body.postures import Posture, seen_in
from livemove.capture.demo import pose_at
from livemove.contracts import LivemoveError, SentMessage
from livemove.control.control_config import ControlConfig
from livemove.ipc.segment import Segment
from livemove.session.teach import keep_posture, remove_posture
from livemove.takes.reading import load_take
from tests.support.bundles import MAPPING, random_bundle, small_spec
from tests.support.control_process import control
from tests.support.osc import free_port, packet, send
from tests.support.real_time import in_real_time, timed
from tests.support.sessions import asking, made

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sessions of tests end by signals")

TRIGGERS = """
[triggers.go]
source = "osc:/go"
on = 0.5
off = 0.2
hold_s = 0.1
freeze = "toggle"
octave = "next"
osc = "/cue/go"

[triggers.lost]
source = "osc:/go * 2"
on = 1
preset = "nowhere"

[triggers.other]
source = "osc:/other"
on = 1
model = "two"
"""


def messages(ear: socket.socket) -> list[tuple[str, float]]:
    """All that waits there."""
    found: list[tuple[str, float]] = []
    with contextlib.suppress(BlockingIOError):
        while True:
            found += [(m.message.address, m.message.params[0]) for m in OscPacket(ear.recv(65535)).messages]
    return found


@in_real_time
def test_a_trigger_asks_and_sends_once_and_the_take_is_made_again_to_the_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = (random_bundle(tmp_path / name, small_spec(name), seed).path for seed, name in enumerate(("one", "two")))
    mapping, takes, port = tmp_path / "mapping.toml", tmp_path / "takes", free_port()
    mapping.write_text(MAPPING + TRIGGERS)
    heard: list[tuple[str, float]] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        ear.setblocking(False)

        def tell(where: str, value: float) -> None:
            heard.extend(each for each in messages(ear) if each[0] == "/cue/go")
            send(port, packet(where, value))

        todo = {
            1.0: lambda: tell("/go", 0.75),
            1.3: lambda: tell("/go", 0.3),
            1.6: lambda: tell("/go", 0.8),  # not low in between
            1.9: lambda: tell("/go", 0.0),
            2.2: lambda: tell("/go", 1.0),  # ends the freeze, too
            2.5: lambda: tell("/other", 1.0),
            3.0: lambda: tell("/nobody", 0.0),
        }
        _, notices = asking(
            monkeypatch, one, todo, others=((two, mapping),), mapping=mapping, folder=takes, duration_s=3.5,
            output=tmp_path / "whole.wav", record=True, keep_s=8.0,
            control=ControlConfig(osc=("127.0.0.1", port), osc_out=ear.getsockname()),
        )  # fmt: skip
    report = made(max(takes.iterdir()), tmp_path / "again.wav")
    assert report["identical"], report
    assert sum("asks for preset 'nowhere'" in line for line in notices) == 1
    with timed():
        assert heard == [("/cue/go", 0.75), ("/cue/go", 1.0)]
        hops = load_take(max(takes.iterdir())).hops
        assert np.abs(np.diff(hops["freeze"])).sum() == 2
        assert hops["octave"].max() == 2
        assert np.abs(np.diff(hops["sounding"])).sum() == 1


HELD_S = 2.25
"""The demo dancer holds both hands for a moment here, and takes this posture once in its first seconds."""


@in_real_time
def test_a_posture_fires_in_a_session_and_the_take_is_made_again_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its confidence is in the take: whoever replays it need not have been taught the posture."""
    model = random_bundle(tmp_path / "one", small_spec("one")).path
    mapping, takes, postures = tmp_path / "mapping.toml", tmp_path / "takes", tmp_path / "postures"
    mapping.write_text(
        f'{MAPPING}\n[triggers.held]\nposture = "held"\nafter_s = 0.05\noctave = "next"\n'
        'osc = { address = "/scene", value = 2 }\n'
    )
    seen = seen_in(pose_at(HELD_S))
    assert seen is not None
    keep_posture(postures / "held.toml", Posture("held", 0.05, (seen.body,)))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        ear.setblocking(False)
        sent: list[float] = []

        def hear() -> None:  # features come all the time: what nobody takes would soon have no room
            sent.extend(value for where, value in messages(ear) if where == "/scene")

        asking(
            monkeypatch, model, {0.5 * i: hear for i in range(1, 8)}, mapping=mapping, postures=postures, folder=takes,
            duration_s=4.0, output=tmp_path / "whole.wav", record=True, keep_s=8.0,
            control=ControlConfig(osc_out=ear.getsockname()),
        )  # fmt: skip
        hear()
    take = load_take(max(takes.iterdir()))
    with timed():
        assert sent == [2]
        assert np.abs(np.diff(take.hops["octave"])).sum() == 1
    confidence = take.hops["sources"][:, take.info.sources.index("posture.held")]
    assert 0.9 < confidence.max() <= 1.0
    keep_posture(postures / "other.toml", Posture("other", 0.05, (seen.body,)))
    remove_posture(postures, "held")
    report = made(take.path, tmp_path / "again.wav")
    assert report["identical"], report
    with pytest.raises(LivemoveError, match="posture 'held' was never shown: `livemove teach held`; did you mean"):
        asking(
            monkeypatch, model, {}, mapping=mapping, postures=postures, duration_s=1.0, output=tmp_path / "no.wav",
        )  # fmt: skip


def test_what_a_trigger_sends_leaves_at_once(segment: Segment, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        ear.settimeout(5.0)
        with control(segment, ControlConfig(osc_out=ear.getsockname()), tmp_path / "log"):
            times: list[float] = []
            for i in range(20):
                began_s = time.perf_counter()
                assert segment.outbox.put(SentMessage("/cue/go", value=i / 20))
                assert segment.outbox.put(SentMessage(note=60))  # nobody plays it
                (found,) = OscPacket(ear.recv(65535)).messages
                times.append(time.perf_counter() - began_s)
                assert (found.message.address, found.message.params) == ("/cue/go", [pytest.approx(i / 20)])
            assert segment.outbox.put(SentMessage("/live/scene/fire", value=3.0, whole=True))
            (found,) = OscPacket(ear.recv(65535)).messages
            assert (found.message.address, found.message.params) == ("/live/scene/fire", [3])
            assert isinstance(found.message.params[0], int)
        print(f"from the hop to the network: median {1e3 * np.median(times):.1f} ms, most {1e3 * max(times):.1f} ms")
        assert np.median(times) < 0.05


def test_the_outbox_keeps_what_it_is_given_and_refuses_when_nobody_takes(segment: Segment) -> None:
    sent = [
        SentMessage("/a", value=0.5), SentMessage("/b", value=7.0, whole=True),
        SentMessage(note=3, velocity=7, seconds=0.25), SentMessage(program=9),
    ]  # fmt: skip
    assert all(segment.outbox.put(each) for each in sent)
    assert [segment.outbox.take() for _ in range(5)] == [*sent, None]
    assert [segment.outbox.put(sent[0]) for _ in range(65)] == [True] * 64 + [False]


@in_real_time
def test_who_sends_nowhere_is_told_where_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_bundle(tmp_path / "one", small_spec("one")).path
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(MAPPING + TRIGGERS)
    _, notices = asking(monkeypatch, model, {}, mapping=mapping, duration_s=1.0, output=tmp_path / "whole.wav")
    with timed():
        assert [line for line in notices if "nowhere" in line] == [
            "trigger go sends OSC nowhere: --osc-out HOST:PORT says where (said once)"
        ]
