"""The stage view: what counts, readable from three metres in the dark, in any size of window.

In: what was looked up this frame. Out: widgets, each told only what concerns it. Knows no shared memory and no keys.
"""

from __future__ import annotations

from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QWidget

from livemove.body.features import FEATURES
from livemove.monitor import style
from livemove.monitor.camera_view import CameraView
from livemove.monitor.display_widgets import RIGHT, Bars, Lamp, Meter, TextLine
from livemove.monitor.input_widgets import Handlers
from livemove.monitor.monitor_config import MonitorConfig
from livemove.monitor.moving_channels import MovingChannels
from livemove.monitor.scale_lines import scale_lines
from livemove.monitor.style import TONES
from livemove.monitor.telemetry import Tone, clock, decibels, signed, spoken, written_db
from livemove.monitor.view_state import ViewState
from livemove.monitor.words import LIMITER_SHOWN_S, SLOW, number, written

CHANNEL_BARS = 4
CHANGED_S = 4.0
"""So long the name of another preset or model stands out."""

# Shares of the window's height.
TOP, NAME, SET, METER, FOOT = 0.105, 0.155, 0.062, 0.06, 0.05
LETTERS = 0.12
"""Of the preset's name. On a 13-inch screen, 165 mm high, capitals of 14 mm: 16 minutes of arc at three metres, three
times what is just readable (5 minutes, ISO 8596)."""


class StagePage(QWidget):
    """How it goes, preset and next cue, what is set, the body, the channels, the level."""

    def __init__(self, config: MonitorConfig, handlers: Handlers) -> None:
        super().__init__()
        self._config = config
        self._handlers = handlers
        self._frame = 0
        self._wrong = False
        self._shown_name = ""
        self._changed_s = -CHANGED_S
        self._channels = config.spec.channels
        self._moving = MovingChannels(self._channels, CHANNEL_BARS)
        self._scale = scale_lines(config)
        self.lamp = Lamp(40, ground=style.BASE)
        self.words = TextLine(64, bold=True, ground=style.BASE, least=12)
        self.clock = TextLine(64, align=RIGHT, colour=style.SOFT, ground=style.BASE, least=12)
        self.name = TextLine(88, bold=True, ground=style.BASE, least=20)
        self.cue = TextLine(36, align=RIGHT, colour=style.SOFT, ground=style.BASE, least=14)
        self.set_line = TextLine(32, ground=style.BASE, least=12)
        self.camera_view = CameraView("", bare=True)
        self.bars = Bars(tuple(spoken(self._channels[place].name) for place in self._moving.places))
        self.meter = Meter(lying=True)
        self.foot = TextLine(28, colour=style.SOFT, ground=style.BASE, least=11)
        self.parts = (
            self.words, self.lamp, self.clock, self.name, self.cue, self.set_line, self.camera_view, self.bars,
            self.meter, self.foot,
        )  # fmt: skip
        for part in self.parts:
            part.setParent(self)

    def resizeEvent(self, event: QResizeEvent) -> None:
        width, height = self.width(), self.height()
        margin, gap = round(0.03 * height), round(0.02 * height)
        left, right = margin, width - margin
        top, name, line, meter, foot = (round(share * height) for share in (TOP, NAME, SET, METER, FOOT))
        self.words.resize_text(round(0.085 * height))
        self.clock.resize_text(round(0.085 * height))
        self.lamp.resize_text(round(0.055 * height))
        self.name.resize_text(round(LETTERS * height))
        self.cue.resize_text(round(0.055 * height))
        self.set_line.resize_text(round(0.045 * height))
        self.foot.resize_text(round(0.038 * height))
        times = self.clock.width_of("0:00:00") + gap
        lamp = self.lamp.sizeHint().width()
        y = margin // 2
        self.clock.setGeometry(right - times, y, times, top)
        self.lamp.setGeometry(right - times - lamp, y, lamp, top)
        self.words.setGeometry(left, y, max(right - times - lamp - left, 1), top)
        y += top
        cue = round(0.36 * (right - left))
        self.name.setGeometry(left, y, right - left - cue, name)
        self.cue.setGeometry(right - cue, y, cue, name)
        y += name
        self.set_line.setGeometry(left, y, right - left, line)
        y += line + gap
        bottom = height - margin // 2
        self.foot.setGeometry(left, bottom - foot, right - left, foot)
        self.meter.setGeometry(left, bottom - foot - gap // 2 - meter, right - left, meter)
        room = max(self.meter.y() - gap - y, 1)
        split = left + (right - left) * 2 // 5
        self.camera_view.setGeometry(left, y, split - left, room)
        self.bars.setGeometry(split + 2 * margin, y, max(right - split - 2 * margin, 1), room)

    def show_state(self, state: ViewState) -> None:
        self._frame += 1
        figures = state.figures
        if state.image is not None:
            self.camera_view.show_image(state.image)
        if state.new_pose or state.pose is None:
            self.camera_view.show_pose(state.pose)
        limiting = figures.limiter_age_s < LIMITER_SHOWN_S
        self.meter.show_level(state.sound.peak, limiting, state.now, state.dt_s)
        whole = len(state.values) > 0 and state.values.shape[1] == len(self._channels) + len(FEATURES)
        if whole and self._moving.see(state.values[:, : len(self._channels)], state.now, state.dt_s):
            self.bars.show_names(tuple(spoken(self._channels[place].name) for place in self._moving.places))
        if whole:
            self._show_scale(state)
        if self._frame % SLOW == 0:
            if whole:
                self._show_bars(state.values[-1].tolist())
            self._say(state)

    def _show_scale(self, state: ViewState) -> None:
        hand = self._scale.hand(state.controls)
        height = state.values[-1, len(self._channels) + FEATURES.index(f"{hand}_hand_height")] if hand else 0.0
        self.camera_view.show_scale(hand, float(height), self._scale.notes(state.controls) if hand else [])

    def _show_bars(self, newest: list[float]) -> None:
        shown = [(self._channels[place], newest[place]) for place in self._moving.places]
        parts = [min(max((v - c.minimum) / max(c.maximum - c.minimum, 1e-9), 0.0), 1.0) for c, v in shown]
        self.bars.show_values(parts, [written(c.unit, v) for c, v in shown])

    def _say(self, state: ViewState) -> None:
        figures, controls = state.figures, state.controls
        wrong = state.verdict.tone == Tone.WRONG  # a red band is seen from the corner of the eye
        ground = style.RED if wrong else style.BASE
        if wrong != self._wrong:
            self._wrong = wrong
            self.update()
        self.words.say(state.verdict.words, style.BASE if wrong else TONES[state.verdict.tone], ground)
        self.clock.say(clock(figures.seconds), style.BASE if wrong else style.SOFT, ground)
        self.lamp.say(state.recording_s, style.BASE if wrong else style.RED, ground)
        self._say_names(state)
        marks = [
            self._config.name if controls.preset else "",
            self._scale.name(controls),
            f"octave {signed(controls.octave, '+d')}" if controls.octave else "",
            "hands swapped" if controls.swap_hands else "",
            state.loop.words,
            f"reverb {controls.reverb:.2f}" if controls.reverb else "",
            f"delay {controls.delay:.2f}" if controls.delay else "",
            "MUTED" if controls.mute else "",
            "FROZEN" if controls.freeze else "",
            "RECORDING" if state.recording_s is not None else "",
        ]
        held = controls.mute or controls.freeze
        self.set_line.say("   ·   ".join(filter(None, marks)), style.AMBER if held else style.TEXT)
        self.foot.say(
            f"gain {written_db(decibels(controls.gain))} dB     temperature {controls.temperature:.2f}     "
            f"lag {number(figures.lag_ms)} ms     underruns {figures.underruns}"
        )

    def _say_names(self, state: ViewState) -> None:
        """The preset in large letters, brighter for a while when it is another one, and what comes next."""
        presets, place = self._config.presets, state.controls.preset
        name = presets[place - 1] if 0 < place <= len(presets) else self._config.name
        if name != self._shown_name:
            self._changed_s = state.now if self._shown_name else self._changed_s
            self._shown_name = name
        self.name.say(name, style.ACCENT if state.now - self._changed_s < CHANGED_S else style.TEXT)
        self.cue.say(f"next: {presets[place % len(presets)]}" if presets else "")

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self._handlers.turn_page()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), style.BASE)
        if self._wrong:
            painter.fillRect(0, 0, self.width(), self.words.geometry().bottom() + 1, style.RED)
