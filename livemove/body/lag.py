"""How late the sound follows the body, estimated from what a session counts.

In: the age of poses when they are heard, and how far they are predicted. Out: the lag. `livemove latency TAKE` measures
it; this knows no take.
"""

from __future__ import annotations

FILTER_MS = 7.0
"""What the filter of the body adds with a look-ahead of 0."""

REGAINED = 0.45
"""What a millisecond of look-ahead takes off the lag: a predicted velocity decays, and so stays short of the dancer's.
Both from `python -m tests.measure.prediction`, over two dances and both hands: the filter 5 to 10, a millisecond of
look-ahead 0.35 to 0.58, but for a hand that hardly moved by itself (0.14)."""


def estimate_ms(age_ms: float, look_ahead_s: float) -> float:
    """The lag in ms. age_ms: a pose captured to the sound heard that was made from it; look_ahead_s: of `Controls`.

    The mapping's smoothing and the model's own response are not in it.
    """
    return age_ms + FILTER_MS - REGAINED * min(1e3 * look_ahead_s, age_ms)
