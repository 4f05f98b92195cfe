"""What the network is to learn beside a fitted harmonic path: the recording, its steady harmonics as the path has them.

In: a network whose path is fitted, a corpus as tensors. Out: the corpus' bands, changed in place. Every note of every
recording has harmonics of its own, which the channels do not tell. A network that is taught them carries them on from
its own past; playing freely it has nothing to carry on, and turns its doubt into slow noise around each harmonic and
lines in the wrong bands (training/LOG.md). So the slow part of what the path leaves is taken out where a tone is
steady. Attacks and note changes stay as recorded, and so does all that is faster: breath, bow, the bite of an attack.
Knows no loop.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy import ndimage, signal

from livemove.contracts import HOP, Float32, Float64, ModelSpec
from livemove.synthesis import harmonic_path, pqmf
from training.data.resident import Resident
from training.loop.path_fit import QUIET, demodulated
from training.model.wavenet import WaveNet, phase_features

REACH_S = 0.027
"""Around a hop: what is looked at to tell whether the tone is steady there; half the longest window of demodulation."""
RISE, FALL, STEP = 1.4, 0.35, 2.0
"""A tone is not steady where loudness (the square root of the level) rises by more than this factor within twice
REACH_S, falls below this share, or pitch moves by more semitones."""
SLOW_S = 0.12
"""Length of the window over which deviations are averaged: what is faster belongs to the noise."""
FADE_S = 0.05
"""Over which steady and unsteady parts fade into each other."""
PIECE = 512
"""Hops at a time: the sums' tensors are hops x 2K x bands."""


def steadiness(notes: np.ndarray, loudness: np.ndarray, hop_s: float) -> Float64:
    """0..1 per hop, faded: 1 where pitch [hops] in MIDI notes and loudness [hops] hold or change slowly."""
    reach = max(round(REACH_S / hop_s), 1)
    span = 2 * reach + 1
    lowest, highest = ndimage.minimum_filter1d(notes, span), ndimage.maximum_filter1d(notes, span)
    before = np.concatenate([np.repeat(loudness[:1], reach), loudness[:-reach]])
    after = np.concatenate([loudness[reach:], np.repeat(loudness[-1:], reach)])
    change = after / np.maximum(before, 1e-4)
    restless = (highest - lowest > STEP) | (change > RISE) | (change < FALL)
    fade = signal.windows.hann(2 * round(FADE_S / hop_s / 2) + 3)[1:-1]
    calm = ndimage.minimum_filter1d((~restless).astype(float), len(fade))
    return ndimage.convolve1d(calm, fade / fade.sum(), mode="nearest")


def slow(deviation: np.ndarray, weight: Float64, hop_s: float) -> np.ndarray:
    """[hops, K] complex: weighted mean of a deviation over SLOW_S around each hop; 0 where nothing has weight."""
    window = signal.windows.hann(2 * round(SLOW_S / hop_s / 2) + 3)[1:-1]
    total = np.convolve(weight, window, "same")
    summed = signal.oaconvolve(deviation * weight[:, None], window[:, None].astype(complex), "same", axes=0)
    return summed / np.maximum(total, 1e-6)[:, None] * (total > 1e-3)[:, None]


def take_out(network: WaveNet, resident: Resident, say: Callable[[int, int], None] | None = None) -> float:
    """Change the resident corpus' bands; returns the share of its power that went. `say` is told (clips done, all)."""
    removed = total = 0.0
    for done, (first, last, style) in enumerate(resident.spans, 1):
        bands = resident.bands[first * network.spec.steps_per_hop : last * network.spec.steps_per_hop]
        gone = deviation_bands(network, resident, first, last, style)
        total += float(bands.square().sum())
        removed += float(gone.square().sum())
        bands -= gone.to(bands.device)
        if say:
            say(done, len(resident.spans))
    return removed / total


def deviation_bands(network: WaveNet, resident: Resident, first: int, last: int, style: int) -> torch.Tensor:
    """[steps, bands] of the resident hops first..last, one clip: the slow part of what the path leaves of its
    harmonics, where steady."""
    spec = network.spec
    assert network.harmonics is not None
    channels = resident.channels[first:last].cpu()
    hz, cycles = (x[first:last].cpu() for x in (resident.hz, resident.cycles))
    turning, speed = (x.numpy().astype(np.float64) for x in (cycles, hz))
    with torch.no_grad():
        path = network.path_amplitudes(channels[None], torch.tensor([style]))[0].numpy()
    natural = _natural(spec, channels.numpy())
    level = harmonic_path.level(spec, natural).astype(np.float64)
    steps = slice(first * spec.steps_per_hop, last * spec.steps_per_hop)
    audio = _audio(spec, resident.bands[steps].cpu().numpy())
    count = spec.path_width // 2
    found = demodulated(audio, turning, speed, spec.sample_rate, count)
    deviation = found - (path[:, :count] + 1j * path[:, count:]) * level[:, None]
    notes = 69 + 12 * np.log2(np.maximum(speed, 1.0) / 440)
    hop_s = HOP / spec.sample_rate
    weight = steadiness(notes, np.sqrt(level), hop_s) * (level > QUIET)
    # relative to the level, so that a swell's loud part does not decide for its soft one
    share = slow(deviation / np.maximum(level, QUIET)[:, None], weight, hop_s) * weight[:, None]
    amplitudes = torch.from_numpy(np.concatenate([share.real, share.imag], 1).astype(np.float32))
    out: list[torch.Tensor] = []
    for start in range(0, len(hz), PIECE):
        piece = slice(max(start - 1, 0), min(start + PIECE, len(hz)))  # a hop's line begins at the hop before
        run = cycles[piece].double()[:, None] + hz[piece].double()[:, None] * (
            torch.arange(1, spec.steps_per_hop + 1) / spec.step_rate
        )
        features = phase_features(spec, hz[None, piece], (run % 1.0).reshape(1, -1), count)
        sound = network.harmonics(amplitudes[None, piece], channels[None, piece], hz[None, piece], features)[0]
        out.append(sound[(start - piece.start) * spec.steps_per_hop :])
    return torch.cat(out)


def _natural(spec: ModelSpec, channels: Float32) -> Float32:
    """Channels in natural units, from -1..1."""
    low, high = (np.array([getattr(c, end) for c in spec.channels], np.float32) for end in ("minimum", "maximum"))
    return low + (channels + 1) / 2 * (high - low)


def _audio(spec: ModelSpec, bands: Float32) -> Float32:
    """The sound [steps * bands] of bands [steps, bands], in time with them."""
    lag = pqmf.delay(spec.bands, spec.pqmf_taps)
    longer = np.concatenate([bands, np.zeros((-(-lag // spec.bands), spec.bands), np.float32)])
    history = np.zeros((spec.pqmf_taps // spec.bands - 1, spec.bands), np.float32)
    return pqmf.synthesis(history, longer, spec.bands, spec.pqmf_taps)[lag : lag + len(bands) * spec.bands]
