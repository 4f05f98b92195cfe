"""The landmarker: one frame and its time in, one PoseFrame out, whichever runtime computes it.

Loads a runtime when the first landmarker of its kind is made, on a thread that cannot reach the network: MediaPipe
would tell Google how it is used. Knows no camera, clock or process.
"""

from __future__ import annotations

import importlib.util
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from livemove.capture.identities import Identities
from livemove.capture.posemodel import find_pose_model
from livemove.capture.poses import Image, PoseRuntime
from livemove.capture.runtimes import POSE_RUNTIMES
from livemove.capture.segmentation_mask import without_segmentation_mask
from livemove.capture.sides import Sides
from livemove.contracts import MAX_PEOPLE, PoseFrame, PoseModelError
from livemove.ipc.network import CLOSED_PORT, deny_sockets


class Landmarker:
    """A context manager, with a thread of its own; use it from one thread.

    kind "full" or "lite"; path: the model's file, None for the cached or fetched one. mirror: image x is mirrored in
    what comes out; which hand is left is not, and neither is world. segmentation_mask: compute it, too, which nobody
    sees, to compare with. runtime: one of POSE_RUNTIMES, or "auto" (see `chosen`). threads: of a network, which only
    litert can choose; so is dancer: one of DANCERS. smoothed: as MediaPipe does, which cannot but smooth, to compare
    with. dancers: 1, or MAX_DANCERS, each of whom keeps a place in the pose frames; dancer then says who is the first
    of two who come at once. Raises PoseModelError.
    """

    def __init__(
        self, kind: str = "full", path: Path | None = None, mirror: bool = False, segmentation_mask: bool = False,
        runtime: str = "auto", threads: int = 1, dancer: str = "largest", smoothed: bool = False, dancers: int = 1,
    ) -> None:  # fmt: skip
        model = find_pose_model(kind, path)  # before its thread gives up the network, which may have to fetch it
        self.runtime = chosen(runtime)
        if dancer != "largest" and dancers == 1 and self.runtime != "litert":
            raise PoseModelError(
                f"--dancer {dancer} needs the pose runtime litert: MediaPipe follows whom it chooses itself; "
                "pip install ai-edge-litert, and leave --pose-runtime out"
            )
        self._mirror = mirror
        self._sides = [Sides() for _ in range(MAX_PEOPLE)]
        self._identities = Identities(dancer) if dancers > 1 else None
        self._sequence = 0
        bundle = model.read_bytes()
        if not segmentation_mask:
            bundle = without_segmentation_mask(bundle)
        self._thread = ThreadPoolExecutor(1, "landmarker", initializer=_leave_network)
        try:
            self._poses = self._thread.submit(
                _load, self.runtime, bundle, threads, dancer if dancers == 1 else "largest", smoothed, dancers
            ).result()
        except BaseException as error:
            self._thread.shutdown()
            if isinstance(error, (RuntimeError, ValueError, KeyError)):
                raise PoseModelError(f"{model}: {self.runtime} cannot load this pose model: {error}") from error
            raise

    def __enter__(self) -> Landmarker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._thread.submit(self._poses.close).result()
        self._thread.shutdown()

    def find(self, image: Image, capture_s: float) -> PoseFrame:
        """The pose in image, uint8 RGB [height, width, 3], seen at capture_s (any clock, in seconds).

        Frames come in order: bodies are tracked from one to the next.
        """
        found = self._thread.submit(self._poses.look, image, capture_s).result()
        bodies = found[:MAX_PEOPLE] if self._identities is None else self._identities.assign(found, image, capture_s)
        if self._identities is not None and self._identities.exchanged:
            for sides in self._sides:
                sides.lost()
        frame = PoseFrame(capture_s=capture_s, sequence=self._sequence)
        self._sequence += 1
        for person, body in enumerate(bodies):
            if body is None:
                self._sides[person].lost()
                continue
            frame.people = person + 1
            frame.image[person], frame.world[person], frame.visibility[person] = body.image, body.world, body.visibility
            self._sides[person].correct(frame, person)
            if self._mirror:
                frame.image[person, :, 0] = 1.0 - frame.image[person, :, 0]
        for sides in self._sides[len(bodies) :]:
            sides.lost()
        return frame


def _leave_network() -> None:
    """Of the thread that a runtime lives on; where the system cannot be asked, MediaPipe's posts are sent to nobody."""
    if not deny_sockets():
        os.environ["https_proxy"] = CLOSED_PORT


def chosen(runtime: str) -> str:
    """ "auto" is litert, the faster one, where it is installed: there are no wheels of it for Macs with Intel.

    Raises PoseModelError: no such runtime, or not installed.
    """
    installed = importlib.util.find_spec("ai_edge_litert") is not None
    if runtime == "auto":
        return "litert" if installed else "mediapipe"
    if runtime not in POSE_RUNTIMES:
        raise PoseModelError(f"unknown pose runtime {runtime!r}; there are: {', '.join(POSE_RUNTIMES)}")
    if runtime == "litert" and not installed:
        raise PoseModelError("LiteRT is not installed: pip install ai-edge-litert, or --pose-runtime mediapipe")
    return runtime


def preload(runtime: str = "auto") -> None:
    """Import what a runtime needs: of two threads that do so at once, the second would meet it half done."""
    if chosen(runtime) == "mediapipe":
        from livemove.capture.mediapipe_pose import load_mediapipe

        load_mediapipe()
    else:
        importlib.import_module("ai_edge_litert.interpreter")


def _load(runtime: str, bundle: bytes, threads: int, dancer: str, smoothed: bool, people: int) -> PoseRuntime:
    if runtime == "mediapipe":
        from livemove.capture.mediapipe_pose import MediaPipePose

        return MediaPipePose(bundle, people)
    from livemove.capture.litert_pose import LiteRTPose

    return LiteRTPose(bundle, threads, dancer, smoothed, people)
