"""The camera's window beside `calibrate` and `record`, in a process of its own: it may fail or be closed, nothing else
changes.

In: images, poses, words. Out: a window, where one is wanted and the machine has a display. Must not know Qt.
"""

from __future__ import annotations

from livemove.capture.cameras import Image
from livemove.capture.capture_process import show
from livemove.contracts import PoseFrame, SupervisorStatus
from livemove.ipc.segment import Segment, State, now_s
from livemove.monitor.monitor_config import CameraWindowConfig
from livemove.session.supervisor import Log, spawn

MODULE = "livemove.monitor.camera_window_process"
END_S = 1.0
"""It has so long to close."""


class ShownCamera:
    """`with ShownCamera(config) as window:`; config None: there is no window, and what it is told goes nowhere."""

    def __init__(self, config: CameraWindowConfig | None) -> None:
        self._config = config
        self._segment: Segment | None = None
        self._told = False

    def __enter__(self) -> ShownCamera:
        if self._config is not None:
            self._segment = Segment.create()
            self._log = Log()
            self._process = spawn("monitor", self._segment, self._config, self._log, module=MODULE)
        return self

    def image(self, image: Image, capture_s: float) -> None:
        """uint8 RGB [height, width, 3], and when it was captured."""
        if self._segment is not None and self._config is not None:
            show(self._segment, not self._config.mirrored, image, capture_s)

    def pose(self, frame: PoseFrame) -> None:
        """Drawn on the image; copied."""
        if self._segment is not None:
            self._segment.pose.write(frame)

    def say(self, words: str) -> None:
        """Below the image; the first line is large."""
        if self._segment is not None:
            self._segment.supervisor_status.write(SupervisorStatus(written_s=now_s(), notice=words))

    def trouble(self) -> str | None:
        """Why there is no window, once."""
        if self._segment is None or self._told:
            return None
        state = self._segment.processes["monitor"]
        if state.state is not State.FAILED:
            return None
        self._told = True
        return f"without the camera's window: {state.error or self._log.keep()}"

    def __exit__(self, *_: object) -> None:
        if self._segment is None:
            return
        self._segment.request_stop()
        self._process.join(END_S)
        self._process.kill()
        self._process.join()
        segment, self._segment = self._segment, None
        segment.close()
        segment.unlink()
        self._log.__exit__()
