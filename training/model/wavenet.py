"""The network as it is trained: all steps of a clip in parallel, teacher-forced, in PyTorch.

The same arithmetic and weight names as contracts.weight_shapes; `weights()` hands them to the engines.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from livemove.contracts import ModelSpec, Weights, weight_shapes
from livemove.synthesis.conditioning import PHASE_FADE
from livemove.synthesis.sampling import LOG_SCALE_FLOOR
from training.model.harmonics import HarmonicSums


def key(name: str) -> str:
    """Parameter name of a weight: module attributes may not contain dots."""
    return name.replace(".", "__")


class WaveNet(nn.Module):
    """WaveNet (van den Oord et al. 2016) for one ModelSpec, local conditioning by channels, global by style."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        for name, shape in weight_shapes(spec).items():
            if name == "bands.scale":
                self.register_buffer(key(name), torch.ones(shape))
            else:
                self.register_parameter(key(name), nn.Parameter(initial(name, shape, spec)))
        self.harmonics = HarmonicSums(spec) if spec.harmonic_path else None

    def weight(self, name: str) -> Tensor:
        return getattr(self, key(name))

    def weights(self) -> Weights:
        """Every tensor as float32 NumPy, by its name in contracts.weight_shapes."""
        return {name: self.weight(name).detach().cpu().float().numpy().copy() for name in weight_shapes(self.spec)}

    def load_weights(self, weights: Weights) -> None:
        for name in weight_shapes(self.spec):
            self.weight(name).data.copy_(torch.from_numpy(weights[name]))

    def forward(
        self, values: Tensor, channels: Tensor, hz: Tensor, cycles: Tensor, style: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(distribution parameters [batch, steps, spec.parameters] of every step given all earlier ones, the harmonic
        path's share of the means [batch, steps, bands], 0 without one).

        values    [batch, steps, bands] network values (mulaw: class indices int64); step t sees t-1, t-2 ...
        channels  [batch, hops, C] normalised to -1..1
        hz        [batch, hops] frequency of the phase; cycles [batch, steps] the phase after each step, 0..1 (both
                  unused without a phase)
        style     int64 [batch], or the weights of the styles, float [batch, styles]
        The clip starts from the engines' initial state: silence behind it.
        """
        spec, r = self.spec, self.spec.residual
        embedded = self._embed(channels, style)
        added = channels.new_zeros(1)
        h = self.weight("input.bias")
        if spec.phase:
            features = phase_features(spec, hz, cycles, max(spec.phase.harmonics, spec.path_width // 2))
            h = h + first_harmonics(features, spec.phase.harmonics) @ self.weight("input.phase")
            if self.harmonics is not None:
                added = self._path(embedded, channels, hz, features, style)
                h = h + added @ self.weight("input.harmonics")
        h = h + self._input(values if self.harmonics is None else values - added.detach())
        gates: list[Tensor] = []
        for layer, dilation in enumerate(spec.dilations):
            condition = embedded @ self.weight("layers.condition")[layer] + self.weight("layers.bias")[layer]
            past = F.pad(h, (0, 0, dilation, 0))[:, : h.shape[1]]
            both = torch.cat([self.weight("layers.past")[layer], self.weight("layers.now")[layer]])
            z = torch.cat([past, h], -1) @ both + condition.repeat_interleave(spec.steps_per_hop, 1)
            g = torch.tanh(z[..., :r]) * torch.sigmoid(z[..., r:])
            gates.append(g)
            if layer < spec.layers - 1:
                h = h + g @ self.weight("layers.residual")[layer] + self.weight("layers.residual_bias")[layer]
        skip = torch.cat(gates, -1) @ self.weight("layers.skip").reshape(-1, spec.skip) + self.weight("skip.bias")
        hidden = F.relu(F.relu(skip) @ self.weight("head.weight_1") + self.weight("head.bias_1"))
        parameters = hidden @ self.weight("head.weight_2") + self.weight("head.bias_2")
        if self.harmonics is not None:
            logits, means, log_scales = parameters.unflatten(-1, (spec.bands, 3, spec.mixtures)).unbind(-2)
            parameters = torch.stack([logits, means + added[..., None], log_scales], -2).flatten(-3)
        return parameters, added

    def _embed(self, channels: Tensor, style: Tensor) -> Tensor:
        embedding = self.weight("style.embedding")
        of_style = style @ embedding if style.is_floating_point() else embedding[style]
        return torch.tanh(
            channels @ self.weight("conditioner.weight") + self.weight("conditioner.bias") + of_style[:, None]
        )

    def path_hidden(self, channels: Tensor, style: Tensor) -> Tensor:
        """What goes into the path's last layer [batch, hops, hidden]; arguments as of `forward`."""
        return self._path_hidden(self._embed(channels, style), channels, style)

    def path_amplitudes(self, channels: Tensor, style: Tensor) -> Tensor:
        """The harmonics' amplitudes over the level [batch, hops, 2K]; arguments as of `forward`."""
        return self.path_hidden(channels, style) @ self.weight("harmonics.weight_3") + self.weight("harmonics.bias_3")

    def _path_hidden(self, embedded: Tensor, channels: Tensor, style: Tensor) -> Tensor:
        assert self.harmonics is not None
        hidden = torch.cat([embedded, self.harmonics.octaves(channels)], -1)
        for layer in "12":
            hidden = F.relu(hidden @ self.weight(f"harmonics.weight_{layer}") + self.weight(f"harmonics.bias_{layer}"))
        if len(self.spec.styles) > 1:
            shares = style if style.is_floating_point() else F.one_hot(style, len(self.spec.styles)).to(hidden.dtype)
            hidden = (shares[:, None, :, None] * hidden[:, :, None]).flatten(2)
        return hidden

    def _path(self, embedded: Tensor, channels: Tensor, hz: Tensor, features: Tensor, style: Tensor) -> Tensor:
        assert self.harmonics is not None
        hidden = self._path_hidden(embedded, channels, style)
        amplitudes = hidden @ self.weight("harmonics.weight_3") + self.weight("harmonics.bias_3")
        features = first_harmonics(features, self.spec.path_width // 2)
        return self.harmonics(amplitudes, channels, hz, features) / self.weight("bands.scale")

    def _input(self, values: Tensor) -> Tensor:
        spec, weight = self.spec, self.weight("input.weight")
        if spec.head == "mulaw":
            before = F.pad(values[..., 0], (2, 0), value=spec.classes // 2)
            return F.embedding(before[:, :-2], weight[0]) + F.embedding(before[:, 1:-1], weight[1])
        before = F.pad(values, (0, 0, 2, 0))
        return torch.cat([before[:, :-2], before[:, 1:-1]], -1) @ weight.reshape(-1, spec.residual)


def phase_features(spec: ModelSpec, hz: Tensor, cycles: Tensor, harmonics: int) -> Tensor:
    """conditioning.phase_features [batch, steps, 2 harmonics] of hz [batch, hops] and cycles [batch, steps]."""
    k = torch.arange(1, harmonics + 1, device=cycles.device, dtype=torch.float32)
    angle = 2 * math.pi * torch.remainder(cycles[..., None].float() * k, 1.0)
    low, high = PHASE_FADE
    fade = ((high - hz[..., None].float() * k / spec.sample_rate) / (high - low)).clamp(0, 1)
    fade = fade.repeat_interleave(spec.steps_per_hop, 1)
    return torch.cat([fade * torch.sin(angle), fade * torch.cos(angle)], -1)


def first_harmonics(features: Tensor, count: int) -> Tensor:
    """The sines and cosines of the first `count` harmonics [..., 2 count] of features [..., 2K]."""
    every = features.shape[-1] // 2
    return features if count == every else torch.cat([features[..., :count], features[..., every : every + count]], -1)


def initial(name: str, shape: tuple[int, ...], spec: ModelSpec) -> Tensor:
    """Start values: unit gain by fan-in, residual and skip sums scaled down by depth, zero biases."""
    if name.endswith(("bias", "bias_1", "bias_2", "bias_3")) and name != "head.bias_2":
        return torch.zeros(shape)
    if name == "head.bias_2":
        bias = torch.zeros(shape)
        if spec.head == "logistic":
            layout = bias.view(spec.bands, 3, spec.mixtures)
            layout[:, 1] = torch.linspace(-0.1, 0.1, spec.mixtures)
            layout[:, 2] = -2.0
        return bias
    gains = {
        "layers.residual": spec.layers**-0.5,
        "layers.skip": spec.layers**-0.5,
        "head.weight_2": 0.1,
        "harmonics.weight_3": 0.0,
    }
    gain = gains.get(name, 1.0)
    fan_in = 1 if name in ("style.embedding", "layers.bias") else shape[-2]
    if name == "input.weight" and spec.head == "mulaw":
        fan_in = 2
    if name in ("layers.past", "layers.now"):
        fan_in = 2 * shape[-2]
    return torch.randn(shape) * gain / math.sqrt(fan_in)


def nats(spec: ModelSpec, parameters: Tensor, values: Tensor, floor: float = LOG_SCALE_FLOOR) -> Tensor:
    """Negative log likelihood in nats [batch, steps, bands] of values under parameters.

    mulaw: categorical. logistic: density of a mixture of logistics (Salimans et al. 2017), no log scale below floor.
    """
    if spec.head == "mulaw":
        return F.cross_entropy(parameters.transpose(1, 2), values[..., 0], reduction="none")[..., None]
    layout = parameters.unflatten(-1, (spec.bands, 3, spec.mixtures))
    logits, means, log_scales = layout.unbind(-2)
    log_scales = log_scales.clamp(min=floor)
    z = (values[..., None] - means) * torch.exp(-log_scales)
    log_density = -z - log_scales - 2 * F.softplus(-z)
    return -torch.logsumexp(F.log_softmax(logits, -1) + log_density, -1)
