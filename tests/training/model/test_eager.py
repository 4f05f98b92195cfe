"""The eager PyTorch generator is the network it stands beside, so that the comparison compares the same work."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from livemove.contracts import HOP, ModelSpec, Trace
from livemove.synthesis import architectures
from livemove.synthesis.reference import ReferenceEngine
from training.model import eager
from training.model.wavenet import WaveNet

SMALL = {"residual": 16, "skip": 32, "hidden": 16, "conditioning": 4, "dilations": (1, 2, 4, 8, 1)}


@pytest.mark.parametrize("make", [architectures.stage, architectures.classic])
def test_step_by_step_it_gives_the_references_distribution(make: type) -> None:
    spec: ModelSpec = dataclasses.replace(make(), phase=None, **SMALL)
    network = WaveNet(spec)
    weights = architectures.random_weights(spec)
    network.load_weights(weights)
    generator = eager.QueueGenerator(network)
    middle = np.array([[(c.minimum + c.maximum) / 2 for c in spec.channels]], np.float32)
    noise = np.random.default_rng(0).random((spec.steps_per_hop, spec.noise_width), np.float32)
    trace = Trace.empty(spec, 1)
    ReferenceEngine(spec, weights).generate(np.zeros(HOP, np.float32), middle, noise, trace=trace)
    steps = min(spec.steps_per_hop, 40)
    with torch.no_grad():
        embedded = generator.embed(torch.zeros(len(spec.channels)), 0)
        for step in range(steps):
            found = generator(embedded, torch.zeros(0)).numpy()
            np.testing.assert_allclose(found, trace.parameters[step], atol=1e-4, rtol=0)
            generator.before = torch.stack([generator.before[1], torch.from_numpy(trace.values[step])])


def test_it_generates_hop_after_hop() -> None:
    assert eager.steps_per_s(dataclasses.replace(architectures.stage(), **SMALL), 0.02) > 0
