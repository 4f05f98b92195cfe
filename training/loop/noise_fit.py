"""A trained model's noise made as loud as that of its recordings, at temperature 1: band by band, style by style, and
wherever its channels are.

In: a model's spec and weights, its corpus. Out: weights whose log scales are shifted, and what was measured
(training/metrics/noise_levels.py says why and how). A shift is a function of the channels, for each style and band,
and no weight of a WaveNet is that alone: so the network learns its own log scales, shifted, on what it played itself
(distillation, Hinton et al. 2015, with the network before as teacher), and no engine needs to know of it. Quicker, one
shift for each band of a model of one style is kept in head.bias_2.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from livemove.contracts import HOP, Engine, Float32, Float64, ModelSpec, Weights
from livemove.synthesis import conditioning
from livemove.synthesis.sampling import LOG_SCALE_FLOOR
from training.data.corpus import Corpus, CorpusError
from training.data.feed import MARGIN, network_clip
from training.metrics.held_out import Note, stretches
from training.metrics.noise_levels import band_noise
from training.metrics.playing import EnginePlayer
from training.model.wavenet import WaveNet

ROUNDS = 6
"""The noise goes back into the network, so its level answers a shift by more or less than the shift."""
NOTES, SECONDS = 24, 3.0
"""Stretches of training clips that are played per style, and their length."""
LIMITS = (-6.0, 1.0)
"""Of a band's whole shift, in nats: from 52 dB less to 9 dB more."""
NATS = float(np.log(10) / 20)
"""Of a decibel."""
RIDGE, OUTLIER_DB = 0.003, 15.0
"""Of the surfaces over the channels: their stiffness, and how far from the median a hop may pull."""
STEPS, BATCH, RATE = 600, 4, 2e-3
"""Of a round's learning: optimisation steps of so many windows, and the highest learning rate."""
WINDOW_S = 0.5
OF_MEANS = 0.3
"""Weight of the means' change (in scales, Huber) beside that of log scales (squared, in nats)."""
KEPT = ("harmonics.", "conditioner.", "style.", "bands.")
"""How the names of the weights begin that do not learn: the harmonic path, and what it is computed from."""

MakeEngine = Callable[[ModelSpec, Weights], Engine]


def calibrated(
    spec: ModelSpec, weights: Weights, corpus: Corpus, make: MakeEngine, temperature: float = 1.0, quick: bool = False
) -> tuple[Weights, Float64, Float64]:
    """(weights, excess before, excess after [styles, bands]): at `temperature` the noise is as loud as the corpus's.

    Excess: the model's noise less the recordings' in dB, median over hops of the training clips, for held-out ones are
    to judge it. quick: one shift for each band, without learning; of a model of one style only. Raises CorpusError
    without anything voiced.
    """
    styles = max(len(spec.styles), 1)
    played = stretches(corpus, spec, "train", NOTES * styles, SECONDS)
    recorded = [band_noise(note.audio, note.channels, note.voiced, spec)[1] for note in played]
    if not any(len(rows) for rows in recorded):
        raise CorpusError("nothing voiced in what the noise is to be measured on")
    if quick and styles > 1:
        raise CorpusError("one shift for each band is for models of one style")
    mine = {name: np.array(w) for name, w in weights.items()}
    shift = np.zeros((styles, terms(spec, played[0].channels[:1]).shape[1], spec.bands))
    before = np.zeros((styles, spec.bands))
    for turn in range(ROUNDS + 1):
        player = EnginePlayer(make(spec, mine), temperature)
        sounds = [player.sound(n.channels, n.style, 100 * turn + i, n.phase) for i, n in enumerate(played)]
        excess, surface = _excess(spec, played, sounds, recorded, styles)
        before = excess if turn == 0 else before
        if turn == ROUNDS:
            return mine, before, excess
        if quick:
            now = np.clip(shift[0, 0] - excess[0] * NATS, *LIMITS)
            mine["head.bias_2"].reshape(spec.bands, 3, spec.mixtures)[:, 2] += (now - shift[0, 0])[:, None]
            shift[0, 0] = now
        else:
            now = shift - surface * NATS
            mine = _taught(spec, mine, played, sounds, shift, now, turn)
            shift = now
    raise AssertionError


def terms(spec: ModelSpec, channels: Float32) -> Float64:
    """Channels [n, C] in natural units -> [n, T]: one, the channels from -1 to 1, their squares and products."""
    z = conditioning.normalise(spec, channels).astype(np.float64)
    first, second = np.triu_indices(z.shape[1])
    return np.concatenate([np.ones((len(z), 1)), z, z[:, first] * z[:, second]], 1)


def _excess(
    spec: ModelSpec, played: Sequence[Note], sounds: Sequence[Float32], recorded: Sequence[Float64], styles: int
) -> tuple[Float64, Float64]:
    """In dB: the median [styles, bands], and its surface over the channels [styles, T, bands] by ridge regression,
    outliers (a note's attack, a loose string) drawn in; 0 for a style of which nothing is voiced."""
    width = terms(spec, played[0].channels[:1]).shape[1]
    median, surface = np.zeros((styles, spec.bands)), np.zeros((styles, width, spec.bands))
    where: list[list[Float64]] = [[] for _ in range(styles)]
    what: list[list[Float64]] = [[] for _ in range(styles)]
    for note, audio, levels in zip(played, sounds, recorded, strict=True):
        hops, found = band_noise(audio, note.channels, note.voiced, spec)
        where[note.style].append(terms(spec, note.channels[hops]))
        what[note.style].append(found - levels)
    for style in range(styles):
        if not any(map(len, what[style])):
            continue
        x, excess = np.concatenate(where[style]), np.concatenate(what[style])
        median[style] = np.median(excess, 0)
        ridge = RIDGE * len(x) * np.diag(np.arange(width) > 0)
        near = np.clip(excess - median[style], -OUTLIER_DB, OUTLIER_DB)
        surface[style] = np.linalg.solve(x.T @ x + ridge, x.T @ near)
        surface[style, 0] += median[style]
    return median, surface


def _taught(
    spec: ModelSpec,
    weights: Weights,
    played: Sequence[Note],
    sounds: Sequence[Float32],
    before: Float64,
    now: Float64,
    seed: int,
) -> Weights:
    """Weights after learning, on what the model played itself, to answer as before, but for log scales whose shift
    [styles, T, bands] is now what it is, and not what it was before."""
    teacher = WaveNet(spec)
    teacher.load_weights(weights)
    learner = copy.deepcopy(teacher)
    for name in weights:
        learner.weight(name).requires_grad_(not name.startswith(KEPT))
    optimiser = torch.optim.Adam([p for p in learner.parameters() if p.requires_grad], RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=STEPS)
    rng = np.random.default_rng((seed, 11))
    hops = round(WINDOW_S * spec.sample_rate / HOP)
    # Windows begin with silence behind them, as in training: the first steps of each hear a past that was not played.
    deaf = sum(spec.dilations) + 1
    long_enough = [i for i, note in enumerate(played) if len(note.channels) >= hops]
    if not long_enough:
        raise CorpusError(f"no stretch of {WINDOW_S:g} s to calibrate the noise on")
    for _ in range(STEPS):
        chosen = rng.choice(long_enough, BATCH)
        places = [int(rng.integers(len(played[i].channels) - hops + 1)) for i in chosen]
        clips = [_window(spec, played[i], sounds[i], at, hops) for i, at in zip(chosen, places, strict=True)]
        more = [_more(spec, played[i], at, hops, before, now) for i, at in zip(chosen, places, strict=True)]
        shift = torch.from_numpy(np.stack(more)).float().repeat_interleave(spec.steps_per_hop, 1)
        batch = {name: torch.from_numpy(np.stack([np.asarray(clip[name]) for clip in clips])) for name in clips[0]}
        values = batch["bands"] / teacher.weight("bands.scale")
        given = values, batch["channels"], batch["hz"], batch["cycles"], batch["style"]
        with torch.no_grad():
            logits, means, scales = _parts(spec, teacher(*given)[0])
            asked = scales + shift[..., None]
        own_logits, own_means, own_scales = _parts(spec, learner(*given)[0])
        unit = torch.exp(asked.clamp(min=LOG_SCALE_FLOOR))
        apart = F.huber_loss(own_means / unit, means / unit, reduction="none")
        left = (own_scales - asked) ** 2 + OF_MEANS * apart + (own_logits - logits) ** 2
        loss = left[:, deaf:].mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return learner.weights()


def _more(spec: ModelSpec, note: Note, at: int, hops: int, before: Float64, now: Float64) -> Float64:
    """[hops, bands]: what the shift grows by."""
    x = terms(spec, note.channels[at : at + hops])
    return np.clip(x @ now[note.style], *LIMITS) - np.clip(x @ before[note.style], *LIMITS)


def _window(spec: ModelSpec, note: Note, sound: Float32, at: int, hops: int) -> dict[str, np.ndarray]:
    audio = np.pad(sound, MARGIN * HOP)[at * HOP : (at + hops + 2 * MARGIN) * HOP]
    run = conditioning.pitch_hz(spec, note.channels[:at]).sum() * HOP / spec.sample_rate
    cycles = float((note.phase + run) % 1.0)
    return network_clip(spec, note.channels[at : at + hops], audio, cycles, note.style)


def _parts(spec: ModelSpec, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(logits, means, log scales), each [..., bands, mixtures]."""
    logits, means, scales = parameters.unflatten(-1, (spec.bands, 3, spec.mixtures)).unbind(-2)
    return logits, means, scales
