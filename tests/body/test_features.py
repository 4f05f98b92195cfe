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
    behind_s,
)
from livemove.capture import demo
from livemove.contracts import PoseFrame
from livemove.diagnostics.delay import delay_of

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
    for frame in dance(2.0):
        stream.update(frame)
    ended_s = 59 / FPS
    np.testing.assert_array_equal(stream.at(ended_s + 0.39), stream.at(ended_s + 0.08))
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


HEIGHT = FEATURES.index("right_hand_height")
HOP_S = 256 / 48000
HELD = FeatureSpec(look_ahead_s=0.0)
ALL_THE_WAY = FeatureSpec(back=0.0)  # predicted to the moment when a hop is heard


def moved(heights: np.ndarray, fps: float = FPS) -> list[PoseFrame]:
    """The stretched right arm turned about its shoulder, to heights [frames]: -1 hanging, 1 straight up."""
    frames = []
    for i, height in enumerate(heights):
        frame = standing(i / fps)
        for mark, length in ((14, 0.28), (16, 0.53)):
            reach = (-length * math.sqrt(1.0 - height**2), -length * height, 0.0)
            frame.world[0, mark] = frame.world[0, 12] + np.array(reach, np.float32)
        frames.append(frame)
    return frames


def played(frames: list[PoseFrame], spec: FeatureSpec, arrival_s: float = 0.02, heard_s: float = 0.04) -> np.ndarray:
    """float64 [hops, 1 + F]: times at which hops are heard, and their features: poses are there arrival_s after their
    capture, hops are heard heard_s after they were begun."""
    stream, rows, newest = FeatureStream(spec), [], 0
    for hop in range(round((frames[-1].capture_s + arrival_s) / HOP_S)):
        at_s = hop * HOP_S + heard_s
        while newest < len(frames) and frames[newest].capture_s + arrival_s <= hop * HOP_S:
            stream.update(frames[newest], at_s)
            newest += 1
        rows.append([at_s, *stream.at(at_s)])
    return np.array(rows)


def measured(frames: list[PoseFrame]) -> np.ndarray:
    """float32 [frames]: the right hand's height as the landmarks have it."""
    stream, heights = FeatureStream(), []
    for frame in frames:
        stream.update(frame)
        heights.append(stream.measured()[HEIGHT])
    return np.array(heights)


def test_a_movement_is_heard_as_it_is_then_not_as_it_was_seen() -> None:
    times = np.arange(120) / FPS
    frames = moved(0.5 * np.sin(2 * math.pi * 0.5 * times))
    raw = measured(frames)
    errors = {}
    for name, spec in (("held", HELD), ("predicted", ALL_THE_WAY)):
        found = played(frames, spec)[round(1.0 / HOP_S) :]
        errors[name] = np.abs(found[:, 1 + HEIGHT] - np.interp(found[:, 0], times, raw))[found[:, 0] < times[-1]].mean()
    assert errors["predicted"] < 0.5 * errors["held"]


def test_a_prediction_that_is_shorter_is_steadier() -> None:
    """It is as late as it was made to be, and follows that far better."""
    times = np.arange(240) / FPS
    frames = moved(0.3 * np.sin(2 * math.pi * 0.4 * times) + 0.2 * np.sin(2 * math.pi * 1.1 * times))
    raw = measured(frames)
    left = {}
    for spec in (ALL_THE_WAY, FeatureSpec()):
        found = played(frames, spec)[round(1.0 / HOP_S) : round(8.5 / HOP_S)]
        best = delay_of(times, raw, found[:, 0], found[:, 1 + HEIGHT])
        late = np.interp(found[:, 0] - best.seconds, times, raw)
        left[spec.back] = best.seconds, float(np.std(found[:, 1 + HEIGHT] - late))
    (soon_s, rough), (later_s, smooth) = left.values()
    assert soon_s < later_s < soon_s + 0.035
    assert smooth < 0.75 * rough


@pytest.mark.parametrize(("fps", "heard_s"), [(25.0, 0.04), (25.0, 0.015), (60.0, 0.015)])
def test_hops_are_as_far_behind_as_the_newest_pose_is_when_it_is_first_heard(fps: float, heard_s: float) -> None:
    """A steady movement comes evenly then, whatever camera and device: nothing of it is predicted but what lies between
    two poses."""
    times = np.arange(round(5.0 * fps)) / fps
    frames = moved(-0.8 + 1.6 * np.clip((times - 2.0) / 2.5, 0.0, 1.0), fps)
    found = played(frames, FeatureSpec(), heard_s=heard_s)[round(2.5 / HOP_S) : round(4.3 / HOP_S)]
    lags = found[:, 0] - np.interp(found[:, 1 + HEIGHT], measured(frames), times)
    first_s = 0.02 + 0.5 * HOP_S + heard_s  # a pose is there after 20 ms, and waits for the next hop
    assert lags.mean() == pytest.approx(first_s - 0.05 / fps, abs=0.006)
    assert lags.std() < 0.35 * (1.0 / fps) / math.sqrt(12.0)  # the sawtooth of poses that are held


def test_hops_are_never_far_behind() -> None:
    """A camera that is late itself, or an audio device: what lies further back is predicted."""
    spec = FeatureSpec()
    assert behind_s(0.045, 0.04, spec) == pytest.approx(0.045 - 0.09 * 0.04)
    assert behind_s(0.2, 0.04, spec) == pytest.approx(1.5 * 0.04)
    assert behind_s(0.0, 0.04, spec) == 0.0


def test_what_was_measured_has_the_filters_reach_and_none_of_its_lag() -> None:
    rng = np.random.default_rng(5)
    heights = np.concatenate([np.full(40, -0.6), np.full(40, 0.6)])
    frames = moved(heights)
    noisy = moved(heights)
    for frame in noisy:
        frame.world[0] += rng.normal(0, 0.004, (33, 3)).astype(np.float32)
    np.testing.assert_allclose(measured(frames)[[39, 40]], [-0.6, 0.6], atol=0.06)
    stream = FeatureStream()
    for frame in noisy:
        filtered = float(stream.update(frame)[HEIGHT])
    assert measured(noisy)[-20:].mean() == pytest.approx(filtered, abs=0.01)
    assert FeatureStream().measured().tolist() == REST.tolist()
    nobody = PoseFrame(capture_s=9.0)
    np.testing.assert_array_equal(stream.update(nobody), stream.measured())


def test_a_feature_does_not_jump_when_a_pose_comes() -> None:
    """Against the same dance filmed 100 times a second, a hop moves hardly further: what a pose corrects is spread."""
    fine = [demo.pose_at(i / 100, i) for i in range(400)]
    coarse = dance(4.0)
    step = {}
    for name, frames in (("fine", fine), ("coarse", coarse)):
        found = played(frames, FeatureSpec())[round(1.0 / HOP_S) :, 1 + HEIGHT]
        step[name] = np.abs(np.diff(found)).max()
    assert step["coarse"] < 3.0 * step["fine"]
    jumping = FeatureStream()
    worst = 0.0
    for frame in coarse[:-1]:
        before = jumping.at(frame.capture_s + 0.04)[HEIGHT]
        jumping.update(frame)
        worst = max(worst, abs(float(jumping.at(frame.capture_s + 0.04)[HEIGHT] - before)))
    assert step["coarse"] < worst  # without `heard_s` a pose is a step


def test_an_abrupt_stop_overshoots_little_and_settles_soon() -> None:
    """A move at steady speed for 0.4 s, then none: at most 15 % too far, settled within 120 ms."""
    times = np.arange(90) / FPS
    heights = 0.5 * np.clip((times - 1.0) / 0.4, 0.0, 1.0)
    found = played(moved(heights), FeatureSpec())
    low, high = found[round(0.9 / HOP_S), 1 + HEIGHT], found[-1, 1 + HEIGHT]
    after = found[found[:, 0] > 1.4]
    away = (after[:, 1 + HEIGHT] - high) / (high - low)
    assert away.max() <= 0.15
    assert after[np.abs(away) > 0.05, 0].max(initial=1.4) - 1.4 <= 0.12


def test_a_trembling_landmark_is_not_made_to_tremble_more() -> None:
    frames = moved(0.3 + 0.02 * (-1.0) ** np.arange(90))
    span = {
        name: np.ptp(played(frames, spec)[round(1.0 / HOP_S) :, 1 + HEIGHT])
        for name, spec in (("held", HELD), ("predicted", FeatureSpec()))
    }
    assert span["predicted"] <= 1.02 * span["held"]


def test_look_ahead_leaves_the_poses_own_moment_alone() -> None:
    frames = dance(3.0)
    np.testing.assert_array_equal(features(frames, FeatureSpec()), features(frames, HELD))


def test_nothing_is_predicted_beyond_the_look_ahead() -> None:
    stream = FeatureStream(FeatureSpec(look_ahead_s=0.03))
    for frame in dance(1.0):
        stream.update(frame)
    latest_s = frame.capture_s + 0.03
    np.testing.assert_array_equal(stream.at(latest_s), stream.at(frame.capture_s + 0.3))


def test_a_jump_is_both_feet_in_the_air() -> None:
    frames = [standing(i / FPS) for i in range(90)]
    for i in range(60, 75):
        frames[i].image[0, :, 1] -= 0.3 * 0.35 * math.sin(math.pi * (i - 60) / 15)
    found = features(frames)[:, index("jump")]
    assert found[30:60].max() == 0.0
    assert found[60:75].max() > 0.5
    assert found[82:].max() == 0.0
