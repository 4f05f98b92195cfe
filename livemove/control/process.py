"""The control process: OSC, MIDI and Link in -> requests and sources; features and channels -> OSC and MIDI out.

In: packets, MIDI messages, the beat, and the segment, of which it only writes the commands, the values of the sources
and its own life. Whatever floods or breaks here, the sound does not hear of it.
"""

from __future__ import annotations

import logging
import select
import time

from livemove.body.features import FEATURES
from livemove.contracts import Action, Channel, Request
from livemove.control.config import ControlConfig
from livemove.control.link import Link
from livemove.control.mpe import roles
from livemove.control.osc import OscIn, OscOut
from livemove.control.vocabulary import LEARNABLE, Heard
from livemove.ipc.segment import RequestQueue, Segment, now_s

REST_S = 0.001
"""After every batch: a flood is read in gulps, and cannot keep a core busy. Not below other processes (nice), for on a
busy machine a message then waits a tenth of a second."""

LABEL_S = 0.5
CHECK_S = 1.0
"""How often it is looked whether a MIDI port is still there."""


class Asker:
    """Requests on their way to the supervisor. When it is busy, of those to a value only the last one waits."""

    def __init__(self, queue: RequestQueue) -> None:
        self._queue = queue
        self._waiting: list[Request] = []

    def ask(self, requests: list[Request]) -> None:
        for request in requests:
            if request.absolute:
                self._waiting = [r for r in self._waiting if (r.action, r.absolute) != (request.action, True)]
            self._waiting.append(request)
        while self._waiting and self._queue.ask(self._waiting[0]):
            del self._waiting[0]
        del self._waiting[1000:]


class Sender:
    """Tells when there are new features: the pose is in, and synthesis has made hops of it.

    Without poses (a lost camera) it tells so too, now and then: features ease to rest, and a note must not hang.
    """

    HOPS = 2
    EASING_HOPS = 16

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._poses = self._hops = 0
        self._due = False

    def due(self) -> bool:
        """Once for every pose."""
        poses, hops = self._segment.capture.frames_used, self._segment.synthesis.hops
        if poses != self._poses:
            self._poses, self._hops, self._due = poses, hops, True
        if hops < self._hops + (self.HOPS if self._due else self.EASING_HOPS):
            return False
        self._hops, self._due = hops, False
        return True


class Ways:
    """Everything that is open, by what it is for. Raises ControlError when something cannot be."""

    def __init__(self, config: ControlConfig) -> None:
        self.osc = OscIn(*config.osc, {"model": config.models, "preset": config.presets}) if config.osc else None
        self.osc_out = OscOut(*config.osc_out) if config.osc_out else None
        self.midi = self.midi_out = None
        if config.midi is not None or config.midi_out is not None:
            from livemove.control.midi import Hands, Learnt, MidiIn, MidiOut  # mido need not be installed

            self.midi = MidiIn(config.midi) if config.midi is not None else None
            self.midi_out = MidiOut(config.midi_out, config.mpe) if config.midi_out is not None else None
            self.hands = Hands(Learnt(config.learnt), bool(config.presets))
        self.link = Link() if config.link else None
        self._ears = [self.osc.socket] if self.osc else []
        self._poll_s = 0.002 if self.midi else 0.005 if self.osc_out or self.midi_out or self.link else 0.1
        self._checked_s = now_s()

    def wait(self) -> None:
        """Until something may have come, or is to be sent."""
        if self._ears:
            select.select(self._ears, [], [], self._poll_s)
        else:
            time.sleep(self._poll_s)

    def listen(self, learning: int, ahead_s: float) -> tuple[Heard, list[str]]:
        """What came, and what to tell the person. learning: Controls.learn; ahead_s: what is made now is heard then."""
        heard = self.osc.listen() if self.osc else Heard()
        if self.link:
            heard.sources.update(self.link.sources(ahead_s))
        told: list[str] = []
        if self.midi:
            name = next((name for name, action in LEARNABLE.items() if action == learning), "")
            for message in self.midi.messages():
                if said := self.hands.hear(message, heard, name):
                    told.append(said)
                    name = ""
                    heard.requests.append(Request(Action.LEARN, 0.0, absolute=True))
            if now_s() - self._checked_s > CHECK_S:
                self._checked_s = now_s()
                told.append(self.midi.check())
        return heard, [line for line in told if line]

    def send(self, segment: Segment, channels: tuple[Channel, ...]) -> None:
        """Every feature and every channel of the model that plays, as of the last hop."""
        values = segment.synthesis.channels.tolist()
        if self.osc_out:
            features = zip(FEATURES, segment.synthesis.features.tolist(), strict=False)
            found = {f"/livemove/feature/{name}": value for name, value in features}
            played = zip(channels, values, strict=False)
            self.osc_out.send({**found, **{f"/livemove/channel/{c.name}": value for c, value in played}})
        if self.midi_out:
            self.midi_out.send(channels, values)

    def label(self, heard: Heard) -> str:
        """What is open, and how much came."""
        ways: list[str] = []
        if self.osc:
            ways.append("OSC at {}:{}".format(*self.osc.socket.getsockname()[:2]))
        if self.midi:
            ways.append(f"MIDI from {self.midi.name}")
        if self.midi_out:
            ways.append(f"MIDI to {self.midi_out.name}")
        if self.link:
            ways.append(self.link.label)
        if self.osc or self.midi:
            ways.append(f"{heard.messages} messages, {heard.troubles} not understood, {heard.skipped} skipped")
        return "; ".join(ways) or "OSC out"

    def close(self) -> None:
        if self.midi_out:
            self.midi_out.close()
        if self.link:
            self.link.close()


def run(segment: Segment, config: ControlConfig) -> None:
    """Listen and send until the supervisor asks to stop. Raises ControlError before it runs."""
    life = segment.lives["control"]
    logging.disable(logging.WARNING)  # python-osc logs what it does not know: ten thousand lines a second, in a flood
    ways = Ways(config)
    for name, channels in zip(config.models, config.channels, strict=False):
        if config.mpe and not roles(channels).keys() >= {"pitch", "loudness"}:
            life.remark(f"{name} has no pitch and loudness: it plays no MPE notes")
    asker, sender = Asker(segment.commands), Sender(segment)
    total = Heard()
    label_due_s = 0.0
    while not segment.stop_requested:
        if now_s() >= label_due_s:
            label_due_s = now_s() + LABEL_S
            life.running(ways.label(total))
        life.heartbeat()
        ways.wait()
        ahead_s = segment.playback.output_latency_s + segment.ring.fill / (segment.device_rate or 1.0)
        heard, told = ways.listen(segment.controls.read().learn, ahead_s)
        asker.ask(heard.requests)
        if heard.sources:
            for place, name in enumerate(segment.sources.wanted):
                if name in heard.sources:
                    segment.sources.give(place, heard.sources[name])
        if heard.trouble and not total.troubles:
            told.append(f"OSC: {heard.trouble} (said once)")
        for line in told:
            life.remark(line)
        total.messages += heard.messages
        total.troubles += heard.troubles
        total.skipped += heard.skipped
        if sender.due():
            model = min(segment.controls.read().model, len(config.channels) - 1)
            ways.send(segment, config.channels[model])
        if heard.messages or heard.troubles:
            time.sleep(REST_S)
    ways.close()
