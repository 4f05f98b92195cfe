"""What scrolls: waveform, spectrogram, traces. Columns go in, the newest stands at the right.

Each column is painted once, by numpy, into a picture that is a ring; a redraw is two copies out of it. That keeps the
window cheap: pyqtgraph's plots of as many lines took 36-43 % of a core at 29 redraws a second. Knows no session.
"""

# numpy's stubs need a newer Python than 3.10, which pyright checks for: its members come out half unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPaintEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from livemove.contracts import Float32
from livemove.monitor import style
from livemove.monitor.look import ROWS

Pixels = npt.NDArray[np.uint32]

KEPT = 4096
"""Columns remembered, so that a window made wider is not empty."""


class Roll(QWidget):
    """A record of `width` numbers a column; subclasses say how columns look."""

    def __init__(self, width: int, background: QColor, dtype: npt.DTypeLike = np.float32) -> None:
        super().__init__()
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._background = background
        self._history = np.zeros(
            (2 * KEPT, width), dtype
        )  # the newest KEPT end at _end: no record moves but once in KEPT
        self._end = KEPT
        self._filled = 0
        self._head = 0
        self._allocate()

    def paint(self, records: npt.NDArray[Any], height: int) -> Pixels:
        """uint32 [height, n] for records [n + 1, width]; the first one is the one before."""
        raise NotImplementedError

    def push(self, records: npt.NDArray[Any]) -> None:
        """n more columns."""
        count = min(len(records), KEPT)
        if not count:
            return
        if self._end + count > len(self._history):
            self._history[:KEPT] = self._history[self._end - KEPT : self._end]
            self._end = KEPT
        if not self._filled:
            self._history[self._end - 1] = records[0]  # nothing was before it: no line leads to it
        self._history[self._end : self._end + count] = records[-count:]
        self._end += count
        self._filled = min(self._filled + count, KEPT)
        if self.isVisible():
            self._put(count)
            self.update()

    def forget(self) -> None:
        """Begin anew: what comes now means something else."""
        self._filled = 0
        self._allocate()
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(320, 80)

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._allocate()

    def showEvent(self, event: QShowEvent) -> None:
        """What came while it was hidden was kept, not painted."""
        self._allocate()

    def _allocate(self) -> None:
        ratio = self.devicePixelRatioF()
        self._ratio = ratio
        self._thick = max(round(ratio), 1)  # device pixels a column
        columns = max(int(self.width() * ratio) // self._thick, 1)
        height = max(int(self.height() * ratio), 1)
        self._pixels = np.full((height, columns * self._thick), self._background.rgb(), np.uint32)
        self._image = QImage(
            self._pixels.data,  # pyright: ignore[reportArgumentType]
            self._pixels.shape[1],
            height,
            self._pixels.strides[0],
            QImage.Format.Format_RGB32,
        )
        self._image.setDevicePixelRatio(ratio)
        self._head = 0
        if self._filled:
            self._put(min(self._filled, columns))

    def _put(self, count: int) -> None:
        """The newest `count` records into the ring."""
        height, across = self._pixels.shape
        count = min(count, across // self._thick, KEPT - 1)
        painted = np.repeat(self.paint(self._history[self._end - count - 1 : self._end], height), self._thick, axis=1)
        first = min(painted.shape[1], across - self._head)
        self._pixels[:, self._head : self._head + first] = painted[:, :first]
        self._pixels[:, : painted.shape[1] - first] = painted[:, first:]
        self._head = (self._head + painted.shape[1]) % across

    def paintEvent(self, event: QPaintEvent) -> None:
        if self.devicePixelRatioF() != self._ratio:  # moved to another screen
            self._allocate()
        painter = QPainter(self)
        height, across = self._pixels.shape
        old = across - self._head
        # Oldest first: what lies right of the head, then what lies left of it.
        painter.drawImage(0, 0, self._image, self._head, 0, old, height)
        if self._head:
            painter.drawImage(
                QRect(round(old / self._ratio), 0, round(self._head / self._ratio), round(height / self._ratio)),
                self._image,
                QRect(0, 0, self._head, height),
            )


class Waveform(Roll):
    """Lowest and highest sample of each column; amber where the limiter works."""

    KNEE = 0.891

    def __init__(self) -> None:
        super().__init__(2, style.WELL)
        self._calm = style.ramp(style.WELL, style.ACCENT)
        self._loud = style.ramp(style.WELL, style.AMBER)

    def paint(self, records: npt.NDArray[Any], height: int) -> Pixels:
        low, high = records[1:].T
        middle, reach = (height - 1) / 2, height / 2 - 1
        levels = _between(middle - reach * high, middle - reach * low, height, 0.5)
        loud = np.maximum(high, -low) > self.KNEE
        return np.where(loud, self._loud[levels], self._calm[levels])


class Spectrogram(Roll):
    """uint8 rows from low to high, stretched to the height."""

    def __init__(self) -> None:
        super().__init__(ROWS, style.WELL, np.uint8)
        dark, bright = style.mix(style.WELL, style.ACCENT, 0.22), style.mix(style.ACCENT, QColor("white"), 0.85)
        middle = style.mix(style.WELL, style.ACCENT, 0.62)
        self._colours = style.ramp(style.WELL, style.WELL, dark, middle, style.ACCENT, bright)

    def paint(self, records: npt.NDArray[Any], height: int) -> Pixels:
        rows = np.rint(np.linspace(ROWS - 1, 0, height)).astype(np.intp)
        return self._colours[records[1:].T[rows]]


class Traces(Roll):
    """One lane for each number of a record, 0..1 from bottom to top, on lanes of equal height; NaN: nothing there."""

    def __init__(self, lanes: int, colour: QColor) -> None:
        self.lanes = lanes
        self._colours = style.ramp(style.WELL, colour)
        super().__init__(lanes, style.WELL)

    def lane_height(self) -> float:
        """In logical pixels."""
        return int(self.height() * self._ratio) // self.lanes / self._ratio

    def paint(self, records: npt.NDArray[Any], height: int) -> Pixels:
        lane = max(height // self.lanes, 1)
        edge = min(3.0 * self._thick, lane / 4)
        places = (1.0 - records.T) * (lane - 1 - 2 * edge) + edge  # [lanes, n + 1]
        places[np.isnan(places)] = 2.0 * lane
        upper, lower = np.minimum(places[:, 1:], places[:, :-1]), np.maximum(places[:, 1:], places[:, :-1])
        levels = _between(upper, lower, lane, 0.9 * self._thick)
        below = np.arange(lane)[:, None] > lower[:, None, :]
        levels = np.maximum(levels, np.where(below, 22, 0).astype(np.uint8))
        levels[:, -self._thick :] = 0  # a gap between the lanes
        pixels = np.full((height, records.shape[0] - 1), self._background.rgb(), np.uint32)
        painted = self._colours[levels]
        painted[:, -self._thick :] = style.CARD.rgb()
        pixels[: lane * self.lanes] = painted.reshape(lane * self.lanes, -1)
        pixels[lane * self.lanes :] = style.CARD.rgb()
        return pixels


def _between(upper: Float32, lower: Float32, height: int, half: float) -> npt.NDArray[np.uint8]:
    """uint8 [..., height, n]: how much of each pixel lies between upper and lower, [..., n], and half a pen beyond."""
    rows = np.arange(height, dtype=np.float32)[:, None]
    upper, lower = upper[..., None, :], lower[..., None, :]
    outside = np.maximum(np.maximum(upper - rows, rows - lower), 0.0)
    return (np.clip(half + 0.5 - outside, 0.0, 1.0) * 255).astype(np.uint8)
