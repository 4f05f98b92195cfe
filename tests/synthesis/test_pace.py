"""The lead follows the machine: as short as it can be, longer at once when it must, and not forgetful."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

from livemove.ipc.segment import Segment
from livemove.synthesis.pace import Lead, RealTime

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


def test_an_engine_without_much_room_begins_with_a_long_lead() -> None:
    lead = Lead(HOP_S, realtime=2.0)
    assert lead.seconds == 2 * Lead.START_S
    assert played(lead, [0.045]) == 0
    assert played(lead, [0.006] * blocks(10), 1) == 0
    assert abs(lead.seconds - (0.006 + Lead.MARGIN_S)) < 1e-9


def test_an_engine_too_slow_gets_no_more_than_there_is() -> None:
    assert Lead(HOP_S, realtime=0.1).seconds == Lead.MOST_S


def test_blocks_that_waited_longer_than_the_lead_do_not_turn_it_negative() -> None:
    """After a stall callbacks come in a burst, and a margin of hundreds of ms is told: synthesis would never be due."""
    lead = Lead(HOP_S)
    for block in range(400):
        lead.adapt(block + 1, 0, 0.3, block * 0.0107, block * 0.0107)
        assert 0.0 <= lead.seconds <= Lead.MOST_S


def test_a_ring_asks_for_a_block_at_least_whatever_the_lead(segment: Segment) -> None:
    for lead_s in (-1.0, -1e9, 0.0):
        segment.ring.wait_due(lead_s, 0.0)
        assert segment.ring.target == 512


class Thread:
    """A clock, and the time a thread has used on its core."""

    def __init__(self, realtime: float) -> None:
        self.now_s = self.used_s = 100.0
        self.real_time = RealTime(realtime, self.now_s, lambda: self.used_s)

    def hops(self, share: float, seconds: float) -> list[bool]:
        """So many seconds of hops that take this share of a core; what it was after each."""
        seen: list[bool] = []
        for _ in range(round(seconds / HOP_S)):
            self.now_s += HOP_S
            self.used_s += share * HOP_S
            self.real_time.hop(self.now_s)
            seen.append(self.real_time.on)
        return seen


@pytest.fixture
def policies(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What the system was asked for."""
    asked: list[int] = []
    monkeypatch.setattr(os, "sched_setscheduler", lambda pid, policy, param: asked.append(policy), raising=False)
    return asked


OURS = getattr(os, "SCHED_RR", 0) | getattr(os, "SCHED_RESET_ON_FORK", 0)
"""What a thread with room gets; what it starts does not."""

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux is asked")


@on_linux
def test_an_engine_with_room_goes_before_others(policies: list[int]) -> None:
    thread = Thread(2.0)
    assert all(thread.hops(0.5, 20.0))
    assert policies == [OURS]


@on_linux
def test_an_engine_that_fills_its_core_does_not(policies: list[int]) -> None:
    assert not any(Thread(1.1).hops(0.9, 20.0))
    assert policies == []


@on_linux
def test_who_gets_slow_steps_back_before_the_system_stops_everybody_and_comes_again(policies: list[int]) -> None:
    """Linux lets real-time threads have 0.95 s of a second."""
    thread = Thread(2.0)
    thread.hops(0.5, 10.0)
    slow = thread.hops(1.0, 3.0)
    assert slow.index(False) * HOP_S < 0.5
    assert not any(slow[slow.index(False) :])
    after = thread.hops(0.5, 10.0)
    assert RealTime.AWAY_S - 0.5 < after.index(True) * HOP_S < RealTime.AWAY_S + 0.5
    assert all(after[after.index(True) :])
    assert policies == [OURS, os.SCHED_OTHER, OURS]


def test_a_ring_that_was_filled_for_bursts_asks_for_no_lead_below_zero() -> None:
    """A sound server that is held up calls several times at once: samples then have waited longer than the lead."""
    lead = Lead(HOP_S)
    for i in range(3000):
        now = i * BLOCK_S
        lead.adapt(i + 1, 0, lead.seconds + 1.0, now, now)
        assert lead.seconds >= 0.0
