"""Whether a render follows its dancer: `python -m tests.measure.rendered VIDEO [--model NAME ...] [--seconds 30]`.

In: a video of a dancer, models (all that are shipped, if none are named). Out: a JSON line for every model. Of one that
has a pitch: Spearman's rank correlation of the pitch found in the file and the pitch that the mapping asked of the
network, over voiced hops; of one that hits play: F1 of onsets against hits, within a hop; of one that body features
play: F1 of strong onsets against the accents that the rules of its corpus hear in them, and against the same accents
backwards (the chance level). What was asked is recorded while it is rendered, not worked out again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from scipy.stats import spearmanr

from livemove.body.accents import PLAYS_ITSELF
from livemove.body.features import FEATURES
from livemove.body.triggers import HITS
from livemove.bundle import find_bundle, list_bundles, load_bundle
from livemove.contracts import HOP, Float32, ModelSpec
from livemove.offline import render
from training.data import dance_score
from training.data.descriptors import track_pitch
from training.metrics import beats, percussion
from training.metrics.playing import delay

LOUD = 0.15
"""A hop is voiced from this loudness on."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--model", action="append", help="several: one after the other")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--pose-model", type=Path)
    asked = parser.parse_args()
    for model in asked.model or [path.name for path in list_bundles()]:
        print(json.dumps({"model": model, **followed(asked.video, model, asked.seconds, asked.pose_model)}), flush=True)


def followed(video: Path, model: str, seconds: float, pose_model: Path | None) -> dict[str, Any]:
    """Render it, and compare what sounds with what was asked."""
    path = find_bundle(model)
    spec = load_bundle(path).spec
    asked: list[Float32] = []
    plain = render.Player

    class Watched(plain):
        """Keeps what it asks of the engine."""

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            (voice,) = self.voices
            generate = voice.engine.generate

            def watched(out: Float32, channels: Float32, *rest: Any, **options: Any) -> None:
                asked.append(channels.copy())
                generate(out, channels, *rest, **options)

            voice.engine.generate = watched  # type: ignore[method-assign]

    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "x.wav"
        config = render.RenderConfig(video, output, path, pose_model=pose_model, duration_s=seconds)
        render.Player = Watched  # type: ignore[misc]
        try:
            report = render.render(config, lambda _: None)
        finally:
            render.Player = plain  # type: ignore[misc]
        audio, rate = soundfile.read(output, dtype="float32")
    channels = np.concatenate(asked)
    return {"seconds": round(report["seconds"], 1), **compared(spec, channels, audio[delay(spec) :], rate)}


def compared(spec: ModelSpec, channels: Float32, audio: Float32, rate: int) -> dict[str, Any]:
    """What kind of model it is decides what is compared."""
    if percussion.is_of_hits(spec):
        hits = percussion.hit_times(percussion.strengths_of(channels[:, : len(HITS)]))
        found = percussion.onset_scores(percussion.onsets(audio), hits)
        return {"hits": len(hits), **{name: round(value, 3) for name, value in found.items()}}
    if set(spec.channel_names) <= PLAYS_ITSELF:
        features = np.zeros((len(channels), len(FEATURES)), np.float32)
        for column, name in zip(channels.T, spec.channel_names, strict=True):
            if name in FEATURES:
                features[:, FEATURES.index(name)] = column
        style = next((s for s in spec.styles if s in dance_score.STYLES), next(iter(dance_score.STYLES)))
        accents = dance_score.accents(dance_score.compose(features, style, rate), rate)
        onsets = beats.strong_onsets(audio, rate)
        backwards = np.sort(len(audio) / rate - accents)
        return {
            "accents": len(accents),
            "beat_f1": round(beats.f_measure(onsets, accents), 3),
            "beat_f1_backwards": round(beats.f_measure(onsets, backwards), 3),
        }
    pitch, loudness = (channels[:, spec.channel_names.index(name)] for name in ("pitch", "loudness"))
    notes, _ = track_pitch(audio, rate)
    hops = min(len(notes), len(pitch), len(audio) // HOP)
    heard = np.isfinite(notes[:hops]) & (loudness[:hops] > LOUD)
    return {
        "voiced": round(float((loudness > LOUD).mean()), 3),
        "found": round(float(heard.sum() / max((loudness[:hops] > LOUD).sum(), 1)), 3),
        "spearman": round(float(spearmanr(pitch[:hops][heard], notes[:hops][heard])[0]), 4),
        "cents": round(float(np.median(100 * np.abs(pitch[:hops][heard] - notes[:hops][heard]))), 1),
    }


if __name__ == "__main__":
    main()
