"""The harmonic path fitted to a corpus at once: random hidden layers, the last one by least squares.

In: a fresh network, a source with stored phases. Out: the weights of its path and conditioner, which are not trained
after that. Random features and a linear solution (Rahimi & Recht 2007) explain more of the harmonics than gradients of
what the path leaves (training/LOG.md): a band's power hardly tells of the weaker harmonics in it, and what the path
leaves out, the network would have to sing. Knows no optimiser.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import torch

from livemove.contracts import HOP, Float32, Float64, ModelSpec
from livemove.synthesis import conditioning, harmonic_path
from training.data.corpus import CorpusError, Window
from training.data.feed import Recorded
from training.model.wavenet import WaveNet

Complex128 = npt.NDArray[np.complex128]

BLOCK = 64
"""Samples summed before the window: harmonics are far apart compared with its bandwidth of 750 Hz."""
LEAST_WINDOW = 1024
PERIODS = 3
QUIET = 0.01
"""Level, as an RMS, below which a hop says nothing about its harmonics."""
CLIPS = 48
"""Of the corpus, spread evenly over it: more change nothing any more."""
RIDGE = 1e-5
"""Weight of the solution's own size, relative to the mean square of what it is multiplied with."""
SHARPNESS = 2.0
"""Gain of the random layers: how quickly their outputs change with the channels."""
SPREAD = 0.7
"""Standard deviation of their biases."""
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


def draw(network: WaveNet, names: Collection[str]) -> None:
    """Of these weights the random layers before the last one, from torch's generator."""
    with torch.no_grad():
        for name in ("conditioner.weight", "harmonics.weight_1", "harmonics.weight_2"):
            if name in names:
                weight = network.weight(name)
                weight.normal_(0.0, SHARPNESS / weight.shape[0] ** 0.5)
        for name in ("harmonics.bias_1", "harmonics.bias_2", "conditioner.bias"):
            if name in names:
                network.weight(name).normal_(0.0, SPREAD)


def fit(network: WaveNet, source: Recorded, anew: Collection[str] | None = None) -> float:
    """Set the path's weights; returns the share of the harmonics' power that it explains.

    anew: names of the weights that may be drawn, None: any. A network that was trained before keeps the layers before
    the last one, because its own layers have learnt to read what the conditioner says.

    Every hop counts by its level; amplitudes are compared in units of it. Raises CorpusError for a corpus without
    anything loud.
    """
    spec = network.spec
    assert spec.harmonic_path is not None
    draw(network, network.weights() if anew is None else anew)
    clips = source.corpus.select("train", source.names)
    chosen = [clips[i] for i in np.unique(np.linspace(0, len(clips) - 1, CLIPS).astype(int))]
    hidden_width, count = spec.harmonic_path.hidden + 1, spec.harmonic_path.harmonics
    square = np.zeros((hidden_width, hidden_width))
    right = np.zeros((hidden_width, 2 * count))
    power = 0.0
    for clip in chosen:
        hidden, wanted, weight = _rows(network, source.corpus.read(clip, source.names), source)
        square += (hidden * weight[:, None]).T @ hidden
        right += (hidden * weight[:, None]).T @ wanted
        power += float((weight[:, None] * wanted**2).sum())
    if power == 0:
        raise CorpusError(f"{source.corpus.root}: nothing loud enough to fit harmonics to")
    square += RIDGE * np.trace(square) / hidden_width * np.eye(hidden_width)
    solution = np.linalg.solve(square, right)
    explained = 2 * float((solution * right).sum()) - float((solution * (square @ solution)).sum())
    with torch.no_grad():
        network.weight("harmonics.weight_3").copy_(torch.from_numpy(solution[:-1].astype(np.float32)))
        network.weight("harmonics.bias_3").copy_(torch.from_numpy(solution[-1].astype(np.float32)))
    return explained / power


def _rows(network: WaveNet, window: Window, source: Recorded) -> tuple[Float64, Float64, Float64]:
    """Of the louder hops: (what goes into the last layer and a 1 [n, hidden + 1], amplitudes over the level [n, 2K],
    weights [n])."""
    spec: ModelSpec = network.spec
    hz = conditioning.pitch_hz(spec, window.channels)
    level = harmonic_path.level(spec, window.channels).astype(np.float64)
    found = demodulated(window.audio, source.cycles(window), hz, spec.sample_rate, spec.path_width // 2)
    weights = network.weights()
    embedded = conditioning.embed(spec, weights, window.channels, window.style)
    hidden = harmonic_path.hidden(spec, weights, window.channels, embedded).astype(np.float64)
    loud = level > QUIET
    wanted = np.concatenate([found.real, found.imag], 1)[loud] / level[loud, None]
    return np.concatenate([hidden, np.ones((len(hidden), 1))], 1)[loud], wanted, level[loud]
