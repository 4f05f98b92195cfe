"""From an OSC or MIDI message to the first changed sample: `python -m tests.measure.control [--midi]`, JACK and all.

In: options. Out: one JSON line with the median, 95 % and maximum of two ways, in ms: "switch", a mute taken away, which
the callback obeys; "source", a fader on the loudness channel, which goes through mapping, network and ring. Each until
the sample is in the block the audio device is given, and until it leaves the converter, as the sound server tells it.

A MIDI message counts from the moment JACK has it, at the start of a period: until then it has waited in the keyboard's
program, half a period on average, as it would not on a cable.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import jack
import numpy as np

from livemove.bundle import find_bundle
from livemove.control.control_config import ControlConfig
from livemove.ipc.segment import Segment, now_s
from livemove.session import perform
from livemove.session.perform import SessionConfig, Status, run_session
from tests.support.osc import packet
from tests.support.servers import Jack

LOUD = 3e-3
"""Above what the theremin breathes at rest, -62 dBFS, and what is left of it while it is mute."""
QUIET_S = 0.35
"""After a mute, or a loudness of 0: until nothing of it is left."""
PATIENCE_S = 1.0


class Listener:
    """Waits for sound at the tap, and dates it: when the callback wrote its block, when it leaves the converter."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment

    def first_sound(self, threshold: float) -> tuple[float, float] | None:
        """When the next sample above the threshold was given to the audio device, and when it sounds; None: none
        came."""
        tap, played = self._segment.tap, self._segment.playback
        seen, deadline_s = tap.written, now_s() + PATIENCE_S
        while now_s() < deadline_s:
            written = tap.written
            if written == seen:
                time.sleep(0.0002)
                continue
            given_s, block = played.heartbeat_s, np.empty(written - seen, np.float32)
            if tap.read(seen, block) and (loud := np.flatnonzero(np.abs(block) > threshold)).size:
                return given_s, given_s + played.output_latency_s + loud[0] / self._segment.device_rate
            seen = written
        return None


class Keyboard:
    """A JACK client in a process of its own, whose Python cannot hold up the instrument's, nor the other way round."""

    def __init__(self) -> None:
        self._pipe, there = multiprocessing.get_context("spawn").Pipe()
        self._process = multiprocessing.get_context("spawn").Process(target=_keys, args=(there,), daemon=True)
        self._process.start()
        assert self._pipe.recv() == "ready"

    def send(self, message: list[int]) -> float:
        """When JACK had it."""
        self._pipe.send(bytes(message))
        return self._pipe.recv()

    def close(self) -> None:
        self._process.terminate()
        self._process.join()


def _keys(pipe: Connection) -> None:
    client = jack.Client("keyboard")
    port = client.midi_outports.register("keys")
    waiting: list[bytes] = []
    sent = multiprocessing.get_context("spawn").SimpleQueue()

    def period(frames: int) -> None:
        port.clear_buffer()
        if waiting:
            port.write_midi_event(0, waiting.pop())
            sent.put(now_s())

    client.set_process_callback(period)
    with client:
        pipe.send("ready")
        while True:
            waiting.append(pipe.recv())
            pipe.send(sent.get())


def measure(segment: Segment, quiet: Callable[[], float], loud: Callable[[], float], count: int) -> dict[str, object]:
    """count times from quiet to loud, at times that know nothing of the callback's. Both say when it was said."""
    listener = Listener(segment)
    given: list[float] = []
    sounding: list[float] = []
    missed = 0
    for _ in range(count):
        quiet()
        time.sleep(QUIET_S + random.random() * 0.05)
        asked_s = loud()
        heard = listener.first_sound(LOUD)
        if heard is None:
            missed += 1
            continue
        given.append(1e3 * (heard[0] - asked_s))
        sounding.append(1e3 * (heard[1] - asked_s))
        time.sleep(0.1)
    return {"to_the_card_ms": _spread(given), "to_the_converter_ms": _spread(sounding), "missed": missed}


def _spread(values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    p50, p95, most = np.percentile(values, [50, 95, 100])
    return {"p50": round(float(p50), 1), "p95": round(float(p95), 1), "max": round(float(most), 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=60, help="measurements of each way")
    parser.add_argument("--midi", action="store_true", help="by MIDI through JACK, else by OSC")
    parser.add_argument("--block", type=int, default=512, help="frames of the sound server")
    options = parser.parse_args()
    segments: list[Segment] = []
    create = Segment.create

    def created() -> Segment:
        segments.append(create())
        return segments[0]

    perform.Segment.create = staticmethod(created)
    with tempfile.TemporaryDirectory() as folder, Jack(period=options.block) as jack:
        os.environ.update(jack.environment, RTMIDI_API="UNIX_JACK")
        mapping = Path(folder) / "fader.toml"
        mapping.write_text(
            '[channels.pitch]\nsource = "presence"\nfrom = [0, 1]\nto = [69, 70]\n'
            f'[channels.loudness]\nsource = "{"midi:cc1" if options.midi else "osc:/fader"}"\n'
            f"from = [0, {127 if options.midi else 1}]\n"
            '[channels.brightness]\nsource = "presence"\nfrom = [0, 1]\n'
        )
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        found: dict[str, object] = {}
        ways = ControlConfig(osc=("127.0.0.1", port))
        if options.midi:
            learnt = Path(folder) / "midi.toml"
            learnt.write_text('[cc]\n3 = "mute"\n')
            keyboard = Keyboard()
            ways = ControlConfig(midi="keyboard", learnt=learnt)

        def say(what: str, value: float) -> Callable[[], float]:
            def by_midi() -> float:
                return keyboard.send([0xB0, 3 if what == "mute" else 1, round(127 * value)])

            def by_osc() -> float:
                where = "/livemove/mute" if what == "mute" else "/fader"
                asked_s = now_s()
                sender.sendto(packet(where, value), ("127.0.0.1", port))
                return asked_s

            return by_midi if options.midi else by_osc

        def run() -> None:
            time.sleep(1.0)
            say("fader", 1.0)()
            found["switch"] = measure(segments[0], say("mute", 1.0), say("mute", 0.0), options.count)
            found["source"] = measure(segments[0], say("fader", 0.0), say("fader", 1.0), options.count)
            os.kill(os.getpid(), 2)

        thread = threading.Thread(target=run)

        def on_status(status: Status) -> None:
            if status.phase == "playing" and thread.ident is None:
                thread.start()
            if status.notice:
                found.setdefault("notice", status.notice)

        config = SessionConfig.of(
            model=find_bundle("theremin"), mapping=mapping, camera="demo", block=options.block, monitor=False,
            control=ways,
        )  # fmt: skip
        report = run_session(config, on_status)
        thread.join()
        if options.midi:
            keyboard.close()
    found["starvations"] = report["ring_starvations"]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
