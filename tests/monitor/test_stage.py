"""The stage view: what it says, in any size of window; which channels it shows; where the notes lie beside the hand."""

from __future__ import annotations

import dataclasses
import gc
import itertools
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QFontMetrics
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from livemove.body.features import FEATURES, REST
from livemove.body.mapping import load_mapping
from livemove.body.notes import note_name
from livemove.capture.demo import pose_at
from livemove.contracts import Channel, Controls, SupervisorStatus
from livemove.ipc.segment import Segment, now_s
from livemove.monitor import style, window
from livemove.monitor.display_widgets import TextLine
from livemove.monitor.monitor_config import MonitorConfig
from livemove.monitor.moving_channels import MovingChannels
from livemove.monitor.scale_lines import ScaleLines
from livemove.monitor.telemetry import CAMERA_WORDS
from livemove.monitor.window import MonitorWindow
from tests.support.bundles import MAPPING, small_spec
from tests.support.windows import perform_a_moment

Key = Qt.Key
SIZES = [(800, 480), (1280, 720), (2560, 1440), (3840, 2160)]
SPEC = small_spec("theremin")


@pytest.fixture
def show(
    application: QApplication, segment: Segment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MonitorWindow]:
    """A window with presets, on stage, whose figures are read at every redraw."""
    monkeypatch.setattr(window, "FIGURES_S", 0.0)
    (tmp_path / "mapping.toml").write_text(MAPPING)
    made = MonitorWindow(
        segment, MonitorConfig(SPEC, tmp_path / "mapping.toml", "demo", presets=("soft", "slow blues"))
    )
    made.show()
    QTest.keyClick(made, Key.Key_S)
    yield made
    made.close()


def look(show: MonitorWindow, times: int = 10) -> None:
    for _ in range(times):
        show.tick()


# --- what it says -------------------------------------------------------------------------------------------------


def test_preset_and_next_cue_voice_scale_and_all_that_holds_stand_there(show: MonitorWindow, segment: Segment) -> None:
    segment.controls.write(
        Controls(preset=1, scale=8, root=10, octave=-1, mute=True, freeze=True, swap_hands=True, temperature=1.5)
    )
    perform_a_moment(segment)
    segment.supervisor_status.write(SupervisorStatus(now_s(), now_s() - 65.0, recording_since_s=now_s() - 5.0))
    look(show)
    stage = show.stage
    assert (stage.name.text, stage.cue.text) == ("soft", "next: slow blues")
    assert stage.set_line.text.split("   ·   ") == [
        "theremin", "blues in A", "octave −1", "hands swapped", "MUTED", "FROZEN", "RECORDING",
    ]  # fmt: skip
    assert "temperature 1.50" in stage.foot.text
    place = segment.external_inputs.want("posture.arms_up")
    for value, shown in ((0.9, True), (0.2, False)):
        segment.external_inputs.set(place, value)
        look(show)
        assert ("arms up" in stage.set_line.text.split("   ·   ")) == shown
    segment.controls.write(Controls(preset=2))
    look(show)
    assert (stage.name.text, stage.cue.text) == ("slow blues", "next: soft")
    assert stage.set_line.text.split("   ·   ")[:2] == ["theremin", "glides"]


def test_without_presets_the_voice_is_the_name(show: MonitorWindow, segment: Segment) -> None:
    look(show)
    assert show.stage.name.text == "theremin"


def test_another_preset_stands_out_for_a_while(show: MonitorWindow, segment: Segment) -> None:
    segment.controls.write(Controls(preset=1))
    look(show)
    segment.controls.write(Controls(preset=2))
    look(show)
    assert show.stage.name._colour == style.ACCENT
    show.stage._changed_s -= 10.0
    look(show)
    assert show.stage.name._colour == style.TEXT


@pytest.mark.parametrize("size", SIZES)
def test_a_presets_name_is_read_from_three_metres(show: MonitorWindow, segment: Segment, size: tuple[int, int]) -> None:
    """On a 13-inch screen, 165 mm high: capitals of 5 minutes of arc, normal sight in ISO 8596, are 4.4 mm at three
    metres; twice that is asked for."""
    show.resize(*size)
    segment.controls.write(Controls(preset=2))
    look(show)
    capital_mm = QFontMetrics(show.stage.name.letters()).capHeight() / size[1] * 165.0
    assert capital_mm > 2 * 3000.0 * math.tan(math.radians(5 / 60))
    assert show.stage.name.fits("slow blues")


# --- any size -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_nothing_lies_over_anything_else_and_nothing_is_cut(
    show: MonitorWindow, segment: Segment, size: tuple[int, int]
) -> None:
    show.resize(*size)
    segment.controls.write(Controls(preset=1, scale=8, root=10, octave=-1, mute=True, freeze=True, swap_hands=True))
    perform_a_moment(segment)
    segment.supervisor_status.write(SupervisorStatus(now_s(), now_s() - 36000.0, recording_since_s=now_s() - 4000.0))
    look(show)
    assert show.size().toTuple() == size
    places = [part.geometry() for part in show.stage.parts]
    for number, place in enumerate(places):
        assert show.stage.rect().contains(place)
        assert not any(place.intersects(other) for other in places[number + 1 :])
    lines = [part for part in show.stage.parts if isinstance(part, TextLine)]
    assert [line.text for line in lines if not line.fits(line.text)] == []
    for words in (*CAMERA_WORDS.values(), "livemove no longer answers", "no audio device: trying again"):
        assert show.stage.words.fits(words)
    for line in lines:
        assert QFontMetrics(line.letters()).height() <= line.height() + 2


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("on_stage", [False, True])
def test_a_notice_covers_nothing_and_is_read_whole(
    show: MonitorWindow, segment: Segment, size: tuple[int, int], on_stage: bool
) -> None:
    if not on_stage:
        QTest.keyClick(show, Key.Key_S)
    show.resize(*size)
    look(show, 1)
    for count in range(1, 4):
        line = f"octave +{count}: theremin plays up to A5, the highest 12 semitones of your range stay there"
        segment.supervisor_status.write(SupervisorStatus(now_s(), 1.0, {}, count, line))
        look(show, 1)
    assert "octave +3: theremin" in show.notices.text
    assert show.notices.fits(show.notices.text)
    assert not show._shown.geometry().intersects(show.notices.geometry())
    assert show.rect().contains(show.notices.geometry())


@pytest.mark.parametrize("size", SIZES)
def test_the_help_is_read_whole_in_any_window(show: MonitorWindow, size: tuple[int, int]) -> None:
    show.resize(*size)
    QTest.keyClick(show, Key.Key_H)
    card, letters, columns = show.help.geometry(), show.help._size, show.help._columns
    assert show.rect().contains(card)
    assert card.size() == show.help._card(letters, columns), "it was cut to the window"
    assert letters >= 11 * size[1] / 720 or letters >= 11


def test_a_window_too_small_for_the_page_shows_the_stage_until_it_is_large_again(show: MonitorWindow) -> None:
    QTest.keyClick(show, Key.Key_S)
    assert show.play.isVisible()
    show.resize(800, 480)
    assert show.stage.isVisible()
    assert not show.play.isVisible()
    QTest.keyClick(show, Key.Key_S)
    look(show, 1)
    assert show.stage.isVisible()
    assert "needs a window of 1000 x 600" in show.notices.text
    show.resize(1280, 720)
    assert show.play.isVisible()


# --- contrast -------------------------------------------------------------------------------------------------------


def luminance(colour: style.QColor) -> float:
    """Relative luminance as in WCAG 2.1."""
    parts = [colour.redF(), colour.greenF(), colour.blueF()]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: style.QColor, other: style.QColor) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_measured_as_published() -> None:
    assert contrast(style.QColor("white"), style.QColor("black")) == pytest.approx(21.0)
    assert contrast(style.QColor("#777777"), style.QColor("white")) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("ink", ["FAINT", "SOFT", "TEXT", "ACCENT", "AMBER", "RED"])
def test_every_ink_is_readable_on_every_ground_it_stands_on(ink: str) -> None:
    grounds = {
        "page": style.BASE, "card": style.CARD, "plot": style.WELL, "held button": style.LINE,
        "button under the mouse": style.mix(style.CARD, style.LINE, 0.6),
        "overlay": style.mix(style.CARD, style.LINE, 0.5), "chip": style.mix(style.BASE, style.AMBER, 0.16),
        "tile that warns": style.mix(style.CARD, style.AMBER, 0.10),
        "tile in red": style.mix(style.CARD, style.RED, 0.10),
    }  # fmt: skip
    found = {name: round(contrast(getattr(style, ink), ground), 2) for name, ground in grounds.items()}
    assert min(found.values()) >= 4.5, found


def test_what_stands_on_a_lit_button_or_a_red_band_is_readable() -> None:
    for light in (style.AMBER, style.RED):
        assert contrast(style.TEXT, style.mix(style.LINE, light, 0.18)) >= 4.5
    assert contrast(style.BASE, style.RED) >= 4.5


# --- channels that move ---------------------------------------------------------------------------------------------


MANY = tuple(Channel(name, "0..1", -1.0, 1.0, 0.0) for name in FEATURES)


def test_of_many_channels_those_that_move_are_shown_by_name(
    application: QApplication, segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = dataclasses.replace(small_spec(), channels=MANY, phase=None)
    made = MonitorWindow(segment, MonitorConfig(spec, None, "demo"))
    made.show()
    QTest.keyClick(made, Key.Key_S)
    moving = [FEATURES.index(name) for name in ("crouch", "turn", "left_elbow", "travel")]
    start_s, step = now_s(), [0]
    monkeypatch.setattr(window, "now_s", lambda: start_s + 0.05 * step[0])
    for number in range(120):
        step[0] = number
        values = REST.copy()
        values[moving] = np.sin(0.4 * number + np.arange(4))
        segment.synthesis.hop(0.001, 256, values)
        segment.synthesis.set_features(values)
        monkeypatch.setattr("livemove.monitor.telemetry.now_s", lambda: start_s + 0.05 * step[0])
        made.tick()
    assert made.stage.bars._names == ("left elbow", "crouch", "turn", "travel")
    made.close()


def test_who_moves_a_little_more_does_not_take_the_place() -> None:
    channels = MANY[:6]
    chooser, rng = MovingChannels(channels, 2), np.random.default_rng(0)
    speeds = np.array([1.0, 1.0, 1.2, 0.0, 0.0, 0.0])
    for number in range(200):
        chooser.see(speeds * rng.standard_normal((2, 6)), 0.05 * number, 0.05)
    assert chooser.places == (0, 1)
    speeds[3] = 5.0
    for number in range(200, 400):
        chooser.see(speeds * rng.standard_normal((2, 6)), 0.05 * number, 0.05)
    assert 3 in chooser.places


def test_a_model_of_few_shows_them_all() -> None:
    chooser = MovingChannels(MANY[:3], 4)
    assert chooser.places == (0, 1, 2)
    assert not chooser.see(np.ones((1, 3)), 0.0, 0.1)


# --- the scale beside the hand --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "controls",
    [Controls(scale=8, root=10), Controls(scale=2, octave=-1), Controls(scale=6, root=3, octave=1), Controls()],
)
@pytest.mark.parametrize("curve", ["linear", "square"])
def test_the_hand_at_a_line_plays_its_note(controls: Controls, curve: str) -> None:
    pitch = dataclasses.replace(SPEC.channels[0], minimum=50.0, maximum=88.0)
    spec = dataclasses.replace(SPEC, channels=(pitch, *SPEC.channels[1:]))
    mapping = load_mapping(MAPPING.replace("to = [57, 81]", f'to = [57, 81]\ncurve = "{curve}"'), spec, FEATURES)
    notes = ScaleLines(spec.channels, mapping).notes(controls)
    assert len(notes) > 5
    mapping.steer(controls.octave, controls.scale, controls.root)
    names: list[str] = []
    for note in notes:
        inputs = REST.copy()
        inputs[FEATURES.index("presence")], inputs[FEATURES.index("right_hand_height")] = 1.0, note.height
        names.append(played(float(mapping.step(inputs, math.inf)[0])))
    assert names == [note.name for note in notes]
    assert any(note.tonic for note in notes)


def played(pitch: float) -> str:
    name, cents = note_name(pitch)
    assert abs(cents) <= 1
    return name


def test_the_other_hand_has_the_lines_when_hands_are_swapped() -> None:
    lines = ScaleLines(SPEC.channels, load_mapping(MAPPING, SPEC, FEATURES))
    assert lines.hand(Controls()) == "right"
    assert lines.hand(Controls(swap_hands=True)) == "left"
    other = load_mapping(MAPPING.replace('"right_hand_height"', '"crouch"'), SPEC, FEATURES)
    assert ScaleLines(SPEC.channels, other).hand(Controls()) == ""
    assert ScaleLines(MANY, None).notes(Controls()) == []


@pytest.mark.parametrize("page", ["play", "stage"])
@pytest.mark.parametrize("swapped", [False, True])
def test_the_lines_stand_beside_the_hand_that_plays_the_pitch(
    show: MonitorWindow, segment: Segment, page: str, swapped: bool
) -> None:
    """Their paint is on that hand's side of the body: what an image without them has not."""
    if page == "play":
        QTest.keyClick(show, Key.Key_S)
    view = getattr(show, page).camera_view
    segment.controls.write(Controls(scale=8, root=10, swap_hands=swapped))
    perform_a_moment(segment)
    frame = pose_at(1.0, 9)
    frame.capture_s = now_s()
    segment.pose.write(frame)
    for _ in range(200):  # a hop shows once it is heard
        look(show, 1)
        if view._hand:
            break
        time.sleep(0.01)
        perform_a_moment(segment)
    view._pose = frame

    def pixels() -> np.ndarray:
        image = view.grab().toImage().convertToFormat(view.grab().toImage().Format.Format_RGB32)
        return (
            np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.width(), 4)[:, :, :3].astype(int)
        )

    ease, before = view._view, pixels()
    view.show_scale("", 0.0, [])
    view._view = ease
    difference = np.abs(pixels() - before).max(axis=2) > 40
    columns = np.flatnonzero(difference.any(axis=0))
    assert difference.sum() > 100
    places = view._places(view.rect() if page == "stage" else view._area(), frame, [0])[0]
    middle = places[[11, 12], 0].mean()
    wrist = places[15 if swapped else 16, 0]
    side = np.sign(wrist - middle)
    assert (np.sign(columns - middle) == side).mean() > 0.95


def test_pages_that_are_made_anew_leave_nothing_behind_that_breaks(
    application: QApplication, show: MonitorWindow, segment: Segment
) -> None:
    """While it plays, the window grows and shrinks through all sizes of its text; Qt deletes the old pages, and Python
    collects what is left of them."""
    sizes = itertools.cycle([(1280, 720), (1700, 950), (2560, 1440), (800, 480), (3840, 2160), (1000, 600)])
    seen: list[int] = []

    def step() -> None:
        perform_a_moment(segment, 0.05)
        show.resize(*next(sizes))
        show.tick()
        gc.collect()
        seen.append(id(show.play))
        if len(seen) == 18:
            application.quit()

    timer = QTimer()
    timer.timeout.connect(step)
    timer.start(1)
    application.exec()
    assert len(seen) == 18
    assert len(set(seen)) > 3
