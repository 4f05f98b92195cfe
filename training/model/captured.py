"""For scale: the network step by step in PyTorch, recorded once as a CUDA graph and replayed.

In: a ModelSpec as JSON on standard input. Out: steps per second as JSON. The least that PyTorch's kernels can be made
to cost: float16, no allocation, one product per layer for past and present, one for all skip outputs, no host between
the steps of a graph. What `livemove.diagnostics.gpu` compares the cuda engine with; without a GPU it runs uncaptured.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import torch
from torch import Tensor

from livemove.bundle import spec_from_json
from livemove.contracts import ModelSpec
from livemove.numbers import of_text
from livemove.synthesis.sampling import LOG_SCALE_FLOOR
from training.model.wavenet import WaveNet

STEPS = 16
"""Steps per graph."""


class StaticGenerator:
    """One stream with every tensor at a fixed address; step() reads and writes only those."""

    def __init__(self, network: WaveNet, device: str) -> None:
        spec, n, r = network.spec, network.spec.layers, network.spec.residual
        narrow = torch.float16 if device == "cuda" else torch.float32
        self.spec = spec

        def weight(name: str) -> Tensor:
            return network.weight(name).detach().to(device, narrow)

        taps = torch.cat([weight("layers.past"), weight("layers.now")], 1)  # [n, 2R, 2R]
        self.taps, self.residual = list(taps), list(weight("layers.residual"))
        self.residual_bias = list(weight("layers.residual_bias"))
        self.skip, self.skip_bias = weight("layers.skip").reshape(n * r, -1), weight("skip.bias")
        self.condition = list(weight("layers.bias")[:, None])
        self.inputs, self.input_bias = weight("input.weight"), weight("input.bias")
        self.head = [(weight(f"head.weight_{i}"), weight(f"head.bias_{i}")) for i in (1, 2)]
        lengths = [1 << d.bit_length() for d in spec.dilations]
        self.queues = [torch.zeros(length, r, dtype=narrow, device=device) for length in lengths]
        self.masks = torch.tensor([length - 1 for length in lengths], device=device)
        self.dilations = torch.tensor(spec.dilations, device=device)
        self.time = torch.zeros(1, dtype=torch.int64, device=device)
        self.gates = torch.zeros(n, r, dtype=narrow, device=device)
        symbols = 1 if spec.head == "mulaw" else spec.bands
        self.older, self.newest = (torch.zeros(1, symbols, dtype=narrow, device=device) for _ in range(2))
        if spec.head == "mulaw":
            self.older, self.newest = self.older.long(), self.newest.long()

    def step(self) -> None:
        spec = self.spec
        reads, writes = (self.time - self.dilations) & self.masks, self.time & self.masks
        if spec.head == "mulaw":
            h = self.inputs[0][self.older[0]] + self.inputs[1][self.newest[0]] + self.input_bias
        else:
            h = torch.addmm(torch.addmm(self.input_bias, self.older, self.inputs[0]), self.newest, self.inputs[1])
        for layer, queue in enumerate(self.queues):
            past = queue.index_select(0, reads[layer : layer + 1])
            queue.index_copy_(0, writes[layer : layer + 1], h)
            z = torch.addmm(self.condition[layer], torch.cat([past, h], 1), self.taps[layer])
            filtered, gate = z.split(spec.residual, 1)
            g = torch.tanh(filtered) * torch.sigmoid(gate)
            self.gates[layer] = g[0]
            if layer < spec.layers - 1:
                h = torch.addmm(h + self.residual_bias[layer], g, self.residual[layer])
        skip = torch.relu(torch.addmm(self.skip_bias, self.gates.view(1, -1), self.skip))
        for i, (weight, bias) in enumerate(self.head):
            skip = torch.addmm(bias, skip if i == 0 else torch.relu(skip), weight)
        self.older.copy_(self.newest)
        self.newest.copy_(self.drawn(skip.float()))
        self.time += 1

    def drawn(self, parameters: Tensor) -> Tensor:
        """sampling.sample with noise of the GPU's own generator."""
        spec = self.spec
        if spec.head == "mulaw":
            cumulative = torch.softmax(parameters, 1).cumsum(1)
            chosen = (cumulative <= torch.rand(1, 1, device=parameters.device) * cumulative[:, -1:]).sum(
                1, keepdim=True
            )
            return chosen.clamp(max=spec.classes - 1)
        logits, means, log_scales = parameters.view(spec.bands, 3, spec.mixtures).unbind(1)
        noise = torch.rand(2, spec.bands, 1, device=parameters.device).clamp(1e-5, 1 - 1e-5)
        cumulative = torch.softmax(logits, 1).cumsum(1)
        chosen = (cumulative <= noise[0] * cumulative[:, -1:]).sum(1, keepdim=True).clamp(max=spec.mixtures - 1)
        scale = torch.exp(log_scales.gather(1, chosen).clamp(min=LOG_SCALE_FLOOR))
        drawn = means.gather(1, chosen) + scale * (torch.log(noise[1]) - torch.log1p(-noise[1]))
        return drawn.clamp(-1, 1).T


@torch.no_grad()
def steps_per_s(spec: ModelSpec, seconds: float) -> float:
    """Speed with random weights, as a graph of STEPS steps where there is a GPU."""
    torch.manual_seed(0)
    gpu = torch.cuda.is_available()
    generator = StaticGenerator(WaveNet(spec), "cuda" if gpu else "cpu")

    def steps() -> None:
        for _ in range(STEPS):
            generator.step()

    steps()
    play = steps
    if gpu:
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            steps()
        play = graph.replay
        play()
        torch.cuda.synchronize()
    count, began_s = 0, time.perf_counter()
    while time.perf_counter() - began_s < seconds:
        play()
        count += STEPS
        if gpu:
            torch.cuda.synchronize()
    return count / (time.perf_counter() - began_s)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=of_text, default=2.0)
    chosen = arguments.parse_args()
    print(json.dumps({"steps_per_s": steps_per_s(spec_from_json(sys.stdin.read()), chosen.seconds)}))


if __name__ == "__main__":
    main()
