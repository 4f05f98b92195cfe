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
    """So many people, tracked, in any order. Use it from one thread; threads: how many compute; dancer: one of DANCERS,
    who is tracked of several; smoothed: see `Tracker`.

    Raises RuntimeError, ValueError, KeyError: not a bundle of two networks that LiteRT can run.
    """

    def __init__(
        self, bundle: bytes, threads: int = 1, dancer: str = "largest", smoothed: bool = False, people: int = 1
    ) -> None:
        with quiet():
            networks = Networks(bundle, threads, people)
            self._tracker = Tracker(networks, people, dancer=dancer, smoothed=smoothed)

    def close(self) -> None:
        self._tracker.close()

    def look(self, image: Image, capture_s: float) -> list[FoundBody]:
        """Who is in image, uint8 RGB [height, width, 3], seen at capture_s."""
        height, width, _ = image.shape
        found = self._tracker.look(image, capture_s)
        return [_found(body, self._tracker.bodies.index(body), width, height) for body in found]


def _found(body: Body, track: int, width: int, height: int) -> FoundBody:
    """Pixels to 0..1; z is measured by the width."""
    image: Float32 = (body.image / (width, height, width)).astype("float32")
    return FoundBody(image, body.metres.astype("float32"), body.visibility.astype("float32"), track)
