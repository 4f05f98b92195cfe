"""Two alike who went past each other and were taken for each other are put right; others are left alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from livemove.capture.encounters import JUMP, LONGEST_S, Encounter

TRUNK, HOP_S = 60.0, 0.04


def judged(
    way: Callable[[float], tuple[float, float]],
    exchanged: bool,
    hidden: bool = True,
    leapt: float = 2 * JUMP,
    seconds: float = 4.0,
) -> list[float]:
    """When the two were said to be each other. way: where each is; exchanged: they are taken for each other from when
    they are near on; hidden: only one of those who are near is seen; leapt: how far that one leaps."""
    encounter, said, places = Encounter(), list[float](), [np.zeros(2), np.zeros(2)]
    wrong = False
    for number in range(round(seconds / HOP_S)):
        now_s = number * HOP_S
        x = way(now_s)
        near = abs(x[0] - x[1]) < TRUNK
        wrong = wrong or (exchanged and near and number * HOP_S > 1.0)
        new = [np.array([x[1 - each if wrong else each], 100.0]) for each in (0, 1)]
        speeds = [(here - before) / HOP_S for here, before in zip(new, places, strict=True)]
        places = new
        seen = {0: new[0]} if near and hidden else {0: new[0], 1: new[1]}
        if encounter.exchanged(seen, speeds, TRUNK, leapt if near else 0.0, now_s):
            said.append(now_s)
            wrong = False
    return said


def past(time_s: float, speed: float = 150.0) -> tuple[float, float]:
    return speed * (time_s - 1.5), -speed * (time_s - 1.5)


def back(time_s: float) -> tuple[float, float]:
    return -abs(past(time_s)[0]), abs(past(time_s)[0])


def test_two_who_went_past_each_other_are_put_right_once() -> None:
    (at_s,) = judged(past, exchanged=True)
    assert 1.5 < at_s < 2.0


def test_who_went_past_as_who_they_were_are_left_alone() -> None:
    assert judged(past, exchanged=False) == []


@pytest.mark.parametrize(("hidden", "leapt"), [(False, 2 * JUMP), (True, 0.5 * JUMP)])
def test_who_was_followed_without_a_break_is_believed(hidden: bool, leapt: float) -> None:
    """Two who turn back where they meet look, by how they went before, as if they had changed places."""
    assert judged(back, exchanged=False, hidden=hidden, leapt=leapt) == []


def test_after_a_long_encounter_nothing_is_said() -> None:
    def slowly(time_s: float) -> tuple[float, float]:
        return past(time_s, TRUNK / LONGEST_S)

    assert judged(slowly, exchanged=True) == []


def test_the_next_encounter_is_one_of_its_own() -> None:
    def twice(time_s: float) -> tuple[float, float]:
        return past(time_s) if time_s < 3.0 else past(6.0 - time_s)

    assert len(judged(twice, exchanged=True, seconds=6.0)) == 2
