"""Which of some models expects recordings best as it is: where learning them begins.

In: a prepared corpus, bundles. Out: bits per sample of each band's signal, for each model and style that can be asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from livemove.bundle import Bundle
from livemove.contracts import HOP
from training.data.corpus import Corpus
from training.data.feed import Recorded
from training.metrics import likelihood

CLIPS, CLIP_S = 12, 0.5


@dataclass(frozen=True)
class Candidate:
    """A model in one of its styles, and how it expects the recordings: lower is nearer."""

    bundle: Bundle
    style: int
    bits: float

    @property
    def name(self) -> str:
        """The model's, and its style where it has several."""
        styles = self.bundle.spec.styles
        return self.bundle.path.name + (f" ({styles[self.style]})" if len(styles) > 1 else "")


def ranked(corpus: Corpus, bundles: Sequence[Bundle], bands: int, names: Sequence[str]) -> list[Candidate]:
    """The models with as many bands whose channels the corpus has, the nearest first. names: channels of the model to
    be; one that shares none of them is left out.

    Likelihoods are densities of network values, so each band counts with the logarithm of its scale: only then do two
    models speak of the same numbers.
    """
    found: list[Candidate] = []
    known = {channel.name for channel in corpus.channels}
    for bundle in bundles:
        spec = bundle.spec
        shared = set(spec.channel_names) & set(names)
        if spec.head != "logistic" or spec.bands != bands or spec.sample_rate != corpus.sample_rate:
            continue
        if not shared or not set(spec.channel_names) <= known:
            continue
        source = Recorded(corpus, spec.channel_names)
        hops = min(round(CLIP_S * spec.sample_rate / HOP), source.longest_hops(False))
        clips = [source.clip(spec, hops, 0, i, False) for i in range(CLIPS)]
        scale = float(np.mean(np.log2(bundle.weights["bands.scale"])))
        for style in range(max(len(spec.styles), 1)):
            styled = [{**clip, "style": np.int64(style)} for clip in clips]
            bits = float(str(likelihood.bits(spec, bundle.weights, styled)["nll_bits"])) + scale
            found.append(Candidate(bundle, style, bits))
    return sorted(found, key=lambda candidate: candidate.bits)
