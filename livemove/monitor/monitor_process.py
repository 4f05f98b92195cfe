"""The monitor process: a window on a running session, as far as this machine can show one.

In: the segment, read only but for requests. Out: a window until it is closed or the session ends. The only door to Qt:
nothing of it is imported before `run`.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any, Protocol

from livemove.contracts import DisplayError
from livemove.ipc.network import deny_sockets, display_is_remote
from livemove.ipc.segment import ProcessState, Segment
from livemove.monitor.monitor_config import MonitorConfig, has_display

NICE = 5
"""Below everything that sounds: a window that comes late is no harm."""


def run(segment: Segment, config: MonitorConfig) -> None:
    """Show the window until somebody closes it or the supervisor asks to stop. Raises DisplayError before it opens."""
    application = begin_qt(config.spec.name)
    from livemove.monitor.window import MonitorWindow

    show_window(application, MonitorWindow(segment, config), segment.processes["monitor"])


class Window(Protocol):
    """A QWidget that begins to look at the segment when it is told to."""

    def size(self) -> Any: ...

    def resize(self, size: Any, /) -> None: ...

    def show(self) -> None: ...

    def start(self) -> None: ...


def begin_qt(name: str) -> Any:
    """The QApplication of this process, which has given up what a window does not need. Raises DisplayError."""
    if not display_is_remote():
        deny_sockets(local=True)
    if sys.platform != "win32":
        os.nice(NICE)
    keep_own_plugins()
    check_display()
    from PySide6.QtWidgets import QApplication

    return QApplication([name])


def show_window(application: Any, window: Window, process_state: ProcessState) -> None:
    """Until it is closed."""
    window.resize(window.size().boundedTo(application.primaryScreen().availableSize()))
    window.show()
    window.start()
    process_state.running(application.platformName())
    gc.collect()
    gc.freeze()  # what was imported stays: it need not be looked through again and again
    application.exec()


def keep_own_plugins() -> None:
    """`import cv2` points every Qt to plugins of its own, which do not fit this one."""
    for name in ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR"):
        if "cv2" in os.environ.get(name, ""):
            del os.environ[name]


def check_display() -> None:
    """Raises DisplayError if no window can be shown here. Qt would end the process instead of saying so."""
    if not has_display() and "QT_QPA_PLATFORM" not in os.environ:
        raise DisplayError("there is no display here (neither DISPLAY nor WAYLAND_DISPLAY is set)")
    try:
        import PySide6
        from PySide6 import QtWidgets as _  # noqa: F401  (its libraries must be loaded before the check below)
    except ImportError as error:
        if error.name is not None and error.name.startswith("PySide6"):
            raise DisplayError("Qt is not installed: pip install 'PySide6-Essentials<6.12'") from error
        raise DisplayError(f"Qt cannot be loaded: {error}; README lists the system packages it needs") from error
    if importlib.util.find_spec("pyqtgraph") is None:
        raise DisplayError("pyqtgraph, which draws in the window, is not installed: pip install pyqtgraph")
    if os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY") and "QT_QPA_PLATFORM" not in os.environ:
        _check_x11(Path(PySide6.__path__[0]) / "Qt/plugins/platforms/libqxcb.so")


def _check_x11(plugin: Path) -> None:
    if plugin.exists():
        try:
            ctypes.CDLL(str(plugin))
        except OSError as error:
            raise DisplayError(
                f"Qt misses a system library: {error}; README lists the packages (Debian: libxcb-cursor0 ...)"
            ) from error
    with contextlib.suppress(OSError):  # no libxcb under its usual name: then Qt has to find out itself
        xcb = ctypes.CDLL("libxcb.so.1")
        xcb.xcb_connect.restype = ctypes.c_void_p
        connection = ctypes.c_void_p(xcb.xcb_connect(None, None))
        failed = xcb.xcb_connection_has_error(connection)
        xcb.xcb_disconnect(connection)
        if failed:
            raise DisplayError(f"the display {os.environ['DISPLAY']} does not answer")
