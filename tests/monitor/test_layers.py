"""Layers in the window: all of them are named, and each has its level and place for the mouse."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from livemove.contracts import Action, Controls, Request
from livemove.ipc.segment import Segment
from livemove.monitor.monitor_config import MonitorConfig
from livemove.monitor.window import MonitorWindow
from tests.support.bundles import small_spec
from tests.support.windows import LEFT, asked, drag

SPEC = small_spec("cello")
OTHER = dataclasses.replace(SPEC, name="theremin")


@pytest.fixture
def layered(application: QApplication, segment: Segment) -> Iterator[MonitorWindow]:
    """Cello and drums at once; and a theremin alone."""
    layers = (("cello", "bodydrum"), ("theremin",))
    made = MonitorWindow(segment, MonitorConfig(SPEC, None, "demo", others=((OTHER, None, False),), layers=layers))
    made.show()
    tick(made)
    yield made
    made.close()


def tick(made: MonitorWindow) -> None:
    for _ in range(10):
        made.tick()


def test_all_voices_are_named_in_the_window_and_on_stage(layered: MonitorWindow, segment: Segment) -> None:
    assert "cello + bodydrum" in layered.windowTitle()
    assert layered.play.bar._config.name == "cello + bodydrum"
    QTest.keyClick(layered, Qt.Key.Key_S)
    tick(layered)
    assert layered.stage.name.text == "cello + bodydrum"
    segment.controls.write(Controls(model=1))
    tick(layered)
    assert layered.stage.name.text == "theremin"
    assert "theremin" in layered.windowTitle()


def test_what_can_be_switched_to_is_listed_with_all_its_voices(layered: MonitorWindow, segment: Segment) -> None:
    QTest.mouseClick(layered.play.bar, LEFT, pos=layered.play.bar.spots["model"].center())
    assert layered.menu.isVisible()
    QTest.mouseClick(layered.menu, LEFT, pos=layered.menu.row_rect(1).center())
    assert asked(segment) == [Request(Action.MODEL, 1.0, absolute=True)]


def test_each_layer_has_its_level_and_its_place(layered: MonitorWindow, segment: Segment) -> None:
    console = layered.play.console
    assert (len(console.gains), len(console.pans)) == (2, 2)
    drag(console.gains[1], -30)
    request = asked(segment)[-1]
    assert (request.action, request.absolute) == (Action.GAIN_2, True)
    assert request.amount == pytest.approx(-6.0)
    drag(console.pans[0], 40)
    request = asked(segment)[-1]
    assert (request.action, request.amount) == (Action.PAN_1, pytest.approx(0.4))
    segment.controls.write(Controls(gains=(0.5, 1.0, 1.0, 1.0), pans=(-0.3, 0.0, 0.0, 0.0)))
    tick(layered)
    assert [tile.text for tile in console.pans] == ["0.30 L", "middle"]
    assert "6.0" in console.gains[0].text


def test_one_that_plays_alone_has_none(layered: MonitorWindow, segment: Segment) -> None:
    segment.controls.write(Controls(model=1))
    tick(layered)
    assert layered.play.console.gains == []
