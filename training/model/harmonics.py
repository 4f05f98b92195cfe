"""The harmonic path as it is trained: synthesis/harmonic_path.py for whole clips, in PyTorch.

In: amplitudes per hop and phase features per step. Out: band signals. Holds no weights; knows no loss.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from livemove.contracts import LEVEL, PITCH_OCTAVES, ModelSpec
from livemove.synthesis import harmonic_path


class HarmonicSums(nn.Module):
    """harmonic_path.means for batches; its tables are buffers that no checkpoint holds."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        assert spec.harmonic_path is not None
        assert spec.phase is not None
        self.spec, self.count = spec, spec.harmonic_path.harmonics
        self.pitch = spec.channel_names.index(spec.phase.channel)
        self.level = spec.channel_names.index(spec.harmonic_path.level) if spec.harmonic_path.level else None
        table = torch.from_numpy(harmonic_path.prototype_response(spec.bands, spec.pqmf_taps).copy())
        theta = torch.where(torch.arange(spec.bands) % 2 == 1, -1.0, 1.0) * math.pi / 4
        for name, tensor in (("table", table), ("cos", theta.cos()), ("sin", theta.sin())):
            self.register_buffer(name, tensor, persistent=False)

    def octaves(self, channels: Tensor) -> Tensor:
        """harmonic_path.octaves [batch, hops, 2 PITCH_OCTAVES] of normalised channels."""
        angle = channels[..., self.pitch, None] * (math.pi * 2.0 ** torch.arange(PITCH_OCTAVES, device=channels.device))
        return torch.cat([angle.sin(), angle.cos()], -1)

    def forward(self, amplitudes: Tensor, channels: Tensor, hz: Tensor, features: Tensor) -> Tensor:
        """Band signals [batch, steps, bands]: amplitudes [batch, hops, 2K] in units of the level, from hop to hop in a
        straight line (the first hop's from the beginning on); channels [batch, hops, C] normalised; hz [batch, hops];
        features [batch, steps, 2K]."""
        amplitudes = amplitudes.float() * self._units(channels)
        gains = self._gains(hz.float()[..., None] * torch.arange(1, self.count + 1, device=hz.device))
        before = torch.cat([amplitudes[:, :1], amplitudes[:, :-1]], 1)
        steps = self.spec.steps_per_hop
        shaped = features.unflatten(1, (-1, steps))
        ramp = torch.arange(1, steps + 1, device=hz.device)[:, None] / steps
        now, earlier = (shaped @ self._sums(a, gains) for a in (amplitudes, before))
        return ((1 - ramp) * earlier + ramp * now).flatten(1, 2)

    def _units(self, channels: Tensor) -> Tensor:
        if self.level is None:
            return channels.new_ones(1)
        channel = self.spec.channels[self.level]
        value = channel.minimum + (channels[..., self.level, None] + 1) / 2 * (channel.maximum - channel.minimum)
        return LEVEL * value**2

    def _gains(self, hz: Tensor) -> tuple[Tensor, Tensor]:
        """harmonic_path.band_gains: real and imaginary parts [..., bands]."""
        place = hz[..., None] * (2 * self.spec.bands / self.spec.sample_rate)
        centre = torch.arange(self.spec.bands, device=hz.device) + 0.5
        above, below = (self._response(x.abs()) for x in (place + centre, place - centre))
        real, imaginary = self.cos * (above + below), self.sin * (below - above)
        turn = -math.pi * hz[..., None] / self.spec.sample_rate
        return real * turn.cos() - imaginary * turn.sin(), real * turn.sin() + imaginary * turn.cos()

    def _response(self, bands: Tensor) -> Tensor:
        """The prototype's response at distances from its centre in bands' widths: linear between the table's points."""
        at = bands * harmonic_path.RESPONSE_POINTS
        table = F.pad(self.table, (0, 1))
        left = at.long().clamp(max=len(self.table) - 1)
        part = at - left
        inside = (at <= len(self.table) - 1).float()
        return inside * (table[left] * (1 - part) + table[left + 1] * part)

    def _sums(self, amplitudes: Tensor, gains: tuple[Tensor, Tensor]) -> Tensor:
        """harmonic_path.sums [batch, hops, 2K, bands]."""
        real, imaginary = amplitudes[..., : self.count, None], amplitudes[..., self.count :, None]
        over_cosine = real * gains[0] - imaginary * gains[1]
        over_sine = -(real * gains[1] + imaginary * gains[0])
        return torch.cat([over_sine, over_cosine], -2)
