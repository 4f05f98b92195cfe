"""A performance to be driven in whatever way: notes by OSC, a loop and a tail by what a test presses; and what of it
must have been heard.

In: how to press something. Out: what is done at which second; checks of the take that came of it. Knows no key and no
port.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Protocol

import numpy as np

from livemove.contracts import Gate
from tests.support.bundles import PLAYED, two_voices
from tests.support.heard import Heard, level_db, loudest_db, note_of, repeats
from tests.support.osc import packet, send
from tests.support.program import Steps
from tests.support.real_time import timed
from tests.support.reverberation import decay_s

FIRST, SECOND, THIRD = 60.0, 67.0, 76.0
"""MIDI notes: the two of the loop, and the one that is overdubbed."""
SILENCE_DB = -80.0
REVERB = 0.5
MARGIN = 2880
"""Samples, 60 ms: fades, the network's memory and the limiter are over."""


class Press(Protocol):
    """Presses the key, pedal, or what else stands for a row of controls.py; so many times, for a value."""

    def __call__(self, name: str, times: int = 1) -> None: ...


def instrument(folder: Path) -> Path:
    """A model that plays sines, silent at loudness 0, which OSC plays: see `note`."""
    return two_voices(folder, PLAYED, Gate("loudness", 0.02, 0.2)).path


def note(port: int, pitch: float | None) -> None:
    """By OSC; None: silence."""
    if pitch is None:
        send(port, packet("/loudness", 0.0))
    else:
        send(port, packet("/pitch", pitch), packet("/loudness", 0.6))


def looping(port: int, press: Press) -> Steps:
    """Two notes are recorded, a third one is overdubbed, undone, the loop is silenced, heard again and cleared; then
    all three ring in the reverb."""
    return [
        (0.2, lambda: note(port, FIRST)),
        (0.2, lambda: press("loop")),
        (0.2, lambda: note(port, SECOND)),
        (0.2, lambda: press("loop")),
        (0.2, lambda: note(port, None)),
        (1.0, lambda: press("loop")),
        (0.2, lambda: note(port, THIRD)),
        (0.2, lambda: note(port, None)),
        (0.2, lambda: press("loop")),
        (1.2, lambda: press("loop_undo")),
        (0.9, lambda: press("loop_stop")),
        (0.4, lambda: press("loop_stop")),
        (0.4, lambda: press("loop_clear")),
        (0.4, lambda: press("reverb", 10)),
        *((0.2, functools.partial(note, port, each)) for each in (FIRST, SECOND, THIRD, None)),
        (1.0, lambda: None),
    ]


def check_looping(folder: Path) -> None:
    """The take of `looping`: what was asked for is heard, where it was asked for, until something else was."""
    heard = Heard(folder)
    rate = heard.rate
    with timed():  # what was pressed later than the end is in no hop
        loops, stops = heard.changes("loops"), heard.changes("loop_stops")
        undos, clears = heard.changes("loop_undos"), heard.changes("loop_clears")
        assert (len(loops), len(undos), len(stops), len(clears)) == (4, 1, 2, 1)
    begun, closed, overdub, ended = loops
    (undone,), (stopped, again), (cleared,) = undos, stops, clears
    length = closed - begun
    with timed():
        assert heard.gaps(begun) == 0
    recorded = heard.sound[begun:closed]

    def levels(first: int, last: int) -> list[float]:
        """Of the three notes where each is loudest, in a whole round of the loop between two places."""
        with timed():
            assert last - first > length + 2 * MARGIN
        return [loudest_db(heard.sound[first + MARGIN : last, 0], each, rate) for each in (FIRST, SECOND, THIRD)]

    quiet = heard.falls_silent(closed)
    alone = heard.sound[quiet + MARGIN : overdub]
    assert repeats(alone, length) > 0.999
    assert repeats(alone, length // 2) < 0.5, "a loop of two notes is none of half its length"
    assert np.array_equal(alone[:, 0], alone[:, 1])
    before = levels(quiet, overdub)
    played = [loudest_db(recorded[:, 0], each, rate) for each in (FIRST, SECOND)]
    assert np.allclose(before[:2], played, atol=0.5), "as loud as it was played"
    assert min(before[:2]) > before[2] + 40.0

    # The overdub sounds with it as soon as the loop comes round.
    quiet = max(ended, heard.falls_silent(overdub))
    over = levels(quiet, undone)
    assert repeats(heard.sound[quiet + MARGIN : undone], length) > 0.999
    assert over[2] > before[2] + 40.0
    assert np.allclose(over[:2], before[:2], atol=0.5)

    back = levels(undone, stopped)
    assert np.allclose(back[:2], before[:2], atol=0.5)
    assert back[2] < over[2] - 40.0
    assert level_db(heard.sound[stopped + MARGIN : again]) < SILENCE_DB
    assert level_db(heard.sound[again + MARGIN : cleared]) > level_db(alone) - 3.0
    (wet,) = heard.changes("reverb")[:1]
    assert level_db(heard.sound[cleared + MARGIN : wet]) < SILENCE_DB

    # The tail: what was played, gone neither sooner nor later than was set.
    assert abs(float(heard.hops["reverb"][-1]) - REVERB) < 0.01
    tail = heard.sound[heard.falls_silent(cleared) + MARGIN :][: round(0.9 * rate)]
    with timed():
        assert len(tail) > 0.7 * rate
    assert min(abs(note_of(tail[: rate // 4, 0], rate) - each) for each in (FIRST, SECOND, THIRD)) < 0.5
    assert level_db(tail[: rate // 4]) > level_db(recorded) - 30.0
    set_s = float(heard.hops["reverb_decay_s"][-1])
    found_s = decay_s(np.hypot(tail[:, 0], tail[:, 1]), rate, -3.0, -20.0)
    print(f"decay {found_s:.2f} s, set {set_s:.2f} s")
    assert abs(found_s / set_s - 1.0) < 0.2, "three sines meet few of the room's modes, which beat"
