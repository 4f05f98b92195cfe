"""MediaPipe's PoseLandmarker as livemove uses it: one frame and its time in, one PoseFrame out.

Loads mediapipe when the first landmarker is made, without what it drags along, on a thread that cannot reach the
network: MediaPipe would tell Google how it is used. Knows no camera, clock or process.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from livemove.capture.posemodel import find_pose_model
from livemove.capture.segmentation_mask import without_segmentation_mask
from livemove.contracts import MAX_PEOPLE, PoseFrame, PoseModelError
from livemove.ipc.network import CLOSED_PORT, deny_sockets

Image = npt.NDArray[np.uint8]

_TURNED_AWAY = threading.Lock()
"""Held while standard error leads nowhere: the descriptor is the process's, so its guard is too."""


class Landmarker:
    """PoseLandmarker in VIDEO mode, one person, on the CPU, on a thread of its own. A context manager; use it from one
    thread.

    kind "full" or "lite"; path: the model's file, None for the cached or fetched one. mirror: image x is mirrored in
    what comes out; which hand is left is not, and neither is world. segmentation_mask: let MediaPipe compute it, too,
    which nobody sees, to compare with. Raises PoseModelError.
    """

    def __init__(
        self, kind: str = "full", path: Path | None = None, mirror: bool = False, segmentation_mask: bool = False
    ) -> None:
        model = find_pose_model(kind, path)  # before its thread gives up the network, which may have to fetch it
        self._thread = ThreadPoolExecutor(1, "landmarker", initializer=_leave_network)
        try:
            self._thread.submit(self._open, model, mirror, segmentation_mask).result()
        except BaseException:
            self._thread.shutdown()
            raise

    def _open(self, model: Path, mirror: bool, segmentation_mask: bool) -> None:
        mediapipe = load_mediapipe()
        tasks = mediapipe.tasks
        self._mediapipe = mediapipe
        self._mirror = mirror
        self._sequence = 0
        self._last_ms = -1
        self._found = False
        bundle = model.read_bytes()
        options = tasks.vision.PoseLandmarkerOptions(
            # As bytes: what was verified is what is loaded, and no path has to survive the way into C.
            base_options=tasks.BaseOptions(
                model_asset_buffer=bundle if segmentation_mask else without_segmentation_mask(bundle)
            ),
            running_mode=tasks.vision.RunningMode.VIDEO,
            num_poses=1,
        )
        with _quiet():
            try:
                self._landmarker = tasks.vision.PoseLandmarker.create_from_options(options)
            except (RuntimeError, ValueError) as error:
                raise PoseModelError(f"{model}: MediaPipe cannot load this pose model: {error}") from error

    def __enter__(self) -> Landmarker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._thread.submit(self._close).result()
        self._thread.shutdown()

    def _close(self) -> None:
        with _quiet():
            self._landmarker.close()

    def find(self, image: Image, capture_s: float) -> PoseFrame:
        """The pose in image, uint8 RGB [height, width, 3], seen at capture_s (any clock, in seconds).

        Frames come in order: MediaPipe tracks from one to the next and wants rising timestamps, which two frames
        within a millisecond, or a video that starts again, would not give by themselves.
        """
        return self._thread.submit(self._find, image, capture_s).result()

    def _find(self, image: Image, capture_s: float) -> PoseFrame:
        self._last_ms = max(self._last_ms + 1, round(capture_s * 1e3))
        # mediapipe reads rows without gaps, whatever the strides say; decoders pad them.
        given = self._mediapipe.Image(self._mediapipe.ImageFormat.SRGB, np.ascontiguousarray(image))
        # It goes on to say what it thinks until it has seen its first person.
        with contextlib.nullcontext() if self._found else _quiet():
            result = self._landmarker.detect_for_video(given, self._last_ms)
        frame = PoseFrame(capture_s=capture_s, sequence=self._sequence)
        self._sequence += 1
        frame.people = min(len(result.pose_landmarks), MAX_PEOPLE)
        for person in range(frame.people):
            seen, metres = result.pose_landmarks[person], result.pose_world_landmarks[person]
            frame.image[person] = [(mark.x, mark.y, mark.z) for mark in seen]
            frame.world[person] = [(mark.x, mark.y, mark.z) for mark in metres]
            frame.visibility[person] = [mark.visibility for mark in seen]
            if self._mirror:
                frame.image[person, :, 0] = 1.0 - frame.image[person, :, 0]
        self._found = self._found or frame.people > 0
        return frame


def _leave_network() -> None:
    """Of the thread that MediaPipe lives on; where the system cannot be asked, its posts are sent to nobody."""
    if not deny_sockets():
        os.environ["https_proxy"] = CLOSED_PORT


def load_mediapipe() -> Any:
    """The module mediapipe, imported in 0.35 s and 60 MB instead of 1.1 s and 117 MB.

    The difference is matplotlib, for plots that nobody makes here, and sounddevice, which starts PortAudio: a JACK
    server that dies later would take this process along. Both are kept out while mediapipe loads, and only then.
    """
    if "mediapipe" not in sys.modules:
        placeholder = ModuleType("matplotlib")
        placeholder.pyplot = ModuleType("matplotlib.pyplot")  # pyright: ignore[reportAttributeAccessIssue]
        stand_ins = {"matplotlib": placeholder, "matplotlib.pyplot": placeholder.pyplot, "sounddevice": None}
        stand_ins = {name: module for name, module in stand_ins.items() if name not in sys.modules}
        sys.modules.update(
            cast("dict[str, ModuleType]", stand_ins)
        )  # None makes an import fail, which mediapipe allows for
        try:
            importlib.import_module("mediapipe")
        finally:
            for name in stand_ins:
                del sys.modules[name]
    return sys.modules["mediapipe"]


@contextlib.contextmanager
def _quiet() -> Generator[None]:
    """Nothing reaches standard error: MediaPipe's C++ writes a dozen lines there before anybody can set a log level.

    It is the file descriptor of the whole process that is turned away, for as short as possible: while the landmarker
    is made, until it has seen its first person, and while it closes. One thread at a time: of two, the second would
    keep the first one's nowhere and bring that back.
    """
    with _TURNED_AWAY:
        sys.stderr.flush()
        kept = os.dup(2)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
