"""The lead follows the machine: as short as it can be, longer at once when it must, and not forgetful."""

from __future__ import annotations

import numpy as np

from livemove.synthesis.pace import Lead

HOP_S = 256 / 48000
BLOCK_S = 512 / 48000
WITHOUT_S = 0.002 + Lead.MARGIN_S
"""The lead of a machine on which every block costs 2 ms."""


def played(lead: Lead, cost_s: list[float], start: int = 0, starvations: int = 0) -> int:
    """One block per entry: its hops take cost_s from when they are due. The starvations so far."""
    for i, cost in enumerate(cost_s, start):
        margin_s, called_s = lead.seconds - cost, 100.0 + i * BLOCK_S
        starvations += margin_s < 0
        lead.adapt(i + 1, starvations, max(margin_s, 0.0), called_s, called_s - margin_s)
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
    starved = played(lead, [0.009], blocks(at_s), starved)
    assert starved == 1
    assert lead.seconds > WITHOUT_S + HOP_S - 1e-9
    played(lead, [0.002] * blocks(then_s), blocks(at_s) + 1, starved)
    return lead.seconds


def test_a_bad_moment_is_remembered_for_half_a_minute_and_then_forgotten() -> None:
    assert after_a_bad_moment(Lead(HOP_S), 100.0, 25.0) > WITHOUT_S + HOP_S - 1e-9
    assert after_a_bad_moment(Lead(HOP_S), 100.0, 35.0) < WITHOUT_S + 1e-3


def test_a_bad_beginning_is_forgotten_sooner() -> None:
    assert after_a_bad_moment(Lead(HOP_S), 3.0, 1.0) > WITHOUT_S + HOP_S - 1e-9
    assert after_a_bad_moment(Lead(HOP_S), 3.0, 6.0) < WITHOUT_S + 1e-3


def test_what_was_missing_is_missing_no_second_time() -> None:
    lead = Lead(HOP_S)
    starved = played(lead, [0.002] * blocks(100.0))
    assert played(lead, [0.020, 0.020, 0.020], blocks(100.0), starved) == 1


def test_a_second_of_nothing_is_not_followed_by_half_a_minute_of_lateness() -> None:
    lead = Lead(HOP_S)
    starved = played(lead, [0.002] * blocks(100.0))
    assert played(lead, [1.0], blocks(100.0), starved) == 1
    assert lead.seconds < WITHOUT_S + Lead.START_S + 1e-9


def test_nothing_played_is_nothing_learnt() -> None:
    lead = Lead(HOP_S)
    for i in range(1000):
        lead.adapt(i, 0, 0.0, 100.0 + i * BLOCK_S, 100.0 + i * BLOCK_S)
    assert lead.seconds == Lead.START_S


def test_the_lead_has_bounds() -> None:
    lead = Lead(HOP_S)
    played(lead, [1.0] * blocks(5))
    assert lead.seconds == Lead.MOST_S
    lead = Lead(HOP_S)
    played(lead, [0.0] * blocks(5))
    assert lead.seconds == Lead.MARGIN_S


def test_an_engine_without_much_room_keeps_a_long_lead() -> None:
    lead = Lead(HOP_S, realtime=2.0)
    played(lead, [0.002] * blocks(5))
    assert lead.seconds == 2 * Lead.START_S
    assert played(lead, [0.045] * blocks(1), blocks(5)) == 0


def test_an_engine_too_slow_gets_no_more_than_there_is() -> None:
    assert Lead(HOP_S, realtime=0.1).seconds == Lead.MOST_S
