"""What `livemove bench` shows, as text: its result in, a table and remarks out. Pure functions; print nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from livemove.cli.text import Table

KB, MB = 1 << 10, 1 << 20


def table(result: Mapping[str, Any]) -> Table:
    """Engines and their speeds, each with its range; beside a baseline also how many times its speed.

    A row whose run was noisy says so in place of "figure": what stands there is no property of the engine.
    """
    slow = {b["setting"]: b["steps_per_s"] for b in result.get("baseline", [])}
    columns = ("engine", "architecture", "samples/s>", "min … max>", "real time>", "µs/layer>", "of sgemm>")
    return Table(
        (*columns, "min … max>", *(["× torch>"] if slow else []), "a figure?", ""),
        [
            (
                r["engine"],
                r["setting"],
                f"{r['samples_per_s']:,.0f}",
                f"{r['samples_per_s_min']:,.0f} … {r['samples_per_s_max']:,.0f}",
                f"{r['realtime']:.2f}",
                f"{r['us_per_layer']:.2f}",
                f"{r['fraction_of_sgemm']:.2f}",
                f"{r['fraction_of_sgemm_min']:.2f} … {r['fraction_of_sgemm_max']:.2f}",
                *([f"{r['steps_per_s'] / slow[r['setting']]:,.0f}"] if slow else []),
                f"[yellow]{r['noisy']}[/]" if r["noisy"] else "figure",
                r["detail"],
            )
            for r in result["results"]
        ],
    )


def remarks(result: Mapping[str, Any]) -> list[str]:
    """What stands under the table: several streams at once, the baseline, what was not there, the machine."""
    lines = [f"{row['engine']} {row['setting']}: {row['why']}" for row in result["absent"]]
    lines += [_voices(row) for row in result["voices"]]
    lines += [
        f"{row['engine']} {row['setting']}, streams at once: {row['streams']}: {row['samples_per_s']:,.0f} samples/s "
        f"({row['samples_per_s_min']:,.0f} … {row['samples_per_s_max']:,.0f}), {row['fraction_of_sgemm']:.2f} of one "
        f"core's sgemm; {row['noisy'] or 'figure'}"
        for row in result["streams"]
    ]
    lines += [
        f"eager PyTorch, {row['setting']}: {row['samples_per_s']:,.0f} samples/s" for row in result.get("baseline", [])
    ]
    lines.append(
        f"roofline: sgemm {result['sgemm_gflops']:.1f} GFLOP/s; reads "
        + ", ".join(f"{gbps:.3g} GB/s from {level}" for level, gbps in result["read_gbps"].items())
        + f" (float32 weights from memory: {result['memory_gbps'] / 2:.1f} GFLOP/s)"
    )
    lines.append(
        f"one core of {result['cpu']}, {_caches(result['caches'])}; frequency governor "
        f"{result['governor'] or 'not told'}; stolen by the host "
        + ("not told" if result["stolen_share"] is None else f"{100 * result['stolen_share']:.1f} %")
        + f"; medians of {result['repeats']}"
    )
    return lines


def _voices(row: Mapping[str, Any]) -> str:
    line = (
        f"{row['engine']} {row['setting']}, voices in one pass: {row['voices']}: {row['samples_per_s']:,.0f} "
        f"samples/s, {row['fraction_of_sgemm']:.2f} of sgemm; "
    )
    if row["cost_of_a_further_voice"] is not None:
        line += (
            f"a further voice costs {row['cost_of_a_further_voice']:.2f} ({row['cost_of_a_further_voice_min']:.2f} … "
            f"{row['cost_of_a_further_voice_max']:.2f}) of one alone; "
        )
    return line + (row["noisy"] or "figure")


def _caches(sizes: Mapping[int, int]) -> str:
    told = [f"L{level} {size // MB} MB" if size >= MB else f"L{level} {size // KB} KB" for level, size in sizes.items()]
    return " ".join(told) or "caches not told"
