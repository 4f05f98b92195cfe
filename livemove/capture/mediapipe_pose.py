"""MediaPipe's PoseLandmarker as a pose runtime: the published graph, from image to landmarks.

Loads mediapipe when the first one is made, without what it drags along. Knows no camera, clock or process.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from types import ModuleType
from typing import Any, cast

import numpy as np

from livemove.capture.poses import FoundBody, Image
from livemove.capture.stderr import quiet


class MediaPipePose:
    """PoseLandmarker in VIDEO mode, on the CPU, so many people in any order. Use it from one thread.

    bundle: the bytes of a verified .task file. Raises RuntimeError, ValueError: MediaPipe cannot load it.
    """

    def __init__(self, bundle: bytes, people: int = 1) -> None:
        self._mediapipe = load_mediapipe()
        self._last_ms = -1
        self._found = False
        vision = self._mediapipe.tasks.vision
        options = vision.PoseLandmarkerOptions(
            # As bytes: what was verified is what is loaded, and no path has to survive the way into C.
            base_options=self._mediapipe.tasks.BaseOptions(model_asset_buffer=bundle),
            running_mode=vision.RunningMode.VIDEO,
            num_poses=people,
        )
        with quiet():
            self._landmarker = vision.PoseLandmarker.create_from_options(options)

    def close(self) -> None:
        with quiet():
            self._landmarker.close()

    def look(self, image: Image, capture_s: float) -> list[FoundBody]:
        """Who is in image, uint8 RGB [height, width, 3], seen at capture_s, in order.

        MediaPipe wants rising timestamps in milliseconds, which two frames within one, or a video that starts again,
        would not give by themselves.
        """
        self._last_ms = max(self._last_ms + 1, round(capture_s * 1e3))
        # mediapipe reads rows without gaps, whatever the strides say; decoders pad them.
        given = self._mediapipe.Image(self._mediapipe.ImageFormat.SRGB, np.ascontiguousarray(image))
        # It goes on to say what it thinks until it has seen its first person.
        with contextlib.nullcontext() if self._found else quiet():
            result = self._landmarker.detect_for_video(given, self._last_ms)
        self._found = self._found or bool(result.pose_landmarks)
        return [
            FoundBody(
                np.array([(mark.x, mark.y, mark.z) for mark in seen], np.float32),
                np.array([(mark.x, mark.y, mark.z) for mark in metres], np.float32),
                np.array([mark.visibility for mark in seen], np.float32),
            )
            for seen, metres in zip(result.pose_landmarks, result.pose_world_landmarks, strict=True)
        ]


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
