"""What a network is shown of one body where another one is in the way. Generated bodies."""

from __future__ import annotations

import numpy as np
import pytest

from livemove.capture.blazepose.regions import Region
from livemove.capture.blazepose.silhouettes import GREY, Cover, silhouette
from livemove.contracts import Float64

EDGE = 64
WHOLE = Region(50.0, 50.0, 100.0)


def standing(x: float) -> Float64:
    """float64 [33, 2]: upright, the trunk 30 pixels long, at x."""
    marks = np.full((33, 2), (x, 20.0))
    for left, (aside, y) in {11: (8, 30), 13: (10, 42), 15: (10, 54), 23: (6, 60), 25: (6, 75), 27: (6, 90)}.items():
        marks[left], marks[left + 1] = (x + aside, y), (x - aside, y)
    for end, joint in {17: 15, 19: 15, 21: 15, 29: 27, 31: 27}.items():
        marks[[end, end + 1]] = marks[[joint, joint + 1]]
    return marks


def painted(cover: Cover, region: Region = WHOLE) -> tuple[np.ndarray, np.ndarray | None]:
    """(which pixels of a white crop are grey now, what was said about it)."""
    pixels = np.full((EDGE, EDGE, 3), 255, np.uint8)
    said = cover.paint(pixels, region)
    return (pixels == GREY).all(axis=2), said


def at(mask: np.ndarray, x: float, y: float) -> bool:
    """In pixels of the image."""
    return bool(mask[round(y / 100 * EDGE), round(x / 100 * EDGE)])


def test_a_body_is_where_its_landmarks_are() -> None:
    mask = silhouette(standing(50), WHOLE, EDGE)
    assert mask is not None
    assert all(at(mask, x, y) for x, y in [(50, 20), (50, 45), (60, 50), (44, 80)])
    assert not any(at(mask, x, y) for x, y in [(20, 45), (80, 45), (50, 95), (30, 20)])


def test_a_turned_region_shows_it_turned() -> None:
    """A quarter turn clockwise, as one sees it: what is above in the image is at the left of the crop."""
    mask = silhouette(standing(50), Region(50.0, 50.0, 100.0, np.pi / 2), EDGE)
    assert mask is not None
    assert at(mask, 20, 50)
    assert not at(mask, 50, 20)


def test_the_other_one_is_painted_over_but_for_what_is_ones_own() -> None:
    all_of_it, said = painted(Cover([standing(60)]))
    assert said is not None
    np.testing.assert_array_equal(all_of_it, said > 0)
    assert at(all_of_it, 60, 45)
    assert at(all_of_it, 54, 45)
    shared, _ = painted(Cover([standing(60)], standing(48)))
    assert at(shared, 70, 50)
    assert not at(shared, 54, 45)


@pytest.mark.parametrize("cover", [Cover(), Cover([standing(300)])])
def test_who_is_elsewhere_hides_nothing(cover: Cover) -> None:
    grey, said = painted(cover)
    assert not grey.any()
    assert said is None


def test_landmarks_that_are_absurd_are_no_trouble() -> None:
    marks = standing(50)
    marks[15:] *= 1e6
    painted(Cover([marks], -marks))
    assert silhouette(np.full((33, 2), np.nan), WHOLE, EDGE) is None
