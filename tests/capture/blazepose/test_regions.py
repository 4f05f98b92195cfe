"""Regions: the body in the middle and upright, and back to the image."""

from __future__ import annotations

import math

import numpy as np
import pytest

from livemove.capture.blazepose.regions import MARGIN, Region


@pytest.mark.parametrize("lean", [0.0, 0.3, -2.0, math.pi])
def test_a_body_stands_upright_in_the_middle_of_its_region(lean: float) -> None:
    hips = np.array([300.0, 200.0])
    rim = hips + 80.0 * np.array([math.sin(lean), -math.cos(lean)])
    region = Region.around(hips, rim)
    assert region.edge == pytest.approx(2 * 80.0 * MARGIN)
    seen = region.to_image(np.array([[0.5, 0.5], [0.5, 0.5 - 0.5 / MARGIN]], np.float32))
    np.testing.assert_allclose(seen, [hips, rim], atol=1e-3)
    assert math.cos(region.turned - lean) == pytest.approx(1.0)


def test_depth_is_scaled_and_not_turned() -> None:
    region = Region(10.0, 20.0, 50.0, 1.0)
    assert region.to_image(np.array([0.5, 0.5, 0.2], np.float32)) == pytest.approx([10.0, 20.0, 10.0])


def test_metres_turn_as_the_image_does() -> None:
    region = Region(0.0, 0.0, 1.0, 0.7)
    points = np.random.default_rng(0).standard_normal((33, 3)).astype(np.float32)
    turned = region.upright_to_image(points)
    in_image = region.to_image(points + np.float32(0.5))
    np.testing.assert_allclose(turned[:, :2], in_image[:, :2], atol=1e-5)
    np.testing.assert_array_equal(turned[:, 2], points[:, 2])


def test_the_whole_image_lies_in_the_middle_of_a_square() -> None:
    corners = Region.whole(640, 480).to_image(np.array([[0.0, 0.0], [1.0, 1.0]], np.float32))
    np.testing.assert_allclose(corners, [[0.0, -80.0], [640.0, 560.0]], atol=1e-3)


@pytest.mark.parametrize(
    "region",
    [Region(math.nan, 0, 10), Region(0, math.inf, 10), Region(0, 0, 0.0), Region(0, 0, 1e9), Region(0, 0, 9, math.nan)],
)
def test_what_a_lost_network_gives_is_not_usable(region: Region) -> None:
    assert Region(5.0, 5.0, 10.0).usable
    assert not region.usable
