"""A window to test: what the other processes would do around it, the mouse and the keys on it, the colours in it.

In: a segment, a widget of the monitor. Out: events and figures. Knows no test.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from livemove.body.features import REST
from livemove.capture.demo import pose_at
from livemove.contracts import ModelSpec, Request, SupervisorStatus
from livemove.ipc.segment import Segment, now_s
from livemove.monitor.monitor_config import MonitorConfig
from livemove.monitor.window import MonitorWindow
from livemove.native._realtime import Output
from tests.support.bundles import MAPPING

Key = Qt.Key


RATE = 48000


def config_of(spec: ModelSpec, folder: Path) -> MonitorConfig:
    (folder / "mapping.toml").write_text(MAPPING)
    return MonitorConfig(spec, folder / "mapping.toml", "demo")


def perform_a_moment(segment: Segment, seconds: float = 0.1, hertz: float = 440.0) -> None:
    """What the other processes do in that time: a pose, hops with channels and features, sound through the callback."""
    frame = pose_at(1.0, 3)
    frame.capture_s = now_s()
    segment.pose.write(frame)
    segment.capture.frame_used(20.0, 1)
    segment.synthesis.hop(0.001, 256, np.array([69.0, 0.5, 0.9], np.float32))
    segment.synthesis.set_features(REST)
    segment.supervisor_status.write(SupervisorStatus(now_s(), now_s() - 65.0, {}))
    samples = 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)
    output = Output(segment.bytes, RATE, 1, 0.0)
    for block in samples[: len(samples) // 480 * 480].astype(np.float32).reshape(-1, 480):
        segment.ring.write(block)
        output.render(480)


def share(widget: QWidget, colour: QColor, within: int = 24) -> float:
    """Which share of a widget's pixels has about this colour."""
    image = widget.grab().toImage().convertToFormat(widget.grab().toImage().Format.Format_RGB32)
    pixels = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.width(), 4)[:, :, :3].astype(int)
    wanted = np.array([colour.blue(), colour.green(), colour.red()])
    return float((np.abs(pixels - wanted).max(axis=2) <= within).mean())


def asked(segment: Segment) -> list[Request]:
    return list(iter(segment.requests.take, None))


LEFT = Qt.MouseButton.LeftButton


def drag(tile: QWidget, across: int, up: int = 0) -> None:
    """Press in the middle, go there in two steps, let go."""
    start = tile.rect().center()
    QTest.mousePress(tile, LEFT, pos=start)
    for part in (0.5, 1.0):
        QTest.mouseMove(tile, start + QPoint(round(part * across), -round(part * up)))
    QTest.mouseRelease(tile, LEFT, pos=start + QPoint(across, -up))


def turn(tile: QWidget, notches: int) -> None:
    """The wheel, on it."""
    place = QPointF(tile.rect().center())
    event = QWheelEvent(
        place, tile.mapToGlobal(place), QPoint(), QPoint(0, 120 * notches), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(tile, event)


def choose(target: MonitorWindow, row: int) -> None:
    """A row of the list that is open."""
    assert target.menu.isVisible()
    QTest.mouseClick(target.menu, LEFT, pos=target.menu.row_rect(row).center())
    assert not target.menu.isVisible()


def press(*keys: Key) -> Callable[[MonitorWindow], None]:
    def act(target: MonitorWindow) -> None:
        for key in keys:
            QTest.keyClick(target, key)

    return act
