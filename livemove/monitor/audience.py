"""What the audience sees: dancers drawn in light, and nothing else, on a second screen where there is one.

In: pose frames and the level of the sound. Out: a window without words or figures. Knows no session and no keys.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
from PySide6.QtCore import QLineF, QPointF, QRect, Qt
from PySide6.QtGui import QColor, QImage, QKeyEvent, QPainter, QPaintEvent, QPen, QScreen
from PySide6.QtWidgets import QWidget

from livemove.body.landmarks import BONES
from livemove.contracts import Float64, PoseFrame
from livemove.monitor import style
from livemove.monitor.camera_view import DEMO_ASPECT, SEEN

TRAIL = 10
"""Poses that are still seen, the older the fainter."""
EDGE = 720
"""The image's height in pixels, whatever the screen has: light has no sharp edges, and every pixel costs time."""
QUIET, LOUD = 0.45, 1.0
"""Brightness in silence, and with the loudest sound."""
FALL = 0.85
"""Of the level at the next redraw, when it falls: light dies away."""
FADE_S = 1.5
"""Who goes is seen to go."""


def other_screen(screens: list[QScreen], own: QScreen) -> QScreen | None:
    """The first that the performer's window is not on; None: there is only that one."""
    return next((screen for screen in screens if screen is not own), None)


class AudienceWindow(QWidget):
    """The drawn dancer, as large as its window; without anything that moves when nobody does. keys: where its keys go,
    but for F and F11, which fill its screen and give it back."""

    def __init__(self, keys: Callable[[QKeyEvent], None]) -> None:
        super().__init__()
        self._keys = keys
        self.setAttribute(Qt.WidgetAttribute.WA_ShowWithoutActivating)
        self.setWindowTitle("livemove · audience")
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setCursor(Qt.CursorShape.BlankCursor)
        self.setMinimumSize(160, 90)
        self._trail: deque[list[tuple[int, Float64, list[float]]]] = deque(maxlen=TRAIL)
        self._aspect = DEMO_ASPECT
        self._level = self._presence = 0.0
        self._mirrored = False

    def show_on(self, screen: QScreen | None) -> None:
        """Fill that screen; None: there is no second one, and a plain window can be drawn where it is wanted."""
        if screen is None:
            self.resize(960, 540)
            self.show()
            return
        self.setScreen(screen)
        self.setGeometry(screen.geometry())
        self.showFullScreen()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_F, Qt.Key.Key_F11):
            self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen)
        else:
            self._keys(event)

    def mirror(self, mirrored: bool) -> None:
        """Left and right exchanged, as the performer's own image is."""
        if mirrored != self._mirrored:
            self._mirrored = mirrored
            self._trail.clear()

    def show_state(
        self, pose: PoseFrame | None, new_pose: bool, image: np.ndarray | None, peak: float, dt_s: float
    ) -> None:
        """pose: of who plays, None: nobody; image: the camera's, of which only the shape counts; peak: the sound's."""
        if image is not None:
            self._aspect = image.shape[1] / image.shape[0]
        self._level = max(min(peak, 1.0), FALL * self._level)
        if pose is None:
            self._presence = max(self._presence - dt_s / FADE_S, 0.0)
            if self._trail and not self._presence:
                self._trail.clear()
        elif new_pose:
            self._presence = min(self._presence + dt_s / FADE_S + 0.2, 1.0)
            places = pose.image[..., :2].astype(np.float64)
            if self._mirrored:
                places[..., 0] = 1.0 - places[..., 0]
            dancers = [dancer for dancer in range(len(style.DANCERS)) if pose.shows(dancer)]
            self._trail.append([(each, places[each], pose.visibility[each].tolist()) for each in dancers])
        self.update()

    def drawn(self) -> QImage:
        """The dancer, EDGE pixels high, with the window's aspect."""
        height = EDGE
        width = max(round(EDGE * self.width() / max(self.height(), 1)), 1)
        made = QImage(width, height, QImage.Format.Format_RGB32)
        made.fill(QColor("black"))
        painter = QPainter(made)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Plus)
        scale = min(width / self._aspect, height)
        offset = np.array([(width - scale * self._aspect) / 2, (height - scale) / 2])
        bright = self._presence * (QUIET + (LOUD - QUIET) * self._level)
        for age, bodies in enumerate(reversed(self._trail)):
            left = bright * (1.0 if age == 0 else 0.35 * (1.0 - age / TRAIL) ** 2)
            for dancer, places, seen in bodies:
                where = places * (scale * self._aspect, scale) + offset
                self._paint(painter, style.DANCERS[dancer], where, seen, left, age == 0)
        painter.end()
        return made

    @staticmethod
    def _paint(
        painter: QPainter, light: QColor, places: Float64, seen: list[float], bright: float, newest: bool
    ) -> None:
        """One body: wide faint strokes below narrow bright ones are a glow."""
        x, y = places[:, 0].tolist(), places[:, 1].tolist()
        tall = max(float(np.ptp(places[:, 1])), 1.0)
        lines = [QLineF(x[a], y[a], x[b], y[b]) for a, b in BONES if min(seen[a], seen[b]) >= SEEN]
        head = max(float(np.hypot(x[7] - x[8], y[7] - y[8])) * 0.62, tall * 0.045)
        strokes = ((0.085, 0.10), (0.045, 0.22), (0.014, 1.0)) if newest else ((0.03, 1.0),)
        for width, share in strokes:
            colour = style.mix(light, QColor("white"), 0.6) if width < 0.02 else light
            ink = style.mix(QColor("black"), colour, min(bright * share, 1.0))
            pen = QPen(ink, width * tall)
            pen.setCapStyle(Qt.PenCapStyle.RoundCap)
            painter.setPen(pen)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawLines(lines)
            if min(seen[0], seen[7], seen[8]) >= SEEN:
                painter.drawEllipse(QPointF((x[7] + x[8]) / 2, (y[7] + y[8]) / 2), head, 1.15 * head)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(QRect(0, 0, self.width(), self.height()), self.drawn())
