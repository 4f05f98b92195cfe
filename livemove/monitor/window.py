"""The monitor's window: looks 26 times a second, tells its pages, and turns keys and clicks into requests.

In: a Segment, which it only reads but for the queue of requests. Whatever happens to it, the sound goes on.
"""

from __future__ import annotations

from typing import ClassVar

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QCloseEvent, QGuiApplication, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QLayout, QStackedLayout, QWidget

from livemove.body.features import FEATURES
from livemove.body.mapping import mapping_for
from livemove.contracts import Action, MappingError, PoseFrame, Request
from livemove.controls import Kind, key_press
from livemove.ipc.segment import Segment, now_s
from livemove.monitor import style
from livemove.monitor.audience import AudienceWindow, other_screen
from livemove.monitor.display_widgets import Overlay, TextLine
from livemove.monitor.input_widgets import Handlers, Menu
from livemove.monitor.monitor_config import MonitorConfig
from livemove.monitor.pages import FEATURE_LANES, PlayPage
from livemove.monitor.stage_page import StagePage
from livemove.monitor.telemetry import (
    SILENT_S,
    Notices,
    OutputAnalyzer,
    TelemetryReader,
    Tone,
    TraceReader,
    judge,
    posture_now,
)
from livemove.monitor.view_state import ViewState

PERIOD_MS = 38
"""Between two redraws: 26 a second, one more than the camera has frames."""
FIGURES_S = 0.2
PLAY_SIZE = (1000, 600)
"""The smallest window that the play page has room in."""
ZOOM_STEP, ZOOM_MOST = 0.25, 3.0
"""Text and buttons of the play page grow with the window from 1280 x 720 on, in steps: each makes the page anew."""
LINE = 24
"""Height of the line of notices below the play page: it covers nothing."""
ASK_S = 4.0
"""How long Q waits for the second Q."""

HELP = [
    ("↑  ↓", "louder, quieter"),
    ("M", "mute, and sound again"),
    ("Space", "freeze: the sound holds while you move, and goes on"),
    ("Backspace", "panic: silence, and a fresh start with M"),
    ("T   Shift T", "temperature up, down: wilder, calmer"),
    ("N   Shift N", "next, previous model"),
    ("P   Shift P", "next, previous preset"),
    ("Page ↑ ↓", "previous, next style"),
    ("O   Shift O", "octave up, down"),
    ("K   J", "next scale, next root note"),
    ("Z   Shift Z", "snap to the scale more, less"),
    ("X", "swap hands: left plays what right played"),
    ("B", "keep what is set as a preset, at once"),
    ("L   Shift L", "look further ahead, less far"),
    ("E   Y", "more sent to the reverb, to the delay; with Shift less"),
    ("7 8   5 6", "reverb: shorter, longer; less, more damped"),
    ("U   9 0   G", "delay: time; fewer, more beats; feedback"),
    ("A   Shift A", "tempo up, down, for delay and loop"),
    ("1   2   3   4", "loop: record, close, overdub; undo; silent; clear"),
    (",   .", "loop quieter, louder"),
    ("+   -", "loop begins and ends on the beat, the bar; at once"),
    ("V   D", "next camera (view), next audio device"),
    ("F5", "read the mapping again"),
    ("R", "record a take, and stop recording"),
    ("W", "make a take of what was just played"),
    ("C", "other body features; effects"),
    ("I", "the image as in a mirror, or as the camera gives it"),
    ("S", "stage: large, for a dark room"),
    ("F   F11", "full screen"),
    ("?   H", "these keys"),
    ("Mouse", "drag values, turn the wheel, click names and buttons"),
    ("Q   Esc", "then Q again: end the performance"),
]

GROUPS = {
    "hands": ("left_hand_height", "right_hand_height", "hand_distance", "symmetry"),
    "arms": ("left_hand_side", "right_hand_side", "left_elbow", "right_elbow"),
    "legs": ("left_knee", "right_knee", "foot_distance", "crouch"),
    "energy": ("energy", "arm_energy", "leg_energy", "openness"),
    "trunk": ("lean_side", "lean_forward", "twist", "turn"),
    "in the room": ("presence", "facing", "travel", "jump"),
}


def feature_choices(config: MonitorConfig) -> list[tuple[str, list[int]]]:
    """Groups of features to look at: first those that play."""
    groups = [(name, [FEATURES.index(feature) for feature in group]) for name, group in GROUPS.items()]
    try:
        routes = mapping_for(config.mapping, config.spec, FEATURES).routes
    except MappingError:  # synthesis says so, and cannot play with it; the window only shows other lanes first
        return groups
    features = [place for route in routes for place in route.places if place < len(FEATURES)]
    playing = [*features, FEATURES.index("energy"), FEATURES.index("presence")]
    playing = list(dict.fromkeys(playing))[:FEATURE_LANES]
    return [("what plays", playing), *groups]


class MonitorWindow(QWidget):
    """One page of two, and the cards above it. Nothing moves before `start`, or but at a `tick`."""

    def __init__(self, segment: Segment, config: MonitorConfig) -> None:
        super().__init__()
        self._zoom = 1.0
        style.zoom(self._zoom)
        self.setWindowTitle(f"livemove · {config.name}")
        self.setMinimumSize(320, 200)
        self.resize(1280, 720)
        self._segment = segment
        self._telemetry, self._analyzer, self._traces = (
            TelemetryReader(segment),
            OutputAnalyzer(segment),
            TraceReader(segment),
        )
        self._notices = Notices()
        self._figures, self._figures_s = self._telemetry.read(), now_s()
        self._pose = PoseFrame()
        self._last_s = now_s()
        self._asked_s: float | None = None
        self._config = config
        self._shown = QWidget(self)
        self._pages = QStackedLayout(self._shown)
        self._pages.setSizeConstraint(QLayout.SizeConstraint.SetNoConstraint)  # a small window has the stage
        self.notices = TextLine(style.BODY, align=Qt.AlignmentFlag.AlignCenter, ground=style.BASE, least=9)
        self.notices.setParent(self)
        self._on_stage = False  # as the person has it; see _show_page
        self._model = self._reloads = 0
        self.menu = Menu(self)
        self._mirrored = False
        self.audience: AudienceWindow | None = None
        self._handlers = Handlers(self._ask, self.menu.offer, self._help, self._turn_page, self._mirror)
        self.play, self.stage = self._pages_of(config)
        self._show_page()
        self.help, self.question = Overlay(self), Overlay(self, style.LARGE)
        self._notices.say("?  shows the keys", Tone.QUIET)
        self.audience = AudienceWindow(self.keyPressEvent) if config.audience else None
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self.tick)

    def start(self) -> None:
        if self.audience is not None:
            screen = other_screen(QGuiApplication.screens(), self.screen())
            self.audience.show_on(screen)
            if screen is None:
                self._notices.say(
                    "no second screen: draw the audience's window to where it is wanted, F there fills it"
                )
        self._timer.start(PERIOD_MS)

    def _pages_of(self, config: MonitorConfig) -> tuple[PlayPage, StagePage]:
        play, stage = (
            PlayPage(config, self._config.models, feature_choices(config), self._handlers),
            StagePage(config, self._handlers),
        )
        for page in (play, stage):
            self._pages.addWidget(page)
        self._mirror_pages(play, stage)
        return play, stage

    def _change_model(self, model: int) -> None:
        """New pages: other channels, other features that play, another mapping."""
        old = (self.play, self.stage)
        self._model = model
        self.menu.hide()
        self.play, self.stage = self._pages_of(self._config.of_model(model))
        self._show_page()
        for page in old:
            self._pages.removeWidget(page)
            page.deleteLater()
        self.setWindowTitle(f"livemove · {self._config.of_model(model).name}")

    # --- at every redraw

    def tick(self) -> None:
        """Look, and show."""
        segment, now = self._segment, now_s()
        segment.processes["monitor"].heartbeat()
        if segment.stop_requested:
            self.close()
            return
        self._telemetry.sample_ring_fill()
        if now - self._figures_s >= FIGURES_S:
            self._figures, self._figures_s = self._telemetry.read(), now
        image = segment.image.read()
        new_pose = segment.pose.read(self._pose)
        fresh = now - self._pose.capture_s < SILENT_S and self._pose.people > 0
        controls = segment.controls.read()
        if (controls.model, controls.reloads) != (self._model, self._reloads):
            self._reloads = controls.reloads
            self._change_model(controls.model)
        supervisor_status = segment.supervisor_status.read()
        state = ViewState(
            now=now,
            dt_s=now - self._last_s,
            figures=self._figures,
            verdict=judge(self._figures, controls),
            controls=controls,
            image=image[0] if image else None,
            pose=self._pose if fresh else None,
            new_pose=new_pose,
            sound=self._analyzer.read(),
            values=self._traces.read(),
            supervisor_status=supervisor_status,
            styles=tuple(segment.synthesis.styles.tolist()),
            loop=segment.synthesis.loop,
            posture=posture_now(segment),
        )
        self._last_s = now
        page = self.stage if self._pages.currentWidget() is self.stage else self.play
        page.show_state(state)
        if self.audience is not None and self.audience.isVisible():
            self.audience.show_state(state.pose, state.new_pose, state.image, state.sound.peak, state.dt_s)
        if page is self.stage:
            self.play.update_history(state)
        if self._asked_s is not None and now - self._asked_s > ASK_S:
            self._ask_no_more()
        lines, tone = self._notices.read(supervisor_status)
        self.notices.say(self._notice(lines), style.AMBER if tone >= Tone.WATCH else style.SOFT)

    def _notice(self, lines: list[str]) -> str:
        """The newest first, and as many before it as have room beside it."""
        found = ""
        for line in reversed(lines):
            longer = f"{found}   ·   {line}" if found else line
            if found and self.notices.width_of(longer) > self.notices.width():
                break
            found = longer
        return found

    # --- keys

    KEYS: ClassVar = {
        Qt.Key.Key_Up: "up",
        Qt.Key.Key_Down: "down",
        Qt.Key.Key_Space: "space",
        Qt.Key.Key_Backspace: "backspace",
        Qt.Key.Key_PageUp: "page_up",
        Qt.Key.Key_PageDown: "page_down",
        Qt.Key.Key_F5: "f5",
    }
    """Keys that are no letters, by their names in controls.KEY_NAMES."""

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = event.key()
        if self.menu.isVisible():
            self.menu.take(Qt.Key(key))
            return
        shifted = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        held = event.isAutoRepeat()
        press = key_press(self.KEYS.get(Qt.Key(key), chr(key).lower() if key < 128 else ""), shifted)
        if press and press[0].kind is Kind.VALUE:
            self._ask(Request(press[0].action, press[1]))
            return
        if held:  # the rest are switches: a finger that stays on one must not flip them thirty times a second
            return
        if key in (Qt.Key.Key_Q, Qt.Key.Key_Escape):
            self._leave(key == Qt.Key.Key_Q)
            return
        if self._asked_s is not None:
            self._ask_no_more()
        if press:
            self._ask(Request(press[0].action, press[1]))
            return
        actions = {
            Qt.Key.Key_S: self._turn_page,
            Qt.Key.Key_F: self._fill_screen,
            Qt.Key.Key_F11: self._fill_screen,
            Qt.Key.Key_C: self._choose_features,
            Qt.Key.Key_I: self._mirror,
            Qt.Key.Key_Question: self._help,
            Qt.Key.Key_H: self._help,
            Qt.Key.Key_F1: self._help,
        }
        action = actions.get(Qt.Key(key))
        if action is not None:
            action()
        elif event.text().strip():
            self._notices.say(f"{event.text().upper()} does nothing: ? shows the keys")
        else:
            super().keyPressEvent(event)

    def _choose_features(self) -> None:
        if self._pages.currentWidget() is self.stage:
            self._notices.say("the stage view has no body features to choose: S shows the page that has")
        else:
            self.play.choose(1)

    def _mirror(self) -> None:
        self._mirrored = not self._mirrored
        self._mirror_pages(self.play, self.stage)
        self._notices.say("image: as in a mirror" if self._mirrored else "image: as the camera gives it", Tone.QUIET)

    def _mirror_pages(self, play: PlayPage, stage: StagePage) -> None:
        play.mirror(self._mirrored)
        stage.camera_view.mirror(self._mirrored)
        if self.audience is not None:
            self.audience.mirror(self._mirrored)

    def _ask(self, request: Request) -> None:
        if not self._segment.requests.ask(request):
            self._notices.say("livemove does not answer: it may be busy, or gone")

    def _leave(self, letter: bool) -> None:
        """Esc and Q ask; the second Q is the answer. Esc also takes away what lies on top."""
        if self.help.isVisible():
            self.help.hide()
        elif self._asked_s is None:
            self._asked_s = now_s()
            self.question.say("", [("Q", "again ends the performance"), ("Esc", "goes on playing")], style.AMBER)
        elif letter:
            self._ask_no_more()
            self._ask(Request(Action.STOP))
        else:
            self._ask_no_more()

    def _ask_no_more(self) -> None:
        self._asked_s = None
        self.question.hide()

    def _help(self) -> None:
        if self.help.isVisible():
            self.help.hide()
        else:
            self.help.say("Keys", HELP, style.ACCENT)

    def _turn_page(self) -> None:
        if self._small():
            width, height = PLAY_SIZE
            self._notices.say(f"the other page needs a window of {width} x {height}, and this one is smaller")
            return
        self._on_stage = not self._on_stage
        self._show_page()

    def _small(self) -> bool:
        """Whether there is no room for the play page."""
        return self.width() < PLAY_SIZE[0] or self.height() < PLAY_SIZE[1]

    def _show_page(self) -> None:
        """The one that was chosen, or, in a small window, the stage view, which is readable in any; text and buttons as
        large as the window allows."""
        zoom = min(max(min(self.width() / 1280, self.height() / 720) // ZOOM_STEP * ZOOM_STEP, 1.0), ZOOM_MOST)
        if zoom != self._zoom:
            self._zoom = zoom
            style.zoom(zoom)
            self._change_model(self._model)
            return
        on_stage = self._on_stage or self._small()
        self._pages.setCurrentWidget(self.stage if on_stage else self.play)
        scale = self.height() / 720 if on_stage else self._zoom
        line = round((40 if on_stage else LINE) * scale)
        self._shown.setGeometry(0, 0, self.width(), self.height() - line)
        self.notices.setGeometry(0, self.height() - line, self.width(), line)
        self.notices.resize_text(round(26 * scale) if on_stage else style.BODY)

    def _fill_screen(self) -> None:
        self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen)

    # --- Qt

    def resizeEvent(self, event: QResizeEvent) -> None:
        self.menu.hide()
        self._show_page()
        for note in (self.help, self.question):
            if note.isVisible():
                note.place()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A click anywhere takes away what lies on top."""
        self.help.hide()

    def closeEvent(self, event: QCloseEvent) -> None:
        self._timer.stop()
        if self.audience is not None:
            self.audience.close()
        event.accept()

    def paintEvent(self, event: QPaintEvent) -> None:
        QPainter(self).fillRect(self.rect(), style.BASE)
