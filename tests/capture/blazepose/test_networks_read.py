"""What the two networks say, read: boxes to bodies, heat maps to landmarks."""

from __future__ import annotations

import numpy as np
import pytest

from livemove.capture.blazepose import detections, landmarks

CENTRES = detections.anchors()


def said(boxes: dict[int, list[float]], logits: dict[int, float]) -> np.ndarray:
    """Bodies, where the detector says nothing at all other anchors."""
    raw = np.zeros((len(CENTRES), 12), np.float32)
    sure = np.full(len(CENTRES), -200.0, np.float32)
    for anchor, values in boxes.items():
        raw[anchor, : len(values)] = values
        sure[anchor] = logits[anchor]
    return detections.bodies(raw, sure, CENTRES)


def test_there_is_an_anchor_for_every_box_of_the_network() -> None:
    assert CENTRES.shape == (2254, 2)
    np.testing.assert_allclose(CENTRES[[0, 1, 2]], [[0.5 / 28] * 2, [0.5 / 28] * 2, [1.5 / 28, 0.5 / 28]], rtol=1e-6)
    np.testing.assert_allclose(CENTRES[-1], [6.5 / 7] * 2, rtol=1e-6)


def test_boxes_of_one_body_are_averaged_by_their_scores() -> None:
    # The two anchors of one place, so what is averaged is what is said, in 224ths.
    one, other = [0, 0, 56, 56, 1, 2, 3, 4], [2, 0, 56, 56, 5, 6, 7, 8]
    (body,) = said({0: one, 1: other}, {0: 50.0, 1: 0.0})  # scores 1 and 0.5
    np.testing.assert_allclose((body[2] - CENTRES[0]) * 224, [(1 + 5 / 2) / 1.5, (2 + 6 / 2) / 1.5], atol=1e-4)
    np.testing.assert_allclose((body[1] - body[0]) * 224, [56, 56], atol=1e-3)


def test_bodies_apart_come_the_surest_first() -> None:
    here, there = 2 * 28 * 5 + 10, 2 * 28 * 20 + 40
    bodies = said({here: [0, 0, 20, 20], there: [0, 0, 20, 20]}, {here: 1.0, there: 2.0})
    np.testing.assert_allclose(bodies[:, 2], CENTRES[[there, here]], atol=1e-6)


def test_what_is_unsure_or_inside_out_is_no_body() -> None:
    assert said({0: [0, 0, 20, 20]}, {0: -0.1}).shape == (0, 4, 2)
    assert said({0: [0, 0, -20, 20]}, {0: 5.0}).shape == (0, 4, 2)
    assert said({0: [0, 0, 0, 0]}, {0: 5.0}).shape == (1, 4, 2)


def heat_of(row: int, column: int, logit: float) -> np.ndarray:
    heat = np.full((64, 64, 1), -30.0, np.float32)
    heat[row, column] = logit
    return heat


def refined(x: float, y: float, heat: np.ndarray) -> list[float]:
    points = np.array([[x, y, 0.25]], np.float32)
    landmarks.refine(points, heat)
    assert points[0, 2] == 0.25
    return points[0, :2].tolist()


def test_a_landmark_moves_to_the_centre_of_the_heat_around_it() -> None:
    heat = heat_of(20, 31, 10.0)
    heat[20, 33] = 10.0
    assert refined(30.9 / 64, 20.9 / 64, heat) == pytest.approx([32 / 64, 20 / 64])
    assert refined(30.9 / 64, 20.9 / 64, heat_of(20, 31, 10.0)) == pytest.approx([31 / 64, 20 / 64])


@pytest.mark.parametrize(
    ("x", "y", "row", "column", "logit"),
    [(0.5, 0.5, 32, 32, -0.1), (0.5, 0.5, 32, 36, 9.0), (-0.1, 0.5, 32, 0, 9.0), (1.01, 0.5, 32, 63, 9.0)],
    ids=["unsure", "too far", "left of the crop", "right of the crop"],
)
def test_a_landmark_about_which_the_map_says_nothing_stays(
    x: float, y: float, row: int, column: int, logit: float
) -> None:
    assert refined(x, y, heat_of(row, column, logit)) == pytest.approx([x, y])


def test_a_landmark_at_the_rim_sees_what_there_is_of_the_map() -> None:
    assert refined(0.0, 63.9 / 64, heat_of(62, 2, 9.0)) == pytest.approx([2 / 64, 62 / 64], abs=1e-5)


def test_a_reading_is_in_the_crops_measure() -> None:
    raw = np.zeros((39, 5), np.float32)
    raw[:, :3] = np.arange(39)[:, None] + [64.0, 128.0, 32.0]
    raw[3, 3] = 100.0
    metres = np.arange(117, dtype=np.float32)
    reading = landmarks.read(raw.reshape(-1), np.full((64, 64, 39), -9.0, np.float32), metres)
    assert reading.points.shape == (35, 3)
    np.testing.assert_allclose(reading.points[34], np.array([98.0, 162.0, 66.0]) / 256)
    np.testing.assert_array_equal(reading.metres, metres[:99].reshape(33, 3))
    assert reading.visibility[3] == 1.0
    assert reading.visibility[4] == 0.5
