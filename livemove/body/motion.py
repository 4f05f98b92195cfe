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
    sure       a speed counts if it is above so many standard deviations of what noise alone would show
    course_s   time constant over which slow movement is told from noise; quick movement shows in one measurement
    learn_s    time constant over which the noise of a limb at rest is learnt, up to noisiest times what was given
    prompt     a place follows a measurement as if its noise had so many times less variance, which a velocity could not
               without trembling: what the place is behind differs with the speed, and so would the lag
    abrupt     an innovation faster than this, per second, is rather a landmark that jumped than a limb that moved: it
               moves the place, and lowers what is believed of the velocity, the more the faster it is
    fastest    bound of a velocity's coordinate, per second
    trust_s    time constant over which predictions are compared with holding, see `trust`
    good, bad  what predictions miss by over what holding would have (mean squares): up to the first they are trusted
               altogether, from the second on not at all
    """

    settle_s: float = 0.16
    agitation: float = 0.6
    forget_s: float = 0.12
    still: float = 0.02
    sure: float = 3.5
    course_s: float = 0.15
    learn_s: float = 1.0
    noisiest: float = 3.0
    prompt: float = 5.0
    abrupt: float = 4.0
    fastest: float = 10.0
    trust_s: float = 0.25
    good: float = 1.0
    bad: float = 2.0


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
    measured: Float64  # the newest measurement
    step: Float64  # from the measurement before to that
    trembling: Float64  # variance of the measurements' noise where nothing moves, lately
    course: Float64  # velocity between measurements, over the last few

    @classmethod
    def zeros(cls, *shape: int) -> MotionState:
        """Every coordinate at 0; `restart` says where they really are."""
        return cls(*(np.zeros(shape) for _ in range(12)))

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
        self.measured[which] = x[which]
        self.step[which] = self.trembling[which] = self.course[which] = 0.0
        self.missed[which] = self.moved[which] = noise * noise


def observe(state: MotionState, x: Float64, dt_s: Float64 | float, noise: Float64, spec: MotionSpec) -> None:
    """Take in x, of the state's shape, measured dt_s > 0 after the last one; dt_s: a number, or broadcasts.

    noise: standard deviation of the measurement, broadcast. A Kalman filter, one coordinate at a time; the discrete
    noise of an Ornstein-Uhlenbeck velocity is e.g. in Li & Jilkov, "Survey of maneuvering target tracking, part I",
    IEEE Trans. Aerospace and Electronic Systems 39(4), 2003 (their Singer model, one derivative lower).
    """
    noise = _noise(state, x, dt_s, noise, spec)
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

    speed = state.velocity**2 + _measured_speed(state, believed, dt_s, noise, spec)
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
    state.place = expected + place_variance / (place_variance + noise * noise / spec.prompt) * innovation
    velocity = belief * (kept * state.velocity + velocity_gain * believed)
    state.velocity = np.minimum(np.maximum(velocity, -spec.fastest), spec.fastest)
    state.place_variance = (1.0 - place_gain) * place_variance
    state.covariance = (1.0 - place_gain) * covariance
    state.velocity_variance = velocity_variance - velocity_gain * covariance


def _noise(state: MotionState, x: Float64, dt_s: Float64 | float, noise: Float64, spec: MotionSpec) -> Float64:
    """Standard deviation of the measurements, of the state's shape: noise, or more where a limb at rest shows more.

    Two steps that follow each other share a measurement, with opposite signs: where nothing moves, their product is
    minus the variance of its noise on average, and where something moves steadily it is above (Roll, "A simple implicit
    measure of the effective bid-ask spread", Journal of Finance 39, 1984, for prices).
    """
    step = x - state.measured
    share = 1.0 - np.exp(-np.asarray(dt_s) / spec.learn_s)
    state.trembling = state.trembling + share * (-step * state.step - state.trembling)
    state.measured, state.step = x, step
    least = noise * noise
    return np.sqrt(np.minimum(np.maximum(state.trembling, least), spec.noisiest**2 * least))


def _measured_speed(
    state: MotionState, believed: Float64, dt_s: Float64 | float, noise: Float64, spec: MotionSpec
) -> Float64:
    """Squared, of the state's shape, as far as it is more than noise: of the last few steps, and of an innovation."""
    share = 1.0 - np.exp(-np.asarray(dt_s) / spec.course_s)
    state.course = state.course + share * (state.step / dt_s - state.course)
    of_course = noise * share / dt_s * np.sqrt(2.0 / (2.0 - share))  # of steps whose noise cancels but at the ends
    of_innovation = np.sqrt(state.place_variance + noise * noise)
    moving = np.where(np.abs(state.course) > spec.sure * of_course, state.course, 0.0)
    thrown = np.where(np.abs(believed) > spec.sure * of_innovation, believed / dt_s, 0.0)
    return moving**2 + thrown**2


def trust(state: MotionState, spec: MotionSpec) -> Float64:
    """0..1, of the state's shape: by how well predictions did lately, and by how much of the steps was none of noise,
    which is a quarter and more of them where nothing moves: what trembles is held."""
    moved = np.maximum(state.moved, 1e-12)
    right = np.minimum(np.maximum((spec.bad - state.missed / moved) / (spec.bad - spec.good), 0.0), 1.0)
    steady = np.minimum(np.maximum(1.5 - 2.0 * state.trembling / moved, 0.0), 1.0)
    return right * steady


def predict(state: MotionState, ahead_s: float, spec: MotionSpec) -> Float64:
    """Where the coordinates will be ahead_s after the newest measurement, as far as `trust` goes."""
    way = spec.settle_s * -np.expm1(-ahead_s / spec.settle_s) * state.velocity
    return state.place + trust(state, spec) * way


def keep_lengths(body: Float64, like: Float64, bones: np.ndarray) -> None:
    """Give the bones of body, float64 [joints, 3], the lengths they have in `like`, in place; directions stay.

    bones: int [n, 2] of (joint nearer to the trunk, joint that is moved), from the trunk outwards.
    """
    for inner, outer in bones:
        bone, length = body[outer] - body[inner], like[outer] - like[inner]
        now = float(bone @ bone)
        if now > 1e-12:
            body[outer] = body[inner] + bone * np.sqrt(float(length @ length) / now)
