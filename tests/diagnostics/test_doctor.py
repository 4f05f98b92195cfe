"""The doctor's verdict on playing live, from runs whose times are known."""

from __future__ import annotations

import pytest

from livemove.diagnostics.doctor import layers_finding, live_findings
from livemove.diagnostics.soak import SoakResult


def run(engine: str, median_ms: float, late: int = 0) -> SoakResult:
    return SoakResult(engine, 375, late, late // 2, median_ms, 2 * median_ms, 3 * median_ms, 5.33, 25.0, 10.0, 0.1)


def test_the_first_engine_that_holds_is_named() -> None:
    found = live_findings("mine", [run("native", 0.5), run("native-int8", 0.3), run("onnx", 4.9)], "pose estimation")
    assert [(f.part, f.state) for f in found] == [
        ("mine live on native", "ok"),
        ("mine live on native-int8", "ok"),
        ("mine live on onnx", "slow"),
        ("mine live", "ok"),
    ]
    assert "91 % to spare beside pose estimation" in found[0].detail
    assert found[-1].detail == "--engine native holds it; so would native-int8"


def test_an_engine_that_was_late_does_not_hold_however_fast() -> None:
    found = live_findings("mine", [run("native", 0.5, late=3), run("native-int8", 0.3)], "")
    assert found[0].state == "slow"
    assert "3 of 375 late" in found[0].detail
    assert found[-1].detail == "--engine native-int8 holds it"


def test_when_none_holds_it_says_so() -> None:
    (_, verdict) = live_findings("mine", [run("onnx", 6.0, late=300)], "")
    assert verdict.state == "slow"
    assert "no engine holds it" in verdict.detail


def test_four_layers_that_hold_are_as_many_as_there_can_be() -> None:
    found = layers_finding("mine", run("native", 0.2), run("native", 0.9), "pose estimation")
    assert (found.part, found.state) == ("layers", "ok")
    assert found.detail.startswith("4 voices at once hold")
    assert "0.90 of 5.33 ms a hop" in found.detail


@pytest.mark.parametrize(
    ("alone_ms", "together_ms", "late", "expected"),
    [(0.8, 3.4, 0, "about 3 at once"), (1.2, 4.8, 3, "about 2 at once"), (2.5, 11.0, 300, "about 1 at once")],
)
def test_of_four_that_do_not_hold_it_says_how_many_would(
    alone_ms: float, together_ms: float, late: int, expected: str
) -> None:
    found = layers_finding("mine", run("native", alone_ms), run("native", together_ms, late), "pose estimation")
    assert found.detail.startswith(f"{expected}: 4 are too many")
    assert found.state == ("slow" if "1" in expected else "ok")
