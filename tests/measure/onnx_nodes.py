"""What the onnx engine pays for: `python -m tests.measure.onnx_nodes [MODEL...]`.

Of each model's graph: nodes a step, by kind, as written and as ONNX Runtime runs it; a step's time by the thread's
clock, which stands still while other processes have the core, with its fusions and without; of a graph with the same
nodes whose matrices are a sixteenth in size and less, so that what is left is the nodes; and of the native engine. All
in turn with sgemm, at whose rate the multiply-adds alone would take so long as is told last.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import onnx

from livemove.bundle import load_bundle
from livemove.contracts import Engine, EngineError
from livemove.diagnostics.bench import SGEMM_SIZE, _material, _one_thread
from livemove.diagnostics.bench_models import multiply_adds
from livemove.synthesis import architectures
from livemove.synthesis import onnx as onnx_engine
from livemove.synthesis.native import NativeEngine
from training.model import onnx_graph

HOPS = 8
REPEATS = 9
FIRST = 5
"""Kinds of nodes that a line names."""


def seconds(play: Callable[[], object]) -> float:
    started = time.thread_time()
    play()
    return time.thread_time() - started


def kinds(graph: onnx.GraphProto, steps: int) -> str:
    found = Counter(node.op_type for node in graph.node)
    most = ", ".join(f"{count / steps:.1f} {kind}" for kind, count in found.most_common(FIRST))
    return f"{len(graph.node) / steps:.1f} nodes a step ({most})"


@contextlib.contextmanager
def session_options(**options: object) -> Generator[None]:
    """Meanwhile sessions of the onnx engine are made with these as well."""
    original = onnx_engine.ort.SessionOptions

    def made() -> Any:
        found = original()
        for name, value in options.items():
            setattr(found, name, value)
        return found

    onnx_engine.ort.SessionOptions = made  # type: ignore[misc, assignment]
    try:
        yield
    finally:
        onnx_engine.ort.SessionOptions = original  # type: ignore[misc]


def measure(name: str) -> None:
    bundle = load_bundle(name)
    if bundle.onnx_path is None:
        print(f"{name}: no generator.onnx")
        return
    spec = bundle.spec
    channels, noise, out = _material(spec, HOPS)
    unfused = onnx_engine.ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    with tempfile.TemporaryDirectory() as folder:
        with session_options(optimized_model_filepath=(path := f"{folder}/optimised.onnx")):
            engine = onnx_engine.OnnxEngine(spec, bundle.onnx_path)
        optimised, steps = onnx.load(path), engine._steps
    with session_options(graph_optimization_level=unfused):
        plain = onnx_engine.OnnxEngine(spec, bundle.onnx_path)
    thin = replace(spec, residual=16, skip=16, hidden=16)
    nodes_only = onnx_engine.OnnxEngine(thin, onnx_graph.build(thin, architectures.random_weights(thin)))
    print(f"{name}, {steps} steps a run: as written {kinds(onnx.load(str(bundle.onnx_path)).graph, steps)}")
    print(f"  as ONNX Runtime {onnx_engine.ort.__version__} runs it {kinds(optimised.graph, steps)}")

    def player(engine: Engine) -> Callable[[], None]:
        return lambda: engine.generate(out, channels, noise, temperature=spec.temperature)

    matrix = np.random.default_rng(0).standard_normal((SGEMM_SIZE, SGEMM_SIZE), np.float32)
    product = np.empty_like(matrix)
    plays = [player(e) for e in (engine, plain, nodes_only, NativeEngine(spec, bundle.weights))]
    plays.append(lambda: np.matmul(matrix, matrix, out=product))
    for play in plays:
        play()
    times = np.array([[seconds(play) for play in plays] for _ in range(REPEATS)])
    a_step = 1e6 * times[:, :4] / (HOPS * spec.steps_per_hop)
    names = ("onnx", "without its fusions", "the nodes without their widths", "native")
    for column, what in zip(a_step.T, names, strict=True):
        middle = float(np.median(column))
        share = np.median(column / a_step[:, 0])
        print(
            f"  {what}: {middle:.1f} µs a step ({column.min():.1f} to {column.max():.1f}), {share:.2f} of onnx, "
            f"{1e6 / middle / spec.step_rate:.1f} x real time"
        )
    gflops = 2e-9 * SGEMM_SIZE**3 / statistics.median(times[:, 4])
    a_node = 1e3 * np.median(a_step[:, 2]) * steps / len(optimised.graph.node)
    arithmetic = 2e-3 * multiply_adds(spec) / gflops
    print(f"  {a_node:.0f} ns a node; the multiply-adds at sgemm's {gflops:.0f} GFLOP/s: {arithmetic:.1f} µs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=["theremin", "theremin-full"])
    names = parser.parse_args().models
    with _one_thread(), ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as child:
        for name in names:
            try:
                child.submit(measure, name).result()
            except EngineError as error:
                print(f"{name}: {error}")


if __name__ == "__main__":
    main()
