"""PoseFrame -> named body features: what the dancer does, independent of who dances, where, and how far away.

Pose frames go in as they arrive, float32 [len(FEATURES)] come out, at a frame's time or predicted for the time at which
a hop will be heard. The same code runs live, in `render` and in training: causal, time only from the arguments, no
clock, no model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from livemove.body.landmarks import EARS, HIPS, LIMB_JOINTS, SHOULDERS
from livemove.body.motion import MotionSpec, MotionState, keep_lengths, observe, predict
from livemove.contracts import Float32, Float64, PoseFrame
from livemove.controls import LOOK_AHEAD_MS


@dataclass(frozen=True)
class Feature:
    """One named number about the body: its range, and its value with nobody on stage (standing, arms hanging)."""

    name: str
    doc: str
    minimum: float
    maximum: float
    rest: float


# Left and right are the performer's own. "Reach" is the arm's own length, so -1..1 spans what this arm can do.
_TABLE: tuple[tuple[Feature, tuple[str, ...]], ...] = (
    (Feature("presence", "1 somebody is in view, 0 nobody", 0, 1, 0), ("person",)),
    (Feature("left_hand_height", "-1 hanging, 0 shoulder level, 1 straight up", -1, 1, -1), ("left_arm",)),
    (Feature("right_hand_height", "-1 hanging, 0 shoulder level, 1 straight up", -1, 1, -1), ("right_arm",)),
    (Feature("left_hand_side", "-1 across the body, 0 below the shoulder, 1 stretched out", -1, 1, 0), ("left_arm",)),
    (Feature("right_hand_side", "-1 across the body, 0 below the shoulder, 1 stretched out", -1, 1, 0), ("right_arm",)),
    (Feature("left_hand_forward", "-1 behind, 0 beside, 1 stretched out in front", -1, 1, 0), ("left_arm",)),
    (Feature("right_hand_forward", "-1 behind, 0 beside, 1 stretched out in front", -1, 1, 0), ("right_arm",)),
    (Feature("hand_distance", "0 hands together, 1 both arms spread", 0, 1, 0.25), ("left_arm", "right_arm")),
    (Feature("left_elbow", "0 folded, 1 straight", 0, 1, 1), ("left_arm",)),
    (Feature("right_elbow", "0 folded, 1 straight", 0, 1, 1), ("right_arm",)),
    (Feature("left_hand_speed", "0 still, 1 as fast as a hand is thrown", 0, 1, 0), ("left_arm",)),
    (Feature("right_hand_speed", "0 still, 1 as fast as a hand is thrown", 0, 1, 0), ("right_arm",)),
    (Feature("symmetry", "1 hands mirror each other, 0 one is up and one is down", 0, 1, 1), ("left_arm", "right_arm")),
    (Feature("left_knee", "0 folded, 1 straight", 0, 1, 1), ("left_leg",)),
    (Feature("right_knee", "0 folded, 1 straight", 0, 1, 1), ("right_leg",)),
    (Feature("left_foot_height", "0 not above the other foot, 1 at the hip", 0, 1, 0), ("left_leg", "right_leg")),
    (Feature("right_foot_height", "0 not above the other foot, 1 at the hip", 0, 1, 0), ("left_leg", "right_leg")),
    (Feature("foot_distance", "0 feet together, 1 a wide stride", 0, 1, 0.2), ("left_leg", "right_leg")),
    (Feature("left_foot_speed", "0 still, 1 a fast kick", 0, 1, 0), ("left_leg",)),
    (Feature("right_foot_speed", "0 still, 1 a fast kick", 0, 1, 0), ("right_leg",)),
    (Feature("arm_energy", "speed of both arms, gathered over about half a second", 0, 1, 0), ("person",)),
    (Feature("leg_energy", "speed of both legs, gathered over about half a second", 0, 1, 0), ("person",)),
    (Feature("energy", "speed of the whole body, gathered over about half a second", 0, 1, 0), ("person",)),
    (Feature("openness", "0 curled up, 1 hands and feet far from the body", 0, 1, 0.4), ("left_arm", "right_arm")),
    (Feature("lean_side", "trunk to the own left -1 right, 0 upright, 1 left", -1, 1, 0), ("shoulders", "hips")),
    (Feature("lean_forward", "trunk -1 back, 0 upright, 1 forward", -1, 1, 0), ("shoulders", "hips")),
    (Feature("crouch", "0 standing, 1 sitting on the heels", 0, 1, 0), ("left_leg", "right_leg", "hips")),
    (Feature("jump", "0 on the ground, 1 both feet half a trunk above it", 0, 1, 0), ("left_leg", "right_leg")),
    (Feature("turn", "-1 profile to the own right, 0 on the camera's axis, 1 left", -1, 1, 0), ("shoulders",)),
    (Feature("facing", "1 towards the camera, 0 in profile, -1 away", -1, 1, 1), ("shoulders",)),
    (Feature("twist", "shoulders against hips, -1 to the own right, 1 left", -1, 1, 0), ("shoulders", "hips")),
    (Feature("head_tilt", "-1 to the own right shoulder, 0 upright, 1 left", -1, 1, 0), ("head",)),
    (Feature("travel", "across the image, -1 and 1 a fast run (1 towards the image's right, unmirrored)", -1, 1, 0),
     ("hips",)),
)  # fmt: skip

TABLE: tuple[Feature, ...] = tuple(feature for feature, _ in _TABLE)
"""Every feature with its meaning, range and rest value, in the order of the vectors."""

FEATURES: tuple[str, ...] = tuple(feature.name for feature in TABLE)
REST: Float32 = np.array([feature.rest for feature in TABLE], np.float32)
"""float32 [F]: what the features are with nobody on stage."""
REST.setflags(write=False)

_MINIMUM = np.array([feature.minimum for feature in TABLE], np.float64)
_MAXIMUM = np.array([feature.maximum for feature in TABLE], np.float64)

# Joints kept of MediaPipe's 33, as rows of a filtered [14, 3] body; each belongs to a group that is seen or not as one.
_JOINTS = np.array(
    [*EARS, *SHOULDERS, *HIPS]
    + [joint for limb in ("left arm", "right arm", "left leg", "right leg") for joint in LIMB_JOINTS[limb]]
)
_GROUPS = ("person", "head", "shoulders", "hips", "left_arm", "right_arm", "left_leg", "right_leg")
_JOINT_GROUP = np.array([1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7])
_GROUP_START = np.array([0, 2, 4, 6, 8, 10, 12])  # first row of each group after "person": rows are in group order
_NEEDS: npt.NDArray[np.bool_] = np.array([[group in needed for group in _GROUPS] for _, needed in _TABLE])
_BONES = np.array([[2, 6], [6, 7], [3, 8], [8, 9], [4, 10], [10, 11], [5, 12], [12, 13]])
"""Rows of the body: shoulder to elbow to hand, hip to knee to foot."""

_NOISE = np.array([0.006, 0.006, 0.02])
"""Standard deviation of a joint in torso lengths along x, y, z, white from frame to frame; where a limb at rest shows
more, the filter learns it. The landmark network, given one image under fresh sensor noise (3 of 255) 200 times, had
0.006, 0.005, 0.013 for a large dancer and 0.007, 0.012, 0.031 for a small one on average, wrists 0.007 to 0.014;
`python -m tests.measure.prediction --still VIDEO` measures it."""
_IMAGE_NOISE = np.array([0.005, 0.005])

_HAND_SPEED = 6.5  # torso lengths per second that read as 1: the 97th percentile of the dance clips measured
_FOOT_SPEED = 5.0
_TRAVEL_SPEED = 3.0
_ARM_ENERGY = 2.9
_LEG_ENERGY = 2.2
_GATHER_S = 0.5


# --- the stream ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FeatureSpec:
    """How features follow the body, and what happens when a limb or the whole person goes out of view.

    visible       a landmark counts as seen at this visibility
    hold_s        a limb out of view keeps its last features for this long ...
    ease_s        ... then eases to rest over this long; back in view it returns over return_s
    look_ahead_s  0..0.08: how far beyond the newest pose a hop may be predicted, at most; 0 holds the newest pose
    gap           hops follow the body at a constant distance in time, chosen so that on average it is predicted by this
                  share of the time between two poses: what is predicted further is later by turns and earlier
    back          ... but by no more of those times than this: what is older than that is predicted, too
    correct_s     a new pose corrects the prediction with this time constant, so that no feature jumps
    motion        the Kalman filter of joints in torso lengths
    """

    visible: float = 0.5
    hold_s: float = 0.4
    ease_s: float = 0.6
    return_s: float = 0.12
    look_ahead_s: float = LOOK_AHEAD_MS / 1e3
    gap: float = 0.59
    back: float = 1.5
    correct_s: float = 0.0025
    motion: MotionSpec = field(default_factory=MotionSpec)


def behind_s(heard_after_s: float, between_s: float, spec: FeatureSpec) -> float:
    """How far behind the body hops are, in seconds: from what moment of it they are made.

    heard_after_s: from a pose's capture to the first hop that is made from it; from then on it is heard until the next
    one is, half of between_s, the time between two poses, on average.
    """
    return min(max(heard_after_s + (0.5 - spec.gap) * between_s, 0.0), spec.back * between_s)


class FeatureStream:
    """Features of one person in a stream of pose frames; dancer: their place in it.

    `update` takes each new pose frame, `at` gives the value for a hop at any later time: it goes from the last pose to
    the newest one, predicts beyond it as far as the spec allows, then holds, and eases to rest when nobody is seen or
    no frame comes any more.
    """

    def __init__(self, spec: FeatureSpec = FeatureSpec(), dancer: int = 0) -> None:
        self.spec = spec
        self._dancer = dancer
        self.reset()

    def reset(self) -> None:
        """Back to before the first frame: at rest."""
        joints, groups = len(_JOINTS), len(_GROUPS)
        self._time_s: float | None = None
        self._body = MotionState.zeros(joints, 3)
        self._joint_s = np.full(joints, -math.inf)  # when each joint was last filtered; -inf: never
        self._torso = 0.0  # metres, slow
        self._reach = 0.8  # torso lengths, slow
        self._reached = False
        self._ground = _Ground()
        self._energy = [0.0, 0.0]
        self._speed = [0.0] * joints  # of each, torso lengths per second
        self._moving = False  # a person was in the newest frame: there is something to predict
        self._raw: Float64 = REST.astype(np.float64)
        self._last: tuple[float, Float64] | None = None  # the pose before, if somebody was in it: time, features
        self._offset = np.zeros(len(FEATURES))  # what a new pose is still to correct
        self._corrected_s = -math.inf  # from when on
        self._between_s = 0.04  # poses, slow
        self._heard_after_s: float | None = None  # capture to the first hop of a pose, slow
        self._behind_s = 0.0  # hops follow the body
        self._weight = np.zeros(groups)
        self._seen_s = np.full(groups, -math.inf)

    def update(self, frame: PoseFrame, heard_s: float | None = None) -> Float32:
        """Take a new frame; float32 [F] at its capture time. A frame no newer than the last one changes nothing.

        heard_s: time of the first hop that is made with it. From then on `at` glides from what it would have been
        without this frame to what it is with it; None: it jumps.
        """
        now_s = frame.capture_s
        if self._time_s is not None and now_s <= self._time_s:
            return self._eased(self._raw, self._time_s)
        before = None if heard_s is None or self._time_s is None else self._value(heard_s)
        dt_s = 0.04 if self._time_s is None else now_s - self._time_s
        if self._time_s is not None:
            self._weight = self._weights(now_s)
            self._last = (self._time_s, self._raw) if self._moving else None
        if heard_s is not None:
            self._follow(dt_s, heard_s - now_s)
        lost = self._weight <= 0.0  # gone for so long that its features are at rest: do not glide from the old place
        self._time_s = now_s
        self._energy = [_ease(energy, 0.0, dt_s, _GATHER_S) for energy in self._energy]
        self._moving = False
        place = self._dancer
        if frame.people > place and np.isfinite(frame.world[place]).all() and np.isfinite(frame.image[place]).all():
            self._see(frame, now_s, dt_s, lost)
        if not self._moving:
            self._ground = _Ground()
        gone = (_NEEDS & lost).any(axis=1)
        if self._last is not None:
            self._last = self._last[0], np.where(gone, self._raw, self._last[1])
        self._offset[:] = 0.0
        if before is not None and heard_s is not None:
            self._offset = np.where(gone, 0.0, before - self._value(heard_s))
            self._corrected_s = heard_s
        return self._eased(self._raw, now_s)

    def at(self, now_s: float) -> Float32:
        """float32 [F] for a hop heard at now_s; never looks at anything newer than the frames given so far."""
        if self._time_s is None:
            return REST.copy()
        return self._eased(_within_range(self._value(now_s)), max(now_s, self._time_s))

    def measured(self) -> Float32:
        """float32 [F] of the newest frame with its joints as they were measured, not filtered: what a dancer did.

        What is slow about a body (its size, reach and ground) and its speeds are the filter's, so that this differs
        from `update` by what the filter does to movement alone.
        """
        if self._time_s is None:
            return REST.copy()
        if not self._moving:
            return self._eased(self._raw, self._time_s)
        places = self._geometry(self._body.measured, self._ground.above(0.0, self.spec.motion))
        return self._eased(places, self._time_s)

    def seen(self) -> npt.NDArray[np.bool_]:
        """bool [F]: which features were measured in the newest frame; others are held or ease to or from rest."""
        measured = (self._seen_s == self._time_s) & (self._weight >= 1.0)
        return (~_NEEDS | measured).all(axis=1)

    def _follow(self, dt_s: float, after_s: float) -> None:
        """Choose how far behind the body hops are. dt_s: since the pose before; after_s: captured to first heard."""
        self._between_s = _ease(self._between_s, min(dt_s, 0.1), dt_s, 1.0)
        last_s = after_s if self._heard_after_s is None else self._heard_after_s
        self._heard_after_s = _ease(last_s, after_s, dt_s, 1.0)
        self._behind_s = behind_s(self._heard_after_s, self._between_s, self.spec)

    def _value(self, now_s: float) -> Float64:
        """float64 [F]: predicted, and not yet corrected altogether; may leave the ranges."""
        assert self._time_s is not None
        ahead_s = min(now_s - self._behind_s - self._time_s, self.spec.look_ahead_s)
        value = self._raw
        if self._moving and self.spec.look_ahead_s > 0.0:
            if ahead_s > 0.0:
                body = predict(self._body, ahead_s, self.spec.motion)
                keep_lengths(body, self._body.place, _BONES)
                value = self._geometry(body, self._ground.above(ahead_s, self.spec.motion))
            elif self._last is not None:
                last_s, last = self._last
                value = last + max(1.0 + ahead_s / (self._time_s - last_s), 0.0) * (value - last)
        since = max(now_s - self._corrected_s, 0.0) / self.spec.correct_s
        return value + self._offset * math.exp(-since) if since < 20.0 else value

    def _eased(self, value: Float64, now_s: float) -> Float32:
        """float32 [F]: near rest where a limb has been out of view for a while."""
        weight = self._weights(now_s)
        weight = weight * weight * (3 - 2 * weight)
        blend = np.where(_NEEDS, weight, 1.0).min(axis=1)
        return (REST + blend * (value - REST)).astype(np.float32)

    def _weights(self, now_s: float) -> Float64:
        """float64 [groups], 0 at rest .. 1 as seen: grows until the hold is over, then falls; linear, so it ends."""
        spec = self.spec
        assert self._time_s is not None
        held_until = self._seen_s + spec.hold_s
        rising = np.maximum(np.minimum(now_s, held_until) - self._time_s, 0.0) / spec.return_s
        falling = np.maximum(now_s - np.maximum(held_until, self._time_s), 0.0) / spec.ease_s
        return np.maximum(np.minimum(self._weight + rising, 1.0) - falling, 0.0)

    def _see(self, frame: PoseFrame, now_s: float, dt_s: float, lost: npt.NDArray[np.bool_]) -> None:
        """A person is in view: filter the body, then take the features from it. Zeros are nobody."""
        world = frame.world[self._dancer, _JOINTS].astype(np.float64)
        hips = 0.5 * (world[4] + world[5])
        torso = math.dist(0.5 * (world[2] + world[3]), hips)
        if torso < 1e-6:
            return
        self._torso = torso if self._torso == 0.0 else _ease(self._torso, torso, dt_s, 1.0)

        seen = np.minimum.reduceat(frame.visibility[self._dancer, _JOINTS], _GROUP_START) >= self.spec.visible
        self._seen_s[0] = now_s
        self._seen_s[1:][seen] = now_s

        fresh = seen[_JOINT_GROUP - 1]
        restart = fresh & (lost[_JOINT_GROUP] | np.isinf(self._joint_s))
        body = (world - hips) / self._torso
        self._filter_body(body, fresh, restart, now_s)
        image = frame.image[self._dancer, _JOINTS, :2].astype(np.float64)
        self._ground.track(image, world[:, :2], self._torso, dt_s, self.spec.motion)
        self._gather(dt_s)
        self._moving = True
        self._raw = self._geometry(self._body.place, self._ground.above(0.0, self.spec.motion))

    def _filter_body(
        self, body: Float64, fresh: npt.NDArray[np.bool_], restart: npt.NDArray[np.bool_], now_s: float
    ) -> None:
        """Kalman filter on the joints in view; the others keep their last place, without speed."""
        state, goes_on, hidden = self._body, fresh & ~restart, ~fresh
        if goes_on.any():
            rows = state.rows(goes_on)
            observe(rows, body[goes_on], (now_s - self._joint_s[goes_on])[:, None], _NOISE, self.spec.motion)
            state.put(goes_on, rows)
        state.restart(restart, body, _NOISE)
        state.velocity[hidden] = 0.0
        self._joint_s[fresh] = now_s

    def _gather(self, dt_s: float) -> None:
        """What is slow about a body: how far its arms reach, and how much it moved lately."""
        place = self._body.place
        arm = 0.5 * float(np.sqrt(((place[[6, 7, 8, 9]] - place[[2, 6, 3, 8]]) ** 2).sum(axis=1)).sum())  # of two
        # An arm pointing at the camera is measured short, never long: follow the longest, forget slowly.
        longer = _ease(self._reach, arm, dt_s, 0.3 if arm > self._reach else 30)
        self._reach, self._reached = (longer if self._reached else max(arm, 0.8)), True
        self._speed = np.sqrt((self._body.velocity**2).sum(axis=1)).tolist()
        arms, legs = sum(self._speed[6:10]) / (4 * _ARM_ENERGY), sum(self._speed[10:14]) / (4 * _LEG_ENERGY)
        gathered = 1 - math.exp(-dt_s / _GATHER_S)
        self._energy = [self._energy[0] + gathered * min(arms, 2.0), self._energy[1] + gathered * min(legs, 2.0)]

    def _geometry(self, body: Float64, above_ground: float) -> Float64:
        """float64 [F]: every feature of a body [14, 3], in plain floats: for three-vectors numpy is slower."""
        left_ear, right_ear, left_shoulder, right_shoulder, left_hip, right_hip, *limbs = body.tolist()
        left_elbow, left_hand, right_elbow, right_hand, left_knee, left_foot, right_knee, right_foot = limbs
        speed = self._speed

        # Axes of the shoulders in the horizontal plane (x right in the image, y down, z away from the camera).
        x, z = _across(left_shoulder, right_shoulder)  # towards the performer's own left
        hip_x, hip_z = _across(left_hip, right_hip)
        left = (x, 0.0, z)
        forward = (z, 0.0, -x)

        reach = self._reach
        left_arm, right_arm = _minus(left_hand, left_shoulder), _minus(right_hand, right_shoulder)
        left_height, right_height = -left_arm[1] / reach, -right_arm[1] / reach

        left_leg = math.dist(left_hip, left_knee) + math.dist(left_knee, left_foot)
        right_leg = math.dist(right_hip, right_knee) + math.dist(right_knee, right_foot)
        leg = max(0.5 * (left_leg + right_leg), 1e-6)
        standing = max((left_foot[1] - left_hip[1]), (right_foot[1] - right_hip[1])) / leg
        trunk = [a + b - c - d for a, b, c, d in zip(left_shoulder, right_shoulder, left_hip, right_hip, strict=True)]
        trunk_length = max(math.hypot(*trunk), 1e-6)

        ends = (
            left_ear,
            right_ear,
            left_elbow,
            left_hand,
            right_elbow,
            right_hand,
            left_knee,
            left_foot,
            right_knee,
            right_foot,
        )
        sides = [_dot(end, left) for end in ends]
        depths = [_dot(end, forward) for end in ends]
        heights = [end[1] for end in ends]
        width = max(max(sides) - min(sides), max(depths) - min(depths))
        height = max(heights) - min(heights)

        values = (
            1.0,  # presence
            left_height,
            right_height,
            _dot(left_arm, left) / reach,
            -_dot(right_arm, left) / reach,
            _dot(left_arm, forward) / reach,
            _dot(right_arm, forward) / reach,
            math.dist(left_hand, right_hand) / (2 * reach + math.dist(left_shoulder, right_shoulder)),
            (_angle(left_shoulder, left_elbow, left_hand) - 0.6) / 2.3,  # 35 degrees folded, 165 straight
            (_angle(right_shoulder, right_elbow, right_hand) - 0.6) / 2.3,
            speed[7] / _HAND_SPEED,
            speed[9] / _HAND_SPEED,
            1.0 - 0.5 * abs(left_height - right_height),
            (_angle(left_hip, left_knee, left_foot) - 0.8) / 2.1,  # 45 degrees folded, 165 straight
            (_angle(right_hip, right_knee, right_foot) - 0.8) / 2.1,
            (right_foot[1] - left_foot[1]) / leg,
            (left_foot[1] - right_foot[1]) / leg,
            math.dist(left_foot, right_foot) / (1.2 * leg),
            speed[11] / _FOOT_SPEED,
            speed[13] / _FOOT_SPEED,
            self._energy[0],
            self._energy[1],
            0.5 * (self._energy[0] + self._energy[1]),
            0.5 * _unit(width, 0.8, 2.7) + 0.5 * _unit(height, 1.2, 3.8),  # openness, extents in torso lengths
            _dot(trunk, left) / trunk_length / 0.7,  # 45 degrees reads as 1
            _dot(trunk, forward) / trunk_length / 0.7,
            (0.95 - standing) / 0.65,  # crouch: hips over feet, in leg lengths
            (above_ground - 0.06) / 0.5,  # jump
            z,  # turn
            x,  # facing
            (z * hip_x - x * hip_z) / 0.7,  # twist
            (left_ear[1] - right_ear[1]) / max(math.dist(left_ear, right_ear), 1e-6) / 0.6,  # head_tilt
            float(self._ground.motion.velocity[0]) / _TRAVEL_SPEED,
        )
        return _within_range(np.array(values))


def _within_range(value: Float64) -> Float64:
    return np.minimum(np.maximum(value, _MINIMUM), _MAXIMUM)  # np.clip costs ten times as much on so few numbers


class _Ground:
    """Where the body stands in the image, in torso lengths: speed across it, height of the feet over the ground.

    The image's scale is fitted from the body itself (weak perspective: image = scale * world + place), with its
    sign, so that a mirrored image reads the same; places are summed from steps, so where one stands drops out.
    """

    def __init__(self) -> None:
        self.last: Float64 | None = None  # hip x, lowest foot y in the image
        self.scale = np.zeros(2)  # image units per metre along x, y, slow
        self.place = np.zeros(2)  # torso lengths since the person came in
        self.motion = MotionState.zeros(2)
        self.ground = 0.0

    def above(self, ahead_s: float, spec: MotionSpec) -> float:
        """Feet above the ground in torso lengths, ahead_s after the newest frame."""
        return self.ground - float(predict(self.motion, ahead_s, spec)[1])

    def track(self, image: Float64, world: Float64, torso: float, dt_s: float, spec: MotionSpec) -> None:
        """image, world float64 [14, 2]: the joints in image units and in metres. torso in metres."""
        from_middle = world - world.mean(axis=0)
        power = (from_middle * from_middle).sum(axis=0)
        if (power < 1e-6).any():
            return
        scale = (from_middle * (image - image.mean(axis=0))).sum(axis=0) / power
        last = self.last
        self.last = np.array([0.5 * (image[4, 0] + image[5, 0]), max(image[11, 1], image[13, 1])])
        if last is None:
            self.scale = scale
            self.motion.restart(np.ones(2, bool), self.place, _IMAGE_NOISE)
            return
        self.scale = self.scale + (scale - self.scale) * (1 - math.exp(-dt_s / 1.0))
        unit = self.scale * torso
        if (np.abs(unit) < 1e-6).any():
            return
        self.place = self.place + (self.last - last) / unit
        observe(self.motion, self.place, dt_s, _IMAGE_NOISE, spec)
        foot = float(self.motion.place[1])
        # The ground is where the lower foot comes down (y points down); walking away lifts it slowly, a jump is short.
        self.ground = _ease(self.ground, foot, dt_s, 0.15 if foot > self.ground else 3.0)


Point = Sequence[float]


def _across(left: Point, right: Point) -> tuple[float, float]:
    """Unit vector from right to left in the horizontal plane: (x, z)."""
    x, z = left[0] - right[0], left[2] - right[2]
    length = math.hypot(x, z)
    return (x / length, z / length) if length > 1e-6 else (1.0, 0.0)


def _minus(a: Point, b: Point) -> tuple[float, float, float]:
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


def _dot(a: Point, b: Point) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _angle(a: Point, joint: Point, b: Point) -> float:
    """Inner angle at a joint in radians: pi is straight."""
    u, v = _minus(a, joint), _minus(b, joint)
    lengths = math.hypot(*u) * math.hypot(*v)
    return math.acos(min(max(_dot(u, v) / lengths, -1.0), 1.0)) if lengths > 1e-9 else math.pi


def _unit(x: float, low: float, high: float) -> float:
    return min(max((x - low) / (high - low), 0.0), 1.0)


def _ease(old: float, new: float, dt_s: float, time_constant_s: float) -> float:
    return new + (old - new) * math.exp(-dt_s / time_constant_s)
