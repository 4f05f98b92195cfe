"""Examples to hear of models that no pitch plays: hits, and dances.

In: a bundle's engine, the corpus it is measured on. Out: examples for training/metrics/listen.py, the recording first,
the model and its control beside it. Those of pitched models are made there.
"""

from __future__ import annotations

import numpy as np

from livemove.body.triggers import HITS
from livemove.bundle import Bundle
from livemove.contracts import HOP, Engine, Float32
from training.data import percussion as hits
from training.data.corpus import Corpus
from training.metrics import dance_scores, percussion
from training.metrics.listen import EXAMPLE_S, Example
from training.metrics.playing import sound

DANCES = 6
"""So many examples of held-out dances."""
EVERY_S, STRENGTHS = 0.7, (0.2, 0.5, 0.8, 1.0)
"""Each limb hits so often, with these strengths in turn."""


def of_hits(bundle: Bundle, engine: Engine, corpus: Corpus, temperature: float, one: bool) -> list[Example]:
    """Held-out sequences, the scripted dancer, each limb by itself; or one of these. Raises LivemoveError."""
    hops = round(EXAMPLE_S * hits.RATE / HOP)
    asked = {f"held-out hits {i + 1}": strengths for i, strengths in enumerate(percussion.held_out(corpus)[:2])}
    asked["scripted dancer"] = percussion.scripted_dancer(bundle).strengths
    every = round(EVERY_S * hits.RATE / HOP)
    for which, name in enumerate(HITS):
        strengths = np.zeros((hops, len(HITS)), np.float32)
        at = np.arange(every // 2, hops, every)
        strengths[at, which] = np.resize(np.float32(STRENGTHS), len(at))
        asked[name.replace("_", " ")] = strengths
    players = percussion.players(engine, hits.open_kit(corpus.root), temperature)
    order = {"recording": players["recordings"], "model": players["model"], "baseline": players["baseline"]}
    return [
        Example(title, title.replace(" ", "-"), {who: play(strengths[:hops], 1) for who, play in order.items()})
        for title, strengths in list(asked.items())[: 1 if one else None]
    ]


def of_dance(bundle: Bundle, engine: Engine, corpus: Corpus, temperature: float, one: bool) -> list[Example]:
    """Held-out dances of every style in turn, or one: the corpus's sound, the model's, the model's to another's."""
    spec, rate = bundle.spec, corpus.sample_rate
    split = "valid" if corpus.select("valid", dance_scores.FEATURES) else "train"
    dances = dance_scores.read_dances(corpus, split, EXAMPLE_S)
    styles = dance_scores.styles_of(spec, corpus, dances)
    found: list[Example] = []
    for i, dance in sorted(enumerate(dances), key=lambda pair: _place(styles, pair[0]))[: 1 if one else DANCES]:

        def heard(whose: dance_scores.Dance, style: int = styles[i], seed: int = i) -> Float32:
            return sound(engine, dance_scores.played(spec, whose.features, rate), style, temperature, seed)

        stranger = next((d for d in dances[i + 1 :] + dances[:i] if d.clip.source != dance.clip.source), dance)
        name = f"{dance.clip.style}-{dance.clip.name}".replace("/", "-")
        sounds = {"recording": dance.audio, "model": heard(dance), "to another's dance": heard(stranger)}
        least = min(len(each) for each in sounds.values())
        sounds = {who: each[:least] for who, each in sounds.items()}
        found.append(Example(f"{dance.clip.style} {dance.clip.name}", name, sounds))
    return found


def _place(styles: list[int], i: int) -> tuple[int, int]:
    """So that styles take turns."""
    return styles[:i].count(styles[i]), styles[i]
