"""Weights from one network for another: what both have computes the same, what one lacks has no effect."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from livemove.contracts import Channel, HarmonicPath, ModelSpec, Phase
from livemove.synthesis import architectures
from livemove.synthesis.architectures import BRIGHTNESS, LOUDNESS, PITCH
from training.model.transfer import differences, spec_of, transfer
from training.model.wavenet import WaveNet, nats

HOPS = 6
BASE = dataclasses.replace(
    architectures.stage("old", (PITCH, LOUDNESS, BRIGHTNESS)), residual=16, skip=16, hidden=16, dilations=(1, 2, 4, 8),
    conditioning=16, styles=("brass", "reed"), phase=Phase("pitch", 8), harmonic_path=HarmonicPath(4, 16, "loudness"),
)  # fmt: skip


def heard(spec: ModelSpec, network: WaveNet, natural: dict[str, np.ndarray], style: int) -> torch.Tensor:
    """Nats of the signal of each band [steps, bands], whatever its scale, by channels in natural units."""
    columns = [2 * (natural[c.name] - c.minimum) / (c.maximum - c.minimum) - 1 for c in spec.channels]
    channels = torch.from_numpy(np.stack(columns, -1).astype(np.float32))[None]
    generator = torch.Generator().manual_seed(0)
    bands = 0.01 * torch.randn((1, HOPS * spec.steps_per_hop, spec.bands), generator=generator)
    hz = torch.full((1, HOPS), 440.0)
    cycles = torch.remainder(torch.arange(1, bands.shape[1] + 1) * 440.0 / spec.step_rate, 1.0)[None]
    scale = network.weight("bands.scale")
    with torch.no_grad():
        parameters, _ = network(bands / scale, channels, hz, cycles, torch.tensor([style]))
        return (nats(spec, parameters, bands / scale) + torch.log(scale))[0]


@pytest.fixture
def natural() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {"pitch": rng.uniform(60, 70, HOPS), "loudness": rng.random(HOPS), "brightness": rng.random(HOPS)}


def fresh(spec: ModelSpec, seed: int, scale: float) -> WaveNet:
    torch.manual_seed(seed)
    network = WaveNet(spec)
    network.weight("bands.scale").copy_(scale * (1 + torch.rand(spec.bands)))
    for name in ("conditioner.bias", "input.bias", "head.bias_1", "layers.bias"):
        network.weight(name).data.normal_(0, 0.3)
    if spec.harmonic_path:
        network.weight("harmonics.weight_3").data.normal_(0, 0.02)
    return network


def carried(new: ModelSpec, old: ModelSpec = BASE, style: int = 0) -> tuple[WaveNet, WaveNet, list[str]]:
    source, target = fresh(old, 1, 0.02), fresh(new, 2, 0.05)
    return source, target, transfer(target, old, source.weights(), style)


def test_other_order_range_scale_and_styles_compute_the_same(natural: dict[str, np.ndarray]) -> None:
    loud = dataclasses.replace(LOUDNESS, maximum=1.5)
    new = dataclasses.replace(BASE, channels=(BRIGHTNESS, loud, PITCH), styles=("flute",))
    source, target, anew = carried(new, style=1)
    assert anew == []
    torch.testing.assert_close(heard(new, target, natural, 0), heard(BASE, source, natural, 1), rtol=1e-3, atol=1e-3)


def test_another_pitch_range_computes_the_same_without_a_path(natural: dict[str, np.ndarray]) -> None:
    """With one it does not: the path sees octaves of the normalised pitch. It is fitted anew."""
    old = dataclasses.replace(BASE, harmonic_path=None)
    new = dataclasses.replace(old, channels=(dataclasses.replace(PITCH, minimum=50, maximum=90), LOUDNESS, BRIGHTNESS))
    source, target, anew = carried(new, old)
    assert anew == []
    torch.testing.assert_close(heard(new, target, natural, 1), heard(old, source, natural, 1), rtol=1e-3, atol=1e-3)


def test_further_layers_and_harmonics_begin_without_effect(natural: dict[str, np.ndarray]) -> None:
    new = dataclasses.replace(BASE, dilations=(1, 2, 4, 8, 16, 32), phase=Phase("pitch", 12))
    source, target, anew = carried(new)
    assert anew == []
    torch.testing.assert_close(heard(new, target, natural, 0), heard(BASE, source, natural, 0), rtol=1e-3, atol=1e-3)


def test_a_channel_that_is_gone_is_held_at_rest(natural: dict[str, np.ndarray]) -> None:
    new = dataclasses.replace(BASE, channels=(PITCH, LOUDNESS))
    source, target, _ = carried(new)
    at_rest = {**natural, "brightness": np.full(HOPS, BRIGHTNESS.rest)}
    torch.testing.assert_close(heard(new, target, natural, 0), heard(BASE, source, at_rest, 0), rtol=1e-3, atol=1e-3)


def test_a_further_channel_begins_without_effect(natural: dict[str, np.ndarray]) -> None:
    new = dataclasses.replace(BASE, channels=(*BASE.channels, Channel("onset", "0..1", 0.0, 1.0, 0.0)))
    source, target, _ = carried(new)
    found = heard(new, target, {**natural, "onset": np.linspace(0, 1, HOPS)}, 0)
    torch.testing.assert_close(found, heard(BASE, source, natural, 0), rtol=1e-3, atol=1e-3)


def test_what_does_not_fit_begins_anew_and_is_named() -> None:
    new = dataclasses.replace(BASE, skip=32, hidden=32, conditioning=32)
    _, target, anew = carried(new)
    assert {"layers.skip", "layers.condition", "head.weight_1", "conditioner.weight"} <= set(anew)
    assert "layers.past" not in anew
    assert all(np.isfinite(w).all() for w in target.weights().values())


def test_a_spec_survives_being_plain() -> None:
    assert spec_of(dataclasses.asdict(BASE)) == BASE
    assert differences(BASE, dataclasses.replace(BASE, name="other", skip=32)) == ["skip"]
