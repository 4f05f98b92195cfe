"""The quick rows of the fault matrix, and that it would tell: a performance whose engine stands still is judged so.

`python -m tests.faults.matrix` does all of them, by the same code; what a row does and expects stands in rows.py.
"""

from __future__ import annotations

import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from livemove.diagnostics.jack_control import build
from tests.faults import injections
from tests.faults.judging import Result, goes_on, measured
from tests.faults.matrix import as_line, dancing_camera
from tests.faults.rows import ROWS
from tests.support.real_time import in_real_time, timed

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the sound servers of these tests are Linux's"),
]

QUICK = ("panic", "supervisor killed", "OSC bad numbers", "recording deleted", "disk full")
BY_NAME = {row.name: row for row in ROWS}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("control"))


def judged(result: Result) -> None:
    """What the sound server's own lateness may have caused counts only if the machine kept time."""
    if result.verdict == "held up":
        with timed():
            raise AssertionError(as_line(result))
    assert result.verdict == "ok", as_line(result)


@pytest.mark.parametrize("name", QUICK)
@in_real_time
def test_a_fault_does_what_is_expected_of_it(name: str, program: Path) -> None:
    judged(measured(replace(BY_NAME[name], watch_s=min(BY_NAME[name].watch_s, 3.0)), program, dancing_camera()))


@in_real_time
def test_an_engine_that_stands_still_is_told(program: Path) -> None:
    """The control: without a spare, a second of silence is measured, and is not what was expected."""
    row = replace(
        BY_NAME["nothing"], inject=injections.signals("synthesis", signal.SIGSTOP), judge=goes_on(), watch_s=2.0,
        mend=injections.signals("synthesis", signal.SIGCONT), mend_after_s=1.0, options=("--no-spare",),
    )  # fmt: skip
    result = measured(row, program, dancing_camera())
    assert result.verdict in ("FAIL", "held up")
    assert 0.5 < result.silence_s < 1.5, as_line(result)


def test_every_row_has_a_name_of_its_own_and_says_what_it_expects() -> None:
    assert len(BY_NAME) == len(ROWS) >= 30
    assert all(row.fault and row.expected for row in ROWS)
