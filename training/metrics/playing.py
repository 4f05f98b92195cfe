"""Whoever can play control tracks, behind one interface: a model on an engine, so that any other synthesiser compares.

In: channels in natural units, a style, a seed. Out: audio, the filter bank's delay taken out. Knows no measure and no
corpus.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from livemove.contracts import HOP, Engine, Float32, ModelSpec
from livemove.synthesis import pqmf

Style = int | Float32
"""Index of a style, or float32 weights [S] of a blend."""

Segment = tuple[Float32, Style]
"""Channels [hops, C] and the style they are played in."""


class Player(Protocol):
    """What control tracks can be given to. lag: samples by which it would sound later, played live."""

    lag: int

    def sound(self, channels: Float32, style: Style = 0, seed: int = 0, phase: float = 0.0) -> Float32:
        """Audio [hops * HOP] of channels [hops, C], played from silence; phase: cycles at its start."""
        ...

    def sequence(self, segments: Sequence[Segment], seed: int = 0) -> Float32:
        """Audio of segments played one after the other without a stop."""
        ...


def delay(spec: ModelSpec) -> int:
    """Samples by which an engine's audio lags its channels: the filter bank's."""
    return pqmf.delay(spec.bands, spec.pqmf_taps) if spec.bands > 1 else 0


def play(
    engine: Engine, channels: Float32, temperature: float, seed: int, style: Style = 0, phase: float = 0.0
) -> Float32:
    """Audio [hops * HOP] of channels [hops, C] from a fresh engine, with its delay."""
    engine.reset()
    if phase:
        state = engine.state()
        state.phase[0] = phase % 1.0
        engine.set_state(state)
    return _go_on(engine, channels, temperature, np.random.default_rng(seed), style)


def sound(
    engine: Engine, channels: Float32, style: Style, temperature: float, seed: int, phase: float = 0.0
) -> Float32:
    """The same, its delay taken out."""
    lag = delay(engine.spec)
    longer = np.concatenate([channels, np.repeat(channels[-1:], -(-lag // HOP), 0)])
    return play(engine, longer, temperature, seed, style, phase)[lag : lag + len(channels) * HOP]


def _go_on(engine: Engine, channels: Float32, temperature: float, rng: np.random.Generator, style: Style) -> Float32:
    spec = engine.spec
    noise = rng.random((len(channels) * spec.steps_per_hop, spec.noise_width), np.float32)
    out = np.empty(len(channels) * HOP, np.float32)
    engine.generate(out, np.ascontiguousarray(channels), noise, style=style, temperature=temperature)
    return out


class EnginePlayer:
    """A model on an engine, at a temperature."""

    def __init__(self, engine: Engine, temperature: float) -> None:
        self.engine, self.temperature = engine, temperature
        self.lag = delay(engine.spec)

    def sound(self, channels: Float32, style: Style = 0, seed: int = 0, phase: float = 0.0) -> Float32:
        return sound(self.engine, channels, style, self.temperature, seed, phase)

    def sequence(self, segments: Sequence[Segment], seed: int = 0) -> Float32:
        lag = delay(self.engine.spec)
        channels, style = segments[-1]
        longer = [*segments[:-1], (np.concatenate([channels, np.repeat(channels[-1:], -(-lag // HOP), 0)]), style)]
        rng = np.random.default_rng(seed)
        self.engine.reset()
        parts = [_go_on(self.engine, part, self.temperature, rng, how) for part, how in longer]
        return np.concatenate(parts)[lag : lag + sum(len(part) for part, _ in segments) * HOP]
