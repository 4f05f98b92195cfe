"""The loaded models of a set: one sounds, or several in layers; one after the other, crossfaded; freeze, panic,
steering, engines that fail.

In: the inputs of a hop and the controls. Out: the hop's audio, left and right, and channels. No click, whatever is
asked for. Knows no shared memory, device or clock; nothing here waits or reads a file, but `ModelSlot` when it is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from livemove.body.dancers import of_dancer
from livemove.body.features import FEATURES
from livemove.body.mapped_triggers import Fired
from livemove.body.mapping import Mapping, mapping_for
from livemove.body.sources import is_bodily, other_side
from livemove.bundle import Bundle
from livemove.contracts import HOP, Controls, Engine, EngineState, Float32, initial_state
from livemove.controls import SNAP_AS_MAPPED
from livemove.synthesis.engines import EngineChoice
from livemove.synthesis.mixing import Mixer
from livemove.synthesis.one_pass import SharedVoice, in_one_pass
from livemove.synthesis.style_blend import StyleBlend

FADE_HOPS = 8
"""Length of a crossfade: 43 ms at 48 kHz. Equal power, for two models are never in phase."""

THAW_S = 0.05
"""From where a freeze held the body to where it is now."""

BOTH = 0.8
"""Two engines that need more than this share of the time together do not play at once: one fades out, then one in."""


KEEP_HOPS = 48
"""So often, in hops, the state of an engine is kept for one that would have to follow it; of the native ones, which
copy it in 0.01 ms, every time."""


class ModelSlot:
    """One model ready to play: engine, mapping, its own noise.

    want: name of an external input -> its place among the values given to `play`. follower(engine, trouble): the engine
    that is to follow one that failed, see `Standby`; without it, what an engine raises is raised. transpose, note: as
    `Mapping.steer` takes them, beside what is set while playing.
    """

    def __init__(
        self,
        bundle: Bundle,
        choice: EngineChoice,
        mapping: Path | None,
        seed: int,
        want: Callable[[str], int],
        follower: Callable[[str, str], EngineChoice] | None = None,
        transpose: float = 0.0,
        note: float | None = None,
        dancer: int = 0,
    ) -> None:
        spec = bundle.spec
        self.spec = spec
        self.bundle = bundle
        self.engine: Engine = choice.engine
        self.realtime = choice.realtime
        self._follower = follower
        self._good: EngineState | None = None  # as it was before hop _good_hop
        self._good_hop = self._hops = 0
        self._before = np.zeros(HOP, np.float32)  # the hop before this one
        self.mapping_path = mapping or bundle.mapping_path
        self.out = np.zeros(HOP, np.float32)
        self.channels = np.zeros((1, len(spec.channels)), np.float32)
        self._want = want
        self._random = np.random.Generator(np.random.SFC64(seed))
        self._noise = np.zeros((spec.steps_per_hop, spec.noise_width), np.float32)
        self.style: int | Float32 = 0  # of the next hop, and its temperature
        self.temperature = spec.temperature
        self._hop_s = HOP / spec.sample_rate
        self._steering = (0, 0, 0)
        self._snap = SNAP_AS_MAPPED
        self._tuned = (transpose, note)
        self.dancer = dancer
        self._swapped = False
        self.blend = StyleBlend(spec, self._hop_s)
        self.set_mapping(mapping_for(self.mapping_path, spec, FEATURES))

    def set_mapping(self, mapping: Mapping) -> None:
        """The mapping from now on. Raises LivemoveError, and changes nothing, if there is no room for its external
        inputs."""
        names = [*FEATURES, *mapping.external]
        self._insides = (
            np.array([self._place(name) for name in names], np.intp),
            np.array([self._place(other_side(name)) for name in names], np.intp),
        )
        mapping.steer(*self._steering, *self._tuned, self._snap)
        self.mapping = mapping

    def _place(self, name: str) -> int:
        """Of an input of the mapping among those given to `play`: what is bodily is its own dancer's."""
        if self.dancer and is_bodily(name):
            name = of_dancer(name, self.dancer)
        return FEATURES.index(name) if name in FEATURES else len(FEATURES) + self._want(name)

    def warm_up(self) -> None:
        """First calls are slow (pages, caches, lazy kernels): make them before anybody listens."""
        hops, spec = 8, self.spec
        rest = np.array([[channel.rest for channel in spec.channels]] * hops, np.float32)
        noise = self._random.random((hops * spec.steps_per_hop, spec.noise_width), np.float32)
        self.engine.generate(np.zeros(hops * HOP, np.float32), rest, noise)
        self.reset()

    def reset(self) -> None:
        """The engine as never played."""
        self.engine.reset()
        self._good = None
        self._before[:] = 0.0

    def leave_engines(self, failed: Collection[str]) -> None:
        """Another engine, if this one was given up meanwhile, before anything is played."""
        if self.engine.name in failed and self._follower is not None:
            choice = self._follower(self.engine.name, "")
            self.engine, self.realtime = choice.engine, choice.realtime

    def enter(self, inputs: Float32, controls: Controls) -> None:
        """From silence, the channels where these inputs put them."""
        self.reset()
        self.settle(inputs, controls)

    def settle(self, inputs: Float32, controls: Controls) -> None:
        """The channels where these inputs put them, without a way there."""
        self._steer(controls)
        self.mapping.step(inputs[self._insides[self._swapped]], math.inf)
        self.blend.jump()

    def forget(self) -> None:
        """As never played, the channels at rest."""
        self.reset()
        self.mapping.reset()
        self.blend.jump()

    def join(self, voice: SharedVoice, realtime: float) -> None:
        """From now on it plays in a pass with others, from where it is. realtime: as if that were its own."""
        voice.set_state(self.engine.state())
        self.engine, self.realtime = voice, realtime
        self.out, self.channels, self._noise = voice.out, voice.channels, voice.noise

    def play(self, inputs: Float32, controls: Controls, live: Float32 | None = None) -> None:
        """Fill `out` and `channels` with the next hop, by an engine of its own: `follow`, then `sound`."""
        self.follow(inputs, controls, live)
        self.sound()

    def follow(self, inputs: Float32, controls: Controls, live: Float32 | None = None) -> None:
        """Fill `channels` and all else that the next hop is made from; inputs float32 [F + places].

        live: the same as they are now, where a freeze holds inputs or lets go of them.
        """
        self._steer(controls)
        inside = self._insides[self._swapped]
        now = None if live is None else live[inside]
        self.channels[0] = self.mapping.step(inputs[inside], self._hop_s, now, controls.freeze)
        self._random.random(out=self._noise, dtype=np.float32)
        self.style = self.blend.step(controls, self.mapping.styles)
        self.temperature = self.spec.temperature * controls.temperature
        if self._follower is not None and (self._hops % KEEP_HOPS == 0 or self.engine.name.startswith("native")):
            self._good, self._good_hop = self.engine.state(), self._hops

    def sound(self) -> None:
        """Fill `out` with the hop that `follow` prepared."""
        if self._follower is None:
            self._generate()
            return
        if trouble := self._attempt():
            self._replace(trouble, self._follower)
        self._hops += 1
        self._before[:] = self.out

    def _generate(self) -> None:
        self.engine.generate(self.out, self.channels, self._noise, style=self.style, temperature=self.temperature)

    def _attempt(self) -> str:
        """Fill `out`; what is wrong with it, else empty."""
        try:
            self._generate()
        except Exception as error:  # a driver's, a runtime's: whatever it is, the next engine knows nothing of it
            return " ".join(str(error).split())[:200] or type(error).__name__
        return "" if np.isfinite(self.out).all() else "its sound is not a number"

    def _replace(self, trouble: str, follower: Callable[[str, str], EngineChoice]) -> None:
        """The same hop from the next engine; raises EngineError once there is none.

        From the state before this hop nothing is heard of it. From an older one, or from silence where that holds NaN,
        the wave does not join: over this hop the one before it fades out, played backwards, as the callback does when
        the ring runs dry.
        """
        good = self._good if self._good is not None and finite(self._good) else None
        while trouble:
            choice = follower(self.engine.name, trouble)
            self.engine, self.realtime = choice.engine, choice.realtime
            if good is None:
                self.engine.reset()
            else:
                self.engine.set_state(good)
            trouble = self._attempt()
        if good is None or self._good_hop != self._hops:
            self.out *= _RISE
            self.out += _RISE[::-1] * self._before[::-1]

    def noise_state(self) -> list[int]:
        """Where its noise is, between two hops: four whole numbers, SFC64's."""
        state: Any = self._random.bit_generator.state["state"]["state"]
        return [int(word) for word in state]

    def set_noise_state(self, words: list[int]) -> None:
        """What `noise_state` gave."""
        state: Any = self._random.bit_generator.state
        state["state"]["state"] = np.array(words, np.uint64)
        state["has_uint32"] = 0
        self._random.bit_generator.state = state

    def _steer(self, controls: Controls) -> None:
        self._swapped = controls.swap_hands
        steering = (controls.octave, controls.scale, controls.root)
        if (steering, controls.snap) != (self._steering, self._snap):
            self._steering, self._snap = steering, controls.snap
            self.mapping.steer(*steering, *self._tuned, self._snap)


_RISE = np.sin(0.5 * np.pi * (np.arange(HOP) + 0.5) / HOP).astype(np.float32) ** 2
"""float32 [HOP]: a fade in; with its mirror image it sums to 1."""


def finite(state: EngineState) -> bool:
    """Whether every number in it is one."""
    return all(bool(np.isfinite(array).all()) for array in vars(state).values())


class Stack:
    """The layers that play at once: a model slot each, and their mix. Most have one.

    Slots of the same model with the same native engine play in one pass. One whose voice fails there goes on with an
    engine of its own; its place in the pass is then played for nobody.
    """

    def __init__(self, *slots: ModelSlot) -> None:
        self.slots = slots
        self._passes = in_one_pass(slots)
        self._mixer = Mixer(len(slots))
        self._outs = [slot.out for slot in slots]  # filled in place
        played = [(slot.mapping_path, slot.dancer) for slot in slots]
        self._asking = [slot for i, slot in enumerate(slots) if played[i] not in played[:i]]
        self._levels: tuple[Sequence[float], Sequence[float]] = ((), ())

    @property
    def realtime(self) -> float:
        """Audio seconds that all engines together make in a busy second."""
        return 1.0 / sum(1.0 / slot.realtime for slot in self.slots)

    @property
    def channels(self) -> Float32:
        """float32 [C], those of the last hop, layer after layer."""
        first, *others = self.slots
        return np.concatenate([first.channels[0], *(s.channels[0] for s in others)]) if others else first.channels[0]

    @property
    def blend(self) -> Float32 | None:
        """float32 [S]: the weights of styles at the last hop, of all layers that blend some, one after the other."""
        found = [slot.blend.weights for slot in self.slots if slot.blend.weights is not None]
        return np.concatenate(found) if len(found) > 1 else found[0] if found else None

    def play(self, inputs: Float32, controls: Controls, live: Float32 | None, leaving: bool = False) -> Float32:
        """The next hop, float32 [HOP, 2], good until the next call. leaving: levels stay, for those in `controls` are
        already another stack's."""
        for slot in self.slots:
            slot.follow(inputs, controls, live)
        for together in self._passes:
            together.play()
        for slot in self.slots:
            slot.sound()
        if not leaving or not self._levels[0]:
            count = len(self.slots)
            pans = [slot.mapping.pan(pan) for slot, pan in zip(self.slots, controls.pans, strict=False)]
            self._levels = controls.gains[:count], pans
        return self._mixer.mix(self._outs, *self._levels)

    def pans(self, controls: Controls) -> tuple[float, ...]:
        """Controls.pans as the last hop was mixed by them: mappings may play them."""
        mixed = self._levels[1]
        return (*mixed, *controls.pans[len(mixed) :])

    def enter(self, inputs: Float32, controls: Controls) -> None:
        """As `ModelSlot.enter`; so are the others."""
        self._mixer.jump()
        for slot in self.slots:
            slot.enter(inputs, controls)

    def settle(self, inputs: Float32, controls: Controls) -> None:
        for slot in self.slots:
            slot.settle(inputs, controls)

    def forget(self) -> None:
        for slot in self.slots:
            slot.forget()

    @property
    def fired(self) -> Sequence[Fired]:
        """Triggers that fired in the last hop: those of a mapping that several layers of a dancer have, once."""
        first, *others = self._asking
        return first.mapping.fired if not others else [fired for slot in self._asking for fired in slot.mapping.fired]

    def state(self) -> tuple[list[list[float]], dict[str, Any]]:
        """(levels of the mix, arrays of all engines): names of the second layer's end in _2, and so on."""
        arrays = {
            name + ending: array
            for ending, slot in self._endings()
            for name, array in vars(slot.engine.state()).items()
        }
        return self._mixer.state(), arrays

    def set_state(self, levels: Sequence[Sequence[float]], arrays: dict[str, Any]) -> None:
        """What `state` gave."""
        self._mixer.set_state(levels)
        for ending, slot in self._endings():
            slot.engine.set_state(_state_of(slot, arrays, ending))

    def whole_states(self, arrays: dict[str, Any]) -> bool:
        """Whether these are arrays of all its engines, in their shapes, every number one."""
        fresh = {
            name + ending: array.shape
            for ending, slot in self._endings()
            for name, array in vars(initial_state(slot.spec)).items()
        }
        if {name: array.shape for name, array in arrays.items()} != fresh:
            return False
        return all(finite(_state_of(slot, arrays, ending)) for ending, slot in self._endings())

    def _endings(self) -> list[tuple[str, ModelSlot]]:
        return [(f"_{number}" if number > 1 else "", slot) for number, slot in enumerate(self.slots, 1)]


def _state_of(slot: ModelSlot, arrays: dict[str, Any], ending: str) -> EngineState:
    """Copies. Raises KeyError where one is missing."""
    return EngineState(**{name: arrays[name + ending].copy() for name in vars(initial_state(slot.spec))})


class ModelCrossfader:
    """Plays the stack that is chosen, and crossfades to the next. `controls` as they are at the start: only what
    changes later is acted upon."""

    def __init__(self, stacks: Sequence[Stack], controls: Controls) -> None:
        self.stacks = stacks
        self.current: Stack = stacks[self._index(controls)]
        self.played: tuple[Stack, Stack | None] = (self.current, None)
        self.fired: Sequence[Fired] = ()
        self._leaving: Stack | None = None
        self._fade = 0
        self._curves = _curves(together=True)
        self._panics = controls.panics
        self._silent = False
        self._hop_s = HOP / stacks[0].slots[0].spec.sample_rate
        self._held = np.zeros(0, np.float32)
        self._thaw = 1.0  # 0: frozen; 1: free
        self._out = np.zeros((HOP, 2), np.float32)

    def play(self, inputs: Float32, controls: Controls, live: Float32 | None = None) -> Float32:
        """The next hop, float32 [HOP, 2], good until the next call; inputs float32 [F + places].

        live: with the body's events in it where those are silenced in `inputs`, which a freeze is about to hold. After
        it, `fired` has the triggers that fired of what sounds, or comes in.
        """
        live = inputs if live is None else live
        inputs = self._hold(inputs, controls.freeze)
        self.fired = ()
        wanted = self.stacks[self._index(controls)]
        if self._leaving is None and wanted is not self.current:
            self._leaving, self.current, self._fade = self.current, wanted, 0
            share = 1.0 / self._leaving.realtime + 1.0 / wanted.realtime
            self._curves = _curves(together=share < BOTH)
            wanted.enter(inputs, controls)
        self.played = (self.current, self._leaving)
        if self._leaving is None:
            out = self.current.play(inputs, controls, live)
            self.fired = self.current.fired
        else:
            out = self._hand_over(self._leaving, inputs, controls, live)
        if self._silent:
            out = np.multiply(out, _RISE[:, None], out=self._out)
            self._silent = False
        if controls.panics != self._panics:
            self._panics = controls.panics
            out = np.multiply(out, _RISE[::-1, None], out=self._out)
            self._silent = True
            self._leaving = None
            for stack in self.stacks:
                stack.forget()
        return out

    def state(self) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """(head, arrays) from which, with the same channels and controls, the same sound follows.

        None for the few hops in which one model hands over to another, or sound comes back after a panic.
        """
        if self._leaving is not None or self._silent:
            return None
        levels, arrays = self.current.state()
        head: dict[str, Any] = {
            "model": self.stacks.index(self.current),
            "panics": self._panics,
            "engines": [slot.engine.name for slot in self._slots()],
            "realtime": [slot.realtime for slot in self._slots()],
            "noise": [slot.noise_state() for slot in self._slots()],
            "levels": levels,
        }
        return head, arrays

    def set_state(self, head: dict[str, Any], arrays: dict[str, Any]) -> None:
        """What `state` gave; the slots must be of the same models and engines. In takes of earlier versions no levels
        stand: they had one layer, in the middle."""
        self.current = self.stacks[int(head["model"])]
        self._leaving, self._silent, self._panics = None, False, head["panics"]
        self.current.set_state(head.get("levels", ()), arrays)
        for slot, realtime, noise in zip(self._slots(), head["realtime"], head["noise"], strict=True):
            slot.realtime = realtime
            slot.set_noise_state(noise)

    def _slots(self) -> Iterator[ModelSlot]:
        """Of all stacks, one after the other."""
        return (slot for stack in self.stacks for slot in stack.slots)

    def take_over(
        self, inputs: Float32, held: Float32, controls: Controls, snapshot: tuple[dict[str, Any], dict[str, Any]] | None
    ) -> None:
        """Go on where another process broke off, as far as it is known.

        inputs: of now; held: those of its last hop, which a freeze still holds; snapshot: what its `state` gave last.
        The note sounds on from there if it is the same stack's, whole, and nobody panicked since; else from silence.
        """
        if controls.freeze and len(held) == len(inputs):
            self._held, self._thaw = held.copy(), 0.0
            inputs = self._held
        self.current.settle(inputs, controls)
        if snapshot is None:
            return
        head, arrays = snapshot
        if head["model"] != self.stacks.index(self.current) or head["panics"] != controls.panics:
            return
        if self.current.whole_states(arrays):
            self.current.set_state(head["levels"], arrays)
            for slot, noise in zip(self._slots(), head["noise"], strict=True):
                slot.set_noise_state(noise)

    @property
    def channels(self) -> Float32:
        """float32 [C] of the last hop of the first layer that sounds, or comes in."""
        return self.current.slots[0].channels[0]

    def _index(self, controls: Controls) -> int:
        return min(max(controls.model, 0), len(self.stacks) - 1)

    def _hand_over(self, leaving: Stack, inputs: Float32, controls: Controls, live: Float32 | None = None) -> Float32:
        self._out[:] = 0.0
        for stack, curve in zip((leaving, self.current), self._curves, strict=True):
            gain = curve[self._fade]
            if gain.any():
                out = stack.play(inputs, controls, live, leaving=stack is leaving)
                if stack is self.current:
                    self.fired = stack.fired
                self._out += gain[:, None] * out
        self._fade += 1
        if self._fade == FADE_HOPS:
            self._leaving = None
        return self._out

    def _hold(self, inputs: Float32, freeze: bool) -> Float32:
        """Sources as a freeze left them; after it, on the way back to where they are now."""
        if freeze and self._thaw == 0.0:
            return self._held
        now = inputs if self._thaw >= 1.0 else (self._held + self._thaw * (inputs - self._held)).astype(np.float32)
        if freeze:
            self._held = now.copy()
            self._thaw = 0.0
        elif self._thaw < 1.0:
            self._thaw = min(self._thaw + self._hop_s / THAW_S, 1.0)
        return now


def _curves(together: bool) -> tuple[Float32, Float32]:
    """Gains float32 [FADE_HOPS, HOP] of who leaves and who comes: over the whole time, or one after the other."""
    place = (np.arange(FADE_HOPS * HOP) + 0.5) / (FADE_HOPS * HOP)
    leave, come = (place, place) if together else (np.minimum(2 * place, 1.0), np.maximum(2 * place - 1.0, 0.0))
    out, into = np.cos(0.5 * np.pi * leave), np.sin(0.5 * np.pi * come)
    if not together:
        out[place > 0.5] = 0.0
    shape = (FADE_HOPS, HOP)
    return out.astype(np.float32).reshape(shape), into.astype(np.float32).reshape(shape)
