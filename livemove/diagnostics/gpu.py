"""`python -m livemove.diagnostics.gpu --out DIR`: the cuda engine, both of its kernels, on this machine in 3 minutes.

In: a folder. Out: DIR/gpu.json and DIR/gpu.png, a table on standard output; exit status 2 and one line without a GPU.
Every section runs in a process of its own with a time limit, so that a kernel that hangs or dies costs only itself.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

LIMIT_S = 175.0
"""For all together; what is left when it is up is not started."""

PACKAGES = ("numpy", "torch", "triton", "cuda-bindings", "onnxruntime", "nanobind", "safetensors", "matplotlib")

SECTIONS: tuple[tuple[tuple[str, ...], float], ...] = (
    (("parity cluster", "parity triton"), 75.0),  # together: both mostly compile
    (("bench triton",), 60.0),
    (("bench cluster",), 45.0),
    (("limits",), 25.0),
    (("baselines",), 60.0),
)
"""Sections that run at the same time, and their limit in seconds; the most important first."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--quick", action="store_true", help="fewer streams and repeats, half the time")
    parser.add_argument("--section", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.section:
        run_section(chosen.section, chosen.out, quick=chosen.quick)
        return 0
    if why := _no_gpu():
        print(why)
        return 2
    chosen.out.mkdir(parents=True, exist_ok=True)
    result = measure(chosen.out, quick=chosen.quick)
    print(table(result))
    return 0


def measure(out: Path, *, quick: bool) -> dict[str, Any]:
    """All sections; gpu.json is written again after each, gpu.png at the end."""
    began_s = time.perf_counter()
    result: dict[str, Any] = {"environment": environment(), "quick": quick, "sections": {}}
    for names, limit_s in SECTIONS:
        left_s = LIMIT_S - (time.perf_counter() - began_s)
        if left_s < 10:
            result["sections"].update({name: {"error": "no time left"} for name in names})
            continue
        result["sections"].update(_run_together(names, min(limit_s, left_s), quick=quick))
        result["took_s"] = time.perf_counter() - began_s
        _write(out / "gpu.json", result)
    try:
        from livemove.diagnostics import gpu_plot

        gpu_plot.draw(result, out / "gpu.png")
    except Exception as error:  # a plot must not cost the figures
        result["plot_error"] = repr(error)
        _write(out / "gpu.json", result)
    return result


def _run_together(names: tuple[str, ...], limit_s: float, *, quick: bool) -> dict[str, Any]:
    """Section -> its rows, exit status and what it said; a section past its limit is killed."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        until_s = time.perf_counter() + limit_s
        children: list[tuple[str, Path, subprocess.Popen[bytes]]] = []
        for name in names:
            own = Path(folder) / name.replace(" ", "-")
            own.mkdir()
            command = [sys.executable, "-m", "livemove.diagnostics.gpu", "--section", name, "--out", str(own)]
            with (own / "log").open("wb") as log:
                child = subprocess.Popen(command + ["--quick"] * quick, stdout=log, stderr=subprocess.STDOUT)
            children.append((name, own, child))
        for name, own, child in children:
            began_s = time.perf_counter()
            try:
                status: object = child.wait(max(0.1, until_s - began_s))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
                status = f"killed after {limit_s:.0f} s"
            written = own / "rows.json"
            rows: dict[str, Any] = json.loads(written.read_text()) if written.exists() else {}
            said = (own / "log").read_text(errors="replace")[-3000:]
            found[name] = {"exit": status, "log": said, **rows}
    return found


def run_section(name: str, out: Path, *, quick: bool, device: str = "cuda") -> None:
    """One section, in this process; OUT/rows.json is written again after every row."""
    from livemove.diagnostics import gpu_sections as sections

    rows: dict[str, Any] = {}

    def add(group: str, what: tuple[object, ...], work: Any) -> None:
        sections.attempt(rows.setdefault(group, []), what, work)
        _write(out / "rows.json", rows)

    what, _, kernel = name.partition(" ")
    small: dict[str, Any] = {"device": device}
    if device == "cpu":
        small["steps"] = 16  # an interpreter's pace
    if what == "parity":
        every = [*sections.models()]
        for model in every:
            add("parity", (model.name, "fp16"), lambda m=model: sections.parity(m, kernel, "fp16", **small))
        for model in every:
            if model.golden is not None:
                add("hand_over", (model.name,), lambda m=model: sections.hand_over(m, kernel, device))
        if kernel == "triton":
            for model in every:
                add("parity", (model.name, "fp32"), lambda m=model: sections.parity(m, kernel, "fp32", **small))
    elif what == "bench":
        every = [*sections.models(bundles=not quick)]
        for model in every:
            add("latency", (model.name,), lambda m=model: sections.latency(m, kernel, device, 0.5 if quick else 1.5))
        for model in every:
            counts = (1, 4, 64) if quick or model.golden is not None else sections.STREAMS
            for n in counts if device == "cuda" else counts[:2]:
                add("throughput", (model.name, n), lambda m=model, n=n: sections.throughput(m, kernel, n, **small))
    elif what == "limits":
        from livemove.diagnostics import gpu_device

        for part in (gpu_device.describe, gpu_device.launch_overhead, gpu_device.probe, gpu_device.copy_gbps):
            add(part.__name__, (part.__name__,), part)
        if "error" not in (limits := rows["probe"][0]):
            for model in sections.models():
                add("floors", (model.name,), lambda m=model: {"model": m.name, **sections.floors(m.spec, limits)})
    elif what == "baselines":
        for program in ("captured", "eager"):
            for model in sections.models(bundles=False):
                add("baselines", (program, model.name), lambda p=program, m=model: _baseline(p, m, device))


def _baseline(program: str, model: Any, device: str) -> dict[str, object]:
    """training/model/{eager,captured}.py: PyTorch's own speed, in a process of its own."""
    from livemove.bundle import spec_as_json

    command = [sys.executable, "-m", f"training.model.{program}", "--seconds", "1.5"]
    if program == "eager":
        command += ["--device", device]
    done = subprocess.run(command, input=spec_as_json(model.spec).encode(), capture_output=True, timeout=60)
    if done.returncode:
        raise RuntimeError(done.stderr.decode(errors="replace")[-2000:])
    steps = float(json.loads(done.stdout)["steps_per_s"])
    samples = steps * model.spec.bands
    return {
        "program": program, "model": model.name, "steps_per_s": steps, "samples_per_s": samples,
        "realtime": samples / model.spec.sample_rate,
    }  # fmt: skip


def environment() -> dict[str, object]:
    """Python, packages, CPU, driver and clocks as they are."""
    installed = {d.metadata["Name"].lower().replace("_", "-"): d.version for d in metadata.distributions()}
    versions = {name: installed.get(name, "not installed") for name in PACKAGES}
    query = "name,driver_version,pstate,clocks.sm,clocks.max.sm,clocks.mem,power.draw,temperature.gpu,memory.used"
    try:
        said = subprocess.run(
            ["nvidia-smi", f"--query-gpu={query}", "--format=csv"], capture_output=True, text=True, timeout=20
        ).stdout.strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        said = str(error)
    return {
        "python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count(),
        "packages": versions, "nvidia_smi": said, "onnx_providers": _onnx_providers(),
    }  # fmt: skip


def _onnx_providers() -> list[str]:
    try:
        from livemove.synthesis import onnx

        return onnx.available_providers()
    except Exception as error:  # not there, or not loadable: the engine has no say in that
        return [repr(error)]


def table(result: dict[str, Any]) -> str:
    """What a person wants to read first."""
    lines = [f"took {result.get('took_s', 0.0):.0f} s"]
    for name, section in result["sections"].items():
        if section.get("exit") != 0:
            last = (section.get("log", "").strip().splitlines() or [section.get("error", "")])[-1]
            lines.append(f"{name}: {section.get('exit', 'not run')}: {last}")
        for group, rows in section.items():
            if group not in ("exit", "log", "error"):
                lines += [f"{group:10} {_line(row)}" for row in rows]
    return "\n".join(lines)


def _line(row: Mapping[str, Any]) -> str:
    if "error" in row:
        return f"{' '.join(row.get('what', ()))}: {row['error']}"
    hidden = ("took_s", "detail", "clock_marks", "made_s")
    shown = {k: f"{v:.4g}" if isinstance(v, float) else str(v) for k, v in row.items() if k not in hidden}
    return " ".join(f"{k}={v}" for k, v in shown.items())


def _write(path: Path, what: object) -> None:
    draft = path.with_suffix(".part")
    draft.write_text(json.dumps(what, indent=1))
    draft.replace(path)


def _no_gpu() -> str:
    from livemove.synthesis import cuda

    return cuda.why_not()


if __name__ == "__main__":
    sys.exit(main())
