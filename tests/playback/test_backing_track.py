"""The sound of a take: counted in; the microphone's share of it to the sample."""

from __future__ import annotations

import numpy as np
import pytest

from livemove.playback.backing_track import BEEP_S, Stretch, _between, _count_in

RATE = 48000


def test_each_second_of_the_count_in_begins_with_a_beep() -> None:
    lead = _count_in(4 * RATE, 3.0, RATE, 2)
    loud = np.abs(lead).max(axis=(1,)) > 0.01
    begins = np.flatnonzero(loud & ~np.roll(loud, 1) & (np.arange(len(loud)) % RATE < 0.005 * RATE))
    assert set(begins // RATE) == {1, 2, 3}
    assert not loud[: round(0.99 * RATE)].any()
    assert not loud[round((3 + BEEP_S) * RATE) :].any()


def stretch(first: int, time_s: float, count: int = 1000) -> Stretch:
    return Stretch(first, time_s, np.arange(first, first + count, dtype=np.float32)[:, None], False)


def test_the_microphone_begins_and_ends_within_its_blocks() -> None:
    """A take from 10.0 to 10.05 s, blocks of 1000 samples at 10 kHz: from 9.95 s to 10.15 s."""
    parts = [_between(stretch(1000 * i, 9.95 + 0.1 * i), 10.0, 10.15 - 0.1, 10_000) for i in range(2)]
    assert np.concatenate([part.samples for part in parts])[:, 0].tolist() == list(range(500, 1000))
    assert parts[0].time_s == pytest.approx(10.0)
    assert parts[0].first == 500


def test_before_the_take_begins_the_microphone_gives_marks_only() -> None:
    part = _between(stretch(0, 9.95), None, np.inf, 10_000)
    assert (len(part.samples), part.time_s) == (0, 9.95)
