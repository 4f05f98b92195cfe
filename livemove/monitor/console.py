"""The two strips one plays with: the bar above, which names instrument and audio device, and the console below.

In: what is set, and how it goes. Out: widgets whose clicks ask. Knows no shared memory and no keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from PySide6.QtCore import QEvent, QPoint, QPointF, QRect, Qt
from PySide6.QtGui import QFont, QFontMetrics, QMouseEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from livemove.body.notes import NOTES, SCALES
from livemove.contracts import MAX_BLEND, Action, Controls, Request, SupervisorStatus
from livemove.controls import BY_ACTION, CONTROLS, LAYER_GAINS, LAYER_PANS, STYLE_WEIGHTS
from livemove.monitor import style
from livemove.monitor.display_widgets import RIGHT, Lamp, card, dot
from livemove.monitor.input_widgets import HAND, ControlTile, Handlers, ListTile, ValueTile
from livemove.monitor.monitor_config import MonitorConfig
from livemove.monitor.style import TONES
from livemove.monitor.telemetry import Tone, Verdict, clock, decibels, signed, spoken, written_db
from livemove.monitor.view_state import ViewState

PER_PIXEL = {"gain": 0.2, "temperature": 0.01, "look_ahead": 0.5}
"""Values that are dragged: what a pixel adds, in the unit of their requests."""


class TopBar(QWidget):
    """Which instrument, on what, and how it goes. Instrument, audio device and the question mark can be clicked."""

    def __init__(self, config: MonitorConfig, models: tuple[str, ...], handlers: Handlers) -> None:
        super().__init__()
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMouseTracking(True)
        self.setFixedHeight(10 * style.GRID)
        self._config = config
        self._models = models
        self._handlers = handlers
        self._before = ""
        self._chip = self._clock = QRect()
        self._shown: tuple[Any, ...] = ()
        self._controls = Controls()
        self._supervisor_status = SupervisorStatus()
        self._under = ""
        self.spots: dict[str, QRect] = {}
        self.lamp = Lamp(style.LARGE)
        self.lamp.setParent(self)

    def show_state(self, state: ViewState) -> None:
        figures = state.figures
        self._controls, self._supervisor_status = state.controls, state.supervisor_status
        learning = "move the knob to learn" if state.controls.learn else ""
        shown = (state.verdict, clock(figures.seconds), learning, figures.engine, figures.device)
        if shown != self._shown:
            self._shown = shown
            self._arrange()
            self.update()
        self.lamp.say(state.recording_s)

    def _arrange(self) -> None:
        """Where everything stands, from what is said."""
        verdict, seconds, learning, engine, device = self._shown
        height = self.height()

        def across(words: str, face: QFont) -> int:
            return QFontMetrics(face).horizontalAdvance(words)

        model = across(self._config.name, style.font(style.HEADING, bold=True))
        body = style.font(style.BODY)
        output = f"writing {self._config.output.name}" if self._config.output else ""
        calibrated = "calibrated" if self._config.calibrated else ""
        self._before = "  ·  ".join(filter(None, (learning, output, calibrated, engine)))
        x = model + 6 * style.GRID + style.PADDING
        keys = QRect(self.width() - 8 * style.GRID, style.GRID, 8 * style.GRID, height - 2 * style.GRID)
        self._clock = QRect(0, 0, keys.left() - 2 * style.GRID, height)
        right = self._clock.right() - across(seconds, style.font(style.HEADING)) - style.PADDING
        wide = across(verdict.words, style.font(style.LARGE, bold=True)) + 11 * style.GRID
        self._chip = QRect(right - wide, style.GRID, wide, height - 2 * style.GRID)
        lamp = self.lamp.sizeHint()
        self.lamp.setGeometry(
            self._chip.left() - lamp.width() - style.GAP, style.GRID, lamp.width(), height - 2 * style.GRID
        )
        start = x + (across(self._before + "  ·  ", body) if self._before else 0)
        end = min(start + across(device, body) + 6 * style.GRID, self.lamp.geometry().left() - style.GRID)
        self.spots = {
            "model": QRect(0, 0, model + 6 * style.GRID, height),
            "device": QRect(start, 0, max(end - start, 0), height),
            "keys": keys,
        }

    def resizeEvent(self, event: QResizeEvent) -> None:
        if self._shown:
            self._arrange()

    def _spot(self, place: QPoint) -> str:
        return next((name for name, spot in self.spots.items() if spot.contains(place)), "")

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        under = self._spot(event.position().toPoint())
        if under != self._under:
            self._under = under
            self.setCursor(HAND if under else Qt.CursorShape.ArrowCursor)
            self.update()

    def leaveEvent(self, event: QEvent) -> None:
        self._under = ""
        self.unsetCursor()
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        spot = self._spot(event.position().toPoint())
        if spot == "model":
            self._handlers.offer(
                self, self.spots[spot], list(self._models), self._controls.model,
                lambda row: self._handlers.ask(Request(Action.MODEL, float(row), absolute=True)),
            )  # fmt: skip
        elif spot == "device" and self._supervisor_status.devices:
            devices = list(self._supervisor_status.devices)
            self._handlers.offer(
                self, self.spots[spot], devices, self._supervisor_status.device,
                lambda row: self._handlers.ask(Request(Action.DEVICE, text=devices[row])),
            )  # fmt: skip
        elif spot == "keys":
            self._handlers.show_keys()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), style.BASE)
        if not self._shown:
            return
        verdict, seconds, _, _, device = self._shown
        spot = self.spots["model"]
        painter.setFont(style.font(style.HEADING, bold=True))
        painter.setPen(style.ACCENT if self._under == "model" else style.TEXT)
        painter.drawText(spot, Qt.AlignmentFlag.AlignVCenter, self._config.name)
        if len(self._models) > 1:
            self._paint_mark(painter, spot, "model")
        painter.setFont(style.font(style.BODY))
        painter.setPen(style.SOFT)
        spot = self.spots["device"].adjusted(0, 3, 0, 3)
        if self._before:
            left = self.spots["model"].right() + style.PADDING
            painter.drawText(
                QRect(left, 3, spot.left() - left, self.height()), Qt.AlignmentFlag.AlignVCenter, self._before + "  ·  "
            )
        painter.setPen(style.TEXT if self._under == "device" else style.SOFT)
        fitted = painter.fontMetrics().elidedText(device, Qt.TextElideMode.ElideRight, spot.width() - 5 * style.GRID)
        painter.drawText(spot, Qt.AlignmentFlag.AlignVCenter, fitted)
        if self._supervisor_status.devices:
            self._paint_mark(painter, spot, "device")

        painter.setFont(style.font(style.HEADING))
        painter.setPen(style.TEXT)
        painter.drawText(self._clock, RIGHT, seconds)
        keys = self.spots["keys"]
        card(painter, keys, style.mix(style.CARD, style.LINE, 0.8 if self._under == "keys" else 0.0))
        painter.setFont(style.font(style.BODY, bold=True))
        painter.setPen(style.TEXT if self._under == "keys" else style.SOFT)
        painter.drawText(keys, Qt.AlignmentFlag.AlignCenter, "?")
        self._paint_chip(painter, verdict)

    def _paint_mark(self, painter: QPainter, spot: QRect, name: str) -> None:
        painter.setFont(style.font(style.SMALL))
        painter.setPen(style.TEXT if self._under == name else style.FAINT)
        painter.drawText(spot.adjusted(0, 1, -2 * style.GRID, 1), RIGHT, "▾")

    def _paint_chip(self, painter: QPainter, verdict: Verdict) -> None:
        chip, colour = self._chip, TONES[verdict.tone]
        light = style.ACCENT if verdict.tone <= Tone.FINE else colour
        if verdict.tone == Tone.WRONG:
            card(painter, chip, style.RED)
            light = colour = style.BASE
        elif verdict.tone == Tone.WATCH:
            card(painter, chip, style.mix(style.BASE, style.AMBER, 0.16))
        dot(painter, QPointF(chip.left() + 4.5 * style.GRID, chip.center().y() + 0.5), style.GRID + 0.5, light)
        painter.setFont(style.font(style.LARGE, bold=True))
        painter.setPen(colour)
        painter.drawText(chip.adjusted(7 * style.GRID, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, verdict.words)


WEIGHT_PER_PIXEL = 0.005
PAN_PER_PIXEL = 0.01


class Console(QWidget):
    """What can be set, in one row along the lower edge; above it a slider for each style of a model that blends."""

    def __init__(self, config: MonitorConfig, handlers: Handlers) -> None:
        super().__init__()
        ask, offer = handlers.ask, handlers.offer
        lowest, highest = map(int, CONTROLS["octave"].limits)
        octaves = [signed(octave, "+d") if octave else "0" for octave in range(lowest, highest + 1)]
        scales = ["as mapped", *(spoken(name) for name in SCALES)]
        self.values = {CONTROLS[name].label: ValueTile(CONTROLS[name], each, ask) for name, each in PER_PIXEL.items()}
        self.picks = {
            "octave": ListTile("octave", Action.OCTAVE, octaves, ask, offer, lowest),
            "scale": ListTile("scale", Action.SCALE, scales, ask, offer),
            "root": ListTile("root", Action.ROOT, ["as mapped", *NOTES], ask, offer),
            "style": ListTile("style", Action.STYLE, list(config.spec.styles), ask, offer),
            "preset": ListTile("preset", Action.PRESET, list(config.presets), ask, offer),
        }
        names = config.spec.styles if 1 < len(config.spec.styles) <= MAX_BLEND else ()
        self.weights = [
            ValueTile(replace(BY_ACTION[action], name=name), WEIGHT_PER_PIXEL, ask)
            for action, name in zip(STYLE_WEIGHTS, names, strict=False)
        ]
        voices = config.voices if len(config.voices) > 1 else ()
        self.gains = [
            ValueTile(replace(BY_ACTION[action], name=f"{number} {voice}"), PER_PIXEL["gain"], ask)
            for number, (action, voice) in enumerate(zip(LAYER_GAINS, voices, strict=False), 1)
        ]
        self.pans = [
            ValueTile(replace(BY_ACTION[action], name=f"{number} pan"), PAN_PER_PIXEL, ask)
            for number, (action, _) in enumerate(zip(LAYER_PANS, voices, strict=False), 1)
        ]
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(style.GAP)
        lines: list[list[ControlTile]] = [[*self.weights]] if self.weights else []
        if voices:
            lines.append([tile for pair in zip(self.gains, self.pans, strict=True) for tile in pair])
        lines.append([*self.values.values(), *self.picks.values()])
        for tiles in lines:
            row = QHBoxLayout()
            rows.addLayout(row)
            row.setSpacing(style.GAP)
            for tile in tiles:
                row.addWidget(tile, 1)
        self.setFixedHeight(len(lines) * 16 * style.GRID + (len(lines) - 1) * style.GAP)

    def show_weights(self, controls: Controls, styles: Sequence[float]) -> None:
        """styles: weights as they sound; a slider stands where it was set by hand, else where its style sounds."""
        for place, (tile, sounding) in enumerate(zip(self.weights, styles, strict=False)):
            by_hand = controls.styles[place] if place < len(controls.styles) else 0.0
            tile.show_value(by_hand if any(controls.styles) else sounding, f"{100 * sounding:.0f} %")

    def show_controls(self, controls: Controls) -> None:
        for tile, gain in zip(self.gains, controls.gains, strict=False):
            tile.show_value(decibels(gain), f"{written_db(decibels(gain))} dB")
        for tile, pan in zip(self.pans, controls.pans, strict=False):
            tile.show_value(pan, "middle" if abs(pan) < 0.005 else f"{abs(pan):.2f} {'L' if pan < 0 else 'R'}")
        gain_db, ahead_ms = decibels(controls.gain), 1e3 * controls.look_ahead_s
        self.values["gain"].show_value(gain_db, f"{written_db(gain_db)} dB")
        self.values["temperature"].show_value(controls.temperature, f"{controls.temperature:.2f}")
        ahead = "auto" if ahead_ms >= CONTROLS["look_ahead"].high else f"{ahead_ms:.0f} ms"
        self.values["look-ahead"].show_value(ahead_ms, ahead)
        self.picks["preset"].show_amount(controls.preset - 1)
        for name in ("octave", "scale", "root", "style"):
            self.picks[name].show_amount(getattr(controls, name))
