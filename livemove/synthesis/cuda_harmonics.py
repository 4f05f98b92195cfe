"""harmonic_path on the GPU: what is added to the mixtures' means, of all hops and streams of a launch at once.

In: the conditioner's output, pitch, phase and amplitudes as tensors. Out: the means' offsets and the new amplitudes.
The same formulas as harmonic_path.py, which explains them, in PyTorch. Knows no kernel.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from livemove.contracts import Float32, ModelSpec, Weights
from livemove.synthesis import conditioning, harmonic_path
from livemove.synthesis.harmonic_path import RESPONSE_POINTS


class HarmonicMeans:
    """The harmonic path's tensors on one device."""

    def __init__(self, spec: ModelSpec, weights: Weights, device: torch.device) -> None:
        assert spec.harmonic_path is not None
        self.spec = spec
        self.count = spec.harmonic_path.harmonics

        def tensor(array: Float32) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array, np.float32)).to(device)

        self._weights = [tensor(weights[f"harmonics.weight_{i}"]) for i in "123"]
        self._biases = [tensor(weights[f"harmonics.bias_{i}"]) for i in "123"]
        self._scale = tensor(weights["bands.scale"])
        table = harmonic_path.prototype_response(spec.bands, spec.pqmf_taps)
        self._table = tensor(np.concatenate([table, np.zeros(2, np.float32)]))  # beyond it: nothing
        self._multiples = torch.arange(1, self.count + 1, dtype=torch.float64, device=device)
        band = np.arange(spec.bands)
        self._centres = torch.from_numpy(band + 0.5).to(device)
        theta = np.where(band % 2, -1, 1) * np.pi / 4
        self._cosine, self._sine = tensor(np.cos(theta)), tensor(np.sin(theta))
        steps = spec.steps_per_hop
        self._steps = torch.arange(1, steps + 1, dtype=torch.float64, device=device)
        self._ramp = (self._steps / steps).float()[:, None]

    def __call__(
        self, inputs: Tensor, styles: Tensor, level: Tensor, hz: Tensor, phases: Tensor, before: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(offsets [hops, steps, lanes, bands] in network values, amplitudes [lanes, 2K] of the last hop).

        inputs [hops, lanes, E + 2 * PITCH_OCTAVES]: the conditioner's output and harmonic_path.octaves; styles
        [lanes, styles] their weights; level [hops, lanes]; hz float64 [hops, lanes]; phases float64 [lanes] and before
        [lanes, 2K] at the launch's begin.
        """
        hidden = inputs
        for i, (weight, bias) in enumerate(zip(self._weights, self._biases, strict=True)):
            hidden = torch.relu(hidden) if i else hidden
            if i == 2 and len(self.spec.styles) > 1:
                hidden = (styles[..., None] * hidden[..., None, :]).flatten(-2)
            hidden = torch.matmul(hidden, weight) + bias
        now = hidden * level[..., None]
        then = torch.cat([before[None], now[:-1]])
        features = self._features(hz, phases)  # [hops, lanes, steps, 2K]
        gains = self._gains(hz)
        start, end = (torch.matmul(features, self._sums(gains, a)) for a in (then, now))
        offsets = ((1 - self._ramp) * start + self._ramp * end) / self._scale
        return offsets.transpose(1, 2), now[-1]

    def _features(self, hz: Tensor, phases: Tensor) -> Tensor:
        per_step = hz / self.spec.step_rate
        begins = phases + (torch.cumsum(per_step, 0) - per_step) * self.spec.steps_per_hop
        cycles = begins[..., None] + per_step[..., None] * self._steps  # [hops, lanes, steps]
        turns = cycles[..., None] * self._multiples
        angle = ((turns - torch.floor(turns)) * (2 * np.pi)).float()
        low, high = conditioning.PHASE_FADE
        gain = (high - (hz[..., None] * self._multiples / self.spec.sample_rate).float()) / (high - low)
        gain = gain.clamp(0, 1)[..., None, :]
        return torch.cat([gain * torch.sin(angle), gain * torch.cos(angle)], -1)

    def _gains(self, hz: Tensor) -> tuple[Tensor, Tensor]:
        """Real and imaginary part of harmonic_path.band_gains, [hops, lanes, K, bands]."""
        spec = self.spec
        frequency = (hz[..., None] * self._multiples).float().double()[..., None]
        place = frequency * (2 * spec.bands / spec.sample_rate)
        above, below = self._response(place + self._centres), self._response(place - self._centres)
        real, imaginary = self._cosine * (above + below), self._sine * (below - above)
        angle = (frequency * (-np.pi / spec.sample_rate)).float()
        cosine, sine = torch.cos(angle), torch.sin(angle)
        return cosine * real - sine * imaginary, sine * real + cosine * imaginary

    def _response(self, place: Tensor) -> Tensor:
        at = (place.abs() * RESPONSE_POINTS).clamp(max=len(self._table) - 2)
        point = at.long()
        share = (at - point).float()
        left, right = self._table[point], self._table[point + 1]
        inside = at <= len(self._table) - 3
        return torch.where(inside, left + share * (right - left), 0.0)

    def _sums(self, gains: tuple[Tensor, Tensor], values: Tensor) -> Tensor:
        """harmonic_path.sums: [hops, lanes, 2K, bands] for amplitudes [hops, lanes, 2K]."""
        a, b = values[..., : self.count, None], values[..., self.count :, None]
        real, imaginary = gains
        return torch.cat([-(a * imaginary + b * real), a * real - b * imaginary], -2)
