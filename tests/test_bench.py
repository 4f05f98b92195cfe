"""The benchmark's arithmetic and the shape of what it reports."""

from __future__ import annotations

import os

import pytest

from livemove import bench
from livemove.contracts import EngineError, weight_shapes
from livemove.synthesis import settings


@pytest.mark.parametrize("make", bench.SETTINGS.values(), ids=bench.SETTINGS.keys())
def test_multiply_adds_are_the_weights_a_step_uses(make: type) -> None:
    """Every matrix entry once, but for the embedding (a copy of a row) and what runs once a hop."""
    spec = make()
    count = 0
    for name, shape in weight_shapes(spec).items():
        once_a_hop = name.startswith(("conditioner", "style")) or name == "layers.condition"
        embedding = name == "input.weight" and spec.head == "mulaw"
        if not (once_a_hop or embedding or "bias" in name or name == "bands.scale"):
            size = 1
            for n in shape:
                size *= n
            count += size
    assert bench.multiply_adds(spec) == count


def test_a_run_reports_every_engine_or_why_it_is_absent() -> None:
    before = dict(os.environ)
    models = [bench.Model("stage", spec := settings.stage(), settings.random_weights(spec), None)]
    report = bench.run(("native", "native-int8", "onnx"), models, repeats=2, seconds_per_round=0.02)
    assert dict(os.environ) == before
    rows = report["results"]
    assert isinstance(rows, list)
    assert [(r["engine"], r["setting"]) for r in rows] == [("native", "stage"), ("native-int8", "stage")]
    for row in rows:
        assert row["samples_per_s"] == row["steps_per_s"] * 16
        assert row["realtime"] == pytest.approx(row["samples_per_s"] / 48000)
        assert row["gflops"] == pytest.approx(2e-9 * bench.multiply_adds(spec) * row["steps_per_s"])
        assert 0 < row["fraction_of_sgemm"] < 10
    absent = report["absent"]
    assert isinstance(absent, list)
    assert [(a["engine"], a["setting"]) for a in absent] == [("onnx", "stage")]


def test_an_unknown_engine_is_named() -> None:
    with pytest.raises(EngineError, match="no engine called fast"):
        bench.run(("fast",))
