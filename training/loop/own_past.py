"""Clips whose past is what the network played itself, so that it learns when to be silent, and when to begin.

In: a corpus that is resident, the network now and then. Out: clips as `Resident.batch` makes them, with two things
more: "past", which the network hears in place of the bands, and "counts", the hops it learns from. Trained on
recordings alone, a network meets its own mistakes only on stage (exposure bias: Bengio et al. 2015; the remedy is that
of DAgger, Ross et al. 2011): a tail that rang on was never followed by what the corpus has there, and goes on humming.
What was recorded is the answer to any past where it does not depend on the past: where the recording is silent, and
where something is struck.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor

from livemove.bundle import as_stored
from livemove.contracts import HOP
from livemove.synthesis import pqmf
from training.data.resident import Resident
from training.loop.examples import natural, quickest_engine
from training.loop.losses import FLOOR_OF_PAST, inside_onsets
from training.loop.recipe import RecipeError
from training.metrics.playing import sound
from training.model.wavenet import WaveNet, nats

STRETCH_S = 6.0
"""Of the corpus the network plays stretches so long, or as long as its longest clip."""
STRETCHES = 48
"""So many are kept, the newest: played by the network at most STRETCHES * EVERY / PLAYED batches ago."""
EVERY, PLAYED = 50, 6
"""After so many batches so many more are played; all of them where there is none yet."""
TEMPERATURES = (0.5, 1.0)
"""They are played at some temperature between these."""
SILENT = 10 ** (-50 / 20)
"""Of a hop's root mean square in the recording, beside the loudest hop's of the corpus: silent below."""


class OwnPast:
    """share: of a batch's clips; onsets: of `onset_hops`. What is drawn depends on the batch's number alone. Raises
    RecipeError for a model with a phase, which recorded sound and played sound do not share."""

    def __init__(self, resident: Resident, onsets: dict[int, range], share: float, seed: int) -> None:
        self.spec = dataclasses.replace(resident.spec, gate=None)  # the network's past is what it played before it
        if self.spec.phase:
            raise RecipeError("--own_past: only for models without a phase")
        self.resident, self.onsets, self.share, self.seed = resident, onsets, share, seed
        longest = max(last - first for first, last, _ in resident.spans)
        self.hops = min(round(STRETCH_S * self.spec.sample_rate / HOP), longest)
        self.places = [span for span in resident.spans if span[1] - span[0] >= self.hops]
        steps = self.spec.steps_per_hop
        power = resident.bands.square().sum(1).unflatten(0, (-1, steps)).mean(1)
        self.silent = power < power.max() * SILENT**2
        self.played: list[tuple[int, int, Tensor]] = []
        """(first hop, style, bands [steps, bands]) of every stretch."""

    def size(self, clips: int) -> int:
        """How many clips come to a batch of so many."""
        return max(round(self.share * clips), 1)

    def play(self, network: WaveNet, number: int) -> None:
        """More stretches, if it is time for them: before the batch of that number."""
        if self.played and number % EVERY:
            return
        spec, resident = self.spec, self.resident
        rng = np.random.default_rng((self.seed, number, 17))
        engine = quickest_engine(spec, as_stored(network.weights()))
        for _ in range(PLAYED if self.played else STRETCHES):
            first, last, style = self.places[int(rng.integers(len(self.places)))]
            first += int(rng.integers(last - first - self.hops + 1))
            channels = natural(spec, resident.channels[first : first + self.hops].cpu().numpy())
            audio = sound(engine, channels, style, rng.uniform(*TEMPERATURES), int(rng.integers(2**31)))
            bands = torch.from_numpy(pqmf.analysis(audio, spec.bands, spec.pqmf_taps))
            self.played.append((first, style, bands.to(resident.bands.device)))
        del self.played[:-STRETCHES]

    def batch(self, size: int, number: int) -> dict[str, Tensor]:
        """That many clips of `Resident.batch`, with "past" [clips, steps, bands] and "counts", 0 or 1 [clips, hops]."""
        rng = np.random.default_rng((self.seed, number, 23))
        hops, steps, device = self.resident.hops, self.spec.steps_per_hop, self.resident.bands.device
        chosen = [self.played[int(rng.integers(len(self.played)))] for _ in range(size)]
        at = [int(rng.integers(self.hops - hops + 1)) for _ in range(size)]
        start = torch.tensor([first + here for (first, _, _), here in zip(chosen, at, strict=True)], device=device)
        style = torch.tensor([style for _, style, _ in chosen], device=device)
        made = self.resident.batch({"start": start, "style": style, "index": torch.zeros_like(start)})
        pieces = [bands[here * steps : (here + hops) * steps] for (_, _, bands), here in zip(chosen, at, strict=True)]
        silent = self.silent[start[:, None] + torch.arange(hops, device=device)].float()
        counts = torch.maximum(silent, inside_onsets(made["channels"], self.onsets))
        return {**made, "past": torch.stack(pieces), "counts": counts}


def own_past_loss(network: WaveNet, batch: dict[str, Tensor], skipped: int) -> Tensor:
    """Nats per value of what was recorded, given what was played, over the hops that count, no scale being finer than
    FLOOR_OF_PAST; 0 if none counts. batch as of `OwnPast.batch`; skipped: steps at each clip's beginning."""
    scale = network.weight("bands.scale")
    given = batch["past"] / scale, batch["channels"], batch["hz"], batch["cycles"], batch["style"]
    each = nats(network.spec, network(*given)[0].float(), batch["bands"] / scale, FLOOR_OF_PAST)
    share = batch["counts"].repeat_interleave(network.spec.steps_per_hop, 1)[:, skipped:, None]
    return (share * each[:, skipped:]).sum() / (share.sum() * each.shape[-1]).clamp(min=1.0)
