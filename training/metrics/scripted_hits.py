"""A dancer who strikes, stomps, claps and jumps at known times: what the triggers of livemove.body find of it.

In: a seed. Out: pose frames as from a camera, with its noise, jitter and lost frames, the hits they show, and scores of
any list of detected hits. The dancer also does what is no hit: raises a hand, waves, steps, crouches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from livemove.body.event_inputs import EventInputs
from livemove.body.features import FEATURES, FeatureStream
from livemove.body.mapping import Mapping
from livemove.body.triggers import HITS, Hit, Triggers
from livemove.capture import demo
from livemove.contracts import Float32, Float64, PoseFrame

GESTURES = ("raise", "wave", "step", "crouch")
"""What the dancer does besides HITS, and nothing may be heard of."""

EARLY_S, LATE_S = 0.05, 0.12
"""A detected hit is one of the script's if it is of the same limb and not so much before or after it: a stop is seen
when it is over, in the first or second frame after it."""


@dataclass(frozen=True)
class Act:
    """One thing the dancer does. what: one of HITS or GESTURES; time_s: of the impact, or the gesture's beginning.

    size, fast: 0..1 of how far and how quickly such a thing is done; right: of a gesture, with the right side.
    """

    what: str
    time_s: float
    size: float
    fast: float
    right: bool


@dataclass(frozen=True)
class Camera:
    """How the dancer is seen. noise_m: standard deviation of a landmark, three times that in depth; jitter_s: of a
    frame's time; lost: share of frames; smooth_s: time constant of the landmarker's own smoothing."""

    fps: float = 30.0
    noise_m: float = 0.006
    jitter_s: float = 0.004
    lost: float = 0.02
    smooth_s: float = 0.012


def script(seed: int, seconds: float) -> list[Act]:
    """A minute or so of hits, half a second to a second apart, a gesture after every second one."""
    rng = np.random.default_rng((seed, 7))
    acts: list[Act] = []
    at = 1.5
    while at < seconds - 1.0:
        what = str(rng.choice(HITS))
        acts.append(Act(what, at, rng.random(), rng.random(), bool(rng.random() < 0.5)))
        at += rng.uniform(0.75, 1.1)
        if rng.random() < 0.5:
            acts.append(Act(str(rng.choice(GESTURES)), at - 0.4, rng.random(), rng.random(), bool(rng.random() < 0.5)))
            at += 1.7
    return acts


def truth(acts: Sequence[Act]) -> list[Hit]:
    """The hits of a script; strength is what was asked for, in no unit of the triggers'."""
    return [Hit(HITS.index(a.what), 0.5 * (a.size + a.fast), a.time_s) for a in acts if a.what in HITS]


def video(acts: Sequence[Act], seconds: float, camera: Camera, seed: int) -> list[PoseFrame]:
    """The script as a camera and a landmarker see it."""
    rng = np.random.default_rng((seed, 8))
    frames: list[PoseFrame] = []
    smoothed: Float64 | None = None
    last_s = 0.0
    for i in range(int(seconds * camera.fps)):
        now_s = i / camera.fps + camera.jitter_s * float(np.clip(rng.standard_normal(), -2, 2))
        frame = pose(acts, now_s)
        noise = rng.standard_normal((33, 3)) * camera.noise_m * np.array([1.0, 1.0, 3.0])
        seen = np.concatenate([frame.world[0] + noise, frame.image[0] + 0.42 * noise], axis=1)
        if smoothed is not None and camera.smooth_s > 0:
            seen = seen + (smoothed - seen) * math.exp(-(now_s - last_s) / camera.smooth_s)
        smoothed, last_s = seen, now_s
        frame.world[0], frame.image[0] = seen[:, :3], seen[:, 3:]
        frame.sequence = i
        if rng.random() >= camera.lost:
            frames.append(frame)
    return frames


def pose(acts: Sequence[Act], now_s: float) -> PoseFrame:
    """The dancer at a moment: what each act does to hands, feet and height, added up."""
    frame = demo.pose_at(0.0)
    frame.capture_s = now_s
    hands = np.array([[0.28, -0.05, -0.2], [-0.28, -0.05, -0.2]])
    feet = np.zeros((2, 3))
    height = 0.0
    for act in acts:
        t = now_s - act.time_s
        if not -0.8 < t < 2.5:
            continue
        side = HITS.index(act.what) % 2 if act.what in HITS[:4] else int(act.right)
        if act.what in HITS[:2]:
            hands[side, 1] -= (0.22 + 0.28 * act.size) * _strike(t, 0.17 - 0.06 * act.fast)
        elif act.what in HITS[2:4]:
            feet[side, 1] -= (0.12 + 0.12 * act.size) * _strike(t, 0.14 - 0.04 * act.fast)
        elif act.what == "clap":
            open_m = 0.1 + 0.2 * act.size
            raised = _ease((t + 0.55) / 0.4) - _ease((t - 0.2) / 0.45)
            hands[:, 1] -= 0.25 * raised
            wide = (0.04 - 0.28) * raised + open_m * _strike(t, 0.16 - 0.06 * act.fast)
            hands[:, 0] += np.array([wide, -wide])
        elif act.what == "landing":
            top = 0.12 + 0.13 * act.size
            flight = 2 * math.sqrt(2 * top / 9.81)
            height += max(top * (1 - (2 * t / flight + 1) ** 2), 0.0) if t < 0 else 0.0
            feet[:, 1] -= 0.08 * (_ease(t / 0.12) - _ease((t - 0.15) / 0.3))
        elif act.what == "raise":
            hands[side, 1] -= 0.6 * (_ease(t / (0.7 - 0.2 * act.fast)) - _ease((t - 0.8) / (0.7 - 0.2 * act.fast)))
        elif act.what == "wave":
            there = _ease(t / 0.4) - _ease((t - 1.2) / 0.4)
            hands[side, 0] += 0.15 * there * math.sin(2 * math.pi * (0.8 + 0.6 * act.fast) * t)
        elif act.what == "step":
            feet[side, 1] -= 0.1 * math.sin(math.pi * min(max(t / 0.6, 0.0), 1.0)) ** 2
        else:
            feet[:, 1] -= 0.25 * (_ease(t / 0.6) - _ease((t - 0.7) / 0.6))
    world = frame.world[0]
    for side, (shoulder, elbow, marks) in enumerate(((11, 13, (15, 17, 19, 21)), (12, 14, (16, 18, 20, 22)))):
        moved = hands[side] - world[marks[0]]
        for mark in marks:
            world[mark] += moved
        world[elbow] = 0.5 * (world[shoulder] + world[marks[0]]) + np.array([0.0, 0.05, 0.1])
    for side, (knee, marks) in enumerate(((25, (27, 29, 31)), (26, (28, 30, 32)))):
        for mark in marks:
            world[mark] += feet[side]
        world[knee] += 0.5 * feet[side] - np.array([0.0, 0.0, 0.5]) * abs(feet[side, 1])
    ground = max(float(world[27, 1]), float(world[28, 1]))
    frame.image[0, :, 0] = 0.5 + 0.32 * world[:, 0]
    frame.image[0, :, 1] = 0.92 + 0.42 * (world[:, 1] - ground - height)
    return frame


def _strike(t: float, down_s: float) -> float:
    """Height 0..1 of a limb that strikes at t = 0: lifted smoothly, thrown down faster and faster, stopped dead, and a
    small rebound."""
    if t < -down_s:
        return _ease((t + down_s + 0.35) / 0.35)
    if t < 0:
        return 1.0 - (t / down_s + 1.0) ** 2
    return 0.06 * math.exp(-t / 0.06) * math.sin(math.pi * min(t / 0.12, 1.0))


def _ease(part: float) -> float:
    """0 to 1 as a hand is moved there: minimum jerk (Flash & Hogan 1985)."""
    part = min(max(part, 0.0), 1.0)
    return part * part * part * (10 - 15 * part + 6 * part * part)


# --- scores -------------------------------------------------------------------------------------------------


def detect(frames: Sequence[PoseFrame], triggers: Triggers | None = None) -> list[Hit]:
    """The triggers' hits of these frames, as on stage."""
    triggers, stream = triggers or Triggers(), FeatureStream()
    jump = FEATURES.index("jump")
    return [hit for frame in frames for hit in triggers.update(frame, float(stream.update(frame)[jump]))]


def compare(found: Sequence[Hit], true: Sequence[Hit]) -> dict[str, float]:
    """{"f1", "precision", "recall", "doubled": hits found again of one that was found, "latency_ms_median", "_p95"}.

    One found hit may stand for one true hit, of the same limb, within EARLY_S before and LATE_S after it.
    """
    free = list(found)
    late: list[float] = []
    for hit in true:
        near = [f for f in free if f.which == hit.which and -EARLY_S <= f.time_s - hit.time_s <= LATE_S]
        if near:
            free.remove(near[0])
            late.append(near[0].time_s - hit.time_s)
    doubled = sum(any(f.which == h.which and -EARLY_S <= f.time_s - h.time_s <= 0.3 for h in true) for f in free)
    precision, recall = len(late) / max(len(found), 1), len(late) / max(len(true), 1)
    return {
        "hits": float(len(true)),
        "f1": 2 * precision * recall / max(precision + recall, 1e-9),
        "precision": precision,
        "recall": recall,
        "doubled": float(doubled),
        "latency_ms_median": 1e3 * float(np.median(late)) if late else math.nan,
        "latency_ms_p95": 1e3 * float(np.percentile(late, 95)) if late else math.nan,
    }


def per_minute(frames: Sequence[PoseFrame]) -> dict[str, float]:
    """{"left_hand_per_minute": ...}: how often each limb hits, of a dancer whose hits nobody has written down."""
    found = detect(frames)
    minutes = max((frames[-1].capture_s - frames[0].capture_s) / 60, 1e-9)
    return {f"{name}_per_minute": sum(h.which == i for h in found) / minutes for i, name in enumerate(HITS)}


def scores(seeds: Sequence[int] = (0, 1, 2), seconds: float = 90.0) -> dict[str, float]:
    """Of the triggers on scripted clips of cameras of 25 and of 30 frames per second: means, and the worst F1."""
    rows: list[dict[str, float]] = []
    for seed in seeds:
        acts = script(seed, seconds)
        for fps in (25.0, 30.0):
            found = detect(video(acts, seconds, Camera(fps), seed))
            rows.append(compare(found, truth(acts)))
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    return {**means, "f1_worst": min(row["f1"] for row in rows), "hits": sum(row["hits"] for row in rows)}


def channels(frames: Sequence[PoseFrame], seconds: float, mapping: Mapping, hop_s: float) -> Float32:
    """Channels float32 [hops, C] of these frames, as `livemove render` makes them: a hop knows the frames before it."""
    stream, events, jump = FeatureStream(), EventInputs(), FEATURES.index("jump")
    inputs = np.full(len(FEATURES) + len(mapping.external), np.nan, np.float32)
    out: list[Float32] = []
    waiting = list(reversed(frames))
    for hop in range(int(seconds / hop_s)):
        middle_s = (hop + 0.5) * hop_s
        while waiting and waiting[-1].capture_s <= hop * hop_s:
            frame = waiting.pop()
            events.update(frame, float(stream.update(frame, middle_s)[jump]))
        inputs[: len(FEATURES)] = stream.at(middle_s)
        events.step(inputs[: len(FEATURES)], hop_s)
        events.put(inputs[len(FEATURES) :], mapping.external)
        out.append(mapping.step(inputs, hop_s))
    return np.stack(out)
