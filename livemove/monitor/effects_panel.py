"""The effects and the looper, in the place of the body's features while they are used or chosen.

In: what is set, and what the loop does. Out: widgets whose clicks ask. Knows no shared memory and no keys.
"""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QGridLayout, QWidget

from livemove.contracts import Controls, Request
from livemove.controls import CONTROLS, EFFECT_VALUES, LOOP_PRESSES, LOWEST_TEMPO, Control
from livemove.ipc.loop_status import LoopState, LoopStatus
from livemove.monitor import style
from livemove.monitor.display_widgets import LEFT, RIGHT, card
from livemove.monitor.input_widgets import Button, Handlers, ValueTile

PIXELS = 200
"""From one end of a knob's range to the other."""

PRESSES = {"loop": "record", "loop_undo": "undo", "loop_stop": "silent", "loop_clear": "clear"}
"""What the looper's buttons are called where there is no loop."""


class SlimTile(ValueTile):
    """A value in one line, as high as a button: its name, what it is, and how far that is along its range."""

    def paintEvent(self, event: QPaintEvent) -> None:
        painter, control = QPainter(self), self._control
        card(painter, self.rect(), self.ground())
        inner = self.rect().adjusted(2 * style.GRID, 0, -2 * style.GRID, -style.GRID)
        painter.setFont(style.font(style.BODY, bold=True))
        painter.setPen(style.TEXT)
        painter.drawText(inner, RIGHT, self.text)
        inner.setRight(inner.right() - painter.fontMetrics().horizontalAdvance(self.text) - style.GRID)
        painter.setFont(style.font(style.SMALL))
        painter.setPen(style.SOFT)
        name = painter.fontMetrics().elidedText(self.name, Qt.TextElideMode.ElideRight, max(inner.width(), 0))
        painter.drawText(inner, LEFT, name)
        part = min(max((self._value - control.low) / (control.high - control.low), 0.0), 1.0)
        width, thin = self.width() - 4 * style.GRID, 0.5 * style.GRID
        track = QRectF(2 * style.GRID, self.height() - 1.25 * style.GRID, width, thin)
        painter.fillRect(track, style.LINE)
        painter.fillRect(QRectF(track.left(), track.top(), part * width, thin), style.ACCENT)


class EffectsPanel(QWidget):
    """A tile for each value, a button for each press, in two rows. used: something is sent to an effect, or there is a
    loop."""

    COLUMNS = 7

    def __init__(self, handlers: Handlers) -> None:
        super().__init__()
        self.used = False
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(style.GRID)
        self.values = {control.label: _tile(control, handlers) for control in EFFECT_VALUES}
        self.buttons = {CONTROLS[name].label: _button(CONTROLS[name], handlers) for name in PRESSES}
        for place, widget in enumerate((*self.values.values(), *self.buttons.values())):
            widget.setMinimumSize(0, 0)
            widget.setFixedHeight(7 * style.GRID)
            grid.addWidget(widget, place // self.COLUMNS, place % self.COLUMNS)
        self.setFixedHeight(15 * style.GRID)

    def show_state(self, controls: Controls, loop: LoopStatus) -> None:
        self.used = controls.reverb > 0.0 or controls.delay > 0.0 or loop.state is not LoopState.EMPTY
        for control in EFFECT_VALUES:
            value = getattr(controls, control.preset)
            self.values[control.label].show_value(value, written(control, value))
        records = loop.state in (LoopState.RECORDING, LoopState.CLOSING, LoopState.OVERDUBBING)
        there = loop.state is not LoopState.EMPTY
        self.buttons["loop"].show_lit(records, f"{loop.seconds:.1f} s" if there else "")
        self.buttons["loop-stop"].show_lit(loop.state is LoopState.SILENT)


def written(control: Control, value: float) -> str:
    """A value of EFFECT_VALUES, short."""
    if control.name == "tempo":
        return f"{value:g}" if value >= LOWEST_TEMPO else "–"
    if control.unit == "beats":
        return f"{value:g}" if value else "–"
    if control.unit == "ms":
        return f"{value:.0f} ms"
    return f"{value:.1f} s" if control.unit == "s" else f"{value:.2f}"


def _tile(control: Control, handlers: Handlers) -> SlimTile:
    low, high = control.knob or control.limits
    tile = SlimTile(control, (high - low) / PIXELS, handlers.ask)
    tile.name = tile.name.removeprefix("reverb-").removeprefix("delay-").removeprefix("loop-").replace("level", "loop")
    return tile


def _button(control: Control, handlers: Handlers) -> Button:
    assert control.action in LOOP_PRESSES
    light = style.RED if control.name == "loop" else style.AMBER
    return Button(PRESSES[control.name], control.key_label, lambda: handlers.ask(Request(control.action)), light)
