"""[triggers.NAME] of a mapping: a source that rises over a threshold fires, once.

In: values of the inputs hop by hop, as the body has them even while a freeze holds the channels. Out: which triggers
fire in this hop, or were kept for it as the nearest to the beat, and the envelopes of their notes, which are inputs of
the mapping ("trigger:NAME"). Causal; time only from the arguments. Knows no process: what a trigger asks for is carried
out by whoever plays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from livemove.body.beat import until_part
from livemove.body.expressions import Expression
from livemove.contracts import Request, SentMessage

PREFIX = "trigger:"
"""A mapping's source is this and the name of one of its triggers: the envelope of its note."""

REFRACTORY_S = 0.15
"""Two firings of one trigger are at least so far apart, unless it says otherwise."""

IN_VIEW = 0.99
"""The feature "presence" of somebody who is wholly in view: below it features are on their way from or to rest, and
what rises there is no movement."""


@dataclass(frozen=True)
class Note:
    """Envelope of a firing: linear to 1 in attack_s, 1 for hold_s, linear to 0 in release_s. Fired again while it
    sounds, it rises from where it is."""

    attack_s: float
    hold_s: float
    release_s: float

    def value(self, since_s: float, start: float) -> float:
        """0..1 so long after it fired, when it was at `start`."""
        if since_s < self.attack_s:
            return start + (1.0 - start) * since_s / self.attack_s
        over_s = since_s - self.attack_s - self.hold_s
        if over_s <= 0.0:
            return 1.0
        return 1.0 - over_s / self.release_s if over_s < self.release_s else 0.0


@dataclass(frozen=True)
class Trigger:
    """When it fires, and what then.

    source        index of an input, or an expression
    on, off       it fires when the source rises to `on`, and again only after it was below `off`
    refractory_s  what comes sooner after the last firing is left out
    bodily        features of the body are among its inputs: it fires with somebody wholly in view only
    note          envelope of the input "trigger:NAME"; None: it stays 0
    requests      what is asked of the supervisor, as by a key
    messages      what is sent to --osc-out and --midi-out; an OSC message has the source's value
    quantize      what fires waits for the next multiple of so many beats; 0: for nothing
    beat          indices of beat.BEAT_INPUTS, of one that is quantized
    """

    name: str
    source: int | Expression
    on: float
    off: float
    refractory_s: float = REFRACTORY_S
    bodily: bool = False
    note: Note | None = None
    requests: tuple[Request, ...] = ()
    messages: tuple[SentMessage, ...] = ()
    quantize: float = 0.0
    beat: tuple[int, ...] = ()


@dataclass(frozen=True)
class Fired:
    """A trigger in the hop in which it fires; value: its source's."""

    trigger: Trigger
    value: float


class _State:
    """armed: it was below `off` since it last fired. start: where its envelope was then. waits_s, value: until the beat
    that it is kept for, and what its source was when it fired; None: it is not."""

    def __init__(self) -> None:
        self.armed = False
        self.known = False
        self.fired_s = self.note_s = math.inf
        self.start = 0.0
        self.waits_s: float | None = None
        self.value = 0.0


class MappedTriggers:
    """The triggers of one mapping. envelopes: after a step, one float each, in their order."""

    def __init__(self, triggers: tuple[Trigger, ...], presence: int | None) -> None:
        """presence: index of the input that is 1 with somebody in view, if there is one."""
        self.triggers = triggers
        self._presence = presence
        self.reset()

    def reset(self) -> None:
        """As before the first hop: what is high there does not fire."""
        self._states = [_State() for _ in self.triggers]
        self.envelopes = [0.0] * len(self.triggers)
        for trigger in self.triggers:
            if isinstance(trigger.source, Expression):
                trigger.source.reset()

    def take_over(self, other: MappedTriggers) -> None:
        """Go on from where the same triggers of another mapping are."""
        before = {each.name: place for place, each in enumerate(other.triggers)}
        for place, trigger in enumerate(self.triggers):
            at = before.get(trigger.name)
            if at is None or other.triggers[at].source != trigger.source:
                continue
            self._states[place], self.envelopes[place] = other._states[at], other.envelopes[at]
            theirs = other.triggers[at].source
            if isinstance(trigger.source, Expression) and isinstance(theirs, Expression):
                trigger.source.take_over(theirs)

    def step(self, values: Sequence[float], dt_s: float, held: bool) -> list[Fired]:
        """One hop on; those that fire. values: of the inputs; held: a freeze holds the channels: envelopes stand still
        and no note begins, but what is asked for is asked for, so that a trigger may end the freeze.

        After an infinite time (a model that comes in) nothing fires: what is high is taken for high since long.
        """
        absent = self._presence is not None and not values[self._presence] >= IN_VIEW
        fired: list[Fired] = []
        for place, (trigger, state) in enumerate(zip(self.triggers, self._states, strict=True)):
            source = trigger.source
            value = source.step(values, dt_s) if isinstance(source, Expression) else values[source]
            fires = self._fires(trigger, state, value, dt_s, absent and trigger.bodily)
            if trigger.quantize:
                if fires and state.waits_s is None:
                    state.value = value
                    state.waits_s = until_part([values[each] for each in trigger.beat], trigger.quantize)
                fires, value = self._is_on_beat(state, dt_s), state.value
            if fires:
                fired.append(Fired(trigger, value))
            if trigger.note is None or held:
                continue
            if fires:
                state.note_s, state.start = 0.0, self.envelopes[place]
            state.note_s += dt_s
            self.envelopes[place] = trigger.note.value(state.note_s, state.start) if state.note_s < math.inf else 0.0
        return fired

    @staticmethod
    def _is_on_beat(state: _State, dt_s: float) -> bool:
        """Whether this is the hop nearest to the beat that it was kept for. One that comes while it waits is the same
        to the beat, and left out."""
        if state.waits_s is None:
            return False
        if math.isinf(dt_s):
            state.waits_s = None
            return False
        if state.waits_s > 0.5 * dt_s:
            state.waits_s -= dt_s
            return False
        state.waits_s = None
        return True

    @staticmethod
    def _fires(trigger: Trigger, state: _State, value: float, dt_s: float, absent: bool) -> bool:
        state.fired_s += dt_s
        if not state.known or absent or math.isinf(dt_s):
            state.known = True
            state.armed = not absent and not value >= trigger.off  # armed while nothing has come (NaN)
            return False
        if value < trigger.off:
            state.armed = True
        if not (state.armed and value >= trigger.on):
            return False
        state.armed = False
        if state.fired_s < trigger.refractory_s:
            return False
        state.fired_s = 0.0
        return True
