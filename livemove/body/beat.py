"""The beat that triggers and the looper may wait for: where it is, and how long until a part of it. Pure functions.

In: what Link or a MIDI clock say, as inputs of a mapping. Out: seconds. Knows no protocol and no process.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

BEAT_INPUTS = ("link.tempo", "link.phase", "clock.tempo", "clock.phase", "clock.running")
"""What is looked at, in the order that `until_part` has it. Link comes first: where it is joined, a MIDI clock beside
it is not followed."""

BAR = 4
"""Beats of a bar, which tempo and phase count in."""

LATE_S = 0.03
"""What comes so soon after a part begins was meant for it, and is not kept for the next one; of short parts a quarter
at most."""


def part_of_bar(beats: float) -> float | None:
    """So many beats, if a whole number of them make a bar of four, as exactly as that; else None."""
    count = round(BAR / beats)
    return BAR / count if abs(BAR / beats - count) < 0.01 else None


def has_beat(values: Sequence[float]) -> bool:
    """Whether somebody gives a beat: values of BEAT_INPUTS, NaN where nothing has come."""
    return _beat(values) is not None


def until_part(values: Sequence[float], beats: float) -> float:
    """Seconds until the next multiple of so many beats; 0: it is there, or nobody gives a beat.

    values: of BEAT_INPUTS; NaN: nothing has come. beats: as `part_of_bar` has it.
    """
    if (beat := _beat(values)) is None:
        return 0.0
    tempo, phase = beat
    beat_s, past = 60.0 / tempo, phase * BAR % beats
    if past * beat_s <= min(LATE_S, 0.25 * beats * beat_s):
        return 0.0
    return (beats - past) * beat_s


def _beat(values: Sequence[float]) -> tuple[float, float] | None:
    """(beats a minute, 0..1 of the bar): Link's, or a MIDI clock's that runs."""
    tempo, phase, clock_tempo, clock_phase, running = values
    if tempo > 0.0 and math.isfinite(phase):
        return tempo, phase
    if running > 0.0 and clock_tempo > 0.0 and math.isfinite(clock_phase):
        return clock_tempo, clock_phase
    return None
