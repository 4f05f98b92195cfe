"""The window's keys, pressed for real on an offscreen window: what each asks for, and what it shows."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest

from livemove.body.features import FEATURES
from livemove.capture.demo import pose_at
from livemove.contracts import Action, Request
from livemove.controls import BY_ACTION, CONTROLS, KEY_NAMES, LAYER_GAINS, LAYER_PANS, STYLE_WEIGHTS, Control
from livemove.ipc.segment import Segment, now_s
from livemove.monitor import style, window
from livemove.monitor.window import MonitorWindow
from tests.support.windows import asked, perform_a_moment

Key = Qt.Key


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
        (Key.Key_X, Qt.KeyboardModifier.NoModifier, Request(Action.SWAP_HANDS)),
        (Key.Key_B, Qt.KeyboardModifier.NoModifier, Request(Action.SAVE_PRESET)),
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
    assert "does not answer" in shown.notices.text


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
    """The camera's is its image, which another test clicks; a model without styles has no weights of them, and one that
    plays alone no layers."""
    for _ in range(10):
        shown.tick()
    page = shown.play
    names = {*page.console.values, *page.console.picks, *page.buttons, *page.bar.spots}
    names |= {*page.effects.values, *page.effects.buttons}
    names = {{"keep": "save-last"}.get(name, name) for name in names}
    weights = {BY_ACTION[action].label for action in (*STYLE_WEIGHTS, *LAYER_GAINS, *LAYER_PANS)}
    assert {control.label for control in CONTROLS.values()} - names == {"camera", "reload", *weights}


def test_a_key_that_means_nothing_says_so_and_asks_for_nothing(shown: MonitorWindow, segment: Segment) -> None:
    QTest.keyClick(shown, Key.Key_Z)
    shown.tick()
    assert "Z does nothing: ? shows the keys" in shown.notices.text
    QTest.keyClick(shown, Key.Key_S)
    QTest.keyClick(shown, Key.Key_C)
    shown.tick()
    assert "the stage view has no body features" in shown.notices.text
    assert asked(segment) == []


def halves(shown: MonitorWindow) -> list[tuple[int, bool]]:
    """of the image's left and right half: how red it is, and whether the skeleton is there."""
    for _ in range(2):
        shown.tick()
    grabbed = shown.play.camera_view.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    pixels = np.frombuffer(grabbed.constBits(), np.uint8).reshape(grabbed.height(), grabbed.width(), 4)
    accent = np.array([style.ACCENT.blue(), style.ACCENT.green(), style.ACCENT.red()])
    sides = np.array_split(pixels[: grabbed.height() * 8 // 10, :, :3].astype(int), 2, axis=1)
    return [(int(np.median(side[..., 2])), bool((np.abs(side - accent).max(2) < 30).sum() > 50)) for side in sides]


def test_i_turns_image_and_skeleton_over_and_back(
    shown: MonitorWindow, segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left half red, right half blue; the demo dancer stands at the left."""
    monkeypatch.setattr(window, "FIGURES_S", 0.0)
    perform_a_moment(segment)
    image = np.zeros((240, 320, 3), np.uint8)
    image[:, :160, 0], image[:, 160:, 2] = 200, 200
    segment.image.write(image, now_s())
    frame = pose_at(1.0, 3)
    frame.capture_s = now_s()
    frame.image[0, :, 0] = 0.25 + 0.3 * (frame.image[0, :, 0] - 0.5)
    segment.pose.write(frame)
    (red, here), (blue, nobody) = halves(shown)
    assert red > 80 > 20 > blue
    assert (here, nobody) == (True, False)
    QTest.keyClick(shown, Key.Key_I)
    assert halves(shown) == [(blue, False), (red, True)]
    assert shown.play.buttons["mirror"].lit
    QTest.mouseClick(shown.play.buttons["mirror"], Qt.MouseButton.LeftButton)
    assert halves(shown) == [(red, True), (blue, False)]
