"""The control process: OSC, MIDI and Link in -> requests and inputs; features, channels, what triggers send and a clock
-> OSC and MIDI out; who asks by OSCQuery is told what there is.

In: packets, MIDI messages, the beat, and the segment, of which it only writes the commands, the external inputs
and its own process state. Whatever floods or breaks here, the sound goes on.
"""

from __future__ import annotations

import heapq
import logging
import math
import select
import sys
import time
from collections import deque

from livemove.body.dancers import own_name
from livemove.body.features import FEATURES
from livemove.contracts import Action, ControlError, Controls, Request, SentMessage
from livemove.control.clock_out import ClockOut, OwnClock
from livemove.control.control_config import ControlConfig
from livemove.control.link import Link
from livemove.control.mpe import roles
from livemove.control.osc import OscIn, OscOut
from livemove.control.osc_namespace import Node, OscNames, OscState, namespace
from livemove.control.osc_query import OscQuery
from livemove.control.vocabulary import LEARNABLE, Received
from livemove.ipc.queues import Outbox
from livemove.ipc.segment import RequestQueue, Segment, now_s

REST_S = 0.001
"""After every batch: a flood is read in gulps, and cannot keep a core busy. Not below other processes (nice), for on a
busy machine a message then waits a tenth of a second."""

LABEL_S = 0.5
REMARK_S = 0.1
"""Between two remarks: the supervisor reads the newest one, and looks fifty times a second."""
CHECK_S = 1.0
"""How often it is looked whether a MIDI port is still there."""


class RequestSender:
    """Requests on their way to the supervisor's queue. While it is full, only the last request to set a value waits."""

    def __init__(self, queue: RequestQueue) -> None:
        self._queue = queue
        self._waiting: list[Request] = []

    def ask(self, requests: list[Request]) -> None:
        for request in requests:
            if request.action is Action.PANIC:  # never refused, and waits behind nobody
                self._queue.ask(request)
                continue
            if request.absolute:
                self._waiting = [r for r in self._waiting if (r.action, r.absolute) != (request.action, True)]
            self._waiting.append(request)
        while self._waiting and self._queue.ask(self._waiting[0]):
            del self._waiting[0]
        del self._waiting[1000:]


class SendTrigger:
    """When OSC and MIDI out are due: once per pose, when synthesis has made hops from it.

    Without poses (a lost camera) less often: features ease to rest, and a note must not hang.
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


class Connections:
    """The open OSC sockets, MIDI ports and the Link session. Raises ControlError when one cannot be opened."""

    def __init__(self, config: ControlConfig) -> None:
        self.osc = OscIn(*config.osc, {"model": config.models, "preset": config.presets}) if config.osc else None
        self.osc_out = OscOut(*config.osc_out) if config.osc_out else None
        self.midi = self.midi_out = None
        if config.midi is not None or config.midi_out is not None:
            from livemove.control.midi import (  # mido need not be installed
                MidiBindings,
                MidiIn,
                MidiInterpreter,
                MidiOut,
            )

            self.midi = MidiIn(config.midi) if config.midi is not None else None
            self.midi_out = MidiOut(config.midi_out, config.mpe) if config.midi_out is not None else None
            self.midi_interpreter = MidiInterpreter(MidiBindings(config.learnt), bool(config.presets))
        self.link = Link() if config.link else None
        self.clock = None
        if config.midi_clock and self.midi_out is not None:
            sys.setswitchinterval(0.0005)  # the clock's thread must have the interpreter soon
            self.clock = ClockOut(self.link or OwnClock(), self.midi_out.send_clock)
        self._styles = config.styles
        self._ears = [self.osc.socket] if self.osc else []
        self._poll_s = 0.002 if self.midi else 0.005 if self.osc_out or self.midi_out or self.link else 0.1
        self._checked_s = now_s()
        self._later: list[tuple[float, int, SentMessage]] = []  # (due, number, message)
        self._count = 0

    def wait(self) -> None:
        """Until something may have come, or is to be sent."""
        due_in_s = max(self._later[0][0] - now_s(), 0.0) if self._later else math.inf
        wait_s = min(self._poll_s, due_in_s)
        if self.osc:
            select.select(self._ears, [], [], min(wait_s, self.osc.due_in_s))
        else:
            time.sleep(wait_s)

    def listen(self, controls: Controls, ahead_s: float) -> tuple[Received, list[str]]:
        """What came, and what to tell the person; ahead_s: what is made now is heard then."""
        if self.osc and self._styles:
            self.osc.names["style"] = self._styles[min(controls.model, len(self._styles) - 1)]
        if self.clock and isinstance(self.clock.clock, OwnClock):
            self.clock.clock.set_tempo(controls.tempo)
        received = self.osc.listen() if self.osc else Received()
        if self.link:
            received.inputs.update(self.link.inputs(ahead_s))
        told: list[str] = []
        if self.midi:
            name = next((name for name, action in LEARNABLE.items() if action == controls.learn), "")
            for message in self.midi.messages():
                if said := self.midi_interpreter.handle(message, received, name):
                    told.append(said)
                    name = ""
                    received.requests.append(Request(Action.LEARN, 0.0, absolute=True))
            received.inputs.update(self.midi.timing(ahead_s))
            if now_s() - self._checked_s > CHECK_S:
                self._checked_s = now_s()
                told += [self.midi.check(), self.midi_out.check() if self.midi_out else ""]
            if self.midi.ceased:
                self.midi_interpreter.silence(received)
        elif self.midi_out and now_s() - self._checked_s > CHECK_S:
            self._checked_s = now_s()
            told.append(self.midi_out.check())
        return received, [line for line in told if line]

    def send(self, segment: Segment, model: int, config: ControlConfig) -> None:
        """Every feature and every channel of the model that plays, as of the last hop; the second dancer's by OSC."""
        values, channels = segment.synthesis.channels.tolist(), config.channels[model]
        if self.osc_out:
            features = zip(FEATURES, segment.synthesis.features.tolist(), strict=False)
            found = {f"/livemove/feature/{name}": value for name, value in features}
            played = zip(channels, values, strict=False)
            found.update({f"/livemove/channel/{c.name}": value for c, value in played})
            self.osc_out.send({**found, **of_second_dancer(segment, model, config)})
        if self.midi_out:
            self.midi_out.send(channels, values)

    def send_messages(self, outbox: Outbox) -> None:
        """What triggers send, and the end of their notes; for what is not open it goes nowhere."""
        while (message := outbox.take()) is not None:
            self._count += 1
            heapq.heappush(self._later, (message.due_s, self._count, message))
        now = now_s()
        while self._later and self._later[0][0] <= now:
            _, _, message = heapq.heappop(self._later)
            if message.address and self.osc_out:
                value = message.value or 0.0
                self.osc_out.send({message.address: round(value) if message.whole else value})
            elif message.program >= 0 and self.midi_out:
                self.midi_out.change_program(message.program)
            elif not message.address and self.midi_out:
                self.midi_out.play(message.note, message.velocity, now + message.seconds)
        if self.midi_out:
            self.midi_out.end_notes(now)

    def waits_for(self) -> str:
        """Why a MIDI port that was named is not open; "": it is."""
        return "; ".join(port.trouble for port in (self.midi, self.midi_out) if port is not None and port.trouble)

    def label(self, received: Received) -> str:
        """What is open, and how much came."""
        found: list[str] = []
        if self.osc:
            found.append("OSC at {}:{}".format(*self.osc.socket.getsockname()[:2]))
        if self.midi:
            found.append(f"MIDI from {self.midi.name}")
        if self.midi_out:
            found.append(f"MIDI to {self.midi_out.name}")
        if self.clock:
            found.append(f"MIDI clock at {self.clock.clock.tempo:.1f} bpm")
        if self.link:
            found.append(self.link.label)
        if self.osc or self.midi:
            found.append(
                f"{received.messages} messages, {received.troubles} not understood, {received.skipped} skipped"
            )
        return "; ".join(found) or "OSC out"

    def close(self) -> None:
        if self.clock:
            self.clock.close()
        if self.midi_out:
            self.midi_out.close()
        if self.link:
            self.link.close()


def run(segment: Segment, config: ControlConfig) -> None:
    """Listen and send until the supervisor asks to stop. Raises ControlError before it runs."""
    process_state = segment.processes["control"]
    logging.disable(logging.WARNING)  # python-osc logs what it does not know: ten thousand lines a second, in a flood
    connections = Connections(config)
    query, no_query = _query(segment, config, connections.osc)
    for name, channels in zip(config.models, config.channels, strict=False):
        if config.mpe and not roles(channels).keys() >= {"pitch", "loudness"}:
            process_state.remark(f"{name} has no pitch and loudness: it plays no MPE notes")
    if trouble := connections.waits_for():
        process_state.remark(f"{trouble}; it is connected when it comes")
    requests, trigger = RequestSender(segment.commands), SendTrigger(segment)
    while segment.outbox.take() is not None:  # of before a restart: too late now
        pass
    total = Received()
    remarks = deque[str]([no_query] if no_query else [])
    label_due_s = remark_due_s = 0.0
    while not segment.stop_requested:
        if now_s() >= label_due_s:
            label_due_s = now_s() + LABEL_S
            if connections.waits_for():
                process_state.waiting(connections.label(total))
            else:
                process_state.running(connections.label(total))
        process_state.heartbeat()
        connections.wait()
        connections.send_messages(segment.outbox)
        ahead_s = segment.playback.output_latency_s + segment.ring.fill / (segment.device_rate or 1.0)
        received, told = connections.listen(segment.controls.read(), ahead_s)
        requests.ask(received.requests)
        if received.inputs:
            for place, name in enumerate(segment.external_inputs.wanted):
                if name in received.inputs:
                    segment.external_inputs.set(place, received.inputs[name])
        remarks += [*told, *(f"OSC: {line} (said once)" for line in received.told)]
        if remarks and now_s() >= remark_due_s:
            remark_due_s = now_s() + REMARK_S
            process_state.remark(remarks.popleft())
        total.messages += received.messages
        total.troubles += received.troubles
        total.skipped += received.skipped
        if trigger.due():
            model = min(segment.controls.read().model, len(config.channels) - 1)
            connections.send(segment, model, config)
        if received.messages or received.troubles:
            time.sleep(REST_S)
    if query:
        query.close()
    connections.close()


def of_second_dancer(segment: Segment, model: int, config: ControlConfig) -> dict[str, float]:
    """Addresses and values of the second dancer's features, where one is looked for, and of the channels that are
    played with them, as of the last hop."""
    external, found = segment.external_inputs, dict[str, float]()
    for name, value in zip(external.wanted, external.values.tolist(), strict=False):
        dancer, own = own_name(name)
        if dancer == 1 and own in FEATURES and math.isfinite(value):
            found[f"/livemove/dancer2/feature/{own}"] = value
    first, channels = config.second[model] if config.second else (0, ())
    if channels and len(rows := segment.hops.last(1)) and int(rows["sounding"][0]) == model:
        values: list[float] = rows["channels"][0][first : first + len(channels)].tolist()
        found.update({f"/livemove/dancer2/channel/{c.name}": v for c, v in zip(channels, values, strict=True)})
    return found


def _query(segment: Segment, config: ControlConfig, osc: OscIn | None) -> tuple[OscQuery | None, str]:
    """OSCQuery beside OSC, at the TCP port of the same number, or why there is none; it is no reason not to play."""
    if osc is None or config.osc is None:
        return None, ""
    view = Segment.attach(segment.name)  # its own: a mailbox's buffer is one thread's
    names = OscNames(config.models, config.presets, config.styles, config.channels)
    port = int(osc.socket.getsockname()[1])

    def tree() -> Node:
        return namespace(names, osc_state(view))

    try:
        return OscQuery(config.osc[0], port, port, tree), ""
    except ControlError as error:
        return None, str(error)


def osc_state(segment: Segment) -> OscState:
    """What is set and heard now, as far as OSC has addresses for it."""
    external = segment.external_inputs
    values = dict(zip(external.wanted, external.values.tolist(), strict=False))
    return OscState(
        controls=segment.controls.read(),
        recording=segment.supervisor_status.read().recording_since_s > 0.0,
        features=segment.synthesis.features.tolist(),
        channels=segment.synthesis.channels.tolist(),
        inputs={name.removeprefix("osc:"): value for name, value in values.items() if name.startswith("osc:")},
    )
