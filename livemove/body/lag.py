"""How late the sound follows the body, estimated from what a session counts.

In: the age of poses when they are heard, and how far they are predicted. Out: the lag. `livemove latency TAKE` measures
it; this knows no take.
"""

from __future__ import annotations

from livemove.body.features import FeatureSpec

FILTER_MS = 11.0
"""What the filter of the body adds with a look-ahead of 0."""

REGAINED = 0.7
"""What a predicted millisecond takes off the lag: a velocity that is predicted decays, and so stays short of the
dancer's. Both over two dances and both hands, as `python -m tests.measure.prediction` measures them: the filter 9 to
12, a predicted millisecond 0.4 to 1.0."""

STEADY_MS = 1e3 * FeatureSpec().steady_s


def estimate_ms(age_ms: float, look_ahead_s: float) -> float:
    """The lag in ms. age_ms: a pose captured to the sound heard that was made from it; look_ahead_s: of `Controls`.

    The mapping's smoothing and the model's own response are not in it.
    """
    return age_ms + FILTER_MS - REGAINED * predicted_ms(age_ms, look_ahead_s)


def predicted_ms(age_ms: float, look_ahead_s: float) -> float:
    """How far a body of that age is predicted."""
    return min(1e3 * look_ahead_s, max(age_ms - STEADY_MS, 0.0))
