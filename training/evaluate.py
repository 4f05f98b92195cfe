"""Measure a model: `python training/evaluate.py --model models/theremin --json`.

A model with the theremin's channels plays held-out control tracks, freely sampled as on stage; the same measures of the
sound it was trained on stand beside them as "ceiling": what the tracker and the fit can see. --data scores any model on
a corpus's held-out clips, --clip on a dancer; beside those stands a control that was given another dancer's movement.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track as progress
from rich.table import Table

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from livemove.bundle import load_bundle
from livemove.contracts import HOP, Engine, Float32, LivemoveError, ModelSpec, Weights
from livemove.synthesis import pqmf
from livemove.synthesis.engines import make_engine
from training.data import procedural
from training.data.corpus import Corpus
from training.metrics import clip_scores, corpus_scores, likelihood, percussion, pitched, report, scripted_hits

REST_S = 0.1
"""Loudness must have been 0 for this long before a hop counts as rest."""


def play(engine: Engine, track: Float32, temperature: float, seed: int) -> Float32:
    """Audio [hops * HOP] of a control track [hops, C] from a fresh engine."""
    spec = engine.spec
    noise = np.random.default_rng(seed).random((len(track) * spec.steps_per_hop, spec.noise_width), np.float32)
    out = np.empty(len(track) * HOP, np.float32)
    engine.reset()
    engine.generate(out, np.ascontiguousarray(track), noise, temperature=temperature)
    return out


def held_out_tracks(count: int, seconds: float) -> list[Float32]:
    """Control tracks no training run has seen."""
    hops = round(seconds * procedural.HOP_RATE)
    return [procedural.controls(np.random.default_rng((procedural.HELD_OUT_SEED, 1, i)), hops) for i in range(count)]


def held_out_clips(spec: ModelSpec, count: int) -> list[dict[str, Float32]]:
    """Clips of one second as training sees them, none of which it has seen."""
    hops = round(procedural.HOP_RATE)
    seeds = [(procedural.HELD_OUT_SEED, 2, i) for i in range(count)]
    return [procedural.example(np.random.default_rng(seed), spec, hops) for seed in seeds]


def onsets(count: int = 12, rest_hops: int = 40, hops: int = 100) -> list[Float32]:
    """Tracks that rest and then sound at once, at pitches over the whole range: for the response time."""
    tracks = []
    for i in range(count):
        note = np.zeros((hops, 3), np.float32)
        note[:, 0] = 58 + 22 * i / (count - 1)
        note[rest_hops:, 1] = 0.8
        note[:, 2] = 0.5
        tracks.append(note)
    return tracks


def resting(track: Float32) -> np.ndarray:
    """Hops [bool] in which loudness has been 0 for REST_S."""
    wait = round(REST_S * procedural.HOP_RATE)
    sounding = np.convolve(track[:, 1] > 0, np.ones(wait + 1))[: len(track)] > 0
    sounding[:wait] = True
    return ~sounding


def measure(tracks: list[Float32], sounds: list[Float32], rate: int, delay: int) -> dict[str, float]:
    """Pitch, noise, loudness, brightness and rest figures of sounds made from control tracks."""
    cents = np.concatenate([pitched.cents(s, rate, delay, t) for t, s in zip(tracks, sounds, strict=True)])
    hnr = np.concatenate([pitched.harmonic_to_noise_db(s, rate, delay, t) for t, s in zip(tracks, sounds, strict=True)])
    bright = [pitched.brightness_correlation(s, rate, delay, t) for t, s in zip(tracks, sounds, strict=True)]
    levels = np.concatenate([pitched.level(s, delay, len(t)) for t, s in zip(tracks, sounds, strict=True)])
    asked = np.concatenate([t[:, 1] for t in tracks])
    rest = np.concatenate([resting(t) for t in tracks])
    return {
        "pitch_cents_median": float(np.median(cents)),
        "pitch_cents_p90": float(np.percentile(cents, 90)),
        "hnr_db": float(np.median(hnr)),
        "hnr_db_p10": float(np.percentile(hnr, 10)),
        "loudness_correlation": float(np.corrcoef(levels, asked**2)[0, 1]),
        "brightness_correlation": float(np.nanmedian(bright)) if np.isfinite(bright).any() else float("nan"),
        "rest_dbfs": pitched.dbfs(float(np.sqrt((levels[rest] ** 2).mean()))) if rest.any() else float("nan"),
    }


@dataclass(frozen=True)
class Heard:
    """A held-out control track [hops, C], what the model made of it, and what its sound source makes of it."""

    track: Float32
    sound: Float32
    original: Float32


def listen(engine: Engine, temperature: float, count: int, seconds: float, quiet: bool = False) -> list[Heard]:
    """The model on held-out control tracks, freely sampled as on stage; the last one is four seconds of rest."""
    delay = pqmf.delay(engine.spec.bands, engine.spec.pqmf_taps) if engine.spec.bands > 1 else 0
    tracks = held_out_tracks(count, seconds)
    tracks.append(np.zeros((round(4 * procedural.HOP_RATE), 3), np.float32) + np.float32([69, 0, 0.5]))
    heard: list[Heard] = []
    for seed, track in enumerate(progress(tracks, "playing", console=Console(stderr=True), disable=quiet)):
        longer = np.concatenate([track, np.repeat(track[-1:], -(-delay // HOP), 0)])
        sound = play(engine, longer, temperature, seed)[delay : delay + len(track) * HOP]
        heard.append(Heard(track, sound, procedural.tone(track, 0.0)))
    return heard


def figures_of(engine: Engine, weights: Weights, temperature: float, heard: list[Heard]) -> dict[str, Any]:
    """All figures of a pitched model as a plain dict; "ceiling": the same measures of its own sound source."""
    spec: ModelSpec = engine.spec
    starts = onsets()
    rests = int(np.flatnonzero(starts[0][:, 1])[0])
    rises = [
        pitched.rise_ms(play(engine, t, temperature, i), spec.sample_rate, rests * HOP, (rests + 20) * HOP)
        for i, t in enumerate(starts)
    ]
    tracks = [h.track for h in heard]
    return {
        "model": spec.name,
        "engine": engine.name,
        "temperature": temperature,
        "seconds": sum(len(h.sound) for h in heard) / spec.sample_rate,
        **measure(tracks, [h.sound for h in heard], spec.sample_rate, 0),
        "spectral_distance_db": float(
            np.mean([pitched.spectral_distance_db(h.sound, h.original, spec.sample_rate) for h in heard])
        ),
        "response_ms": float(np.median(rises)),
        **likelihood.bits(spec, weights, held_out_clips(spec, len(heard))),
        "ceiling": measure(tracks, [h.original for h in heard], spec.sample_rate, 0),
    }


def evaluate(
    engine: Engine, weights: Weights, temperature: float, count: int, seconds: float, quiet: bool = False
) -> dict[str, Any]:
    """Listen, and all figures of what was heard."""
    return figures_of(engine, weights, temperature, listen(engine, temperature, count, seconds, quiet))


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--model", default="models/theremin", help="bundle: a folder or the name of an installed model")
    parser.add_argument("--engine", default="auto", help="auto, native, onnx or reference")
    parser.add_argument("--temperature", type=float, default=None, help="of the sampling; the model's own if not given")
    parser.add_argument("--tracks", type=int, default=16, help="held-out control tracks of a pitched model")
    parser.add_argument("--seconds", type=float, default=6.0, help="length of a track")
    parser.add_argument("--data", type=Path, default=None, help="a prepared corpus: score what it holds out")
    parser.add_argument("--clip", type=Path, default=None, help="a film of a dancer: score the sound it makes")
    parser.add_argument("--stranger", type=Path, default=None, help="another film, whose poses are the clip's control")
    parser.add_argument("--pose", default="full", choices=("full", "lite"), help="pose model for the films")
    parser.add_argument("--pose-model", type=Path, default=None, help="its file, if it is not to be fetched")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--report", type=Path, default=None, help="write figures and plots as one HTML file")
    return parser.parse_args(argv)


def everything(args: argparse.Namespace) -> tuple[dict[str, Any], list[Heard], int]:
    """(all figures asked for, what was heard of a pitched model, sample rate). Raises LivemoveError."""
    bundle = load_bundle(args.model)
    spec = bundle.spec
    engine = make_engine(args.engine, bundle)
    corpus = Corpus(args.data) if args.data else None
    watched = [
        clip_scores.watch(clip, bundle.path, args.pose, args.pose_model) for clip in (args.clip, args.stranger) if clip
    ]
    temperature = spec.temperature if args.temperature is None else args.temperature
    heard: list[Heard] = []
    if spec.sample_rate == procedural.SAMPLE_RATE and spec.channels == procedural.theremin_spec().channels:
        heard = listen(engine, temperature, args.tracks, args.seconds, quiet=args.json)
        result = figures_of(engine, bundle.weights, temperature, heard)
    elif corpus or watched:
        result = {"model": spec.name, "engine": engine.name, "temperature": temperature, "ceiling": {}}
    else:
        names = ", ".join(spec.channel_names[:4]) + (" ..." if len(spec.channels) > 4 else "")
        raise LivemoveError(
            f"{spec.name}: played by {names}, not by the theremin's channels: name sound it has not heard with --data "
            "DATA (see training/prepare.py), or a dancer with --clip FILM"
        )
    if corpus:
        result["data"] = corpus_scores.scores(bundle, engine, corpus, temperature)
        if percussion.is_of_hits(spec):
            result["hits"] = percussion.scores(bundle, engine, corpus, temperature)
    if watched:
        result["clip"] = clip_scores.scores(bundle, engine, *watched)
        if percussion.is_of_hits(spec):
            result["clip"].update(scripted_hits.per_minute([pose for pose, _ in watched[0].poses]))
    return result, heard, spec.sample_rate


def main(argv: list[str] | None = None) -> int:
    args = arguments(argv)
    try:
        result, heard, rate = everything(args)
        if args.report:
            report.write(args.report, result, heard, rate)
    except LivemoveError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{args.report}: cannot be written: {error.strerror}", file=sys.stderr)
        return 2
    if args.json:
        print(json.dumps(result, indent=1))
        return 0
    table = Table("figure", "model", "beside it", title=f"{result['model']} on {result['engine']}")
    for row in report.rows(result):
        table.add_row(*row)
    console = Console()
    console.print(table)
    for line in report.warnings(result):
        console.print(f"[yellow]{line}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
