"""Benchmarks: `livemove bench`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from livemove.cli import bench_text, text
from livemove.cli.number_types import Number, Whole
from livemove.cli.shared import (
    have_pose_model,
    json_option,
    pose_model_options,
    print_json,
    print_table,
    progress,
    stderr_console,
    unused,
)
from livemove.synthesis.synthesis_config import ENGINES

POSE_FRAMES = 200
"""How many frames `bench --clip` looks at."""


@click.command()
@click.option(
    "--model",
    "-m",
    "names",
    multiple=True,
    metavar="NAME|DIR",
    help="Measure this model; without it, the two architectures with random weights.",
)
@click.option("--all", "everyone", is_flag=True, help="Every model that `livemove models` lists.")
@click.option(
    "--engine",
    "-e",
    "engines",
    multiple=True,
    type=click.Choice(ENGINES),
    help="Only this engine; may be given several times.",
)
@click.option("--repeats", type=Whole(1, 100), default=7, show_default=True, help="Rounds; fewer are no figure.")
@click.option(
    "--sizes",
    is_flag=True,
    help="Also widths, depths, bands and receptive fields, voices, and several streams at once.",
)
@click.option(
    "--voices", is_flag=True, help="Also several voices of a model in one pass, and what a further one costs."
)
@click.option("--baseline", type=click.Choice(("torch",)), help="Beside an eager PyTorch generator, for scale.")
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw it, too; with --sizes, cost over each dimension under the limits of caches, memory and sgemm.",
)
@click.option(
    "--soak",
    "--steady",  # its former name
    "minutes",
    type=Number(0.01, 1e5),
    metavar="MINUTES",
    help="Instead: a soak test, each engine so long in real time, the other cores busy. Exit code 1: a hop was late.",
)
@click.option(
    "--clip",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Instead: how long a pose takes per frame of this video, by what computes it, and how far they are apart.",
)
@pose_model_options
@json_option
def bench(
    names: tuple[str, ...], everyone: bool, engines: tuple[str, ...], repeats: int, sizes: bool, voices: bool,
    baseline: str | None,
    plot: Path | None, minutes: float | None, clip: Path | None, pose: str, pose_model: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Measure the engines on one thread: median, minimum and maximum, each also as a ratio to the matrix product
    (sgemm) of the same core, which runs before and after every repeat. Where sgemm, other processes or the host tell of
    a disturbance, the row says "noisy": what it shows is no figure of the engine. An engine that does not reproduce a
    model's golden vector is named and not measured.

    \b
    livemove bench
    livemove bench --engine native --json
    livemove bench --model theremin
    livemove bench --all
    livemove bench --engine native --voices
    livemove bench --sizes --baseline torch --plot bench.png
    livemove bench --soak 10
    livemove bench --clip dance.mp4 --pose lite
    """
    if names and everyone:
        raise click.UsageError("either --all, or models by name")
    if clip is not None:
        _time_poses(clip, pose, pose_model, as_json)
        return
    if minutes is not None:
        _soak(names[0] if names else "theremin", engines or ("native", "onnx"), minutes, as_json)
        return
    from livemove.cli.models import models_to_measure
    from livemove.diagnostics import bench, bench_models, bench_plot, bench_sizes_plot

    models = models_to_measure(names, everyone)
    streams = range(1, min(os.cpu_count() or 1, 4) + 1) if sizes else ()
    with stderr_console().status("measuring …"):
        measured = [*models, *bench_models.size_models()] if sizes else models
        # The reference would take minutes for the sizes, and they have no graph for the onnx engine.
        default = ("native", "native-int8", "cuda") if sizes else ENGINES
        result = bench.run(
            engines or default, measured, repeats, streams=streams, voices=bench.VOICES if sizes or voices else ()
        )
        if baseline:
            result["baseline"] = bench.torch_baseline(measured)
    if plot is not None:
        (bench_sizes_plot if sizes else bench_plot).draw(result, unused(plot))
    if as_json:
        print_json(result)
        return
    print_table(bench_text.table(result))
    for line in bench_text.remarks(result):
        click.echo(line)


def _time_poses(clip: Path, kind: str, path: Path | None, as_json: bool) -> None:
    from livemove.capture.capture_config import CaptureConfig
    from livemove.diagnostics import pose_bench

    have_pose_model(CaptureConfig(camera=str(clip), pose=kind, pose_model=path))
    with progress("poses") as show:
        result = pose_bench.run(clip, kind, path, POSE_FRAMES, show)
    if as_json:
        print_json([pose_bench.as_json(row) for row in result])
    else:
        print_table(text.pose_times(result))


def _soak(model: str, engines: tuple[str, ...], minutes: float, as_json: bool) -> None:
    from livemove.bundle import load_bundle
    from livemove.diagnostics import soak

    with stderr_console().status(f"playing for {len(engines)} x {minutes:g} minutes …"):
        result = soak.run(load_bundle(model), engines, minutes)
    if as_json:
        print_json(result.as_json())
    else:
        print_table(text.soak(result.results))
        for row in result.absent:
            click.echo(f"{row['engine']}: {row['why']}")
        click.echo(f"{result.model}, blocks of {result.block}, meanwhile {result.load} on the other cores")
    click.get_current_context().exit(any(row.late for row in result.results))
