"""A performance steered by keys pressed in the window, judged by the sound that was recorded."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from livemove.bundle import load_bundle
from livemove.controls import CONTROLS
from livemove.monitor.pages import SLOW
from livemove.monitor.window import MonitorWindow
from tests.support.playing import check_looping, instrument, looping
from tests.support.program import performing
from tests.support.real_time import in_real_time
from tests.support.windows import Key, config_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a terminal of its own")


@in_real_time
def test_a_loop_and_a_tail_by_keys_of_the_window(application: QApplication, tmp_path: Path) -> None:
    """The window stands beside the performance, on its shared memory, as it does on stage."""
    model, buttons = instrument(tmp_path / "sines"), list[bool]()
    with performing(tmp_path, "-m", str(model)) as program:
        window = MonitorWindow(program.segment(), config_of(load_bundle(model).spec, tmp_path))
        window.show()
        application.processEvents()

        def press(name: str, times: int = 1) -> None:
            for _ in range(SLOW):
                window.tick()
            buttons.append(window.play.effects.buttons["loop"].lit)
            for _ in range(times):
                QTest.keyClick(window, Key(ord(CONTROLS[name].key.upper())))

        program.go_through(looping(program.port, press))
        window.close()
        application.processEvents()
    check_looping(program.takes)
    assert True in buttons, "its button is lit while the loop records"
