"""The harmonic path fitted to a corpus at once: random hidden layers, the last one by least squares.

In: a fresh network, a source with stored phases. Out: the weights of its path and conditioner, which are not trained
after that. Random features and a linear solution (Rahimi & Recht 2007) explain more of the harmonics than gradients of
what the path leaves (training/LOG.md): a band's power hardly tells of the weaker harmonics in it, and what the path
leaves out, the network would have to sing. The random layers do not know the style, the last one has a part for each:
amplitudes of a blend are exactly the blend of the amplitudes. Knows no optimiser.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from livemove.contracts import HOP, Float32, Float64, ModelSpec
from livemove.synthesis import conditioning, harmonic_path
from training.data.corpus import Clip, CorpusError
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
"""Of the corpus, spread evenly over it: more change nothing any more. Of several styles a third for each."""
RIDGE = 1e-5
"""Weight of the solution's own size, relative to the mean square of what it is multiplied with."""
SHARPNESS = 2.0
"""Gain of the random layers: how quickly their outputs change with the channels."""
SPREAD = 0.7
"""Standard deviation of their biases."""
STYLE_SHARE = 4
"""One in so many of the conditioner's outputs tells of the style, and of nothing else."""
EDGE = 3.0
"""Semitones at the ends of what a style was heard to play, whose amplitudes go on to the end of the pitch channel."""
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
        if len(network.spec.styles) > 1:
            of_style = network.spec.conditioning - network.spec.conditioning // STYLE_SHARE
            network.weight("conditioner.weight")[:, of_style:] = 0.0
            network.weight("conditioner.bias")[of_style:] = 0.0
            network.weight("style.embedding")[:, :of_style] = 0.0
            network.weight("harmonics.weight_1")[of_style : network.spec.conditioning] = 0.0


@dataclass(frozen=True)
class Heard:
    """The louder hops of a clip: channels [n, C] in natural units, amplitudes over the level [n, 2K], weights [n]."""

    style: int
    channels: Float32
    wanted: Float32
    weight: Float32


def fit(network: WaveNet, source: Recorded) -> float:
    """Set all of the path's weights; returns the share of the harmonics' power that it explains.

    Every hop counts by its level; amplitudes are compared in units of it. Beyond the pitches that a style was heard to
    play, those at the edge go on. Raises CorpusError for a corpus without anything loud.
    """
    spec = network.spec
    assert spec.harmonic_path is not None
    draw(network)
    heard = [_heard(spec, source, clip) for clip in _chosen(source)]
    square, right = _normal(network, heard)
    power = float(sum((h.weight[:, None] * h.wanted.astype(np.float64) ** 2).sum() for h in heard))
    if power == 0:
        raise CorpusError(f"{source.corpus.root}: nothing loud enough to fit harmonics to")
    width = len(square)
    whole, wanted = (a + b for a, b in zip((square, right), _normal(network, _continued(spec, heard)), strict=True))
    solution = np.linalg.solve(whole + RIDGE * np.trace(whole) / width * np.eye(width), wanted)
    explained = 2 * float((solution * right).sum()) - float((solution * (square @ solution)).sum())
    with torch.no_grad():
        network.weight("harmonics.weight_3").copy_(torch.from_numpy(solution[:-1].astype(np.float32)))
        network.weight("harmonics.bias_3").copy_(torch.from_numpy(solution[-1].astype(np.float32)))
    return explained / power


def _chosen(source: Recorded) -> list[Clip]:
    """Clips spread evenly over the corpus, as many of every style."""
    clips = source.corpus.select("train", source.names)
    styles = source.styles
    if len(styles) < 2:
        return _spread(clips, CLIPS)
    return [
        clip for style in styles for clip in _spread([clip for clip in clips if clip.style == style], CLIPS // 3)
    ]  # fmt: skip


def _spread(clips: Sequence[Clip], count: int) -> list[Clip]:
    return [clips[i] for i in np.unique(np.linspace(0, len(clips) - 1, count).astype(int))] if clips else []


def _heard(spec: ModelSpec, source: Recorded, clip: Clip) -> Heard:
    window = source.corpus.read(clip, source.names)
    hz = conditioning.pitch_hz(spec, window.channels)
    level = harmonic_path.level(spec, window.channels).astype(np.float64)
    found = demodulated(window.audio, source.cycles(window), hz, spec.sample_rate, spec.path_width // 2)
    loud = level > QUIET
    wanted = np.concatenate([found.real, found.imag], 1)[loud] / level[loud, None]
    return Heard(window.style, window.channels[loud], wanted.astype(np.float32), level[loud].astype(np.float32))


def _continued(spec: ModelSpec, heard: Sequence[Heard]) -> list[Heard]:
    """The hops at the edges of each style's pitches, moved out to the ends of the pitch channel."""
    assert spec.phase is not None
    pitch = spec.channel_names.index(spec.phase.channel)
    channel, rng = spec.channels[pitch], np.random.default_rng(0)
    moved: list[Heard] = []
    for style in {h.style for h in heard}:
        of_style = [h for h in heard if h.style == style and len(h.weight)]
        if not of_style:
            continue
        low, high = np.percentile(np.concatenate([h.channels[:, pitch] for h in of_style]), (0.5, 99.5))
        for edge, end, inwards in ((low, channel.minimum, 1.0), (high, channel.maximum, -1.0)):
            if (edge - end) * inwards < 1.0:
                continue
            for h in of_style:
                near = (h.channels[:, pitch] - edge) * inwards < EDGE
                channels = h.channels[near]
                channels[:, pitch] = rng.uniform(min(edge, end), max(edge, end), len(channels))
                moved.append(Heard(style, channels, h.wanted[near], h.weight[near]))
    return moved


def _normal(network: WaveNet, heard: Sequence[Heard]) -> tuple[Float64, Float64]:
    """Sums of weight * (row of the last layer's inputs, transposed) times that row, and times the wanted amplitudes."""
    width, count = network.weight("harmonics.weight_3").shape
    square, right = np.zeros((width + 1, width + 1)), np.zeros((width + 1, count))
    for h in heard:
        rows = last_inputs(network, h)
        weighed = rows * h.weight[:, None]
        square += weighed.T @ rows
        right += weighed.T @ h.wanted
    return square, right


def last_inputs(network: WaveNet, heard: Heard) -> Float64:
    """What goes into the last layer, and a 1 [n, styles * hidden + 1]."""
    spec, weights = network.spec, network.weights()
    embedded = conditioning.embed(spec, weights, heard.channels, heard.style)
    hidden = harmonic_path.hidden(spec, weights, heard.channels, embedded)
    every = harmonic_path.of_styles(spec, hidden, heard.style).astype(np.float64)
    return np.concatenate([every, np.ones((len(every), 1))], 1)
