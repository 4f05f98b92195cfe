"""The last minutes in memory: no more of it than they need, however long it plays."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from livemove.ipc.segment import Segment
from livemove.takes.history import History
from tests.support.recording import Stage, settings


def test_engine_states_go_with_the_hops_that_follow_them(segment: Segment, tmp_path: Path) -> None:
    """A state every hundred hops, for longer than hops are kept: one every five seconds, none whose hops are gone."""
    stage = Stage(segment)
    memory = History(segment, settings(tmp_path, keep_s=0.0))
    for _ in range(65):
        place = {"life_s": 1.0, "hop": stage.hops, "first_sample": segment.ring.written, "rate": 48000}
        segment.snapshot.write(place, {"state": np.zeros(4, np.float32)})
        stage.play(100)
        memory.gather()
    rows = memory.hops.end - memory.hops.start
    assert memory.hops.end == 6_500 > rows
    heads = [snapshot.head["hop"] for snapshot in memory.snapshots]
    assert heads[0] <= memory.hops.start < heads[1], "the first hop that is kept can still be made again"
    assert set(np.diff(heads)) == {1000}, "938 hops are five seconds"
    assert heads[-1] == 6_000
    assert len(heads) <= rows / 1000 + 2
