"""For scale: the network step by step in eager PyTorch, with a queue per layer (Le Paine et al. 2016).

In: a ModelSpec as JSON on standard input, and how many seconds to measure. Out: steps per second as JSON. What
`livemove bench --baseline torch` runs: convolutions as in the training of most WaveNets, on one thread.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import torch
from torch import Tensor, nn

from livemove.bundle import spec_from_json
from livemove.contracts import HOP, ModelSpec
from livemove.numbers import of_text
from livemove.synthesis.sampling import LOG_SCALE_FLOOR
from training.model.wavenet import WaveNet


def convolution(weights: Tensor, bias: Tensor | None = None) -> nn.Conv1d:
    """weights [taps, in, out], oldest tap first, and bias [out] as a Conv1d."""
    taps, inputs, outputs = weights.shape
    made = nn.Conv1d(inputs, outputs, taps, bias=bias is not None)
    made.weight.data.copy_(weights.permute(2, 1, 0))
    if bias is not None and made.bias is not None:
        made.bias.data.copy_(bias)
    return made


class Layer(nn.Module):
    """A dilated layer with the queue of its past inputs, [1, R, dilation], oldest first."""

    def __init__(self, network: WaveNet, index: int) -> None:
        super().__init__()
        w, spec = network.weight, network.spec
        taps = torch.stack([w("layers.past")[index], w("layers.now")[index]])
        self.dilated = convolution(taps)
        self.condition = convolution(w("layers.condition")[index][None], w("layers.bias")[index])
        self.skip = convolution(w("layers.skip")[index][None])
        self.residual: nn.Conv1d | None = None
        if index < spec.layers - 1:
            self.residual = convolution(w("layers.residual")[index][None], w("layers.residual_bias")[index])
        self.queue = torch.zeros(1, spec.residual, spec.dilations[index])

    def forward(self, h: Tensor, embedded: Tensor) -> tuple[Tensor, Tensor]:
        """h [1, R, 1], embedded [1, E, 1] -> the next layer's h, what goes to the skip sum [1, S, 1]."""
        z = self.dilated(torch.cat([self.queue[:, :, :1], h], 2)) + self.condition(embedded)
        self.queue = torch.cat([self.queue[:, :, 1:], h], 2)
        a, b = z.chunk(2, 1)
        g = torch.tanh(a) * torch.sigmoid(b)
        return (h if self.residual is None else h + self.residual(g)), self.skip(g)


class QueueGenerator(nn.Module):
    """One stream of a WaveNet with the weights of a trained network."""

    def __init__(self, network: WaveNet) -> None:
        super().__init__()
        w = network.weight
        self.spec = spec = network.spec
        self.network = network
        self.input = convolution(w("input.weight"), w("input.bias"))
        self.layers = nn.ModuleList(Layer(network, index) for index in range(spec.layers))
        self.head_1 = convolution(w("head.weight_1")[None], w("head.bias_1"))
        self.head_2 = convolution(w("head.weight_2")[None], w("head.bias_2"))
        silence = torch.full((spec.bands,), float(spec.classes // 2 if spec.head == "mulaw" else 0))
        self.before = torch.stack([silence, silence])

    def embed(self, channels: Tensor, style: int) -> Tensor:
        """Once a hop: channels [C] in -1..1 -> [1, E, 1]."""
        w = self.network.weight
        mixed = channels @ w("conditioner.weight") + w("conditioner.bias") + w("style.embedding")[style]
        return torch.tanh(mixed)[None, :, None]

    def forward(self, embedded: Tensor, phase: Tensor) -> Tensor:
        """The distribution [spec.parameters] of the next step; phase [2K], empty without one."""
        spec = self.spec
        x = self.before
        if spec.head == "mulaw":
            x = nn.functional.one_hot(x[:, 0].long(), spec.classes).float()
        h = self.input(x.T[None])
        if spec.phase:
            h = h + (phase @ self.network.weight("input.phase"))[None, :, None]
        total = self.network.weight("skip.bias")[None, :, None]
        for layer in self.layers:
            h, skip = layer(h, embedded)
            total = total + skip
        return self.head_2(torch.relu(self.head_1(torch.relu(total))))[0, :, 0]

    def step(self, embedded: Tensor, phase: Tensor) -> Tensor:
        """The next network values [bands], drawn."""
        spec, parameters = self.spec, self(embedded, phase)
        if spec.head == "mulaw":
            value = torch.multinomial(torch.softmax(parameters, 0), 1).float()
        else:
            logits, means, log_scales = parameters.view(spec.bands, 3, spec.mixtures).unbind(1)
            chosen = torch.multinomial(torch.softmax(logits, -1), 1)
            u = torch.rand(spec.bands).clamp(1e-5, 1 - 1e-5)
            scale = torch.exp(log_scales.gather(1, chosen)[:, 0].clamp(min=LOG_SCALE_FLOOR))
            value = (means.gather(1, chosen)[:, 0] + scale * (torch.log(u) - torch.log1p(-u))).clamp(-1, 1)
        self.before = torch.stack([self.before[1], value])
        return value


@torch.no_grad()
def steps_per_s(spec: ModelSpec, seconds: float, device: str = "cpu") -> float:
    """Speed with random weights on one thread or, with device "cuda", on a GPU, after up to 32 steps to warm up."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    torch.set_default_device(device)
    generator = QueueGenerator(WaveNet(spec))
    phase = torch.zeros(spec.phase_width)

    def hop(most: int) -> int:
        embedded = generator.embed(torch.zeros(len(spec.channels)), 0)
        for _ in range(most):
            generator.step(embedded, phase)
        generator.before.sum().item()  # waits for a GPU
        return most

    at_once = min(HOP // spec.bands, 32)
    hop(at_once)
    steps, began_s = 0, time.perf_counter()
    while time.perf_counter() - began_s < seconds:
        steps += hop(at_once)
    return steps / (time.perf_counter() - began_s)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=of_text, default=2.0)
    arguments.add_argument("--device", default="cpu")
    chosen = arguments.parse_args()
    speed = steps_per_s(spec_from_json(sys.stdin.read()), chosen.seconds, chosen.device)
    print(json.dumps({"steps_per_s": speed}))


if __name__ == "__main__":
    main()
