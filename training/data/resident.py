"""A whole corpus as tensors where the network computes, for GPUs that no loader keeps busy: analysed once, cut there.

In: a Recorded source and a spec. Out: the same clips by the same numbers as `Clips` gives, a batch at a time. Knows no
network and no optimiser.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from livemove.contracts import HOP, Float32, ModelSpec
from livemove.synthesis import conditioning, pqmf
from training.data.corpus import Clip, CorpusError, RandomWindows
from training.data.feed import MARGIN, Recorded

THREADS = 8


class Places(Dataset[dict[str, np.ndarray]]):
    """Where clip i of a seed lies: {"index", "start": its first hop in the corpus laid end to end, "style"}.

    repeat: only the first few clips, again and again (0: all); as `Clips` has it.
    """

    def __init__(self, source: Recorded, hops: int, seed: int, repeat: int = 0) -> None:
        self.windows: RandomWindows = source.windows(hops, seed)
        self.repeat = repeat
        clips = source.corpus.select("train", source.names)
        starts = dict(zip((c.key for c in clips), np.cumsum([0, *(c.hops for c in clips)]), strict=False))
        self.starts = [int(starts[clip.key]) for clip in self.windows.clips]
        self.styles = [source.styles.index(clip.style) for clip in self.windows.clips]

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        which, first = self.windows.place(index % self.repeat if self.repeat else index)
        return {
            "index": np.int64(index),
            "start": np.int64(self.starts[which] + first + MARGIN),
            "style": np.int64(self.styles[which]),
        }


class Resident:
    """The clips a corpus trains on, end to end: bands [steps, bands], channels [hops, C], hz [hops], cycles [hops].

    cycles: the phase at a hop's beginning; spans: (first hop, hop after the last, style) of each clip. Sound whose
    phase nobody stored gets one at random per clip, so a model with a phase wants a corpus that has it. Raises
    CorpusError.
    """

    def __init__(self, source: Recorded, spec: ModelSpec, hops: int, device: torch.device) -> None:
        if spec.head != "logistic" or spec.bands == 1:
            raise CorpusError("--resident: for networks of several bands only")
        self.spec, self.hops = spec, hops
        clips = source.corpus.select("train", source.names)
        with ThreadPoolExecutor(THREADS) as pool:
            analysed = list(pool.map(lambda clip: self._analysed(source, clip), clips))
        ends = np.cumsum([0, *(len(hz) for _, _, hz, _ in analysed)]).tolist()
        styles = [source.styles.index(clip.style) for clip in clips]
        self.spans = list(zip(ends[:-1], ends[1:], styles, strict=True))
        columns = [np.concatenate(parts) for parts in zip(*analysed, strict=True)]
        self.bands, self.channels, self.hz, self.cycles = (torch.from_numpy(c).to(device) for c in columns)
        size_mb = sum(c.nbytes for c in columns) / 1e6
        print(f"{source.corpus.root.name}: {len(self.hz) * HOP / spec.sample_rate:.0f} s, {size_mb:.0f} MB on {device}",
              file=sys.stderr)  # fmt: skip

    def _analysed(self, source: Recorded, clip: Clip) -> tuple[Float32, Float32, Float32, Float32]:
        spec, window = self.spec, source.corpus.read(clip, source.names)
        bands = pqmf.analysis(window.audio, spec.bands, spec.pqmf_taps)
        hz = np.zeros(len(window.channels), np.float32)
        cycles = hz
        if spec.phase:
            hz = conditioning.pitch_hz(spec, window.channels).astype(np.float32)
            cycles = source.cycles(window)
        return bands, conditioning.normalise(spec, window.channels), hz, cycles.astype(np.float32)

    def batch(self, places: dict[str, Tensor]) -> dict[str, Tensor]:
        """The clips at these places, as `Clips` would collate them."""
        spec, start = self.spec, places["start"]
        steps = spec.steps_per_hop
        hop = start[:, None] + torch.arange(self.hops, device=start.device)
        step = (start * steps)[:, None] + torch.arange(self.hops * steps, device=start.device)
        hz = self.hz[hop]
        run = (
            self.cycles[start][:, None].double()
            + torch.cumsum(hz.double().repeat_interleave(steps, 1), 1) / spec.step_rate
        )
        return {
            "bands": self.bands[step],
            "channels": self.channels[hop],
            "hz": hz,
            "cycles": torch.remainder(run, 1.0).float(),
            "style": places["style"],
            "index": places["index"],
        }


def fits(source: object, spec: ModelSpec) -> bool:
    """Whether a source and a spec can be made resident."""
    return isinstance(source, Recorded) and source.variants is None and spec.head == "logistic" and spec.bands > 1


def band_scale(resident: Resident) -> Float32:
    """feed.band_scale from everything that is resident."""
    peak = resident.bands.abs().amax(0).cpu().numpy()
    return np.maximum(peak * 1.25, 2e-3).astype(np.float16).astype(np.float32)
