"""What one launch of the cuda engine reads and writes, in pinned memory of the host and on the GPU.

In: channels, noise, styles and temperatures of some hops of all streams. Out: the kernels' inputs, uploaded; room for
what they make. What happens once a hop is done on the host, here. Knows no kernel and no state.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from livemove.contracts import HOP, PITCH_OCTAVES, Float32, ModelSpec, Weights
from livemove.synthesis import conditioning, harmonic_path, sampling
from livemove.synthesis.cuda_layout import LAUNCH_HOPS, Sizes


class LaunchBuffers:
    """Buffers for at most LAUNCH_HOPS hops of `lanes` streams, of which `streams` play; the others rest.

    embedded float32 [hops, lanes, E, with a harmonic path the pitch's octaves after it]; hz float64 [hops, lanes];
    noise float32 [steps, lanes, 1 or 2, bands]; temperatures float32 [lanes]; styles float32 [lanes, styles]; gates,
    levels float32 [hops, lanes];
    offsets float32 [steps, lanes, bands], the harmonic path's means; conditions float32 [hops, lanes, layers * 2R];
    audio float32, streams packed. Bands and R are padded as `size` says.
    """

    def __init__(
        self, spec: ModelSpec, weights: Weights, size: Sizes, streams: int, lanes: int, device: torch.device
    ) -> None:
        self.spec, self.streams = spec, streams
        self._weights = {n: weights[n] for n in ("conditioner.weight", "conditioner.bias", "style.embedding")}
        steps, pinned = LAUNCH_HOPS * spec.steps_per_hop, device.type == "cuda"

        def host(*shape: int, dtype: torch.dtype = torch.float32, fill: float = 0.0) -> torch.Tensor:
            return torch.full(shape, fill, dtype=dtype, pin_memory=pinned)

        octaves = 2 * PITCH_OCTAVES if spec.harmonic_path else 0
        self._host = {
            "embedded": host(LAUNCH_HOPS, lanes, spec.conditioning + octaves),
            "hz": host(LAUNCH_HOPS, lanes, dtype=torch.float64),
            "gates": host(LAUNCH_HOPS, lanes),
            "levels": host(LAUNCH_HOPS, lanes),
            "noise": host(steps, lanes, 1 if spec.head == "mulaw" else 2, size.bands, fill=0.5),
            "temperatures": host(lanes, fill=1.0),
            "styles": host(lanes, max(len(spec.styles), 1)),
        }
        self._there = {name: torch.empty_like(tensor, device=device) for name, tensor in self._host.items()}
        self.embedded, self.hz, self.gates, self.levels, self.noise = list(self._there.values())[:5]
        self.temperatures, self.styles = self._there["temperatures"], self._there["styles"]
        self.offsets = torch.zeros((steps if spec.harmonic_path else 1, lanes, size.bands), device=device)
        self.conditions = torch.zeros((LAUNCH_HOPS, lanes, spec.layers * 2 * size.residual), device=device)
        self.audio = torch.zeros(streams * LAUNCH_HOPS * HOP, device=device)
        self._audio_host = host(streams * LAUNCH_HOPS * HOP)
        self._done = torch.cuda.Event() if pinned else None
        self._array = {name: tensor.numpy() for name, tensor in self._host.items()}

    def fill(
        self, channels: Float32, noise: Float32, styles: Sequence[int | Float32], temperatures: Sequence[float]
    ) -> None:
        """channels [streams, hops, C] and noise [streams, steps, width] of this launch, prepared and on their way."""
        spec, array, streams = self.spec, self._array, self.streams
        hops, steps = channels.shape[1], noise.shape[1]
        own = np.nan_to_num(channels.swapaxes(0, 1), nan=-np.inf)  # clipped to the minimum, as the others do
        mixed = np.stack([conditioning.style_weights(spec, style) for style in styles])  # [streams, styles]
        embedded = array["embedded"][:hops, :streams]
        embedded[..., : spec.conditioning] = conditioning.embed(spec, self._weights, own, mixed)
        array["styles"][:streams] = mixed
        array["gates"][:hops, :streams] = conditioning.gate(spec, own)
        if spec.harmonic_path:
            embedded[..., spec.conditioning :] = harmonic_path.octaves(spec, own)
            array["levels"][:hops, :streams] = harmonic_path.level(spec, own)
        if spec.phase:
            array["hz"][:hops, :streams] = conditioning.pitch_hz(spec, own)
        array["temperatures"][:streams] = np.maximum(temperatures, sampling.TEMPERATURE_FLOOR)
        drawn = noise.reshape(streams, steps, -1, spec.bands).swapaxes(0, 1)
        array["noise"][:steps, :streams, : drawn.shape[2], : spec.bands] = drawn
        for name, host in self._host.items():
            rows = {"noise": steps, "temperatures": len(host), "styles": len(host)}.get(name, hops)
            self._there[name][:rows].copy_(host[:rows], non_blocking=True)

    def fetch(self, hops: int) -> None:
        """Queue the way back of this launch's audio."""
        samples = self.streams * hops * HOP
        self._audio_host[:samples].copy_(self.audio[:samples], non_blocking=True)
        if self._done:
            self._done.record()

    def wait(self, hops: int) -> Float32:
        """The audio [streams, hops * HOP], once it is there; a view that the next launch writes over."""
        if self._done:
            self._done.synchronize()
        samples = hops * HOP
        return self._audio_host.numpy()[: self.streams * samples].reshape(self.streams, samples)
