"""The benchmark behind `livemove bench`: engines against the same core's sgemm, in one run.

In: which engines and settings, or bundles. Out: a plain dict for the table or --json. Prints nothing. Everything runs
in one child process whose BLAS was told to use one thread before it started; measurements of all engines and of sgemm
take turns, so that a noisy machine is noisy to all of them.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from livemove.contracts import HOP, Engine, EngineError, Float32, ModelSpec, Weights
from livemove.synthesis import settings

ENGINES = ("native", "native-int8", "cuda", "onnx", "reference")
SETTINGS = {"classic": settings.classic, "stage": settings.stage}
SGEMM_SIZE = 1024
ONE_THREAD = (
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OMP_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "BLIS_NUM_THREADS",
)

Row = dict[str, str | float]


@dataclass
class Contender:
    """One engine on one setting, and what its rounds measured."""

    engine_name: str
    setting: str
    detail: str
    spec: ModelSpec
    engine: Engine
    channels: Float32
    noise: Float32
    out: Float32
    steps_per_s: list[float] = field(default_factory=lambda: [])
    fraction: list[float] = field(default_factory=lambda: [])


@dataclass(frozen=True)
class Model:
    """What to measure: a setting with its weights and, for the onnx engine, its graph."""

    setting: str
    spec: ModelSpec
    weights: Weights
    onnx_path: Path | None


def multiply_adds(spec: ModelSpec) -> int:
    """Multiply-adds of the network per step; one is two FLOP.

    layers * (past 2R^2 + now 2R^2 + skip R*S) + (layers - 1) * residual R^2 + head S*A + A*parameters
    + input: 2*bands*R (none for the mu-law embedding) + phase 2K*R. What runs once a hop is not counted.
    """
    r = spec.residual
    count = spec.layers * (4 * r * r + r * spec.skip) + (spec.layers - 1) * r * r
    count += spec.skip * spec.hidden + spec.hidden * spec.parameters + spec.phase_width * r
    return count + (0 if spec.head == "mulaw" else 2 * spec.bands * r)


def run(
    engines: Sequence[str] = ENGINES,
    models: Sequence[Model] | None = None,
    repeats: int = 7,
    seconds_per_round: float = 0.15,
) -> dict[str, object]:
    """Measure engines (of ENGINES) on models (default: every setting with random weights) on one thread.

    {"sgemm_gflops": median of one core, "flop": the formula, "cpu": name, "repeats": rounds,
    "results": [{engine, setting, detail, steps_per_s, samples_per_s, realtime, gflops, fraction_of_sgemm}],
    "absent": [{engine, setting, why}]}. Medians over the rounds; fraction_of_sgemm is that of each round's own ratio.
    Raises EngineError for an unknown engine.
    """
    unknown = [name for name in engines if name not in ENGINES]
    if unknown:
        raise EngineError(f"bench: no engine called {unknown[0]}; choose from {', '.join(ENGINES)}")
    chosen = random_models() if models is None else models
    with _one_thread(), ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as child:
        return child.submit(_measure, tuple(engines), tuple(chosen), repeats, seconds_per_round).result()


def random_models(graphs: dict[str, Path] | None = None) -> list[Model]:
    """Every setting with random weights; graphs: setting -> generator.onnx of that size, whatever its weights."""
    models: list[Model] = []
    for name, make in SETTINGS.items():
        spec = make()
        models.append(Model(name, spec, settings.random_weights(spec), (graphs or {}).get(name)))
    return models


@contextlib.contextmanager
def _one_thread() -> Generator[None]:
    """BLAS libraries read these when they load: they must be set before the child's interpreter starts."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _measure(engines: tuple[str, ...], models: tuple[Model, ...], repeats: int, seconds: float) -> dict[str, object]:
    contenders: list[Contender] = []
    absent: list[Row] = []
    for model in models:
        for name in engines:
            made = _contender(name, model, seconds)
            if isinstance(made, Contender):
                contenders.append(made)
            else:
                absent.append(made)
    matrix = np.random.default_rng(0).standard_normal((SGEMM_SIZE, SGEMM_SIZE), np.float32)
    product = np.empty_like(matrix)
    _sgemm_gflops(matrix, product)
    sgemm: list[float] = []
    for _ in range(repeats):
        for c in contenders:
            sgemm.append(_sgemm_gflops(matrix, product))
            c.steps_per_s.append(_steps_per_s(c))
            c.fraction.append(2e-9 * multiply_adds(c.spec) * c.steps_per_s[-1] / sgemm[-1])
    return {
        "sgemm_gflops": statistics.median(sgemm) if sgemm else _sgemm_gflops(matrix, product),
        "flop": "2 per multiply-add of the network: layers, head, input; see livemove.bench.multiply_adds",
        "cpu": _cpu_name(),
        "repeats": repeats,
        "results": [_row(c) for c in contenders],
        "absent": absent,
    }


def _contender(name: str, model: Model, seconds: float) -> Contender | Row:
    """The engine with material for rounds of about `seconds`; or why it is absent."""
    try:
        engine, detail = _make(name, model)
    except EngineError as error:
        return {"engine": name, "setting": model.setting, "why": str(error)}
    spec = model.spec
    rng = np.random.default_rng(1)

    def take(hops: int) -> Contender:
        low = np.array([c.minimum for c in spec.channels], np.float32)
        high = np.array([c.maximum for c in spec.channels], np.float32)
        channels = np.asarray(low + (high - low) * rng.random((hops, len(spec.channels))), np.float32)
        noise = rng.random((hops * spec.steps_per_hop, spec.noise_width), np.float32)
        return Contender(name, model.setting, detail, spec, engine, channels, noise, np.zeros(hops * HOP, np.float32))

    trial = take(1)
    _steps_per_s(trial)
    speed = _steps_per_s(trial)
    return take(max(1, round(seconds * speed / spec.steps_per_hop)))


def _make(name: str, model: Model) -> tuple[Engine, str]:
    """The engine and its row's detail: instruction set, precision, provider."""
    if name.startswith("native"):
        from livemove.synthesis.native import NativeEngine

        native = NativeEngine(model.spec, model.weights, precision="int8" if name == "native-int8" else "fp16")
        return native, f"{native.instruction_set}, {native.precision} weights"
    if name == "onnx":
        if model.onnx_path is None:
            raise EngineError(f"no generator.onnx of the {model.setting} setting at hand; give a bundle that has one")
        from livemove.synthesis.onnx import OnnxEngine

        return OnnxEngine(model.spec, model.onnx_path), "CPU, 1 thread"
    if name == "cuda":
        from livemove.synthesis.cuda import CudaEngine

        return (engine := CudaEngine(model.spec, model.weights)), engine.detail
    from livemove.synthesis.reference import ReferenceEngine

    return ReferenceEngine(model.spec, model.weights), "NumPy"


def _steps_per_s(c: Contender) -> float:
    started = time.perf_counter()
    c.engine.generate(c.out, c.channels, c.noise)
    return len(c.noise) / (time.perf_counter() - started)


def _sgemm_gflops(matrix: Float32, product: Float32) -> float:
    started = time.perf_counter()
    np.matmul(matrix, matrix, out=product)
    return 2e-9 * SGEMM_SIZE**3 / (time.perf_counter() - started)


def _row(c: Contender) -> Row:
    steps = statistics.median(c.steps_per_s)
    return {
        "engine": c.engine_name,
        "setting": c.setting,
        "detail": c.detail,
        "steps_per_s": steps,
        "samples_per_s": steps * c.spec.bands,
        "realtime": steps * c.spec.bands / c.spec.sample_rate,
        "gflops": 2e-9 * multiply_adds(c.spec) * steps,
        "fraction_of_sgemm": statistics.median(c.fraction),
    }


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
