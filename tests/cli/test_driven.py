"""The real command, steered by keys as they are typed in its terminal, judged by the sound that it recorded."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from livemove.controls import CONTROLS
from tests.support.playing import check_looping, instrument, looping
from tests.support.program import performing
from tests.support.real_time import in_real_time, timed

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a terminal of its own")

SAID = ("loop: records", "loop: overdubs", "loop: undo", "loop: silent", "loop: heard again", "loop: cleared",
        "reverb 0.50")  # fmt: skip


@in_real_time
def test_a_loop_and_a_tail_by_keys_typed_in_the_terminal(tmp_path: Path) -> None:
    with performing(tmp_path, "-m", str(instrument(tmp_path / "sines"))) as program:

        def press(name: str, times: int = 1) -> None:
            program.type(CONTROLS[name].key * times)

        program.go_through(looping(program.port, press))
    check_looping(program.takes)
    with timed():  # of several lines in a row the display shows the last
        assert [line for line in SAID if line not in program.said] == []
