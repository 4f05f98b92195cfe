"""The lead follows the machine: as short as it can be, longer at once when it must, and not forgetful."""

from __future__ import annotations

import numpy as np

from livemove.synthesis.pace import Lead

HOP_S = 256 / 48000
BLOCK_S = 512 / 48000


def played(lead: Lead, cost_s: list[float], start: int = 0, starvations: int = 0) -> int:
    """One block per entry: its hops take cost_s from when they are due. The starvations so far."""
    for i, cost in enumerate(cost_s, start):
        margin_s = lead.seconds - cost
        if margin_s < 0:
            starvations += 1
            margin_s = 0.0
        lead.adapt(i + 1, starvations, margin_s, 100.0 + i * BLOCK_S)
    return starvations


def blocks(seconds: float) -> int:
    return round(seconds / BLOCK_S)


def test_a_fast_machine_gets_a_short_lead() -> None:
    lead = Lead(HOP_S)
    assert played(lead, [0.002] * blocks(3)) == 0
    assert abs(lead.seconds - (0.002 + Lead.MARGIN_S)) < 1e-9


def test_jitter_is_given_room_before_it_starves() -> None:
    """Slowness that grows slower than the margin never starves."""
    lead = Lead(HOP_S)
    costs = np.linspace(0.002, 0.03, blocks(20))
    assert played(lead, costs.tolist()) == 0
    assert lead.seconds >= 0.03


def after_a_bad_moment(lead: Lead, at_s: float, then_s: float) -> float:
    """The lead, so many seconds after the one block it missed at at_s."""
    starved = played(lead, [0.002] * blocks(at_s))
    starved = played(lead, [0.012], blocks(at_s), starved)
    assert starved == 1
    assert lead.seconds > 0.004 + HOP_S - 1e-9
    played(lead, [0.002] * blocks(then_s), blocks(at_s) + 1, starved)
    return lead.seconds


def test_a_bad_moment_is_remembered_for_half_a_minute_and_then_forgotten() -> None:
    assert after_a_bad_moment(Lead(HOP_S), 100.0, 25.0) > 0.004 + HOP_S - 1e-9
    assert after_a_bad_moment(Lead(HOP_S), 100.0, 35.0) < 0.0055


def test_a_bad_beginning_is_forgotten_sooner() -> None:
    assert after_a_bad_moment(Lead(HOP_S), 3.0, 1.0) > 0.004 + HOP_S - 1e-9
    assert after_a_bad_moment(Lead(HOP_S), 3.0, 6.0) < 0.0055


def test_nothing_played_is_nothing_learnt() -> None:
    lead = Lead(HOP_S)
    for i in range(1000):
        lead.adapt(i, 0, 0.0, 100.0 + i * BLOCK_S)
    assert lead.seconds == Lead.START_S


def test_the_lead_has_bounds() -> None:
    lead = Lead(HOP_S)
    played(lead, [1.0] * blocks(5))
    assert lead.seconds == Lead.MOST_S
    lead = Lead(HOP_S)
    played(lead, [0.0] * blocks(5))
    assert lead.seconds == Lead.LEAST_S


def test_an_engine_without_much_room_keeps_a_long_lead() -> None:
    lead = Lead(HOP_S, realtime=2.0)
    played(lead, [0.002] * blocks(5))
    assert lead.seconds == 2 * Lead.START_S
    assert played(lead, [0.045] * blocks(1), blocks(5)) == 0


def test_an_engine_too_slow_gets_no_more_than_there_is() -> None:
    assert Lead(HOP_S, realtime=0.1).seconds == Lead.MOST_S
