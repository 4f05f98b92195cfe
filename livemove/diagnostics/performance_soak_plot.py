"""The plot of `livemove soak`: latency, memory, underruns over the minutes, with faults and the control's own lapses.

In: a PerformanceSoak and its Traces. Out: a file. Needs matplotlib (`livemove[plot]`).
"""

# matplotlib's stubs are partial.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from livemove.contracts import OutputError
from livemove.diagnostics.performance_soak import PerformanceSoak, Traces


def check_plots() -> None:
    """Before the minutes, not after them. Raises OutputError without matplotlib."""
    if importlib.util.find_spec("matplotlib") is None:
        raise OutputError("a soak test draws its report with matplotlib: pip install 'livemove[plot]'")


def draw(path: Path, report: PerformanceSoak, traces: Traces) -> None:
    """Raises OutputError where the file cannot be written."""
    from matplotlib.figure import Figure

    rows = traces.rows
    zero_s = float(rows["at_s"][0] - rows["seconds"][0]) if len(rows) else 0.0
    minutes = (rows["at_s"] - zero_s) / 60
    figure = Figure(figsize=(12, 8), layout="constrained")
    latency, memory, underruns = figure.subplots(3, 1, sharex=True)
    latency.plot(minutes, rows["p95_ms"], color="0.7", linewidth=0.8, label="95 %")
    latency.plot(minutes, rows["p50_ms"], color="tab:blue", linewidth=0.8, label="median of two seconds")
    latency.set(ylabel="motion to sound, ms", ylim=(0, None), title=f"{report.engine}, {report.device}")
    latency.legend(loc="lower right")
    known = np.isfinite(rows["memory_mb"])
    memory.plot(minutes[known], rows["memory_mb"][known], color="tab:green")
    memory.set(ylabel="memory of all processes, MB", ylim=(0, None))
    underruns.step(minutes, rows["underruns"], where="post", color="tab:red", label=f"underruns: {report.underruns}")
    without = report.without_control
    label = f"without a control: {without}" if without else f"control late: {report.control_late}"
    late = (traces.control[:, 1] - zero_s) / 60
    underruns.plot(late, np.zeros(len(late)), "|", color="black", markersize=12, label=label)
    underruns.set(xlabel="minutes", ylabel="underruns")
    for n, fault_s in enumerate(traces.faults_s):
        for panel in (latency, memory, underruns):
            name = f"faults: {len(traces.faults_s)}" if not n and panel is underruns else None
            panel.axvline((fault_s - zero_s) / 60, color="tab:orange", linewidth=0.8, label=name)
    underruns.legend(loc="upper left")
    try:
        figure.savefig(path, dpi=110)
    except (OSError, ValueError) as error:
        raise OutputError(f"{path}: cannot be written: {error}") from error
