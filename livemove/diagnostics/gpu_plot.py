"""The figures of `livemove.diagnostics.gpu` as a plot: streams, latency, what a step's time goes to.

In: its result and a file name. Out: the file. matplotlib is needed here only.
"""

# matplotlib's stubs are partial.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

COLOURS = {"stage": "tab:blue", "classic": "tab:orange"}
STYLES = {"cluster": "o-", "triton": "s--"}


def rows_of(result: Mapping[str, Any], group: str) -> Iterator[Mapping[str, Any]]:
    """All rows of this group that hold figures, of all sections."""
    for section in result["sections"].values():
        for row in section.get(group, ()):
            if "error" not in row:
                yield row


def draw(result: Mapping[str, Any], path: Path) -> None:
    """Three panels: speed by streams with PyTorch's for comparison, GPU time per step and its floors, latency."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15.0, 5.0), layout="constrained")
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3)
    lines: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for row in rows_of(result, "throughput"):
        lines.setdefault((row["model"], row["kernel"]), []).append((row["streams"], row["realtime"]))
    for (model, kernel), points in lines.items():
        x, y = zip(*sorted(points), strict=True)
        left.plot(x, y, STYLES.get(kernel, "x-"), color=COLOURS.get(model), label=f"{model}, {kernel}")
    for row in rows_of(result, "baselines"):
        left.plot(1, row["realtime"], "*" if row["program"] == "captured" else "+", color=COLOURS.get(row["model"]),
                  label=f"{row['model']}, PyTorch {row['program']}")  # fmt: skip
    left.set(xscale="log", yscale="log", xlabel="streams", ylabel="times real time, all streams together")
    left.legend(fontsize="small")
    times = {f"{r['model']}\n{r['kernel']}": r["gpu_us_per_step"] for r in rows_of(result, "throughput")
             if r["streams"] == 1 and "gpu_us_per_step" in r}  # fmt: skip
    for row in rows_of(result, "floors"):
        if row["model"] in COLOURS:
            times[f"{row['model']}\nL2, one SM"] = row["one_multiprocessor_us"]
    middle.barh(list(times), list(times.values()))
    middle.set(xlabel="microseconds per step, one stream")
    names: list[str] = []
    for n, row in enumerate(rows_of(result, "latency")):
        names.append(f"{row['model']}\n{row['kernel']}")
        for key, marker in (("median_ms", "o"), ("p99_ms", "|"), ("p999_ms", "x")):
            right.plot(row[key] / row["hop_ms"], n, marker, color="black")
    right.set_yticks(range(len(names)), names)
    right.set(xscale="log", xlabel="one hop per call / the hop's length: median o, 99 % |, 99.9 % x")
    right.axvline(1.0, color="red", linewidth=1)
    figure.suptitle(str(result["environment"]["nvidia_smi"]).splitlines()[-1])
    figure.savefig(path, dpi=110)
