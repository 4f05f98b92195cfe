"""The audience's window: a dancer drawn in light, on another screen, and neither words nor figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from livemove.capture.demo import pose_at
from livemove.contracts import Action, PoseFrame, Request
from livemove.ipc.segment import Segment, now_s
from livemove.monitor.audience import FADE_S, AudienceWindow, other_screen
from livemove.monitor.window import MonitorWindow
from tests.support.bundles import small_spec
from tests.support.windows import asked, config_of

Key = Qt.Key


@pytest.fixture
def seen(application: QApplication) -> Iterator[AudienceWindow]:
    made = AudienceWindow(lambda event: None)
    made.resize(1280, 720)
    made.show()
    yield made
    made.close()


def dance(window: AudienceWindow, poses: int = 20, peak: float = 0.5, offset: float = 0.0) -> None:
    for number in range(poses):
        frame = pose_at(0.04 * number, number)
        frame.image[0, :, 0] += offset
        window.show_state(frame, True, None, peak, 0.04)


def pixels(image: QImage) -> np.ndarray:
    image = image.convertToFormat(QImage.Format.Format_RGB32)
    return np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.width(), 4)[:, :, :3].astype(int)


def test_a_dancer_of_light_stands_in_the_dark(seen: AudienceWindow) -> None:
    assert pixels(seen.drawn()).max() == 0
    dance(seen)
    light = pixels(seen.drawn())
    assert light.max() > 180
    assert 0.005 < (light.max(axis=2) > 60).mean() < 0.25
    assert np.median(light) == 0
    corners = [light[y, x].max() for y in (5, -5) for x in (5, -5)]
    assert max(corners) == 0, "nothing but the dancer"


def test_a_louder_sound_is_a_brighter_light_and_it_dies_away(seen: AudienceWindow) -> None:
    means: list[float] = []
    for peak in (0.0, 0.5, 1.0):
        dance(seen, peak=peak)
        means.append(float(pixels(seen.drawn()).mean()))
    assert means[0] * 1.2 < means[1] < means[2]
    frame = pose_at(0.0, 0)
    for _ in range(40):
        seen.show_state(frame, True, None, 0.0, 0.04)
    assert pixels(seen.drawn()).mean() < means[1]


def test_who_goes_fades_and_then_it_is_dark(seen: AudienceWindow) -> None:
    dance(seen)
    before = pixels(seen.drawn()).mean()
    seen.show_state(None, False, None, 0.5, 0.3 * FADE_S)
    fading = pixels(seen.drawn()).mean()
    assert 0 < fading < before
    seen.show_state(None, False, None, 0.5, FADE_S)
    assert pixels(seen.drawn()).max() == 0


def test_what_moved_leaves_a_trail(seen: AudienceWindow) -> None:
    still, frame = [], pose_at(0.0, 0)
    for _ in range(20):
        seen.show_state(frame, True, None, 0.5, 0.04)
    still = (pixels(seen.drawn()).max(axis=2) > 20).mean()
    for number in range(20):
        moved = pose_at(0.0, number)
        moved.image[0, :, 0] += 0.02 * number - 0.2
        seen.show_state(moved, True, None, 0.5, 0.04)
    assert (pixels(seen.drawn()).max(axis=2) > 20).mean() > 1.3 * still


def test_two_dancers_are_drawn_each_in_their_own_light(seen: AudienceWindow) -> None:
    for _ in range(20):
        seen.show_state(pose_at(1.0, dancers=2), True, None, 0.9, 0.04)
    drawn = pixels(seen.drawn()).astype(int)
    blue_over_green = drawn[..., 0] - drawn[..., 1]
    middle = drawn.shape[1] // 2
    assert blue_over_green[:, :middle].sum() * blue_over_green[:, middle:].sum() < 0


def test_it_is_mirrored_with_the_performers_image(seen: AudienceWindow) -> None:
    dance(seen, offset=0.2)
    straight = pixels(seen.drawn())
    seen.mirror(True)
    dance(seen, offset=0.2)
    turned = pixels(seen.drawn())[:, ::-1]
    assert np.abs(turned - straight).mean() < 0.05 * straight.mean() + 1.0
    assert np.abs(pixels(seen.drawn()) - straight).mean() > straight.mean()


@pytest.mark.parametrize("size", [(800, 480), (1280, 720), (3840, 2160), (1080, 1920)])
def test_it_fills_any_screen_with_the_body_as_it_is(seen: AudienceWindow, size: tuple[int, int]) -> None:
    seen.resize(*size)
    dance(seen)
    lit = pixels(seen.grab().toImage()).max(axis=2) > 60
    assert lit.shape == (size[1], size[0])
    rows, columns = np.flatnonzero(lit.any(axis=1)), np.flatnonzero(lit.any(axis=0))
    tall, wide = np.ptp(rows), np.ptp(columns)
    seen.resize(1280, 720)
    other = pixels(seen.grab().toImage()).max(axis=2) > 60
    expected = np.ptp(np.flatnonzero(other.any(axis=0))) / np.ptp(np.flatnonzero(other.any(axis=1)))
    assert wide / tall == pytest.approx(expected, rel=0.05), "not stretched"
    if size[0] > size[1]:
        assert tall > 0.5 * size[1]


def test_the_other_screen_is_taken_where_there_is_one() -> None:
    one: Any = object()
    two: Any = object()
    assert other_screen([one, two], one) is two
    assert other_screen([one, two], two) is one
    assert other_screen([one], one) is None


@pytest.fixture
def pair(application: QApplication, segment: Segment, tmp_path: Path) -> Iterator[MonitorWindow]:
    made = MonitorWindow(segment, dataclasses.replace(config_of(small_spec(), tmp_path), audience=True))
    made.show()
    made.start()
    made._timer.stop()  # redrawn only when a test says so
    yield made
    made.close()


def test_it_comes_and_goes_with_the_performers_window(pair: MonitorWindow) -> None:
    assert pair.audience is not None
    assert pair.audience.isVisible()
    pair.tick()
    assert "no second screen" in pair.notices.text  # offscreen has one
    pair.close()
    assert not pair.audience.isVisible()


def test_keys_pressed_in_it_steer_and_f_fills_its_screen(pair: MonitorWindow, segment: Segment) -> None:
    assert pair.audience is not None
    QTest.keyClick(pair.audience, Key.Key_M)
    assert asked(segment) == [Request(Action.MUTE)]
    QTest.keyClick(pair.audience, Key.Key_F)
    assert pair.audience.isFullScreen()
    assert not pair.isFullScreen()
    QTest.keyClick(pair.audience, Key.Key_F11)
    assert not pair.audience.isFullScreen()


def test_it_shows_the_pose_of_the_session(pair: MonitorWindow, segment: Segment) -> None:
    assert pair.audience is not None
    for number in range(6):
        frame: PoseFrame = pose_at(1.0 + 0.04 * number, number)
        frame.capture_s = now_s()
        segment.pose.write(frame)
        pair.tick()
    assert pixels(pair.audience.drawn()).max() > 60
