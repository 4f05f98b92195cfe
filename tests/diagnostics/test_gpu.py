"""`python -m livemove.diagnostics.gpu` rehearsed without a GPU: kernels interpreted or run by fibers, tiny networks."""

from __future__ import annotations

from tests.support.interpreted import DEVICE  # before anything that imports Triton

# isort: split
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livemove.bundle import Golden
from livemove.contracts import HOP
from livemove.diagnostics import gpu, gpu_plot, gpu_sections
from livemove.synthesis import architectures
from livemove.synthesis.reference import ReferenceEngine
from tests.support.paths import ROOT
from tests.synthesis.test_cuda_cluster import CLASSIC, STAGE, KernelOnCpu, kernel_on_cpu, material
from tests.synthesis.test_cuda_cluster import pytestmark as pytestmark

__all__ = ["kernel_on_cpu"]  # a fixture of every test here, too


def small_models(bundles: bool = True) -> Iterator[gpu_sections.Model]:
    """A stage network as if it were a bundle, and without one a stage and a classic network."""
    weights = {name: w / 2 for name, w in architectures.random_weights(STAGE, seed=3).items()}
    if not bundles:
        yield gpu_sections.Model("stage", STAGE, weights, None)
        yield gpu_sections.Model("classic", CLASSIC, architectures.random_weights(CLASSIC), None)
        return
    channels, noise = material(STAGE, 4)
    audio = np.zeros(4 * HOP, np.float32)
    ReferenceEngine(STAGE, weights).generate(audio, channels, noise, temperature=0.7)
    yield gpu_sections.Model("stage", STAGE, weights, Golden(channels, noise, audio, 0, 0.7))


@pytest.fixture
def rehearsed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """section name -> the rows it wrote."""
    monkeypatch.setattr(gpu_sections, "models", small_models)

    def run(name: str) -> dict[str, Any]:
        gpu.run_section(name, tmp_path, quick=True, device="cpu")
        return json.loads((tmp_path / "rows.json").read_text())

    return run


def test_parity_and_hand_over_of_the_cluster_kernel(rehearsed: Any) -> None:
    rows = rehearsed("parity cluster")
    (parity,), (hand_over,) = rows["parity"], rows["hand_over"]
    assert parity["passed"]
    assert parity["golden_snr_db"] > gpu_sections.SNR_DB
    assert hand_over["passed"]


def test_a_wrong_kernel_does_not_pass(rehearsed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    play = KernelOnCpu.launch

    def wrong(self: KernelOnCpu, job: Any, streams: int, stream: int) -> None:
        job.log_scale_floor = 1.0
        job.fade_low = 0.001
        play(self, job, streams, stream)

    monkeypatch.setattr(KernelOnCpu, "launch", wrong)
    rows = rehearsed("parity cluster")
    assert not rows["parity"][0]["passed"]
    assert not rows["hand_over"][0]["passed"]


def test_what_fails_is_a_row_with_its_traceback_and_the_rest_runs(
    rehearsed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_sections, "parity", lambda *_, **__: 1 / 0)
    rows = rehearsed("parity cluster")
    assert "ZeroDivisionError" in rows["parity"][0]["traceback"]
    assert rows["hand_over"][0]["passed"]


def test_table_and_plot_of_a_bench(rehearsed: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gpu_sections, "models", lambda bundles=True: list(small_models())[:1])
    bench = rehearsed("bench cluster")
    assert [row["streams"] for row in bench["throughput"]] == [1, 4]
    assert all(row["finite"] for row in bench["throughput"])
    limits = {"l2_read_one_multiprocessor_gbps": 60.0, "l2_read_all_gbps": 5000.0}
    floors = [{"model": "stage", **gpu_sections.floors(STAGE, limits)}]
    assert floors[0]["one_multiprocessor_us"] > 50 * floors[0]["all_multiprocessors_us"]
    sections = {"bench cluster": {"exit": 0, **bench}, "limits": {"exit": 1, "log": "no\nGPU", "floors": floors}}
    result = {"environment": {"nvidia_smi": "none"}, "sections": sections}
    assert "limits: 1: GPU" in gpu.table(result)
    gpu_plot.draw(result, tmp_path / "gpu.png")
    assert (tmp_path / "gpu.png").stat().st_size > 10_000


def test_the_baselines_run(rehearsed: Any) -> None:
    rows = rehearsed("baselines")["baselines"]
    assert [(row["program"], row["model"]) for row in rows] == [
        ("captured", "stage"), ("captured", "classic"), ("eager", "stage"), ("eager", "classic"),
    ]  # fmt: skip
    assert all(row["steps_per_s"] > 0 for row in rows)


def test_a_section_past_its_limit_is_killed_and_leaves_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    script = "import sys, time, pathlib; pathlib.Path(sys.argv[sys.argv.index('--out') + 1], 'rows.json').write_text("
    script += "'{\"parity\": [1]}'); print('begun', flush=True); time.sleep(60)"
    start = subprocess.Popen
    monkeypatch.setattr(
        gpu.subprocess, "Popen", lambda command, **how: start([sys.executable, "-c", script, *command], **how)
    )
    found = gpu._run_together(("parity cluster",), 2.0, quick=True)["parity cluster"]
    assert found["parity"] == [1]
    assert str(found["exit"]).startswith("killed")
    assert "begun" in found["log"]


@pytest.mark.skipif(DEVICE == "cuda", reason="there is a GPU")
def test_without_a_gpu_it_is_one_line_and_exit_2(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "livemove.diagnostics.gpu", "--out", str(tmp_path / "out")],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert (done.returncode, len(done.stdout.splitlines())) == (2, 1)
    assert not (tmp_path / "out").exists()


def test_nothing_of_it_imports_audio_camera_or_window() -> None:
    script = (
        "import sys, livemove.diagnostics.gpu, livemove.diagnostics.gpu_sections, livemove.diagnostics.gpu_plot\n"
        "print([m for m in ('sounddevice', 'cv2', 'mediapipe', 'soundfile', 'PySide6', 'soxr') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
