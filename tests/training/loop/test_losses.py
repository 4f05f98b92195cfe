"""What is minimised beside the likelihood: how hits begin."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from livemove.synthesis.architectures import stage
from training import train
from training.data import dance_score, percussion
from training.loop.losses import ONSET_FLOOR, ONSETS, onset_hops, onset_loss
from training.model.wavenet import WaveNet, nats

SPEC = dataclasses.replace(stage("drums"), channels=percussion.CHANNELS, phase=None, dilations=(1, 2), skip=16)
HOPS = 12
HIT = 5


def batch(hits: bool) -> dict[str, torch.Tensor]:
    """One clip of noise in which a hand hits at hop HIT, or whose every envelope only falls."""
    generator = torch.Generator().manual_seed(3)
    channels = -torch.ones(1, HOPS, len(SPEC.channels))
    channels[0, :, 0] = torch.linspace(0.5, 0.0, HOPS)  # of a hit before the clip
    if hits:
        channels[0, HIT:, 1] = torch.linspace(0.8, 0.2, HOPS - HIT)
    channels[0, HIT:, -1] = 0.7  # the variation rises, and is no hit
    bands = 0.1 * torch.randn(1, HOPS * SPEC.steps_per_hop, SPEC.bands, generator=generator)
    return {"channels": channels, "bands": bands}


def test_it_is_the_likelihood_of_a_hits_first_hops_alone() -> None:
    network, made = WaveNet(SPEC), batch(hits=True)
    parameters = torch.randn(1, HOPS * SPEC.steps_per_hop, SPEC.parameters, generator=torch.Generator().manual_seed(4))
    first, last = HIT * SPEC.steps_per_hop, (HIT + 4) * SPEC.steps_per_hop
    alone = nats(SPEC, parameters, made["bands"], ONSET_FLOOR)[:, first:last].mean()
    hits = onset_hops(SPEC)
    assert list(hits) == list(range(6))
    torch.testing.assert_close(onset_loss(network, parameters, made, hits), alone)
    changed = {**made, "bands": made["bands"].clone()}
    changed["bands"][:, last:] += 1.0
    changed["bands"][:, :first] += 1.0
    torch.testing.assert_close(onset_loss(network, parameters, changed, hits), alone)


def test_what_an_accent_strikes_begins_two_hops_later() -> None:
    spec = dataclasses.replace(SPEC, channels=(*dance_score.CHANNELS, percussion.CHANNELS[-1]))
    assert onset_hops(spec) == dict.fromkeys(range(6), range(2, 6))
    assert ONSETS[percussion.UNIT] == range(4)
    network, made = WaveNet(spec), batch(hits=True)
    parameters = torch.zeros(1, HOPS * spec.steps_per_hop, spec.parameters)
    first, last = (HIT + 2) * spec.steps_per_hop, (HIT + 6) * spec.steps_per_hop
    alone = nats(spec, parameters, made["bands"], ONSET_FLOOR)[:, first:last].mean()
    torch.testing.assert_close(onset_loss(network, parameters, made, onset_hops(spec)), alone)


def test_a_clip_without_hits_adds_nothing() -> None:
    parameters = torch.zeros(1, HOPS * SPEC.steps_per_hop, SPEC.parameters)
    assert onset_loss(WaveNet(SPEC), parameters, batch(hits=False), onset_hops(SPEC)) == 0.0


def test_what_is_softer_than_the_floor_counts_no_more_than_at_it() -> None:
    """A scale below the floor is as good as the floor; above it, it counts as ever."""
    network, made, hits = WaveNet(SPEC), batch(hits=True), onset_hops(SPEC)
    made["bands"].zero_()
    layout = torch.zeros(1, HOPS * SPEC.steps_per_hop, SPEC.bands, 3, SPEC.mixtures)

    def at(log_scale: float) -> float:
        layout[..., 2, :] = log_scale
        return float(onset_loss(network, layout.flatten(-3), made, hits))

    assert at(-9.0) == at(ONSET_FLOOR) < at(ONSET_FLOOR + 1.0)


def test_a_model_without_hits_has_none_and_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert onset_hops(stage("theremin")) == {}
    assert train.main(["--instrument", "theremin", "--onset_loss", "1", "--steps", "1", "--out", str(tmp_path)]) == 2
    assert "--onset_loss: only for models with channels of hits" in capsys.readouterr().err
