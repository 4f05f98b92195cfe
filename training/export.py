"""Checkpoint -> bundle: `python training/export.py runs/theremin/last.ckpt --name theremin`.

Rounds the averaged weights to float16, builds generator.onnx, makes the golden vectors with the reference engine,
measures the result and writes MODEL.md with the figures. An existing mapping.toml of that bundle is kept.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from livemove.bundle import Golden, as_stored, save_bundle
from livemove.contracts import HOP, Channel, Float32, LivemoveError, ModelSpec, Phase, Trace, Weights, weight_shapes
from livemove.synthesis.engines import make_engine
from livemove.synthesis.reference import ReferenceEngine
from training import onnx_graph
from training.evaluate import evaluate, held_out_tracks
from training.wavenet import key

GOLDEN_HOPS = 24
GOLDEN_TRIES = 16


def load_checkpoint(path: Path) -> tuple[ModelSpec, Weights, argparse.Namespace]:
    """(spec, averaged weights rounded to float16, the run's arguments) of a checkpoint of training/train.py."""
    if not path.is_file():
        raise LivemoveError(f"{path}: no such checkpoint; train one with: python training/train.py")
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    plain = checkpoint["spec"]
    plain["channels"] = tuple(Channel(**c) for c in plain["channels"])
    plain["phase"] = Phase(**plain["phase"]) if plain["phase"] else None
    spec, args = ModelSpec(**plain), argparse.Namespace(**checkpoint["arguments"])
    weights = {name: checkpoint["state_dict"]["model." + key(name)].numpy() for name in weight_shapes(spec)}
    return spec, as_stored(weights), args


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
    return float(np.abs(edges - uniform[..., None]).min())


def make_golden(spec: ModelSpec, weights: Weights) -> Golden:
    """Channels, noise and the reference engine's audio; of several seeds the one clearest of any edge."""
    tracks = [t[:GOLDEN_HOPS] for t in held_out_tracks(64, 1.0)]
    channels = np.ascontiguousarray(max(tracks, key=lambda t: t[:, 1].min()))
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


def figures_table(figures: dict[str, Any]) -> str:
    """Markdown table of an evaluation and its ceiling."""
    rows = ["| figure | model | ceiling |", "|---|---|---|"]
    for name, value in figures.items():
        if isinstance(value, float) and name not in ("temperature", "seconds"):
            ceiling = figures["ceiling"].get(name)
            rows.append(f"| {name} | {value:.3g} | {'' if ceiling is None else f'{ceiling:.3g}'} |")
    return "\n".join(rows)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="a .ckpt of training/train.py")
    parser.add_argument("--name", default="theremin", help="the bundle's name; its card is training/cards/NAME.md")
    parser.add_argument("--out", type=Path, default=None, help="bundle folder (default models/NAME)")
    parser.add_argument("--mapping", type=Path, default=None, help="mapping.toml to carry (default: the bundle's own)")
    parser.add_argument("--temperature", type=float, default=None, help="sampling temperature the bundle asks for")
    args = parser.parse_args(argv)
    root = Path(__file__).resolve().parents[1]
    out: Path = args.out or root / "models" / args.name
    mapping: Path = args.mapping or root / "models" / args.name / "mapping.toml"
    try:
        spec, weights, run = load_checkpoint(args.checkpoint)
        if not mapping.is_file():
            raise LivemoveError(f"{mapping}: no mapping; write one or name it with --mapping")
        temperature = spec.temperature if args.temperature is None else args.temperature
        spec = dataclasses.replace(spec, name=args.name, temperature=temperature)
        print("golden vectors ...", file=sys.stderr)
        golden = make_golden(spec, weights)
        graph = onnx_graph.build(spec, weights)
        mapping_text = mapping.read_text(encoding="utf-8")
        bundle = save_bundle(out, spec, weights, golden, graph, mapping_text, "# not measured yet\n")
        figures = evaluate(make_engine("auto", bundle), weights, temperature, count=16, seconds=6.0)
        card = (root / "training" / "cards" / f"{args.name}.md").read_text(encoding="utf-8")
        command = f"python training/train.py --instrument {run.instrument} --steps {run.steps}"
        command += f" --batch_size {run.batch_size} --seconds {run.seconds} --seed {run.seed}"
        if run.pretrained:
            command += f" --pretrained {Path(run.pretrained).name}"
        text = card.format(
            parameters=sum(w.size for w in weights.values()), harmonics=spec.phase.harmonics if spec.phase else 0,
            steps=run.steps, batch_size=run.batch_size, seconds=run.seconds, command=command,
            temperature=temperature, figures=figures_table(figures),
        )  # fmt: skip
        save_bundle(out, spec, weights, golden, graph, mapping_text, text)
    except LivemoveError as error:
        print(error, file=sys.stderr)
        return 2
    print(figures_table(figures))
    print(f"exported to {out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
