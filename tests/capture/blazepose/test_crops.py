"""Crops: sampled as OpenCV's fixed-point warp samples, which MediaPipe uses."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from livemove.capture.blazepose.crops import Crop
from livemove.capture.blazepose.regions import Region

EDGE = 64
IMAGE = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (180, 320, 3), np.uint8), (0, 0), 1.0)


def expected(region: Region, border: int) -> np.ndarray:
    """Places rounded to 1/32 of a pixel, weights in integers, results rounded half up."""
    places = region.to_image(np.stack(np.meshgrid(*[np.arange(EDGE, dtype=np.float32) / EDGE] * 2), -1))
    fixed = np.rint(places.astype(np.float64) * 32).astype(int)
    whole, part = fixed >> 5, fixed & 31
    framed = cv2.copyMakeBorder(IMAGE, 1, 1, 1, 1, border, value=(0, 0, 0)).astype(int)

    def pixel(right: int, down: int) -> np.ndarray:
        columns = np.clip(whole[..., 0] + right + 1, 0, framed.shape[1] - 1)
        return framed[np.clip(whole[..., 1] + down + 1, 0, framed.shape[0] - 1), columns]

    x, y = part[..., :1], part[..., 1:]
    upper = (32 - x) * pixel(0, 0) + x * pixel(1, 0)
    lower = (32 - x) * pixel(0, 1) + x * pixel(1, 1)
    return ((32 - y) * upper + y * lower + 512) >> 10


@pytest.mark.parametrize("border", [cv2.BORDER_REPLICATE, cv2.BORDER_CONSTANT])
@pytest.mark.parametrize("region", [Region(160, 90, 150, 0.1), Region(20, 160, 200, -2.0), Region.whole(320, 180)])
def test_a_crop_is_the_fixed_point_warp(region: Region, border: int) -> None:
    crop = Crop(EDGE, border)
    crop.take(IMAGE, region)
    different = np.abs(crop.pixels.astype(int) - expected(region, border))
    assert (different > 0).mean() < 0.002  # where a place lies between two thirty-seconds
    exact = cv2.warpAffine(
        IMAGE, region.matrix() * [1 / EDGE, 1 / EDGE, 1], (EDGE, EDGE),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=border,
    )  # fmt: skip
    assert np.abs(crop.pixels.astype(int) - exact).mean() < 1.0  # and not something else altogether


def test_a_crop_forgets_the_one_before() -> None:
    fresh, used = Crop(EDGE, cv2.BORDER_CONSTANT), Crop(EDGE, cv2.BORDER_CONSTANT)
    used.take(255 - IMAGE, Region(50, 50, 80, 1.0))
    for crop in (fresh, used):
        crop.take(IMAGE, Region.whole(320, 180))
    np.testing.assert_array_equal(used.pixels, fresh.pixels)
    assert not used.pixels[:8].any()  # letterboxing
