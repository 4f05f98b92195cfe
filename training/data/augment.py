"""What a stage does to the pose that a studio recording never shows: noise, lost frames, lag, mirrors, hidden limbs.

In: a video's landmarks, frame by frame, and a seeded generator. Out: what a worse camera might have seen of the same
dance, and when. What features become of it is livemove.body.features' business, as on stage. Pure NumPy; no corpus.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from livemove.body.landmarks import LIMB_LANDMARKS, PAIRS
from livemove.contracts import LANDMARKS, Float32, Float64

NOISE_HZ = 6.0
"""Landmarks jitter below this: MediaPipe's own filter has smoothed what is faster."""

WANDER_HZ = 2.0
"""A busy machine is late for a while, then is not."""

AWAY_S = (0.2, 2.0)
"""How long a limb goes out of view, shortest and longest: with it the feature stream holds, eases and comes back."""

HIDDEN_TOGETHER: dict[str, tuple[int, ...]] = {
    **LIMB_LANDMARKS,
    "legs": (*LIMB_LANDMARKS["left leg"], *LIMB_LANDMARKS["right leg"]),
    "person": tuple(range(LANDMARKS)),
}
"""What goes out of view together: behind the body, below the image's edge, or out of the image."""


@dataclass(frozen=True)
class Shake:
    """How much of each; all 0 leaves a dance alone.

    noise      standard deviation of a landmark, in trunk lengths
    dropped    share of frames that never come
    latency_s  a pose comes up to so much late
    mirror     share of dances in which left and right are exchanged
    missing    share of the time in which one of HIDDEN_TOGETHER is out of view
    """

    noise: float = 0.0
    dropped: float = 0.0
    latency_s: float = 0.0
    mirror: float = 0.0
    missing: float = 0.0

    @property
    def any(self) -> bool:
        return max(self.noise, self.dropped, self.latency_s, self.mirror, self.missing) > 0


@dataclass(frozen=True)
class Observation:
    """What a camera saw of one dancer, and when it could be used: times in seconds, arrays by frame.

    frame_s, arrival_s float64 [n]; people int8 [n]; image, world float32 [n, 33, 3]; visibility float32 [n, 33].
    """

    frame_s: Float64
    arrival_s: Float64
    people: np.ndarray
    image: Float32
    world: Float32
    visibility: Float32


def disturbed(rng: np.random.Generator, observation: Observation, shake: Shake) -> Observation:
    """The same dance as a stage might have shown it."""
    if rng.random() < shake.mirror:
        observation = mirrored(observation)
    if shake.missing > 0:
        observation = hidden(rng, observation, shake.missing)
    if shake.noise > 0:
        observation = jittered(rng, observation, shake.noise)
    if shake.latency_s > 0:
        observation = late(rng, observation, shake.latency_s)
    if shake.dropped > 0:
        observation = dropped(rng, observation, shake.dropped)
    return observation


def mirrored(observation: Observation) -> Observation:
    """The dance in a mirror: its left hand is the right hand of who is seen there."""
    other = np.arange(LANDMARKS)
    for left, right in PAIRS:
        other[left], other[right] = right, left
    image, world = observation.image[:, other].copy(), observation.world[:, other].copy()
    image[..., 0] = 1 - image[..., 0]
    world[..., 0] = -world[..., 0]
    return replace(observation, image=image, world=world, visibility=observation.visibility[:, other])


def hidden(rng: np.random.Generator, observation: Observation, share: float) -> Observation:
    """One of HIDDEN_TOGETHER at a time out of view, for about that share of the time."""
    people, visibility = observation.people.copy(), observation.visibility.copy()
    mean_s = sum(AWAY_S) / 2
    until_s = float(observation.frame_s[-1])
    time_s = float(observation.frame_s[0]) - mean_s  # it may be away when the dance begins
    while share < 1 and (time_s := time_s + rng.exponential(mean_s * (1 - share) / share)) <= until_s:
        limb = list(HIDDEN_TOGETHER)[rng.integers(len(HIDDEN_TOGETHER))]
        begin_s, time_s = time_s, time_s + rng.uniform(*AWAY_S)
        away = np.flatnonzero((observation.frame_s >= begin_s) & (observation.frame_s < time_s))
        visibility[np.ix_(away, HIDDEN_TOGETHER[limb])] = 0
        if limb == "person":
            people[away] = 0
    if share >= 1:
        people[:] = 0
    return replace(observation, people=people, visibility=visibility)


def jittered(rng: np.random.Generator, observation: Observation, noise: float) -> Observation:
    """Every landmark wanders about its place by `noise` trunk lengths, the same way in the image as in space."""
    seen = observation.people > 0
    if not seen.any():
        return observation
    world, image = observation.world[seen].astype(np.float64), observation.image[seen].astype(np.float64)
    middle = world[:, 11:13].mean(1) - world[:, 23:25].mean(1)
    trunk = float(np.median(np.linalg.norm(middle, axis=-1)))  # metres
    flat, flat_image = (points[..., :2] - points[..., :2].mean(1, keepdims=True) for points in (world, image))
    per_metre = (flat * flat_image).sum((0, 1)) / np.maximum((flat * flat).sum((0, 1)), 1e-9)  # weak perspective
    moved = noise * trunk * wander(rng, observation.frame_s, NOISE_HZ, (LANDMARKS, 3))
    in_image = moved * np.array([*per_metre, abs(per_metre[0])])  # MediaPipe's image z is in units of x
    return replace(
        observation,
        world=(observation.world + moved).astype(np.float32),
        image=(observation.image + in_image).astype(np.float32),
    )


def late(rng: np.random.Generator, observation: Observation, latency_s: float) -> Observation:
    """Every pose comes up to latency_s later, unevenly, but never before an older one."""
    delay = rng.uniform(0, latency_s) + 0.25 * latency_s * wander(rng, observation.frame_s, WANDER_HZ, ())
    arrival_s = np.maximum.accumulate(observation.arrival_s + np.clip(delay, 0, latency_s))
    return replace(observation, arrival_s=arrival_s)


def dropped(rng: np.random.Generator, observation: Observation, share: float) -> Observation:
    """That share of the frames never came, each by itself; the first did."""
    came = rng.random(len(observation.frame_s)) >= share
    came[0] = True
    return Observation(*(column[came] for column in vars(observation).values()))


def wander(rng: np.random.Generator, time_s: Float64, cutoff_hz: float, shape: tuple[int, ...]) -> Float64:
    """Noise [n, *shape] of mean 0 and about variance 1 below cutoff_hz: random knots, joined by straight lines."""
    place = rng.random() + (time_s - time_s[0]) * 2 * cutoff_hz
    left = place.astype(int)
    knots = rng.standard_normal((int(left[-1]) + 2, *shape)) / np.sqrt(2 / 3)  # between knots a line is quieter
    right_share = (place - left).reshape(-1, *(1,) * len(shape))
    return knots[left] * (1 - right_share) + knots[left + 1] * right_share
