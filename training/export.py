"""Checkpoint -> bundle: `python training/export.py runs/theremin/last.ckpt --name theremin`.

Rounds the averaged weights to float16, builds generator.onnx, makes the golden vectors with the reference engine,
and writes MODEL.md with figures: from a card in training/cards or from what the run did. Any architecture, any
channels.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from livemove.body.accents import PLAYS_ITSELF
from livemove.body.features import FEATURES
from livemove.body.mapping import mapping_for
from livemove.bundle import MATCHED, SPECTROGRAM, Bundle, Golden, as_stored, save_bundle
from livemove.contracts import HOP, Float32, LivemoveError, ModelSpec, Trace, Weights, weight_shapes
from livemove.numbers import of_text
from livemove.synthesis.engines import make_engine
from livemove.synthesis.native import NativeEngine
from livemove.synthesis.reference import ReferenceEngine
from training import evaluate
from training.data import procedural
from training.data.corpus import Corpus
from training.loop import noise_fit
from training.loop.recipe import command_line
from training.metrics import likelihood, listen, report
from training.metrics.theremin import held_out_tracks, is_theremin
from training.model import onnx_graph
from training.model.transfer import spec_of
from training.model.wavenet import key

GOLDEN_HOPS = 24
GOLDEN_TRIES = 16
ROOT = Path(__file__).resolve().parents[1]
CARDS = ROOT / "training" / "cards"

ROUTES = {
    "pitch": 'source = "right_hand_height"\nfrom = [-0.9, 0.75]\nto = [{low:g}, {high:g}]',
    "voicing": 'source = "presence"\nfrom = [0.0, 1.0]',
    "loudness": 'source = "left_hand_height"\nfrom = [-0.97, 0.5]\ncurve = "root"',
    "brightness": 'source = "hand_distance"\nfrom = [0.1, 0.85]',
    "onset": 'source = "right_hand_speed"\nfrom = [0.2, 1.0]',
}
"""How a body plays sound descriptors unless a mapping.toml says otherwise: a theremin, with hits in the right hand."""

NO_LICENCE = (
    "Not stated. The weights are made from the recordings named above: ask whom they belong to before passing them on."
)

PLAYED_NOTES = (48.0, 72.0)
"""As much of a wide pitch channel as one arm can play in tune."""


@dataclasses.dataclass(frozen=True)
class Trained:
    """What a checkpoint holds. weights: averaged if the run averaged, as float16. facts: of data and validation."""

    spec: ModelSpec
    weights: Weights
    arguments: dict[str, Any]
    facts: dict[str, Any]


def load_checkpoint(path: Path) -> Trained:
    """Read a checkpoint of training/train.py. Raises LivemoveError."""
    if not path.is_file():
        raise LivemoveError(f"{path}: no such checkpoint; train one with: python training/train.py")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        spec, arguments = spec_of(checkpoint["spec"]), checkpoint["arguments"]
    except Exception as error:  # a truncated zip, a pickle of something else: torch raises all kinds
        raise LivemoveError(f"{path}: not a checkpoint of training/train.py ({type(error).__name__})") from error
    weights = {name: checkpoint["state_dict"]["model." + key(name)].numpy() for name in weight_shapes(spec)}
    return Trained(spec, as_stored(weights), arguments, checkpoint.get("facts", {}))


def golden_channels(spec: ModelSpec, corpus: Corpus | None = None) -> Float32:
    """[GOLDEN_HOPS, C] in natural units: a loud held-out track; of a model of hits or of movement the loudest moment of
    what its corpus holds out, for its channels never wander together, and what it makes of that is chaos; else a slow
    wandering."""
    held_out = corpus.select("valid", spec.channel_names) if corpus and evaluate.kind_of(spec) != "pitched" else []
    clip = next((each for each in held_out if each.hops >= GOLDEN_HOPS), None)
    if corpus and clip:
        window = corpus.read(clip, spec.channel_names)
        levels = np.square(window.audio[: len(window.channels) * HOP].astype(np.float64)).reshape(-1, HOP).mean(1)
        loudest = int(np.argmax(np.convolve(levels, np.ones(GOLDEN_HOPS), "valid")))
        return np.ascontiguousarray(window.channels[loudest : loudest + GOLDEN_HOPS], np.float32)
    if is_theremin(spec):
        tracks = [t[:GOLDEN_HOPS] for t in held_out_tracks(64, 1.0)]
        return np.ascontiguousarray(max(tracks, key=lambda t: t[:, 1].min()))
    rng = np.random.default_rng(0)
    columns = []
    for channel in spec.channels:
        wander = 0.5 + 0.25 * procedural.smooth_noise(rng, GOLDEN_HOPS, 10.0)
        columns.append(channel.minimum + (channel.maximum - channel.minimum) * np.clip(wander, 0, 1))
    return np.stack(columns, -1).astype(np.float32)


def edge_distance(spec: ModelSpec, trace: Trace, noise: Float32, temperature: float) -> float:
    """How near any categorical draw came to falling the other way; engines that round differently need some room."""
    if spec.head == "mulaw":
        logits, uniform = trace.parameters, noise[:, 0]
    else:
        logits = trace.parameters.reshape(-1, spec.bands, 3, spec.mixtures)[:, :, 0]
        uniform = noise[:, : spec.bands]
    scaled = logits.astype(np.float64) / temperature
    p = np.exp(scaled - scaled.max(-1, keepdims=True))
    edges = np.cumsum(p, -1)[..., :-1] / p.sum(-1, keepdims=True)
    return float(np.abs(edges - uniform[..., None]).min(initial=1.0))  # a single component has no edge


def make_golden(spec: ModelSpec, weights: Weights, corpus: Corpus | None = None) -> Golden:
    """Channels, noise and the reference engine's audio; of several seeds the one clearest of any edge."""
    channels = golden_channels(spec, corpus)
    best: tuple[float, Float32, Float32] | None = None
    for seed in range(GOLDEN_TRIES):
        noise = np.random.default_rng(seed).random((GOLDEN_HOPS * spec.steps_per_hop, spec.noise_width), np.float32)
        trace = Trace.empty(spec, GOLDEN_HOPS)
        audio = np.empty(GOLDEN_HOPS * HOP, np.float32)
        ReferenceEngine(spec, weights).generate(audio, channels, noise, temperature=spec.temperature, trace=trace)
        distance = edge_distance(spec, trace, noise, spec.temperature)
        if best is None or distance > best[0]:
            best = distance, noise, audio
    assert best is not None
    return Golden(channels=channels, noise=best[1], audio=best[2], style=0, temperature=spec.temperature)


@dataclasses.dataclass(frozen=True)
class Measured:
    """table: of MODEL.md; kept: content of figures.json; picture: spectrogram as PNG; figures: all, as evaluate has
    them."""

    table: str
    kept: dict[str, Any]
    picture: bytes | None = None
    figures: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any])


def measured(bundle: Bundle, facts: dict[str, Any], corpus: Corpus | None, amount: evaluate.Amount) -> Measured:
    """By the measures that apply, or else the run's last validation. Raises LivemoveError."""
    spec, kept = bundle.spec, likelihoods(facts)
    if not (evaluate.kind_of(spec) == "pitched" or corpus):
        return Measured(validation_table(facts), kept)
    result = evaluate.scored(bundle, make_engine("auto", bundle), spec.temperature, corpus, amount)
    figures, picture = result.figures, None
    kept |= {name: figures["data"][name] for name in MATCHED if name in figures.get("data", {})}
    if corpus and "pitched" in figures:
        kept["ranges"] = figures["pitched"]["ranges"]
    if result.examples is not None:
        picture = listen.card_picture(result.examples(True), spec.sample_rate)
    return Measured(report.markdown(figures), kept, picture, figures)


def likelihoods(facts: dict[str, Any]) -> dict[str, Any]:
    """Of figures.json, from the run's last validation: of held-out clips, by their own channels and another clip's."""
    if not {"val_loss", "val_loss_shuffled"} <= facts.keys():
        return {}
    return {
        name: facts[fact] * likelihood.BITS
        for name, fact in zip(MATCHED, ("val_loss", "val_loss_shuffled"), strict=True)
    }


def mapping_text(spec: ModelSpec, given: Path | None, bundles: list[Path]) -> str | None:
    """The mapping.toml to carry: the one given, the bundle's own, the one beside its card, or one for the descriptors
    it knows; None where the channels are the body's features, which play themselves. Raises LivemoveError."""
    own = [*(bundle / "mapping.toml" for bundle in bundles), CARDS / f"{spec.name}.toml"]
    for path in [given] if given else own:
        if path.is_file():
            return path.read_text(encoding="utf-8-sig")
        if given:
            raise LivemoveError(f"{path}: no such mapping")
    if set(spec.channel_names) <= PLAYS_ITSELF:
        return None
    tables = ["# How the body plays it; the table at the top of livemove/body/features.py names what else there is.\n"]
    for channel in spec.channels:
        route = ROUTES.get(channel.name)
        if channel.name in FEATURES:
            route = f'source = "{channel.name}"\nfrom = [{channel.minimum:g}, {channel.maximum:g}]'
        if route is None:
            raise LivemoveError(
                f"channel {channel.name}: no mapping for it; write a mapping.toml and name it by --mapping"
            )
        low, high = (min(max(note, channel.minimum), channel.maximum) for note in PLAYED_NOTES)
        tables.append(f"[channels.{channel.name}]\n{route.format(low=low, high=high)}\n")
    return "\n".join(tables)


def own_card(spec: ModelSpec, trained: Trained, licence: str, command: str = "") -> str:
    """MODEL.md from the run's own facts, for a model nobody has written a card for. {figures} is left to fill in;
    command: what was typed, if it was not training/train.py."""
    facts, run = trained.facts, trained.arguments
    end_to_end = set(spec.channel_names) <= PLAYS_ITSELF
    rows = [f"| {c.name} | {c.minimum:g} to {c.maximum:g} {c.unit} | {c.rest:g} |" for c in spec.channels]
    bands = f"{spec.bands} band{'s' * (spec.bands > 1)}"
    data = [f"Trained on {facts.get('source', 'unnamed data')}"]
    if "clips" in facts:
        data[0] += f": {facts['clips']} clips, {facts['seconds']:.0f} s, {facts['held_out_clips']} more held out"
        data += ["", "Recordings: " + ", ".join(facts["recordings"]) + "."]
    head = (
        f"a softmax over {spec.classes} mu-law levels" if spec.head == "mulaw" else f"{spec.mixtures} logistics a band"
    )
    return "\n".join([
        f"# {spec.name}", "",
        "Played by the body's own features, end to end." if end_to_end else "Played through mapping.toml.",
        *([f"Styles: {', '.join(spec.styles)}."] if spec.styles else []), "",
        "| channel | range | at rest |", "|---|---|---|", *rows, "",
        "## How it was made", "",
        f"{spec.sample_rate} Hz in {bands}, {spec.step_rate:g} steps/s, R{spec.residual} S{spec.skip}, "
        f"{spec.layers} layers ({spec.receptive_field / spec.step_rate:.2f} s receptive field), {head}.",
        *data, "", f"    {command or command_line(run)}", "",
        "## Figures", "", "{figures}", "",
        "## Licence", "", licence, "",
    ])  # fmt: skip


def validation_table(facts: dict[str, Any]) -> str:
    """The run's last validation as Markdown."""
    words = {
        "val_loss": "negative log likelihood of the held-out clips, nats per value",
        "val_loss_shuffled": "the same with other clips' channels (no worse means that the model ignores them)",
        "val_accuracy": "share of samples whose class was the likeliest",
    }
    figures = [f"| {words[name]} | {facts[name]:.4f} |" for name in words if name in facts]
    note = (
        "" if facts.get("held_out_clips", 1) else "\n\nNo clip was held out: these are figures of the training clips."
    )
    return "\n".join([f"| at step {facts.get('step', '?')}, teacher-forced | |", "|---|---|", *figures]) + note


def card_text(spec: ModelSpec, trained: Trained, licence: str) -> str:
    """MODEL.md, {figures} left to fill in: training/cards/NAME.md, or the card of the instrument the run learned, with
    the run's numbers in its places; or what the run's own facts say."""
    run = trained.arguments
    cards = [CARDS / f"{name}.md" for name in (spec.name, run.get("instrument")) if name]
    card = next((card for card in cards if card.is_file()), None)
    if card is None:
        return own_card(spec, trained, licence)
    return card.read_text(encoding="utf-8-sig").format(
        name=spec.name, size=f"R{spec.residual} S{spec.skip}, {spec.layers} layers",
        parameters=sum(w.size for w in trained.weights.values()),
        harmonics=spec.phase.harmonics if spec.phase else 0,
        steps=run["steps"], batch_size=run["batch_size"], seconds=run["seconds"], command=command_line(run),
        temperature=spec.temperature, figures="{figures}",
    )  # fmt: skip


def with_calibrated_noise(trained: Trained, corpus: Corpus, quick: bool = False) -> Trained:
    """The same with every band as noisy at temperature 1 as the corpus it was trained on, wherever its channels are;
    quick: on the whole. As it is, if it has no phase by which noise is told from tone. Raises CorpusError."""
    spec = trained.spec
    if spec.phase is None or evaluate.kind_of(spec) != "pitched":
        return trained
    print("noise of each band ...", file=sys.stderr)
    weights, before, after = noise_fit.calibrated(spec, trained.weights, corpus, NativeEngine, quick=quick)
    for when, excess in (("before", before), ("after", after)):
        for style, row in zip(spec.styles or ("",), excess, strict=True):
            levels = " ".join(f"{x:.1f}" for x in row)
            print(f"noise over the recordings' {when}, dB by band: {style} {levels}", file=sys.stderr)
    return dataclasses.replace(trained, weights=as_stored(weights))


def export(
    spec: ModelSpec,
    trained: Trained,
    out: Path,
    mapping: str | None,
    text: str,
    measure: Callable[[Bundle], Measured],
    corpus: Corpus | None = None,
) -> tuple[Bundle, Measured]:
    """Write the bundle of a checkpoint to `out`, with what `measure` says of it; text: MODEL.md, {figures} left to
    fill in; corpus: what it was trained on. Raises LivemoveError."""
    golden = make_golden(spec, trained.weights, corpus)
    graph = onnx_graph.build(spec, trained.weights)
    with tempfile.TemporaryDirectory() as folder:
        draft = save_bundle(
            Path(folder) / spec.name, spec, trained.weights, golden, graph, mapping, "# not measured yet\n"
        )
        mapping_for(draft.mapping_path, spec, FEATURES)  # it must fit, or nobody can play the model
        found = measure(draft)
    table = found.table + (f"\n\n![spectrogram]({SPECTROGRAM})" if found.picture else "")
    text = text.replace("{figures}", table)
    made = save_bundle(out, spec, trained.weights, golden, graph, mapping, text, found.kept or None, found.picture)
    return made, found


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="a .ckpt of training/train.py")
    parser.add_argument("--name", default=None, help="the bundle's name (the run's own); its card is "
                        "training/cards/NAME.md, its instrument's, or made from what the run did")  # fmt: skip
    parser.add_argument("--out", type=Path, default=None, help="bundle folder (models/NAME)")
    parser.add_argument("--mapping", type=Path, default=None, help="mapping.toml to carry (the bundle's own; none for "
                        "a model played by body features; one like the theremin's for sound descriptors)")  # fmt: skip
    parser.add_argument("--temperature", type=of_text, default=None, help="sampling temperature the bundle asks for")
    parser.add_argument(
        "--data", type=Path, default=None, help="a prepared corpus: measure the model on what it holds out"
    )
    parser.add_argument("--tracks", type=int, default=None, help="held-out tracks a theremin is measured on (16)")
    parser.add_argument("--seeds", type=int, default=None, help="of the control tracks of a pitched model (3)")
    parser.add_argument("--quick", action="store_true", help="measure with one seed and a tenth of the material")
    parser.add_argument("--as_trained", action="store_true", help="keep the noise the network makes; else --data makes "
                        "every band of a pitched model as noisy as the recordings are, at temperature 1")  # fmt: skip
    parser.add_argument("--licence", default=NO_LICENCE, help="of the data, and so of the weights: goes into MODEL.md")
    args = parser.parse_args(argv)
    try:
        trained = load_checkpoint(args.checkpoint)
        name = args.name or trained.spec.name
        out: Path = args.out or ROOT / "models" / name
        temperature = trained.spec.temperature if args.temperature is None else args.temperature
        spec = dataclasses.replace(trained.spec, name=name, temperature=temperature)
        mapping = mapping_text(spec, args.mapping, [out, ROOT / "models" / name])
        text = card_text(spec, trained, args.licence)
        corpus = Corpus(args.data) if args.data else None
        if corpus and not args.as_trained:
            trained = with_calibrated_noise(trained, corpus)
        amount = evaluate.QUICK if args.quick else evaluate.Amount()
        given = {n: v for n in ("tracks", "seeds") if (v := getattr(args, n)) is not None}
        amount = dataclasses.replace(amount, **given)
        print("golden vectors ...", file=sys.stderr)
        made, found = export(
            spec, trained, out, mapping, text, lambda draft: measured(draft, trained.facts, corpus, amount), corpus
        )
    except LivemoveError as error:
        print(error, file=sys.stderr)
        return 2
    print(found.table)
    print(f"exported to {out}")
    if made.ignores_channels:
        print(f"{name} ignores its channels: {report.IGNORES}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
