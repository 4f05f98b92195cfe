"""Music composed from a dance by rules: when which sound is struck, how hard and how high, from body features alone.

In: features float32 [hops, F] as the stage delivers them, a style. Out: Hits. Every rule is causal and remembers at
most MEMORY_S of the features, or the time since the last hit: what it decides can be known to a model that is given the
same features and hears its own sound. Knows no sound files (training/data/dance_kit.py) and no network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from livemove.body.features import FEATURES
from livemove.contracts import HOP, Float32, Float64

DELAY_HOPS = 2
"""A hit sounds so many hops after the features decided it (10.7 ms at 48 kHz), so that the band filters' pre-ringing
falls behind the decision. The features are predicted for the time at which they are heard (livemove/body/motion.py):
with the cameras of training/data/mocap.py the accents meet the body's own stops best without any lag."""
MEMORY_S = 0.25
"""A limb that was fast must stop within so long, or it did not stop: it slowed down."""
PENTATONIC = (0, 3, 5, 7, 10)
"""Minor pentatonic, semitones above its root."""
HIDDEN = 1e-3
"""A speed is exactly 0 where the limb is out of view: it vanished, it did not stop."""
RESTING = 0.1
"""Energy below which the pulse rests."""

Style = Callable[[Float32, float], "list[Hit]"]


@dataclass(frozen=True)
class Hit:
    """A sound struck at a hop. voice: its name in the style's kit; level 0..1: how hard; note: MIDI number, of a voice
    that has a pitch; accent: the body struck it, not the pulse."""

    hop: int
    voice: str
    level: float
    note: int = 0
    accent: bool = True


def column(features: Float32, name: str) -> Float64:
    """[hops] of one feature."""
    return features[:, FEATURES.index(name)].astype(np.float64)


def stops(values: Float64, high: float, hop_s: float, rest_s: float = 0.12) -> list[tuple[int, float]]:
    """(hop, peak) where a speed that was at least `high` has fallen to half of its peak within MEMORY_S: a foot comes
    down, a hand stops. The next one needs a new rise, and rest_s between."""
    found: list[tuple[int, float]] = []
    peak, was_high, last, low = 0.0, -1e9, -1e9, 0.0
    armed = True
    for hop, value in enumerate(values.tolist()):
        low = min(low, value)
        if not armed and value >= high and value > 1.5 * low:
            armed, peak = True, 0.0
        if value >= high:
            was_high = hop
        if value < HIDDEN:
            armed, peak, low = False, 0.0, 0.0
        if not armed:
            continue
        peak = max(peak, value) if value >= high else peak
        if peak >= high and value <= 0.5 * peak:
            if (hop - was_high) * hop_s <= MEMORY_S and (hop - last) * hop_s >= rest_s:
                found.append((hop, peak))
                last = hop
            armed, peak, low = False, 0.0, value
    return found


def raised(values: Float64, high: float, low: float) -> list[int]:
    """Hops where a height rises through `high`, having been below `low` since the last time."""
    found: list[int] = []
    armed = True
    for hop, value in enumerate(values.tolist()):
        if armed and value >= high:
            found.append(hop)
        armed = value < low or (armed and value < high)
    return found


def pulse(energy: Float64, hop_s: float, struck: list[int]) -> list[tuple[int, float]]:
    """(hop, energy) of a pulse that quickens with energy, from 3 to 6 a second, and begins anew at every hop in
    `struck`; it rests where the body does."""
    found: list[tuple[int, float]] = []
    anew = set(struck)
    waited = 0.0
    for hop, value in enumerate(energy.tolist()):
        waited += hop_s
        if hop in anew or value < RESTING:
            waited = 0.0
        elif waited >= 1 / (3.0 + 3.0 * value):
            found.append((hop, value))
            waited = 0.0
    return found


def pitched(height: float, root: int, notes: int) -> int:
    """The note of a pentatonic scale from `root` up that a height of 0..1 reaches for."""
    step = int(min(max(height, 0.0), 0.999) * notes)
    return root + 12 * (step // len(PENTATONIC)) + PENTATONIC[step % len(PENTATONIC)]


def breaks(features: Float32, hop_s: float) -> list[Hit]:
    """Drum and bass: left foot kick, right foot kick and bass (its note from the hands' height), left hand snare, right
    hand clap or, raised, open cymbal; a splash where a hand goes up; a closed hi-hat for the energy."""
    hands = 0.5 * (column(features, "left_hand_height") + column(features, "right_hand_height"))
    right_height = column(features, "right_hand_height")
    left_foot, right_foot, left_hand, right_hand, up = _struck(features, hop_s)
    hits = [Hit(hop, "kick", level) for hop, level in left_foot]
    for hop, level in right_foot:
        hits.append(Hit(hop, "low kick", level))
        hits.append(Hit(hop, "bass", level, pitched(0.5 + 0.5 * hands[hop], 33, 8)))
    hits += [Hit(hop, "snare", level) for hop, level in left_hand]
    hits += [Hit(hop, "open" if right_height[hop] > 0.15 else "clap", level) for hop, level in right_hand]
    hits += [Hit(hop, "splash", level) for hop, level in up]
    ticks = pulse(column(features, "energy"), hop_s, [hit.hop for hit in hits])
    hits += [Hit(hop, "hat", level, accent=False) for hop, level in ticks]
    return sorted(hits, key=lambda hit: hit.hop)


def tabla(features: Float32, hop_s: float) -> list[Hit]:
    """Tabla and plucked cello: left foot bayan, right foot an open stroke, hands a plucked cello each (the note from
    that hand's height) with a rim stroke; a drum where a hand goes up; soft strokes for the energy."""
    heights = {side: column(features, f"{side}_hand_height") for side in ("left", "right")}
    left_foot, right_foot, left_hand, right_hand, up = _struck(features, hop_s)
    hits = [Hit(hop, "bayan", level) for hop, level in left_foot]
    hits += [Hit(hop, "tun", level) for hop, level in right_foot]
    for side, root, stopped in (("left", 45, left_hand), ("right", 57, right_hand)):
        for hop, level in stopped:
            hits.append(Hit(hop, "cello", level, pitched(0.5 + 0.5 * heights[side][hop], root, 8)))
            hits.append(Hit(hop, "rim", level))
    hits += [Hit(hop, "drum", level) for hop, level in up]
    ticks = pulse(column(features, "energy"), hop_s, [hit.hop for hit in hits])
    hits += [Hit(hop, "soft", level, accent=False) for hop, level in ticks]
    return sorted(hits, key=lambda hit: hit.hop)


HAND, FOOT = 0.5, 0.58
"""How fast a hand or a foot must have been for its stop to count, in the features' own units."""
UP, DOWN = 0.35, 0.1
"""A hand is raised above the one, and may be raised again once below the other."""
APART_S = 0.2
"""Feet strike no faster than this after each other, nor hands; what comes sooner is left out."""

STYLES: dict[str, Style] = {"breaks": breaks, "tabla": tabla}


Struck = list[tuple[int, float]]
"""(hop, level 0..1) of one limb."""


def _struck(features: Float32, hop_s: float) -> tuple[Struck, Struck, Struck, Struck, Struck]:
    """Left foot, right foot, left hand, right hand, either hand raised."""

    def of(name: str, high: float) -> Struck:
        found = stops(column(features, name), high, hop_s)
        return [(hop, min(max((peak - high) / (0.95 - high), 0.0), 1.0)) for hop, peak in found]

    feet = _apart((of("left_foot_speed", FOOT), of("right_foot_speed", FOOT)), hop_s)
    hands = _apart((of("left_hand_speed", HAND), of("right_hand_speed", HAND)), hop_s)
    speeds = {side: column(features, f"{side}_hand_speed") for side in ("left", "right")}
    up = [
        (hop, float(speeds[side][hop]))
        for side in speeds
        for hop in raised(column(features, f"{side}_hand_height"), UP, DOWN)
    ]
    return *feet, *hands, up


def _apart(pair: tuple[Struck, Struck], hop_s: float) -> tuple[Struck, Struck]:
    """Both limbs without what comes within APART_S of what either of them struck before."""
    kept: tuple[Struck, Struck] = ([], [])
    last = -1e9
    for hop, level, side in sorted((hop, level, i) for i, struck in enumerate(pair) for hop, level in struck):
        if (hop - last) * hop_s >= APART_S:
            kept[side].append((hop, level))
            last = hop
    return kept


def compose(features: Float32, style: str, rate: int) -> list[Hit]:
    """The hits of a dance in one of STYLES, in order of time, before DELAY_HOPS."""
    return STYLES[style](features, HOP / rate)


def accents(hits: list[Hit], rate: int) -> Float64:
    """When accents sound, in seconds, rising: several at one time are one."""
    return np.unique([(hit.hop + DELAY_HOPS) * HOP / rate for hit in hits if hit.accent])
