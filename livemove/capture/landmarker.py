"""The landmarker: one frame and its time in, one PoseFrame out, whichever runtime computes it.

Loads a runtime when the first landmarker of its kind is made. Knows no camera, clock or process.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import TracebackType

from livemove.capture.capture_config import POSE_RUNTIMES
from livemove.capture.posemodel import find_pose_model
from livemove.capture.poses import Image, PoseRuntime
from livemove.capture.segmentation_mask import without_segmentation_mask
from livemove.contracts import MAX_PEOPLE, PoseFrame, PoseModelError


class Landmarker:
    """A context manager; use it from one thread.

    kind "full" or "lite"; path: the model's file, None for the cached or fetched one. mirror: image x is mirrored in
    what comes out; which hand is left is not, and neither is world. segmentation_mask: compute it, too, which nobody
    sees, to compare with. runtime: one of POSE_RUNTIMES, or "auto" (see `chosen`). threads: of a network, which only
    litert can choose. Raises PoseModelError.
    """

    def __init__(
        self, kind: str = "full", path: Path | None = None, mirror: bool = False, segmentation_mask: bool = False,
        runtime: str = "auto", threads: int = 1,
    ) -> None:  # fmt: skip
        model = find_pose_model(kind, path)
        self.runtime = chosen(runtime)
        self._mirror = mirror
        self._sequence = 0
        bundle = model.read_bytes()
        if not segmentation_mask:
            bundle = without_segmentation_mask(bundle)
        try:
            self._poses = _load(self.runtime, bundle, threads)
        except (RuntimeError, ValueError, KeyError) as error:
            raise PoseModelError(f"{model}: {self.runtime} cannot load this pose model: {error}") from error

    def __enter__(self) -> Landmarker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._poses.close()

    def find(self, image: Image, capture_s: float) -> PoseFrame:
        """The pose in image, uint8 RGB [height, width, 3], seen at capture_s (any clock, in seconds).

        Frames come in order: bodies are tracked from one to the next.
        """
        bodies = self._poses.look(image, capture_s)
        frame = PoseFrame(capture_s=capture_s, sequence=self._sequence)
        self._sequence += 1
        frame.people = min(len(bodies), MAX_PEOPLE)
        for person, body in enumerate(bodies[:MAX_PEOPLE]):
            frame.image[person], frame.world[person], frame.visibility[person] = body.image, body.world, body.visibility
            if self._mirror:
                frame.image[person, :, 0] = 1.0 - frame.image[person, :, 0]
        return frame


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


def _load(runtime: str, bundle: bytes, threads: int) -> PoseRuntime:
    if runtime == "mediapipe":
        from livemove.capture.mediapipe_pose import MediaPipePose

        return MediaPipePose(bundle)
    from livemove.capture.litert_pose import LiteRTPose

    return LiteRTPose(bundle, threads)
