"""Widgets for the mouse: values to drag, buttons, tiles that open a list, and the list. They send requests only.

In: what is set. Out: requests, to whoever was given. Knows no session, no keys and no queue.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QPoint, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QEnterEvent, QFontMetrics, QMouseEvent, QPainter, QPaintEvent, QWheelEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from livemove.contracts import Action, Request
from livemove.controls import Control
from livemove.monitor import style
from livemove.monitor.display_widgets import LEFT, RIGHT, card, dot, fitting

Ask = Callable[[Request], None]
Offer = Callable[[QWidget, QRect, list[str], int, Callable[[int], None]], None]
"""Shows a list beside a place in that widget: rows, the one that is set (-1: none), and what to do with a choice."""


@dataclass(frozen=True)
class Handlers:
    """Callbacks of the widgets: send a request, open a list, show the keys, turn the page, mirror the image."""

    ask: Ask
    offer: Offer
    show_keys: Callable[[], None]
    turn_page: Callable[[], None]
    mirror: Callable[[], None]


HAND = Qt.CursorShape.PointingHandCursor


class ControlTile(QWidget):
    """A tile that answers to the mouse: brighter under it, and brighter still while it is pressed."""

    def __init__(self, name: str, cursor: Qt.CursorShape = HAND) -> None:
        super().__init__()
        self._inset = 3 * style.GRID
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(12 * style.GRID, 9 * style.GRID)
        self.setCursor(cursor)
        self.name = name
        self.text = ""
        self._over = False
        self._held = False

    def ground(self) -> QColor:
        base = style.CARD
        return style.mix(base, style.LINE, 1.0 if self._held else 0.6 if self._over and self.isEnabled() else 0.0)

    def say(self, text: str) -> None:
        if text != self.text:
            self.text = text
            self.update()

    def enterEvent(self, event: QEnterEvent) -> None:
        self._over = True
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        self._over = False
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._held = True
            self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        held, self._held = self._held, False
        self.update()
        if held and self.rect().contains(event.position().toPoint()):
            self.clicked()

    def clicked(self) -> None:
        """Pressed and let go on it."""

    def _paint_named(self, painter: QPainter, mark: str = "") -> QRect:
        """Ground, name and value; where the name and the value stand."""
        card(painter, self.rect(), self.ground())
        inner = self.rect().adjusted(self._inset, 2 * style.GRID, -self._inset, -3 * style.GRID - 1)
        size, name = style.SMALL, self.name.upper()
        while size > 8 and QFontMetrics(style.font(size, spacing=0.5)).horizontalAdvance(name) > inner.width():
            size -= 1  # rather smaller than cut off, in the smallest window
        painter.setFont(style.font(size, spacing=0.5))
        painter.setPen(style.SOFT)
        painter.drawText(inner, Qt.AlignmentFlag.AlignTop, name)
        room = inner.width() - (4 * style.GRID if mark else 0)
        face = fitting(self.text, style.LARGE, room, bold=True)
        painter.setFont(face)
        painter.setPen(style.TEXT if self.isEnabled() else style.FAINT)
        fitted = QFontMetrics(face).elidedText(self.text, Qt.TextElideMode.ElideRight, room)
        painter.drawText(inner, Qt.AlignmentFlag.AlignBottom, fitted)
        if mark:
            painter.setFont(style.font(style.SMALL))
            painter.setPen(style.TEXT if self._over else style.FAINT)
            painter.drawText(inner, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignBottom, mark)
        return inner


class ValueTile(ControlTile):
    """A value: drag it to the right or up, turn the wheel, or click twice for the usual."""

    def __init__(self, control: Control, per_pixel: float, ask: Ask) -> None:
        """per_pixel: what a pixel of dragging adds, in the unit of its requests."""
        super().__init__(control.label, Qt.CursorShape.SizeHorCursor)
        self._control = control
        self._per_pixel = per_pixel
        self._ask = ask
        self._value = control.usual
        self._asked: float | None = None
        self._from = (QPoint(), control.usual)

    def show_value(self, value: float, text: str) -> None:
        if (value, text) != (self._value, self.text):
            self._value, self.text = value, text
            self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        super().mousePressEvent(event)
        self._from = (event.globalPosition().toPoint(), self._value)
        self._asked = None

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if not self._held:
            return
        control = self._control
        start, value = self._from
        way = event.globalPosition().toPoint() - start
        wanted = value + (way.x() - way.y()) * self._per_pixel
        wanted = min(max(round(wanted / control.resolution) * control.resolution, control.low), control.high)
        if wanted != (self._value if self._asked is None else self._asked):
            self._asked = wanted
            self._ask(Request(control.action, wanted, absolute=True))

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self._ask(Request(self._control.action, self._control.usual, absolute=True))

    def wheelEvent(self, event: QWheelEvent) -> None:
        steps = event.angleDelta().y() / 120
        self._ask(Request(self._control.action, steps * 5 * self._control.resolution))
        event.accept()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        self._paint_named(painter)
        control = self._control
        part = min(max((self._value - control.low) / (control.high - control.low), 0.0), 1.0)
        track = QRectF(self._inset, self.height() - 2 * style.GRID, self.width() - 2 * self._inset, 0.75 * style.GRID)
        painter.fillRect(track, style.LINE)
        painter.fillRect(QRectF(track.left(), track.top(), part * track.width(), track.height()), style.ACCENT)


class ListTile(ControlTile):
    """One of a list: a click opens it, the wheel goes through it. With nothing to choose from it is dim."""

    def __init__(self, name: str, action: Action, rows: list[str], ask: Ask, offer: Offer, first: int = 0) -> None:
        """first: the amount that means the first row."""
        super().__init__(name)
        self._action = action
        self._rows = rows
        self._ask = ask
        self._offer = offer
        self._first = first
        self._place = -1
        self.say("–")
        if len(rows) < 2:
            self.setEnabled(False)
            self.unsetCursor()

    def show_amount(self, amount: int) -> None:
        self._place = amount - self._first
        if self._rows:
            self.say(self._rows[self._place] if 0 <= self._place < len(self._rows) else "–")

    def clicked(self) -> None:
        self._offer(self, self.rect(), self._rows, self._place, self._choose)

    def _choose(self, row: int) -> None:
        self._ask(Request(self._action, float(row + self._first), absolute=True))

    def wheelEvent(self, event: QWheelEvent) -> None:
        self._ask(Request(self._action, 1.0 if event.angleDelta().y() > 0 else -1.0))
        event.accept()

    def paintEvent(self, event: QPaintEvent) -> None:
        self._paint_named(QPainter(self), "▾" if self.isEnabled() else "")


class Button(ControlTile):
    """Does one thing; lit while that holds. The key that does the same stands beside."""

    def __init__(self, name: str, key: str, press: Callable[[], None], light: QColor = style.AMBER) -> None:
        super().__init__(name)
        self._key = key
        self._press = press
        self._light = light
        self.lit = False

    def show_lit(self, lit: bool, text: str = "") -> None:
        if (lit, text) != (self.lit, self.text):
            self.lit, self.text = lit, text
            self.update()

    def clicked(self) -> None:
        self._press()

    def ground(self) -> QColor:
        return style.mix(super().ground(), self._light, 0.18) if self.lit else super().ground()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        card(painter, self.rect(), self.ground())
        inner = self.rect().adjusted(self._inset, 0, -self._inset, 0)
        if self._light == style.RED:  # the one that records
            centre = QRectF(inner).center()
            centre.setX(inner.left() + style.GRID)
            dot(painter, centre, style.GRID, style.RED if self.lit else style.FAINT)
            inner.setLeft(inner.left() + style.PADDING)
        painter.setFont(style.font(style.BODY, bold=self.lit))
        painter.setPen(style.TEXT if self.lit and self._light == style.RED else self._light if self.lit else style.TEXT)
        painter.drawText(inner, LEFT, self.text or self.name)
        painter.setFont(style.font(style.SMALL))
        painter.setPen(style.TEXT if self.lit else style.FAINT)
        painter.drawText(inner, RIGHT, self._key)


class Menu(QWidget):
    """A list above everything else, over the whole window, so that a click beside it takes it away."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setMouseTracking(True)
        self._rows: list[str] = []
        self._place = -1
        self._under = -1
        self._first = 0
        self._card = QRect()
        self._choose: Callable[[int], None] = lambda row: None
        self.hide()

    @property
    def _row(self) -> int:
        """Height of a row."""
        return 8 * style.GRID

    @property
    def rows(self) -> list[str]:
        return self._rows

    def offer(
        self, beside: QWidget, place: QRect, rows: list[str], current: int, choose: Callable[[int], None]
    ) -> None:
        """See Offer. Below the place if there is room, otherwise above it."""
        parent = self.parentWidget()
        assert parent is not None
        self._rows, self._place, self._under, self._choose = rows, current, current, choose
        self.setGeometry(parent.rect())
        anchor = QRect(beside.mapTo(parent, place.topLeft()), place.size())
        metrics = QFontMetrics(style.font(style.BODY))
        widest = max((metrics.horizontalAdvance(row) for row in rows), default=0)
        width = min(max(widest + 4 * style.PADDING, anchor.width()), self.width() - 2 * style.MARGIN)
        below, above = self.height() - anchor.bottom() - style.MARGIN, anchor.top() - style.MARGIN
        room = max(below, above) - 2 * style.GRID
        height = min(len(rows), max(room // self._row, 1)) * self._row + 2 * style.GRID
        x = min(max(anchor.left(), style.MARGIN), self.width() - width - style.MARGIN)
        y = anchor.bottom() + 1 + style.GRID if below >= above else anchor.top() - style.GRID - height
        self._card = QRect(x, y, width, height)
        self._scroll_to(current)
        self.show()
        self.raise_()
        self.update()

    def row_rect(self, row: int) -> QRect:
        """Where that row stands."""
        top = self._card.top() + style.GRID + (row - self._first) * self._row
        return QRect(self._card.left() + style.GRID, top, self._card.width() - 2 * style.GRID, self._row)

    def take(self, key: Qt.Key) -> None:
        """A key while it is open."""
        if key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            step = 1 if key == Qt.Key.Key_Down else -1
            self._under = (self._under + step) % len(self._rows)
            self._scroll_to(self._under)
            self.update()
            return
        self.hide()
        if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space) and 0 <= self._under < len(self._rows):
            self._choose(self._under)

    def _shown(self) -> int:
        return (self._card.height() - 2 * style.GRID) // self._row

    def _scroll_to(self, row: int) -> None:
        self._first = min(max(self._first, row - self._shown() + 1), max(row, 0))
        self._first = min(max(self._first, 0), max(len(self._rows) - self._shown(), 0))

    def _row_at(self, place: QPoint) -> int:
        if not self._card.contains(place):
            return -1
        row = self._first + (place.y() - self._card.top() - style.GRID) // self._row
        return row if row < len(self._rows) else -1

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        under = self._row_at(event.position().toPoint())
        if under != self._under:
            self._under = under
            self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        row = self._row_at(event.position().toPoint())
        self.hide()
        if row >= 0:
            self._choose(row)

    def wheelEvent(self, event: QWheelEvent) -> None:
        step = -1 if event.angleDelta().y() > 0 else 1
        self._first = min(max(self._first + step, 0), max(len(self._rows) - self._shown(), 0))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        card(painter, self._card, style.mix(style.CARD, style.LINE, 0.5), style.FAINT)
        metrics = QFontMetrics(style.font(style.BODY))
        for row in range(self._first, min(self._first + self._shown(), len(self._rows))):
            place = self.row_rect(row)
            if row == self._under:
                card(painter, place, style.mix(style.LINE, style.SOFT, 0.25))
            painter.setFont(style.font(style.BODY))
            painter.setPen(style.ACCENT if row == self._place else style.TEXT)
            inner = place.adjusted(3 * style.GRID, 0, -3 * style.GRID, 0)
            painter.drawText(
                inner, LEFT, metrics.elidedText(self._rows[row], Qt.TextElideMode.ElideRight, inner.width())
            )
