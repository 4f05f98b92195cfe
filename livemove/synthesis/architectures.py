"""The two architectures of the model family (classic, stage) and random weights of a spec, for benchmarks and tests."""

from __future__ import annotations

import numpy as np

from livemove.contracts import Channel, ModelSpec, Phase, Weights, weight_shapes

PITCH = Channel("pitch", "MIDI note", 57.0, 81.0, 69.0)
LOUDNESS = Channel("loudness", "0..1", 0.0, 1.0, 0.0)
BRIGHTNESS = Channel("brightness", "0..1", 0.0, 1.0, 0.5)


def classic(name: str = "classic", channels: tuple[Channel, ...] = (PITCH, LOUDNESS, BRIGHTNESS)) -> ModelSpec:
    """The published network at nv-wavenet's benchmark size: 16 kHz, mu-law softmax, R64 S256 A256, 20 layers."""
    return ModelSpec(
        name=name, sample_rate=16000, bands=1, head="mulaw", classes=256, mixtures=0, residual=64, skip=256, hidden=256,
        dilations=tuple(2**i for i in range(10)) * 2, conditioning=32, channels=channels, styles=(), phase=None,
        pqmf_taps=0, temperature=1.0,
    )  # fmt: skip


def stage(name: str = "stage", channels: tuple[Channel, ...] = (PITCH, LOUDNESS, BRIGHTNESS)) -> ModelSpec:
    """48 kHz in 16 bands: 3,000 steps a second, mixture of logistics, R64 S128, 10 layers, 0.34 s receptive field."""
    pitched = any(c.name == "pitch" for c in channels)
    return ModelSpec(
        name=name, sample_rate=48000, bands=16, head="logistic", classes=0, mixtures=2, residual=64, skip=128,
        hidden=128, dilations=tuple(2**i for i in range(10)), conditioning=32, channels=channels, styles=(),
        phase=Phase("pitch", 24) if pitched else None, pqmf_taps=160, temperature=0.5,
    )  # fmt: skip


def random_weights(spec: ModelSpec, seed: int = 0) -> Weights:
    """Weights with unit-gain fan-in, rounded to float16: for speed and parity, not for listening."""
    rng = np.random.default_rng(seed)
    weights: Weights = {}
    for name, shape in weight_shapes(spec).items():
        fan_in = shape[-2] if len(shape) > 1 else 16
        w = rng.standard_normal(shape, np.float32) / np.float32(np.sqrt(fan_in))
        weights[name] = w.astype(np.float16).astype(np.float32)
    if spec.head == "logistic":
        weights["bands.scale"] = np.full(spec.bands, 0.25, np.float32)
    return weights
