"""Left and right put back where a landmarker exchanged them, and left alone where somebody turned. Generated bodies."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from livemove.capture import demo
from livemove.capture.sides import HOLD_S, Sides
from livemove.contracts import PoseFrame

FPS = 25.0
PAIRS = [(1, 4), (2, 5), (3, 6), (7, 8), *((left, left + 1) for left in range(9, 33, 2))]
LOWER = range(23, 33)


def exchanged(frame: PoseFrame, which: Callable[[int], bool]) -> PoseFrame:
    order = np.arange(33)
    for left, right in PAIRS:
        if which(left):
            order[[left, right]] = right, left
    for array in (frame.image, frame.world, frame.visibility):
        array[0] = array[0][order]
    return frame


def dance(seconds: float) -> list[PoseFrame]:
    return [demo.pose_at(n / FPS, n) for n in range(round(seconds * FPS))]


@pytest.mark.parametrize("which", [lambda _: True, lambda mark: mark in LOWER, lambda mark: mark not in LOWER])
@pytest.mark.parametrize("back_to_front", [False, True])
def test_what_was_exchanged_for_a_moment_is_put_back(which: Callable[[int], bool], back_to_front: bool) -> None:
    """Also where it takes front for back with it, as landmarkers do."""
    sides, undone = Sides(), 0
    for n, (want, given) in enumerate(zip(dance(6.0), dance(6.0), strict=True)):
        if 40 <= n < 55:
            exchanged(given, which)
            if back_to_front:
                given.world[0, :, 2] *= -1.0
        undone += sides.correct(given, 0)
        np.testing.assert_array_equal(given.world[0, :, :2], want.world[0, :, :2])
        np.testing.assert_array_equal(given.image, want.image)
    assert undone == 15


def test_a_landmarker_that_insists_is_believed() -> None:
    sides, undone = Sides(), []
    for n, given in enumerate(dance(6.0)):
        undone.append(sides.correct(exchanged(given, lambda _: True) if n >= 40 else given, 0))
    assert sum(undone) == pytest.approx(HOLD_S * FPS, abs=2)
    assert not any(undone[-60:])


@pytest.mark.parametrize("turns_a_second", [0.25, 1.0, 2.0])
def test_who_turns_is_left_alone(turns_a_second: float) -> None:
    """A pirouette shows the left where the right was, but by way of a profile."""
    sides = Sides()
    for n, frame in enumerate(dance(4.0)):
        angle = 2 * math.pi * turns_a_second * n / FPS
        x, z = frame.world[0, :, 0].copy(), frame.world[0, :, 2].copy()
        frame.world[0, :, 0] = math.cos(angle) * x - math.sin(angle) * z
        frame.world[0, :, 2] = math.sin(angle) * x + math.cos(angle) * z
        assert not sides.correct(frame, 0)


def test_who_comes_back_may_stand_anyhow() -> None:
    sides = Sides()
    first, second = dance(0.1)[:2]
    assert not sides.correct(first, 0)
    sides.lost()
    assert not sides.correct(exchanged(second, lambda _: True), 0)
    third = exchanged(demo.pose_at(5.0), lambda _: True)
    third.capture_s = 5.0
    assert not sides.correct(third, 0), "nor after a gap"
