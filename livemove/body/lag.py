"""How late the sound follows the body, estimated from what a session counts.

In: the age of poses when they are heard, and how far they are predicted. Out: the lag. `livemove latency TAKE` measures
it; this knows no take.
"""

from __future__ import annotations

from livemove.body.features import FeatureSpec, behind_s

FILTER_MS = 4.0
"""What the filter of the body adds with a look-ahead of 0."""

REGAINED = 0.6
"""What a predicted millisecond takes off the lag: a velocity that is predicted decays, and so stays short of the
dancer's. Both over two dances and both hands, as `python -m tests.measure.prediction` measures them: the filter 3 to
5, a predicted millisecond 0.5 to 0.9."""


def estimate_ms(age_ms: float | None, look_ahead_s: float, pose_fps: float | None) -> float | None:
    """The lag in ms. age_ms: a pose captured to the sound heard that was made from it, on average; look_ahead_s: of
    `Controls`; pose_fps: poses per second. None where there was no pose yet.

    The mapping's smoothing and the model's own response are not in it.
    """
    if age_ms is None or not pose_fps:
        return None
    return age_ms + FILTER_MS - REGAINED * predicted_ms(age_ms, look_ahead_s, pose_fps)


def predicted_ms(age_ms: float, look_ahead_s: float, pose_fps: float) -> float:
    """How far a body of that age is predicted on average."""
    between_s = 1.0 / pose_fps
    behind_ms = 1e3 * behind_s(max(age_ms / 1e3 - 0.5 * between_s, 0.0), between_s, FeatureSpec())
    return min(1e3 * look_ahead_s, max(age_ms - behind_ms, 0.0))
