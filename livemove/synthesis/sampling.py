"""Drawing network values from the head's distribution with uniform noise the caller supplies. Pure NumPy.

Also mu-law (ITU-T G.711 companding curve, 2**8 levels as in van den Oord et al. 2016).
"""

from __future__ import annotations

import numpy as np

from livemove.contracts import Float32, ModelSpec

LOG_SCALE_FLOOR = -9.0
"""Lowest log scale of a logistic, in network values; below it the density is a spike nobody hears."""

NOISE_MARGIN = np.float32(1e-5)
"""Uniform noise is kept this far from 0 and 1, which bounds a logistic draw to 11.5 scales."""

TEMPERATURE_FLOOR = 0.01


def mulaw_encode(audio: Float32, classes: int) -> np.ndarray:
    """Class index int64 of audio in -1..1."""
    mu = classes - 1
    companded = np.sign(audio) * np.log1p(mu * np.abs(np.clip(audio, -1, 1))) / np.log1p(mu)
    return np.rint((companded + 1) / 2 * mu).astype(np.int64)


def mulaw_decode(index: np.ndarray, classes: int) -> Float32:
    """Audio float32 of class indices 0..classes-1."""
    mu = classes - 1
    companded = 2 * np.asarray(index, np.float64) / mu - 1
    return (np.sign(companded) * np.expm1(np.abs(companded) * np.log1p(mu)) / mu).astype(np.float32)


def categorical(logits: Float32, uniform: Float32, temperature: float) -> np.ndarray:
    """Index int [...] of the first class whose cumulative probability exceeds uniform [...]; logits [..., classes]."""
    scaled = (logits - logits.max(-1, keepdims=True)) / np.float32(max(temperature, TEMPERATURE_FLOOR))
    cumulative = np.cumsum(np.exp(scaled), -1)
    chosen = (cumulative <= uniform[..., None] * cumulative[..., -1:]).sum(-1)
    return np.minimum(chosen, logits.shape[-1] - 1)


def sample(spec: ModelSpec, parameters: Float32, noise: Float32, temperature: float) -> Float32:
    """Network values [bands] (mulaw: the class index) of one step from its parameters and noise [noise_width].

    Logistic mixture (Salimans et al. 2017): the component by its logits / temperature, then
    mean + exp(log_scale) * temperature * logit(u), clipped to -1..1.
    """
    if spec.head == "mulaw":
        return categorical(parameters, noise, temperature).astype(np.float32)
    logits, means, log_scales = np.moveaxis(parameters.reshape(spec.bands, 3, spec.mixtures), 1, 0)
    chosen = categorical(logits, noise[: spec.bands], temperature)[:, None]
    mean = np.take_along_axis(means, chosen, 1)[:, 0]
    log_scale = np.maximum(np.take_along_axis(log_scales, chosen, 1)[:, 0], np.float32(LOG_SCALE_FLOOR))
    u = np.clip(noise[spec.bands :], NOISE_MARGIN, 1 - NOISE_MARGIN)
    draw = np.log(u) - np.log1p(-u)
    return np.clip(mean + np.exp(log_scale) * np.float32(max(temperature, TEMPERATURE_FLOOR)) * draw, -1, 1)
