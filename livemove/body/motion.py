"""Kalman filter of landmarks: where a body is, how fast, and where it will be a few hundredths of a second later.

In: places as they were measured, at their own times. Out: estimated places, velocities, predictions for any later time.
Causal. Knows neither frames nor features, and not what a coordinate is of.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from livemove.contracts import Float64


@dataclass(frozen=True)
class MotionSpec:
    """How coordinates move; lengths are in the coordinates' own unit, here torso lengths.

    The model is a velocity that decays and is driven by white noise (Ornstein-Uhlenbeck), observed with noise.

    settle_s   time constant of the decay, which bounds every prediction: a limb that stops overshoots by no more than
               its speed times settle_s * (1 - exp(-ahead / settle_s)), and one that goes on is underestimated a little
    agitation  variance of the velocity, as a share of the largest squared speed lately: the drive follows the dancer,
               so that a still hand is smoothed and a thrown one is not
    forget_s   time constant of that "lately"
    still      speed below which a limb counts as still, per second
    abrupt     an innovation faster than this, per second, is rather a landmark that jumped than a limb that moved: it
               moves the place, and lowers what is believed of the velocity, the more the faster it is
    fastest    bound of a velocity's coordinate, per second
    trust_s    time constant over which predictions are compared with holding, see `predict`
    """

    settle_s: float = 0.16
    agitation: float = 0.3
    forget_s: float = 0.15
    still: float = 0.1
    abrupt: float = 4.0
    fastest: float = 10.0
    trust_s: float = 0.25


@dataclass
class MotionState:
    """The filter's memory: float64 arrays of one shape, a coordinate each."""

    place: Float64
    velocity: Float64
    place_variance: Float64
    covariance: Float64
    velocity_variance: Float64
    peak: Float64  # largest squared speed lately
    missed: Float64  # mean squared error of predicting the next measurement, lately
    moved: Float64  # mean squared error of holding the last one instead

    @classmethod
    def zeros(cls, *shape: int) -> MotionState:
        """Every coordinate at 0; `restart` says where they really are."""
        return cls(*(np.zeros(shape) for _ in range(8)))

    def rows(self, which: np.ndarray) -> MotionState:
        """A copy of some rows."""
        return MotionState(*(array[which] for array in vars(self).values()))

    def put(self, which: np.ndarray, rows: MotionState) -> None:
        """Those rows again."""
        for array, part in zip(vars(self).values(), vars(rows).values(), strict=True):
            array[which] = part

    def restart(self, which: np.ndarray, x: Float64, noise: Float64) -> None:
        """Forget the coordinates of the rows `which` (bool [rows]): they are at x[which], and nothing is known of their
        velocity. x of the state's shape; noise as `observe` has it."""
        self.place[which] = x[which]
        self.velocity[which] = 0.0
        self.place_variance[which] = noise * noise
        self.covariance[which] = 0.0
        self.velocity_variance[which] = 1.0
        self.peak[which] = 1.0
        self.missed[which] = self.moved[which] = noise * noise


def observe(state: MotionState, x: Float64, dt_s: Float64 | float, noise: Float64, spec: MotionSpec) -> None:
    """Take in x, of the state's shape, measured dt_s > 0 after the last one; dt_s: a number, or broadcasts.

    noise: standard deviation of the measurement, broadcast. A Kalman filter, one coordinate at a time; the discrete
    noise of an Ornstein-Uhlenbeck velocity is e.g. in Li & Jilkov, "Survey of maneuvering target tracking, part I",
    IEEE Trans. Aerospace and Electronic Systems 39(4), 2003 (their Singer model, one derivative lower).
    """
    b = 1.0 / spec.settle_s
    kept = np.exp(-b * np.asarray(dt_s))
    reach = (1.0 - kept) / b
    expected = state.place + reach * state.velocity
    innovation = x - expected
    belief = np.minimum(1.0, spec.abrupt * dt_s / np.maximum(np.abs(innovation), 1e-12))
    believed = belief * belief * innovation

    lately = np.exp(-np.asarray(dt_s) / spec.trust_s)
    state.missed = lately * state.missed + (1.0 - lately) * innovation**2
    state.moved = lately * state.moved + (1.0 - lately) * (x - state.place) ** 2

    speed = state.velocity**2 + (believed / dt_s) ** 2
    state.peak = np.maximum(np.maximum(state.peak * np.exp(-np.asarray(dt_s) / spec.forget_s), speed), spec.still**2)
    drive = 2.0 * b * spec.agitation * state.peak
    lost = 1.0 - kept * kept
    velocity_variance = kept * kept * state.velocity_variance + drive * lost / (2.0 * b)
    covariance = kept * (state.covariance + reach * state.velocity_variance) + drive * 0.5 * reach * reach
    place_variance = (
        state.place_variance
        + reach * (2.0 * state.covariance + reach * state.velocity_variance)
        + drive / (b * b) * np.maximum(dt_s - 2.0 * reach + lost / (2.0 * b), 0.0)
    )
    total = place_variance + noise * noise
    place_gain, velocity_gain = place_variance / total, covariance / total
    state.place = expected + place_gain * innovation
    velocity = belief * (kept * state.velocity + velocity_gain * believed)
    state.velocity = np.minimum(np.maximum(velocity, -spec.fastest), spec.fastest)
    state.place_variance = (1.0 - place_gain) * place_variance
    state.covariance = (1.0 - place_gain) * covariance
    state.velocity_variance = velocity_variance - velocity_gain * covariance


def trust(state: MotionState) -> Float64:
    """0..1, of the state's shape: 1 where predictions lately missed by less than 0.8 of what holding would have (rms),
    0 where they were no better: what trembles is held."""
    return np.minimum(np.maximum(3.0 - 3.0 * state.missed / np.maximum(state.moved, 1e-12), 0.0), 1.0)


def predict(state: MotionState, ahead_s: float, spec: MotionSpec) -> Float64:
    """Where the coordinates will be ahead_s after the newest measurement, as far as `trust` goes."""
    way = spec.settle_s * -np.expm1(-ahead_s / spec.settle_s) * state.velocity
    return state.place + trust(state) * way


def keep_lengths(body: Float64, like: Float64, bones: np.ndarray) -> None:
    """Give the bones of body, float64 [joints, 3], the lengths they have in `like`, in place; directions stay.

    bones: int [n, 2] of (joint nearer to the trunk, joint that is moved), from the trunk outwards.
    """
    for inner, outer in bones:
        bone, length = body[outer] - body[inner], like[outer] - like[inner]
        now = float(bone @ bone)
        if now > 1e-12:
            body[outer] = body[inner] + bone * np.sqrt(float(length @ length) / now)
