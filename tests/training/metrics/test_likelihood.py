"""Bits per value: against distributions whose entropy is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from livemove.synthesis import architectures
from training.data import procedural
from training.metrics import likelihood

SPEC = dataclasses.replace(
    architectures.stage("tiny"), residual=16, skip=16, hidden=16, conditioning=4, dilations=(1, 2, 4), mixtures=1
)


def test_the_baseline_of_logistic_noise_is_its_entropy() -> None:
    """ln s + 2 nats; nothing can be predicted."""
    noise = np.random.default_rng(0).logistic(0.0, 0.1, (20000, 2))
    found = likelihood.predicted([torch.from_numpy(noise)])
    np.testing.assert_allclose(found, np.log(0.1) + 2, atol=0.02)


def test_the_baseline_predicts_a_sine() -> None:
    t = np.arange(5000)
    noise = np.random.default_rng(0).logistic(0.0, 1e-4, (5000, 1))
    sine = np.sin(0.3 * t)[:, None] + noise
    assert likelihood.predicted([torch.from_numpy(sine)])[0] < likelihood.predicted([torch.from_numpy(noise)])[0] + 1.5


def test_the_baseline_of_classes_is_their_entropy() -> None:
    classes = torch.tensor([0, 0, 1, 2]).repeat(10)[:, None]
    assert likelihood.marginal([classes])[0] * likelihood.BITS == pytest.approx(1.5)


def test_bits_of_a_network_that_says_one_logistic_everywhere_are_those_of_that_logistic() -> None:
    weights = architectures.random_weights(SPEC)
    for name, value in weights.items():
        if name not in ("bands.scale", "pqmf.prototype"):
            value[...] = 0.0
    log_scale = np.float32(-2.0)
    weights["head.bias_2"].reshape(SPEC.bands, 3, SPEC.mixtures)[:, 2] = log_scale
    clip = procedural.example(np.random.default_rng(1), dataclasses.replace(SPEC), 12)
    found = likelihood.bits(SPEC, weights, [clip])
    z = np.abs(clip["bands"] / weights["bands.scale"]) / np.exp(log_scale)
    nats = z + log_scale + 2 * np.log1p(np.exp(-z))
    assert found["nll_bits"] == pytest.approx(nats.mean() * likelihood.BITS, rel=1e-4)
    np.testing.assert_allclose(found["nll_bits_by_band"], nats.mean(0) * likelihood.BITS, rtol=1e-4)
