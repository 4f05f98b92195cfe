"""What scrolls in the window: where its columns stand, how high, in which colour."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPoint
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QApplication, QWidget

from livemove.monitor import style
from livemove.monitor.scrolling_plots import ScrollingPlot, Spectrogram, Traces, Waveform
from livemove.monitor.telemetry import ROWS
from tests.support.windows import share


def column(roll: QWidget, x: int) -> list[str]:
    image = roll.grab().toImage()
    return [image.pixelColor(QPoint(x, y)).name() for y in range(image.height())]


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
