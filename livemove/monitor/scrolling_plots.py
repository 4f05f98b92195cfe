"""Scrolling plots: waveform, spectrogram, traces. Columns go in, the newest stands at the right; pyqtgraph draws them.

A plot is a belt of tiles, pixmaps that the view carries along. pyqtgraph's image and curve items are the brushes: they
draw the newest tile, a few times a second. As items of the scene, drawn whole at every redraw, they took 36-43 % of a
core; a newest tile of them, drawn at every redraw, still twice as much as this. Knows no session.
"""

# pyqtgraph has no type information.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyqtgraph as pg
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPixmap, QResizeEvent, QShowEvent, QTransform
from PySide6.QtWidgets import (
    QGraphicsItem,
    QGraphicsPixmapItem,
    QGraphicsRectItem,
    QGraphicsScene,
    QGraphicsView,
    QSizePolicy,
    QStyleOptionGraphicsItem,
)

from livemove.monitor import style
from livemove.monitor.telemetry import ROWS

HISTORY = 4096
"""Columns remembered, so that a window made wider is not empty."""


class ScrollingPlot(pg.GraphicsView):
    """A record of `width` numbers a column; subclasses say which items draw a tile and what they show.

    In the scene a unit is a logical pixel. A column is a whole number of device pixels, so tiles move by whole ones.
    """

    TILE = 32
    """Columns."""

    BEHIND = 9
    """Columns that are kept back, a tenth of a second: they are drawn together, and scroll in one by one."""

    def __init__(self, width: int, dtype: npt.DTypeLike = np.float32) -> None:
        super().__init__(background=cast("str", style.WELL))
        self.setCentralItem(None)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # keys are the window's
        self.setInteractive(False)
        self.setMouseTracking(False)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setCacheMode(QGraphicsView.CacheModeFlag.CacheNone)
        self.setViewportUpdateMode(QGraphicsView.ViewportUpdateMode.FullViewportUpdate)  # nothing in it stands still
        self.setOptimizationFlag(QGraphicsView.OptimizationFlag.DontSavePainterState)
        self.setOptimizationFlag(QGraphicsView.OptimizationFlag.DontAdjustForAntialiasing)
        self.viewport().setAutoFillBackground(False)
        self.viewport().setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.scene().setItemIndexMethod(QGraphicsScene.ItemIndexMethod.NoIndex)
        self._belt = QGraphicsRectItem()
        self._belt.setFlag(QGraphicsItem.GraphicsItemFlag.ItemHasNoContents)
        self.scene().addItem(self._belt)
        self._brushes: tuple[Any, ...] = ()
        self._tiles: dict[int, QGraphicsPixmapItem] = {}
        # The newest HISTORY records end at _end: none moves but once in HISTORY.
        self._history = np.zeros((2 * HISTORY, width), dtype)
        self._end = HISTORY
        self._filled = 0
        self._columns = self._drawn = 0
        self._ratio = 0.0

    def brushes(self) -> tuple[Any, ...]:
        """The pyqtgraph items that draw a tile, in this order."""
        raise NotImplementedError

    def draw(self, brushes: tuple[Any, ...], records: npt.NDArray[Any]) -> None:
        """Records [n + 1, width] into those brushes, from x = 0 to n columns; the first one is the one before."""
        raise NotImplementedError

    def push(self, records: npt.NDArray[Any]) -> None:
        """n more columns."""
        count = min(len(records), HISTORY)
        if not count:
            return
        if self._end + count > len(self._history):
            self._history[:HISTORY] = self._history[self._end - HISTORY : self._end]
            self._end = HISTORY
        if not self._filled:
            self._history[self._end - 1] = records[0]  # nothing was before it: no line leads to it
        self._history[self._end : self._end + count] = records[-count:]
        self._end += count
        self._filled = min(self._filled + count, HISTORY)
        self._columns += count
        if self.isVisible():
            self._scroll()

    def clear(self) -> None:
        """Begin anew: what comes now means something else."""
        self._filled = 0
        self._redraw_all()

    def sizeHint(self) -> QSize:
        return QSize(320, 80)

    def resizeEvent(self, ev: QResizeEvent | None) -> None:
        super().resizeEvent(ev)
        if hasattr(self, "_ratio"):  # pyqtgraph calls it before we are made
            self._redraw_all()

    def showEvent(self, event: QShowEvent) -> None:
        """What came while it was hidden was kept, not drawn."""
        super().showEvent(event)
        self._redraw_all()

    @property
    def column(self) -> float:
        """Width of one, in logical pixels."""
        return max(round(self._ratio), 1) / self._ratio

    def _redraw_all(self) -> None:
        """All tiles anew."""
        self._ratio = self.devicePixelRatioF()
        for tile in self._tiles.values():
            self.scene().removeItem(tile)
        self._tiles.clear()
        self._brushes = self.brushes()
        shown = math.ceil(self.width() / self.column) + self.BEHIND
        self._drawn = self._columns - min(self._filled, shown)
        self._scroll(at_once=True)

    def _scroll(self, at_once: bool = False) -> None:
        """Draw what has come, once it is enough, and move all to the left."""
        if self.devicePixelRatioF() != self._ratio:  # moved to another screen
            self._redraw_all()
            return
        if self._columns - self._drawn >= (1 if at_once else self.BEHIND):
            for index in range(self._drawn // self.TILE, math.ceil(self._columns / self.TILE)):
                self._draw_tile(index)
            self._drawn = self._columns
        across = round(self.width() * self._ratio) / self._ratio
        self._belt.setX(across - (self._columns - self.BEHIND) * self.column)

    def _draw_tile(self, index: int) -> None:
        """As far as there is something for it."""
        start = max(index * self.TILE, self._columns - self._filled)
        end = min((index + 1) * self.TILE, self._columns)
        behind = self._end - self._columns  # of a record in the history, and its column
        self.draw(self._brushes, self._history[behind + start - 1 : behind + end])
        pixmap = QPixmap(self.TILE * max(round(self._ratio), 1), max(round(self.height() * self._ratio), 1))
        pixmap.setDevicePixelRatio(self._ratio)
        pixmap.fill(style.WELL)
        painter = QPainter(pixmap)
        place = QTransform.fromTranslate((start - index * self.TILE) * self.column, 0.0)
        for item in self._brushes:
            painter.setTransform(item.transform() * place)
            item.paint(painter, QStyleOptionGraphicsItem(), None)
        painter.end()
        if index not in self._tiles:
            oldest = min(self._tiles, default=index)
            left_view = (self._columns - self.BEHIND - (oldest + 1) * self.TILE) * self.column > self.width()
            self._tiles[index] = self._tiles.pop(oldest) if left_view else QGraphicsPixmapItem(self._belt)
            self._tiles[index].setX(index * self.TILE * self.column)
        self._tiles[index].setPixmap(pixmap)


def curve(colour: QColor, width: float, **options: Any) -> Any:
    """A pyqtgraph curve in that colour, of that many logical pixels; width 0: no line."""
    pen = pg.mkPen(colour, width=width, cosmetic=False) if width else None
    return pg.PlotCurveItem(pen=pen, skipFiniteCheck=True, **options)


class Waveform(ScrollingPlot):
    """Lowest and highest sample of each column; amber where the limiter works."""

    KNEE = 0.891

    def __init__(self) -> None:
        super().__init__(2)

    def brushes(self) -> tuple[Any, ...]:
        pair = {"connect": "pairs", "segmentedLineMode": "on", "antialias": True}
        return tuple(curve(colour, self.column, **pair) for colour in (style.ACCENT, style.AMBER))

    def draw(self, brushes: tuple[Any, ...], records: npt.NDArray[Any]) -> None:
        low, high = records[1:].T.astype(np.float64)
        middle, reach = self.height() / 2, self.height() / 2 - 1
        x = (np.arange(len(low)) + 0.5) * self.column
        ends = np.stack([middle - reach * high - 0.5, middle - reach * low + 0.5], axis=1)
        loud = np.maximum(high, -low) > self.KNEE
        for item, part in zip(brushes, (~loud, loud), strict=True):
            if part.any() or len(item.xData):
                item.setData(np.repeat(x[part], 2), ends[part].ravel())


class Spectrogram(ScrollingPlot):
    """uint8 rows from low to high, stretched to the height."""

    def __init__(self) -> None:
        dark, bright = style.mix(style.WELL, style.ACCENT, 0.22), style.mix(style.ACCENT, QColor("white"), 0.85)
        middle = style.mix(style.WELL, style.ACCENT, 0.62)
        stops = (style.WELL, style.WELL, dark, middle, style.ACCENT, bright)
        table: Any = pg.ColorMap(None, list(stops)).getLookupTable(nPts=256, alpha=False)
        self._colours = np.asarray(table, np.uint8)
        super().__init__(ROWS, np.uint8)

    def brushes(self) -> tuple[Any, ...]:
        item = pg.ImageItem(axisOrder="row-major", autoLevels=False)
        item.setTransform(QTransform.fromScale(self.column, 1.0 / self._ratio))
        return (item,)

    def draw(self, brushes: tuple[Any, ...], records: npt.NDArray[Any]) -> None:
        rows = np.rint(np.linspace(ROWS - 1, 0, max(round(self.height() * self._ratio), 1))).astype(np.intp)
        brushes[0].setImage(self._colours[records[1:].T[rows]], autoLevels=False)


class Traces(ScrollingPlot):
    """One lane for each number of a record, 0..1 from bottom to top, on lanes of equal height; NaN: nothing there."""

    def __init__(self, lanes: int, colour: QColor) -> None:
        self.lanes = lanes
        self._colour = colour
        self._below = QColor(colour)
        self._below.setAlpha(22)
        super().__init__(lanes)

    def lane_height(self) -> float:
        """In logical pixels."""
        return int(self.height() * self._ratio) // self.lanes / self._ratio

    def brushes(self) -> tuple[Any, ...]:
        gaps = curve(style.CARD, 1.0, connect="pairs")
        heights = np.arange(1, self.lanes + 1) * self.lane_height() - 0.5
        gaps.setData(np.tile([0.0, self.TILE * self.column], self.lanes), np.repeat(heights, 2))
        return (
            curve(self._colour, 0, brush=self._below, fillLevel="enclosed"),
            curve(self._colour, 1.6, antialias=True),
            gaps,
        )

    def draw(self, brushes: tuple[Any, ...], records: npt.NDArray[Any]) -> None:
        lane, count = self.lane_height(), len(records)
        edge = min(3.0, lane / 4)
        lanes = np.flatnonzero(~np.isnan(records).any(axis=0))
        floor = (lanes + 1.0) * lane - 1.0
        x = np.arange(count) * self.column
        y = floor - (lane - 1 - 2 * edge) * records[:, lanes] - edge
        joined = np.ones((count, len(lanes)), np.int32)
        joined[-1] = 0
        everywhere = np.tile(x, len(lanes))
        brushes[1].setData(everywhere, y.T.ravel(), connect=joined.T.ravel())
        # What lies below: each lane's line, and back along its floor.
        around = np.concatenate([y, np.stack([floor, floor])]).T.ravel()
        joined = np.ones((len(lanes), count + 2), np.int32)
        joined[:, -1] = 0
        corners = np.tile(np.concatenate([x, x[[-1, 0]]]), len(lanes))
        brushes[0].setData(corners, around, connect=joined.ravel())
