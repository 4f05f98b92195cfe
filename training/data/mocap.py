"""From motion capture to what a stage's camera would have seen of it: MediaPipe's landmarks of a simulated dancer.

In: a Motion and a seeded generator. Out: an Observation, as data/augment.py disturbs it further and corpora keep it.
The skeleton's joints become MediaPipe's 33 landmarks, the dance varies in tempo and in which limbs take part, and a
camera with perspective, height, yaw, frame rate, noise and occlusion looks at it. Knows no sound and no features.

MediaPipe's landmarks from a skeleton: shoulders, elbows, wrists, hips, knees, ankles are its joints. Nose, eyes, ears
and mouth stand at fixed places about the head joint, which turn with it; fingers continue the forearm, heel and toes
lie along the foot. The features use none of the approximated ones but the ears.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from livemove.contracts import LANDMARKS, Float64
from training.data.augment import Observation, wander
from training.data.bvh import END, Motion, MotionError, positions

JOINTS: dict[str, tuple[str, ...]] = {
    "shoulder": ("{s}Shldr", "{side}Arm", "{side}Shoulder"),
    "elbow": ("{s}ForeArm", "{side}ForeArm", "{side}Elbow"),
    "wrist": ("{s}Hand", "{side}Hand", "{side}Wrist"),
    "hip": ("{s}Thigh", "{side}UpLeg", "{side}Hip"),
    "knee": ("{s}Shin", "{side}Leg", "{side}Knee"),
    "ankle": ("{s}Foot", "{side}Foot", "{side}Ankle"),
    "toe": ("{side}ToeBase", "{side}Toe", "{s}Foot" + END),
}
"""Names of a limb's joints, in three conventions: Daz/Poser (lShldr), Maya/Mixamo (LeftArm), Biovision (LeftShoulder);
the first that is there counts. {side}: Left or Right, {s}: l or r."""
HEAD = ("head", "Head")

LEG_M = 0.85
"""Every dancer's thigh and shin together, metres: files come in all units. Features do not depend on it."""

FACE: dict[int, tuple[float, float, float]] = {
    0: (0.0, 0.06, 0.12), 1: (0.015, 0.09, 0.10), 2: (0.03, 0.09, 0.095), 3: (0.045, 0.09, 0.085),
    4: (-0.015, 0.09, 0.10), 5: (-0.03, 0.09, 0.095), 6: (-0.045, 0.09, 0.085), 7: (0.075, 0.08, 0.0),
    8: (-0.075, 0.08, 0.0), 9: (0.025, 0.03, 0.10), 10: (-0.025, 0.03, 0.10),
}  # fmt: skip
"""Landmarks of the head from its joint, in metres to the own left, up and forward."""

MODES = (("whole", 0.7), ("arms", 0.15), ("legs", 0.15))
"""What takes part in a dance, and how often: all of it; the arms only, the rest standing; all but the arms."""
TEMPO = (0.85, 1.15)
PAUSE_S = (0.8, 2.5)
"""A dancer stands still for so long, up to twice in half of the dances: stillness must be in the data to be silent."""


@dataclass(frozen=True)
class Dancer:
    """A body in space: positions float64 [frames, 33, 3] in metres, y up, the ground at 0, `rate` frames a second."""

    marks: Float64
    rate: float


@dataclass(frozen=True)
class Camera:
    """Where it stands and how well it sees. yaw: radians off the dancer's mean front; height_m, distance_m: from the
    ground and the dancer's mean place; view: vertical angle in radians; aspect: width by height; fps with jitter_s;
    noise_m, depth_noise_m: standard deviation of a landmark across and along the line of sight; depth: how much of the
    true depth it sees; lost: share of frames that never come."""

    yaw: float
    height_m: float
    distance_m: float
    view: float
    aspect: float
    fps: float
    jitter_s: float
    noise_m: float
    depth_noise_m: float
    depth: float
    lost: float


def drawn_camera(rng: np.random.Generator) -> Camera:
    """A camera as people put one before a dancer: a laptop's or a tripod's, mostly before the dancer, seldom beside."""
    return Camera(
        yaw=float(rng.uniform(-0.6, 0.6) if rng.random() < 0.8 else rng.uniform(-np.pi, np.pi)),
        height_m=float(rng.uniform(0.7, 1.7)),
        distance_m=float(rng.uniform(3.0, 5.0)),
        view=float(np.radians(rng.uniform(42, 60))),
        aspect=float(rng.choice([4 / 3, 16 / 9])),
        fps=float(rng.choice([25.0, 30.0])),
        jitter_s=float(rng.uniform(0.0, 0.004)),
        noise_m=float(rng.uniform(0.002, 0.008)),
        depth_noise_m=float(rng.uniform(0.005, 0.02)),
        depth=float(rng.uniform(0.7, 1.1)),
        lost=float(rng.uniform(0.0, 0.04)),
    )


# --- the body -----------------------------------------------------------------------------------------------


def dancer(motion: Motion, mode: str = "whole") -> Dancer:
    """The 33 landmarks of a motion. mode: see MODES. Raises MotionError if a joint that is needed is not there."""
    names = {joint.name: i for i, joint in enumerate(motion.joints)}
    at = {(part, side): _joint(names, part, side) for part in JOINTS for side in ("Left", "Right")}
    head = next((names[name] for name in HEAD if name in names), None)
    if head is None:
        raise MotionError(f"its skeleton has no joint called {' or '.join(HEAD)}")
    place, turned = positions(_held(motion, mode, at))
    place = place * (LEG_M / _leg(place, at))
    place = place @ _upright(place, at, head).T
    left_joints = {part: place[:, at[part, "Left"]] for part in JOINTS}
    right_joints = {part: place[:, at[part, "Right"]] for part in JOINTS}

    marks = np.zeros((len(place), LANDMARKS, 3))
    for first, part in ((11, "shoulder"), (13, "elbow"), (15, "wrist"), (23, "hip"), (25, "knee"), (27, "ankle")):
        marks[:, first], marks[:, first + 1] = left_joints[part], right_joints[part]
    _add_head(marks, place[:, head], turned[:, head])
    for side, joints in enumerate((left_joints, right_joints)):
        along = _unit(joints["wrist"] - joints["elbow"])
        across = _unit(np.cross(along, [0.0, 1.0, 0.0]) + 1e-6)
        marks[:, 17 + side] = joints["wrist"] + 0.08 * along - 0.03 * across
        marks[:, 19 + side] = joints["wrist"] + 0.09 * along + 0.02 * across
        marks[:, 21 + side] = joints["wrist"] + 0.04 * along + 0.04 * across
        foot = _unit((joints["toe"] - joints["ankle"]) * [1.0, 0.0, 1.0])
        marks[:, 29 + side] = joints["ankle"] - 0.05 * foot - [0.0, 0.06, 0.0]
        marks[:, 31 + side] = joints["ankle"] + 0.17 * foot - [0.0, 0.07, 0.0]
    marks[..., 1] -= np.percentile(marks[:, 27:33, 1].min(1), 5)
    return Dancer(marks, 1 / motion.frame_s)


def _joint(names: dict[str, int], part: str, side: str) -> int:
    for pattern in JOINTS[part]:
        name = pattern.format(side=side, s=side[0].lower())
        if name in names:
            return names[name]
    raise MotionError(f"its skeleton has no {side.lower()} {part} by any name known")


def _held(motion: Motion, mode: str, at: dict[tuple[str, str], int]) -> Motion:
    """The motion with what does not take part held as it is in the middle."""
    if mode == "whole":
        return motion
    arms = motion.below(motion.joints[at["shoulder", "Left"]].name)
    arms |= motion.below(motion.joints[at["shoulder", "Right"]].name)
    still = [joint for i, joint in enumerate(motion.joints) if (i in arms) == (mode == "legs")]
    columns = [column for joint in still for column, _ in (*joint.moves, *joint.turns)]
    values = motion.values.copy()
    values[:, columns] = values[len(values) // 2, columns]
    return dataclasses.replace(motion, values=values)


def _leg(place: Float64, at: dict[tuple[str, str], int]) -> float:
    bones = (("hip", "knee"), ("knee", "ankle"))
    both = [
        np.linalg.norm(place[:, at[a, side]] - place[:, at[b, side]], axis=-1).mean()
        for a, b in bones
        for side in ("Left", "Right")
    ]
    return float(np.sum(both) / 2)


def _upright(place: Float64, at: dict[tuple[str, str], int], head: int) -> Float64:
    """Rotation [3, 3] that brings the axis from feet to head to +y: some files stand along z."""
    feet = 0.5 * (place[:, at["ankle", "Left"]] + place[:, at["ankle", "Right"]])
    up = np.median(place[:, head] - feet, axis=0)
    axis = int(np.abs(up).argmax())
    if axis == 1:
        return np.diag([1.0, 1.0, 1.0]) if up[1] > 0 else np.diag([1.0, -1.0, -1.0])
    turn = {0: ("z", 90), 2: ("x", -90)}[axis]
    return Rotation.from_euler(turn[0], turn[1] * np.sign(up[axis]), degrees=True).as_matrix()


def _add_head(marks: Float64, head: Float64, turned: Float64) -> None:
    """The face about the head joint. What is left and up for the head's own axes is where its shoulders and its trunk
    point to on the whole: files agree on no rest pose."""
    left = _unit(marks[:, 11] - marks[:, 12])
    up = _unit(marks[:, 11] + marks[:, 12] - marks[:, 23] - marks[:, 24])
    own_left = np.einsum("fji,fj->i", turned, left)
    own_up = np.einsum("fji,fj->i", turned, up)
    left = _unit(turned @ _unit(own_left))
    up = turned @ _unit(own_up)
    up = _unit(up - (up * left).sum(-1, keepdims=True) * left)
    forward = np.cross(left, up)
    for mark, (to_left, above, before) in FACE.items():
        marks[:, mark] = head + to_left * left + above * up + before * forward


def _unit(vectors: Float64) -> Float64:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


# --- time ---------------------------------------------------------------------------------------------------


def timed(rng: np.random.Generator, body: Dancer) -> Dancer:
    """The dance at another tempo, in half of the cases with pauses in which the dancer stands still; 120 frames/s."""
    rate = 120.0
    speed = float(rng.uniform(*TEMPO))
    seconds = (len(body.marks) - 1) / body.rate / speed
    grid = np.full(int(seconds * rate), speed)
    if rng.random() < 0.5:
        for _ in range(rng.integers(1, 3)):
            begin, ease = int(rng.integers(0, len(grid))), int(0.15 * rate)
            pause = np.zeros(int(rng.uniform(*PAUSE_S) * rate))
            ramp = 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, ease))
            grid = np.concatenate([grid[:begin], speed * ramp[::-1], pause, speed * ramp, grid[begin:]])
    at = np.cumsum(grid) / rate * body.rate
    at = at[at < len(body.marks) - 1]
    left = at.astype(int)
    share = (at - left)[:, None, None]
    return Dancer(body.marks[left] * (1 - share) + body.marks[left + 1] * share, rate)


# --- the camera ---------------------------------------------------------------------------------------------


def observed(rng: np.random.Generator, body: Dancer, camera: Camera) -> Observation:
    """What the camera saw: frames in their order, each with the dancer's landmarks as MediaPipe gives them."""
    frame_s, frames = _frame_times(rng, body, camera)
    marks = body.marks[frames]
    seen = _turned(marks, body.marks, camera)  # x right, y down, z away, metres, from the camera
    noise = wander(rng, frame_s, 0.4 * camera.fps, (LANDMARKS, 3))
    seen += noise * [camera.noise_m, camera.noise_m, camera.depth_noise_m]
    hips = 0.5 * (seen[:, 23:24] + seen[:, 24:25])
    world = (seen - hips) * [1.0, 1.0, camera.depth]
    focal = 0.5 / np.tan(0.5 * camera.view)  # in frame heights
    depth = np.maximum(seen[..., 2:], 0.3)
    image = np.concatenate([
        0.5 + focal / camera.aspect * seen[..., :1] / depth,
        0.5 + focal * seen[..., 1:2] / depth,
        focal / camera.aspect * world[..., 2:] / np.maximum(hips[..., 2:], 0.3),
    ], -1)  # fmt: skip
    visibility = _visibility(rng, seen, image, frame_s)
    people = ((image[:, (11, 12, 23, 24), :2] > 0) & (image[:, (11, 12, 23, 24), :2] < 1)).all((1, 2))
    return Observation(
        frame_s=frame_s,
        arrival_s=frame_s.copy(),
        people=people.astype(np.int8),
        image=image.astype(np.float32),
        world=world.astype(np.float32),
        visibility=visibility.astype(np.float32),
    )


def _frame_times(rng: np.random.Generator, body: Dancer, camera: Camera) -> tuple[Float64, np.ndarray]:
    """(when frames were taken [n], which of the body's frames that is): uneven, some lost, the first one at 0."""
    count = int(len(body.marks) / body.rate * camera.fps)
    times = np.arange(count) / camera.fps + rng.normal(0, 1, count).clip(-3, 3) * camera.jitter_s
    times = np.maximum.accumulate(np.maximum(times - times[0], 0)) + np.arange(count) * 1e-6
    came = rng.random(count) >= camera.lost
    came[0] = True
    frames = np.round(times * body.rate).astype(int)
    came &= frames < len(body.marks)
    return times[came], frames[came]


def _turned(marks: Float64, whole: Float64, camera: Camera) -> Float64:
    """Landmarks in the camera's axes. It looks at the middle of where the dancer is on the whole."""
    left = (whole[:, 11] - whole[:, 12] + whole[:, 23] - whole[:, 24])[:, (0, 2)]
    left = _unit(_unit(left).sum(0))
    front = np.array([-left[1], 0.0, left[0]])  # left, up and front are right-handed: front = left x up
    c, s = np.cos(camera.yaw), np.sin(camera.yaw)
    towards = np.array([c * front[0] + s * front[2], 0.0, c * front[2] - s * front[0]])
    hips = 0.5 * (whole[:, 23] + whole[:, 24])
    middle = np.array([*np.median(hips, 0)])
    middle[1] = 0.95
    eye = middle * [1.0, 0.0, 1.0] + towards * camera.distance_m + [0.0, camera.height_m, 0.0]
    away = _unit(middle - eye)
    right = _unit(np.cross(away, [0.0, 1.0, 0.0]))
    down = np.cross(away, right)
    return (marks - eye) @ np.stack([right, down, away], -1)


def _visibility(rng: np.random.Generator, seen: Float64, image: Float64, frame_s: Float64) -> Float64:
    """0..1: low outside the frame, and for a limb's joint that stands behind the trunk."""
    visibility = 0.97 + 0.02 * wander(rng, frame_s, 2.0, (LANDMARKS,)).clip(-1, 1)
    trunk = seen[:, (11, 12, 23, 24)]
    low, high = trunk.min(1)[:, None], trunk.max(1)[:, None]
    limbs = np.array([13, 14, 15, 16, 25, 26, 27, 28])
    joints = seen[:, limbs]
    behind = joints[..., 2] > trunk[..., 2].mean(1)[:, None] + 0.12
    inside = ((joints[..., :2] > low[..., :2]) & (joints[..., :2] < high[..., :2])).all(-1)
    covered = visibility[:, limbs]
    covered[behind & inside] -= 0.65
    visibility[:, limbs] = covered
    outside = ((image[..., :2] < -0.02) | (image[..., :2] > 1.02)).any(-1)
    visibility[outside] = 0.1
    return visibility.clip(0, 1)
