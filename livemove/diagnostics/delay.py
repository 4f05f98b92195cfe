"""The delay between two courses of one quantity, and how far the figure itself can be trusted.

In: two courses, each over its own times. Out: seconds, the standard deviation of that estimate, how steady the delay is
over windows. Knows no take, no pitch and no unit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from livemove.contracts import Float64

LAGS_S = np.arange(-0.15, 0.45, 0.0025)
"""Delays that are tried; the best is refined by a parabola."""

SLOPE_S = 0.02
"""A slope is taken over so long either way: the time between two camera frames, for between them nothing is known."""

MEMORY_S = 0.25
"""What is left at the best delay is taken to be related to itself for so long at most."""

FEWEST = 100


@dataclass(frozen=True)
class Delay:
    """Seconds by which one course follows another.

    sd_s         standard deviation of `seconds` as an estimate: by how much noise alone makes it miss
    offset       what the follower is above the other at that delay (median); its unit
    correlation  of the two at that delay
    slope        rms slope of what is followed, per second: without any there is no delay to be seen
    """

    seconds: float
    sd_s: float
    offset: float
    correlation: float
    slope: float


def delay_of(a_s: Float64, a: Float64, b_s: Float64, b: Float64, offset: float | None = None) -> Delay:
    """The delay at which b [m] over b_s follows a [n] over a_s with the least squared difference. NaN is what is not
    known: such b are left out, and so are those that follow a piece of a between two values of which one is NaN.

    Both are of one quantity in one unit, so that levels count, not only shapes: a course that rises through a whole
    window has a delay, too, which a correlation cannot see. offset: by how much b is known to be above a at the right
    delay; None: found as well. sd_s is the sandwich estimate of nonlinear least squares with Bartlett weights (Newey &
    West 1987): it allows for noise that is louder where the course is steeper, and for noise with a memory. Raises
    ValueError where fewer than FEWEST of b have something to follow.
    """
    good = np.isfinite(b)
    b_s, b = b_s[good], b[good]
    score = np.full(len(LAGS_S), np.inf)
    for i, lag in enumerate(LAGS_S):
        apart = _apart(a_s, a, b_s, b, float(lag))
        if len(apart) >= FEWEST:
            score[i] = np.var(apart) if offset is None else np.mean((apart - offset) ** 2)
    if not np.isfinite(score).any():
        raise ValueError("too few values to tell a delay from")
    best = min(max(int(np.argmin(score)), 1), len(score) - 2)
    before, least, after = score[best - 1 : best + 2]
    bend = before - 2.0 * least + after
    shift = 0.5 * (before - after) / bend if math.isfinite(bend) and bend > 0.0 else 0.0
    lag = float(LAGS_S[best] + min(max(shift, -0.5), 0.5) * (LAGS_S[1] - LAGS_S[0]))
    at_s = b_s - lag
    followed = np.interp(at_s, a_s, a, np.nan, np.nan)
    slope = (np.interp(at_s + SLOPE_S, a_s, a) - np.interp(at_s - SLOPE_S, a_s, a)) / (2.0 * SLOPE_S)
    inside = np.isfinite(followed) & np.isfinite(slope)
    if inside.sum() < FEWEST:
        raise ValueError("too few values to tell a delay from")
    followed, slope = followed[inside], slope[inside]
    apart = b[inside] - followed
    found = float(np.median(apart)) if offset is None else offset
    moving = followed.std() > 1e-9 and b[inside].std() > 1e-9
    return Delay(
        seconds=lag,
        sd_s=_own_sd(slope - slope.mean() if offset is None else slope, apart - found, b_s[inside]),
        offset=found,
        correlation=float(np.corrcoef(followed, b[inside])[0, 1]) if moving else 0.0,
        slope=float(np.sqrt(np.mean(slope**2))),
    )


def windows(
    a_s: Float64, a: Float64, b_s: Float64, b: Float64, length_s: float, step_s: float, slope: float, offset: float
) -> list[tuple[float, Delay]]:
    """(its beginning, its delay) of every window of length_s, each step_s later, in which a moves with an rms slope of
    at least this, per second; offset as `delay_of` has it."""
    found: list[tuple[float, Delay]] = []
    for start_s in np.arange(b_s[0], b_s[-1] - length_s, step_s):
        inside = (b_s >= start_s) & (b_s < start_s + length_s)
        if np.isfinite(b[inside]).sum() < max(FEWEST, 0.8 * inside.sum()):
            continue
        try:
            each = delay_of(a_s, a, b_s[inside], b[inside], offset)
        except ValueError:  # what it would follow is not known
            continue
        if each.slope >= slope:
            found.append((float(start_s), each))
    return found


def _apart(a_s: Float64, a: Float64, b_s: Float64, b: Float64, lag: float) -> Float64:
    """Of those b that follow something that is known."""
    apart = b - np.interp(b_s - lag, a_s, a, np.nan, np.nan)
    return apart[np.isfinite(apart)]


def _own_sd(slope: Float64, left: Float64, times: Float64) -> float:
    """Seconds. slope, left [n]: of what is followed, and what the best delay leaves, at evenly spaced times."""
    power = float(slope @ slope)
    if power <= 0.0:
        return math.inf
    push = slope * left
    memory = min(round(MEMORY_S / float(np.median(np.diff(times)))), len(push) - 1)
    spread = float(push @ push)
    for k in range(1, memory + 1):
        spread += 2.0 * (1.0 - k / (memory + 1)) * float(push[k:] @ push[:-k])
    return math.sqrt(max(spread, 0.0)) / power
