"""The control process: OSC and MIDI in -> requests and sources; features and channels -> OSC and MIDI out.

In: packets and MIDI messages from outside, and the segment, of which it only writes the commands, the values of the
sources and its own life. Whatever floods or breaks here, the sound does not hear of it.
"""

# numpy's stubs need a newer Python than 3.10, which pyright checks for: its members come out half unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import logging
import os
import select
import sys
import time

from livemove.contracts import Request
from livemove.control.config import ControlConfig
from livemove.control.osc import OscIn, OscOut
from livemove.exchange import RequestQueue, Segment, now_s
from livemove.features import FEATURES

NICE = 5
"""Below everything that sounds."""

REST_S = 0.001
"""After every batch: a flood is read in gulps, and cannot keep a core busy."""

LABEL_S = 0.5


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
    """Tells when there are new features: the pose is in, and synthesis has made hops of it."""

    HOPS = 2

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._poses = self._hops = 0
        self._due = False

    def due(self) -> bool:
        """Once for every pose."""
        poses, hops = self._segment.capture.frames_used, self._segment.synthesis.hops
        if poses != self._poses:
            self._poses, self._hops, self._due = poses, hops, True
        if not self._due or hops < self._hops + self.HOPS:
            return False
        self._due = False
        return True


def run(segment: Segment, config: ControlConfig) -> None:
    """Listen and send until the supervisor asks to stop. Raises ControlError before it runs."""
    life = segment.lives["control"]
    logging.disable(logging.WARNING)  # python-osc logs what it does not know: ten thousand lines a second, in a flood
    if sys.platform != "win32":
        os.nice(NICE)
    names = {"model": config.models, "preset": config.presets}
    osc = OscIn(*config.osc, names) if config.osc else None
    osc_out = OscOut(*config.osc_out) if config.osc_out else None
    asker, sender = Asker(segment.commands), Sender(segment)
    ears = [osc.socket] if osc else []
    messages = troubles = skipped = 0
    label_due_s = 0.0
    poll_s = 0.005 if osc_out else 0.1
    life.running(_label(config, messages, troubles, skipped))
    while not segment.stop_requested:
        life.heartbeat()
        if ears:
            heard_any = bool(select.select(ears, [], [], poll_s)[0])
        else:
            time.sleep(poll_s)
            heard_any = False
        if osc and heard_any:
            heard = osc.listen()
            asker.ask(heard.requests)
            for place, name in enumerate(segment.sources.wanted):
                value = heard.sources.get(name.removeprefix("osc:"))
                if value is not None:
                    segment.sources.give(place, value)
            if heard.trouble and not troubles:
                life.remark(f"OSC: {heard.trouble} (said once)")
            messages += heard.messages
            troubles += heard.troubles
            skipped += heard.skipped
            time.sleep(REST_S)
        else:
            asker.ask([])
        if osc_out and sender.due():
            osc_out.send(what_is_sent(segment, config))
        if now_s() >= label_due_s:
            label_due_s = now_s() + LABEL_S
            life.running(_label(config, messages, troubles, skipped))


def what_is_sent(segment: Segment, config: ControlConfig) -> dict[str, float]:
    """Address -> value: every feature and every channel of the model that plays, as of the last hop."""
    model = min(segment.controls.read().model, len(config.channels) - 1)
    features = zip(FEATURES, segment.synthesis.features.tolist(), strict=False)
    channels = zip(config.channels[model], segment.synthesis.channels.tolist(), strict=False)
    found = {f"/livemove/feature/{name}": value for name, value in features}
    return {**found, **{f"/livemove/channel/{name}": value for name, value in channels}}


def _label(config: ControlConfig, messages: int, troubles: int, skipped: int) -> str:
    """What it listens and sends to, and how much came."""
    ways: list[str] = []
    if config.osc:
        ways.append(
            f"OSC at {config.osc[0]}:{config.osc[1]}: {messages} messages, {troubles} not understood, {skipped} skipped"
        )
    if config.osc_out:
        ways.append(f"OSC to {config.osc_out[0]}:{config.osc_out[1]}")
    return "; ".join(ways)
