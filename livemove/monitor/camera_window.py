"""A window with the camera's image and the skeleton alone, and what to do now in large letters: for who calibrates or
records, and must see from where the dancing is whether all of the body is in the frame.

In: a Segment, which it only reads: the image, the pose, and the words, which are the notice of the supervisor's status;
their first line is large. Nothing depends on it.
"""

from __future__ import annotations

from PySide6.QtCore import QRect, Qt, QTimer
from PySide6.QtGui import QKeyEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QWidget

from livemove.contracts import PoseFrame
from livemove.ipc.segment import Segment
from livemove.monitor import style
from livemove.monitor.camera_view import CameraView
from livemove.monitor.monitor_config import CameraWindowConfig

PERIOD_MS = 38
WORDS = 0.2
"""Share of the height that the words have, below the image: they cover nothing of it."""
LARGE, SMALL = 0.5, 0.22
"""Heights of the letters, as shares of the words' band: to be read from 3 m on a laptop, as the stage view's."""
KEYS = "I mirror   F full screen   Esc close"


class CameraWindow(QWidget):
    """Mirrored, as one knows oneself; I turns that round."""

    def __init__(self, segment: Segment, config: CameraWindowConfig) -> None:
        super().__init__()
        self.setWindowTitle(f"livemove: camera {config.camera}")
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self._segment = segment
        self._frame = PoseFrame()
        self._mirrored = config.mirrored
        self.words = ""
        self.view = CameraView(config.camera)
        self.view.setParent(self)
        self.view.mirror(self._mirrored)
        self.resize(960, 900)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.look)

    def start(self) -> None:
        """From now on it looks 26 times a second."""
        self._timer.start(PERIOD_MS)

    def look(self) -> None:
        """What there is that is new; closes when the session is over."""
        if self._segment.stop_requested:
            self.close()
            return
        if (found := self._segment.image.read()) is not None:
            self.view.show_image(found[0])
        if self._segment.pose.read(self._frame):
            self.view.show_pose(self._frame if self._frame.people else None)
        words = self._segment.supervisor_status.read().notice
        if words != self.words:
            self.words = words
            self.update(self._band())

    def _band(self) -> QRect:
        height = round(WORDS * self.height())
        return QRect(0, self.height() - height, self.width(), height)

    def resizeEvent(self, event: QResizeEvent) -> None:
        self.view.setGeometry(0, 0, self.width(), self.height() - self._band().height())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = event.key()
        if key in (Qt.Key.Key_Escape, Qt.Key.Key_Q):
            self.close()
        elif key in (Qt.Key.Key_F, Qt.Key.Key_F11):
            self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen)
        elif key == Qt.Key.Key_I:
            self._mirrored = not self._mirrored
            self.view.mirror(self._mirrored)
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter, band = QPainter(self), self._band()
        painter.fillRect(self.rect(), style.BASE)
        first, _, rest = self.words.partition("\n")
        centre = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignVCenter
        height = band.height()
        painter.setPen(style.TEXT)
        self._write(painter, QRect(band.x(), band.y(), band.width(), round(0.6 * height)), first, LARGE, centre, True)
        below = QRect(band.x(), band.y() + round(0.6 * height), band.width(), round(0.28 * height))
        self._write(painter, below, rest, SMALL, centre, False)
        painter.setPen(style.FAINT)
        painter.setFont(style.font(style.SMALL))
        painter.drawText(band, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignBottom, KEYS)

    def _write(
        self, painter: QPainter, area: QRect, text: str, share: float, align: Qt.AlignmentFlag, bold: bool
    ) -> None:
        """As large as its share of the band, or as fits into the width."""
        size = max(round(share * self._band().height()), style.SMALL)
        painter.setFont(style.font(size, bold))
        wide = painter.fontMetrics().horizontalAdvance(text)
        if wide > area.width() - 2 * style.MARGIN:
            size = max(size * (area.width() - 2 * style.MARGIN) // max(wide, 1), style.SMALL)
            painter.setFont(style.font(size, bold))
        painter.drawText(area, align, text)
