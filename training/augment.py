"""What a stage does to the pose that a studio recording never shows: noise, lost frames, lag, mirrors, hidden limbs.

In: a clip's pose features [hops, F] in natural units and a seeded generator. Out: the same clip as a worse camera might
have seen it. Pure NumPy; knows no network, and touches no channel that is not a body feature.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from livemove.contracts import Float32
from livemove.features import FEATURES, REST, TABLE, FeatureSpec

FRAME_S = 1 / 30
"""A camera's frame: noise is new with each, and frames are lost one at a time."""

NOISE_HZ = 6.0
"""Landmarks jitter below this: MediaPipe and the One-Euro filter have smoothed what is faster."""

GROUPS: dict[str, tuple[str, ...]] = {
    side + limb: tuple(name for name in FEATURES if name.startswith(tuple(side + part for part in parts))) + shared
    for side in ("left_", "right_")
    for limb, parts, shared in (
        ("arm", ("hand", "elbow"), ("hand_distance", "symmetry", "openness")),
        ("leg", ("knee", "foot"), ("foot_distance", "jump", "crouch", "left_foot_height", "right_foot_height")),
    )
} | {"person": FEATURES}
"""What goes out of sight together, and the features that then come to rest."""

SIGNED = ("lean_side", "turn", "twist", "head_tilt", "travel")
"""Features whose sign a mirror turns; left and right change places besides."""


@dataclass(frozen=True)
class Shake:
    """How much of each; all 0 leaves a clip alone. noise: share of a feature's range. latency_s: at most."""

    noise: float = 0.0
    dropped: float = 0.0
    latency_s: float = 0.0
    mirror: float = 0.0
    missing: float = 0.0

    @property
    def any(self) -> bool:
        return max(self.noise, self.dropped, self.latency_s, self.mirror, self.missing) > 0


def shaken(rng: np.random.Generator, channels: Float32, names: tuple[str, ...], hop_s: float, shake: Shake) -> Float32:
    """channels float32 [hops, C] in natural units, the columns that are body features as a stage might show them."""
    columns = [i for i, name in enumerate(names) if name in FEATURES]
    if not columns or not shake.any:
        return channels
    features = np.tile(REST, (len(channels), 1))
    at = [FEATURES.index(names[i]) for i in columns]
    features[:, at] = channels[:, columns]
    if rng.random() < shake.mirror:
        features = mirrored(features)
    if rng.random() < shake.missing:
        features = hidden(rng, features, hop_s)
    features = late(rng, features, hop_s, shake.latency_s, shake.dropped)
    features = jittered(rng, features, hop_s, shake.noise)
    out = channels.copy()
    out[:, columns] = features[:, at]
    return out


def mirrored(features: Float32) -> Float32:
    """float32 [hops, F]: the same dance in a mirror."""
    swap = {"left": "right", "right": "left"}
    order = []
    for name in FEATURES:
        side, _, rest = name.partition("_")
        order.append(FEATURES.index(f"{swap[side]}_{rest}" if side in swap else name))
    sign = np.array([-1.0 if name in SIGNED else 1.0 for name in FEATURES], np.float32)
    return features[:, order] * sign


def hidden(rng: np.random.Generator, features: Float32, hop_s: float) -> Float32:
    """float32 [hops, F]: one group out of sight from some hop on for 0.2 to 2 s, as features.FeatureStream tells it.

    Held for a while, then eased to rest; back in sight, it returns.
    """
    spec = FeatureSpec()
    group = GROUPS[list(GROUPS)[rng.integers(len(GROUPS))]]
    first = rng.uniform(-1.0, len(features) * hop_s)  # it may have gone before the clip began
    last = first + rng.uniform(0.2, 2.0)
    t = np.arange(len(features)) * hop_s
    fallen = np.clip((np.minimum(t, last) - first - spec.hold_s) / spec.ease_s, 0, 1)
    weight = np.where(t < last, 1 - fallen, np.clip(1 - fallen + (t - last) / spec.return_s, 0, 1))
    weight = (weight * weight * (3 - 2 * weight)).astype(np.float32)
    out = features.copy()
    start = min(max(int(first / hop_s), 0), len(features) - 1)
    for name in group:
        i = FEATURES.index(name)
        held = np.where((t >= first) & (t < last), features[start, i], features[:, i])
        out[:, i] = REST[i] + weight * (held - REST[i])
    return out


def late(rng: np.random.Generator, features: Float32, hop_s: float, latency_s: float, dropped: float) -> Float32:
    """float32 [hops, F]: each hop shows the pose of a little earlier: a wandering delay, and frames that never came."""
    hops = len(features)
    index = np.arange(hops)
    if latency_s > 0:
        delay = rng.uniform(0, latency_s) + 0.25 * latency_s * _wander(rng, hops, hop_s, 2.0)
        index = index - np.rint(np.clip(delay, 0, latency_s) / hop_s).astype(int)
        index = np.maximum.accumulate(index)  # never back in time
    if dropped > 0:
        frame = (np.arange(hops) * hop_s / FRAME_S).astype(int)
        lost = rng.random(frame[-1] + 1) < dropped
        lost[0] = False
        came = np.maximum.accumulate(np.where(lost, 0, np.arange(len(lost))))  # the newest frame that did come
        late_by = frame - came[frame]
        index = index - np.where(late_by > 0, np.arange(hops) - _last_hop_of(frame, came[frame]), 0)
    return features[np.clip(index, 0, hops - 1)]


def _last_hop_of(frame: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    return np.searchsorted(frame, wanted, side="right") - 1


def jittered(rng: np.random.Generator, features: Float32, hop_s: float, noise: float) -> Float32:
    """float32 [hops, F] with smooth noise of that share of each feature's range, kept inside it; presence as it was."""
    if noise <= 0:
        return features
    low = np.array([f.minimum for f in TABLE], np.float32)
    high = np.array([f.maximum for f in TABLE], np.float32)
    wander = np.stack([_wander(rng, len(features), hop_s, NOISE_HZ) for _ in TABLE], -1)
    wander[:, FEATURES.index("presence")] = 0
    return np.clip(features + noise * (high - low) * wander, low, high).astype(np.float32)


def _wander(rng: np.random.Generator, hops: int, hop_s: float, cutoff_hz: float) -> np.ndarray:
    """Zero-mean noise [hops] of about unit variance below cutoff_hz: random knots, joined by straight lines."""
    spacing = max(1 / (2 * cutoff_hz * hop_s), 1.0)
    knots = rng.standard_normal(int(hops / spacing) + 3)
    return np.interp(rng.random() + np.arange(hops) / spacing, np.arange(len(knots)), knots)
