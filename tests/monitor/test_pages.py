"""What the window's two pages show of a session: lamp, figures, skeleton, image, news, sizes, models, settings."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from livemove.body.features import FEATURES, REST
from livemove.capture.demo import pose_at
from livemove.contracts import Action, Channel, Controls, PoseFrame, SupervisorStatus
from livemove.ipc.segment import Segment, now_s
from livemove.monitor import style, window
from livemove.monitor.camera_view import DIM
from livemove.monitor.monitor_config import MonitorConfig
from livemove.monitor.window import MonitorWindow
from tests.support.bundles import small_spec
from tests.support.windows import asked, drag, perform_a_moment, share

Key = Qt.Key


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


@pytest.mark.parametrize("page", ["play", "stage"])
def test_two_dancers_have_a_colour_and_a_number_each(shown: MonitorWindow, segment: Segment, page: str) -> None:
    """Each in their own half of the view; and the number stays while the other one is out of sight."""
    if page == "stage":
        QTest.keyClick(shown, Key.Key_S)
    view = getattr(shown, page).camera_view
    first, second = style.DANCERS

    def show(frame: PoseFrame) -> None:
        frame.capture_s, frame.sequence = now_s(), next(numbers)
        segment.pose.write(frame)
        shown.tick()

    numbers = itertools.count()
    show(pose_at(1.0))
    alone = share(view, first)
    assert alone > 0.005
    assert share(view, second) == 0.0
    show(pose_at(1.0, dancers=2))
    assert share(view, first) > 0.002
    assert share(view, second) > 0.002
    show(pose_at(1.0))
    if page == "play":  # on stage the view still shrinks to the one who is left
        assert share(view, first) > alone, "now with its number"
    gone = pose_at(1.0, dancers=2)
    for array in (gone.image, gone.world, gone.visibility):
        array[0] = 0.0
    show(gone)
    assert share(view, first) == 0.0
    assert share(view, second) > 0.002


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
    assert "playback failed: starting it again" in shown.notices.text


def test_what_was_played_is_seen_as_wave_and_spectrum(shown: MonitorWindow, segment: Segment) -> None:
    shown.tick()
    for _ in range(5):
        perform_a_moment(segment, 0.2)
        shown.tick()
    assert share(shown.play.sound.waveform, style.ACCENT) > 0.01
    assert share(shown.play.sound.spectrogram, style.WELL, 4) < 1.0
    assert shown.play.sound.meter.peak_db == pytest.approx(-6.0, abs=1.0)


@pytest.mark.parametrize("size", [(1000, 600), (1280, 720), (2560, 1440), (3840, 2160)])
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
    zoom = max(size[0] / 1280, 1.0)
    assert shown.play.buttons["mute"].height() == pytest.approx(28 * zoom)
    assert pytest.approx(13 * zoom, abs=0.5) == style.BODY
    assert shown.play.size().toTuple() == (size[0], size[1] - shown.notices.height())


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
    segment.controls.write(Controls(preset=2, octave=-1, scale=1, root=10, look_ahead_s=0.02, snap=0.65))
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
    assert console.values["snap"].text == "65 %"
    segment.controls.write(Controls())
    for _ in range(10):
        made.tick()
    assert console.values["snap"].text == "as mapped"
    made.close()


def test_every_lane_has_an_axis_that_says_what_its_edges_are(shown: MonitorWindow, segment: Segment) -> None:
    """Written beside the traces: the upper end at the lane's upper edge, the lower one at its lower edge."""
    channels, features = shown.play.channels, shown.play.features
    assert channels._ends == [("A3", "A5"), ("0", "1"), ("0", "1")][: len(channels._ends)]
    assert len(channels._ends) == len(small_spec().channels)
    assert ("−1", "1") in features._ends
    QTest.keyClick(shown, Key.Key_C)
    assert len(features._ends) == 4
    for lanes in (channels, features):
        image = lanes.grab().toImage()
        plot = lanes._traces.geometry()
        lane, ratio = lanes._traces.lane_height(), image.devicePixelRatio()
        for row in range(len(lanes._ends)):
            top, middle = plot.top() + row * lane, plot.top() + (row + 0.5) * lane
            for from_y, to_y in ((top, middle), (middle, top + lane)):
                inks = {
                    image.pixelColor(round(x * ratio), round(y * ratio)).name()
                    for x in range(plot.left() - lanes._axis_width, plot.left() - style.GRID)
                    for y in range(round(from_y) + 1, round(to_y) - 1)
                }
                assert len(inks) > 2, (row, inks)


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
