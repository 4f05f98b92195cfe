"""Procedural sound for the theremin: control tracks and the tone they make, from code alone (no outside data).

Pure NumPy: a seeded generator in, channels [hops, 3] and audio [hops * 256] out. Knows no network.
"""

from __future__ import annotations

import numpy as np

from livemove.contracts import HOP, LEVEL, Float32, Float64, ModelSpec
from livemove.synthesis import architectures, conditioning, pqmf

SAMPLE_RATE = 48000
HOP_RATE = SAMPLE_RATE / HOP
HARMONICS = 24
FORMANTS = ((650.0, 0.35, 1.5), (1300.0, 0.25, 0.8), (3000.0, 0.2, 1.2))
"""Centre in Hz, width in octaves, gain: fixed resonances that give the tone a vowel-like colour."""
HELD_OUT_SEED = 2**31
"""Validation clips and evaluation tracks are seeded from here on; training seeds lie below."""


def theremin_spec() -> ModelSpec:
    """The stage architecture with the theremin's three channels."""
    return architectures.stage("theremin")


def smooth_noise(rng: np.random.Generator, hops: int, cutoff_hz: float) -> Float64:
    """Zero-mean, unit-variance noise [hops] of about cutoff_hz bandwidth: linear interpolation of random knots."""
    spacing = max(HOP_RATE / (2 * cutoff_hz), 1.0)
    knots = rng.standard_normal(int(hops / spacing) + 3)
    at = rng.random() + np.arange(hops) / spacing
    eased = at % 1
    eased = eased * eased * (3 - 2 * eased)
    left = at.astype(int)
    return knots[left] * (1 - eased) + knots[left + 1] * eased


def lag(values: Float64, time_s: float) -> Float64:
    """One-pole smoothing [hops] with a time constant, as a hand's inertia."""
    keep = np.exp(-1 / (max(time_s, 1e-4) * HOP_RATE))
    out = np.empty_like(values)
    state = values[0]
    for i, v in enumerate(values):
        state = v + (state - v) * keep
        out[i] = state
    return out


def steps(rng: np.random.Generator, hops: int, mean_s: float, draw: Float64) -> Float64:
    """Piecewise constant track [hops]: a new value from `draw` about every mean_s seconds."""
    change = rng.random(hops) < 1 / (mean_s * HOP_RATE)
    return draw[np.cumsum(change) % len(draw)]


def controls(rng: np.random.Generator, hops: int) -> Float32:
    """One control track [hops, 3] (pitch, loudness, brightness): glides, notes with portamento, vibrato, rests."""
    low, high = architectures.PITCH.minimum, architectures.PITCH.maximum
    kind = rng.random()
    if kind < 0.4:  # notes
        pitch = lag(steps(rng, hops, rng.uniform(0.1, 0.8), rng.uniform(low, high, 64)), rng.uniform(0.003, 0.08))
    elif kind < 0.85:  # glides
        pitch = (low + high) / 2 + rng.uniform(2, 9) * smooth_noise(rng, hops, rng.uniform(0.3, 5)) + rng.uniform(-8, 8)
    else:  # one held note
        pitch = np.full(hops, rng.uniform(low, high))
    if rng.random() < 0.5:
        rate, depth = rng.uniform(3, 8), rng.uniform(0, 0.8)
        pitch = pitch + depth * np.sin(2 * np.pi * (rate * np.arange(hops) / HOP_RATE + rng.random()))
    kind = rng.random()
    if kind < 0.35:  # onsets and rests
        loudness = steps(rng, hops, rng.uniform(0.1, 0.5), rng.uniform(0, 1, 64) * (rng.random(64) > 0.35))
        loudness = lag(loudness, rng.uniform(0.003, 0.06))
    elif kind < 0.9:
        loudness = rng.uniform(0.2, 0.9) + rng.uniform(0, 0.5) * smooth_noise(rng, hops, rng.uniform(0.3, 6))
    else:
        loudness = np.full(hops, rng.uniform(0, 1) * (rng.random() > 0.4))
    loudness = np.where(loudness < 0.004, 0.0, loudness)
    brightness = rng.uniform(0, 1) + rng.uniform(0, 0.5) * smooth_noise(rng, hops, rng.uniform(0.2, 5))
    track = np.stack([np.clip(pitch, low, high), np.clip(loudness, 0, 1), np.clip(brightness, 0, 1)], -1)
    return track.astype(np.float32)


def spectrum(frequency_hz: Float64, brightness: Float64) -> Float64:
    """Harmonic amplitudes [..., HARMONICS] of unit RMS: a power-law roll-off by brightness under fixed formants."""
    k = np.arange(1, HARMONICS + 1)
    hz = frequency_hz[..., None] * k
    rolloff = 3.2 - 2.1 * brightness[..., None]
    envelope = np.ones_like(hz)
    for centre, width, gain in FORMANTS:
        envelope += gain * np.exp(-0.5 * (np.log2(hz / centre) / width) ** 2)
    amplitude = k**-rolloff * envelope * np.clip((0.48 * SAMPLE_RATE - hz) / 2000, 0, 1)
    return amplitude * np.sqrt(2 / (amplitude**2).sum(-1, keepdims=True))


def tone(channels: Float32, phase: float, before: Float32 | None = None, phases: Float64 | None = None) -> Float32:
    """Audio [hops * HOP] of a control track [hops, 3]; phase: cycles at its start.

    Pitch is constant inside a hop, as the engine integrates it; amplitudes ramp linearly over each hop from the
    hop before (`before` [3], or the first one). Loudness 0 is exact silence. Harmonics are cos(2 pi k cycles + phases
    [k - 1]); without phases [HARMONICS], sines of fixed Schroeder phases, which keep the crest low.
    """
    track = np.concatenate([(channels[:1] if before is None else before[None]), channels]).astype(np.float64)
    hz = 440 * 2 ** ((track[:, 0] - 69) / 12)
    level = LEVEL * track[:, 1] ** 2
    amplitude = spectrum(hz, track[:, 2]) * level[:, None]  # [hops + 1, K]
    ramp = np.arange(1, HOP + 1) / HOP
    cycles = phase + np.concatenate([[0], np.cumsum(np.repeat(hz[1:], HOP))[:-1]]) / SAMPLE_RATE
    carrier = np.exp(2j * np.pi * np.mod(cycles, 1)).reshape(-1, HOP)
    power = np.ones_like(carrier)
    out = np.zeros(carrier.shape)
    for k in range(1, HARMONICS + 1):
        power *= carrier
        a = amplitude[:-1, k - 1, None] * (1 - ramp) + amplitude[1:, k - 1, None] * ramp
        angle = -np.pi * k * (k - 1) / HARMONICS if phases is None else phases[k - 1] + np.pi / 2
        out += a * (power * np.exp(1j * angle)).imag
    return out.reshape(-1).astype(np.float32)


def example(rng: np.random.Generator, spec: ModelSpec, hops: int) -> dict[str, Float32]:
    """One training clip: channels [hops, C] in -1..1, hz [hops], cycles [steps], bands [steps, bands] (not yet scaled).

    Two hops more are rendered on either side, so that the clip is a cut from the middle of a sound.
    """
    margin = 2
    track = controls(rng, hops + 2 * margin)
    phase = rng.random()
    audio = tone(track, phase)
    bands = pqmf.analysis(audio, spec.bands, spec.pqmf_taps)
    steps = spec.steps_per_hop
    hz = conditioning.pitch_hz(spec, track)
    cycles = (phase + np.cumsum(np.repeat(hz, steps)) / spec.step_rate) % 1.0
    inner = slice(margin * steps, (margin + hops) * steps)
    return {
        "channels": conditioning.normalise(spec, track[margin : margin + hops]),
        "hz": hz[margin : margin + hops].astype(np.float32),
        "cycles": cycles[inner].astype(np.float32),
        "bands": bands[inner],
    }
