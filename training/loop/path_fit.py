"""The harmonic path fitted to a corpus before the network is trained: least squares, then harmonic by harmonic in dB.

In: a fresh network, a source with stored phases. Out: the weights of its path and conditioner, which are not trained
after that. The harmonics are demodulated once, and the path is taught their amplitudes directly: gradients of what the
path leaves in the bands found half of them (training/LOG.md), for a band's power hardly tells of the weaker harmonics
in it. Random layers with a linear solution (Rahimi & Recht 2007) begin; they explain the power, which is in the first
harmonics. The ear hears ratios, so all layers are then refined by magnitudes in log units. Knows no corpus format.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from livemove.contracts import HOP, LEVEL, Float32, Float64, ModelSpec
from livemove.synthesis import conditioning, harmonic_path
from training.data.corpus import CorpusError, Window
from training.data.feed import Recorded
from training.model.wavenet import WaveNet

Complex128 = npt.NDArray[np.complex128]

BLOCK = 64
"""Samples summed before the window: harmonics are far apart compared with its bandwidth of 750 Hz."""
LEAST_WINDOW = 1024
PERIODS = 3
QUIET = 0.002
"""Level, as an RMS, below which a hop says nothing about its harmonics."""
ROWS = 300_000
"""Hops that are demodulated at most, of clips spread evenly over the corpus: half an hour of sound without rests."""
RIDGE = 1e-5
"""Weight of the solution's own size, relative to the mean square of what it is multiplied with."""
SHARPNESS = 2.0
"""Gain of the random layers: how quickly their outputs change with the channels."""
SPREAD = 0.7
"""Standard deviation of their biases."""
STEPS, BATCH, RATE = 3000, 1024, 3e-3
"""Of the refinement: optimisation steps of so many hops, and the highest learning rate."""
FLOOR = 3e-4
"""Amplitude over the level (-70 dB) below which a harmonic is not told from silence."""
OF_PHASE, OF_POWER = 0.3, 3.0
"""Weights of phases and of power beside squared log magnitudes."""
AUDIBLE = 0.44
"""Harmonics above this share of the sample rate are not looked at (conditioning.PHASE_FADE ends them)."""
OF_PATH = ("harmonics__", "conditioner__", "style__")
"""How the names of the parameters begin from which the path is computed."""


def demodulated(audio: Float32, cycles: Float64, hz: Float64, rate: int, count: int) -> Complex128:
    """a [hops, count]: amplitude of harmonic k = 1..count around the middle of each hop, against exp(2 pi i k phase).

    audio [hops * HOP]; cycles [hops] the phase at each hop's beginning; hz [hops] its frequency there. A Hann window of
    PERIODS periods of the clip's lowest tone, at least LEAST_WINDOW samples.
    """
    phase = (cycles[:, None] + hz[:, None] * np.arange(HOP) / rate).reshape(-1)
    turn = np.exp(-2j * np.pi * phase)
    blocks = 2 * round(max(LEAST_WINDOW, PERIODS * rate / max(float(hz.min()), 20.0)) / BLOCK / 2) + 1
    window = np.hanning(blocks + 2)[1:-1]
    window *= 2 / (window.sum() * BLOCK)
    centres = (np.arange(len(hz)) * HOP + HOP // 2) // BLOCK
    found = np.empty((len(hz), count), np.complex128)
    product = audio.astype(np.complex128)
    for k in range(count):
        product = product * turn
        sums = product.reshape(-1, BLOCK).sum(1)
        found[:, k] = np.convolve(sums, window, "same")[centres]
    return found


def draw(network: WaveNet) -> None:
    """Random layers before the last one, from torch's generator."""
    with torch.no_grad():
        for name in ("conditioner.weight", "harmonics.weight_1", "harmonics.weight_2"):
            weight = network.weight(name)
            weight.normal_(0.0, SHARPNESS / weight.shape[0] ** 0.5)
        for name in ("harmonics.bias_1", "harmonics.bias_2", "conditioner.bias"):
            network.weight(name).normal_(0.0, SPREAD)


@dataclass(frozen=True)
class Rows:
    """The louder hops of a corpus: channels float32 [n, C] normalised to -1..1, style int64 [n], amplitudes over the
    level float32 [n, 2K], level [n] as an RMS, heard float32 [n, K]: 1 where the harmonic is below AUDIBLE."""

    channels: Tensor
    style: Tensor
    wanted: Tensor
    level: Tensor
    heard: Tensor


def fit(network: WaveNet, source: Recorded, steps: int = STEPS, say: Callable[[int, int], None] | None = None) -> float:
    """Set all of the path's weights; returns the share of the harmonics' power that it explains.

    `say` is told (steps done, all). Draws from torch's generator. Raises CorpusError for a corpus without anything
    loud.
    """
    draw(network)
    rows = measured(network.spec, source)
    solve(network, rows)
    refine(network, rows, steps, say)
    with torch.no_grad():
        left = total = 0.0
        for start in range(0, len(rows.level), BATCH):
            some = torch.arange(start, min(start + BATCH, len(rows.level)))
            weight = (rows.level[some, None] * torch.cat([rows.heard[some]] * 2, 1)) ** 2
            left += float((weight * (_amplitudes(network, rows, some) - rows.wanted[some]) ** 2).sum())
            total += float((weight * rows.wanted[some] ** 2).sum())
    return 1 - left / total


def measured(spec: ModelSpec, source: Recorded) -> Rows:
    """Demodulate the corpus, up to ROWS hops. Raises CorpusError where none is loud."""
    clips = source.corpus.select("train", source.names)
    found: list[tuple[Float32, np.ndarray, Float32, Float32, Float32]] = []
    left = ROWS
    # every clip once, far ones first: a prefix is spread over the corpus
    for index in np.argsort(np.modf(np.arange(len(clips)) * 0.618034)[0], kind="stable"):
        rows = _rows(spec, source.corpus.read(clips[index], source.names), source)
        found.append(rows)
        left -= len(rows[0])
        if left <= 0:
            break
    rows = [np.concatenate(column)[:ROWS] for column in zip(*found, strict=True)] if found else []
    if not rows or not len(rows[0]):
        raise CorpusError(f"{source.corpus.root}: nothing loud enough to fit harmonics to")
    return Rows(*(torch.from_numpy(column) for column in rows))


def _rows(
    spec: ModelSpec, window: Window, source: Recorded
) -> tuple[Float32, np.ndarray, Float32, Float32, Float32]:  # fmt: skip
    """The fields of Rows for the louder hops of one clip."""
    hz = conditioning.pitch_hz(spec, window.channels)
    level = harmonic_path.level(spec, window.channels).astype(np.float64)
    count = spec.path_width // 2
    found = demodulated(window.audio, source.cycles(window), hz, spec.sample_rate, count)
    loud = level > QUIET
    heard = hz[loud, None] * np.arange(1, count + 1) < AUDIBLE * spec.sample_rate
    wanted = np.concatenate([found.real, found.imag], 1)[loud] / level[loud, None]
    channels = conditioning.normalise(spec, window.channels)[loud]
    style = np.full(len(channels), window.style, np.int64)
    return (channels.astype(np.float32), style, wanted.astype(np.float32), level[loud].astype(np.float32),
            heard.astype(np.float32))  # fmt: skip


def solve(network: WaveNet, rows: Rows) -> None:
    """The last layer by least squares; every hop counts by its level."""
    width = network.weight("harmonics.weight_3").shape[0] + 1
    square = torch.zeros(width, width, dtype=torch.float64)
    right = torch.zeros(width, rows.wanted.shape[1], dtype=torch.float64)
    with torch.no_grad():
        for start in range(0, len(rows.level), 4 * BATCH):
            some = slice(start, start + 4 * BATCH)
            hidden = network.path_hidden(rows.channels[some, None], rows.style[some])[:, 0].double()
            hidden = torch.cat([hidden, torch.ones(len(hidden), 1, dtype=torch.float64)], 1)
            weighted = hidden * rows.level[some, None].double()
            square += weighted.T @ hidden
            right += weighted.T @ rows.wanted[some].double()
        square += RIDGE * square.trace() / width * torch.eye(width, dtype=torch.float64)
        solution = torch.linalg.solve(square, right).float()
        network.weight("harmonics.weight_3").copy_(solution[:-1])
        network.weight("harmonics.bias_3").copy_(solution[-1])


def refine(network: WaveNet, rows: Rows, steps: int, say: Callable[[int, int], None] | None = None) -> None:
    """All layers of path and conditioner by Adam (Kingma & Ba 2015), one cycle of learning rates."""
    if not steps:
        return
    weights = [p for name, p in network.named_parameters() if name.startswith(OF_PATH)]
    optimiser = torch.optim.Adam(weights, RATE)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    for step in range(steps):
        some = torch.randint(len(rows.level), (BATCH,))
        loss = distance(_amplitudes(network, rows, some), rows, some)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        rates.step()
        if say:
            say(step + 1, steps)
    for weight in weights:
        weight.grad = None


def distance(amplitudes: Tensor, rows: Rows, some: Tensor) -> Tensor:
    """Mean over hops and harmonics of (ln |p| - ln |a|)^2 + OF_PHASE (1 - cos(p, a)), and OF_POWER times the power of
    p - a at full loudness units, summed over harmonics; p amplitudes [n, 2K], a rows' `some`, both over the level."""
    wanted, heard = rows.wanted[some], rows.heard[some]
    (p_re, p_im), (a_re, a_im) = amplitudes.chunk(2, 1), wanted.chunk(2, 1)
    p, a = (torch.sqrt(re**2 + im**2 + 1e-12) for re, im in ((p_re, p_im), (a_re, a_im)))
    magnitude = (torch.log(p + FLOOR) - torch.log(a + FLOOR)) ** 2
    turned = a / (a + FLOOR) * (1 - (p_re * a_re + p_im * a_im) / (p * a))
    power = ((p_re - a_re) ** 2 + (p_im - a_im) ** 2) * (rows.level[some, None] / LEVEL) ** 2
    return (heard * (magnitude + OF_PHASE * turned)).mean() + OF_POWER * (heard * power).sum(1).mean()


def _amplitudes(network: WaveNet, rows: Rows, some: Tensor) -> Tensor:
    return network.path_amplitudes(rows.channels[some, None], rows.style[some])[:, 0]
