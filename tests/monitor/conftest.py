"""An offscreen window on the real shared memory of a session that plays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication

from livemove.ipc.segment import Segment
from livemove.monitor.monitor_config import MonitorConfig
from livemove.monitor.monitor_process import keep_own_plugins
from livemove.monitor.window import MonitorWindow
from tests.support.bundles import small_spec
from tests.support.windows import RATE, config_of


@pytest.fixture(scope="session")
def application() -> QApplication:
    """Only Qt's beginning is told to stay offscreen: the children of other tests must not inherit it."""
    keep_own_plugins()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QT_QPA_PLATFORM", "offscreen")
        return QApplication([])


@pytest.fixture(autouse=True, scope="session")
def kept() -> Iterator[None]:
    """Windows live as long as their process, as on stage: when Python's collector takes a whole one, pyqtgraph's scenes
    go before the views they are in, and Qt does not bear that. Pages, which do go, are deleted by Qt."""
    windows: list[MonitorWindow] = []
    build = MonitorWindow.__init__

    def built(self: MonitorWindow, segment: Segment, config: MonitorConfig) -> None:
        windows.append(self)
        build(self, segment, config)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MonitorWindow, "__init__", built)
        yield


@pytest.fixture
def segment() -> Iterator[Segment]:
    made = Segment.create()
    made.set_device_rate(RATE)
    for role in ("capture", "synthesis", "playback"):
        made.processes[role].running(role)
    yield made
    made.close()
    made.unlink()


@pytest.fixture
def shown(application: QApplication, segment: Segment, tmp_path: Path) -> Iterator[MonitorWindow]:
    """A window on the segment, redrawn only when a test says so."""
    made = MonitorWindow(segment, config_of(small_spec(), tmp_path))
    made.show()
    application.processEvents()
    yield made
    made.close()
    application.processEvents()
