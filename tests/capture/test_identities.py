"""Who is who of two dancers: by movement, by colours where movement does not tell, and back after a mistake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from livemove.capture.identities import Identities, look_at
from livemove.capture.poses import FoundBody

WIDTH, HEIGHT = 320, 240
RED, BLUE = (200, 40, 40), (30, 60, 190)


@dataclass
class Dancer:
    """Trunk of 60 pixels at x, dressed in one colour."""

    x: float
    colour: tuple[int, int, int] = RED
    seen: bool = True
    hands: float = 140.0
    """How low in the image."""

    @property
    def body(self) -> FoundBody:
        marks = np.zeros((33, 3), np.float32)
        marks[13:23, :2] = self.x, self.hands
        for left, y in ((11, 70), (23, 130), (25, 180), (27, 225)):
            marks[left], marks[left + 1] = (self.x + 18, y, 0), (self.x - 18, y, 0)
        marks[:11, :2] = self.x, 50
        return FoundBody(marks / (WIDTH, HEIGHT, WIDTH), np.ones((33, 3), np.float32), np.ones(33, np.float32))


def shown(dancers: list[Dancer]) -> np.ndarray:
    """The last one is in front."""
    image = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    for dancer in dancers:
        low, high = (round(min(max(dancer.x + side, 0), WIDTH)) for side in (-28, 28))
        image[40:230, low:high] = dancer.colour
    return image


def told(identities: Identities, dancers: list[Dancer], time_s: float, front: int = 1) -> list[int | None]:
    """Which of dancers each place shows; bodies come in the order of the image, whoever they are."""
    image = shown(dancers if front == 1 else dancers[::-1])
    found = sorted(
        ((number, each.body) for number, each in enumerate(dancers) if each.seen), key=lambda each: each[1].image[0, 0]
    )
    placed = identities.assign([body for _, body in found], image, time_s)
    return [next((n for n, body in found if body is place), None) for place in placed]


def along(
    way: Callable[[float], tuple[float, float, bool]], colours: tuple[tuple[int, int, int], ...], seconds: float
) -> list[list[int | None]]:
    """Every 40 ms; way: where both are, and whether the first one covers the other."""
    identities, found = Identities(), list[list[int | None]]()
    for number in range(round(seconds * 25)):
        first, second, covered = way(number / 25)
        dancers = [Dancer(first, colours[0]), Dancer(second, colours[1], seen=not covered)]
        found.append(told(identities, dancers, number / 25, front=0 if covered else 1))
    return found


def crossed(time_s: float) -> tuple[float, float, bool]:
    x = 60 + 100 * min(time_s / 2.0, 2.0)
    return x, WIDTH - x, abs(x - WIDTH / 2) < 22


@pytest.mark.parametrize("colours", [(RED, BLUE), (RED, RED)])
def test_two_who_cross_stay_who_they_are(colours: tuple[tuple[int, int, int], ...]) -> None:
    found = along(crossed, colours, 4.0)
    assert all(places[0] == 0 for places in found)
    assert {places[1] for places in found} == {1, None}
    assert found[-1] == [0, 1]


def test_two_who_meet_and_turn_back_are_told_by_their_colours() -> None:
    """By movement alone they would have gone past each other."""

    def turned(time_s: float) -> tuple[float, float, bool]:
        x, other, covered = crossed(time_s)
        return min(x, other), max(x, other), covered

    found = along(turned, (RED, BLUE), 4.0)
    assert found[-1] == [0, 1]
    assert np.mean([places in ([0, 1], [0, None]) for places in found]) >= 0.97


@pytest.mark.parametrize(("first", "order"), [("left", [0, 1]), ("right", [1, 0])])
def test_who_is_the_first_of_two_who_come_at_once(first: str, order: list[int]) -> None:
    assert told(Identities(first), [Dancer(80), Dancer(240)], 0.0) == order


def test_one_who_was_out_of_sight_comes_back_as_who_it_was() -> None:
    """Also on the other side, as what they wear is known; meanwhile the other one keeps the own place."""
    identities = Identities()
    for number in range(50):
        assert told(identities, [Dancer(80, RED), Dancer(240, BLUE)], number / 25) == [0, 1]
    for number in range(50, 90):
        assert told(identities, [Dancer(80, RED), Dancer(240, BLUE, seen=False)], number / 25) == [0, None]
    assert told(identities, [Dancer(220, RED), Dancer(60, BLUE)], 5.0) == [0, 1]
    assert told(identities, [Dancer(220, RED, seen=False), Dancer(60, BLUE)], 5.04) == [None, 1]
    assert told(identities, [Dancer(220, RED), Dancer(60, BLUE)], 6.0) == [0, 1]


def test_a_second_one_may_come_later() -> None:
    identities = Identities()
    for number in range(25):
        assert told(identities, [Dancer(200)], number / 25) == [0, None]
    assert told(identities, [Dancer(200), Dancer(60, BLUE)], 1.0) == [0, 1]


def test_who_were_taken_for_each_other_are_put_right() -> None:
    """Bodies that change places from one frame to the next: movement says one thing, and soon colours are believed."""
    identities = Identities()
    for number in range(50):
        told(identities, [Dancer(80, RED), Dancer(240, BLUE)], number / 25)
    found = [told(identities, [Dancer(240, RED), Dancer(80, BLUE)], 2.0 + number / 25) for number in range(20)]
    assert found[-1] == [0, 1]
    assert found.count([1, 0]) <= 0.4 * 25
    assert all(places == [0, 1] for places in found[found.index([0, 1]) :])


def test_a_flash_of_light_changes_nobody() -> None:
    identities = Identities()
    for number in range(50):
        told(identities, [Dancer(80, RED), Dancer(240, BLUE)], number / 25)
    for number in range(50, 54):
        assert told(identities, [Dancer(80, BLUE), Dancer(240, RED)], number / 25) == [0, 1]
    assert told(identities, [Dancer(80, RED), Dancer(240, BLUE)], 54 / 25) == [0, 1]


def test_colours_outside_the_image_are_unknown() -> None:
    dancer = Dancer(-40.0)
    assert np.isnan(look_at(dancer.body, shown([dancer])).colours).all()
    assert told(Identities(), [dancer, Dancer(200)], 0.0) == [0, 1]


@pytest.mark.parametrize("gone_s", [0.2, 0.5, 2.0, 8.0])
def test_one_who_is_alone_and_comes_back_is_no_stranger(gone_s: float) -> None:
    """In another pose, a step from there."""
    identities = Identities()
    for number in range(25):
        assert told(identities, [Dancer(150, hands=20)], number / 25) == [0, None]
    assert told(identities, [Dancer(170)], 0.96 + gone_s) == [0, None]


def test_two_alike_in_one_place_are_told_by_how_they_hold_themselves() -> None:
    """By where they are, each would be the other one."""
    identities = Identities()
    for number in range(25):
        assert told(identities, [Dancer(150, hands=20), Dancer(166)], number / 25) == [0, 1]
    assert told(identities, [Dancer(166, hands=24), Dancer(150)], 1.0) == [0, 1]


def test_nobody_is_nobody() -> None:
    identities = Identities()
    assert told(identities, [], 0.0) == [None, None]
    told(identities, [Dancer(80), Dancer(240)], 0.04)
    assert told(identities, [], 0.08) == [None, None]
