"""The network as it is trained: all steps of a clip in parallel, teacher-forced, in PyTorch.

The same arithmetic and weight names as contracts.weight_shapes; `weights()` hands them to the engines.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from livemove.contracts import ModelSpec, Weights, weight_shapes
from livemove.synthesis.sampling import LOG_SCALE_FLOOR


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

    def weight(self, name: str) -> Tensor:
        return getattr(self, key(name))

    def weights(self) -> Weights:
        """Every tensor as float32 NumPy, by its name in contracts.weight_shapes."""
        return {name: self.weight(name).detach().cpu().float().numpy().copy() for name in weight_shapes(self.spec)}

    def load_weights(self, weights: Weights) -> None:
        for name in weight_shapes(self.spec):
            self.weight(name).data.copy_(torch.from_numpy(weights[name]))

    def forward(self, values: Tensor, channels: Tensor, phases: Tensor, style: Tensor) -> Tensor:
        """Distribution parameters [batch, steps, spec.parameters] of every step given all earlier ones.

        values    [batch, steps, bands] network values (mulaw: class indices int64); step t sees t-1, t-2 ...
        channels  [batch, hops, C] normalised to -1..1; phases [batch, steps, 2K]; style int64 [batch]
        The clip starts from the engines' initial state: silence behind it.
        """
        spec, r = self.spec, self.spec.residual
        embedded = torch.tanh(
            channels @ self.weight("conditioner.weight")
            + self.weight("conditioner.bias")
            + self.weight("style.embedding")[style][:, None]
        )
        h = self._input(values) + self.weight("input.bias")
        if spec.phase:
            h = h + phases @ self.weight("input.phase")
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
        return hidden @ self.weight("head.weight_2") + self.weight("head.bias_2")

    def _input(self, values: Tensor) -> Tensor:
        spec, weight = self.spec, self.weight("input.weight")
        if spec.head == "mulaw":
            before = F.pad(values[..., 0], (2, 0), value=spec.classes // 2)
            return F.embedding(before[:, :-2], weight[0]) + F.embedding(before[:, 1:-1], weight[1])
        before = F.pad(values, (0, 0, 2, 0))
        return torch.cat([before[:, :-2], before[:, 1:-1]], -1) @ weight.reshape(-1, spec.residual)


def initial(name: str, shape: tuple[int, ...], spec: ModelSpec) -> Tensor:
    """Start values: unit gain by fan-in, residual and skip sums scaled down by depth, zero biases."""
    if name.endswith(("bias", "bias_1", "bias_2")) and name != "head.bias_2":
        return torch.zeros(shape)
    if name == "head.bias_2":
        bias = torch.zeros(shape)
        if spec.head == "logistic":
            layout = bias.view(spec.bands, 3, spec.mixtures)
            layout[:, 1] = torch.linspace(-0.1, 0.1, spec.mixtures)
            layout[:, 2] = -2.0
        return bias
    gain = {"layers.residual": spec.layers**-0.5, "layers.skip": spec.layers**-0.5, "head.weight_2": 0.1}.get(name, 1.0)
    fan_in = 1 if name in ("style.embedding", "layers.bias") else shape[-2]
    if name == "input.weight" and spec.head == "mulaw":
        fan_in = 2
    if name in ("layers.past", "layers.now"):
        fan_in = 2 * shape[-2]
    return torch.randn(shape) * gain / math.sqrt(fan_in)


def nats(spec: ModelSpec, parameters: Tensor, values: Tensor) -> Tensor:
    """Negative log likelihood in nats [batch, steps, bands] of values under parameters.

    mulaw: categorical. logistic: density of a mixture of logistics (Salimans et al. 2017), log scale floored.
    """
    if spec.head == "mulaw":
        return F.cross_entropy(parameters.transpose(1, 2), values[..., 0], reduction="none")[..., None]
    layout = parameters.unflatten(-1, (spec.bands, 3, spec.mixtures))
    logits, means, log_scales = layout.unbind(-2)
    log_scales = log_scales.clamp(min=LOG_SCALE_FLOOR)
    z = (values[..., None] - means) * torch.exp(-log_scales)
    log_density = -z - log_scales - 2 * F.softplus(-z)
    return -torch.logsumexp(F.log_softmax(logits, -1) + log_density, -1)
