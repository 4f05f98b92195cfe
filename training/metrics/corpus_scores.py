"""How a model does on recorded sound it has not heard: likelihood, spectrum and beats, each beside a control.

In: a bundle with its engine, a prepared corpus. Out: scores. The control is always the same model given the channels of
another window: a model that does no worse with those does not listen to who plays it.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from livemove.bundle import Bundle
from livemove.contracts import HOP, Engine, Float32, LivemoveError, ModelSpec
from training.data.corpus import Clip, Corpus
from training.data.feed import Recorded
from training.metrics import beats, likelihood, pitched
from training.metrics.playing import sound

WINDOW_S = 1.0
"""Length of the windows likelihood is measured on."""
PLAYED = 8
"""So many clips are played, from their beginning, for at most PLAYED_S each."""
PLAYED_S = 20.0


def scores(bundle: Bundle, engine: Engine, corpus: Corpus, temperature: float) -> dict[str, object]:
    """Scores on what the corpus holds out ("split" tells if it holds nothing out), as a plain dict.

    nll_*: as likelihood.bits, nll_bits_shuffled: with another window's channels. spectral_distance_db: of the sound
    freely sampled, to the recorded one; _shuffled: to another clip's. If the clips have poses, "dance": the beat scores
    of metrics/beats.py, and the same of the sound another clip's channels make. ignores_channels: the control is not
    worse in likelihood. Raises CorpusError, LivemoveError for a corpus of another rate.
    """
    spec = bundle.spec
    check_rate(spec, corpus)
    source = Recorded(corpus, spec.channel_names)
    hops = min(round(WINDOW_S * spec.sample_rate / HOP), source.longest_hops(True))
    styles = model_styles(spec, corpus)
    windows = [source.clip(spec, hops, 0, i, True) for i in range(source.held_out_clips(hops))]
    windows = [{**window, "style": styles[int(window["style"])]} for window in windows]
    shuffled = [
        {**own, "channels": other["channels"], "hz": other["hz"], "cycles": other["cycles"]}
        for own, other in zip(windows, [*windows[1:], windows[0]], strict=True)
    ]
    found = likelihood.bits(spec, bundle.weights, windows)
    control = likelihood.bits(spec, bundle.weights, shuffled)
    split = source.split(True)
    return {
        "split": split,
        "windows": len(windows),
        **found,
        "nll_bits_shuffled": control["nll_bits"],
        "ignores_channels": float(str(control["nll_bits"])) <= float(str(found["nll_bits"])),
        **played(bundle, engine, corpus, split, temperature),
    }


def check_rate(spec: ModelSpec, corpus: Corpus) -> None:
    """Raises LivemoveError for a corpus of another rate than the model's."""
    if corpus.sample_rate != spec.sample_rate:
        raise LivemoveError(
            f"{corpus.root}: prepared at {corpus.sample_rate} Hz, {spec.name} sounds at {spec.sample_rate}; prepare it "
            f"again with --sample-rate {spec.sample_rate}"
        )


def unknown_styles(spec: ModelSpec, corpus: Corpus) -> str:
    """A line for whoever reads figures of a corpus with styles that the model does not have; empty if it has all."""
    missing = [name for name in corpus.styles if name not in spec.styles]
    if not missing or not spec.styles:
        return ""
    return (
        f"{spec.name} has no style {', '.join(missing)}, which {corpus.root.name} has: played as its first, "
        f"{spec.styles[0]}"
    )


def model_styles(spec: ModelSpec, corpus: Corpus) -> list[int]:
    """The model's index of every style of a corpus, by name; a style it does not have is played as its first."""
    return [spec.styles.index(name) if name in spec.styles else 0 for name in corpus.styles]


def played(bundle: Bundle, engine: Engine, corpus: Corpus, split: str, temperature: float) -> dict[str, object]:
    """Spectral distances and beat scores of the first clips of a split, played from their beginning."""
    spec = bundle.spec
    clips = corpus.select(split, spec.channel_names)[:PLAYED]
    longest = round(PLAYED_S * spec.sample_rate / HOP)
    heard = [corpus.read(clip, spec.channel_names, 0, min(clip.hops, longest)) for clip in clips]
    styles = model_styles(spec, corpus)
    sounds = [sound(engine, window.channels, styles[window.style], temperature, i) for i, window in enumerate(heard)]
    others = [*range(1, len(clips)), 0]
    result: dict[str, object] = {
        "spectral_distance_db": _mean(_distance(s, w.audio, spec) for s, w in zip(sounds, heard, strict=True)),
        "spectral_distance_db_shuffled": _mean(
            _distance(sounds[other], w.audio, spec) for other, w in zip(others, heard, strict=True)
        ),
    }
    rows = [
        _beats(corpus, clip, window.audio, own, sounds[other], spec.sample_rate)
        for clip, window, own, other in zip(clips, heard, sounds, others, strict=True)
        if clip.frames
    ]
    if rows:
        result["dance"] = {name: _mean(row[name] for row in rows) for name in rows[0]}
    return result


def _beats(corpus: Corpus, clip: Clip, original: Float32, own: Float32, other: Float32, rate: int) -> dict[str, float]:
    """Every published score of one clip; "_shuffled": of the sound another clip's channels made."""
    seconds = len(original) / rate
    poses = [pose for pose in corpus.poses(clip) if pose.people and pose.capture_s < seconds]
    world = np.array([pose.world[0] for pose in poses], np.float64).reshape(-1, 33, 3)
    kinematic = beats.kinematic_beats(world, np.array([pose.capture_s for pose in poses], np.float64))
    music = beats.musical_beats(original, rate)
    row: dict[str, float] = {"alignment_original": beats.alignment(kinematic, music)}
    for suffix, audio in (("", own), ("_shuffled", other)):
        generated = beats.musical_beats(audio, rate)
        of_dance, of_music = beats.of_dance(kinematic, generated), beats.of_music(generated, music)
        row |= {
            f"alignment{suffix}": beats.alignment(kinematic, generated),
            f"dance_coverage{suffix}": of_dance["coverage"],
            f"dance_hit{suffix}": of_dance["hit"],
            f"music_coverage{suffix}": of_music["coverage"],
            f"music_hit{suffix}": of_music["hit"],
        }
    return row


def _distance(audio: Float32, original: Float32, spec: ModelSpec) -> float:
    """Over what both have."""
    length = min(len(audio), len(original))
    return pitched.spectral_distance_db(audio[:length], original[:length], spec.sample_rate)


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
