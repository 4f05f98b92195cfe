"""The window itself, offscreen: real widgets, real keys, real shared memory; and a whole performance steered by it.

Over 500 lines: one window, whose fixtures all of these tests share.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QEnterEvent, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from livemove.body.features import FEATURES, REST
from livemove.capture.demo import pose_at
from livemove.contracts import Action, Channel, Controls, ModelSpec, Request, SupervisorStatus
from livemove.controls import BY_ACTION, CONTROLS, KEY_NAMES, STYLE_WEIGHTS, Control
from livemove.ipc.segment import Segment, now_s
from livemove.monitor import style, window
from livemove.monitor.camera_view import DIM
from livemove.monitor.input_widgets import ListTile, ValueTile
from livemove.monitor.monitor_config import MonitorConfig
from livemove.monitor.monitor_process import keep_own_plugins
from livemove.monitor.scrolling_plots import ScrollingPlot, Spectrogram, Traces, Waveform
from livemove.monitor.telemetry import ROWS
from livemove.monitor.window import MonitorWindow
from livemove.native._realtime import Output
from livemove.session import perform, supervisor
from livemove.session.perform import SessionConfig, Status, run_session
from tests.support import double_synthesis
from tests.support.bundles import MAPPING, random_bundle, small_spec
from tests.support.real_time import in_real_time, timed

Key = Qt.Key
RATE = 48000


@pytest.fixture(scope="session")
def application() -> QApplication:
    """Only Qt's beginning is told to stay offscreen: the children of other tests must not inherit it."""
    keep_own_plugins()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QT_QPA_PLATFORM", "offscreen")
        return QApplication([])


@pytest.fixture
def segment() -> Iterator[Segment]:
    made = Segment.create()
    made.set_device_rate(RATE)
    for role in ("capture", "synthesis", "playback"):
        made.processes[role].running(role)
    yield made
    made.close()
    made.unlink()


def config_of(spec: ModelSpec, folder: Path) -> MonitorConfig:
    (folder / "mapping.toml").write_text(MAPPING)
    return MonitorConfig(spec, folder / "mapping.toml", "demo")


@pytest.fixture
def shown(application: QApplication, segment: Segment, tmp_path: Path) -> Iterator[MonitorWindow]:
    """A window on the segment, redrawn only when a test says so."""
    made = MonitorWindow(segment, config_of(small_spec(), tmp_path))
    made.show()
    application.processEvents()
    yield made
    made.close()
    made.deleteLater()
    application.processEvents()


def perform_a_moment(segment: Segment, seconds: float = 0.1, hertz: float = 440.0) -> None:
    """What the other processes do in that time: a pose, hops with channels and features, sound through the callback."""
    frame = pose_at(1.0, 3)
    frame.capture_s = now_s()
    segment.pose.write(frame)
    segment.capture.frame_used(20.0, 1)
    segment.synthesis.hop(0.001, 256, np.array([69.0, 0.5, 0.9], np.float32))
    segment.synthesis.set_features(REST)
    segment.supervisor_status.write(SupervisorStatus(now_s(), now_s() - 65.0, {}))
    samples = 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)
    output = Output(segment.bytes, RATE, 1, 0.0)
    for block in samples[: len(samples) // 480 * 480].astype(np.float32).reshape(-1, 480):
        segment.ring.write(block)
        output.render(480)


def share(widget: QWidget, colour: QColor, within: int = 24) -> float:
    """Which share of a widget's pixels has about this colour."""
    image = widget.grab().toImage().convertToFormat(widget.grab().toImage().Format.Format_RGB32)
    pixels = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.width(), 4)[:, :, :3].astype(int)
    wanted = np.array([colour.blue(), colour.green(), colour.red()])
    return float((np.abs(pixels - wanted).max(axis=2) <= within).mean())


def asked(segment: Segment) -> list[Request]:
    return list(iter(segment.requests.take, None))


# --- keys --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "modifier", "expected"),
    [
        (Key.Key_Up, Qt.KeyboardModifier.NoModifier, Request(Action.GAIN, 1.0)),
        (Key.Key_Down, Qt.KeyboardModifier.NoModifier, Request(Action.GAIN, -1.0)),
        (Key.Key_M, Qt.KeyboardModifier.NoModifier, Request(Action.MUTE)),
        (Key.Key_T, Qt.KeyboardModifier.NoModifier, Request(Action.TEMPERATURE, 0.05)),
        (Key.Key_T, Qt.KeyboardModifier.ShiftModifier, Request(Action.TEMPERATURE, -0.05)),
        (Key.Key_PageDown, Qt.KeyboardModifier.NoModifier, Request(Action.STYLE, 1.0)),
        (Key.Key_PageUp, Qt.KeyboardModifier.NoModifier, Request(Action.STYLE, -1.0)),
        (Key.Key_Space, Qt.KeyboardModifier.NoModifier, Request(Action.FREEZE)),
        (Key.Key_Backspace, Qt.KeyboardModifier.NoModifier, Request(Action.PANIC, 1.0)),
        (Key.Key_N, Qt.KeyboardModifier.NoModifier, Request(Action.MODEL, 1.0)),
        (Key.Key_N, Qt.KeyboardModifier.ShiftModifier, Request(Action.MODEL, -1.0)),
        (Key.Key_P, Qt.KeyboardModifier.NoModifier, Request(Action.PRESET, 1.0)),
        (Key.Key_O, Qt.KeyboardModifier.ShiftModifier, Request(Action.OCTAVE, -1.0)),
        (Key.Key_K, Qt.KeyboardModifier.NoModifier, Request(Action.SCALE, 1.0)),
        (Key.Key_J, Qt.KeyboardModifier.NoModifier, Request(Action.ROOT, 1.0)),
        (Key.Key_L, Qt.KeyboardModifier.ShiftModifier, Request(Action.LOOK_AHEAD, -10.0)),
        (Key.Key_F5, Qt.KeyboardModifier.NoModifier, Request(Action.RELOAD)),
        (Key.Key_R, Qt.KeyboardModifier.NoModifier, Request(Action.RECORD)),
        (Key.Key_W, Qt.KeyboardModifier.NoModifier, Request(Action.SAVE_LAST)),
        (Key.Key_V, Qt.KeyboardModifier.NoModifier, Request(Action.CAMERA, 1.0)),
        (Key.Key_D, Qt.KeyboardModifier.ShiftModifier, Request(Action.DEVICE, -1.0)),
    ],
)
def test_a_key_asks_for_its_control(
    shown: MonitorWindow, segment: Segment, key: Key, modifier: Qt.KeyboardModifier, expected: Request
) -> None:
    QTest.keyClick(shown, key, modifier)
    assert asked(segment) == [expected]


@pytest.mark.parametrize("first", [Key.Key_Q, Key.Key_Escape])
def test_only_a_second_q_stops_the_performance(shown: MonitorWindow, segment: Segment, first: Key) -> None:
    QTest.keyClick(shown, first)
    assert shown.question.isVisible()
    assert "ends the performance" in shown.question.words
    assert asked(segment) == []
    QTest.keyClick(shown, Key.Key_Q)
    assert asked(segment) == [Request(Action.STOP)]
    assert not shown.question.isVisible()


@pytest.mark.parametrize("other", [Key.Key_Escape, Key.Key_S])
def test_any_other_key_than_q_goes_on_playing(shown: MonitorWindow, segment: Segment, other: Key) -> None:
    QTest.keyClick(shown, Key.Key_Q)
    QTest.keyClick(shown, other)
    assert not shown.question.isVisible()
    QTest.keyClick(shown, Key.Key_Q)
    assert asked(segment) == []


def test_a_question_left_alone_is_withdrawn(
    shown: MonitorWindow, segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    QTest.keyClick(shown, Key.Key_Q)
    monkeypatch.setattr(window, "now_s", lambda: now_s() + window.ASK_S + 1.0)
    shown.tick()
    assert not shown.question.isVisible()
    QTest.keyClick(shown, Key.Key_Q)
    assert asked(segment) == []


@pytest.mark.parametrize("key", [Key.Key_Question, Key.Key_H, Key.Key_F1])
def test_help_names_every_key_and_goes_away_again(shown: MonitorWindow, key: Key) -> None:
    QTest.keyClick(shown, key)
    assert shown.help.isVisible()
    for name in ("M", "T", "Page", "S", "F11", "Q", "Esc", "C"):
        assert name in shown.help.words
    QTest.keyClick(shown, Key.Key_Escape)
    assert not shown.help.isVisible()
    assert not shown.question.isVisible()


def test_f_fills_the_screen_and_gives_it_back(shown: MonitorWindow) -> None:
    for key in (Key.Key_F, Key.Key_F11):
        QTest.keyClick(shown, key)
        assert shown.isFullScreen() == (key == Key.Key_F)


def test_s_shows_the_stage_and_the_way_back(shown: MonitorWindow) -> None:
    QTest.keyClick(shown, Key.Key_S)
    assert shown.stage.isVisible()
    assert not shown.play.isVisible()
    QTest.keyClick(shown, Key.Key_S)
    assert shown.play.isVisible()


def test_c_goes_through_all_features_and_begins_with_those_that_play(shown: MonitorWindow) -> None:
    seen = [shown.play.choose(0)]
    while (heading := shown.play.choose(1)) != seen[0]:
        seen.append(heading)
    assert seen[0] == "what plays"
    assert set(seen[1:]) == set(window.GROUPS)
    assert {name for group in window.GROUPS.values() for name in group} <= set(FEATURES)


def test_a_supervisor_that_does_not_answer_is_mentioned(shown: MonitorWindow) -> None:
    for _ in range(65):
        QTest.keyClick(shown, Key.Key_Up)
    shown.tick()
    assert "does not answer" in shown.notices.words


@pytest.mark.parametrize("control", CONTROLS.values(), ids=list(CONTROLS))
def test_every_control_has_a_key_and_the_help_names_it(
    shown: MonitorWindow, segment: Segment, control: Control
) -> None:
    codes = {name: code for code, name in window.MonitorWindow.KEYS.items()}
    for key in filter(None, (control.key, control.back_key)):
        QTest.keyClick(shown, codes.get(key) or Key(ord(key.upper())))
        assert [request.action for request in asked(segment)] == [control.action]
        written = {"page_up": "Page ↑", "page_down": "↓"}.get(key) or KEY_NAMES.get(key, key.upper())
        assert any(written in keys for keys, _ in window.HELP), key


def test_every_control_has_a_place_for_the_mouse(shown: MonitorWindow) -> None:
    """The camera's is its image, which another test clicks; a model without styles has no weights of them."""
    for _ in range(10):
        shown.tick()
    page = shown.play
    names = {*page.console.values, *page.console.picks, *page.buttons, *page.bar.spots}
    names = {{"keep": "save-last"}.get(name, name) for name in names}
    weights = {BY_ACTION[action].label for action in STYLE_WEIGHTS}
    assert {control.label for control in CONTROLS.values()} - names == {"camera", "reload", *weights}


# --- the mouse ---------------------------------------------------------------------------------------------------

LEFT = Qt.MouseButton.LeftButton


def drag(tile: QWidget, across: int, up: int = 0) -> None:
    """Press in the middle, go there in two steps, let go."""
    start = tile.rect().center()
    QTest.mousePress(tile, LEFT, pos=start)
    for part in (0.5, 1.0):
        QTest.mouseMove(tile, start + QPoint(round(part * across), -round(part * up)))
    QTest.mouseRelease(tile, LEFT, pos=start + QPoint(across, -up))


def turn(tile: QWidget, notches: int) -> None:
    """The wheel, on it."""
    place = QPointF(tile.rect().center())
    event = QWheelEvent(
        place, tile.mapToGlobal(place), QPoint(), QPoint(0, 120 * notches), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(tile, event)


def choose(target: MonitorWindow, row: int) -> None:
    """A row of the list that is open."""
    assert target.menu.isVisible()
    QTest.mouseClick(target.menu, LEFT, pos=target.menu.row_rect(row).center())
    assert not target.menu.isVisible()


@pytest.mark.parametrize(
    ("name", "across", "up", "expected"),
    [
        ("gain", -30, 0, Request(Action.GAIN, -6.0, absolute=True)),
        ("gain", 0, 15, Request(Action.GAIN, 3.0, absolute=True)),
        ("gain", 4000, 0, Request(Action.GAIN, 20.0, absolute=True)),
        ("temperature", 25, 0, Request(Action.TEMPERATURE, 1.25, absolute=True)),
        ("look-ahead", -40, 0, Request(Action.LOOK_AHEAD, 60.0, absolute=True)),
        ("look-ahead", 40, 0, None),
    ],
)
def test_a_value_is_dragged(
    shown: MonitorWindow, segment: Segment, name: str, across: int, up: int, expected: Request | None
) -> None:
    drag(shown.play.console.values[name], across, up)
    requests = asked(segment)
    if expected is None:
        assert requests == []
    else:
        assert requests[-1].action is expected.action
        assert requests[-1].absolute
        assert requests[-1].amount == pytest.approx(expected.amount)


def test_a_drag_goes_on_from_what_is_set(shown: MonitorWindow, segment: Segment) -> None:
    segment.controls.write(Controls(gain=0.5))
    for _ in range(10):
        shown.tick()
    drag(shown.play.console.values["gain"], 10)
    assert asked(segment)[-1].amount == pytest.approx(-4.0, abs=0.3)


def test_a_drag_that_is_carried_out_meanwhile_does_not_run_away(shown: MonitorWindow, segment: Segment) -> None:
    tile = shown.play.console.values["temperature"]
    start = tile.rect().center()
    QTest.mousePress(tile, LEFT, pos=start)
    QTest.mouseMove(tile, start + QPoint(10, 0))
    segment.controls.write(Controls(temperature=asked(segment)[-1].amount))
    for _ in range(10):
        shown.tick()
    QTest.mouseMove(tile, start + QPoint(20, 0))
    QTest.mouseRelease(tile, LEFT, pos=start + QPoint(20, 0))
    assert asked(segment)[-1].amount == pytest.approx(1.2)


def test_two_clicks_bring_the_usual_value_back_and_one_does_nothing(shown: MonitorWindow, segment: Segment) -> None:
    tile = shown.play.console.values["temperature"]
    QTest.mouseClick(tile, LEFT)
    assert asked(segment) == []
    QTest.mouseDClick(tile, LEFT)
    assert asked(segment) == [Request(Action.TEMPERATURE, 1.0, absolute=True)]


def test_the_wheel_turns_values_and_goes_through_lists(shown: MonitorWindow, segment: Segment) -> None:
    turn(shown.play.console.values["gain"], 2)
    turn(shown.play.console.picks["octave"], -1)
    first, second = asked(segment)
    assert (first.action, first.amount, first.absolute) == (Action.GAIN, pytest.approx(5.0), False)
    assert second == Request(Action.OCTAVE, -1.0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mute", Request(Action.MUTE)),
        ("freeze", Request(Action.FREEZE)),
        ("panic", Request(Action.PANIC, 1.0)),
        ("record", Request(Action.RECORD)),
        ("keep", Request(Action.SAVE_LAST)),
    ],
)
def test_a_button_asks_once_when_it_is_let_go(
    shown: MonitorWindow, segment: Segment, name: str, expected: Request
) -> None:
    button = shown.play.buttons[name]
    QTest.mousePress(button, LEFT)
    assert asked(segment) == []
    QTest.mouseRelease(button, LEFT)
    assert asked(segment) == [expected]
    QTest.mousePress(button, LEFT)
    QTest.mouseRelease(button, LEFT, pos=QPoint(-50, -50))  # drawn away: not meant
    assert asked(segment) == []


def test_the_stage_is_one_click_away_and_two_back(shown: MonitorWindow, segment: Segment) -> None:
    QTest.mouseClick(shown.play.buttons["stage"], LEFT)
    assert shown.stage.isVisible()
    QTest.mouseDClick(shown.stage, LEFT)
    assert shown.play.isVisible()
    assert asked(segment) == []


@pytest.mark.parametrize(
    ("name", "row", "expected"),
    [
        ("octave", 6, Request(Action.OCTAVE, 2.0, absolute=True)),
        ("scale", 6, Request(Action.SCALE, 6.0, absolute=True)),
        ("root", 0, Request(Action.ROOT, 0.0, absolute=True)),
    ],
)
def test_a_row_of_a_list_is_asked_for(
    shown: MonitorWindow, segment: Segment, name: str, row: int, expected: Request
) -> None:
    QTest.mouseClick(shown.play.console.picks[name], LEFT)
    choose(shown, row)
    assert asked(segment) == [expected]


def test_a_list_goes_away_without_a_choice(shown: MonitorWindow, segment: Segment) -> None:
    pick = shown.play.console.picks["scale"]
    QTest.mouseClick(pick, LEFT)
    QTest.mouseClick(shown.menu, LEFT, pos=QPoint(5, 5))
    assert not shown.menu.isVisible()
    QTest.mouseClick(pick, LEFT)
    QTest.keyClick(shown, Key.Key_Escape)
    assert not shown.menu.isVisible()
    assert not shown.question.isVisible()
    assert asked(segment) == []


def test_a_list_is_gone_through_by_keys(shown: MonitorWindow, segment: Segment) -> None:
    for _ in range(10):
        shown.tick()
    QTest.mouseClick(shown.play.console.picks["root"], LEFT)
    for key in (Key.Key_Down, Key.Key_Down, Key.Key_Up, Key.Key_Return):
        QTest.keyClick(shown, key)
    assert asked(segment) == [Request(Action.ROOT, 1.0, absolute=True)]


def test_a_list_longer_than_the_window_is_turned_by_the_wheel(shown: MonitorWindow, segment: Segment) -> None:
    cards = [f"{n} card (ALSA)" for n in range(60)]
    chosen: list[int] = []
    shown.menu.offer(shown.play.bar, shown.play.bar.rect(), cards, 0, chosen.append)
    for _ in range(100):
        turn(shown.menu, -1)
    last = shown.menu.row_rect(59)
    assert shown.menu.rect().contains(last)
    choose(shown, 59)
    assert chosen == [59]


@pytest.mark.parametrize("name", ["style", "preset"])
def test_where_there_is_nothing_to_choose_from_a_click_does_nothing(
    shown: MonitorWindow, segment: Segment, name: str
) -> None:
    pick = shown.play.console.picks[name]
    QTest.mouseClick(pick, LEFT)
    assert shown.menu.isVisible() == pick.isEnabled()
    assert asked(segment) == []


@pytest.mark.parametrize("calibrated", [False, True])
def test_a_calibration_that_is_in_use_is_shown(calibrated: bool, application: QApplication, segment: Segment) -> None:
    config = MonitorConfig(small_spec("first"), None, "demo", calibrated=calibrated)
    segment.processes["synthesis"].running("native")
    made = MonitorWindow(segment, config)
    for _ in range(10):
        made.tick()
    assert made.play.bar._before == ("calibrated  ·  native" if calibrated else "native")
    made.close()


def test_model_audio_device_and_camera_are_chosen_by_name(
    application: QApplication, segment: Segment, tmp_path: Path
) -> None:
    spec = small_spec("first")
    other = dataclasses.replace(spec, name="second")
    made = MonitorWindow(segment, MonitorConfig(spec, None, "demo", others=((other, None, True),)))
    made.show()
    cameras, devices = ("0", "/films/dance.mp4"), ("0 built-in (ALSA)", "3 USB (ALSA)")
    lists = {"cameras": cameras, "camera": 0, "devices": devices, "device": 1}
    segment.supervisor_status.write(SupervisorStatus(now_s(), now_s() - 9.0, **lists))
    for _ in range(10):
        made.tick()
    bar, view = made.play.bar, made.play.camera_view
    QTest.mouseClick(bar, LEFT, pos=bar.spots["model"].center())
    assert made.menu.rows == ["first", "second"]
    choose(made, 1)
    QTest.mouseClick(bar, LEFT, pos=bar.spots["device"].center())
    choose(made, 0)
    QTest.mouseClick(view, LEFT, pos=view.label_rect().center())
    assert made.menu.rows == ["camera 0", "dance.mp4"]
    choose(made, 1)
    assert asked(segment) == [
        Request(Action.MODEL, 1.0, absolute=True),
        Request(Action.DEVICE, text="0 built-in (ALSA)"),
        Request(Action.CAMERA, text="/films/dance.mp4"),
    ]
    made.close()


def test_the_question_mark_shows_the_keys_and_a_click_takes_them_away(shown: MonitorWindow) -> None:
    for _ in range(10):
        shown.tick()
    QTest.mouseClick(shown.play.bar, LEFT, pos=shown.play.bar.spots["keys"].center())
    assert shown.help.isVisible()
    QTest.mouseClick(shown.help, LEFT)
    assert not shown.help.isVisible()


@pytest.mark.parametrize("kind", [ValueTile, ListTile])
def test_what_can_be_clicked_shows_it_under_the_mouse(
    shown: MonitorWindow, kind: type[ValueTile] | type[ListTile]
) -> None:
    tiles = [*shown.play.console.values.values(), *shown.play.console.picks.values()]
    tile = next(tile for tile in tiles if isinstance(tile, kind))
    assert tile.cursor().shape() != Qt.CursorShape.ArrowCursor
    grounds = [tile.ground().name()]
    place = QPointF(tile.rect().center())
    QApplication.sendEvent(tile, QEnterEvent(place, place, tile.mapToGlobal(place)))
    grounds.append(tile.ground().name())
    QTest.mousePress(tile, LEFT)
    grounds.append(tile.ground().name())
    assert len(set(grounds)) == 3


# --- the lamp ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", ["play", "stage"])
def test_a_lamp_burns_while_a_take_is_recorded(
    shown: MonitorWindow, segment: Segment, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "FIGURES_S", 0.0)
    perform_a_moment(segment)
    if page == "stage":
        QTest.keyClick(shown, Key.Key_S)
    lamp = shown.play.bar.lamp if page == "play" else shown.stage.lamp
    for since_s, text in ((0.0, ""), (now_s() - 83.0, "1:23"), (0.0, "")):
        segment.supervisor_status.write(SupervisorStatus(now_s(), now_s() - 100.0, recording_since_s=since_s))
        for _ in range(10):
            shown.tick()
        assert lamp.text == text
        assert (share(lamp, style.RED) > 0.01) == bool(text)
        assert shown.play.buttons["record"].lit == (bool(text) and page == "play")


def test_on_stage_the_lamp_is_seen_when_something_is_wrong_too(
    shown: MonitorWindow, segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "FIGURES_S", 0.0)
    QTest.keyClick(shown, Key.Key_S)
    segment.processes["capture"].clear()
    segment.supervisor_status.write(SupervisorStatus(now_s(), now_s() - 100.0, recording_since_s=now_s() - 5.0))
    for _ in range(10):
        shown.tick()
    assert share(shown.stage.lamp, style.RED) > 0.5
    assert share(shown.stage.lamp, style.BASE) > 0.05


# --- what is seen ------------------------------------------------------------------------------------------------


def test_the_figures_are_those_of_the_session(
    shown: MonitorWindow, segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "FIGURES_S", 0.0)
    segment.controls.write(Controls(gain=0.5, temperature=1.5))
    perform_a_moment(segment)
    for _ in range(10):
        shown.tick()
    assert shown.play.console.values["gain"].text == "−6.0 dB"
    assert shown.play.console.values["temperature"].text == "1.50"
    assert shown.play.tiles["underruns"].reading.value == str(segment.playback.underruns)
    assert shown.play.tiles["pose"].reading.note == "20 ms each"
    segment.controls.write(Controls(mute=True))
    for _ in range(10):
        shown.tick()
    assert shown.play.buttons["mute"].lit


@pytest.mark.parametrize("page", ["play", "stage"])
def test_the_skeleton_stands_in_the_picture_until_nobody_is_there(
    shown: MonitorWindow, segment: Segment, page: str
) -> None:
    if page == "stage":
        QTest.keyClick(shown, Key.Key_S)
    view = getattr(shown, page).camera_view
    shown.tick()
    assert share(view, style.ACCENT) == 0.0
    perform_a_moment(segment)
    shown.tick()
    assert share(view, style.ACCENT) > 0.005
    frame = pose_at(1.0, 4)
    frame.capture_s, frame.people = now_s(), 0
    segment.pose.write(frame)
    shown.tick()
    assert share(view, style.ACCENT) == 0.0


def test_on_stage_a_far_body_is_as_large_as_a_near_one(shown: MonitorWindow, segment: Segment) -> None:
    QTest.keyClick(shown, Key.Key_S)
    sizes: list[float] = []
    for scale in (1.0, 0.3):
        frame = pose_at(1.0, 3)
        frame.image[0] = 0.5 + scale * (frame.image[0] - 0.5)
        for _ in range(200):
            frame.capture_s, frame.sequence = now_s(), frame.sequence + 1
            segment.pose.write(frame)
            shown.tick()
            shown.stage.camera_view.grab()
        sizes.append(share(shown.stage.camera_view, style.ACCENT))
    assert sizes[1] == pytest.approx(sizes[0], rel=0.2)


def test_a_limb_the_camera_hardly_sees_has_another_colour(shown: MonitorWindow, segment: Segment) -> None:
    frame = pose_at(1.0, 3)
    frame.capture_s = now_s()
    frame.visibility[0, 23:] = 0.2
    segment.pose.write(frame)
    shown.tick()
    doubtful = style.mix(style.CARD, style.AMBER, 0.75)
    assert share(shown.play.camera_view, doubtful) > 0.002
    assert share(shown.play.camera_view, style.ACCENT) > 0.002


def test_the_cameras_picture_is_shown(shown: MonitorWindow, segment: Segment) -> None:
    segment.image.write(np.full((240, 320, 3), (200, 40, 40), np.uint8), now_s())
    shown.tick()
    assert shown.play.camera_view.shown
    dimmed = style.mix(QColor(200, 40, 40), style.BASE, DIM.alphaF())
    assert share(shown.play.camera_view, dimmed, 6) > 0.7


def test_a_lost_camera_is_said_in_red(shown: MonitorWindow, segment: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "FIGURES_S", 0.0)
    perform_a_moment(segment)
    segment.processes["capture"].clear()
    for _ in range(10):
        shown.tick()
    assert share(shown.play.camera_view, style.RED, 60) > 0.002
    assert share(shown.play.bar, style.RED) > 0.03
    QTest.keyClick(shown, Key.Key_S)
    for _ in range(10):
        shown.tick()
    assert shown.stage.words.text == "the camera is coming back"
    assert share(shown.stage, style.RED) > 0.1


def test_the_supervisors_news_are_shown(shown: MonitorWindow, segment: Segment) -> None:
    shown.tick()
    segment.supervisor_status.write(
        SupervisorStatus(now_s(), 1.0, {"playback": 1}, 1, "playback failed: starting it again")
    )
    shown.tick()
    assert "playback failed: starting it again" in shown.notices.words


def test_what_was_played_is_seen_as_wave_and_spectrum(shown: MonitorWindow, segment: Segment) -> None:
    shown.tick()
    for _ in range(5):
        perform_a_moment(segment, 0.2)
        shown.tick()
    assert share(shown.play.sound.waveform, style.ACCENT) > 0.01
    assert share(shown.play.sound.spectrogram, style.WELL, 4) < 1.0
    assert shown.play.sound.meter.peak_db == pytest.approx(-6.0, abs=1.0)


@pytest.mark.parametrize("size", [(1000, 600), (1280, 720), (2560, 1440)])
def test_nothing_lies_over_anything_else_at_any_size(shown: MonitorWindow, size: tuple[int, int]) -> None:
    shown.resize(*size)
    shown.tick()
    parts = [*shown.play.tiles.values(), *shown.play.buttons.values(), shown.play.console]
    parts += [shown.play.camera_view, shown.play.channels, shown.play.features, shown.play.sound, shown.play.bar]
    places = [part.geometry() for part in parts]
    assert shown.size().toTuple() == size
    for number, place in enumerate(places):
        assert shown.play.rect().contains(place)
        assert not any(place.intersects(other) for other in places[number + 1 :])


def test_a_model_of_many_channels_has_room(application: QApplication, segment: Segment, tmp_path: Path) -> None:
    """End-to-end models have a channel for every body feature, and no mapping."""
    many = tuple(Channel(name, "0..1", -1.0, 1.0, 0.0) for name in FEATURES)
    spec = dataclasses.replace(small_spec(), channels=many, phase=None)
    made = MonitorWindow(segment, MonitorConfig(spec, None, "demo"))
    made.show()
    segment.synthesis.hop(0.001, 256, REST)
    segment.synthesis.set_features(REST)
    for _ in range(10):
        made.tick()
    assert made.size().toTuple() == (1280, 720)
    made.close()


# --- what scrolls ------------------------------------------------------------------------------------------------


def column(roll: QWidget, x: int) -> list[str]:
    image = roll.grab().toImage()
    return [image.pixelColor(QPoint(x, y)).name() for y in range(image.height())]


@pytest.mark.parametrize("page", ["play", "stage"])
def test_another_model_shows_its_own_channels_on_the_same_page(
    application: QApplication, segment: Segment, tmp_path: Path, page: str
) -> None:
    spec = small_spec("first")
    other = dataclasses.replace(spec, name="second", channels=spec.channels[:2], phase=None)
    made = MonitorWindow(segment, MonitorConfig(spec, None, "demo", others=((other, None, True),)))
    made.show()
    if page == "stage":
        QTest.keyClick(made, Key.Key_S)
    made.tick()
    segment.controls.write(Controls(model=1))
    segment.synthesis.hop(0.001, 256, np.array([69.0, 0.5], np.float32))
    segment.synthesis.set_features(REST)
    for _ in range(10):
        made.tick()
    assert "second" in made.windowTitle()
    assert getattr(made, page).isVisible()
    made.close()


def test_what_is_set_is_said(application: QApplication, segment: Segment) -> None:
    made = MonitorWindow(segment, MonitorConfig(small_spec(), None, "demo", presets=("soft", "loud")))
    segment.controls.write(Controls(preset=2, octave=-1, scale=1, root=10, look_ahead_s=0.02))
    made.show()
    for _ in range(10):
        made.tick()
    console = made.play.console
    assert {name: pick.text for name, pick in console.picks.items() if name != "style"} == {
        "octave": "−1",
        "scale": "chromatic",
        "root": "A",
        "preset": "loud",
    }
    assert console.values["look-ahead"].text == "20 ms"
    made.close()


@pytest.fixture
def blending(application: QApplication, segment: Segment) -> Iterator[MonitorWindow]:
    """A window of a model with three styles."""
    spec = dataclasses.replace(small_spec(), styles=("cello", "flute", "tuba"))
    made = MonitorWindow(segment, MonitorConfig(spec, None, "demo"))
    made.show()
    yield made
    made.close()


def test_sliders_show_what_of_each_style_sounds_and_stand_where_the_hand_left_them(
    blending: MonitorWindow, segment: Segment
) -> None:
    segment.synthesis.set_styles(np.float32([0.25, 0.75, 0.0]))
    segment.controls.write(Controls(style=1, styles=(0.2, 0.6, 0.0)))
    blending.tick()
    weights = blending.play.console.weights
    assert [(tile.name, tile.text) for tile in weights] == [("cello", "25 %"), ("flute", "75 %"), ("tuba", "0 %")]
    asked(segment)
    drag(weights[1], 40)
    last = asked(segment)[-1]
    assert (last.action, last.absolute) == (Action.STYLE_2, True)
    assert last.amount == pytest.approx(0.8)
    segment.controls.write(Controls())
    blending.tick()
    drag(weights[0], 0, 30)  # nothing is set by hand: it goes on from what sounds
    assert asked(segment)[-1].amount == pytest.approx(0.4)


def test_the_newest_column_stands_at_the_right_and_the_others_move_on(application: QApplication) -> None:
    roll = Spectrogram()
    roll.resize(50, ROWS)
    roll.show()
    bright = np.full((1, ROWS), 255, np.uint8)
    roll.push(bright)
    for _ in range(60):  # more than the ring is wide
        roll.push(np.zeros((1, ROWS), np.uint8))
    roll.push(bright)
    roll.push(np.zeros((2 + ScrollingPlot.BEHIND, ROWS), np.uint8))
    lit = [x for x in range(50) if column(roll, x)[ROWS // 2] != style.WELL.name()]
    assert lit == [47]
    roll.deleteLater()


def test_a_roll_made_wider_remembers(application: QApplication) -> None:
    roll = Waveform()
    roll.resize(20, 40)
    roll.show()
    for level in np.linspace(0.1, 0.9, 60 + ScrollingPlot.BEHIND, dtype=np.float32):
        roll.push(np.array([[-level, level]]))
    roll.resize(60, 40)
    application.processEvents()
    heights = [sum(name != style.WELL.name() for name in column(roll, x)) for x in range(60)]
    assert heights[0] < heights[30] < heights[59]
    roll.deleteLater()


def test_what_came_while_it_was_hidden_is_there_when_it_is_shown(application: QApplication) -> None:
    roll = Waveform()
    roll.resize(30, 40)
    roll.push(np.array([[-0.8, 0.8]] * (30 + ScrollingPlot.BEHIND), np.float32))
    roll.show()
    assert all(sum(name != style.WELL.name() for name in column(roll, x)) > 20 for x in range(30))
    roll.deleteLater()


def test_a_trace_is_where_its_value_is(application: QApplication) -> None:
    roll = Traces(2, QColor("white"))
    roll.resize(40, 80)
    roll.show()
    for _ in range(40):
        roll.push(np.array([[1.0, 0.0]], np.float32))
    brightness = [QColor(name).lightness() for name in column(roll, 20)]
    assert np.argmax(brightness[:40]) < 8
    assert np.argmax(brightness[40:]) > 28
    roll.deleteLater()


def test_an_empty_lane_shows_nothing(application: QApplication) -> None:
    roll = Traces(1, QColor("white"))
    roll.resize(40, 40)
    roll.show()
    roll.push(np.full((40, 1), np.nan, np.float32))
    assert max(QColor(name).lightness() for name in column(roll, 20)) < 40
    roll.deleteLater()


def test_limited_sound_is_seen_in_amber(application: QApplication) -> None:
    roll = Waveform()
    roll.resize(30, 40)
    roll.show()
    roll.push(np.array([[-0.95, 0.95]] * 15 + [[-0.5, 0.5]] * (15 + ScrollingPlot.BEHIND), np.float32))
    assert share(roll, style.AMBER) > 0.3
    assert share(roll, style.ACCENT) > 0.2
    roll.deleteLater()


# --- ends --------------------------------------------------------------------------------------------------------


def test_the_window_survives_the_end_of_the_session_and_says_so(
    application: QApplication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = Segment.create()
    theirs.supervisor_status.write(SupervisorStatus(now_s() - 5.0, now_s() - 60.0))
    ours = Segment.attach(theirs.name)
    made = MonitorWindow(ours, config_of(small_spec(), tmp_path))
    made.show()
    theirs.close()
    theirs.unlink()
    monkeypatch.setattr(window, "FIGURES_S", 0.0)
    QTest.keyClick(made, Key.Key_S)
    for _ in range(10):
        made.tick()
    assert made.stage.words.text == "livemove no longer answers"
    made.close()


def test_the_window_closes_when_the_session_stops(shown: MonitorWindow, segment: Segment) -> None:
    segment.request_stop()
    shown.tick()
    assert not shown.isVisible()


# --- a performance, steered by keys -------------------------------------------------------------------------------


class Performance:
    """A session of the demo dancer into a file, with a window of ours on it; `at` maps seconds to what is done then."""

    def __init__(self, application: QApplication, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.take = folder / "take.wav"
        self.model = random_bundle(folder / "small", small_spec())
        self.config = config_of(self.model.spec, folder)
        self.application = application
        self.controls: list[tuple[float, Controls]] = []
        self.shown: MonitorWindow | None = None
        self._create = Segment.create
        self._segment: Segment | None = None
        monkeypatch.setattr(perform.Segment, "create", self._made)
        monkeypatch.setitem(supervisor.MODULES, "synthesis", "tests.support.double_synthesis")

    def _made(self) -> Segment:
        self._segment = self._create()
        return self._segment

    def play(self, at: dict[float, Callable[[MonitorWindow], None]], duration_s: float) -> perform.Report:
        todo = sorted(at.items())

        def on_status(status: Status) -> None:
            if status.phase != "playing":
                return
            assert self._segment is not None
            if self.shown is None:
                self.shown = MonitorWindow(Segment.attach(self._segment.name), self.config)
                self.shown.show()
            self.shown.tick()
            self.application.processEvents()
            while todo and status.seconds >= todo[0][0]:
                todo.pop(0)[1](self.shown)
            self.controls.append((status.seconds, self._segment.controls.read()))

        options = {"camera": "demo", "output": self.take, "play": False, "monitor": False}
        try:
            return run_session(SessionConfig.of(model=self.model.path, duration_s=duration_s, **options), on_status)
        finally:
            if self.shown is not None:
                self.shown.close()

    def level(self, number: int) -> float:
        """RMS of the take while the number-th setting of the controls held, as a factor on the tone that was played."""
        settings = list(dict.fromkeys(controls for _, controls in self.controls))
        times = [seconds for seconds, controls in self.controls if controls == settings[number]]
        take, rate = soundfile.read(self.take, dtype="float32")
        part = take[int((times[0] + 0.3) * rate) : int((times[-1] - 0.05) * rate)]
        return float(np.sqrt(np.mean(part**2)) / (double_synthesis.TONE_LEVEL / np.sqrt(2)))


@pytest.fixture
def performance(application: QApplication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Performance:
    return Performance(application, tmp_path, monkeypatch)


def press(*keys: Key) -> Callable[[MonitorWindow], None]:
    def act(target: MonitorWindow) -> None:
        for key in keys:
            QTest.keyClick(target, key)

    return act


@in_real_time
def test_the_keys_steer_what_is_heard(performance: Performance) -> None:
    performance.play({1.5: press(*[Key.Key_Down] * 6), 3.0: press(Key.Key_M)}, 4.5)
    with timed():
        assert performance.level(0) == pytest.approx(1.0, abs=0.05)
        assert performance.level(-2) == pytest.approx(10 ** (-6 / 20), abs=0.02)
        assert performance.level(-1) == 0.0


@in_real_time
def test_the_mouse_steers_what_is_heard(performance: Performance) -> None:
    def quieter(target: MonitorWindow) -> None:
        drag(target.play.console.values["gain"], -30)

    def mute(target: MonitorWindow) -> None:
        QTest.mouseClick(target.play.buttons["mute"], LEFT)

    performance.play({1.5: quieter, 3.0: mute}, 4.5)
    with timed():
        assert performance.level(0) == pytest.approx(1.0, abs=0.05)
        assert performance.level(-2) == pytest.approx(10 ** (-6 / 20), abs=0.02)
        assert performance.level(-1) == 0.0


@in_real_time
def test_m_twice_brings_the_sound_back(performance: Performance) -> None:
    performance.play({0.5: press(Key.Key_M), 1.0: press(Key.Key_M)}, 3.0)
    take, rate = soundfile.read(performance.take, dtype="float32")
    with timed():
        assert np.sqrt(np.mean(take[int(2.0 * rate) : int(2.8 * rate)] ** 2)) > 0.3


@in_real_time
def test_two_keys_at_once_are_both_done(performance: Performance) -> None:
    performance.play({0.5: press(Key.Key_T, Key.Key_T, Key.Key_Up, Key.Key_M, Key.Key_PageDown)}, 1.5)
    last = performance.controls[-1][1]
    with timed():
        assert last.temperature == pytest.approx(1.1)
        assert last.gain == pytest.approx(10 ** (1 / 20))
        assert last.mute


@in_real_time
def test_q_and_q_end_the_performance_with_a_fade(performance: Performance) -> None:
    report = performance.play({0.6: press(Key.Key_Q), 1.2: press(Key.Key_Q)}, 60.0)
    with timed():
        assert report["seconds"] < 10.0
    take, _ = soundfile.read(performance.take)
    with timed():
        assert abs(take[-1]) < 1e-3
