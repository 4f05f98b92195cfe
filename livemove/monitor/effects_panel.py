"""The effects and the looper, below what is heard.

In: what is set, and what the loop does. Out: widgets whose clicks ask. Knows no shared memory and no keys.
"""

from __future__ import annotations

from PySide6.QtWidgets import QGridLayout, QWidget

from livemove.contracts import Controls, Request
from livemove.controls import CONTROLS, EFFECT_VALUES, LOOP_PRESSES, LOWEST_TEMPO, Control
from livemove.ipc.loop_status import LoopState, LoopStatus
from livemove.monitor import style
from livemove.monitor.input_widgets import Button, Handlers, ValueTile

PIXELS = 200
"""From one end of a knob's range to the other."""

PRESSES = {"loop": "record", "loop_undo": "undo", "loop_stop": "silent", "loop_clear": "clear"}
"""What the looper's buttons are called where there is no loop."""


class EffectsPanel(QWidget):
    """A tile for each value, a button for each press, in two rows."""

    COLUMNS = 7

    def __init__(self, handlers: Handlers) -> None:
        super().__init__()
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(style.GRID)
        self.values = {control.label: _tile(control, handlers) for control in EFFECT_VALUES}
        self.buttons = {CONTROLS[name].label: _button(CONTROLS[name], handlers) for name in PRESSES}
        for place, widget in enumerate((*self.values.values(), *self.buttons.values())):
            grid.addWidget(widget, place // self.COLUMNS, place % self.COLUMNS)
        self.setFixedHeight(25 * style.GRID)

    def show_state(self, controls: Controls, loop: LoopStatus) -> None:
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
    if control.name == "delay_beats":
        return f"{value:g}" if value else "–"
    if control.unit == "ms":
        return f"{value:.0f} ms"
    return f"{value:.1f} s" if control.unit == "s" else f"{value:.2f}"


def _tile(control: Control, handlers: Handlers) -> ValueTile:
    low, high = control.knob or control.limits
    tile = ValueTile(control, (high - low) / PIXELS, handlers.ask)
    tile.name = tile.name.removeprefix("reverb-").removeprefix("delay-").removeprefix("loop-").replace("level", "loop")
    return tile


def _button(control: Control, handlers: Handlers) -> Button:
    assert control.action in LOOP_PRESSES
    light = style.RED if control.name == "loop" else style.AMBER
    return Button(PRESSES[control.name], control.key_label, lambda: handlers.ask(Request(control.action)), light)
