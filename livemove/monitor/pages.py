"""The page one plays with at the desk: everything at a glance.

In: what was looked up this frame. Out: widgets, each told only what concerns it. Knows no shared memory and no keys.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from livemove.body.features import FEATURES, TABLE, Feature
from livemove.contracts import Action, Request, SupervisorStatus
from livemove.controls import CONTROLS
from livemove.monitor import style
from livemove.monitor.camera_view import CameraView
from livemove.monitor.console import Console, TopBar
from livemove.monitor.display_widgets import RIGHT, Meter, Reading, TextLine, Tile, card
from livemove.monitor.effects_panel import EffectsPanel
from livemove.monitor.input_widgets import Button, Handlers
from livemove.monitor.monitor_config import MonitorConfig
from livemove.monitor.scale_lines import scale_lines
from livemove.monitor.scrolling_plots import Spectrogram, Traces, Waveform
from livemove.monitor.telemetry import (
    HIGH_HZ,
    LATE_MS,
    LOW_HZ,
    Figures,
    Tone,
    clock,
    signed,
    sooner,
    spoken,
    written_db,
)
from livemove.monitor.view_state import ViewState
from livemove.monitor.words import LIMITER_SHOWN_S, SLOW, number, written

IMAGE_EVERY = 2
"""Image and skeleton cost most of a redraw: they move together, 13 times a second. On stage every pose is shown."""

FEATURE_LANES = 4
CHANNEL_LANES = 6
"""Of a model with more, whose channels are body features, the first ones: the others are on the feature lanes."""


class Lanes(QWidget):
    """Scrolling traces under one heading, each with its name and newest value."""

    def __init__(self, lanes: int, traces: Traces) -> None:
        super().__init__()
        self._name_width, self._value_width, self._top = 32 * style.GRID, 16 * style.GRID, 8 * style.GRID
        self._heading = ""
        self._traces = traces
        self._names = [TextLine(style.BODY, colour=style.TEXT) for _ in range(lanes)]
        self._values = [TextLine(style.BODY, align=RIGHT, colour=style.SOFT) for _ in range(lanes)]
        for child in (traces, *self._names, *self._values):
            child.setParent(self)
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        policy.setVerticalStretch(lanes)
        self.setSizePolicy(policy)
        self.setMinimumHeight(self._top + style.PADDING + 7 * style.GRID * lanes)

    def name(self, heading: str, names: list[str]) -> None:
        self._heading = heading
        for words, name in zip(self._names, [*names, *[""] * len(self._names)], strict=False):
            words.say(name)
        for words in self._values[len(names) :]:
            words.say("")
        self._traces.clear()
        self.update()

    def push(self, parts: npt.NDArray[Any]) -> None:
        """parts float [n, lanes], 0..1."""
        self._traces.push(parts)

    def write(self, values: list[str]) -> None:
        for words, value in zip(self._values, values, strict=False):
            words.say(value)

    def resizeEvent(self, event: QResizeEvent) -> None:
        left = style.PADDING + self._name_width + self._value_width + style.GAP
        width = self.width() - left - style.PADDING
        height = self.height() - self._top - style.PADDING
        self._traces.setGeometry(left, self._top, max(width, 1), max(height, 1))
        lane = self._traces.lane_height()
        for row, (name, value) in enumerate(zip(self._names, self._values, strict=True)):
            y = round(self._top + row * lane)
            name.setGeometry(style.PADDING, y, self._name_width, int(lane))
            value.setGeometry(style.PADDING + self._name_width, y, self._value_width, int(lane))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        card(painter, self.rect())
        painter.setFont(style.font(style.SMALL, spacing=style.WIDE))
        painter.setPen(style.SOFT)
        painter.drawText(
            style.PADDING, 0, self.width() - 2 * style.PADDING, self._top, Qt.AlignmentFlag.AlignVCenter, self._heading
        )


class AudioPanel(QWidget):
    """Waveform above spectrogram on one time axis, and the meter beside them."""

    PITCHES = ((10_000, "10k"), (1_000, "1k"), (100, "100"))

    def __init__(self) -> None:
        super().__init__()
        self._top, self._meter_width, self._scale_width = 8 * style.GRID, 14 * style.GRID, 8 * style.GRID
        self.waveform, self.spectrogram, self.meter = Waveform(), Spectrogram(), Meter()
        self._peak = TextLine(style.SMALL, align=RIGHT, colour=style.SOFT)
        for child in (self.waveform, self.spectrogram, self.meter, self._peak):
            child.setParent(self)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def show_state(self, state: ViewState, slow: bool) -> None:
        sound = state.sound
        self.waveform.push(np.stack([sound.low, sound.high], axis=1))
        self.spectrogram.push(sound.spectrum)
        self.meter.show_level(sound.peak, state.figures.limiter_age_s < LIMITER_SHOWN_S, state.now, state.dt_s)
        if slow:
            self._peak.say(f"peak {written_db(self.meter.peak_db)} dBFS")

    def resizeEvent(self, event: QResizeEvent) -> None:
        top, height = self._top, self.height() - self._top - style.PADDING
        left = style.PADDING + self._scale_width
        width = self.width() - left - style.PADDING - self._meter_width - style.GAP
        wave = height * 3 // 10
        self.waveform.setGeometry(left, top, width, wave)
        self.spectrogram.setGeometry(left, top + wave + style.GRID, width, height - wave - style.GRID)
        self.meter.setGeometry(self.width() - style.PADDING - self._meter_width, top, self._meter_width, height)
        self._peak.setGeometry(
            self.width() // 2, style.GRID, self.width() // 2 - style.PADDING, self._top - 2 * style.GRID
        )

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        card(painter, self.rect())
        painter.setFont(style.font(style.SMALL, spacing=style.WIDE))
        painter.setPen(style.SOFT)
        painter.drawText(style.PADDING, 0, self.width() // 2, self._top, Qt.AlignmentFlag.AlignVCenter, "OUTPUT")
        painter.setFont(style.font(style.SMALL))
        painter.setPen(style.FAINT)
        shown = self.spectrogram.geometry()
        for hertz, name in self.PITCHES:
            y = shown.bottom() - round(shown.height() * math.log(hertz / LOW_HZ) / math.log(HIGH_HZ / LOW_HZ))
            painter.drawText(
                style.PADDING, y - 2 * style.GRID, self._scale_width - 2 * style.GRID, 4 * style.GRID, RIGHT, name
            )


class PlayPage(QWidget):
    """Everything at a glance."""

    def __init__(
        self,
        config: MonitorConfig,
        models: tuple[str, ...],
        choices: list[tuple[str, list[int]]],
        handlers: Handlers,
    ) -> None:
        """models: names of those to switch to; choices: groups of features to look at, by name."""
        super().__init__()
        self._config = config
        self._handlers = handlers
        self._choices = choices
        self._choice = 0
        self._frame = 0
        spec = config.spec
        lanes = min(len(spec.channels), CHANNEL_LANES)
        self._low = np.array([c.minimum for c in spec.channels[:lanes]])
        self._span = np.array([max(c.maximum - c.minimum, 1e-9) for c in spec.channels[:lanes]])
        self.bar = TopBar(config, models, handlers)
        self.camera_view = CameraView(camera_name(config.camera), press=self._offer_cameras)
        self._scale = scale_lines(config)
        self._supervisor_status = SupervisorStatus()
        self.channels = Lanes(lanes, Traces(lanes, style.ACCENT))
        some = f" · {lanes} OF {len(spec.channels)} CHANNELS" if len(spec.channels) > lanes else ""
        self.channels.name("MODEL INPUTS" + some, [spoken(c.name) for c in spec.channels[:lanes]])
        self.features = Lanes(FEATURE_LANES, Traces(FEATURE_LANES, style.SOFT))
        self.sound = AudioPanel()
        self.tiles = {name: Tile(name) for name in ("lag", "pose", "ring", "underruns", "restarts", "limiter")}
        self.effects = EffectsPanel(handlers)
        self.console = Console(config, handlers)
        self.buttons = {
            "mute": Button("mute", CONTROLS["mute"].key_label, lambda: handlers.ask(Request(Action.MUTE))),
            "freeze": Button("freeze", CONTROLS["freeze"].key_label, lambda: handlers.ask(Request(Action.FREEZE))),
            "panic": Button("panic", "⌫", lambda: handlers.ask(Request(Action.PANIC))),
            "record": Button(
                "record", CONTROLS["record"].key_label, lambda: handlers.ask(Request(Action.RECORD)), style.RED
            ),
            "keep": Button(
                "keep last", CONTROLS["save_last"].key_label, lambda: handlers.ask(Request(Action.SAVE_LAST))
            ),
            "save-preset": Button(
                "save preset", CONTROLS["save_preset"].key_label, lambda: handlers.ask(Request(Action.SAVE_PRESET))
            ),
            "swap-hands": Button(
                "swap hands", CONTROLS["swap_hands"].key_label, lambda: handlers.ask(Request(Action.SWAP_HANDS))
            ),
            "mirror": Button("mirror", "I", handlers.mirror),
            "stage": Button("stage", "S", handlers.turn_page),
        }
        self.choose(0)

        # From the outermost inwards: a layout that goes into one without a widget stays Python's, whose collector would
        # take it from under Qt.
        whole, columns = QVBoxLayout(self), QHBoxLayout()
        whole.setContentsMargins(style.MARGIN, style.GAP, style.MARGIN, 0)  # the line of notices stands below
        whole.setSpacing(style.GAP)
        columns.setSpacing(style.GAP)
        whole.addWidget(self.bar)
        whole.addLayout(columns, 1)
        whole.addWidget(self.console)
        left, right = QVBoxLayout(), QVBoxLayout()
        columns.addLayout(left, 7)
        columns.addLayout(right, 12)
        for column in (left, right):
            column.setSpacing(style.GAP)
        figures, buttons = QGridLayout(), QGridLayout()
        left.addWidget(self.camera_view, 11)
        left.addLayout(figures)
        left.addLayout(buttons)
        right.addWidget(self.channels, 3 * lanes)
        right.addWidget(self.features, 3 * FEATURE_LANES)
        right.addWidget(self.sound, 18)
        right.addWidget(self.effects)
        for grid, spacing in ((figures, 2 * style.GRID), (buttons, style.GRID)):
            grid.setHorizontalSpacing(style.GAP)
            grid.setVerticalSpacing(spacing)
        for place, tile in enumerate(self.tiles.values()):
            figures.addWidget(tile, place // 3, place % 3)
        for place, button in enumerate(self.buttons.values()):
            button.setFixedHeight(7 * style.GRID)
            buttons.addWidget(button, place // 3, place % 3)

    def _offer_cameras(self, place: QRect) -> None:
        cameras = list(self._supervisor_status.cameras)
        if cameras:
            self._handlers.offer(
                self.camera_view, place, [camera_name(camera) for camera in cameras], self._supervisor_status.camera,
                lambda row: self._handlers.ask(Request(Action.CAMERA, text=cameras[row])),
            )  # fmt: skip

    def mirror(self, mirrored: bool) -> None:
        """Show the image as a mirror does, or as it comes."""
        self.camera_view.mirror(mirrored)
        self.buttons["mirror"].show_lit(mirrored)

    def choose(self, step: int) -> str:
        """Other features on the lanes; the name of the group."""
        self._choice = (self._choice + step) % len(self._choices)
        heading, chosen = self._choices[self._choice]
        self._chosen: list[Feature] = [TABLE[index] for index in chosen]
        self._places = np.array(chosen, np.intp)
        self._feature_low = np.array([feature.minimum for feature in self._chosen])
        self._feature_span = np.array([feature.maximum - feature.minimum for feature in self._chosen])
        self.features.name(f"BODY · {heading.upper()}", [spoken(f.name) for f in self._chosen])
        return heading

    def show_state(self, state: ViewState) -> None:
        self._frame += 1
        slow = self._frame % SLOW == 0
        due = self._frame % IMAGE_EVERY == 0
        if state.image is not None and (due or not self.camera_view.shown):
            self.camera_view.show_image(state.image)
        if due or (state.pose is None) == self.camera_view.posed:  # who comes or goes is seen at once
            self.camera_view.show_pose(state.pose)
        self.update_history(state, slow)
        self.console.show_weights(state.controls, state.styles)
        if slow:
            self.camera_view.say_missing(state.verdict.words if state.verdict.camera else "")
            self.bar.show_state(state)
            for name, reading in readings(state.figures, self._config).items():
                self.tiles[name].say(reading)
            self._show_steering(state)

    def _show_steering(self, state: ViewState) -> None:
        controls, supervisor_status, recorded_s = state.controls, state.supervisor_status, state.recording_s
        self._supervisor_status = supervisor_status
        if 0 <= supervisor_status.camera < len(supervisor_status.cameras):
            cameras = supervisor_status.cameras
            self.camera_view.name(camera_name(cameras[supervisor_status.camera]), len(cameras) > 1)
        self.console.show_controls(controls)
        self.effects.show_state(controls, state.loop)
        self.buttons["mute"].show_lit(controls.mute)
        self.buttons["freeze"].show_lit(controls.freeze)
        self.buttons["swap-hands"].show_lit(controls.swap_hands)
        self.buttons["record"].show_lit(recorded_s is not None, "" if recorded_s is None else clock(recorded_s))

    def update_history(self, state: ViewState, slow: bool = False) -> None:
        """What has a history goes on while the page is hidden."""
        self._show_traces(state.values, slow)
        self._show_scale(state)
        self.sound.show_state(state, slow)

    def _show_scale(self, state: ViewState) -> None:
        channels, hand = len(self._config.spec.channels), self._scale.hand(state.controls)
        if len(state.values) and state.values.shape[1] == channels + len(TABLE):
            height = state.values[-1, channels + FEATURES.index(f"{hand}_hand_height")] if hand else 0.0
            self.camera_view.show_scale(hand, float(height), self._scale.notes(state.controls) if hand else [])

    def _show_traces(self, values: npt.NDArray[np.float64], slow: bool) -> None:
        lanes, features = len(self._low), len(self._config.spec.channels)
        if values.shape[1] != features + len(TABLE):
            return  # synthesis has not played a hop of this model yet
        if len(values):
            self.channels.push(np.clip((values[:, :lanes] - self._low) / self._span, 0.0, 1.0))
            parts = np.full((len(values), FEATURE_LANES), np.nan)
            chosen = values[:, features + self._places]
            parts[:, : len(self._places)] = np.clip((chosen - self._feature_low) / self._feature_span, 0.0, 1.0)
            self.features.push(parts)
        if slow and len(values):
            newest = values[-1].tolist()
            channels = self._config.spec.channels[:lanes]
            self.channels.write([written(c.unit, v) for c, v in zip(channels, newest, strict=False)])
            self.features.write([signed(newest[features + place], ".2f") for place in self._places.tolist()])


# --- what figures say ---------------------------------------------------------------------------------------


def readings(figures: Figures, config: MonitorConfig) -> dict[str, Reading]:
    """The tiles, with what each figure means. Amber says what can be done; of the lag, only where something can."""
    p95_ms, fps = figures.latency_p95_ms, figures.pose_fps
    latency, pose = Tone.QUIET, Tone.QUIET
    mend = sooner(figures) if (figures.lag_ms or 0.0) > LATE_MS else ""
    if figures.lag_ms is not None:
        latency = Tone.WRONG if figures.lag_ms > 150 else Tone.WATCH if mend else Tone.FINE
    age = f"pose {number(figures.latency_p50_ms)}, 95 %: {number(p95_ms)} ms"
    if fps is not None:
        pose = Tone.FINE if fps >= 20 else Tone.WATCH if fps >= 12 else Tone.WRONG
    if figures.people == 0:
        pose = max(pose, Tone.WATCH)
    underruns = Tone.FINE if not figures.underruns else Tone.WRONG if figures.trouble_age_s < 10 else Tone.WATCH
    again = {role: count for role, count in figures.restarts.items() if count}
    restarts = Tone.FINE if not again else Tone.WRONG if figures.restart_age_s < 10 else Tone.WATCH
    late = figures.late_callbacks + figures.underflows
    broken = f"{figures.nonfinite} broken samples" if figures.nonfinite else ""
    return {
        "lag": Reading(number(figures.lag_ms), "ms", mend or age, latency),
        "pose": Reading(number(fps), "fps", f"{number(figures.pose_ms)} ms each" if figures.people else "nobody", pose),
        "ring": Reading(number(figures.ring_fill_ms), "ms", f"starts at {number(figures.ring_target_ms)} ms"),
        "underruns": Reading(f"{figures.underruns}", "", broken or f"{late} late callbacks", underruns),
        "restarts": Reading(f"{sum(again.values())}", "", ", ".join(again) or "all parts run", restarts),
        "limiter": Reading(
            thousands(figures.limiter_hits),
            "",
            "hits above −1 dBFS",
            Tone.WATCH if figures.limiter_age_s < 1.0 else Tone.FINE,
        ),
    }  # fmt: skip


def camera_name(camera: str) -> str:
    """Short enough for a corner of the image."""
    if camera == "demo":
        return "demo dancer"
    return f"camera {camera}" if camera.isdecimal() else camera.rstrip("/").replace("\\", "/").rpartition("/")[2]


def thousands(count: int) -> str:
    return f"{count}" if count < 10_000 else f"{count / 1e3:.0f}k" if count < 10_000_000 else f"{count / 1e6:.0f}M"
