"""BlazePose on LiteRT as a pose runtime: the networks of the same file, the tracking our own.

In: the bytes of a verified .task file. Out: bodies. MediaPipe takes no part in it, and is not loaded.
"""

from __future__ import annotations

from livemove.capture.blazepose.networks import Networks
from livemove.capture.blazepose.tracker import Body, Tracker
from livemove.capture.poses import FoundBody, Image
from livemove.capture.stderr import quiet
from livemove.contracts import Float32


class LiteRTPose:
    """One person, tracked. Use it from one thread; threads: how many compute a network; dancer: one of
    DANCERS; smoothed: see `Tracker`.

    Raises RuntimeError, ValueError, KeyError: not a bundle of two networks that LiteRT can run.
    """

    def __init__(self, bundle: bytes, threads: int = 1, dancer: str = "largest", smoothed: bool = False) -> None:
        with quiet():
            self._tracker = Tracker(Networks(bundle, threads), dancer=dancer, smoothed=smoothed)

    def close(self) -> None:
        """Nothing is held that would not go by itself."""

    def look(self, image: Image, capture_s: float) -> list[FoundBody]:
        """Who is in image, uint8 RGB [height, width, 3], seen at capture_s."""
        height, width, _ = image.shape
        return [_found(body, width, height) for body in self._tracker.look(image, capture_s)]


def _found(body: Body, width: int, height: int) -> FoundBody:
    """Pixels to 0..1; z is measured by the width."""
    image: Float32 = (body.image / (width, height, width)).astype("float32")
    return FoundBody(image, body.metres.astype("float32"), body.visibility.astype("float32"))
