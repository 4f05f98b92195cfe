"""The demo dancer is a body: steady bones, feet on the ground, and lively enough to play."""

from __future__ import annotations

import numpy as np

from livemove.body.features import FEATURES, FeatureStream
from livemove.capture import demo

BONES = [(11, 13), (13, 15), (12, 14), (14, 16), (23, 25), (25, 27), (24, 26), (26, 28), (11, 12), (23, 24)]


def frames(seconds: float) -> np.ndarray:
    """float32 [frames, 33, 3]: the world landmarks."""
    return np.array([demo.pose_at(i / demo.FPS).world[0] for i in range(round(seconds * demo.FPS))])


def test_bones_keep_their_length() -> None:
    world = frames(20.0)
    for a, b in BONES:
        length = np.linalg.norm(world[:, a] - world[:, b], axis=1)
        assert np.ptp(length) < 0.02, (a, b)


def test_moves_without_jumps() -> None:
    """No landmark faster than a thrown hand, 8 m/s."""
    steps = np.linalg.norm(np.diff(frames(30.0), axis=0), axis=2)
    assert steps.max() * demo.FPS < 8.0


def test_stays_in_the_picture() -> None:
    for i in range(600):
        place = demo.pose_at(i / demo.FPS).image[0, :, :2]
        assert place.min() > 0.0
        assert place.max() < 1.0


def test_two_stand_side_by_side_and_dance_one_after_the_other() -> None:
    for i in range(600):
        frame = demo.pose_at(i / demo.FPS, dancers=2)
        assert frame.in_view == 2
        assert frame.image[:2, :, :2].min() > 0.0
        assert frame.image[:2, :, :2].max() < 1.0
        first, second = frame.image[:2, :, 0].mean(axis=1)
        assert first < second
    later = demo.pose_at(3.0 + 2 * demo.BAR * demo.BEAT_S).world[0]
    np.testing.assert_array_equal(demo.pose_at(3.0, dancers=2).world[1], later)
    mirrored = demo.pose_at(3.0, mirror=True, dancers=2)
    np.testing.assert_allclose(mirrored.image[:2, :, 0], 1.0 - demo.pose_at(3.0, dancers=2).image[:2, :, 0], atol=1e-6)


def test_the_same_time_is_the_same_pose() -> None:
    np.testing.assert_array_equal(demo.pose_at(3.21).world, demo.pose_at(3.21).world)


def test_a_mirrored_dancer_keeps_left_and_right() -> None:
    there, mirrored = demo.pose_at(1.0), demo.pose_at(1.0, mirror=True)
    np.testing.assert_allclose(mirrored.image[0, :, 0], 1.0 - there.image[0, :, 0], atol=1e-6)
    np.testing.assert_array_equal(mirrored.world, there.world)


def test_a_lively_range_of_features() -> None:
    stream = FeatureStream()
    found = np.array([stream.update(demo.pose_at(i / demo.FPS, i)) for i in range(round(22 * demo.FPS))])[15:]
    spans = dict(zip(FEATURES, np.ptp(found, axis=0), strict=True))
    for name in ("right_hand_height", "left_hand_height"):
        assert spans[name] > 1.0, name
    for name in (
        "hand_distance",
        "openness",
        "turn",
        "jump",
        "crouch",
        "energy",
        "right_hand_speed",
        "left_foot_height",
    ):
        assert spans[name] > 0.1, name
