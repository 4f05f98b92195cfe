"""`bench --sizes` as a plot: what a step costs over receptive field, layers, width, bands and voices, and the limits.

In: what `bench.run` returned for sizes and voices, and a file name. Out: the file. The limits are counted and measured,
not fitted: what a step reads over the bandwidth of each level, and its multiply-adds over sgemm.
"""

# matplotlib's stubs are partial.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

from livemove.diagnostics.bench_plot import new_figure, save

Rows = Sequence[Mapping[str, Any]]

LABELS = {
    "receptive field": "receptive field, s",
    "layers": "layers",
    "width": "residual channels (skip twice as many)",
    "bands": "bands",
    "voices": "voices in one pass",
}
COLOURS = {"native": "tab:blue", "native-int8": "tab:orange"}
STYLES: dict[str, Literal["dotted", "dashed", "dashdot"]] = {"L1": "dotted", "L2": "dashed", "memory": "dashdot"}


def draw(result: Mapping[str, object], path: Path) -> None:
    """A panel a dimension, a curve with its range for each native engine. Raises LivemoveError."""
    figure = new_figure(16.0, 9.5)
    panels = figure.subplots(2, 3).ravel()
    for panel, dimension in zip(panels, LABELS, strict=False):
        for engine, colour in COLOURS.items():
            places, rows = curve(result, engine, dimension)
            if not rows:
                continue
            middle = [row["us_per_step"] for row in rows]
            below = [
                m * (1 - row["samples_per_s"] / row["samples_per_s_max"]) for m, row in zip(middle, rows, strict=True)
            ]
            above = [
                m * (row["samples_per_s"] / row["samples_per_s_min"] - 1) for m, row in zip(middle, rows, strict=True)
            ]
            filled = "white" if any(row["noisy"] for row in rows) else None
            panel.errorbar(places, middle, [below, above], color=colour, marker="o", capsize=3, mfc=filled)
            for name, bounds in limits(result, rows).items():
                line = {"color": colour, "alpha": 0.7} if name in STYLES else {"color": "black"}
                panel.plot(places, bounds, linestyle=STYLES.get(name, "solid"), linewidth=1, **line)
            _mark_capacity(panel, result, places, rows, colour)
        panel.set_xscale("log", base=2)
        panel.set_yscale("log")
        panel.set_xlabel(LABELS[dimension])
        panel.set_ylabel("µs per step" + (" and voice" if dimension == "voices" else ""))
        at = sorted({place for engine in COLOURS for place in curve(result, engine, dimension)[0]})
        panel.set_xticks(at, [f"{place:.2g}" if place < 1 else f"{place:.3g}" for place in at])
        panel.minorticks_off()
        panel.grid(which="both", alpha=0.2)
    _explain(panels[len(LABELS)], result)
    figure.suptitle(f"{result['cpu']}, one core: R64 S128, 10 layers, 16 bands, one dimension at a time")
    save(figure, path)


def curve(result: Mapping[str, object], engine: str, dimension: str) -> tuple[list[float], Rows]:
    """Places along a dimension, in order, and their rows; the stage architecture is one of every curve."""
    if dimension == "voices":
        found = [(float(row["voices"]), row) for row in _rows(result, "voices") if row["setting"] == "stage"]
    else:
        found = [(float(row["at"]), row) for row in _rows(result, "results") if row["dimension"] == dimension]
        of_stage = {"receptive field": "receptive_field_s", "layers": "layers", "width": "residual", "bands": "bands"}
        stage = [row for row in _rows(result, "results") if row["setting"] == "stage"]
        known = {(row["engine"], place) for place, row in found}
        found += [
            (place, row) for row in stage if (row["engine"], place := float(row[of_stage[dimension]])) not in known
        ]
    own = sorted((pair for pair in found if pair[1]["engine"] == engine), key=lambda pair: pair[0])
    return [place for place, _ in own], [row for _, row in own]


def limits(result: Mapping[str, object], rows: Rows) -> dict[str, list[float]]:
    """Name -> least µs per step (and voice) at each row: all it reads from L1, L2, memory; its products at sgemm."""
    gbps = cast("Mapping[str, float]", result["read_gbps"])
    found = {level: [1e-3 * row["bytes_per_step"] / gbps[level] for row in rows] for level in STYLES if level in gbps}
    sgemm = cast("float", result["sgemm_gflops"])
    return found | {"sgemm": [row["us_per_step"] * row["gflops"] / sgemm for row in rows]}


def _mark_capacity(panel: Any, result: Mapping[str, object], places: list[float], rows: Rows, colour: str) -> None:
    """A tick on the curve from where on weights and layer inputs no longer fit a cache."""
    for level, size in cast("Mapping[int, int]", result["caches"]).items():
        over = [i for i, row in enumerate(rows) if row["bytes_kept"] > size]
        if not over or len(over) == len(rows):
            continue
        i = over[0]
        panel.annotate(
            f"> L{level}", (places[i], rows[i]["us_per_step"]), xytext=(0, 12 if colour == "tab:blue" else -20),
            textcoords="offset points", color=colour, fontsize="small", ha="center",
        )  # fmt: skip


def _explain(panel: Any, result: Mapping[str, object]) -> None:
    """The legend, in a panel of its own, where it covers nothing."""
    from matplotlib.lines import Line2D

    gbps = cast("Mapping[str, float]", result["read_gbps"])
    sizes = cast("Mapping[int, int]", result["caches"])
    rows = [*_rows(result, "results"), *_rows(result, "voices")]
    handles: list[Any] = []
    for engine, colour in COLOURS.items():
        own = [row for row in rows if row["engine"] == engine]
        noisy = sum(bool(row["noisy"]) for row in own)
        if own:
            told = f": {noisy} of {len(own)} noisy, no figures" if noisy else ""
            handles.append(
                Line2D([], [], color=colour, marker="o", mfc="white" if noisy else None, label=engine + told)
            )
    handles += [
        Line2D([], [], color="gray", linestyle=style, label=f"all a step reads, from {level} at {gbps[level]:.3g} GB/s")
        for level, style in STYLES.items()
        if level in gbps
    ]
    of_sgemm = f"its products at sgemm's {result['sgemm_gflops']:.3g} GFLOP/s (float32)"
    handles.append(Line2D([], [], color="black", label=of_sgemm))
    lines = [
        "Broken lines have the colour of their engine.",
        "int8 products and AVX-512 may be faster than sgemm.",
        "“> L2”: weights and layer inputs are more than that.",
        ", ".join(f"L{level} {size >> 10:,} KB" for level, size in sizes.items()) or "caches: not told",
        f"Points: medians of {result['repeats']}; bars: minimum to maximum.",
    ]
    panel.axis("off")
    panel.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.0, 1.0), frameon=False)
    panel.text(0.02, 0.6, "\n".join(lines), va="top", fontsize="medium", transform=panel.transAxes)


def _rows(result: Mapping[str, object], name: str) -> Rows:
    return cast("Rows", result[name])
