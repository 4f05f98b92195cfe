"""The harmonic path fitted to a corpus before the network is trained: least squares, then harmonic by harmonic in dB.

In: a fresh network, a source with stored phases. Out: the weights of its path and conditioner, which are not trained
after that. The harmonics are demodulated once, and the path is taught their amplitudes directly: gradients of what the
path leaves in the bands found half of them (training/LOG.md), for a band's power hardly tells of the weaker harmonics
in it. Random layers with a linear solution (Rahimi & Recht 2007) begin; they explain the power, which is in the first
harmonics. The ear hears ratios, so all layers are then refined by magnitudes in log units. The layers before the last
do not know the style, the last one has a part for each: amplitudes of a blend are exactly the blend of the amplitudes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from livemove.contracts import HOP, LEVEL, Float32, Float64, ModelSpec
from livemove.synthesis import conditioning, harmonic_path
from training.data.corpus import Clip, CorpusError
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
STYLE_SHARE = 4
"""One in so many of the conditioner's outputs tells of the style, and of nothing else."""
EDGE = 3.0
"""Semitones at the ends of what a style was heard to play, whose amplitudes go on to the end of the pitch channel."""
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
        if set(APART) <= set(names):
            for part in _kept_apart(network, [network.weight(name) for name in APART]):
                part.zero_()


APART = ("conditioner.weight", "conditioner.bias", "style.embedding", "harmonics.weight_1")


def _kept_apart(network: WaveNet, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Views of the parts that stay 0 of tensors shaped as APART, so that the path's layers do not know the style."""
    spec = network.spec
    if len(spec.styles) < 2:
        return []
    of_style = spec.conditioning - spec.conditioning // STYLE_SHARE
    weight, bias, embedding, first = tensors
    return [weight[:, of_style:], bias[of_style:], embedding[:, :of_style], first[of_style : spec.conditioning]]


@dataclass(frozen=True)
class Rows:
    """The louder hops of a corpus: channels float32 [n, C] normalised to -1..1, style int64 [n], amplitudes over the
    level float32 [n, 2K], level [n] as an RMS, heard float32 [n, K]: 1 where the harmonic is below AUDIBLE."""

    channels: Tensor
    style: Tensor
    wanted: Tensor
    level: Tensor
    heard: Tensor


def fit(
    network: WaveNet,
    source: Recorded,
    anew: Collection[str] | None = None,
    steps: int = STEPS,
    say: Callable[[int, int], None] | None = None,
) -> float:
    """Set the path's weights; returns the share of the harmonics' power that it explains.

    anew: names of the weights that may be drawn, None: any. A network that was trained before keeps its conditioner,
    because its own layers have learnt to read what it says. Beyond the pitches that a style was heard to play, the
    amplitudes at the edge go on. `say` is told (steps done, all). Draws from torch's generator. Raises CorpusError for
    a corpus without anything loud.

    Beyond the pitches that a style was heard to play, the amplitudes at the edge go on. `say` is told (steps done,
    all). Draws from torch's generator. Raises CorpusError for a corpus without anything loud.
    """
    draw(network, network.weights() if anew is None else anew)
    rows = measured(network.spec, source)
    every = together([rows, *continued(network.spec, rows)])
    solve(network, every)
    changing = OF_PATH if anew is None or "conditioner.weight" in anew else OF_PATH[:1]
    refine(network, every, changing, steps, say)
    with torch.no_grad():
        left = total = 0.0
        for some in torch.arange(len(rows.level)).split(BATCH):
            weight = (rows.level[some, None] * torch.cat([rows.heard[some]] * 2, 1)) ** 2
            left += float((weight * (_amplitudes(network, rows, some) - rows.wanted[some]) ** 2).sum())
            total += float((weight * rows.wanted[some] ** 2).sum())
    return 1 - left / total


def measured(spec: ModelSpec, source: Recorded) -> Rows:
    """Demodulate the corpus, up to ROWS hops, as many of every style. Raises CorpusError where none is loud."""
    clips = source.corpus.select("train", source.names)
    several = len(source.styles) > 1
    groups = [[c for c in clips if c.style == style] for style in source.styles] if several else [list(clips)]
    found: list[Rows] = []
    for group in groups:
        left = ROWS // len(groups)
        # every clip once, in an order whose beginning is spread over the corpus
        for index in np.argsort(np.modf(np.arange(len(group)) * 0.618034)[0], kind="stable"):
            rows = _rows(spec, source, group[index])
            found.append(Rows(*(column[:left] for column in vars(rows).values())))
            left -= len(rows.level)
            if left <= 0:
                break
    rows = together(found) if found else None
    if rows is None or not len(rows.level):
        raise CorpusError(f"{source.corpus.root}: nothing loud enough to fit harmonics to")
    return rows


def together(parts: Sequence[Rows]) -> Rows:
    """The rows of all parts, one after the other."""
    return Rows(*(torch.cat(column) for column in zip(*(vars(part).values() for part in parts), strict=True)))


def _rows(spec: ModelSpec, source: Recorded, clip: Clip) -> Rows:
    """The louder hops of one clip."""
    window = source.corpus.read(clip, source.names)
    hz = conditioning.pitch_hz(spec, window.channels)
    level = harmonic_path.level(spec, window.channels).astype(np.float64)
    count = spec.path_width // 2
    found = demodulated(window.audio, source.cycles(window), hz, spec.sample_rate, count)
    loud = level > QUIET
    heard = hz[loud, None] * np.arange(1, count + 1) < AUDIBLE * spec.sample_rate
    wanted = np.concatenate([found.real, found.imag], 1)[loud] / level[loud, None]
    channels = conditioning.normalise(spec, window.channels)[loud]
    floats = (torch.from_numpy(np.float32(x)) for x in (channels, wanted, level[loud], heard))
    channels, wanted, level, heard = floats
    return Rows(channels, torch.full((len(level),), window.style, dtype=torch.int64), wanted, level, heard)


def continued(spec: ModelSpec, rows: Rows) -> list[Rows]:
    """The hops at the edges of each style's pitches, moved out to the ends of the pitch channel."""
    assert spec.phase is not None
    pitch = spec.channel_names.index(spec.phase.channel)
    channel = spec.channels[pitch]
    reach = 2 * EDGE / (channel.maximum - channel.minimum)
    rng = np.random.default_rng(0)
    moved: list[Rows] = []
    for style in torch.unique(rows.style).tolist():
        mine = rows.style == style
        notes = rows.channels[:, pitch]
        low, high = np.percentile(notes[mine].numpy(), (0.5, 99.5))
        for edge, end, inwards in ((low, -1.0, 1.0), (high, 1.0, -1.0)):
            if (edge - end) * inwards < reach / EDGE:
                continue
            near = mine & ((notes - edge) * inwards < reach)
            channels = rows.channels[near].clone()
            drawn = rng.uniform(min(edge, end), max(edge, end), len(channels))
            channels[:, pitch] = torch.from_numpy(drawn.astype(np.float32))
            moved.append(Rows(channels, rows.style[near], rows.wanted[near], rows.level[near], rows.heard[near]))
    return moved


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


def refine(
    network: WaveNet,
    rows: Rows,
    changing: tuple[str, ...],
    steps: int,
    say: Callable[[int, int], None] | None = None,
) -> None:
    """The parameters whose names begin so, by Adam (Kingma & Ba 2015), one cycle of learning rates."""
    if not steps:
        return
    weights = [p for name, p in network.named_parameters() if name.startswith(changing)]
    optimiser = torch.optim.Adam(weights, RATE)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    for step in range(steps):
        some = torch.randint(len(rows.level), (BATCH,))
        loss = distance(_amplitudes(network, rows, some), rows, some)
        optimiser.zero_grad()
        loss.backward()
        if changing == OF_PATH:
            for part in _kept_apart(network, [require_gradient(network.weight(name)) for name in APART]):
                part.zero_()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        rates.step()
        if say:
            say(step + 1, steps)
    for weight in weights:
        weight.grad = None


def require_gradient(weight: Tensor) -> Tensor:
    """Of a weight that has one."""
    assert weight.grad is not None
    return weight.grad


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
