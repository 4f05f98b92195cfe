"""Whether a model hears the dancer: likelihood, beats and styles on held-out dances, each beside its control.

In: a bundle with its engine, a corpus of corpora/dance.py. Out: scores with bootstrap intervals over clips. What was
struck when is known from the rules that composed the music (training/data/dance_score.py). One entry: `scores`;
`of_corpus` says the same of the corpus's own sound: the ceiling.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import librosa
import numpy as np
import torch

from livemove.body.features import FEATURES
from livemove.bundle import Bundle
from livemove.contracts import HOP, Engine, Float32, Float64, ModelSpec, Weights
from training.data import dance_score
from training.data.corpus import Clip, Corpus
from training.data.feed import MARGIN, network_clip
from training.metrics import beats, corpus_scores, pitched
from training.metrics.likelihood import BITS
from training.metrics.playing import sound
from training.metrics.seeds import over_seeds
from training.model.wavenet import WaveNet, nats

WINDOW_S = 2.0
WINDOWS = 3
"""Of each clip, for the likelihood: so many windows of so many seconds, spread over it."""
PLAYED_S = 12.0
"""So much of each clip is played, from its beginning."""
BOOTSTRAPS = 2000
REST_S = 4.0
BLOCK, SILENT = 2048, 1e-4
"""Of `silence`: played with nobody there; samples of a block, and the peak below which it is silent."""
HEARD_DBFS = -40.0
"""Of `silence`: 24 dB below what a corpus plays on average, a block is heard between what is meant."""
PAST_S = (0.0, 0.03, 0.06, 0.09, 0.12, 0.15, 0.2, 0.25, 0.3)
"""Which past of the features the regression of `foretold` is given."""


@dataclass(frozen=True)
class Dance:
    """A held-out clip's beginning: features float32 [hops, F], its own audio, accents and kinematic beats in s."""

    clip: Clip
    features: Float32
    audio: Float32
    accents_s: Float64
    kinematic_s: Float64
    seconds: float


def is_dance(corpus: Corpus) -> bool:
    """Whether a corpus's music was composed by training/data/dance_score.py."""
    return set(corpus.styles) <= set(dance_score.STYLES) and "features" in corpus.tracks


def read_dances(corpus: Corpus, split: str, longest_s: float | None = None) -> list[Dance]:
    """The beginnings of all clips of a split, or all of each. Raises CorpusError."""
    dances: list[Dance] = []
    for clip in corpus.select(split, FEATURES):
        hops = clip.hops if longest_s is None else min(clip.hops, round(longest_s * corpus.sample_rate / HOP))
        window = corpus.read(clip, FEATURES, 0, hops)
        accents = dance_score.accents(
            dance_score.compose(window.channels, clip.style, corpus.sample_rate), corpus.sample_rate
        )
        poses = [pose for pose in corpus.poses(clip) if pose.people]
        world = np.array([pose.world[0] for pose in poses], np.float64).reshape(-1, 33, 3)
        kinematic = beats.kinematic_beats(world, np.array([pose.capture_s for pose in poses], np.float64))
        seconds = hops * HOP / corpus.sample_rate
        kinematic = kinematic[kinematic < seconds]
        dances.append(Dance(clip, window.channels, window.audio, accents[accents < seconds], kinematic, seconds))
    return dances


def scores(bundle: Bundle, engine: Engine, corpus: Corpus, temperature: float, seeds: int = 1) -> dict[str, object]:
    """All of it, as a plain dict, a part each. NAME_interval: 95 %, bootstrapped over clips (of the first seed);
    NAME_range: lowest and highest over the seeds, of which NAME is the median.

    likelihood: see `likelihoods`. beats: see `of_sounds`, of the model's sound; _ceiling: of the corpus's own. styles:
    see `told_apart`, of the model's sound, each dance played in every style. silence: see `silence`. ignores_dancer:
    any interval of the likelihood's or the beats' differences reaches 0. Raises CorpusError, LivemoveError.
    """
    spec, split = bundle.spec, "valid" if corpus.select("valid", FEATURES) else "train"
    dances = read_dances(corpus, split, PLAYED_S)
    found = likelihoods(spec, bundle.weights, corpus, split)
    heard = [_heard(spec, engine, corpus, dances, temperature, seed) for seed in range(max(seeds, 1))]
    met, told, silent = (over_seeds([parts[i] for parts in heard]) for i in range(3))
    ceiling = of_sounds(dances, [dance.audio for dance in dances], corpus.sample_rate)
    reach = [found["bits_gained_over_shuffled_interval"], found["bits_gained_over_no_poses_interval"],
             met["beat_f1_gained_interval"]]  # fmt: skip
    return {
        "split": split,
        "clips": len(dances),
        "seeds": len(heard),
        "likelihood": found,
        "beats": {**met, **{f"{name}_ceiling": ceiling[name] for name in ("beat_f1", "kinematic_f1")}},
        "styles": told,
        "silence": silent,
        "ignores_dancer": any(interval[0] <= 0 for interval in reach),
    }


def _heard(
    spec: ModelSpec, engine: Engine, corpus: Corpus, dances: Sequence[Dance], temperature: float, seed: int
) -> tuple[dict[str, object], dict[str, float], dict[str, float]]:
    """Beats, styles and silence of what one seed plays."""
    names = spec.styles or ("",)
    sounds: dict[str, list[Float32]] = {
        style: [
            sound(engine, played(spec, d.features, corpus.sample_rate), index, temperature, 1000 * seed + i)
            for i, d in enumerate(dances)
        ]
        for index, style in enumerate(names)
    }
    own = [sounds[names[style]][i] for i, style in enumerate(styles_of(spec, corpus, dances))]
    return (
        of_sounds(dances, own, corpus.sample_rate),
        told_apart(sounds, corpus.sample_rate, by_style(dances)),
        silence(spec, engine, dances, own, temperature),
    )


def styles_of(spec: ModelSpec, corpus: Corpus, dances: Sequence[Dance]) -> list[int]:
    """The model's style that each dance was composed in."""
    played_as = dict(zip(corpus.styles, corpus_scores.model_styles(spec, corpus), strict=True))
    return [played_as[dance.clip.style] for dance in dances]


def silence(
    spec: ModelSpec, engine: Engine, dances: Sequence[Dance], sounds: Sequence[Float32], temperature: float
) -> dict[str, float]:
    """rest_dbfs: with nobody there, after a second, in the loudest style. gaps_dbfs: RMS of the sounds played to the
    dances where the corpus's own is silent, below SILENT in blocks of BLOCK samples; gaps_usual_dbfs: the median of
    those blocks; gaps_heard_share: of them louder than HEARD_DBFS. NaN where it never is."""
    rest = np.tile(np.float32([channel.rest for channel in spec.channels]), (round(REST_S * spec.sample_rate / HOP), 1))
    after = spec.sample_rate
    played = [sound(engine, rest, style, temperature, 0)[after:] for style in range(max(len(spec.styles), 1))]
    gaps: list[Float32] = []
    for dance, made in zip(dances, sounds, strict=True):
        blocks = min(len(dance.audio), len(made)) // BLOCK
        asked, heard = (audio[: blocks * BLOCK].reshape(blocks, BLOCK) for audio in (dance.audio, made))
        gaps.append(heard[np.abs(asked).max(1) < SILENT].reshape(-1))
    between = np.concatenate(gaps).reshape(-1, BLOCK)
    levels = [pitched.dbfs(float(np.sqrt(np.mean(np.square(block))))) for block in between]
    return {
        "rest_dbfs": max(pitched.dbfs(float(np.sqrt(np.mean(np.square(each))))) for each in played),
        "gaps_dbfs": pitched.dbfs(float(np.sqrt(np.mean(np.square(between))))) if levels else math.nan,
        "gaps_usual_dbfs": float(np.median(levels)) if levels else math.nan,
        "gaps_heard_share": float(np.mean(np.array(levels) > HEARD_DBFS)) if levels else math.nan,
    }


def of_corpus(corpus: Corpus) -> dict[str, object]:
    """The same measures of the corpus's own held-out sound, and whether it can be learned: see `foretold`."""
    dances = read_dances(corpus, "valid", PLAYED_S)
    return {
        "clips": len(dances),
        "beats": of_sounds(dances, [dance.audio for dance in dances], corpus.sample_rate),
        "styles": told_apart(by_style(dances), corpus.sample_rate),
        "onset_correlation": foretold(corpus),
    }


def played(spec: ModelSpec, features: Float32, rate: int) -> Float32:
    """The model's channels [hops, C] of body features [hops, FEATURES]: themselves, and their accents."""
    accents = dance_score.accent_channels(features, rate)
    everything = dict(zip((*FEATURES, *(c.name for c in dance_score.CHANNELS)), np.hstack([features, accents]).T,
                          strict=True))  # fmt: skip
    return np.ascontiguousarray(np.stack([everything[name] for name in spec.channel_names], 1))


# --- likelihood ---------------------------------------------------------------------------------------------


def likelihoods(spec: ModelSpec, weights: Weights, corpus: Corpus, split: str) -> dict[str, object]:
    """Bits per value of held-out sound: with its own dancer's features, with another dance's, with nobody there.

    bits_gained_over_*: by how much its own dancer's are better, with the interval of the mean over clips. The other
    dance keeps the clip's own style, so that style explains nothing of the gain.
    """
    network = WaveNet(spec)
    network.load_weights(weights)
    hops = round(WINDOW_S * corpus.sample_rate / HOP)
    clips = [clip for clip in corpus.select(split, spec.channel_names) if clip.hops >= hops + 2 * MARGIN]
    styles = corpus_scores.model_styles(spec, corpus)
    rest = np.tile(np.float32([channel.rest for channel in spec.channels]), (hops, 1))
    rows = np.empty((len(clips), 3))
    windows = [_spread(corpus, clip, spec, hops) for clip in clips]
    for i, (clip, own) in enumerate(zip(clips, windows, strict=True)):
        j = next((k % len(clips) for k in range(i + 1, i + len(clips)) if not _same(clips[k % len(clips)], clip)), i)
        strangers = [windows[j][k % len(windows[j])][0] for k in range(len(own))]
        style = styles[corpus.styles.index(clip.style)]
        for column, channels in enumerate(([c for c, _ in own], strangers, [rest] * len(own))):
            made = [network_clip(spec, c, audio, 0.0, style) for c, (_, audio) in zip(channels, own, strict=True)]
            rows[i, column] = _bits(network, spec, weights, made)
    gained = {"shuffled": rows[:, 1] - rows[:, 0], "no_poses": rows[:, 2] - rows[:, 0]}
    return {
        "nll_bits": float(rows[:, 0].mean()),
        "nll_bits_interval": interval(rows[:, 0]),
        "nll_bits_shuffled": float(rows[:, 1].mean()),
        "nll_bits_shuffled_interval": interval(rows[:, 1]),
        "nll_bits_no_poses": float(rows[:, 2].mean()),
        "nll_bits_no_poses_interval": interval(rows[:, 2]),
        **{f"bits_gained_over_{name}": float(values.mean()) for name, values in gained.items()},
        **{f"bits_gained_over_{name}_interval": interval(values) for name, values in gained.items()},
    }


def _spread(corpus: Corpus, clip: Clip, spec: ModelSpec, hops: int) -> list[tuple[Float32, Float32]]:
    """(channels [hops, C], audio around them) of up to WINDOWS windows, spread over a clip."""
    last = clip.hops - hops - 2 * MARGIN
    firsts = np.unique(np.linspace(0, last, min(WINDOWS, 1 + last // hops)).astype(int))
    read = [corpus.read(clip, spec.channel_names, int(first), hops + 2 * MARGIN) for first in firsts]
    return [(window.channels[MARGIN : MARGIN + hops], window.audio) for window in read]


def _same(one: Clip, other: Clip) -> bool:
    return one.source == other.source


def _bits(network: WaveNet, spec: ModelSpec, weights: Weights, clips: Sequence[dict[str, np.ndarray]]) -> float:
    batch = {name: torch.from_numpy(np.stack([clip[name] for clip in clips])) for name in clips[0]}
    values = batch["bands"]
    if spec.head == "logistic":
        values = values / torch.from_numpy(weights["bands.scale"])
    with torch.no_grad():
        found, _ = network(values, batch["channels"], batch["hz"], batch["cycles"], batch["style"])
        return float(nats(spec, found, values).double().mean()) * BITS


# --- beats --------------------------------------------------------------------------------------------------


def of_sounds(dances: Sequence[Dance], sounds: Sequence[Float32], rate: int) -> dict[str, object]:
    """How sounds, one of each dance, meet what the dancers did, beside how those of all other dances do.

    beat_f1: strong onsets against the dancer's accents, one to one within +-70 ms; _shuffled: the chance level, every
    other dance's sound against this dancer; _gained: the difference, with its interval. kinematic_f1: the same against
    the stops of the whole body (beats.kinematic_beats). second_coverage, second_hit: the
    published scores in one-second bins, against the dance's own music. onsets, accents: per second.
    """
    onsets = [beats.strong_onsets(sound, rate) for sound in sounds]
    original = [beats.strong_onsets(dance.audio, rate) for dance in dances]
    accents = [dance.accents_s for dance in dances]
    stops = [dance.kinematic_s for dance in dances]
    lengths = [dance.seconds for dance in dances]

    def f1(i: int, true: Sequence[Float64]) -> Callable[[int], float]:
        def against(j: int) -> float:
            seconds = min(lengths[i], lengths[j])
            return beats.f_measure(onsets[j][onsets[j] < seconds], true[i][true[i] < seconds])

        return against

    result: dict[str, object] = {}
    everyone = range(len(dances))
    for name, true in (("beat_f1", accents), ("kinematic_f1", stops)):
        own = np.array([f1(i, true)(i) for i in everyone])
        chance = np.array([np.mean([f1(i, true)(j) for j in _strangers(dances, i)]) for i in everyone])
        result |= {
            name: float(own.mean()),
            f"{name}_interval": interval(own),
            f"{name}_shuffled": float(chance.mean()),
            f"{name}_gained": float((own - chance).mean()),
            f"{name}_gained_interval": interval(own - chance),
        }
    for name in ("coverage", "hit"):
        own_bins = [beats.in_seconds(onsets[i], original[i])[name] for i in everyone]
        others_bins = [beats.in_seconds(onsets[(i + 1) % len(onsets)], original[i])[name] for i in everyone]
        result |= {f"second_{name}": float(np.mean(own_bins)), f"second_{name}_shuffled": float(np.mean(others_bins))}
    total_s = sum(lengths)
    return result | {
        "onsets_per_s": sum(map(len, onsets)) / total_s,
        "accents_per_s": sum(map(len, accents)) / total_s,
    }


def _strangers(dances: Sequence[Dance], i: int) -> list[int]:
    """Dances of other takes; where there are none, other variants of the same."""
    others = [j for j in range(len(dances)) if j != i]
    return [j for j in others if not _same(dances[i].clip, dances[j].clip)] or others or [i]


def interval(values: Float64) -> list[float]:
    """95 % bootstrap interval of the mean [low, high] (percentiles), clips drawn with replacement."""
    drawn = np.random.default_rng(0).integers(len(values), size=(BOOTSTRAPS, len(values)))
    return np.percentile(values[drawn].mean(1), [2.5, 97.5]).tolist()


# --- styles -------------------------------------------------------------------------------------------------


def by_style(dances: Sequence[Dance]) -> dict[str, list[Float32]]:
    """The corpus's own sounds of each style."""
    styles = sorted({dance.clip.style for dance in dances})
    return {style: [dance.audio for dance in dances if dance.clip.style == style] for style in styles}


def told_apart(
    sounds: dict[str, list[Float32]], rate: int, originals: dict[str, list[Float32]] | None = None
) -> dict[str, float]:
    """How surely styles are told apart by timbre: mean and deviation of 20 MFCCs over each sound, standardised, the
    nearest style's mean.

    accuracy: each sound against the means of the others (leave one out): do they differ at all? of_originals: against
    the means of the originals' styles: do they differ as the originals do? chance: the share of the commonest style.
    """
    styles = list(sounds)
    labels = np.array([i for i, style in enumerate(styles) for _ in sounds[style]])
    if len(styles) < 2:
        return {}
    table = np.array([_timbre(sound, rate) for style in styles for sound in sounds[style]])
    others = [np.arange(len(table)) != i for i in range(len(table))]
    right = [_nearest(table[i], table[rest], labels[rest]) == labels[i] for i, rest in enumerate(others)]
    result = {"accuracy": float(np.mean(right)), "chance": float(np.bincount(labels).max() / len(labels))}
    if originals is not None and set(originals) == set(styles):
        known = np.array([_timbre(sound, rate) for style in styles for sound in originals[style]])
        of_known = np.array([i for i, style in enumerate(styles) for _ in originals[style]])
        right = [_nearest(point, known, of_known) == label for point, label in zip(table, labels, strict=True)]
        result["of_originals"] = float(np.mean(right))
    return result


def _nearest(point: Float64, table: Float64, labels: np.ndarray) -> int:
    """The label whose mean in a standardised table [n, d] is nearest."""
    middle, spread = table.mean(0), table.std(0) + 1e-6
    means = np.array([((table[labels == label] - middle) / spread).mean(0) for label in range(labels.max() + 1)])
    return int(np.linalg.norm(means - (point - middle) / spread, axis=1).argmin())


def _timbre(sound: Float32, rate: int) -> Float64:
    """[40] of the hops that sound; silence has no timbre."""
    mfcc = librosa.feature.mfcc(y=sound, sr=rate, n_mfcc=21, hop_length=4 * HOP)[1:]  # the first is loudness
    level = librosa.feature.rms(y=sound, hop_length=4 * HOP)[0][: mfcc.shape[1]]
    heard = level > 1e-3
    mfcc = mfcc[:, heard] if heard.any() else mfcc
    return np.concatenate([mfcc.mean(1), mfcc.std(1)]).astype(np.float64)


# --- is it learnable ----------------------------------------------------------------------------------------


def foretold(corpus: Corpus) -> float:
    """Correlation, on held-out clips, of the accents (smoothed by 20 ms) with a ridge regression from the features of
    the last 0.3 s, their falls included: a floor for what a network can know."""
    train, valid = ([_regression(d, corpus) for d in read_dances(corpus, s)] for s in ("train", "valid"))
    x, y = (np.concatenate([part[k] for part in train]) for k in (0, 1))
    middle, spread = x.mean(0), x.std(0) + 1e-6
    x = (x - middle) / spread
    weights = np.linalg.solve(x.T @ x + 1e-2 * len(x) * np.eye(x.shape[1]), x.T @ (y - y.mean()))
    guess, true = (np.concatenate(parts) for parts in
                   ([(v[0] - middle) / spread @ weights for v in valid], [v[1] for v in valid]))  # fmt: skip
    return float(np.corrcoef(guess, true)[0, 1])


def _regression(dance: Dance, corpus: Corpus) -> tuple[Float64, Float64]:
    """(features now and their falls since PAST_S [hops, n], accents smoothed [hops]), every second hop."""
    hop_s = HOP / corpus.sample_rate
    features = dance.features.astype(np.float64)
    lags = [round(past / hop_s) for past in PAST_S]
    past = [np.concatenate([np.repeat(features[:1], lag, 0), features[: len(features) - lag]]) for lag in lags]
    falls = [np.maximum(p - features, 0) for p in past[1:]]
    times = np.arange(len(features)) * hop_s
    struck = np.exp(-0.5 * ((times[:, None] - dance.accents_s[None]) / 0.02) ** 2).max(1, initial=0.0)
    return np.concatenate([*past, *falls], 1)[::2], struck[::2]
