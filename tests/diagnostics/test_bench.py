"""The benchmark's arithmetic and the shape of what it reports."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from livemove.cli.models import models_to_measure
from livemove.contracts import HOP, EngineError, LivemoveError, OutputError, weight_shapes
from livemove.diagnostics import bench, bench_models, bench_plot, bench_sizes_plot
from livemove.diagnostics.bandwidth import Bandwidth
from livemove.diagnostics.repeats import Reference
from livemove.synthesis import architectures
from livemove.synthesis.native import NativeEngine
from tests.support.bundles import random_bundle, small_spec
from tests.support.paths import THEREMIN


@pytest.mark.parametrize("make", bench_models.ARCHITECTURES.values(), ids=bench_models.ARCHITECTURES.keys())
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
    assert bench_models.multiply_adds(spec) == count


def test_a_run_reports_every_engine_or_why_it_is_absent() -> None:
    before = dict(os.environ)
    models = [bench_models.Model("stage", spec := architectures.stage(), architectures.random_weights(spec), None)]
    report = bench.run(("native", "native-int8", "onnx"), models, repeats=2, seconds_per_round=0.02)
    assert dict(os.environ) == before
    rows = report["results"]
    assert isinstance(rows, list)
    assert [(r["engine"], r["setting"]) for r in rows] == [("native", "stage"), ("native-int8", "stage")]
    for row in rows:
        assert row["samples_per_s"] == row["steps_per_s"] * 16
        assert row["realtime"] == pytest.approx(row["samples_per_s"] / 48000)
        assert row["gflops"] == pytest.approx(2e-9 * bench_models.multiply_adds(spec) * row["steps_per_s"])
        assert row["fraction_of_sgemm"] > 0
        if row["waited_share"] < 0.5:  # else sgemm may have had no core where the engine had one
            assert row["fraction_of_sgemm"] < 10
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
    report = bench._measure(("cuda",), tuple(bench_models.random_models()), 1, 0.02, ())
    assert report["absent"] == [{"engine": "cuda", "setting": "all", "why": "no GPU here"}]
    assert report["results"] == []


def test_an_unknown_engine_is_named() -> None:
    with pytest.raises(EngineError, match="no engine called fast"):
        bench.run(("fast",))


def test_sizes_differ_from_the_stage_setting_in_one_dimension_each() -> None:
    stage, sizes = architectures.stage(), {m.architecture: m.spec for m in bench_models.size_models()}
    assert {s.residual for s in sizes.values()} == {32, 64, 128, 256}
    assert {s.layers for s in sizes.values()} == {10, 20, 30, 40}
    assert {s.bands for s in sizes.values()} == {1, 4, 8, 16}
    work = {name: bench_models.multiply_adds(s) for name, s in sizes.items()}
    assert work["dilations 1"] == work["dilations 16..8192"] == bench_models.multiply_adds(stage)
    assert sizes["dilations 16..8192"].receptive_field > 1000 * sizes["dilations 1"].receptive_field


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_the_native_engine_plays_every_size(precision: str) -> None:
    for model in bench_models.size_models():
        out = np.zeros(HOP, np.float32)
        noise = np.full((model.spec.steps_per_hop, model.spec.noise_width), 0.3, np.float32)
        engine = NativeEngine(model.spec, model.weights, precision=precision)
        engine.generate(out, np.zeros((1, len(model.spec.channels)), np.float32), noise)
        assert np.isfinite(out).all(), model.architecture
        assert out.any(), model.architecture


def test_several_streams_at_once_are_counted_together() -> None:
    spec = architectures.stage()
    models = [bench_models.Model("stage", spec, architectures.random_weights(spec), None)]
    report = bench.run(("native",), models, repeats=1, seconds_per_round=0.02, streams=(1, 2))
    rows = report["streams"]
    assert isinstance(rows, list)
    assert [(r["engine"], r["streams"]) for r in rows] == [("native", 1), ("native", 2)]
    assert all(0 < r["samples_per_s_min"] <= r["samples_per_s"] for r in rows)
    assert all(r["fraction_of_sgemm"] > 0 for r in rows)


def test_what_a_further_voice_costs_is_measured_against_one_alone_in_the_same_round() -> None:
    spec = architectures.stage()
    models = [bench_models.Model("stage", spec, architectures.random_weights(spec), None)]
    one, four = bench.run(("native",), models, 2, 0.02, voices=(1, 4))["voices"]  # type: ignore[misc]
    assert (one["voices"], four["voices"]) == (1, 4)
    assert one["cost_of_a_further_voice"] is None
    assert four["cost_of_a_further_voice_min"] <= four["cost_of_a_further_voice"] <= four["cost_of_a_further_voice_max"]
    assert four["samples_per_s"] == pytest.approx(4 * 16 * four["steps_per_s"])
    assert four["us_per_step"] * four["steps_per_s"] * 4 == pytest.approx(1e6)
    assert four["bytes_per_step"] < one["bytes_per_step"]


def test_costs_of_voices_by_hand() -> None:
    def speeds(voices: int, *steps_per_s: float) -> bench.Contender:
        c = bench.Contender("native", bench_models.random_models()[1], "", lambda: None, 1, voices)
        for speed in steps_per_s:
            c.repeats.add(speed, Reference(1.0, 0.0), Reference(1.0, 0.0), None)
        return c

    _, two, three = bench._voice_rows([speeds(1, 10.0, 20.0), speeds(2, 5.0, 8.0), speeds(3, 5.0, 10.0)])
    assert (two["cost_of_a_further_voice_min"], two["cost_of_a_further_voice_max"]) == (1.0, 1.5)
    assert three["cost_of_a_further_voice"] == 0.5


def test_bytes_of_a_step_are_the_weights_that_it_reads() -> None:
    """By hand for one layer of R16 S32 A16: past 16*32, now 16*32, residual 16*16, skip 16*32, head, two inputs."""
    spec = dataclasses.replace(
        architectures.stage(),
        residual=16,
        skip=32,
        hidden=16,
        dilations=(4,),
        phase=None,
        bands=1,
        mixtures=1,
        pqmf_taps=0,
    )
    head, inputs, layer = 32 * 16 + 16 * 3, 2 * 16, 16 * 32 + 16 * 16 + 16 * 32
    reads, kept = bench_models.step_bytes(spec, "fp16")
    assert reads == 2 * (layer + 16 * 32 / 4) + head + 2 * inputs + 8 * 16
    assert kept == 2 * (layer + 16 * 32 + head + inputs) + 4 * 16 * 4
    assert bench_models.step_bytes(spec, "fp16", 4)[0] < reads / 2
    assert bench_models.step_bytes(spec, "int8")[0] < reads


def test_reading_a_level_gives_its_bandwidth() -> None:
    bandwidth = Bandwidth()
    bandwidth.measure()
    gbps = bandwidth.medians
    assert {"L1", "memory"} <= gbps.keys()
    assert all(value > 0.01 for value in gbps.values())


def test_the_torch_baseline_runs_in_a_process_of_its_own() -> None:
    (row,) = bench.torch_baseline([bench_models.Model("stage", spec := architectures.stage(), {}, None)], seconds=0.05)
    assert row["setting"] == "stage"
    assert row["samples_per_s"] == pytest.approx(row["steps_per_s"] * spec.bands)  # type: ignore[operator]


def test_without_torch_the_baseline_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('No module named torch')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(EngineError, match=r"No module named torch.*pip install -e"):
        bench.torch_baseline([bench_models.Model("stage", architectures.stage(), {}, None)], seconds=0.05)


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


def sized(engine: str, dimension: str, at: float, us: float, **more: object) -> dict[str, object]:
    speed = 16e6 / us
    row = {"engine": engine, "dimension": dimension, "at": at, "us_per_step": us, "gflops": 20.0, "bytes_per_step": 4e5}
    row |= {"setting": "other", "bytes_kept": 1000 * at, "noisy": "", "samples_per_s": speed}
    return row | {"samples_per_s_min": 0.9 * speed, "samples_per_s_max": 1.1 * speed} | more


SIZED: dict[str, object] = {
    "results": [
        *(sized("native", "width", at, at / 10) for at in (128.0, 32.0)),
        sized("native", "", 0.0, 5.0, setting="stage", residual=64, layers=10, bands=16, receptive_field_s=0.3),
    ],
    "voices": [sized("native", "", 0.0, 5.0 / n, setting="stage", voices=n) for n in (1, 2)],
    "read_gbps": {"L1": 200.0, "L2": 100.0, "L3": 40.0, "memory": 10.0},
    "sgemm_gflops": 50.0, "caches": {1: 48 << 10, 2: 1 << 20}, "cpu": "a core", "repeats": 7,
}  # fmt: skip


def test_a_curve_is_in_order_and_contains_the_stage_architecture() -> None:
    places, rows = bench_sizes_plot.curve(SIZED, "native", "width")
    assert places == [32.0, 64.0, 128.0]
    assert [row["us_per_step"] for row in rows] == [3.2, 5.0, 12.8]
    assert bench_sizes_plot.curve(SIZED, "native-int8", "width") == ([], [])
    assert bench_sizes_plot.curve(SIZED, "native", "voices")[0] == [1.0, 2.0]


def test_the_limits_are_bytes_over_bandwidth_and_products_over_sgemm() -> None:
    _, rows = bench_sizes_plot.curve(SIZED, "native", "bands")
    assert bench_sizes_plot.limits(SIZED, rows) == {
        "L1": [pytest.approx(2.0)], "L2": [pytest.approx(4.0)], "memory": [pytest.approx(40.0)],
        "sgemm": [pytest.approx(2.0)],
    }  # fmt: skip


def test_the_sizes_are_drawn(tmp_path: Path) -> None:
    bench_sizes_plot.draw(SIZED, tmp_path / "s.png")
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_the_picture_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(LivemoveError, match=r"livemove\[plot\]"):
        bench_plot.draw({"results": [], "cpu": ""}, tmp_path / "b.png")


def test_the_roofline_of_weights_from_memory_is_half_a_flop_per_byte() -> None:
    assert bench_plot.roofline({"sgemm_gflops": 100.0, "memory_gbps": 8.0})["float32 weights from memory"] == 4.0


def test_an_engine_that_is_untrue_to_a_model_is_not_measured_on_it(tmp_path: Path) -> None:
    bundle = random_bundle(tmp_path / "model", small_spec())
    backwards = dataclasses.replace(bundle.golden, audio=bundle.golden.audio[::-1].copy())
    for golden, measured in ((bundle.golden, 1), (backwards, 0)):
        found = dataclasses.replace(bundle, golden=golden)
        model = bench_models.Model("small", bundle.spec, bundle.weights, None, bundle=found)
        report = bench._measure(("native",), (model,), 1, 0.02, ())
        assert len(report["results"]) == measured  # type: ignore[arg-type]
    assert "does not reproduce the golden vector" in report["absent"][0]["why"]  # type: ignore[index]


def test_all_models_are_those_that_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = [THEREMIN.parent / "cello", THEREMIN]
    monkeypatch.setattr("livemove.cli.models.list_bundles", lambda: listed)
    found = models_to_measure((), everyone=True)
    assert [model.architecture for model in found] == ["cello", "theremin"]
    assert all(model.bundle is not None and model.onnx_path is not None for model in found)
