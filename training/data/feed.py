"""From a source of sound to what the network is fed: clips by number, so that a run can stop anywhere and go on.

Clip i of a seed is always the same clip, whichever process or machine asks for it. In: a SoundDataset. Out:
dictionaries of NumPy arrays, and Lightning's loaders of them. Knows neither network nor optimiser.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import pytorch_lightning as pl
from torch.utils.data import DataLoader, Dataset, Sampler

from livemove.body.features import FEATURES
from livemove.contracts import HOP, Channel, Float32, Float64, ModelSpec
from livemove.synthesis import conditioning, pqmf, sampling
from training.data import procedural
from training.data.corpus import AllWindows, Corpus, CorpusError, RandomWindows, Window
from training.data.variants import Variants

Clip = dict[str, np.ndarray]
MARGIN = 1
"""Hops of audio on either side of a clip, for the filters of the band analysis."""
HELD_OUT_CLIPS = 16
"""Of endless sound; of a corpus, as many windows as it holds out, up to four times that."""
SCALE_CLIPS, SCALE_HOPS = 64, 188


class SoundDataset(Protocol):
    """Sound with its control channels: procedural, or a prepared dataset."""

    sample_rate: int
    channels: tuple[Channel, ...]
    styles: tuple[str, ...]

    seconds: float
    """How much there is to train on; infinite where it is made."""

    def longest_hops(self, held_out: bool) -> int:
        """Length of the longest clip that can be had."""
        ...

    def held_out_clips(self, hops: int) -> int:
        """How many clips of that length are the validation."""
        ...

    def clip(self, spec: ModelSpec, hops: int, seed: int, index: int, held_out: bool) -> Clip:
        """Training clip `index` of `seed`, any number of them, or held-out clip `index`, whatever the seed.

        channels float32 [hops, C] in -1..1, hz float32 [hops] and cycles float32 [steps] of the running phase (0
        without one), style int64 [], and bands [steps, bands]: float32, not yet scaled, or int64 mu-law classes."""
        ...


class _Endless:
    """What procedural sources have in common: there is always more."""

    styles = ()
    seconds = float("inf")

    def longest_hops(self, held_out: bool) -> int:
        return sys.maxsize

    def held_out_clips(self, hops: int) -> int:
        return HELD_OUT_CLIPS


class Theremin(_Endless):
    """Sound of training.data.procedural, at 48 kHz."""

    sample_rate = procedural.SAMPLE_RATE
    channels = procedural.theremin_spec().channels

    def clip(self, spec: ModelSpec, hops: int, seed: int, index: int, held_out: bool) -> Clip:
        seed = procedural.HELD_OUT_SEED if held_out else seed
        made = procedural.example(np.random.default_rng((seed, index)), spec, hops)
        return {**made, "style": np.int64(0)}


class Sine(_Endless):
    """One sine at 220 Hz, whatever the channels say: what the origin tested its network with."""

    sample_rate = 16000
    channels = procedural.theremin_spec().channels
    HZ = 220.0

    def clip(self, spec: ModelSpec, hops: int, seed: int, index: int, held_out: bool) -> Clip:
        track = np.tile(np.float32([c.rest for c in self.channels]), (hops, 1))
        samples = np.arange((hops + 2 * MARGIN) * HOP)
        start = np.random.default_rng((seed, index)).random()
        audio = 0.5 * np.sin(2 * np.pi * (self.HZ * samples / self.sample_rate + start))
        return network_clip(spec, track, audio.astype(np.float32), 0.0, 0)


class Recorded:
    """Windows of a prepared corpus: from random places to train on, the same ones spread over what it holds out.

    A corpus that holds nothing out is validated on what it trains on; `holds_out` tells. variants: the dances that are
    trained on come as these show them; what is held out comes as it was recorded.
    """

    def __init__(self, corpus: Corpus, names: Sequence[str], variants: Variants | None = None) -> None:
        """Raises CorpusError."""
        self.corpus, self.names, self.variants = corpus, tuple(names), variants
        self.sample_rate = corpus.sample_rate
        self.channels = corpus.find(names)
        self.styles = corpus.styles
        train, valid = (corpus.select(split, names) for split in ("train", "valid"))
        if not train:
            raise CorpusError(f"{corpus.root}: no clip to train on has {', '.join(names)}")
        self.holds_out = bool(valid)
        self._windows: dict[tuple[int, int], RandomWindows] = {}
        self._held_out: dict[int, tuple[AllWindows, np.ndarray]] = {}
        self.seconds = sum(clip.seconds for clip in train)

    def split(self, held_out: bool) -> str:
        return "valid" if held_out and self.holds_out else "train"

    def longest_hops(self, held_out: bool) -> int:
        clips = self.corpus.select(self.split(held_out), self.names)
        return max(max(clip.hops for clip in clips) - 2 * MARGIN, 1)

    def held_out_clips(self, hops: int) -> int:
        return min(len(self.held_out(hops)[0]), 4 * HELD_OUT_CLIPS)

    def clip(self, spec: ModelSpec, hops: int, seed: int, index: int, held_out: bool) -> Clip:
        if held_out:
            seed = procedural.HELD_OUT_SEED
            windows, order = self.held_out(hops)
            window = windows[int(order[index])]
        else:
            window = self.windows(hops, seed)[index]
            if self.variants is not None:
                window = self.disturbed(
                    window, int(np.random.default_rng((seed, index, 1)).integers(self.variants.count))
                )
        channels = window.channels[MARGIN : MARGIN + hops]
        return network_clip(spec, channels, window.audio, float(self.cycles(window)[MARGIN]), window.style)

    def cycles(self, window: Window) -> Float64:
        """The running phase [hops] at the beginning of each hop of a window: as stored, or the pitch channel integrated
        from a random start where the corpus knows none."""
        stored = self.corpus.phase(window.clip)
        if stored is not None:
            return stored[window.first : window.first + len(window.channels)].astype(np.float64)
        if "pitch" not in self.names:
            return np.zeros(len(window.channels))
        hz = 440.0 * 2.0 ** ((window.channels[:, self.names.index("pitch")].astype(np.float64) - 69.0) / 12.0)
        start = np.random.default_rng([*window.clip.key.encode(), window.first]).random()
        return (start + np.concatenate([[0.0], np.cumsum(hz)[:-1]]) * (HOP / self.sample_rate)) % 1.0

    def disturbed(self, window: Window, number: int) -> Window:
        """The window with its body features as in that version of the dance."""
        assert self.variants is not None
        features = self.variants.features(window.clip, number)[window.first : window.first + len(window.channels)]
        channels = window.channels.copy()
        for column, name in enumerate(self.names):
            if name in FEATURES:
                channels[:, column] = features[:, FEATURES.index(name)]
        return dataclasses.replace(window, channels=channels)

    def windows(self, hops: int, seed: int) -> RandomWindows:
        if (hops, seed) not in self._windows:
            self._windows[hops, seed] = RandomWindows(self.corpus, "train", self.names, hops + 2 * MARGIN, seed)
        return self._windows[hops, seed]

    def held_out(self, hops: int) -> tuple[AllWindows, np.ndarray]:
        """All windows of that length, and an order in which neighbours are seldom neighbours in time: the shuffled
        control needs that."""
        if hops not in self._held_out:
            windows = AllWindows(self.corpus, self.split(True), self.names, hops + 2 * MARGIN)
            order = np.random.default_rng(procedural.HELD_OUT_SEED).permutation(len(windows))
            self._held_out[hops] = windows, order
        return self._held_out[hops]


def network_clip(spec: ModelSpec, channels: Float32, audio: Float32, cycles: float, style: int) -> Clip:
    """SoundDataset.clip's dictionary from channels [hops, C] in natural units, audio [(hops + 2 MARGIN) * HOP] around
    them.

    cycles: the running phase at the clip's start, of a model that has one.
    """
    hops, steps = len(channels), spec.steps_per_hop
    inner = slice(MARGIN * steps, (MARGIN + hops) * steps)
    if spec.head == "mulaw":
        bands: np.ndarray = sampling.mulaw_encode(audio, spec.classes)[:, None]
    elif spec.bands == 1:
        bands = audio[:, None].astype(np.float32)
    else:
        bands = pqmf.analysis(audio, spec.bands, spec.pqmf_taps)
    return {
        "channels": conditioning.normalise(spec, channels),
        **phase_of(spec, channels, cycles),
        "bands": np.ascontiguousarray(bands[inner]),
        "style": np.int64(style),
    }


def phase_of(spec: ModelSpec, channels: Float32, cycles: float) -> dict[str, Float32]:
    """{"hz" [hops], "cycles" [steps]}: frequency per hop, and the phase (0..1) after each step that the engine has
    integrated from `cycles` on; both 0 for a model without a phase. channels [hops, C] in natural units."""
    hops, steps = len(channels), spec.steps_per_hop
    if spec.phase is None:
        return {"hz": np.zeros(hops, np.float32), "cycles": np.zeros(hops * steps, np.float32)}
    hz = conditioning.pitch_hz(spec, channels)
    run = cycles + np.cumsum(np.repeat(hz, steps)) / spec.step_rate
    return {"hz": hz.astype(np.float32), "cycles": (run % 1.0).astype(np.float32)}


class Clips(Dataset[Clip]):
    """The clips of a source by number. of_rest: every channel at rest (the unconditional control). repeat: only the
    first few, again and again (0: all)."""

    def __init__(
        self,
        source: SoundDataset,
        spec: ModelSpec,
        hops: int,
        seed: int,
        held_out: bool = False,
        of_rest: bool = False,
        repeat: int = 0,
    ) -> None:
        self.source, self.spec, self.hops, self.seed, self.held_out = source, spec, hops, seed, held_out
        self.repeat = repeat
        rest = np.array([[c.rest for c in spec.channels]], np.float32)
        self.rest = conditioning.normalise(spec, rest) if of_rest else None

    def __getitem__(self, index: int) -> Clip:
        which = index % self.repeat if self.repeat else index
        clip = self.source.clip(self.spec, self.hops, self.seed, which, self.held_out)
        if self.rest is not None:
            clip["channels"] = np.repeat(self.rest, self.hops, 0)
        clip["index"] = np.int64(index)
        return clip


def band_scale(source: SoundDataset, spec: ModelSpec, seed: int) -> Float32:
    """Per band, a little above the largest value met in some clips: network values stay inside -1..1."""
    peak = np.zeros(spec.bands)
    hops = min(SCALE_HOPS, source.longest_hops(False))
    for index in range(SCALE_CLIPS):
        peak = np.maximum(peak, np.abs(source.clip(spec, hops, seed, index, False)["bands"]).max(0))
    return np.maximum(peak * 1.25, 2e-3).astype(np.float16).astype(np.float32)


class Batches(Sampler[list[int]]):
    """Numbers of the clips of each batch, this process's share of them; `first` batches have been seen already."""

    def __init__(self, total: int, batch_size: int, rank: int, processes: int, first: int) -> None:
        self.total, self.batch_size, self.first = total, batch_size, first
        self.share = batch_size // processes
        self.offset = rank * self.share

    def __len__(self) -> int:
        return self.total

    def __iter__(self) -> Iterator[list[int]]:
        for batch in range(self.first, self.total):
            start = batch * self.batch_size + self.offset
            yield list(range(start, start + self.share))


class Feed(pl.LightningDataModule):
    """Training clips from where the run stands, and the same held-out clips every time."""

    def __init__(
        self, training: Dataset[Clip], held_out: Clips, steps: int, accumulation: int, batch_size: int,
        val_batch_size: int, workers: int, pin_memory: bool, on_worker: Callable[[int], None],
    ) -> None:  # fmt: skip
        super().__init__()
        self.training, self.held_out = training, held_out
        self.batches, self.accumulation = steps * accumulation, accumulation
        self.batch_size, self.val_batch_size = batch_size, val_batch_size
        self.loading: dict[str, Any] = {
            "num_workers": workers,
            "pin_memory": pin_memory,
            "persistent_workers": workers > 0,
            "worker_init_fn": on_worker,
        }

    def train_dataloader(self) -> DataLoader[Clip]:
        trainer = self.trainer
        assert trainer is not None
        first = trainer.global_step * self.accumulation
        batches = Batches(self.batches, self.batch_size, trainer.global_rank, trainer.world_size, first)
        return DataLoader(self.training, batch_sampler=batches, **self.loading)

    def val_dataloader(self) -> DataLoader[Clip]:
        trainer = self.trainer
        assert trainer is not None
        count = self.held_out.source.held_out_clips(self.held_out.hops)
        mine = range(trainer.global_rank, count, trainer.world_size)
        size = self.val_batch_size
        batches = [list(mine[i : i + size]) for i in range(0, len(mine), size)]
        return DataLoader(self.held_out, batch_sampler=batches, pin_memory=self.loading["pin_memory"])
