"""The Kalman filter of landmarks: the textbook's, a coordinate at a time; steady when still, bounded when it stops."""

from __future__ import annotations

import math

import numpy as np
import pytest

from livemove.body.motion import MotionSpec, MotionState, keep_lengths, observe, predict, trust

NOISE = np.array([0.005])
ALL = np.ones(1, bool)
SPEC = MotionSpec()
FPS = 25.0


def followed(xs: np.ndarray, dt_s: np.ndarray, spec: MotionSpec = SPEC) -> list[MotionState]:
    """The state after each x [n], which come dt_s [n] after one another."""
    state = MotionState.zeros(1)
    state.restart(ALL, xs[:1], NOISE)
    states = [state.rows(ALL)]
    for x, dt in zip(xs[1:], dt_s[1:], strict=True):
        observe(state, np.array([x]), float(dt), NOISE, spec)
        states.append(state.rows(ALL))
    return states


def test_a_prompt_place_is_less_behind_and_its_velocity_no_quicker() -> None:
    xs, dt_s = 0.1 * np.arange(30) / FPS, np.full(30, 1 / FPS)  # slow: what the filter smooths
    xs[:10] = xs[10]
    behind, speed = {}, {}
    for prompt in (1.0, 3.0):
        states = followed(xs, dt_s, MotionSpec(prompt=prompt))
        behind[prompt] = xs[13] - states[13].place[0]
        speed[prompt] = states[11].velocity[0]
    assert 0.0 < behind[3.0] < 0.8 * behind[1.0]
    assert speed[3.0] == pytest.approx(speed[1.0])


def test_it_is_the_textbooks_filter_of_a_decaying_velocity() -> None:
    """Against matrices, with the process noise integrated numerically; drive and belief as the spec says."""
    rng = np.random.default_rng(3)
    spec = MotionSpec(abrupt=1e9, fastest=1e9, sure=0.0, course_s=1e9, noisiest=1.0, prompt=1.0)
    dt_s, xs = rng.uniform(0.02, 0.06, 60), np.cumsum(rng.normal(0, 0.05, 60))
    place, covariance = np.array([xs[0], 0.0]), np.diag([NOISE[0] ** 2, 1.0])
    peak = 1.0
    for i, state in enumerate(followed(xs, dt_s, spec)[1:], 1):
        dt = float(dt_s[i])

        def transition(t: float) -> np.ndarray:
            kept = math.exp(-t / spec.settle_s)
            return np.array([[1.0, spec.settle_s * (1.0 - kept)], [0.0, kept]])

        ahead = transition(dt) @ place
        innovation = xs[i] - ahead[0]
        peak = max(peak * math.exp(-dt / spec.forget_s), place[1] ** 2 + (innovation / dt) ** 2, spec.still**2)
        drive = 2.0 / spec.settle_s * spec.agitation * peak
        steps = (np.arange(2000) + 0.5) * dt / 2000
        pushed = np.stack([transition(t)[:, 1] for t in steps])
        noise = drive * np.einsum("na,nb->ab", pushed, pushed) * dt / 2000
        covariance = transition(dt) @ covariance @ transition(dt).T + noise
        gain = covariance[:, 0] / (covariance[0, 0] + NOISE[0] ** 2)
        place = ahead + gain * innovation
        covariance = covariance - np.outer(gain, covariance[0])
        found = [state.place[0], state.velocity[0], state.place_variance[0], state.covariance[0]]
        np.testing.assert_allclose(found, [*place, covariance[0, 0], covariance[0, 1]], rtol=1e-4, atol=1e-9)
        assert state.velocity_variance[0] == pytest.approx(covariance[1, 1], rel=1e-4)


def test_a_still_hand_trembles_less_than_its_landmarks() -> None:
    rng = np.random.default_rng(1)
    xs = rng.normal(0, NOISE[0], 500)
    at_60_ms = [predict(state, 0.06, SPEC)[0] for state in followed(xs, np.full(500, 1 / FPS))]
    assert np.std(at_60_ms[50:]) < 0.95 * NOISE[0]


def test_a_hand_whose_landmarks_are_noisier_than_expected_is_held_as_still() -> None:
    """As far as the spec allows, and only while it rests: what it was taught by rest it forgets in movement."""
    rng = np.random.default_rng(5)
    rest, raised = rng.normal(0, 2.5 * NOISE[0], 250), rng.normal(0, 2.5 * NOISE[0], 50)
    xs = np.concatenate([rest, raised + 2.0 * np.arange(1, 51) / FPS])
    places = np.array([state.place[0] for state in followed(xs, np.full(300, 1 / FPS))])
    unlearnt = [state.place[0] for state in followed(xs, np.full(300, 1 / FPS), MotionSpec(noisiest=1.0))]
    assert places[50:250].std() < 0.75 * np.std(unlearnt[50:250])
    assert places[50:250].std() < 0.6 * 2.5 * NOISE[0]
    assert np.abs(places[265:] - 2.0 * np.arange(16, 51) / FPS).max() < 0.07  # less than a frame's way


def test_slow_movement_is_not_taken_for_noise() -> None:
    rng = np.random.default_rng(6)
    times = np.arange(250) / FPS
    course = 0.1 * np.sin(2 * np.pi * 0.4 * times)  # 0.25 torso lengths per second at most
    found = [state.place[0] for state in followed(course + rng.normal(0, NOISE[0], 250), np.full(250, 1 / FPS))]
    lags = np.arange(-2, 8) / FPS
    errors = [np.mean((found[50:-10] - np.interp(times[50:-10] - lag, times, course)) ** 2) for lag in lags]
    assert lags[int(np.argmin(errors))] <= 1 / FPS


def test_a_steady_movement_is_followed_into_the_future() -> None:
    times = np.arange(75) / FPS
    ahead_s = 0.06
    found = np.array([predict(state, ahead_s, SPEC)[0] for state in followed(2.0 * times, np.full(75, 1 / FPS))])
    behind_s = times + ahead_s - found / 2.0
    assert np.abs(behind_s[25:]).max() < 0.25 * ahead_s  # holding: all of it and more


def test_a_stop_overshoots_by_no_more_than_the_decay_lets_it_and_ends_within_three_poses() -> None:
    speed, ahead_s, spec = 1.25, 0.06, SPEC
    for phase in np.arange(0, 1, 0.1) / FPS:
        times = np.arange(60) / FPS + phase
        xs = speed * np.minimum(times, 1.0)
        found = np.array([predict(state, ahead_s, spec)[0] for state in followed(xs, np.full(60, 1 / FPS), spec)])
        assert found.max() - speed <= speed * spec.settle_s * (1 - math.exp(-ahead_s / spec.settle_s)) + 1e-9
        assert np.abs(found[times > 1.0 + 3 / FPS] - speed).max() < 0.01 * speed


def test_a_landmark_that_jumps_is_not_thrown_further() -> None:
    xs = np.where(np.arange(60) < 30, 0.0, 1.0)  # 25 torso lengths per second for one frame: no limb does that
    states = followed(xs, np.full(60, 1 / FPS))
    assert states[31].place[0] == pytest.approx(1.0, abs=0.05)  # the second pose there is believed
    assert max(predict(state, 0.08, SPEC)[0] for state in states[30:]) < 1.05


def test_what_trembles_is_held() -> None:
    xs = 0.02 * (-1.0) ** np.arange(60)
    states = followed(xs, np.full(60, 1 / FPS))
    assert trust(states[-1], SPEC)[0] == 0.0
    assert max(abs(predict(state, 0.08, SPEC)[0]) for state in states[20:]) <= 0.0201


def test_real_times_count_not_frames() -> None:
    rng = np.random.default_rng(2)
    times = np.cumsum(rng.uniform(0.02, 0.06, 100))
    states = followed(1.5 * times, np.diff(times, prepend=0.0))
    assert all(state.velocity[0] == pytest.approx(1.5, rel=0.12) for state in states[30:])


def test_bones_keep_their_lengths_and_directions() -> None:
    like = np.array([[0.0, 0, 0], [0, 0.5, 0], [0, 1.0, 0]])
    body = np.array([[0.1, 0, 0], [0.1, 0.9, 0], [0.5, 0.9, 0]])
    keep_lengths(body, like, np.array([[0, 1], [1, 2]]))
    np.testing.assert_allclose(body[1], [0.1, 0.5, 0])
    assert np.linalg.norm(body[2] - body[1]) == pytest.approx(0.5)
    assert (body[2] - body[1])[0] > 0
