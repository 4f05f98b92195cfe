"""Measure a model: `python training/evaluate.py --model models/theremin --json`.

A pitched model plays control tracks within its own range, over several seeds, ten minutes of unkind ones among them.
With --data CORPUS also held-out notes from their own channels, beside the recordings and beside an additive synthesiser
fitted to the same corpus. --data scores any model on held-out clips, --clip on a dancer; beside those stands a control
that was given another's movement. A model played by poses is also told on a corpus of corpora/dance.py whether it hears
who dances. --listen DIR writes a page with players, --card DIR what MODEL.md shows.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from livemove.body.accents import PLAYS_ITSELF
from livemove.bundle import Bundle, load_bundle
from livemove.contracts import Engine, LivemoveError, ModelSpec
from livemove.numbers import of_text
from livemove.synthesis.engines import make_engine
from training.data.corpus import Corpus
from training.metrics import (
    additive,
    clip_scores,
    corpus_scores,
    dance_scores,
    examples,
    held_out,
    instrument,
    listen,
    percussion,
    report,
    scripted_hits,
    styles,
    theremin,
)
from training.metrics.control_tracks import Ranges, met_ranges, whole_ranges
from training.metrics.playing import EnginePlayer, Player
from training.metrics.seeds import over_seeds


@dataclass(frozen=True)
class Amount:
    """How much is played. tracks, seconds: of the theremin's own; seeds: of the control tracks of a pitched model (0
    leaves them out) and of what hits and dances play; share: of the tracks' number; stress_s: of unkind controls;
    notes: held out."""

    tracks: int = 16
    seconds: float = 6.0
    seeds: int = 3
    share: float = 1.0
    stress_s: float = 600.0
    notes: int = 24


QUICK = Amount(tracks=4, seeds=1, share=0.4, stress_s=40.0, notes=6)


@dataclass
class Result:
    """All figures as a plain dict; what was heard on the theremin's tracks; what plays examples to hear, or the one of
    the card alone, if anything can."""

    figures: dict[str, Any]
    heard: list[theremin.Heard] = field(default_factory=list[theremin.Heard])
    examples: Callable[[bool], list[listen.Example]] | None = None


def kind_of(spec: ModelSpec) -> str:
    """What a model is, by its channels: "pitched" (pitch and loudness), "pose" (body features and accents, end to end),
    "hits" (neither descriptors of sound nor features: each channel strikes something)."""
    names = set(spec.channel_names)
    if {"pitch", "loudness"} <= names:
        return "pitched"
    return "pose" if names <= PLAYS_ITSELF else "hits"


def ranges_of(bundle: Bundle, corpus: Corpus | None) -> dict[str, Ranges]:
    """By style, what a pitched model is asked for: what the corpus holds, or what its bundle says that held, or all."""
    spec = bundle.spec
    stored: Mapping[str, Any] = bundle.figures.get("ranges", {}) if isinstance(bundle.figures, dict) else {}
    out: dict[str, Ranges] = {}
    for style in spec.styles or ("",):
        if corpus:
            out[style] = met_ranges(spec, corpus, style if style in corpus.styles else None)
        elif style in stored:
            out[style] = Ranges.from_plain(stored[style])
        else:
            out[style] = whole_ranges(spec)
    return out


def scored(
    bundle: Bundle, engine: Engine, temperature: float, corpus: Corpus | None, amount: Amount, quiet: bool = False
) -> Result:
    """Everything that can be said of a model without a dancer. Raises LivemoveError."""
    spec = bundle.spec
    result = Result({"model": spec.name, "engine": engine.name, "temperature": temperature, "ceiling": {}})
    if theremin.is_theremin(spec):
        result.heard = theremin.listen(engine, temperature, amount.tracks, amount.seconds, quiet=quiet)
        result.figures = theremin.figures_of(engine, bundle.weights, temperature, result.heard)
    if corpus:
        result.figures["data"] = corpus_scores.scores(bundle, engine, corpus, temperature)
    kind = kind_of(spec)
    if kind == "pitched" and amount.seeds:
        pitched_scores(result, bundle, engine, temperature, corpus, amount)
    if kind == "pose" and corpus and dance_scores.is_dance(corpus):
        result.figures["dance"] = dance_scores.scores(bundle, engine, corpus, temperature, amount.seeds)
        result.examples = partial(examples.of_dance, bundle, engine, corpus, temperature)
    if corpus and kind == "hits" and percussion.is_of_hits(spec):
        found = [percussion.scores(bundle, engine, corpus, temperature, seed) for seed in range(max(amount.seeds, 1))]
        result.figures["hits"] = over_seeds(found)
        result.examples = partial(examples.of_hits, bundle, engine, corpus, temperature)
    return result


def pitched_scores(
    result: Result, bundle: Bundle, engine: Engine, temperature: float, corpus: Corpus | None, amount: Amount
) -> None:
    """ "pitched": control tracks; "notes": held-out ones; "styles": of a model that has several."""
    spec, figures = bundle.spec, result.figures
    players: dict[str, Player] = {"model": EnginePlayer(engine, temperature)}
    notes: list[held_out.Note] = []
    if corpus:
        corpus_scores.check_rate(spec, corpus)
        players["baseline"] = additive.fit(corpus, spec)
        notes = held_out.notes(corpus, spec, amount.notes)
    ceiling: dict[str, Player] = {"ceiling": theremin.Source()} if theremin.is_theremin(spec) else {}
    ranges = ranges_of(bundle, corpus)

    def played(one: bool) -> list[listen.Example]:
        few = (notes[:1], ("phrases",)) if one else (notes, ())
        return listen.examples(players, spec, ranges, *few)

    result.examples = played
    share = amount.share / max(len(spec.styles) / 2, 1)
    figures["pitched"] = {
        "seeds": amount.seeds,
        "stress_s": amount.stress_s,
        "ranges": {style: each.as_plain() for style, each in ranges.items()},
        "styles": instrument.scores({**players, **ceiling}, spec, ranges, amount.seeds, share, amount.stress_s),
    }
    if notes:
        figures["notes"] = held_out.scores(players, notes, spec, min(amount.seeds, 3))
    if len(spec.styles) > 1:
        figures["styles"] = {
            "told_apart": styles.told_apart(players["model"], spec, ranges, corpus),
            "blend": styles.blend(players["model"], spec, ranges),
        }


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--model", default="models/theremin", help="bundle: a folder or the name of an installed model")
    parser.add_argument("--engine", default="auto", help="auto, native, onnx or reference")
    parser.add_argument(
        "--temperature", type=of_text, default=None, help="of the sampling; the model's own if not given"
    )
    parser.add_argument("--quick", action="store_true", help="one seed and a tenth of the material: for a first look")
    parser.add_argument("--seeds", type=int, default=None, help="of what is played (3); 0 leaves control tracks out")
    parser.add_argument("--tracks", type=int, default=None, help="held-out control tracks of the theremin (16)")
    parser.add_argument("--seconds", type=of_text, default=None, help="length of such a track (6)")
    parser.add_argument("--data", type=Path, default=None, help="a prepared corpus: score what it holds out")
    parser.add_argument("--clip", type=Path, default=None, help="a video of a dancer: score the sound it makes")
    parser.add_argument("--stranger", type=Path, default=None, help="another video, whose poses are the clip's control")
    parser.add_argument("--pose", default="full", choices=("full", "lite"), help="pose model for the videos")
    parser.add_argument("--pose-model", type=Path, default=None, help="its file, if it is not to be fetched")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--report", type=Path, default=None, help="write figures and plots as one HTML file")
    parser.add_argument("--listen", type=Path, default=None, help="write a page with players and spectrograms: what a "
                        "model, the recordings and the baseline make of the same")  # fmt: skip
    parser.add_argument("--card", type=Path, default=None, help="write figures.md and spectrogram.png for MODEL.md")
    return parser.parse_args(argv)


def amount_of(args: argparse.Namespace) -> Amount:
    amount = QUICK if args.quick else Amount()
    given = {name: value for name in ("tracks", "seconds", "seeds") if (value := getattr(args, name)) is not None}
    return Amount(**{**vars(amount), **given})


def everything(args: argparse.Namespace) -> tuple[Result, ModelSpec]:
    """All figures asked for. Raises LivemoveError."""
    bundle = load_bundle(args.model)
    spec = bundle.spec
    engine = make_engine(args.engine, bundle)
    corpus = Corpus(args.data) if args.data else None
    if corpus and (line := corpus_scores.unknown_styles(bundle.spec, corpus)):
        print(line, file=sys.stderr)
    if args.stranger and not args.clip:
        raise LivemoveError("--stranger: it stands beside a dancer; name that one with --clip VIDEO")
    watched = [
        clip_scores.watch(clip, bundle.path, args.pose, args.pose_model) for clip in (args.clip, args.stranger) if clip
    ]
    if kind_of(spec) != "pitched" and not (corpus or watched):
        names = ", ".join(spec.channel_names[:4]) + (" ..." if len(spec.channels) > 4 else "")
        raise LivemoveError(
            f"{spec.name}: played by {names}, not by pitch and loudness: name sound it has not heard with --data "
            "DATA (see training/prepare.py), or a dancer with --clip VIDEO"
        )
    for each in watched:
        if line := each.less():
            print(line, file=sys.stderr)
    temperature = spec.temperature if args.temperature is None else args.temperature
    result = scored(bundle, engine, temperature, corpus, amount_of(args), quiet=args.json)
    if watched:
        result.figures["clip"] = clip_scores.scores(bundle, engine, *watched)
        if percussion.is_of_hits(spec):
            result.figures["clip"] |= scripted_hits.per_minute([pose for pose, _ in watched[0].poses])
    if (args.listen or args.card) and result.examples is None:
        how = "a pitched model needs at least one seed, one of hits or of dance its corpus: --data DATA"
        raise LivemoveError(f"{spec.name}: nothing for --listen and --card to play: {how}")
    return result, spec


def main(argv: list[str] | None = None) -> int:
    args = arguments(argv)
    try:
        result, spec = everything(args)
        figures = result.figures
        if args.report:
            report.write(args.report, figures, result.heard, spec.sample_rate)
        if (args.listen or args.card) and result.examples is not None:
            heard = result.examples(args.listen is None)
            if args.listen:
                listen.write(args.listen, figures, heard, spec.sample_rate)
            if args.card:
                listen.write_card(args.card, figures, heard, spec.sample_rate)
    except LivemoveError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{error.filename or args.report}: cannot be written: {error.strerror}", file=sys.stderr)
        return 2
    if args.json:
        for line in report.warnings(figures):
            print(line, file=sys.stderr)
        print(json.dumps(figures, indent=1))
        return 0
    table = Table("figure", "model", "beside it", title=f"{figures['model']} on {figures['engine']}")
    for row in report.rows(figures):
        table.add_row(*row)
    console = Console()
    console.print(table)
    for line in report.warnings(figures):
        console.print(f"[yellow]{line}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
