"""The process of the camera's window in `calibrate` and `record`, as far as this machine can show one.

In: a segment, read only. Out: a window until it is closed or the session ends. Nothing of Qt is imported before `run`.
"""

from __future__ import annotations

from livemove.ipc.segment import Segment
from livemove.monitor.monitor_config import CameraWindowConfig
from livemove.monitor.monitor_process import begin_qt, show_window


def run(segment: Segment, config: CameraWindowConfig) -> None:
    """Show the window until somebody closes it or the session stops. Raises DisplayError before it opens."""
    application = begin_qt("livemove")
    from livemove.monitor.camera_window import CameraWindow

    show_window(application, CameraWindow(segment, config), segment.processes["monitor"])
