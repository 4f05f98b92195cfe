"""Clips whose past is what the network played: what is heard, what is answered, and that noise is unlearnt."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from livemove.bundle import as_stored
from livemove.contracts import HOP, Gate, ModelSpec
from livemove.synthesis import pqmf
from livemove.synthesis.architectures import stage
from training.data import percussion
from training.data.resident import Resident
from training.loop import own_past as module
from training.loop.examples import natural, quickest_engine
from training.loop.losses import FLOOR_OF_PAST, onset_hops
from training.loop.own_past import EVERY, OwnPast, own_past_loss
from training.loop.recipe import RecipeError
from training.metrics.playing import sound
from training.model.wavenet import WaveNet, nats

SPEC = dataclasses.replace(
    stage("drums"), channels=percussion.CHANNELS, phase=None, dilations=(1, 2), residual=16, skip=16, hidden=16
)
HOPS = 16
STRETCHES, PLAYED, STRETCH_S = 8, 3, 0.8
RECORDED = round(STRETCH_S * SPEC.sample_rate / HOP) + 8
HIT = 90
"""Hop in which a hand hits, in a corpus that is silent but for the second half."""


@pytest.fixture(autouse=True)
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("STRETCHES", STRETCHES), ("PLAYED", PLAYED), ("STRETCH_S", STRETCH_S)):
        monkeypatch.setattr(module, name, value)


def resident(spec: ModelSpec, hops: int = RECORDED) -> Resident:
    """A corpus of one clip, noise from its middle on."""
    made = Resident.__new__(Resident)
    made.spec, made.hops = spec, HOPS
    generator = torch.Generator().manual_seed(1)
    made.bands = 0.1 * torch.randn(hops * spec.steps_per_hop, spec.bands, generator=generator)
    made.bands[: hops // 2 * spec.steps_per_hop] = 0.0
    made.channels = -torch.ones(hops, len(spec.channels))
    made.channels[HIT : HIT + 40, 0] = torch.linspace(0.8, -0.9, 40)
    made.hz = made.cycles = torch.zeros(hops)
    made.spans = [(0, hops, 0)]
    return made


def own_past(corpus: Resident) -> OwnPast:
    return OwnPast(corpus, onset_hops(SPEC), 0.5, seed=3)


def test_the_past_is_what_the_network_plays_and_the_answer_what_was_recorded() -> None:
    corpus = resident(SPEC)
    own, network = own_past(corpus), WaveNet(SPEC)
    own.play(network, 0)
    assert len(own.played) == STRETCHES
    first, style, bands = own.played[-1]
    channels = natural(SPEC, corpus.channels[first : first + own.hops].numpy())
    engine = quickest_engine(SPEC, as_stored(network.weights()))
    rng = np.random.default_rng((3, 0, 17))  # as `play` draws
    for _ in range(STRETCHES):
        rng.integers(1)
        rng.integers(RECORDED - own.hops + 1)
        temperature, seed = rng.uniform(*module.TEMPERATURES), int(rng.integers(2**31))
    expected = pqmf.analysis(sound(engine, channels, style, temperature, seed), SPEC.bands, SPEC.pqmf_taps)
    np.testing.assert_allclose(bands.numpy(), expected, atol=1e-6)
    made = own.batch(64, 5)
    assert made["past"].shape == made["bands"].shape == (64, HOPS * SPEC.steps_per_hop, SPEC.bands)
    found = 0
    for past, asked in zip(made["past"], made["channels"], strict=True):
        for start, _, played in own.played:
            for at in range(own.hops - HOPS + 1):
                steps = slice(at * SPEC.steps_per_hop, (at + HOPS) * SPEC.steps_per_hop)
                if torch.equal(played[steps], past):
                    assert torch.equal(corpus.channels[start + at : start + at + HOPS], asked)
                    found += 1
    assert found == 64


def test_it_learns_where_the_recording_is_silent_or_struck() -> None:
    corpus = resident(SPEC)
    own = own_past(corpus)
    own.hops = RECORDED - 2
    own.played = [(0, 0, torch.zeros(own.hops * SPEC.steps_per_hop, SPEC.bands))]
    made = own.batch(200, 1)
    silent = made["bands"].unflatten(1, (HOPS, -1)).abs().amax((2, 3)) == 0.0
    struck = torch.zeros_like(silent)
    rises = made["channels"][..., 0].diff(dim=1) > 0.0
    for hop in range(4):
        struck[:, 1 + hop :] |= rises[:, : HOPS - 1 - hop]
    assert struck.any()
    assert not (struck & silent).any()
    assert torch.equal(made["counts"].bool(), silent | struck)
    assert 0.0 < made["counts"].mean() < 1.0


def test_nothing_else_counts() -> None:
    corpus, network = resident(SPEC), WaveNet(SPEC)
    own = own_past(corpus)
    own.play(network, 0)
    made, steps, skipped = own.batch(4, 2), SPEC.steps_per_hop, 3 * SPEC.steps_per_hop
    made["counts"] = torch.zeros(4, HOPS)
    made["counts"][:, 7] = 1.0
    made["counts"][:, 1] = 1.0  # within what is skipped
    alone = own_past_loss(network, made, skipped)
    given = made["past"], made["channels"], made["hz"], made["cycles"], made["style"]
    expected = nats(SPEC, network(*given)[0], made["bands"], FLOOR_OF_PAST)[:, 7 * steps : 8 * steps].mean()
    torch.testing.assert_close(alone, expected)
    made["counts"][:] = 0.0
    assert own_past_loss(network, made, skipped) == 0.0


def test_what_was_played_is_renewed_bit_by_bit() -> None:
    own, network = own_past(resident(SPEC)), WaveNet(SPEC)
    own.play(network, 7)
    before = list(own.played)
    own.play(network, 8)
    assert all(a is b for a, b in zip(own.played, before, strict=True))
    own.play(network, EVERY)
    assert len(own.played) == STRETCHES
    assert own.played[0] is before[PLAYED]


def test_a_noisy_network_learns_from_it_to_be_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """By nothing else: 20 dB softer at rest after 400 batches."""
    monkeypatch.setattr(module, "EVERY", 10)
    torch.manual_seed(0)
    corpus, network = resident(SPEC), WaveNet(SPEC)
    own, count = own_past(corpus), 400
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.05, count)
    rest = np.zeros((100, len(SPEC.channels)), np.float32)

    def level() -> float:
        played = sound(quickest_engine(SPEC, as_stored(network.weights())), rest, 0, 0.7, 0)
        return float(np.sqrt(np.mean(played[len(played) // 2 :] ** 2)))

    before = level()
    for number in range(count):
        own.play(network, number)
        loss = own_past_loss(network, own.batch(4, number), 0)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    assert level() < 0.1 * before


def test_a_gate_hides_nothing_from_it() -> None:
    """The network's own past stands before the gate."""
    energy = dataclasses.replace(SPEC.channels[-1], name="energy")
    gated = dataclasses.replace(SPEC, channels=(*SPEC.channels[:-1], energy), gate=Gate("energy", 0.5, 0.9))
    corpus = resident(gated)
    own = OwnPast(corpus, {}, 0.5, seed=3)
    own.play(WaveNet(gated), 0)
    assert own.played[0][2].abs().max() > 1e-3


def test_a_corpus_of_short_clips_is_played_as_far_as_it_goes() -> None:
    corpus = resident(SPEC)
    corpus.spans = [(0, 40, 0), (40, 70, 0)]
    own = own_past(corpus)
    own.play(WaveNet(SPEC), 0)
    assert own.hops == 40
    assert {first for first, _, _ in own.played} == {0}


def test_a_model_with_a_phase_is_refused() -> None:
    with pytest.raises(RecipeError, match="phase"):
        OwnPast(resident(stage("pitched")), {}, 0.5, 1)
