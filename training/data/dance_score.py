"""Music composed from a dance by rules: when which sound is struck, how hard and how high, from body features alone.

In: features float32 [hops, F] as the stage delivers them, a style. Out: Hits. Every rule is causal and remembers at
most MEMORY_S of the features, or the time since the last hit: what it decides can be known to a model that is given the
same features and hears its own sound. Knows no sound files (training/data/dance_kit.py) and no network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from livemove.body.accents import ACCENTS, CHANNEL, Accents
from livemove.body.features import FEATURES
from livemove.body.triggers import WEAKEST
from livemove.contracts import HOP, Channel, Float32, Float64

DELAY_HOPS = 2
"""A hit sounds so many hops after the features decided it (10.7 ms at 48 kHz), so that the band filters' pre-ringing
falls behind the decision. The features are predicted for the time at which they are heard (livemove/body/motion.py):
with the cameras of training/data/mocap.py the accents meet the body's own stops best without any lag."""
PENTATONIC = (0, 3, 5, 7, 10)
"""Minor pentatonic, semitones above its root."""
RESTING = 0.1
"""Energy below which the pulse rests."""

UNIT = "accent 0..1"
"""The unit that tells a channel of accents from others."""

CHANNELS = tuple(Channel(CHANNEL.format(name), UNIT, 0.0, 1.0, 0.0) for name in ACCENTS)
"""Of a corpus, beside the features: what the music was struck by, which a network would else have to find again."""

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


STYLES: dict[str, Style] = {"breaks": breaks, "tabla": tabla}


Struck = list[tuple[int, float]]
"""(hop, level 0..1) of one limb."""


def _struck(features: Float32, hop_s: float) -> tuple[Struck, Struck, Struck, Struck, Struck]:
    """Left foot, right foot, left hand, right hand, either hand raised."""

    accents = Accents()
    found: tuple[Struck, ...] = tuple([] for _ in ACCENTS)
    for hop, row in enumerate(features):
        accents.step(row, hop_s)
        for which in np.flatnonzero(accents.strengths).tolist():
            level = (float(accents.strengths[which]) - WEAKEST) / (1.0 - WEAKEST)
            found[which].append((hop, level))
    return *found[:4], sorted(found[4] + found[5])


def accent_channels(features: Float32, rate: int) -> Float32:
    """float32 [hops, ACCENTS]: the accents' envelopes, as they are on stage."""
    accents = Accents()
    out = np.empty((len(features), len(ACCENTS)), np.float32)
    for hop, row in enumerate(features):
        accents.step(row, HOP / rate)
        out[hop] = accents.value
    return out


def compose(features: Float32, style: str, rate: int) -> list[Hit]:
    """The hits of a dance in one of STYLES, in order of time, before DELAY_HOPS."""
    return STYLES[style](features, HOP / rate)


def accents(hits: list[Hit], rate: int) -> Float64:
    """When accents sound, in seconds, rising: several at one time are one."""
    return np.unique([(hit.hop + DELAY_HOPS) * HOP / rate for hit in hits if hit.accent])
