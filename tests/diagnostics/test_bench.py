"""The benchmark's arithmetic and the shape of what it reports."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from livemove.contracts import HOP, EngineError, LivemoveError, OutputError, weight_shapes
from livemove.diagnostics import bench, bench_plot
from livemove.synthesis import architectures
from livemove.synthesis.native import NativeEngine


@pytest.mark.parametrize("make", bench.ARCHITECTURES.values(), ids=bench.ARCHITECTURES.keys())
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
    models = [bench.Model("stage", spec := architectures.stage(), architectures.random_weights(spec), None)]
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
        assert row["us_per_layer"] * row["layers"] * row["steps_per_s"] == pytest.approx(1e6)
        assert row["samples_per_s_min"] <= row["samples_per_s"] <= row["samples_per_s_max"]
        assert row["fraction_of_sgemm_min"] <= row["fraction_of_sgemm"] <= row["fraction_of_sgemm_max"]
        assert row["figure"] is False  # of two repeats
        assert row["noisy"].startswith("noisy: 2 repeats, not 7")
    assert report["memory_gbps"] > 0  # type: ignore[operator]
    assert report["cache_gbps"] > 0  # type: ignore[operator]
    assert {"cpu", "governor", "caches", "stolen_share"} <= report.keys()
    absent = report["absent"]
    assert isinstance(absent, list)
    assert [(a["engine"], a["setting"]) for a in absent] == [("onnx", "stage")]


def test_where_there_is_no_gpu_it_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("livemove.synthesis.cuda.why_not", lambda: "no GPU here")
    report = bench._measure(("cuda",), tuple(bench.random_models()), 1, 0.02, ())
    assert report["absent"] == [{"engine": "cuda", "setting": "all", "why": "no GPU here"}]
    assert report["results"] == []


def test_an_unknown_engine_is_named() -> None:
    with pytest.raises(EngineError, match="no engine called fast"):
        bench.run(("fast",))


def test_sizes_differ_from_the_stage_setting_in_one_dimension_each() -> None:
    stage, sizes = architectures.stage(), {m.architecture: m.spec for m in bench.size_models()}
    assert {s.residual for s in sizes.values()} == {32, 64, 128, 256}
    assert {s.layers for s in sizes.values()} == {10, 20, 30, 40}
    assert {s.bands for s in sizes.values()} == {1, 4, 8, 16}
    work = {name: bench.multiply_adds(s) for name, s in sizes.items()}
    assert work["dilations 1"] == work["dilations 16..8192"] == bench.multiply_adds(stage)
    assert sizes["dilations 16..8192"].receptive_field > 1000 * sizes["dilations 1"].receptive_field


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_the_native_engine_plays_every_size(precision: str) -> None:
    for model in bench.size_models():
        out = np.zeros(HOP, np.float32)
        noise = np.full((model.spec.steps_per_hop, model.spec.noise_width), 0.3, np.float32)
        engine = NativeEngine(model.spec, model.weights, precision=precision)
        engine.generate(out, np.zeros((1, len(model.spec.channels)), np.float32), noise)
        assert np.isfinite(out).all(), model.architecture
        assert out.any(), model.architecture


def test_several_streams_at_once_are_counted_together() -> None:
    spec = architectures.stage()
    models = [bench.Model("stage", spec, architectures.random_weights(spec), None)]
    report = bench.run(("native",), models, repeats=1, seconds_per_round=0.02, streams=(1, 2))
    rows = report["streams"]
    assert isinstance(rows, list)
    assert [(r["engine"], r["streams"]) for r in rows] == [("native", 1), ("native", 2)]
    assert all(0 < r["samples_per_s_min"] <= r["samples_per_s"] for r in rows)
    assert all(r["fraction_of_sgemm"] > 0 for r in rows)


def test_the_torch_baseline_runs_in_a_process_of_its_own() -> None:
    (row,) = bench.torch_baseline([bench.Model("stage", spec := architectures.stage(), {}, None)], seconds=0.05)
    assert row["setting"] == "stage"
    assert row["samples_per_s"] == pytest.approx(row["steps_per_s"] * spec.bands)  # type: ignore[operator]


def test_without_torch_the_baseline_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('No module named torch')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(EngineError, match=r"No module named torch.*pip install -e"):
        bench.torch_baseline([bench.Model("stage", architectures.stage(), {}, None)], seconds=0.05)


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    rows = [
        {"engine": engine, "setting": setting, "realtime": 3.0, "gflops": 10.0}
        for engine in ("native", "onnx")
        for setting in ("classic", "stage")
    ]
    result: dict[str, object] = {"results": rows, "sgemm_gflops": 50.0, "memory_gbps": 8.0, "cpu": "a core"}
    bench_plot.draw(result, tmp_path / "b.png")
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(OutputError, match="cannot write"):
        bench_plot.draw(result, tmp_path / "none" / "b.png")


def test_without_matplotlib_the_picture_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(LivemoveError, match=r"livemove\[plot\]"):
        bench_plot.draw({"results": [], "cpu": ""}, tmp_path / "b.png")


def test_the_roofline_of_weights_from_memory_is_half_a_flop_per_byte() -> None:
    assert bench_plot.roofline({"sgemm_gflops": 100.0, "memory_gbps": 8.0})["float32 weights from memory"] == 4.0
