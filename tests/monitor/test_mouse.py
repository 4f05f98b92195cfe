"""The window's mouse: drags, clicks, the wheel and lists, on an offscreen window with real shared memory."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QEnterEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from livemove.contracts import Action, Controls, Request, SupervisorStatus
from livemove.ipc.segment import Segment, now_s
from livemove.monitor.input_widgets import ListTile, ValueTile
from livemove.monitor.monitor_config import MonitorConfig
from livemove.monitor.window import MonitorWindow
from tests.support.bundles import small_spec
from tests.support.windows import LEFT, asked, choose, drag, turn

Key = Qt.Key


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
