"""Layers that play the same model with the native engine, in one pass: its weights are read once for all of them.

In: players of models, with what each is to play next in arrays of its own that lie together. Out: their hops, to the
bit what an engine of its own would make. Knows no mapping, control or mix; what to do about a failure is the players'.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from livemove.bundle import Bundle
from livemove.contracts import HOP, Engine, EngineError, EngineState, Float32, Trace, initial_state
from livemove.synthesis.engines import UntrueEngineError, proven
from livemove.synthesis.native import NativeEngine, NativeVoices


class Player(Protocol):
    """Who plays a model with an engine; a ModelSlot is one. style, temperature: of the hop that it plays next."""

    bundle: Bundle
    engine: Engine
    style: int | Float32
    temperature: float

    def join(self, voice: SharedVoice, realtime: float) -> None:
        """Play with this engine from now on, in whose arrays, from where the last one is. realtime: its speed."""


def in_one_pass(players: Sequence[Player]) -> list[OnePass]:
    """A pass for each network that several of them play natively and in the same precision; they have joined it."""
    found: list[OnePass] = []
    left = [player for player in players if isinstance(player.engine, NativeEngine)]
    while left:
        first = left[0]
        together = [player for player in left if _same_network(player, first)]
        left = [player for player in left if player not in together]
        if len(together) == 1 or not isinstance(first.engine, NativeEngine):
            continue
        bundle, precision = first.bundle, first.engine.precision
        unison = Unison(NativeVoices(bundle.spec, bundle.weights, len(together), precision=precision))
        try:
            realtime = proven(unison, bundle)
        except UntrueEngineError:
            continue  # each keeps its own, which was true to the model
        found.append(OnePass(unison.voices, first.engine.name, together, realtime))
    return found


def _same_network(one: Player, other: Player) -> bool:
    if one is other:
        return True
    if one.engine.name != other.engine.name or one.bundle.spec != other.bundle.spec:
        return False
    mine, others = one.bundle.weights, other.bundle.weights
    return mine.keys() == others.keys() and all(np.array_equal(mine[name], others[name]) for name in mine)


class OnePass:
    """NativeVoices of several players, each of whom fills its own part of the arrays: nothing is copied. `play` runs
    the next hop of all; a player's engine then gives its own, or what went wrong."""

    def __init__(self, native: NativeVoices, name: str, players: Sequence[Player], realtime: float) -> None:
        """name: of the engine that each of them has alone; realtime: seconds of all voices that a busy second makes."""
        spec, count = native.spec, native.voices
        self._native = native
        self._out = np.zeros((count, HOP), np.float32)
        self._channels = np.zeros((count, 1, len(spec.channels)), np.float32)
        self._noise = np.zeros((count, spec.steps_per_hop, spec.noise_width), np.float32)
        self._players = players
        arrays = zip(self._out, self._channels, self._noise, strict=True)
        self._voices = [SharedVoice(native, place, name, *own) for place, own in enumerate(arrays)]
        for player, voice in zip(players, self._voices, strict=True):
            player.join(voice, realtime * count)

    def play(self) -> None:
        """Whatever the pass raises, each voice's `generate` does. A voice whose player has left for another engine is
        played for nobody; once all have, nothing is."""
        if not any(player.engine is voice for player, voice in zip(self._players, self._voices, strict=True)):
            return
        trouble: Exception | None = None
        styles = [player.style for player in self._players]
        temperatures = [player.temperature for player in self._players]
        try:
            self._native.generate(self._out, self._channels, self._noise, styles=styles, temperatures=temperatures)
        except Exception as error:
            trouble = error
        for voice in self._voices:
            voice.made, voice.trouble = True, trouble


class SharedVoice:
    """Implements contracts.Engine for one of several voices, whose hop is made together with the others' before."""

    def __init__(
        self, native: NativeVoices, place: int, name: str, out: Float32, channels: Float32, noise: Float32
    ) -> None:
        """out [HOP], channels [1, C], noise [steps, width]: its own, which the pass reads and fills."""
        self.name, self.spec = name, native.spec
        self.out, self.channels, self.noise = out, channels, noise
        self.made = False
        self.trouble: Exception | None = None
        self._native, self._place = native, place

    def reset(self) -> None:
        self.set_state(initial_state(self.spec))

    def generate(
        self,
        out: Float32,
        channels: Float32,
        noise: Float32,
        *,
        style: int | Float32 = 0,
        temperature: float = 1.0,
        trace: Trace | None = None,
    ) -> None:
        """Once after each `OnePass.play`, with its own arrays. Raises what that raised; EngineError for anything else
        that is asked of it."""
        made, self.made = self.made, False
        if not made or out is not self.out or channels is not self.channels or noise is not self.noise or trace:
            raise EngineError(f"engine {self.name}: one of several voices makes no hop by itself")
        if self.trouble is not None:
            raise self.trouble

    def state(self) -> EngineState:
        return self._native.state(self._place)

    def set_state(self, state: EngineState) -> None:
        self._native.set_state(self._place, state)


class Unison:
    """Implements contracts.Engine by voices that all play the same, so that they can be proven and timed as one."""

    def __init__(self, voices: NativeVoices) -> None:
        self.voices = voices
        self.spec = voices.spec
        self.name = f"native, {voices.voices} voices in one pass"

    def reset(self) -> None:
        self.voices.reset()

    def generate(
        self,
        out: Float32,
        channels: Float32,
        noise: Float32,
        *,
        style: int | Float32 = 0,
        temperature: float = 1.0,
        trace: Trace | None = None,
    ) -> None:
        """contracts.Engine.generate. Raises UntrueEngineError if voices differ by a bit."""
        count = self.voices.voices
        each = np.empty((count, len(out)), np.float32)
        self.voices.generate(
            each,
            np.repeat(channels[None], count, axis=0),
            np.repeat(noise[None], count, axis=0),
            styles=[style] * count,
            temperatures=[temperature] * count,
            traces=None if trace is None else [trace] * count,
        )
        if (each != each[0]).any():
            raise UntrueEngineError(f"engine {self.name}: they do not play alike")
        out[:] = each[0]

    def state(self) -> EngineState:
        return self.voices.state(0)

    def set_state(self, state: EngineState) -> None:
        for voice in range(self.voices.voices):
            self.voices.set_state(voice, state)
