"""Interruptions of the steady sine of double_synthesis, in what was recorded, and what a report says of them."""

from __future__ import annotations

import numpy as np

from livemove.contracts import Float32
from livemove.session.perform import Report
from tests.support import double_synthesis


def breaks(x: Float32, rate: float) -> int:
    """How often a sine of TONE_HZ is interrupted: places where x[n+1] = 2 cos(w) x[n] - x[n-1] fails, 50 ms apart."""
    w = 2 * np.pi * double_synthesis.TONE_HZ / rate
    wrong = np.flatnonzero(np.abs(x[2:] - 2 * np.cos(w) * x[1:-1] + x[:-2]) > 1e-4)
    return int((np.diff(wrong, prepend=-(10**9)) > 0.05 * rate).sum())


MOST_EXCUSED = 0.05
"""Share of all blocks: with more starvations, late callbacks and underflows than that, it was not played."""


def counted(report: Report) -> int:
    """Everything that excuses a gap: on a busy machine the server itself may slip, but never unseen, and not often."""
    count = report["ring_starvations"] + report["late_callbacks"] + report["portaudio_underflows"]
    blocks = report["seconds"] * report["sample_rate"] / report["block"]
    assert count <= MOST_EXCUSED * blocks, f"{count} of {blocks:.0f} blocks late or starved"
    return count


def steady(x: Float32, rate: float) -> Float32:
    """Without the first and last 100 ms of sound, where it fades."""
    loud = np.flatnonzero(np.abs(x) > 0.01)
    assert len(loud) > rate
    return x[loud[0] + int(0.1 * rate) : loud[-1] - int(0.1 * rate)]
