"""The harmonic path: harmonics of the running phase, through the filter bank's own response, as band signals.

In: a spec with a harmonic path, its weights, per hop the channels and the conditioner's output, per step the phase.
Out: what is added to the means of the mixture. Pure NumPy, for the reference engine; the other engines repeat it, and
the trained network does in PyTorch. Knows no engine.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from livemove.contracts import LEVEL, PITCH_OCTAVES, Float32, ModelSpec, Weights
from livemove.synthesis import conditioning, pqmf

Complex64 = npt.NDArray[np.complex64]

RESPONSE_POINTS = 256
"""Points per band's width at which the prototype's response is tabulated; between them it is a straight line."""
RESPONSE_BANDS = 2
"""It is taken as 0 beyond so many bands' widths: it is below -90 dB there."""


@lru_cache(maxsize=8)
def prototype_response(bands: int, taps: int) -> Float32:
    """The prototype filter's zero-phase response float32 [RESPONSE_BANDS * RESPONSE_POINTS + 1], from DC on."""
    u = np.arange(taps) - (taps - 1) / 2
    omega = np.arange(RESPONSE_BANDS * RESPONSE_POINTS + 1) * (np.pi / bands / RESPONSE_POINTS)
    return (np.cos(omega[:, None] * u) @ pqmf.prototype(bands, taps)).astype(np.float32)


def band_gains(spec: ModelSpec, hz: Float32) -> Complex64:
    """H [..., bands]: band b of exp(2 pi i f t) is H_b(f) exp(2 pi i f t) at the end of a step's own samples.

    The analysis filters are the prototype P shifted to band centres c_b = (b + 1/2) pi / bands, with phases +-pi/4:
    H_b = exp(-i omega / 2) (exp(-i theta_b) P(omega + c_b) + exp(i theta_b) P(omega - c_b)). hz [...].
    """
    table = prototype_response(spec.bands, spec.pqmf_taps)
    place = np.asarray(hz, np.float64)[..., None] * (2 * spec.bands / spec.sample_rate)  # in bands' widths
    centre = np.arange(spec.bands) + 0.5
    points = np.arange(len(table)) / RESPONSE_POINTS
    above, below = (np.interp(np.abs(x), points, table, right=0.0) for x in (place + centre, place - centre))
    theta = np.where(np.arange(spec.bands) % 2, -1, 1) * np.pi / 4
    turned = np.exp(-1j * theta) * above + np.exp(1j * theta) * below
    return (np.exp(-1j * np.pi * np.asarray(hz)[..., None] / spec.sample_rate) * turned).astype(np.complex64)


def octaves(spec: ModelSpec, channels: Float32) -> Float32:
    """f [..., 2 * PITCH_OCTAVES]: sines, then cosines of pi p 2^i of the normalised pitch p; channels [..., C] raw."""
    assert spec.phase is not None
    p = conditioning.normalise(spec, channels)[..., spec.channel_names.index(spec.phase.channel)]
    angle = np.pi * p[..., None] * 2.0 ** np.arange(PITCH_OCTAVES)
    return np.concatenate([np.sin(angle), np.cos(angle)], -1).astype(np.float32)


def level(spec: ModelSpec, channels: Float32) -> Float32:
    """What amplitudes [...] are in units of; channels [..., C] in natural units."""
    assert spec.harmonic_path is not None
    if not spec.harmonic_path.level:
        return np.ones(channels.shape[:-1], np.float32)
    index = spec.channel_names.index(spec.harmonic_path.level)
    channel = spec.channels[index]
    return np.float32(LEVEL) * np.clip(channels[..., index], channel.minimum, channel.maximum) ** 2


def amplitudes(
    spec: ModelSpec, weights: Weights, channels: Float32, embedded: Float32, style: int | Float32 = 0
) -> Float32:
    """a [..., 2K]: real parts of the harmonics' amplitudes, then imaginary ones; band signal units.

    channels [..., C] in natural units; embedded [..., E]: conditioning.embed of them; style as of Engine.generate.
    """
    last = of_styles(spec, hidden(spec, weights, channels, embedded), style)
    return (last @ weights["harmonics.weight_3"] + weights["harmonics.bias_3"]) * level(spec, channels)[..., None]


def hidden(spec: ModelSpec, weights: Weights, channels: Float32, embedded: Float32) -> Float32:
    """The second layer of the amplitudes' network [..., hidden]; arguments as of `amplitudes`."""
    x = np.concatenate([embedded, octaves(spec, channels)], -1)
    for layer in ("1", "2"):
        x = np.maximum(x @ weights[f"harmonics.weight_{layer}"] + weights[f"harmonics.bias_{layer}"], 0)
    return x


def of_styles(spec: ModelSpec, hidden: Float32, style: int | Float32) -> Float32:
    """What goes into the last layer [..., styles * hidden]: `hidden` times the weight of each style, in turn."""
    if len(spec.styles) < 2:
        return hidden
    shares = conditioning.style_weights(spec, style)
    every = shares[:, None] * hidden[..., None, :]
    return every.reshape(*hidden.shape[:-1], every.shape[-2] * every.shape[-1])


def sums(spec: ModelSpec, hz: float, values: Float32) -> Float32:
    """[2K, bands]: what sines and cosines of the phase are multiplied by, for amplitudes values [2K] at one pitch.

    Harmonic k of amplitude a adds Re(a H_b(k f) exp(2 pi i k phase)) to band b.
    """
    assert spec.harmonic_path is not None
    count = spec.harmonic_path.harmonics
    gains = band_gains(spec, (hz * np.arange(1, count + 1)).astype(np.float32))
    product = (values[:count] + 1j * values[count:])[:, None] * gains
    return np.concatenate([-product.imag, product.real]).astype(np.float32)


def means(spec: ModelSpec, weights: Weights, hz: float, features: Float32, before: Float32, now: Float32) -> Float32:
    """m [steps, bands], network values, of one hop: amplitudes go from `before` to `now` [2K] in a straight line.

    features [steps, 2K]: conditioning.phase_features of the hop's steps for the path's harmonics.
    """
    ramp = (np.arange(1, len(features) + 1, dtype=np.float32) / np.float32(len(features)))[:, None]
    bands = (1 - ramp) * (features @ sums(spec, hz, before)) + ramp * (features @ sums(spec, hz, now))
    return (bands / weights["bands.scale"]).astype(np.float32)
