"""Triggers that wait for the beat, in a whole session: a real MIDI clock in, OSC out, and how late that is."""

from __future__ import annotations

import random
import socket
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from pythonosc.osc_packet import OscPacket

from livemove.control.clock_out import ClockOut, OwnClock
from livemove.control.control_config import ControlConfig
from tests.control.test_midi_clock import to_port
from tests.support.bundles import MAPPING, random_bundle, small_spec
from tests.support.osc import free_port, packet, send
from tests.support.real_time import in_real_time, timed
from tests.support.servers import Jack
from tests.support.sessions import asking, use

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sessions of tests end by signals")

TRIGGER = """
[triggers.go]
source = "osc:/go"
on = 0.5
refractory_s = 0.0
osc = "/cue/go"
quantize = 0.5
"""
TEMPO = 100.0


class Listener:
    """When /cue/go came, on the monotonic clock."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                found = self.socket.recv(65535)
            except OSError:
                return
            now_s = time.monotonic()
            self.times += [now_s for each in OscPacket(found).messages if each.message.address == "/cue/go"]


@in_real_time
def test_what_a_trigger_sends_is_on_the_beat_of_a_midi_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jack: Jack
) -> None:
    import rtmidi

    use(jack, monkeypatch)
    monkeypatch.setenv("RTMIDI_API", "UNIX_JACK")
    model = random_bundle(tmp_path / "one", small_spec("one")).path
    mapping, port = tmp_path / "mapping.toml", free_port()
    mapping.write_text(MAPPING + TRIGGER)
    sequencer = rtmidi.MidiOut(rtmidi.API_UNIX_JACK, name="sequencer")
    sequencer.open_virtual_port("clock")
    listener = Listener()
    clocks: list[ClockOut] = []
    pressed: list[float] = []

    def start() -> None:
        """Once it is listened to, as a sequencer is started on stage."""
        clocks.append(ClockOut(OwnClock(TEMPO), to_port(sequencer)))

    def press() -> None:
        send(port, packet("/go", 1.0))
        pressed.append(time.monotonic())
        time.sleep(0.03)
        send(port, packet("/go", 0.0))

    times = [3.0 + 0.7 * i + random.Random(i).uniform(0.0, 0.3) for i in range(10)]
    control = ControlConfig(
        osc=("127.0.0.1", port), osc_out=listener.socket.getsockname(), midi="sequencer", learnt=tmp_path / "midi.toml"
    )
    todo = {1.0: start, **dict.fromkeys(times, press)}
    _, notices = asking(
        monkeypatch, model, todo, mapping=mapping, duration_s=11.0, control=control, output=tmp_path / "whole.wav"
    )
    now_s, beat = time.monotonic(), clocks[0].clock.beat
    clocks[0].close()
    listener.socket.close()
    sequencer.close_port()
    sequencer.delete()
    assert not [line for line in notices if "no beat" in line]
    beats = [beat - (now_s - each) * TEMPO / 60.0 for each in listener.times]
    late_ms = [((each + 0.25) % 0.5 - 0.25) * 60e3 / TEMPO for each in beats]
    print(f"from the half beat: median {np.median(late_ms):.1f} ms, {min(late_ms):.1f} to {max(late_ms):.1f} ms")
    with timed():
        assert len(late_ms) == len(pressed) == 10
        assert abs(np.median(late_ms)) < 20.0, "half beats are 300 ms apart"
        assert max(map(abs, late_ms)) < 60.0
