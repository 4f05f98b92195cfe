"""What makes a median a figure: enough repeats, and a reference beside them that was not disturbed."""

from __future__ import annotations

import pytest

from livemove.diagnostics import repeats
from livemove.diagnostics.cpu import CpuTime
from livemove.diagnostics.repeats import Reference, Repeats


def run(
    count: int = 7, references: tuple[float, ...] = (100.0,), waited: float = 0.0, spent: CpuTime | None = None
) -> Repeats:
    """An engine that always makes half the speed of the reference before it."""
    done = Repeats()
    for i in range(count):
        before = Reference(references[i % len(references)], waited)
        after = Reference(references[(i + 1) % len(references)], waited)
        done.add(before.speed / 2, before, after, spent)
    return done


def test_a_calm_run_is_a_figure() -> None:
    calm = run(spent=CpuTime(busy=100, stolen=0))
    assert calm.why_no_figure() == ""
    assert (calm.median, calm.spread, calm.stolen) == (50.0, 0.0, 0.0)


def test_a_system_that_does_not_tell_what_was_stolen_may_still_be_calm() -> None:
    assert run().stolen is None
    assert run().why_no_figure() == ""


def test_a_ratio_is_to_the_mean_of_the_references_around_its_repeat() -> None:
    assert run(2, (100.0, 300.0)).ratios == [50 / 200, 150 / 200]


def test_one_interrupted_reference_does_not_spoil_a_run() -> None:
    assert run(8, (100.0,) * 7 + (20.0,)).why_no_figure() == ""


@pytest.mark.parametrize(
    ("disturbed", "says"),
    [
        (run(6), "6 repeats, not 7"),
        (run(references=(100.0, 120.0)), "sgemm varies by 18 %"),
        (run(waited=0.3), "30 % of the core went to others"),
        (run(spent=CpuTime(busy=100, stolen=4)), "4.0 % stolen by the host"),
    ],
)
def test_a_disturbed_run_says_by_what(disturbed: Repeats, says: str) -> None:
    assert disturbed.why_no_figure() == f"noisy: {says}"


def test_the_bounds_are_those_of_the_readme() -> None:
    assert (repeats.MOST_SPREAD, repeats.MOST_WAITED, repeats.MOST_STOLEN) == (0.06, 0.05, 0.02)
