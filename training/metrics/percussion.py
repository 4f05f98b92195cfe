"""How a model of hits does: onsets where its channels rise and nowhere else, when they peak, and how its hits differ.

In: a bundle with its engine, a corpus of training/corpora/hits.py. Out: scores; beside each the same of the recordings
the corpus was made of, and of the nearest sample, one recording for each limb and dynamic, played by the same channels.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import librosa
import numpy as np
from scipy.signal import find_peaks

from livemove.body.features import FEATURES
from livemove.body.mapping import mapping_for
from livemove.body.triggers import HITS
from livemove.bundle import Bundle
from livemove.contracts import HOP, Engine, Float32, Float64, ModelSpec
from training.data import percussion
from training.data.corpus import Corpus
from training.metrics import scripted_hits
from training.metrics.corpus_scores import sound

RATE, HOP_S = percussion.RATE, percussion.HOP_S

TOLERANCE_S = HOP_S + 0.003
"""An onset belongs to a hit if it is one hop, and what the onset detector can resolve (3 ms), before or after it."""
TOGETHER_S = 0.012
"""Hits so close together are one onset: the detector tells them apart as little as an ear does."""
DOUBLE_S = 0.1
"""An onset that belongs to no hit, but comes so soon after one, is a double hit."""
ALONE_S = 0.25
"""A hit with no other for so long before it, and half of that after it, is alone."""
REST_S = 0.75
"""Every channel must have been 0 for so long before a hop counts as rest."""

REPEATS = 12
STRENGTH = 0.8
"""Repeats of one limb are played so hard, and so often."""

Play = Callable[[Float32, int], Float32]
"""(strengths float32 [hops, hits], seed) -> audio float32 [hops * HOP]."""


def is_of_hits(spec: ModelSpec) -> bool:
    """Whether a model is played by hits: then these measures apply."""
    return spec.channels == percussion.CHANNELS


def players(engine: Engine, kit: percussion.Kit, temperature: float) -> dict[str, Play]:
    """Who plays hits: "model"; "recordings", mixed as the corpus was; "baseline", the nearest sample."""

    def model(strengths: Float32, seed: int) -> Float32:
        channels = percussion.channels(strengths, percussion.live_variations(strengths))
        return sound(engine, channels, 0, temperature, seed)

    def recordings(strengths: Float32, seed: int) -> Float32:
        variations = percussion.drawn_variations(strengths, np.random.default_rng((seed, 9)))
        return percussion.mixed(kit, strengths, variations, held_out=False)

    def nearest(strengths: Float32, seed: int) -> Float32:
        return nearest_sample(kit, strengths)

    return {"model": model, "recordings": recordings, "baseline": nearest}


def scores(
    bundle: Bundle, engine: Engine, corpus: Corpus, temperature: float, seed: int = 0, clips: int = 6
) -> dict[str, float]:
    """All scores as a plain dict; NAME_recordings and NAME_baseline (the nearest sample) stand beside NAME.

    onset_*, within TOLERANCE_S: on what the corpus holds out, in its first `clips` clips; double_hits: in a hundred.
    peak_jitter_ms: standard deviation of the peak's time after equally hard hits, the worst limb's.
    strength_correlation: of strength and level in dB. rest_dbfs: level where nothing has hit for long. repeat_db:
    log-mel distance of hits of one limb, equally hard; repeat_ratio: against the recordings' round robins, the lowest
    limb's. held_out_db: distance to recordings that were held out. scripted_*: on the scripted dancer, through triggers
    and mapping; scripted_trigger_*: scripted_hits.scores. seed: of the sampling, and of what the dancer does.

    Raises LivemoveError if the corpus does not hold its recordings.
    """
    kit = percussion.open_kit(corpus.root)
    sequences = held_out(corpus)[:clips]
    dancer = scripted_dancer(bundle, seed=seed)
    result = {f"scripted_trigger_{name}": value for name, value in scripted_hits.scores().items()}
    for who, play in players(engine, kit, temperature).items():
        drawn = partial(_of_seed, play, 1000 * seed)
        found = {**_of(drawn, sequences), **repeated(drawn, kit), **scripted(drawn, dancer)}
        result |= {f"{name}{'' if who == 'model' else '_' + who}": value for name, value in found.items()}
    return result


def held_out(corpus: Corpus) -> list[Float32]:
    """Strengths [hops, hits] of each clip that is held out."""
    return [strengths_of(corpus.read(clip, HITS).channels) for clip in corpus.select("valid", HITS)]


def _of_seed(play: Play, first: int, strengths: Float32, seed: int) -> Float32:
    return play(strengths, first + seed)


@dataclass(frozen=True)
class Dancer:
    """The scripted dancer: when hits were meant, and the strengths [hops, hits] that came through the mapping."""

    meant_s: Float64
    strengths: Float32


def scripted_dancer(bundle: Bundle, seconds: float = 60.0, seed: int = 0) -> Dancer:
    """A minute of it, through the bundle's own mapping."""
    acts = scripted_hits.script(seed, seconds)
    frames = scripted_hits.video(acts, seconds, scripted_hits.Camera(), seed)
    meant = scripted_hits.truth(acts)
    mapping = mapping_for(bundle.mapping_path, bundle.spec, FEATURES)
    strengths = strengths_of(scripted_hits.channels(frames, seconds, mapping, HOP_S)[:, : len(HITS)])
    return Dancer(np.array([hit.time_s for hit in meant]), strengths)


def scripted(play: Play, dancer: Dancer) -> dict[str, float]:
    """F1 of the onsets against what the triggers found, and against what the dancer meant (any limb, at the times in
    which a trigger may come, and a hop)."""
    found = onsets(play(dancer.strengths, 0))
    of_triggers = onset_scores(found, hit_times(dancer.strengths))
    pairs = matches(found, dancer.meant_s, scripted_hits.EARLY_S, scripted_hits.LATE_S + HOP_S)
    return {
        "scripted_onset_f1": of_triggers["onset_f1"],
        "scripted_double_hits": of_triggers["double_hits"],
        "scripted_whole_f1": 2 * len(pairs) / max(len(found) + len(dancer.meant_s), 1),
    }


# --- what is played -----------------------------------------------------------------------------------------


def strengths_of(envelopes: Float32) -> Float32:
    """The hits [hops, hits] that made these envelopes [hops, hits]: where they rise."""
    before = np.concatenate([np.zeros_like(envelopes[:1]), envelopes[:-1]])
    return np.where(envelopes > before, envelopes, 0.0).astype(np.float32)


def hit_times(strengths: Float32) -> Float64:
    """Seconds at which something hits: the start of the hop; hits closer than TOGETHER_S are one."""
    times = np.flatnonzero((strengths > 0.0).any(axis=1)) * HOP_S
    kept: list[float] = []
    for time_s in times.tolist():
        if not kept or time_s - kept[-1] >= TOGETHER_S:
            kept.append(time_s)
    return np.array(kept)


def nearest_sample(kit: percussion.Kit, strengths: Float32) -> Float32:
    """What a sampler makes of the same channels: one recording for each limb and dynamic, louder or softer."""
    audio = np.zeros(len(strengths) * HOP, np.float32)
    for hop, which in np.argwhere(strengths > 0.0):
        strength = float(strengths[hop, which])
        at = int(hop) * HOP + percussion.ATTACK
        for pair in kit[HITS[which]]:
            layer = pair[strength > percussion.HARD]
            hit = percussion.gain(strength) * layer.level * layer.train[0][: max(len(audio) - at, 0)]
            audio[at : at + len(hit)] += hit
    return audio


# --- onsets -------------------------------------------------------------------------------------------------

_STEP = 48
_BANDS = librosa.filters.mel(sr=RATE, n_fft=512, n_mels=16, fmin=60.0, fmax=16000.0)


def onsets(audio: Float32) -> Float64:
    """Times in seconds of the onsets of a sound float32 [samples]: peaks of the spectral flux (Bello et al. 2005) of 16
    mel bands in dB, a millisecond apart; a band counts from 80 dB below full scale on."""
    window = np.hanning(512)
    padded = np.pad(audio, (256 + _STEP * 8, 256 + _STEP * 8)).astype(np.float64)
    frames = np.lib.stride_tricks.sliding_window_view(padded, 512)[::_STEP] * window
    power = (np.abs(np.fft.rfft(frames, axis=-1)) / window.sum()) ** 2 @ _BANDS.T.astype(np.float64) * 40.0
    level = 10 * np.log10(power + 1e-8)
    lag = 5
    flux = np.maximum(level[lag:] - level[:-lag], 0.0).mean(axis=1)
    peaks, _ = find_peaks(flux, height=4.0, prominence=5.0, distance=10)
    return (peaks + 0.5 * lag - 8) * _STEP / RATE


def matches(found: Float64, true: Float64, early_s: float, late_s: float) -> list[tuple[int, int]]:
    """(found, true) pairs of indices, each used once, in order of time."""
    pairs: list[tuple[int, int]] = []
    first = 0
    for j, time_s in enumerate(true.tolist()):
        for i in range(first, len(found)):
            if -early_s <= found[i] - time_s <= late_s:
                pairs.append((i, j))
                first = i + 1
                break
            if found[i] - time_s > late_s:
                break
    return pairs


def onset_scores(found: Float64, true: Float64) -> dict[str, float]:
    """F1, precision and recall within TOLERANCE_S, and how many double hits there are in a hundred hits."""
    pairs = matches(found, true, TOLERANCE_S, TOLERANCE_S)
    used = {i for i, _ in pairs}
    extra = [time_s for i, time_s in enumerate(found.tolist()) if i not in used]
    doubles = sum(bool(((time_s - true > TOLERANCE_S) & (time_s - true < DOUBLE_S)).any()) for time_s in extra)
    return {
        "onset_f1": 2 * len(pairs) / max(len(found) + len(true), 1),
        "onset_precision": len(pairs) / max(len(found), 1),
        "onset_recall": len(pairs) / max(len(true), 1),
        "double_hits": 100.0 * doubles / max(len(true), 1),
    }


# --- single hits --------------------------------------------------------------------------------------------


def _of(play: Play, sequences: Sequence[Float32]) -> dict[str, float]:
    """Onset scores, strength and rest of sequences of hits [hops, hits]."""
    rows: list[dict[str, float]] = []
    levels: list[tuple[float, float, int]] = []
    rest: list[Float32] = []
    for seed, strengths in enumerate(sequences):
        audio = play(strengths, seed)
        rows.append(onset_scores(onsets(audio), hit_times(strengths)))
        for hop, which in alone(strengths):
            _, level = peak(audio[hop * HOP : hop * HOP + round(0.06 * RATE)])
            levels.append((float(strengths[hop, which]), level, which))
        rest.append(audio.reshape(-1, HOP)[resting(strengths)].reshape(-1))
    silence = np.concatenate(rest)
    return {
        **{name: float(np.mean([row[name] for row in rows])) for name in rows[0]},
        "strength_correlation": _within(levels),
        "rest_dbfs": 20 * np.log10(float(np.sqrt(np.mean(silence**2))) + 1e-6) if len(silence) else np.nan,
    }


def _within(levels: list[tuple[float, float, int]]) -> float:
    """Correlation of strength and level, each limb's own means taken out."""
    table = np.array(levels).reshape(-1, 3)
    for which in range(len(HITS)):
        mine = table[:, 2] == which
        if mine.any():
            table[mine, :2] -= table[mine, :2].mean(axis=0)
    if not table[:, :2].any(axis=0).all():  # every limb was heard alone at most once
        return np.nan
    return float(np.corrcoef(table[:, 0], table[:, 1])[0, 1])


def alone(strengths: Float32) -> list[tuple[int, int]]:
    """(hop, which) of hits with no other near."""
    hits = np.argwhere(strengths > 0.0)
    times = hits[:, 0] * HOP_S
    found: list[tuple[int, int]] = []
    for i, (hop, which) in enumerate(hits.tolist()):
        others = np.delete(times, i) - times[i]
        if not ((others > -ALONE_S) & (others < 0.5 * ALONE_S)).any() and hop * HOP_S + 0.1 < len(strengths) * HOP_S:
            found.append((hop, which))
    return found


def peak(audio: Float32) -> tuple[float, float]:
    """(milliseconds, dB) of the largest 5 ms RMS of a sound."""
    envelope = np.convolve(audio.astype(np.float64) ** 2, np.ones(240) / 240, "same")
    at = int(np.argmax(envelope))
    return 1e3 * at / RATE, 10 * float(np.log10(envelope[at] + 1e-12))


def resting(strengths: Float32) -> np.ndarray:
    """Hops [bool] in which nothing has hit for REST_S."""
    wait = round(REST_S / HOP_S)
    busy = np.convolve((strengths > 0.0).any(axis=1), np.ones(wait))[: len(strengths)] > 0
    busy[:wait] = True
    return ~busy


def repeated(play: Play, kit: percussion.Kit) -> dict[str, float]:
    """Hits of one limb, all equally hard, each after silence: when they peak; how far they are apart, against the
    recordings' round robins, and from recordings that were held out: log-mel distances in dB, as `hit_distance_db`."""
    every = round(0.7 / HOP_S)
    jitter: list[float] = []
    apart: list[float] = []
    ratios: list[float] = []
    foreign: list[float] = []
    for which, name in enumerate(HITS):
        strengths = np.zeros((every * REPEATS, len(HITS)), np.float32)
        strengths[every // 2 :: every, which] = STRENGTH
        audio = play(strengths, 100 + which)
        starts = [hop * HOP for hop in np.flatnonzero(strengths[:, which])]
        jitter.append(float(np.std([peak(audio[at : at + round(0.06 * RATE)])[0] for at in starts])))
        made = [spectrum_db(audio[at : at + round(0.3 * RATE)]) for at in starts]
        takes = [spectrum_db(take) for take in round_robins(kit, name, held_out=False)]
        own = _apart(made)
        apart.append(own)
        ratios.append(own / _apart(takes))
        kept = [spectrum_db(take) for take in round_robins(kit, name, held_out=True)]
        foreign.append(float(np.mean([hit_distance_db(a, b) for a in made for b in kept])))
    return {
        "peak_jitter_ms": max(jitter),
        "repeat_db": float(np.mean(apart)),
        "repeat_ratio": float(min(ratios)),
        "held_out_db": float(np.mean(foreign)),
    }


def round_robins(kit: percussion.Kit, name: str, held_out: bool) -> list[Float32]:
    """Each recording of a limb's hard hit as a hit, float32 [0.3 s], at STRENGTH; layers that have fewer repeat."""
    layers = [pair[1] for pair in kit[name]]
    takes = [layer.valid if held_out else layer.train for layer in layers]
    found: list[Float32] = []
    for i in range(max(len(take) for take in takes)):
        out = np.zeros(round(0.3 * RATE), np.float32)
        for layer, take in zip(layers, takes, strict=True):
            hit = layer.level * percussion.gain(STRENGTH) * take[i % len(take)][: len(out) - percussion.ATTACK]
            out[percussion.ATTACK : percussion.ATTACK + len(hit)] += hit
        found.append(out)
    return found


_MEL = librosa.filters.mel(sr=RATE, n_fft=1024, n_mels=40, fmin=40.0, fmax=16000.0).astype(np.float64)


def spectrum_db(hit: Float32) -> Float64:
    """Log-mel spectrogram float64 [frames, 40] of a hit in dB, 5 ms a frame, not below 60 dB under its peak."""
    window = np.hanning(1024)
    padded = np.pad(hit.astype(np.float64), 512)
    frames = np.lib.stride_tricks.sliding_window_view(padded, 1024)[::240] * window
    level = 10 * np.log10(np.abs(np.fft.rfft(frames, axis=-1)) ** 2 @ _MEL.T + 1e-12)
    return np.maximum(level, level.max() - 60.0)


def hit_distance_db(a: Float64, b: Float64) -> float:
    """Mean absolute difference of two log-mel spectrograms, their mean levels taken out: louder is not different."""
    frames = min(len(a), len(b))
    a, b = a[:frames] - a[:frames].mean(), b[:frames] - b[:frames].mean()
    return float(np.abs(a - b).mean())


def _apart(spectra: Sequence[Float64]) -> float:
    """Mean distance of all pairs."""
    return float(np.mean([hit_distance_db(a, b) for a, b in itertools.combinations(spectra, 2)]))
