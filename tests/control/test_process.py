"""The control process: packets become requests and sources, a flood one remark, and the sound goes on."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from pythonosc.osc_packet import OscPacket

from livemove.body.features import FEATURES
from livemove.contracts import Action, Controls, Request
from livemove.control.control_config import ControlConfig
from livemove.control.control_process import RequestSender, of_second_dancer
from livemove.ipc.segment import Segment
from livemove.synthesis import architectures
from tests.support.control_process import control, wait_for
from tests.support.gaps import breaks, steady
from tests.support.osc import free_port, packet, send
from tests.support.real_time import in_real_time, timed
from tests.support.sessions import perform
from tests.support.stereo import centred


def test_messages_reach_the_supervisor_and_the_sources(segment: Segment, tmp_path: Path) -> None:
    port = free_port()
    place = segment.external_inputs.want("osc:/fader1")
    with control(segment, ControlConfig(osc=("127.0.0.1", port)), tmp_path / "log"):
        send(port, packet("/livemove/octave", 1), packet("/fader1", 0.75), packet("/livemove/panic"))
        asked = [wait_for(segment.commands.take), wait_for(segment.commands.take)]
        wait_for(lambda: segment.external_inputs.values[place] == 0.75)
        # panic overtakes whatever waits
        assert sorted(asked, key=lambda request: request.action) == [
            Request(Action.PANIC, 1.0), Request(Action.OCTAVE, 1.0, True)
        ]  # fmt: skip
        later = segment.external_inputs.want("osc:/later")  # a mapping that is read again wants another one
        send(port, packet("/later", 0.5))
        wait_for(lambda: segment.external_inputs.values[later] == 0.5)
        assert np.isnan(segment.external_inputs.values[later + 1 :]).sum() == 0


def test_trouble_is_told_once_and_counted(segment: Segment, tmp_path: Path) -> None:
    port = free_port()
    with control(segment, ControlConfig(osc=("127.0.0.1", port)), tmp_path / "log"):
        for _ in range(3):
            send(port, *[b"rubbish"] * 30)
            time.sleep(0.05)
        wait_for(lambda: " 90 not understood," in segment.processes["control"].label)
        count, remark = segment.processes["control"].remarks
        assert count == 1
        assert "127.0.0.1 sends packets that are not OSC" in remark
        send(port, packet("/livemove/mute"))
        assert wait_for(segment.commands.take) == Request(Action.MUTE)
    assert not (tmp_path / "log").read_text()


def test_features_and_channels_go_out_once_for_every_pose(segment: Segment, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        config = ControlConfig(osc_out=ear.getsockname(), channels=((architectures.PITCH, architectures.LOUDNESS),))
        with control(segment, config, tmp_path / "log"):
            values = np.linspace(0, 1, len(FEATURES)).astype(np.float32)
            expected = {
                **{f"/livemove/feature/{n}": float(v) for n, v in zip(FEATURES, values, strict=True)},
                "/livemove/channel/pitch": 60.0,
                "/livemove/channel/loudness": 0.5,
            }
            ear.settimeout(0.02)
            for _ in range(3):
                segment.capture.frame_used(10.0, 1)
                found: dict[str, float] = {}

                def heard(found: dict[str, float] = found) -> bool:
                    """The hops go on until synthesis is seen to have made some of this pose."""
                    segment.synthesis.hop(0.001, 256, np.array([60.0, 0.5], np.float32))
                    segment.synthesis.set_features(values)
                    with contextlib.suppress(TimeoutError):
                        for timed in OscPacket(ear.recv(65535)).messages:
                            assert timed.message.address not in found
                            found[timed.message.address] = timed.message.params[0]
                    return len(found) >= len(expected)

                wait_for(heard)
                assert found == expected
            ear.settimeout(0.3)
            with pytest.raises(TimeoutError):
                ear.recv(65535)


def test_the_second_dancers_features_and_channels_go_out_too(segment: Segment, tmp_path: Path) -> None:
    """The second of three layers is theirs; while another stack sounds its channels are not sent."""
    pitch, loudness = architectures.PITCH, architectures.LOUDNESS
    for name, value in (("dancer2.crouch", 0.25), ("dancer2.hit:clap", 0.5), ("dancer2.lean_side", math.nan)):
        segment.external_inputs.set(segment.external_inputs.want(name), value)
    channels = np.array([60.0, 0.5, 72.0, 0.75, 48.0], np.float32)
    nothing = np.zeros(0, np.float32)
    config = ControlConfig(channels=((pitch, loudness), (pitch,)), second=((2, (pitch, loudness)), (0, ())))
    features = {"/livemove/dancer2/feature/crouch": 0.25}
    assert of_second_dancer(segment, 0, config) == features, "no hop yet"
    for sounding in (0, 1):
        segment.made.add((0.0,) * 7 + (float(sounding),), Controls(), nothing, channels, nothing)
        played = {"/livemove/dancer2/channel/pitch": 72.0, "/livemove/dancer2/channel/loudness": 0.75}
        assert of_second_dancer(segment, 0, config) == features | (played if sounding == 0 else {})
        assert of_second_dancer(segment, 1, config) == features
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        ear.settimeout(0.02)
        found: dict[str, float] = {}

        def heard() -> bool:
            """The hops go on until synthesis is seen to have made some of this pose."""
            segment.synthesis.hop(0.001, 256, channels[:2])
            with contextlib.suppress(TimeoutError):
                found.update({m.message.address: m.message.params[0] for m in OscPacket(ear.recv(65535)).messages})
            return "/livemove/dancer2/feature/crouch" in found

        with control(segment, dataclasses.replace(config, osc_out=ear.getsockname()), tmp_path / "log"):
            segment.capture.frame_used(10.0, 1)
            wait_for(heard)
    assert found["/livemove/dancer2/feature/crouch"] == 0.25
    assert found["/livemove/channel/pitch"] == 60.0


def test_a_busy_supervisor_gets_the_last_value_and_every_step(segment: Segment) -> None:
    asker = RequestSender(segment.commands)
    for _ in range(64):
        segment.commands.ask(Request(Action.MUTE))
    for n in range(100):
        asker.ask([Request(Action.GAIN, float(n), True), Request(Action.OCTAVE, 1.0)])
    while segment.commands.take():
        pass
    asker.ask([])
    got = list(iter(segment.commands.take, None))
    asker.ask([])
    got += list(iter(segment.commands.take, None))
    assert [r.amount for r in got if r.action is Action.GAIN] == [99.0]
    assert sum(r.amount for r in got if r.action is Action.OCTAVE) == 100.0


@pytest.mark.usefixtures("doubles")
@in_real_time
def test_a_flood_of_rubbish_is_one_notice_and_no_gap(model: Path, tmp_path: Path) -> None:
    """Ten thousand packets a second for two seconds of a sine; in between a gain that is obeyed."""
    port, over = free_port(), threading.Event()
    sent = 0

    def flood() -> None:
        nonlocal sent
        began_s = time.monotonic()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not over.is_set():
                due = int((time.monotonic() - began_s) * 10_000)
                for _ in range(due - sent):
                    sender.sendto(b"/livemove/gain\0\0,f\0", ("127.0.0.1", port))
                sent = due
                time.sleep(0.005)

    flooding = threading.Thread(target=flood)
    take = tmp_path / "take.wav"
    quieter = {1.5 + n / 10: lambda _: send(port, packet("/livemove/gain", 0.5)) for n in range(5)}
    deeds = {0.5: lambda _: flooding.start(), **quieter, 2.5: lambda _: over.set()}
    ways = ControlConfig(osc=("127.0.0.1", port))
    try:
        report, seen = perform(model, deeds, output=take, play=False, duration_s=4.0, control=ways)
    finally:
        over.set()
    with timed():
        assert sent > 10_000
    notices = [status.notice for status in seen if status.notice]
    assert len([notice for notice in notices if "OSC" in notice]) == 1
    x, rate = centred(take)
    with timed():
        assert report["restarts"]["control"] == 0
        assert report["ring_starvations"] == 0
    body = steady(x, rate)
    with timed():
        assert np.abs(body[-rate // 2 :]).max() == pytest.approx(0.25, rel=0.02)
        assert breaks(body[: rate // 2], rate) == 0
