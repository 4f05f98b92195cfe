"""The benchmark's result as a plot: speed of every engine on every architecture, and the roofline of the machine.

In: what `bench.run` returned and a file name. Out: the file. matplotlib is needed here only, and only when asked for.
"""

# matplotlib's stubs are partial.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from livemove.contracts import LivemoveError, OutputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(result: Mapping[str, object], path: Path) -> None:
    """Two panels: multiples of real time, and GFLOP/s under what sgemm and memory would allow. Raises LivemoveError."""
    rows = cast("Sequence[Mapping[str, Any]]", result["results"])
    engines = list(dict.fromkeys(str(row["engine"]) for row in rows))
    names = list(dict.fromkeys(str(row["setting"]) for row in rows))
    figure = new_figure(11.0, 2.6 + 0.3 * len(names) * len(engines))
    left, right = figure.subplots(1, 2, sharey=True)
    height = 0.8 / len(engines)
    for n, engine in enumerate(engines):
        own = [row for row in rows if row["engine"] == engine]
        at = [names.index(row["setting"]) + n * height for row in own]
        left.barh(at, [row["realtime"] for row in own], height, label=engine)
        right.barh(at, [row["gflops"] for row in own], height, label=engine)
    left.set_yticks([n + 0.4 - height / 2 for n in range(len(names))], names)
    left.invert_yaxis()
    left.set_xscale("log")
    left.axvline(1.0, color="black", linewidth=1)
    left.set_xlabel("times real time, one core")
    right.set_xlabel("GFLOP/s")
    for name, limit in roofline(result).items():
        right.axvline(limit, color="black", linewidth=1, linestyle="dashed")
        right.annotate(
            name, (limit, 1.0), xycoords=("data", "axes fraction"), rotation=90, ha="left", va="top", fontsize="small"
        )
    right.legend(loc="lower right")
    figure.suptitle(str(result["cpu"]))
    save(figure, path)


def new_figure(width: float, height: float) -> Figure:
    """An empty one, in inches. Raises LivemoveError where matplotlib is not installed."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise LivemoveError(f"--plot needs matplotlib ({error}): pip install 'livemove[plot]'") from error
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: Path) -> None:
    """In the format of the file's name. Raises OutputError."""
    try:
        figure.savefig(path, dpi=120)
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot write {path}: {error}") from error


def roofline(result: Mapping[str, object]) -> dict[str, float]:
    """Name -> GFLOP/s that the machine allows: sgemm, and generation step by step with float32 weights from memory.

    Such a weight is read once a step, 4 bytes for the 2 FLOP of one multiply-add.
    """
    return {
        "sgemm": float(cast("float", result["sgemm_gflops"])),
        "float32 weights from memory": float(cast("float", result["memory_gbps"])) / 2,
    }
