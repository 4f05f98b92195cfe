"""Smoothing of landmarks: the published filter, number by number."""

from __future__ import annotations

import math

import numpy as np
import pytest

from livemove.capture.blazepose.smoothing import IN_IMAGE, BodySmoothing, OneEuro


def by_the_paper(values: list[float], times_s: list[float], scale: float) -> list[float]:
    """Casiez et al. 2012, algorithm 1, for one number."""

    def alpha(cutoff_hz: float, elapsed_s: float) -> float:
        return 1.0 / (1.0 + 1.0 / (2 * math.pi * cutoff_hz) / elapsed_s)

    smoothed, speed = [values[0]], 0.0
    for n in range(1, len(values)):
        elapsed_s = times_s[n] - times_s[n - 1]
        rate = (values[n] - values[n - 1]) / scale / elapsed_s
        speed = alpha(1.0, elapsed_s) * rate + (1 - alpha(1.0, elapsed_s)) * speed
        share = alpha(0.05 + 80.0 * abs(speed), elapsed_s)
        smoothed.append(share * values[n] + (1 - share) * smoothed[-1])
    return smoothed


def test_it_is_the_one_euro_filter_with_the_time_that_has_passed() -> None:
    rng = np.random.default_rng(1)
    values = np.cumsum(rng.standard_normal((40, 33, 3)), axis=0).astype(np.float32)
    times_s = np.cumsum(rng.uniform(0.01, 0.08, 40)).tolist()
    smooth = OneEuro(IN_IMAGE)
    found = np.array([smooth(points, 150.0, time_s).copy() for points, time_s in zip(values, times_s, strict=True)])
    for landmark, axis in ((0, 0), (17, 1), (32, 2)):
        wanted = by_the_paper(values[:, landmark, axis].astype(float).tolist(), times_s, 150.0)
        np.testing.assert_allclose(found[:, landmark, axis], wanted, rtol=1e-9)


def test_two_frames_at_one_time_change_nothing() -> None:
    smooth = OneEuro(IN_IMAGE)
    smooth(np.zeros((33, 3), np.float32), 1.0, 2.0)
    assert not smooth(np.ones((33, 3), np.float32), 1.0, 2.0).any()


def test_a_body_that_comes_back_is_where_it_is_seen() -> None:
    """In the image at once; metres and visibility glide, as with MediaPipe."""
    body = BodySmoothing()
    nothing, something = np.zeros((33, 3), np.float32), np.ones((33, 3), np.float32)
    body(nothing, nothing, nothing[:, 0], 100.0, 1.0)
    body.lost()
    image, metres, visibility = body(something, something, something[:, 0], 100.0, 1.1)
    assert (image == 1.0).all()
    assert ((metres > 0.0) & (metres < 1.0)).all()
    assert visibility == pytest.approx(np.full(33, 0.1))
