"""What is tried again: an assertion about time, on a machine that stood still; nothing else, and nowhere else."""

from __future__ import annotations

import pytest

from tests.support import real_time
from tests.support.real_time import TRIES, TooLate, Watch, in_real_time, timed

pytestmark = pytest.mark.filterwarnings("ignore:tried again")


def tries(monkeypatch: pytest.MonkeyPatch, kept_time: bool, failure: type[BaseException], wrapped: bool) -> int:
    """How often a test that fails in that way is tried."""

    class Machine(Watch):
        def __enter__(self) -> Machine:
            self.stolen = 0.0
            return self

        def __exit__(self, *_: object) -> None:
            self.longest_s = 0.0 if kept_time else 1.0

    monkeypatch.setattr(real_time, "Watch", Machine)
    count = 0

    def failing() -> None:
        nonlocal count
        count += 1
        if not wrapped:
            raise failure
        with timed():
            raise failure

    with pytest.raises(TooLate if wrapped and failure is AssertionError else failure):
        in_real_time(failing)()
    return count


@pytest.mark.parametrize(
    ("kept_time", "failure", "wrapped", "expected"),
    [
        (False, AssertionError, True, TRIES),
        (True, AssertionError, True, 1),
        (False, AssertionError, False, 1),
        (False, OSError, True, 1),
        (False, pytest.fail.Exception, False, 1),
    ],
)
def test_only_assertions_about_time_are_tried_again(
    kept_time: bool, failure: type[BaseException], wrapped: bool, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tries(monkeypatch, kept_time, failure, wrapped) == expected
