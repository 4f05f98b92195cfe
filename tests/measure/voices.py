"""What a further voice of the native engine costs, by the thread's own clock: `python -m tests.measure.voices`.

`livemove bench --voices` measures the same by the clock on the wall, and is right on a calm machine. This clock stands
still while other processes have the core, so that ratios of one run hold on a busy one, too; what others do to the
caches is in them. Rows: one voice as a share of sgemm; 2, 4, 8 voices: what each further one costs in units of one
alone, median, minimum and maximum over the rounds, in each of which all take turns. With --sets: one voice on every
instruction set that this machine has, in units of the fastest.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from livemove.contracts import HOP, ModelSpec
from livemove.diagnostics.bench import SGEMM_SIZE, VOICES, _material, _one_thread
from livemove.diagnostics.bench_models import Model, multiply_adds, random_models
from livemove.synthesis.native import NativeVoices, instruction_sets

STEPS = 1024
"""Made at a time: a fixed number, since on a busy machine nobody can tell how many fit a second."""


def player(model: Model, engine: str, voices: int, instruction_set: str = "auto") -> Callable[[], None]:
    """Plays STEPS steps of so many voices."""
    spec, precision = model.spec, "int8" if engine == "native-int8" else "fp16"
    native = NativeVoices(spec, model.weights, voices, precision=precision, instruction_set=instruction_set)
    each = [_material(spec, STEPS * spec.bands // HOP, seed) for seed in range(voices)]
    channels, noise, out = (np.stack(arrays) for arrays in zip(*each, strict=True))
    return lambda: native.generate(out, channels, noise, styles=[0] * voices, temperatures=[1.0] * voices)


def seconds(play: Callable[[], object]) -> float:
    started = time.thread_time()
    play()
    return time.thread_time() - started


def row(model: Model, engine: str, repeats: int, sgemm: Callable[[], object]) -> str:
    plays = [player(model, engine, count) for count in VOICES]
    for play in plays:
        play()
    times = np.array([[seconds(play) / STEPS for play in plays] for _ in range(repeats)])
    gflops = np.median([2e-9 * SGEMM_SIZE**3 / seconds(sgemm) for _ in range(repeats)])
    one = float(np.median(times[:, 0]))
    parts = [f"{engine} {model.architecture}: {1e6 * one:.1f} µs a step, {share(model.spec, one, gflops):.2f} of sgemm"]
    for place, count in enumerate(VOICES[1:], 1):
        costs = (times[:, place] / times[:, 0] - 1) / (count - 1)
        parts.append(f"{count} voices {np.median(costs):.2f} ({costs.min():.2f} to {costs.max():.2f})")
    return "; ".join(parts)


def sets_row(model: Model, engine: str, repeats: int) -> str:
    plays = [player(model, engine, 1, name) for name in instruction_sets()]
    for play in plays:
        play()
    times = np.array([[seconds(play) / STEPS for play in plays] for _ in range(repeats)])
    parts: list[str] = []
    for name, own in zip(instruction_sets(), times.T, strict=True):
        ratios = own / times[:, 0]
        told = f"{np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f})"
        parts.append(f"{name} {1e6 * np.median(own):.1f} µs, {told}")
    return f"{engine} {model.architecture}: " + "; ".join(parts)


def share(spec: ModelSpec, step_s: float, gflops: float) -> float:
    return 2e-9 * multiply_adds(spec) / step_s / gflops


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--sets", action="store_true")
    given = parser.parse_args()
    with _one_thread(), ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as child:
        child.submit(measure, given.repeats, given.sets).result()


def measure(repeats: int, sets: bool) -> None:
    matrix = np.random.default_rng(0).standard_normal((SGEMM_SIZE, SGEMM_SIZE), np.float32)
    product = np.empty_like(matrix)
    for model in random_models():
        for engine in ("native", "native-int8"):
            if sets:
                print(sets_row(model, engine, repeats), flush=True)
            else:
                print(row(model, engine, repeats, lambda: np.matmul(matrix, matrix, out=product)), flush=True)


if __name__ == "__main__":
    main()
