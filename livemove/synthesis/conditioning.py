"""What every engine does to its channels before the network sees them: normalise, embed, integrate the phase. NumPy."""

from __future__ import annotations

import numpy as np

from livemove.contracts import Float32, Float64, ModelSpec, Weights

PHASE_FADE = (0.4, 0.5)
"""A harmonic's sine and cosine fade out linearly between these fractions of the sample rate."""


def normalise(spec: ModelSpec, channels: Float32) -> Float32:
    """Channels [..., C] in natural units -> -1..1, clipped."""
    low = np.array([c.minimum for c in spec.channels], np.float32)
    high = np.array([c.maximum for c in spec.channels], np.float32)
    return np.clip((channels - low) / (high - low) * 2 - 1, -1, 1).astype(np.float32)


def style_weights(spec: ModelSpec, style: int | Float32) -> Float32:
    """float32 [max(styles, 1)], the weight of each style's embedding, from a style's index or its weights."""
    if isinstance(style, np.ndarray):
        return style.astype(np.float32)
    weights = np.zeros(max(len(spec.styles), 1), np.float32)
    weights[style] = 1.0
    return weights


def embed(spec: ModelSpec, weights: Weights, channels: Float32, style: int | Float32) -> Float32:
    """The conditioner's output e [..., E] for channels [..., C] in natural units and a style, or weights of styles."""
    total = weights["conditioner.bias"] + style_weights(spec, style) @ weights["style.embedding"]
    for column, row in zip(np.moveaxis(normalise(spec, channels), -1, 0), weights["conditioner.weight"], strict=True):
        total = total + column[..., None] * row  # in this order however many hops there are: BLAS adds as it likes
    return np.tanh(total)


def gate(spec: ModelSpec, channels: Float32) -> Float32:
    """What the network's values are multiplied by [...] on their way into the filter bank; channels [..., C] raw."""
    if spec.gate is None:
        return np.ones(channels.shape[:-1], np.float32)
    value = channels[..., spec.channel_names.index(spec.gate.channel)]
    opening = (value - np.float32(spec.gate.closed)) / np.float32(spec.gate.full - spec.gate.closed)
    return np.clip(opening, 0, 1).astype(np.float32)


def pitch_hz(spec: ModelSpec, channels: Float32) -> Float64:
    """Frequency [...] of the phase's pitch channel, clipped to the channel's range."""
    assert spec.phase is not None
    index = spec.channel_names.index(spec.phase.channel)
    channel = spec.channels[index]
    note = np.clip(np.asarray(channels, np.float64)[..., index], channel.minimum, channel.maximum)
    return 440.0 * 2.0 ** ((note - 69.0) / 12.0)


def phase_features(spec: ModelSpec, frequency_hz: Float64, cycles: Float64, harmonics: int | None = None) -> Float32:
    """[..., 2K]: sin(2 pi k cycles) for k = 1..K, then the cosines; harmonics near Nyquist fade to 0.

    K: as many as the network's input has, or `harmonics`.
    """
    assert spec.phase is not None
    k = np.arange(1, (spec.phase.harmonics if harmonics is None else harmonics) + 1)
    angle = 2 * np.pi * np.mod(cycles[..., None] * k, 1.0)
    low, high = PHASE_FADE
    gain = np.clip((high - frequency_hz[..., None] * k / spec.sample_rate) / (high - low), 0, 1)
    return np.concatenate([gain * np.sin(angle), gain * np.cos(angle)], -1).astype(np.float32)


def advance_phase(spec: ModelSpec, phase: float, frequency_hz: float, steps: int) -> Float64:
    """Cycles [steps], not wrapped, after each of the next steps at one frequency; the last mod 1 is the new state."""
    cycles: Float64 = np.arange(1, steps + 1, dtype=np.float64) * (frequency_hz / spec.step_rate)
    return phase + cycles
