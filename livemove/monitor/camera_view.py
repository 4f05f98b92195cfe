"""The camera's image with each dancer's skeleton on it, in their colour, shaded by how well the camera sees each limb.

In: camera images and pose frames. Out: pixels. Without an image (the demo, the stage view) the skeleton stands in the
dark.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QEvent, QLineF, QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QImage, QMouseEvent, QPainter, QPainterPath, QPaintEvent, QPen, QPixmap
from PySide6.QtWidgets import QSizePolicy, QWidget

from livemove.body.landmarks import BONES, ELBOWS, SHOULDERS, WRISTS
from livemove.contracts import Float64, PoseFrame
from livemove.monitor import style
from livemove.monitor.display_widgets import LEFT, RIGHT
from livemove.monitor.scale_lines import Note

SEEN = 0.5
"""A limb less visible than this plays nothing (FeatureSpec.visible)."""

SHADES = 6
ARMS = tuple(zip(SHOULDERS, ELBOWS, WRISTS, strict=True))
REACH_KEPT = 0.995
"""Of the longest arm at the next pose."""
DEMO_ASPECT = 4 / 3
MARGIN, EASE = 0.09, 0.03
"""Around the body that the stage view follows, as a share of it; how much of the way the view goes at a redraw."""
DIM = QColor(9, 11, 15, 110)
"""Over the image, so that the skeleton and not the room is what one sees."""


class CameraView(QWidget):
    """bare: the skeleton alone, drawn thick, for the stage. press: what a click on the label does, given its place."""

    def __init__(self, label: str, bare: bool = False, press: Callable[[QRect], None] | None = None) -> None:
        super().__init__()
        self.setMouseTracking(press is not None)
        self._press = press
        self._choice = False
        self._under = False
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._label = label
        self._bare = bare
        self._image: QImage | None = None
        self._fitted: QImage | None = None
        self._pose: PoseFrame | None = None
        self._missing = ""
        self._aspect = DEMO_ASPECT
        self._mirrored = False
        self._hand, self._height, self._notes = "", 0.0, list[Note]()
        self._reach = 0.0
        self._view: Float64 | None = None
        self._numbered = False
        self._pens = [_shades(colour) for colour in style.DANCERS]
        for pen in itertools.chain(*self._pens):
            # Round ends cost five times as much, and are seen on the thick lines of the stage only.
            pen.setCapStyle(Qt.PenCapStyle.RoundCap if bare else Qt.PenCapStyle.SquareCap)
        self._corner: QPixmap | None = None

    def name(self, label: str, choice: bool) -> None:
        """What the camera is called, and whether there are others to choose from."""
        if (label, choice) != (self._label, self._choice):
            self._label, self._choice = label, choice
            self._corner = None
            self.update()

    def label_rect(self) -> QRect:
        """Where the camera's name stands."""
        size = (self._corner or self._label_image()).deviceIndependentSize()
        return QRect(0, self.height() - round(size.height()), round(size.width()), round(size.height()))

    def _point(self, under: bool) -> None:
        if under != self._under:
            self._under = under
            self._corner = None
            self.setCursor(Qt.CursorShape.PointingHandCursor if under else Qt.CursorShape.ArrowCursor)
            self.update()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._point(self._choice and self.label_rect().contains(event.position().toPoint()))

    def leaveEvent(self, event: QEvent) -> None:
        self._point(False)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if self._press is not None and self.label_rect().contains(event.position().toPoint()):
            self._press(self.label_rect())
        else:
            super().mousePressEvent(event)

    def mirror(self, mirrored: bool) -> None:
        """Show left and right exchanged, image and skeleton, as a mirror does."""
        if mirrored != self._mirrored:
            self._mirrored = mirrored
            self._fitted = self._view = None
            self.update()

    @property
    def posed(self) -> bool:
        """Whether somebody stands in it."""
        return self._pose is not None

    @property
    def shown(self) -> bool:
        """Whether there is a camera image in it."""
        return self._image is not None

    def show_image(self, image: npt.NDArray[np.uint8]) -> None:
        """uint8 RGB [height, width, 3]; copied. Bare, only its shape counts."""
        height, width, _ = image.shape
        self._aspect = width / height
        if self._bare:
            return
        given = QImage(
            image.data,
            width,
            height,
            image.strides[0],
            QImage.Format.Format_RGB888,
        )
        self._image = given.convertToFormat(QImage.Format.Format_RGB32)
        painter = QPainter(self._image)
        painter.fillRect(self._image.rect(), DIM)
        painter.end()
        self._fitted = None
        self.update()

    def _fit(self) -> QImage:
        """The image in the size it is shown in; scaled once, for the skeleton on it moves more often."""
        assert self._image is not None
        ratio = self.devicePixelRatioF()
        size = self._area().size() * ratio
        if self._fitted is None or self._fitted.size() != size:
            self._fitted = QImage(size, QImage.Format.Format_RGB32)
            painter = QPainter(self._fitted)
            # Three times as fast as QImage.scaled, and as good when it makes larger.
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            if self._mirrored:
                painter.translate(self._fitted.width(), 0)
                painter.scale(-1, 1)
            painter.drawImage(self._fitted.rect(), self._image)
            painter.end()
            self._fitted.setDevicePixelRatio(ratio)
        return self._fitted

    def show_pose(self, frame: PoseFrame | None) -> None:
        """The frame is read when it is painted. None: nobody."""
        self._pose = frame
        self.update()

    def show_scale(self, hand: str, height: float, notes: list[Note]) -> None:
        """Lines beside the "left" or "right" hand ("": none), each where that hand plays the note; height: its feature
        now. Painted with the next pose."""
        self._hand, self._height, self._notes = hand, height, notes

    def say_missing(self, words: str) -> None:
        """What stands there in place of an image; empty: all is well."""
        if words != self._missing:
            self._missing = words
            self.update()

    def sizeHint(self) -> QSize:
        return QSize(432, 324)

    def _area(self) -> QRect:
        """Where the image lies: as large as fits. On whole pixels: between them, copying and clipping are slow."""
        aspect, width, height = self._aspect, self.width(), self.height()
        if width / height > aspect:
            width = round(height * aspect)
        else:
            height = round(width / aspect)
        return QRect((self.width() - width) // 2, (self.height() - height) // 2, width, height)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        area = self._area()
        covered = self._image is not None and not self._bare and not self._missing
        ground = style.BASE if self._bare else style.WELL
        if self._bare:
            area = self.rect()
        if not covered or area.size() != self.size():
            painter.fillRect(self.rect(), ground)
        if covered:
            painter.drawImage(area.topLeft(), self._fit())
        if self._pose is not None and not self._missing:
            painter.setClipRect(area)
            self._numbered = self._numbered or self._pose.people > 1  # there are two, if one may be out of sight
            dancers = [dancer for dancer in range(len(self._pens)) if self._pose.shows(dancer)] or [0]
            for dancer, places in zip(dancers, self._places(area, self._pose, dancers), strict=True):
                self._paint_skeleton(painter, dancer, places, self._pose.visibility[dancer].tolist())
            painter.setClipping(False)
        if self._missing:
            painter.setFont(style.font(style.LARGE if not self._bare else 2 * style.FIGURE))
            painter.setPen(style.RED)
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self._missing)
        if not self._bare:
            self._paint_label(painter)

    def _places(self, area: QRect, frame: PoseFrame, dancers: list[int]) -> Float64:
        """float64 [len(dancers), 33, 2]: where their landmarks lie in the widget. Bare, the view follows the bodies, to
        show them large."""
        places = frame.image[dancers, :, :2].astype(np.float64)
        if self._mirrored:
            places[..., 0] = 1.0 - places[..., 0]
        if not self._bare:
            return places * (area.width(), area.height()) + (area.x(), area.y())
        places[..., 0] *= self._aspect
        low, high = places.min(axis=(0, 1)), places.max(axis=(0, 1))
        margin = MARGIN * (high - low).max()
        low, high = low - margin, high + margin
        if self._view is None:
            self._view = np.stack([low, high])
        # At once where the body leaves it, slowly where there is room.
        self._view[0] = np.minimum(low, self._view[0] + EASE * (low - self._view[0]))
        self._view[1] = np.maximum(high, self._view[1] + EASE * (high - self._view[1]))
        room = np.array([self.width(), self.height()])
        scale = (room / (self._view[1] - self._view[0])).min()
        return (places - self._view.mean(axis=0)) * scale + room / 2

    def _paint_skeleton(self, painter: QPainter, dancer: int, places: Float64, seen: list[float]) -> None:
        pens = self._pens[dancer]
        x, y = places[:, 0].tolist(), places[:, 1].tolist()
        tall = max(float(np.ptp(places[:, 1])), 1.0)
        width = min(max(tall * (0.030 if self._bare else 0.013), 3.0), 18.0)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        head = max(float(np.hypot(x[7] - x[8], y[7] - y[8])) * 0.62, tall * 0.045)
        for number, each in enumerate(pens):
            each.setWidthF(width if number else 0.6 * width)
        painter.setPen(pens[_shade(min(seen[0], seen[7], seen[8]))])
        middle = QPointF((x[7] + x[8]) / 2, (y[7] + y[8]) / 2)
        painter.drawEllipse(middle, head, 1.15 * head)
        if self._numbered:
            size = max(round(1.4 * head), style.BODY)
            painter.setFont(style.font(size, bold=True))
            painter.setPen(style.DANCERS[dancer])
            where = QRectF(middle.x() - size, middle.y() - 1.3 * head - 1.4 * size, 2.0 * size, 1.4 * size)
            painter.drawText(where, Qt.AlignmentFlag.AlignCenter, str(dancer + 1))
        bones: dict[int, list[QLineF]] = {}
        for a, b in BONES:
            bones.setdefault(_shade(min(seen[a], seen[b])), []).append(QLineF(x[a], y[a], x[b], y[b]))
        for shade, lines in bones.items():
            painter.setPen(pens[shade])
            painter.drawLines(lines)
        if dancer == 0:
            self._paint_notes(painter, places, seen)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        for hand in WRISTS:
            if seen[hand] >= SEEN:
                painter.setBrush(style.TEXT)
                painter.drawEllipse(QPointF(x[hand], y[hand]), 1.3 * width, 1.3 * width)

    def _paint_notes(self, painter: QPainter, places: Float64, seen: list[float]) -> None:
        """The scale beside the hand that plays the pitch: the notes that have room, the one that sounds brightest.

        Measured from the hand as it is seen: a note is as far above it as its height is above the feature's value, in
        lengths of the arm (the longest that either was lately: an arm that points at the camera looks short).
        """
        if not self._hand or not self._notes:
            return
        lengths = [float(np.hypot(*np.diff(places[list(arm)], axis=0).T).sum()) for arm in ARMS]
        self._reach = max(*lengths, REACH_KEPT * self._reach)
        wrist = WRISTS[self._hand == "right"]
        if seen[wrist] < SEEN or self._reach < 1.0:
            return
        x, y = places[wrist].tolist()
        away = 1.0 if x >= places[list(SHOULDERS), 0].mean() else -1.0
        size = max(round(0.045 * self.height()) if self._bare else style.SMALL, style.SMALL)
        length, gap = 2.2 * size, 1.1 * size
        room = QRectF(self.rect()).adjusted(0, size, 0, -size)
        rows = [(y - (note.height - self._height) * self._reach, note) for note in self._notes]
        nearest = min(range(len(rows)), key=lambda place: abs(rows[place][0] - y))
        taken: list[float] = []
        for place in sorted(range(len(rows)), key=lambda p: (p != nearest, not rows[p][1].tonic, abs(p - nearest))):
            at, note = rows[place]
            if not room.top() <= at <= room.bottom() or any(abs(at - other) < 1.25 * size for other in taken):
                continue
            taken.append(at)
            painter.setFont(style.font(size, bold=note.tonic or place == nearest))
            painter.setPen(QPen(style.TEXT if place == nearest else style.FAINT, 3.0 if place == nearest else 1.5))
            start = x + away * gap
            painter.drawLine(QLineF(start, at, start + away * length, at))
            text = start + away * (length + 0.3 * size) - (0.0 if away > 0 else 4.0 * size)
            where = QRectF(text, at - size, 4.0 * size, 2.0 * size)
            align = LEFT if away > 0 else RIGHT
            if not self._bare:  # a room may be of any brightness
                painter.fillRect(painter.boundingRect(where, align, note.name).adjusted(-3, 0, 3, 0), style.BASE)
            painter.drawText(where, align, note.name)

    def _paint_label(self, painter: QPainter) -> None:
        if self._corner is None or self._corner.devicePixelRatioF() != self.devicePixelRatioF():
            self._corner = self._label_image()
        size = self._corner.deviceIndependentSize()
        painter.drawPixmap(QPointF(0.0, self.height() - size.height()), self._corner)
        # Round corners: what lies outside them is painted over.
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        corners = QPainterPath()
        corners.addRect(QRectF(self.rect()))
        corners.addRoundedRect(QRectF(self.rect()), style.RADIUS, style.RADIUS)
        painter.fillPath(corners, style.BASE)

    def _label_image(self) -> QPixmap:
        """Painted once: text is what costs most in a redraw."""
        face = style.font(style.SMALL)
        text = QFontMetrics(face).elidedText(self._label, Qt.TextElideMode.ElideLeft, 50 * style.GRID)
        mark = "  ▾" if self._choice else ""
        width, height = QFontMetrics(face).horizontalAdvance(text + mark) + 6 * style.GRID, 8 * style.GRID
        ratio = self.devicePixelRatioF()
        made = QPixmap(round(width * ratio), round(height * ratio))
        made.setDevicePixelRatio(ratio)
        made.fill(style.LINE if self._under else style.CARD)
        painter = QPainter(made)
        painter.setFont(face)
        painter.setPen(style.TEXT if self._under else style.SOFT)
        painter.drawText(QRect(0, 0, width, height), Qt.AlignmentFlag.AlignCenter, text + mark)
        painter.end()
        return made


def _shades(colour: QColor) -> list[QPen]:
    """A dancer's pens: for the doubtful, then from the dimmest to the brightest."""
    dim = style.mix(colour, style.CARD, 0.45)
    doubtful = style.mix(style.CARD, style.AMBER, 0.75)
    return [QPen(doubtful), *(QPen(style.mix(dim, colour, n / (SHADES - 1))) for n in range(SHADES))]


def _shade(seen: float) -> int:
    """Index of the pen for that visibility: 0 doubtful, then the dimmer to the brightest."""
    return 1 + min(round((seen - SEEN) / (1.0 - SEEN) * (SHADES - 1)), SHADES - 1) if seen >= SEEN else 0
