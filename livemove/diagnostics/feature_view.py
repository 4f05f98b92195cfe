"""The body features of whoever stands before a camera, as they come, and the postures: for who chooses what is to play.

In: a CaptureConfig. Out: a FeatureReading for every pose, and several times a second while none comes. Knows no model,
no mapping and no terminal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from livemove.body.features import FEATURES, FeatureStream
from livemove.body.postures import Posture, Recogniser
from livemove.capture.cameras import check_camera
from livemove.capture.capture_config import CaptureConfig
from livemove.capture.capture_process import Uncounted, follow
from livemove.contracts import PoseFrame
from livemove.ipc.segment import now_s
from livemove.ipc.signals import stop_signals

END_S = 2.0
"""The camera's thread has so long to end."""


@dataclass(frozen=True)
class FeatureReading:
    """seconds: since the first pose; people in view; values: by name, in the order of FEATURES; measured: whether each
    was seen in the newest pose, or else is held or eases to rest; new: whether a pose came with it; postures: how much
    the body is in each of those that were taught, 0..1."""

    seconds: float
    people: int
    values: dict[str, float]
    measured: dict[str, bool]
    new: bool
    postures: dict[str, float] = field(default_factory=dict[str, float])


def watch_features(
    config: CaptureConfig,
    on_reading: Callable[[FeatureReading], None],
    duration_s: float | None = None,
    now: Callable[[], float] = now_s,
    sleep: Callable[[float], object] = time.sleep,
    taught: Sequence[Posture] = (),
) -> None:
    """Until SIGINT or SIGTERM, so many seconds after the first pose (None: no end), or the end of a video; blocks.

    The same filters as live, without prediction beyond the newest pose. Raises CameraError, PoseModelError, TakeError.
    """
    check_camera(config)
    stream, people, first_s = FeatureStream(), 0, None
    recogniser, told_s = Recogniser(taught), 0.0

    def tell(at_s: float, new: bool) -> None:
        nonlocal told_s
        if first_s is not None:
            recogniser.step(max(at_s - told_s, 0.0))
            told_s = max(at_s, told_s)
            values, seen = stream.at(at_s).tolist(), stream.seen().tolist()
            on_reading(
                FeatureReading(
                    at_s - first_s, people, dict(zip(FEATURES, values, strict=True)),
                    dict(zip(FEATURES, seen, strict=True)), new,
                    {name: recogniser.confidence(name) for name in recogniser.names},
                )
            )  # fmt: skip

    def see(frame: PoseFrame) -> None:
        nonlocal people, first_s
        first_s = frame.capture_s if first_s is None else first_s
        people = frame.people
        stream.update(frame)
        recogniser.update(frame)
        tell(frame.capture_s, True)

    with stop_signals() as interrupted:

        def over() -> bool:
            tell(now(), False)
            late = duration_s is not None and first_s is not None and now() - first_s >= duration_s
            return interrupted.is_set() or late

        feed = follow(config, see, over, Uncounted(), now, sleep)
        if feed is not None:
            feed.close(END_S)
