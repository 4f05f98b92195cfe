"""Body features: what they must not depend on, what they must not see, and how they let go."""

from __future__ import annotations

import math

import numpy as np
import pytest

from livemove.body.features import (
    FEATURES,
    REST,
    TABLE,
    FeatureSpec,
    FeatureStream,
    OneEuroSpec,
    OneEuroState,
    one_euro,
)
from livemove.capture import demo
from livemove.contracts import PoseFrame

FPS = 30.0
LEFT_ARM = [i for i, name in enumerate(FEATURES) if name.startswith(("left_hand", "left_elbow"))]
LEFT_WRIST = 15


def dance(seconds: float, start_s: float = 0.0) -> list[PoseFrame]:
    """The demo dancer, filmed at FPS."""
    return [demo.pose_at(start_s + i / FPS, i) for i in range(round(seconds * FPS))]


def features(frames: list[PoseFrame], spec: FeatureSpec | None = None) -> np.ndarray:
    """float32 [frames, F]."""
    stream = FeatureStream(spec or FeatureSpec())
    return np.array([stream.update(frame) for frame in frames])


def standing(time_s: float = 0.0) -> PoseFrame:
    """Upright, facing the camera, arms hanging."""
    frame = PoseFrame(capture_s=time_s, people=1)
    marks = np.zeros((33, 3), np.float32)
    for side, out in ((0, 1.0), (1, -1.0)):
        for mark, place in {
            7: (0.07, -0.72, 0), 11: (0.18, -0.5, 0), 13: (0.20, -0.22, 0), 15: (0.20, 0.03, 0),
            23: (0.1, 0, 0), 25: (0.1, 0.42, 0), 27: (0.1, 0.84, 0), 29: (0.1, 0.88, 0), 31: (0.12, 0.9, -0.1),
        }.items():  # fmt: skip
            marks[mark + side] = (out * place[0], place[1], place[2])
    frame.world[0] = marks
    frame.image[0] = 0.5 + 0.3 * marks
    frame.visibility[0] = 1.0
    return frame


def index(name: str) -> int:
    return FEATURES.index(name)


def test_standing_with_hanging_arms_is_the_rest_pose() -> None:
    found = features([standing(i / FPS) for i in range(30)])[-1]
    expected = REST.copy()
    expected[index("presence")] = 1.0
    np.testing.assert_allclose(found, expected, atol=0.12)


def test_names_are_unique_and_rest_lies_in_range() -> None:
    assert len(set(FEATURES)) == len(FEATURES)
    assert all(feature.minimum <= feature.rest <= feature.maximum for feature in TABLE)


def test_stays_in_range() -> None:
    found = features(dance(20.0))
    assert (found >= [feature.minimum for feature in TABLE]).all()
    assert (found <= [feature.maximum for feature in TABLE]).all()


def test_size_of_the_body_drops_out() -> None:
    frames = dance(6.0)
    small = features(frames)
    for frame in frames:
        frame.world *= 1.7
    np.testing.assert_allclose(features(frames), small, atol=1e-4)


def test_distance_and_place_in_the_picture_drop_out() -> None:
    frames = dance(6.0)
    near = features(frames)
    for frame in frames:
        frame.image[0] = 0.3 * frame.image[0] + (0.6, 0.1, 0.0)
    np.testing.assert_allclose(features(frames), near, atol=1e-4)


def test_a_mirrored_picture_reads_the_same() -> None:
    mirrored = [demo.pose_at(i / FPS, i, mirror=True) for i in range(180)]
    np.testing.assert_allclose(features(mirrored), features(dance(6.0)), atol=1e-4)


def test_a_mirrored_body_swaps_left_and_right() -> None:
    frames = dance(6.0)
    found = features(frames)
    other = [0, 4, 5, 6, 1, 2, 3, 8, 7, 10, 9] + [i + 1 if i % 2 else i - 1 for i in range(11, 33)]
    for frame in frames:
        frame.world[0] = frame.world[0, other] * (-1, 1, 1)
        frame.image[0] = frame.image[0, other] * (-1, 1, 1) + (1, 0, 0)
    swapped = features(frames)
    for name in FEATURES:
        expected = found[:, index(name)]
        if name.startswith("left_"):
            expected = found[:, index(name.replace("left_", "right_"))]
        elif name.startswith("right_"):
            expected = found[:, index(name.replace("right_", "left_"))]
        elif name in ("lean_side", "turn", "twist", "head_tilt", "travel"):
            expected = -expected
        np.testing.assert_allclose(swapped[:, index(name)], expected, atol=1e-4, err_msg=name)


def test_causal() -> None:
    frames = dance(4.0)
    whole = features(frames)
    half = len(frames) // 2
    for frame in frames[half:]:
        frame.world *= -3.0
        frame.visibility *= 0.0
    np.testing.assert_array_equal(features(frames)[:half], whole[:half])


def test_reset_starts_afresh() -> None:
    stream = FeatureStream()
    first = [stream.update(frame) for frame in dance(2.0)]
    stream.reset()
    np.testing.assert_array_equal([stream.update(frame) for frame in dance(2.0)], first)


def test_before_anything_is_seen_it_is_at_rest() -> None:
    np.testing.assert_array_equal(FeatureStream().at(123.0), REST)


def test_a_limb_out_of_view_holds_then_eases_to_rest_alone() -> None:
    frames = [demo.pose_at(2.0) for _ in range(round(3.0 * FPS))]  # a dancer who stands like a statue
    for i, frame in enumerate(frames):
        frame.capture_s = i / FPS
        frame.visibility[0, LEFT_WRIST] = 1.0 if i < 30 else 0.1
    found = features(frames)
    last_seen = 29
    held = found[last_seen : last_seen + int(0.4 * FPS)]
    np.testing.assert_allclose(held[:, LEFT_ARM], np.tile(found[last_seen, LEFT_ARM], (len(held), 1)), atol=1e-4)
    falling = found[last_seen + round(0.7 * FPS), index("left_hand_height")]
    assert REST[index("left_hand_height")] < falling < found[last_seen, index("left_hand_height")]
    np.testing.assert_array_equal(found[-1, LEFT_ARM], REST[LEFT_ARM])
    right = [index("right_hand_height"), index("right_elbow"), index("facing"), index("presence")]
    np.testing.assert_allclose(found[-1, right], found[last_seen, right], atol=1e-3)


def test_nobody_in_view_eases_to_rest_within_a_second() -> None:
    frames = dance(2.0)
    nobody = [PoseFrame(capture_s=2.0 + i / FPS, sequence=60 + i) for i in range(60)]
    found = features(frames + nobody)
    np.testing.assert_allclose(found[60 + 8, index("presence")], 1.0)
    np.testing.assert_array_equal(found[60 + 31 :], np.tile(REST, (29, 1)))


def test_a_capture_that_dies_eases_to_rest() -> None:
    stream = FeatureStream()
    last = [stream.update(frame) for frame in dance(2.0)][-1]
    ended_s = 59 / FPS
    np.testing.assert_array_equal(stream.at(ended_s + 0.39), last)
    np.testing.assert_array_equal(stream.at(ended_s + 1.01), REST)


def test_easing_is_smooth_between_hops() -> None:
    stream = FeatureStream()
    for frame in dance(2.0):
        stream.update(frame)
    hops = np.array([stream.at(2.0 + i * 256 / 48000) for i in range(240)])
    assert np.abs(np.diff(hops, axis=0)).max() < 0.05


def test_looking_does_not_change_anything() -> None:
    looked, unlooked = FeatureStream(), FeatureStream()
    for frame in dance(1.0):
        looked.at(frame.capture_s - 0.01)
        looked.at(frame.capture_s + 5.0)
        np.testing.assert_array_equal(looked.update(frame), unlooked.update(frame))


def test_a_return_after_an_absence_starts_where_the_hand_is() -> None:
    stream = FeatureStream()
    for frame in dance(2.0):
        stream.update(frame)
    for i in range(90):
        stream.update(PoseFrame(capture_s=2.0 + i / FPS))
    back = [demo.pose_at(9.0) for _ in range(10)]
    for i, frame in enumerate(back):
        frame.capture_s = 6.0 + i / FPS
    found = np.array([stream.update(frame) for frame in back])
    alone = features([back[0], back[1]])
    place, speed = index("right_hand_side"), index("right_hand_speed")
    np.testing.assert_allclose(found[6:, place], found[-1, place], atol=1e-3)
    assert found[:, speed].max() <= alone[:, speed].max() + 1e-3


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_landmarks_that_are_not_numbers_count_as_nobody(bad: float) -> None:
    frames = dance(2.0)
    frames[40].world[0, LEFT_WRIST, 0] = bad
    found = features(frames)
    assert np.isfinite(found).all()
    assert found[40, index("presence")] == 1.0  # held


def test_an_older_frame_changes_nothing() -> None:
    stream = FeatureStream()
    frames = dance(1.0)
    last = [stream.update(frame) for frame in frames][-1]
    np.testing.assert_array_equal(stream.update(frames[3]), last)


def test_one_euro_is_the_published_formula() -> None:
    rng = np.random.default_rng(5)
    xs, steps = rng.standard_normal(200), rng.uniform(0.01, 0.08, 200)
    spec = OneEuroSpec(minimum_hz=1.3, beta=0.7, speed_hz=2.0)
    state = OneEuroState(np.array([xs[0]]), np.zeros(1))
    found = [float(one_euro(np.array([x]), dt, state, spec)[0]) for x, dt in zip(xs[1:], steps[1:], strict=True)]

    def alpha(cutoff: float, dt: float) -> float:  # Casiez, Roussel & Vogel 2012, algorithm 1
        return 1.0 / (1.0 + (1.0 / (2 * math.pi * cutoff)) / dt)

    expected, x_hat, dx_hat = [], xs[0], 0.0
    for x, dt in zip(xs[1:], steps[1:], strict=True):
        a = alpha(2.0, dt)
        dx_hat = a * ((x - x_hat) / dt) + (1 - a) * dx_hat
        a = alpha(1.3 + 0.7 * abs(dx_hat), dt)
        x_hat = a * x + (1 - a) * x_hat
        expected.append(x_hat)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_jittering_timestamps_do_not_become_false_speed() -> None:
    """A hand rising steadily, filmed by a camera whose frames come up to 10 ms late, and say so."""
    rng = np.random.default_rng(2)

    def rising(times: np.ndarray) -> np.ndarray:
        frames = []
        for t in times:
            frame = standing(float(t))
            frame.world[0, 15] += (0.3, -0.5 * float(t), 0.0)
            frames.append(frame)
        return features(frames)[20:, index("left_hand_speed")]

    even = np.arange(60) / FPS
    steady, jittered = rising(even), rising(even + rng.uniform(0, 0.010, 60))
    np.testing.assert_allclose(jittered, steady, atol=0.1 * float(steady.mean()))


def late(frames: list[PoseFrame], spec: FeatureSpec, ahead_s: float) -> np.ndarray:
    stream = FeatureStream(spec)
    found = []
    for frame in frames:
        stream.update(frame)
        found.append(stream.at(frame.capture_s + ahead_s))
    return np.array(found)


def test_look_ahead_is_nearer_to_the_present_on_a_steady_motion() -> None:
    frames = []
    for i in range(90):
        frame = standing(i / FPS)
        frame.world[0, 16] += (-0.3, -0.25 * i / FPS, 0.0)
        frames.append(frame)
    height = index("right_hand_height")
    truth = features(frames, FeatureSpec(body=OneEuroSpec(1e6, 0.0, 1e6)))[:, height]
    late_by = 2
    held = late(frames, FeatureSpec(), late_by / FPS)[30:-late_by, height]
    ahead = late(frames, FeatureSpec(look_ahead_s=0.08), late_by / FPS)[30:-late_by, height]
    present = truth[30 + late_by :]
    assert np.abs(ahead - present).mean() < 0.3 * np.abs(held - present).mean()


def test_look_ahead_does_not_overshoot_a_reversal() -> None:
    """A trembling hand: extrapolation would make the tremble larger."""
    frames = []
    for i in range(90):
        frame = standing(i / FPS)
        frame.world[0, 16] += (-0.3, -0.3 + 0.06 * (-1) ** i, 0.0)
        frames.append(frame)
    height = index("right_hand_height")
    held = late(frames, FeatureSpec(), 0.03)[30:, height]
    ahead = late(frames, FeatureSpec(look_ahead_s=0.08), 0.03)[30:, height]
    assert np.ptp(ahead) <= 1.02 * np.ptp(held)


def test_look_ahead_leaves_the_poses_own_moment_alone() -> None:
    frames = dance(3.0)
    np.testing.assert_array_equal(features(frames, FeatureSpec(look_ahead_s=0.08)), features(frames))


def test_a_jump_is_both_feet_in_the_air() -> None:
    frames = [standing(i / FPS) for i in range(90)]
    for i in range(60, 75):
        frames[i].image[0, :, 1] -= 0.3 * 0.35 * math.sin(math.pi * (i - 60) / 15)
    found = features(frames)[:, index("jump")]
    assert found[30:60].max() == 0.0
    assert found[60:75].max() > 0.5
    assert found[82:].max() == 0.0
