"""Phrases of the procedural theremin, composed and described as those of recorded instruments are: a style beside them.

In: a seed and a number. Out: a clip of a corpus, as training/data/phrases.py makes them: the same descriptors, the
same canonical phases of the harmonics, so that a blend of two styles cancels none. Knows no terminal.
"""

from __future__ import annotations

import zlib

import numpy as np
from scipy import ndimage

from livemove.contracts import HOP, LEVEL, Float32, Float64
from training.data import canonical, phrases, procedural, score
from training.data.corpus import Clip
from training.data.notes import RATE
from training.data.phase import integrate
from training.data.score import Score

STYLE = "theremin"
LOW, HIGH = 36.0, 93.0
"""MIDI notes it plays."""
TURN_S = 0.012
"""A hand opens and closes the sound in about so long."""


def phrase(split: str, seed: int, index: int, seconds: float) -> phrases.Made:
    """Clip `index` of a seed; those for validation are of a seed of their own."""
    held_out = split == "valid"
    rng = np.random.default_rng((procedural.HELD_OUT_SEED if held_out else seed, index, zlib.crc32(STYLE.encode())))
    written = score.compose(rng, round(seconds * RATE / HOP), LOW, HIGH)
    start = rng.random()
    audio, cycles = played(written, start), integrate(written.pitch, RATE, start)
    row = Clip(split, STYLE, phrases.name(split, index), phrases.source(seed))
    return phrases.described(row, audio, written, cycles)


def played(written: Score, start: float) -> Float32:
    """Audio float32 [hops * HOP] of a score whose phase is `start` cycles at the beginning."""
    track = np.stack([written.pitch, _loudness(written), _brightness(written)], -1).astype(np.float32)
    of_harmonics = canonical.phases(procedural.HARMONICS)
    return phrases.finished(procedural.tone(track, start, phases=of_harmonics).astype(np.float64))


def _loudness(written: Score) -> Float64:
    """[hops]: the score's level within its bows, 0 between them."""
    sounding = np.zeros(len(written.pitch))
    for bow in written.bows:
        sounding[bow.first : bow.last] = 1.0
    smooth = ndimage.uniform_filter1d(sounding, max(round(TURN_S * RATE / HOP), 1))
    loudness = np.sqrt(10 ** (written.level_db / 20) / LEVEL) * smooth
    return np.where((smooth == 0) | (written.level_db <= score.NOTHING_DB + 0.5), 0.0, loudness)


def _brightness(written: Score) -> Float64:
    """[hops] 0..1: the bow's place and the effort of other instruments, on one knob."""
    return np.clip(0.5 + 0.35 * written.tilt + 0.02 * written.effort_db, 0.0, 1.0)
