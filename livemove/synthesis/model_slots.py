"""The loaded models of a set: one sounds, or two while they are crossfaded; freeze, panic, steering, engines that fail.

In: the inputs of a hop and the controls. Out: the hop's audio and channels. No click, whatever is asked for. Knows no
shared memory, device or clock; nothing here waits or reads a file, but `ModelSlot` when it is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from livemove.body.features import FEATURES
from livemove.body.mapped_triggers import Fired
from livemove.body.mapping import Mapping, mapping_for
from livemove.body.sources import other_side
from livemove.bundle import Bundle
from livemove.contracts import HOP, Controls, EngineState, Float32, initial_state
from livemove.controls import SNAP_AS_MAPPED
from livemove.synthesis.engines import EngineChoice
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
    that is to follow one that failed, see `Standby`; without it, what an engine raises is raised.
    """

    def __init__(
        self,
        bundle: Bundle,
        choice: EngineChoice,
        mapping: Path | None,
        seed: int,
        want: Callable[[str], int],
        follower: Callable[[str, str], EngineChoice] | None = None,
    ) -> None:
        spec = bundle.spec
        self.spec = spec
        self.engine = choice.engine
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
        self._hop_s = HOP / spec.sample_rate
        self._steering = (0, 0, 0, SNAP_AS_MAPPED)
        self._swapped = False
        self.blend = StyleBlend(spec, self._hop_s)
        self.set_mapping(mapping_for(self.mapping_path, spec, FEATURES))

    def set_mapping(self, mapping: Mapping) -> None:
        """The mapping from now on. Raises LivemoveError, and changes nothing, if there is no room for its external
        inputs."""
        straight = [len(FEATURES) + self._want(name) for name in mapping.external]
        crossed = [len(FEATURES) + self._want(other_side(name)) for name in mapping.external]
        self._insides = (
            np.array([*range(len(FEATURES)), *straight], np.intp),
            np.array([*(FEATURES.index(other_side(name)) for name in FEATURES), *crossed], np.intp),
        )
        mapping.steer(*self._steering)
        self.mapping = mapping

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

    def play(self, inputs: Float32, controls: Controls, live: Float32 | None = None) -> None:
        """Fill `out` and `channels` with the next hop; inputs float32 [F + places].

        live: the same as they are now, where a freeze holds inputs or lets go of them.
        """
        self._steer(controls)
        spec = self.spec
        inside = self._insides[self._swapped]
        now = None if live is None else live[inside]
        self.channels[0] = self.mapping.step(inputs[inside], self._hop_s, now, controls.freeze)
        self._random.random(out=self._noise, dtype=np.float32)
        style = self.blend.step(controls, self.mapping.styles)
        temperature = spec.temperature * controls.temperature
        if self._follower is None:
            self.engine.generate(self.out, self.channels, self._noise, style=style, temperature=temperature)
            return
        if self._hops % KEEP_HOPS == 0 or self.engine.name.startswith("native"):
            self._good, self._good_hop = self.engine.state(), self._hops
        if trouble := self._attempt(style, temperature):
            self._replace(trouble, style, temperature, self._follower)
        self._hops += 1
        self._before[:] = self.out

    def _attempt(self, style: int | Float32, temperature: float) -> str:
        """Fill `out`; what is wrong with it, else empty."""
        try:
            self.engine.generate(self.out, self.channels, self._noise, style=style, temperature=temperature)
        except Exception as error:  # a driver's, a runtime's: whatever it is, the next engine knows nothing of it
            return " ".join(str(error).split())[:200] or type(error).__name__
        return "" if np.isfinite(self.out).all() else "its sound is not a number"

    def _replace(
        self, trouble: str, style: int | Float32, temperature: float, follower: Callable[[str, str], EngineChoice]
    ) -> None:
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
            trouble = self._attempt(style, temperature)
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
        steering = (controls.octave, controls.scale, controls.root, controls.snap)
        if steering != self._steering:
            self._steering = steering
            self.mapping.steer(*steering)


_RISE = np.sin(0.5 * np.pi * (np.arange(HOP) + 0.5) / HOP).astype(np.float32) ** 2
"""float32 [HOP]: a fade in; with its mirror image it sums to 1."""


def finite(state: EngineState) -> bool:
    """Whether every number in it is one."""
    return all(bool(np.isfinite(array).all()) for array in vars(state).values())


class ModelCrossfader:
    """Plays the slot that is chosen, and crossfades to the next. `controls` as they are at the start: only what changes
    later is acted upon."""

    def __init__(self, slots: Sequence[ModelSlot], controls: Controls) -> None:
        self.slots = slots
        self.current: ModelSlot = slots[self._index(controls)]
        self.played: tuple[ModelSlot, ModelSlot | None] = (self.current, None)
        self.fired: Sequence[Fired] = ()
        self._leaving: ModelSlot | None = None
        self._fade = 0
        self._curves = _curves(together=True)
        self._panics = controls.panics
        self._silent = False
        self._hop_s = HOP / slots[0].spec.sample_rate
        self._held = np.zeros(0, np.float32)
        self._thaw = 1.0  # 0: frozen; 1: free
        self._out = np.zeros(HOP, np.float32)

    def play(self, inputs: Float32, controls: Controls, live: Float32 | None = None) -> Float32:
        """The next hop, float32 [HOP], good until the next call; inputs float32 [F + places].

        live: with the body's events in it where those are silenced in `inputs`, which a freeze is about to hold. After
        it, `fired` has the triggers that fired of the model that sounds, or comes in.
        """
        live = inputs if live is None else live
        inputs = self._hold(inputs, controls.freeze)
        self.fired = ()
        wanted = self.slots[self._index(controls)]
        if self._leaving is None and wanted is not self.current:
            self._leaving, self.current, self._fade = self.current, wanted, 0
            share = 1.0 / self._leaving.realtime + 1.0 / wanted.realtime
            self._curves = _curves(together=share < BOTH)
            wanted.enter(inputs, controls)
        self.played = (self.current, self._leaving)
        if self._leaving is None:
            self.current.play(inputs, controls, live)
            self.fired = self.current.mapping.fired
            out = self.current.out
        else:
            out = self._hand_over(self._leaving, inputs, controls, live)
        if self._silent:
            out = np.multiply(out, _RISE, out=self._out)
            self._silent = False
        if controls.panics != self._panics:
            self._panics = controls.panics
            out = np.multiply(out, _RISE[::-1], out=self._out)
            self._silent = True
            self._leaving = None
            for slot in self.slots:
                slot.forget()
        return out

    def state(self) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """(head, arrays) from which, with the same channels and controls, the same sound follows.

        None for the few hops in which one model hands over to another, or sound comes back after a panic.
        """
        if self._leaving is not None or self._silent:
            return None
        head: dict[str, Any] = {
            "model": self.slots.index(self.current),
            "panics": self._panics,
            "engines": [slot.engine.name for slot in self.slots],
            "realtime": [slot.realtime for slot in self.slots],
            "noise": [slot.noise_state() for slot in self.slots],
        }
        return head, vars(self.current.engine.state())

    def set_state(self, head: dict[str, Any], arrays: dict[str, Any]) -> None:
        """What `state` gave; the slots must be of the same models and engines."""
        self.current = self.slots[int(head["model"])]
        self._leaving, self._silent, self._panics = None, False, head["panics"]
        self.current.engine.set_state(EngineState(**arrays))
        for slot, realtime, noise in zip(self.slots, head["realtime"], head["noise"], strict=True):
            slot.realtime = realtime
            slot.set_noise_state(noise)

    def take_over(
        self, inputs: Float32, held: Float32, controls: Controls, snapshot: tuple[dict[str, Any], dict[str, Any]] | None
    ) -> None:
        """Go on where another process broke off, as far as it is known.

        inputs: of now; held: those of its last hop, which a freeze still holds; snapshot: what its `state` gave last.
        The note sounds on from there if it is the same model's, whole, and nobody panicked since; else from silence.
        """
        if controls.freeze and len(held) == len(inputs):
            self._held, self._thaw = held.copy(), 0.0
            inputs = self._held
        self.current.settle(inputs, controls)
        if snapshot is None:
            return
        head, arrays = snapshot
        fresh = vars(initial_state(self.current.spec))
        if head["model"] != self.slots.index(self.current) or head["panics"] != controls.panics:
            return
        if {name: array.shape for name, array in arrays.items()} != {name: each.shape for name, each in fresh.items()}:
            return
        if finite(state := EngineState(**{name: array.copy() for name, array in arrays.items()})):
            self.current.engine.set_state(state)
            for slot, noise in zip(self.slots, head["noise"], strict=True):
                slot.set_noise_state(noise)

    @property
    def channels(self) -> Float32:
        """float32 [C] of the last hop of the model that sounds, or comes in."""
        return self.current.channels[0]

    def _index(self, controls: Controls) -> int:
        return min(max(controls.model, 0), len(self.slots) - 1)

    def _hand_over(
        self, leaving: ModelSlot, inputs: Float32, controls: Controls, live: Float32 | None = None
    ) -> Float32:
        self._out[:] = 0.0
        for slot, curve in zip((leaving, self.current), self._curves, strict=True):
            gain = curve[self._fade]
            if gain.any():
                slot.play(inputs, controls, live)
                if slot is self.current:
                    self.fired = slot.mapping.fired
                self._out += gain * slot.out
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
