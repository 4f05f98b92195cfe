"""Widgets that do not scroll: texts, tiles of figures, the level meter, bars. Each repaints only what changed.

In: words and numbers. Out: pixels. Knows no session.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from livemove.monitor import style
from livemove.monitor.style import TONES
from livemove.monitor.telemetry import Tone, clock, decibels

LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


def card(painter: QPainter, area: QRect | QRectF, colour: QColor = style.CARD, edge: QColor | None = None) -> None:
    """The ground everything stands on."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen if edge is None else edge)
    painter.setBrush(colour)
    inset = 0.0 if edge is None else 0.5
    painter.drawRoundedRect(QRectF(area).adjusted(inset, inset, -inset, -inset), style.RADIUS, style.RADIUS)


class TextLine(QWidget):
    """One line of text on a plain ground."""

    def __init__(
        self,
        size: int,
        *,
        bold: bool = False,
        align: Qt.AlignmentFlag = LEFT,
        colour: QColor = style.TEXT,
        ground: QColor = style.CARD,
        least: int = 0,
    ) -> None:
        """least: the size to which what has no room may shrink before it is cut."""
        super().__init__()
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.text = ""
        self._size = size
        self._least = least
        self._bold = bold
        self._align = align
        self._colour = colour
        self._ground = ground

    def say(self, text: str, colour: QColor | None = None, ground: QColor | None = None) -> None:
        colour, ground = colour or self._colour, ground or self._ground
        if (text, colour, ground) != (self.text, self._colour, self._ground):
            self.text, self._colour, self._ground = text, colour, ground
            self.update()

    def resize_text(self, size: int) -> None:
        """Letters of that many pixels from now on."""
        if size != self._size:
            self._size = size
            self.update()

    def width_of(self, text: str) -> int:
        """How wide that text is, where it has room."""
        return QFontMetrics(style.font(self._size, self._bold)).horizontalAdvance(text)

    def fits(self, text: str) -> bool:
        """Whether that text has room, in letters as small as they may be."""
        least = min(self._least or self._size, self._size)
        return QFontMetrics(style.font(least, self._bold)).horizontalAdvance(text) <= self.width()

    def letters(self) -> QFont:
        """What the text is written in: as large as it has room for."""
        least = min(self._least or self._size, self._size)
        sizes = [*range(self._size, least, -2), least]
        faces = [style.font(size, self._bold) for size in sizes]
        fitting = (face for face in faces if QFontMetrics(face).horizontalAdvance(self.text) <= self.width())
        return next(fitting, faces[-1])

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), self._ground)
        face = self.letters()
        painter.setFont(face)
        painter.setPen(self._colour)
        elided = QFontMetrics(face).elidedText(self.text, Qt.TextElideMode.ElideRight, self.width())
        painter.drawText(self.rect(), self._align, elided)


@dataclass(frozen=True)
class Reading:
    """What a tile says."""

    value: str = "–"
    unit: str = ""
    note: str = ""
    tone: Tone = Tone.FINE


def fitting(text: str, size: int, width: int, bold: bool = False) -> QFont:
    """A font of that size, or as much smaller as the text needs to stand in that many pixels."""
    face = QFont(style.font(size, bold))  # that one is everybody's
    least = SMALLEST * face.pixelSize()
    while QFontMetrics(face).horizontalAdvance(text) > width and face.pixelSize() > least:
        face.setPixelSize(face.pixelSize() - 1)
    return face


SMALLEST = 0.6


class Tile(QWidget):
    """A named figure, its unit, and a line of small print; coloured by what it means."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(21 * style.GRID)
        self.reading = Reading()
        self._name = name.upper()

    def say(self, reading: Reading) -> None:
        if reading != self.reading:
            self.reading = reading
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        reading = self.reading
        painter = QPainter(self)
        wrong = reading.tone >= Tone.WATCH
        colour = TONES[reading.tone]
        card(painter, self.rect(), style.mix(style.CARD, colour, 0.10) if wrong else style.CARD)
        inner = self.rect().adjusted(
            style.PADDING - style.GRID,
            style.PADDING - style.GRID,
            style.GRID - style.PADDING,
            style.GRID - style.PADDING,
        )
        painter.setFont(style.font(style.SMALL, spacing=style.WIDE))
        painter.setPen(style.SOFT)
        painter.drawText(inner, Qt.AlignmentFlag.AlignTop, self._name)
        painter.setFont(fitting(reading.note, style.SMALL, inner.width()))
        painter.drawText(inner, Qt.AlignmentFlag.AlignBottom, reading.note)
        big = style.font(style.FIGURE, bold=True)
        painter.setFont(big)
        painter.setPen(colour)
        painter.drawText(inner, LEFT, reading.value)
        across = QFontMetrics(big).horizontalAdvance(reading.value) + style.GRID
        painter.setFont(style.font(style.BODY))
        painter.setPen(style.SOFT)
        painter.drawText(inner.adjusted(across, 2 * style.GRID - 1, 0, 2 * style.GRID - 1), LEFT, reading.unit)


class Lamp(QWidget):
    """Lit while a take is recorded, with its length beside; dark otherwise."""

    def __init__(self, size: int, ground: QColor = style.BASE) -> None:
        super().__init__()
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Expanding)
        self.resize_text(size)
        self._ground = ground
        self._light = style.RED
        self.text = ""
        self.hide()

    def say(self, seconds: float | None, light: QColor = style.RED, ground: QColor = style.BASE) -> None:
        """seconds: how long the take is; None: there is none."""
        text = "" if seconds is None else clock(seconds)
        if (text, light, ground) != (self.text, self._light, self._ground):
            self.text, self._light, self._ground = text, light, ground
            self.setVisible(bool(text))
            self.update()

    def resize_text(self, size: int) -> None:
        """Letters of that many pixels from now on."""
        self._font = style.font(size, bold=True)
        self._radius = 0.34 * size
        self.update()

    def sizeHint(self) -> QSize:
        metrics = QFontMetrics(self._font)
        return QSize(round(5 * self._radius) + metrics.horizontalAdvance("0:00:00"), metrics.height())

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), self._ground)
        if not self.text:
            return
        across = QFontMetrics(self._font).horizontalAdvance(self.text)
        painter.setFont(self._font)
        painter.setPen(style.TEXT if self._light == style.RED else self._light)
        painter.drawText(self.rect(), RIGHT, self.text)
        centre = QPointF(self.width() - across - 2.2 * self._radius, self.height() / 2)
        dot(painter, centre, self._radius, self._light)


class Meter(QWidget):
    """Level in dBFS, peak with hold, and the limiter's lamp; upright, or lying down for the stage."""

    FLOOR_DB = -60.0
    HOLD_S = 1.5
    FALL_DB_S = 20.0

    def __init__(self, lying: bool = False) -> None:
        super().__init__()
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self._lying = lying
        self._bar, self._top = 5 * style.GRID, 6 * style.GRID
        self._ground = style.BASE if lying else style.CARD
        self._level_db = self._peak_db = self.FLOOR_DB
        self._peak_s = 0.0
        self._lit = False

    def show_level(self, peak: float, limiting: bool, now: float, dt_s: float) -> None:
        """peak: the highest since the last call, linear."""
        new_db = decibels(peak, self.FLOOR_DB)
        self._level_db = max(new_db, self._level_db - self.FALL_DB_S * dt_s)
        if new_db >= self._peak_db:
            self._peak_db, self._peak_s = new_db, now
        elif now - self._peak_s > self.HOLD_S:
            self._peak_db = max(self._peak_db - self.FALL_DB_S * dt_s, self._level_db)
        if self._lying or limiting != self._lit:
            self.update()
        else:
            self.update(0, self._top, self._bar, self.height())
        self._lit = limiting

    @property
    def peak_db(self) -> float:
        return self._peak_db

    def sizeHint(self) -> QSize:
        return QSize(64, 160)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        if self._lying:
            painter.fillRect(self.rect(), self._ground)
            self._paint_lying(painter)
            return
        self._paint_bar(painter)
        if event.rect().width() > self._bar:
            self._paint_scale(painter)

    def _part(self, level_db: float) -> float:
        return min(max(1.0 - level_db / self.FLOOR_DB, 0.0), 1.0)

    def _paint_bar(self, painter: QPainter) -> None:
        bar, top, height = self._bar, self._top, self.height() - self._top
        painter.fillRect(0, top, bar, height, style.WELL)
        filled = round(self._part(self._level_db) * height)
        painter.fillRect(0, top + height - filled, bar, filled, style.ACCENT)
        loud = round(self._part(-6.0) * height)
        if filled > loud:
            painter.fillRect(0, top + height - filled, bar, filled - loud, style.AMBER)
        mark = top + height - round(self._part(self._peak_db) * height)
        painter.fillRect(0, mark, bar, 2, style.AMBER if self._peak_db > -6.0 else style.TEXT)

    def _paint_scale(self, painter: QPainter) -> None:
        bar, top, height = self._bar, self._top, self.height() - self._top
        painter.fillRect(0, 0, self.width(), top, self._ground)
        painter.fillRect(bar, top, self.width() - bar, height, self._ground)
        painter.setFont(style.font(style.SMALL))
        painter.setPen(style.FAINT)
        free = 0
        for level_db in (0, -6, -12, -24, -36, -48):
            y = max(top + height - round(self._part(level_db) * height) - 2 * style.GRID, top - style.GRID)
            if y < free:  # in a low window there is no room for all
                continue
            free = y + 3 * style.GRID
            painter.drawText(bar + 2 * style.GRID, y, 10 * style.GRID, 4 * style.GRID, LEFT, f"{-level_db}")
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(style.AMBER if self._lit else style.LINE)
        painter.drawEllipse(QRectF(bar / 2 - 1.2 * style.GRID, 2, 2.4 * style.GRID, 2.4 * style.GRID))
        painter.setPen(style.AMBER if self._lit else style.FAINT)
        painter.drawText(bar + 2 * style.GRID, 0, 10 * style.GRID, 4 * style.GRID, LEFT, "LIM")

    def _paint_lying(self, painter: QPainter) -> None:
        height, lamp = self.height(), self.height()
        width = self.width() - lamp - 2 * style.GRID
        painter.fillRect(0, 0, width, height, style.CARD)
        filled = round(self._part(self._level_db) * width)
        loud = round(self._part(-6.0) * width)
        painter.fillRect(0, 0, min(filled, loud), height, style.ACCENT)
        if filled > loud:
            painter.fillRect(loud, 0, filled - loud, height, style.AMBER)
        painter.fillRect(round(self._part(self._peak_db) * (width - 6)), 0, 6, height, style.TEXT)
        painter.fillRect(self.width() - lamp, 0, lamp, height, style.AMBER if self._lit else style.CARD)


class Bars(QWidget):
    """Named values as thick bars with large figures, for reading from afar."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__()
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._names = names
        self._parts = [0.0] * len(names)
        self._values = ["–"] * len(names)

    def show_names(self, names: tuple[str, ...]) -> None:
        """As many other names."""
        self._names = names
        self.update()

    def show_values(self, parts: list[float], values: list[str]) -> None:
        """parts: 0..1 for each name; values: what is written there."""
        if (parts, values) != (self._parts, self._values):
            self._parts, self._values = parts, values
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), style.BASE)
        room = self.height() / max(len(self._names), 1)
        size = max(min(round(0.46 * room), round(0.16 * self.width())), 12)
        bar = max(round(0.22 * room), 4)
        for row, (name, part, value) in enumerate(zip(self._names, self._parts, self._values, strict=False)):
            line = QRect(0, round(row * room), self.width(), round(room) - bar - 2 * style.GRID)
            painter.setFont(style.font(round(0.55 * size)))
            painter.setPen(style.SOFT)
            figures = QFontMetrics(style.font(size, bold=True)).horizontalAdvance(value + "0")
            left = max(line.width() - figures, 1)
            name = painter.fontMetrics().elidedText(name, Qt.TextElideMode.ElideRight, left)
            painter.drawText(line, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignBottom, name)
            painter.setFont(style.font(size, bold=True))
            painter.setPen(style.TEXT)
            painter.drawText(line, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignBottom, value)
            painter.fillRect(0, line.bottom() + style.GRID, self.width(), bar, style.CARD)
            painter.fillRect(0, line.bottom() + style.GRID, round(part * self.width()), bar, style.ACCENT)


class Overlay(QWidget):
    """A card above everything else: lines of words, as large as the window has room for. Keys among them stand in a
    column of their own."""

    LEAST = 8
    """The smallest letters: below that nobody reads."""

    def __init__(self, parent: QWidget, size: int = style.BODY) -> None:
        """size: of the letters in a window of up to 1280 x 720, as far as they have room."""
        super().__init__(parent)
        self._plain = size
        self._size, self._columns = size, 1
        self._title = ""
        self._rows: list[tuple[str, str]] = []
        self._edge = style.LINE
        self.hide()

    @property
    def words(self) -> str:
        """All that stands there."""
        return "\n".join([self._title, *(" ".join(row).strip() for row in self._rows)]).strip()

    def say(self, title: str, rows: list[tuple[str, str]], edge: QColor = style.LINE) -> None:
        """rows of (key, meaning); without any key there is one column. Nothing to say: it hides."""
        if not title and not rows:
            self.hide()
            return
        if (title, rows, edge) == (self._title, self._rows, self._edge) and self.isVisible():
            return
        self._title, self._rows, self._edge = title, rows, edge
        self.place()
        self.show()
        self.raise_()
        self.update()

    def _widths(self, size: int) -> tuple[int, int]:
        """Of the keys, and of a whole column, in letters of that size."""
        bold, plain = QFontMetrics(style.font(size, bold=True)), QFontMetrics(style.font(size))
        keys = max((bold.horizontalAdvance(key) for key, _ in self._rows), default=0)
        keys += 2 * size if keys else 0
        return keys, keys + max((plain.horizontalAdvance(meaning) for _, meaning in self._rows), default=0)

    def _card(self, size: int, columns: int) -> QSize:
        """How large it is with those letters and columns."""
        line = round(1.75 * size)
        title = QFontMetrics(style.font(size + 3, bold=True)).horizontalAdvance(self._title) if self._title else 0
        width = (
            max(columns * self._widths(size)[1] + (columns - 1) * 3 * size, title) + 2 * style.PADDING + 3 * style.GRID
        )
        lines = math.ceil(len(self._rows) / columns)
        return QSize(width, lines * line + (2 * line if self._title else 0) + 2 * style.PADDING - (line - size) // 2)

    def place(self) -> None:
        """In the middle of the parent, near its lower edge unless it is large."""
        parent = self.parentWidget()
        assert parent is not None
        room = parent.size() - QSize(2 * style.MARGIN, 2 * style.MARGIN)
        wanted = max(round(self._plain * min(parent.width() / 1280, parent.height() / 720)), self._plain)
        ways = ((size, columns) for size in range(wanted, self.LEAST - 1, -1) for columns in (1, 2, 3))
        fitting = (way for way in ways if self._card(*way).boundedTo(room) == self._card(*way))
        self._size, self._columns = next(fitting, (self.LEAST, 3))
        size = self._card(self._size, self._columns).boundedTo(room)
        y = (parent.height() - size.height()) // 2
        if len(self._rows) <= 4:
            y = parent.height() - size.height() - 7 * style.MARGIN
        self.setGeometry((parent.width() - size.width()) // 2, y, size.width(), size.height())

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        card(painter, self.rect(), style.mix(style.CARD, style.LINE, 0.5), self._edge)
        line = round(1.75 * self._size)
        left, top = style.PADDING + style.GRID, style.PADDING - (line - self._size) // 4
        if self._title:
            painter.setFont(style.font(self._size + 3, bold=True))
            painter.setPen(style.TEXT)
            painter.drawText(left, top, self.width() - 2 * left, line, LEFT, self._title)
            top += 2 * line - line // 4
        keys, width = self._widths(self._size)
        lines = math.ceil(len(self._rows) / self._columns)
        for place, (key, meaning) in enumerate(self._rows):
            x, y = left + place // lines * (width + 3 * self._size), top + place % lines * line
            painter.setFont(style.font(self._size, bold=True))
            painter.setPen(style.ACCENT)
            painter.drawText(x, y, keys, line, LEFT, key)
            painter.setFont(style.font(self._size))
            painter.setPen(style.TEXT)
            room = min(width - keys, self.width() - left - x - keys)
            fitted = painter.fontMetrics().elidedText(meaning, Qt.TextElideMode.ElideRight, room + 1)
            painter.drawText(x + keys, y, room + 1, line, LEFT, fitted)


def dot(painter: QPainter, centre: QPointF, radius: float, colour: QColor) -> None:
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    painter.drawEllipse(centre, radius, radius)
