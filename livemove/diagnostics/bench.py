"""The benchmark behind `livemove bench`: engines against the same core's sgemm, in one run.

In: which engines and architectures, or bundles. Out: a plain dict for the table or --json. Prints nothing. Everything
runs in one child process whose BLAS was told to use one thread before it started; measurements of all engines and of
memory take turns, each between two of sgemm, which tell how far they can be trusted (repeats.py).
"""

from __future__ import annotations

import contextlib
import itertools
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from livemove.bundle import spec_as_json
from livemove.contracts import HOP, Engine, EngineError, Float32, ModelSpec
from livemove.diagnostics import cpu
from livemove.diagnostics.bandwidth import Bandwidth
from livemove.diagnostics.bench_models import Model, Row, multiply_adds, random_models, step_bytes
from livemove.diagnostics.repeats import Reference, Repeats
from livemove.synthesis.engines import proven
from livemove.synthesis.synthesis_config import ENGINES

SGEMM_SIZE = 1024
VOICES = (1, 2, 4, 8)
"""Voices of one model in one pass."""
LOCKSTEP = (1, 2, 4, 8, 16, 32, 64)
"""Streams at once on a GPU."""
LOCKSTEP_HOPS = 32
ONE_THREAD = (
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OMP_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "BLIS_NUM_THREADS",
)


@dataclass
class Contender:
    """One engine on one model, what plays `steps` steps of all its voices, and what its rounds measured."""

    engine_name: str
    model: Model
    detail: str
    play: Callable[[], object]
    steps: int
    voices: int = 1
    repeats: Repeats = field(default_factory=Repeats)


def run(
    engines: Sequence[str] = ENGINES,
    models: Sequence[Model] | None = None,
    repeats: int = 7,
    seconds_per_round: float = 0.15,
    streams: Sequence[int] = (),
    voices: Sequence[int] = (),
) -> dict[str, object]:
    """Measure engines (of ENGINES) on models (default: every architecture with random weights) on one thread.

    {"sgemm_gflops": median of one core, "read_gbps": {"L1", "L2" ... "memory": of reads, likewise}, "memory_gbps",
    "cache_gbps": two of them, "flop": the formula,
    "cpu": name, "governor": or None, "caches": {level: bytes}, "stolen_share": of the whole run, or None,
    "repeats": rounds,
    "results": [{engine, setting, detail, residual, layers, bands, receptive_field_s, steps_per_s, samples_per_s,
                 realtime, us_per_step, us_per_layer, gflops, fraction_of_sgemm, dimension and at of a `Model`,
                 bytes_per_step and bytes_kept of native engines, and those of `_trust`}],
    "voices": [{engine, setting, voices, steps_per_s of each, samples_per_s of all, fraction_of_sgemm,
                cost_of_a_further_voice: in units of one alone in the same round, and its _min and _max, `_trust`}],
                native engines, for each number of `voices`; None as the cost of one,
    "streams": [{engine, setting, streams, samples_per_s of all together, fraction_of_sgemm of one core, `_trust`}],
                native for each number of `streams`, a thread each; cuda for each of LOCKSTEP, where there is a GPU,
    "absent": [{engine, setting, why}]}. Medians over the rounds; fraction_of_sgemm is that of each round's own ratio.
    Raises EngineError for an unknown engine.
    """
    unknown = [name for name in engines if name not in ENGINES]
    if unknown:
        raise EngineError(f"bench: no engine called {unknown[0]}; choose from {', '.join(ENGINES)}")
    chosen = random_models() if models is None else models
    with _one_thread(), ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as child:
        measured = child.submit(
            _measure, tuple(engines), tuple(chosen), repeats, seconds_per_round, tuple(streams), tuple(voices)
        )
        return measured.result()


def torch_baseline(models: Sequence[Model], seconds: float = 2.0) -> list[Row]:
    """[{setting, steps_per_s, samples_per_s, realtime}] of training/model/eager.py in PyTorch, one thread.

    It runs in a process of its own, since nothing of livemove imports torch. Raises EngineError where it is not there.
    """
    rows: list[Row] = []
    for model in models:
        with _one_thread():
            done = subprocess.run(
                [sys.executable, "-m", "training.model.eager", "--seconds", str(seconds)],
                input=spec_as_json(model.spec).encode(),
                capture_output=True,
            )
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
            raise EngineError(
                f"--baseline torch: {said[-1]}: it needs PyTorch and the source tree: pip install -e '.[train]' there"
            )
        steps = float(json.loads(done.stdout)["steps_per_s"])
        samples = steps * model.spec.bands
        rows.append(
            {
                "setting": model.architecture,
                "steps_per_s": steps,
                "samples_per_s": samples,
                "realtime": samples / model.spec.sample_rate,
            }
        )
    return rows


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


def _measure(
    engines: tuple[str, ...],
    models: tuple[Model, ...],
    repeats: int,
    seconds: float,
    streams: tuple[int, ...],
    voices: tuple[int, ...] = (),
) -> dict[str, object]:
    contenders: list[Contender] = []
    absent: list[Row] = []
    if "cuda" in engines and (why := _no_gpu()):
        absent.append({"engine": "cuda", "setting": "all", "why": why})  # once, not for every model
        engines = tuple(name for name in engines if name != "cuda")
    for model in models:
        for name in engines:
            made = _contender(name, model, seconds)
            if isinstance(made, Contender):
                contenders.append(made)
            else:
                absent.append(made)
    sgemm = Sgemm()
    several = [
        [_several(c.engine_name, c.model, seconds, count) for count in voices]
        for c in contenders
        if c.engine_name.startswith("native") and not c.model.dimension
    ]
    bandwidth = Bandwidth()
    started = cpu.time_spent()
    for _ in range(repeats):
        bandwidth.measure()
        for c in (*contenders, *itertools.chain(*several)):
            sgemm.beside(c.repeats, lambda c=c: _steps_per_s(c))
    together = [
        _together(models[0], name, count, repeats, sgemm)
        for name in engines
        if name.startswith("native")
        for count in streams
    ]
    together += [
        _in_lockstep(model, count, repeats, sgemm)
        for model in models
        if any(c.engine_name == "cuda" and c.model.architecture == model.architecture for c in contenders)
        for count in LOCKSTEP
    ]
    ended = cpu.time_spent()
    return {
        "sgemm_gflops": sgemm.median,
        "read_gbps": (gbps := bandwidth.medians),
        "memory_gbps": gbps["memory"],
        "cache_gbps": gbps.get("L2", gbps["memory"]),
        "flop": "2 per multiply-add of the network: layers, head, input; see bench_models.multiply_adds",
        "cpu": cpu.name(),
        "governor": cpu.governor(),
        "caches": cpu.caches(),
        "stolen_share": (ended - started).stolen_share if started and ended else None,
        "repeats": repeats,
        "results": [_row(c) for c in contenders],
        "voices": [row for group in several for row in _voice_rows(group)],
        "streams": together,
        "absent": absent,
    }


class Sgemm:
    """The reference: a product of two float32 matrices by NumPy's BLAS on this thread."""

    def __init__(self) -> None:
        self._matrix = np.random.default_rng(0).standard_normal((SGEMM_SIZE, SGEMM_SIZE), np.float32)
        self._product = np.empty_like(self._matrix)
        self._speeds: list[float] = []
        self._gflops()  # the first one loads and starts what the library needs

    @property
    def median(self) -> float:
        """GFLOP/s."""
        return statistics.median(self._speeds or [self._gflops().speed])

    def beside(self, repeats: Repeats, measure: Callable[[], float]) -> None:
        """One more repeat: what `measure` returns, between two products."""
        spent, before = cpu.time_spent(), self._gflops()
        speed = measure()
        after, now = self._gflops(), cpu.time_spent()
        self._speeds += [before.speed, after.speed]
        repeats.add(speed, before, after, now - spent if now and spent else None)

    def _gflops(self) -> Reference:
        ran, started = time.thread_time(), time.perf_counter()
        np.matmul(self._matrix, self._matrix, out=self._product)
        took = time.perf_counter() - started
        return Reference(2e-9 * SGEMM_SIZE**3 / took, max(0.0, 1.0 - (time.thread_time() - ran) / took))


def _contender(name: str, model: Model, seconds: float) -> Contender | Row:
    """The engine with material for rounds of about `seconds`; or why it is absent, or not true to the model."""
    try:
        engine, detail = _make(name, model)
        if model.bundle is not None:
            proven(engine, model.bundle)
    except EngineError as error:
        return {"engine": name, "setting": model.architecture, "why": str(error)}

    def take(hops: int) -> Contender:
        channels, noise, out = _material(model.spec, hops)
        return Contender(name, model, detail, lambda: engine.generate(out, channels, noise), len(noise))

    return _sized(take, model.spec, seconds)


def _several(name: str, model: Model, seconds: float, count: int) -> Contender:
    """`count` voices of a native engine in one pass, each with its own noise."""
    from livemove.synthesis.native import NativeVoices

    engine = NativeVoices(model.spec, model.weights, count, precision=_precision(name))

    def take(hops: int) -> Contender:
        each = [_material(model.spec, hops, seed) for seed in range(count)]
        channels, noise, out = (np.stack(arrays) for arrays in zip(*each, strict=True))

        def play() -> None:
            engine.generate(out, channels, noise, styles=[0] * count, temperatures=[1.0] * count)

        return Contender(name, model, "", play, noise.shape[1], count)

    return _sized(take, model.spec, seconds)


def _sized(take: Callable[[int], Contender], spec: ModelSpec, seconds: float) -> Contender:
    """For rounds of about `seconds`, after a trial that warms it up."""
    trial = take(1)
    _steps_per_s(trial)
    return take(max(1, round(seconds * _steps_per_s(trial) / spec.steps_per_hop)))


def _material(spec: ModelSpec, hops: int, seed: int = 1) -> tuple[Float32, Float32, Float32]:
    """Channels all over their ranges, noise, and room for the audio."""
    rng = np.random.default_rng(seed)
    low = np.array([c.minimum for c in spec.channels], np.float32)
    high = np.array([c.maximum for c in spec.channels], np.float32)
    channels = np.asarray(low + (high - low) * rng.random((hops, len(spec.channels))), np.float32)
    noise = rng.random((hops * spec.steps_per_hop, spec.noise_width), np.float32)
    return channels, noise, np.zeros(hops * HOP, np.float32)


def _precision(engine_name: str) -> str:
    return "int8" if engine_name == "native-int8" else "fp16"


def _make(name: str, model: Model) -> tuple[Engine, str]:
    """The engine and its row's detail: instruction set, precision, provider."""
    if name.startswith("native"):
        from livemove.synthesis.native import NativeEngine

        native = NativeEngine(model.spec, model.weights, precision=_precision(name))
        return native, f"{native.instruction_set}, {native.precision} weights"
    if name == "onnx":
        if model.onnx_path is None:
            raise EngineError(
                f"no generator.onnx of the {model.architecture} architecture at hand; give a bundle that has one"
            )
        from livemove.synthesis.onnx import OnnxEngine

        return OnnxEngine(model.spec, model.onnx_path), "CPU, 1 thread"
    if name == "cuda":
        from livemove.synthesis.cuda import CudaEngine

        return (engine := CudaEngine(model.spec, model.weights)), engine.detail
    from livemove.synthesis.reference import ReferenceEngine

    return ReferenceEngine(model.spec, model.weights), "NumPy"


def _steps_per_s(c: Contender) -> float:
    started = time.perf_counter()
    c.play()
    return c.steps / (time.perf_counter() - started)


def _together(model: Model, name: str, count: int, repeats: int, sgemm: Sgemm) -> Row:
    """`count` streams of one model at once, an engine and a thread each."""
    made = [_contender(name, model, 0.15) for _ in range(count)]
    contenders = [c for c in made if isinstance(c, Contender)]

    def samples_per_s() -> float:
        threads = [threading.Thread(target=_steps_per_s, args=(c,)) for c in contenders]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(c.steps for c in contenders) * model.spec.bands / (time.perf_counter() - started)

    return _stream_row(name, model, count, repeats, sgemm, samples_per_s)


def _stream_row(
    engine: str, model: Model, count: int, repeats: int, sgemm: Sgemm, samples_per_s: Callable[[], float]
) -> Row:
    done = Repeats()
    for _ in range(repeats):
        sgemm.beside(done, samples_per_s)
    flop = 2e-9 * multiply_adds(model.spec) / model.spec.bands
    return {
        "engine": engine,
        "setting": model.architecture,
        "streams": count,
        "samples_per_s": done.median,
        "fraction_of_sgemm": flop * statistics.median(done.ratios),
        **_trust(done, 1.0, flop),
    }


def _no_gpu() -> str:
    from livemove.synthesis import cuda

    return cuda.why_not()


def _in_lockstep(
    model: Model, count: int, repeats: int, sgemm: Sgemm, hops: int = LOCKSTEP_HOPS, device: str = "cuda"
) -> Row:
    """`count` streams of one model on one GPU, as many steps at once."""
    from livemove.synthesis.cuda import CudaStreams

    spec, rng = model.spec, np.random.default_rng(1)
    engine = CudaStreams(spec, model.weights, count, device=device)
    channels = np.tile(np.array([c.rest for c in spec.channels], np.float32), (count, hops, 1))
    noise = rng.random((count, hops * spec.steps_per_hop, spec.noise_width), np.float32)
    out = np.empty((count, hops * HOP), np.float32)

    def samples_per_s() -> float:
        started = time.perf_counter()
        engine.generate(out, channels, noise, styles=[0] * count, temperatures=[1.0] * count)
        return out.size / (time.perf_counter() - started)

    return _stream_row("cuda", model, count, repeats, sgemm, samples_per_s)


def _row(c: Contender) -> Row:
    steps, spec = c.repeats.median, c.model.spec
    flop = 2e-9 * multiply_adds(spec)
    row: Row = {
        "engine": c.engine_name,
        "setting": c.model.architecture,
        "detail": c.detail,
        "residual": spec.residual,
        "layers": spec.layers,
        "bands": spec.bands,
        "receptive_field_s": spec.receptive_field / spec.step_rate,
        "us_per_step": 1e6 / steps,
        "us_per_layer": 1e6 / steps / spec.layers,
        "steps_per_s": steps,
        "samples_per_s": steps * spec.bands,
        "realtime": steps * spec.bands / spec.sample_rate,
        "gflops": flop * steps,
        "fraction_of_sgemm": flop * statistics.median(c.repeats.ratios),
        "dimension": c.model.dimension,
        "at": c.model.at,
    }
    if c.engine_name.startswith("native"):
        row["bytes_per_step"], row["bytes_kept"] = step_bytes(spec, _precision(c.engine_name))
    return row | _trust(c.repeats, spec.bands, flop)


def _voice_rows(contenders: Sequence[Contender]) -> list[Row]:
    """Of one engine and model; the first is one voice alone, which the others' cost is measured in."""
    rows: list[Row] = []
    for c in contenders:
        spec, samples = c.model.spec, c.voices * c.model.spec.bands
        flop = 2e-9 * multiply_adds(spec) * c.voices
        pairs = zip(contenders[0].repeats.speeds, c.repeats.speeds, strict=True)
        costs = [(alone / these - 1) / (c.voices - 1) for alone, these in pairs if c.voices > 1]
        reads, kept = step_bytes(spec, _precision(c.engine_name), c.voices)
        rows.append(
            {
                "engine": c.engine_name,
                "setting": c.model.architecture,
                "voices": c.voices,
                "steps_per_s": c.repeats.median,
                "us_per_step": 1e6 / c.repeats.median / c.voices,
                "samples_per_s": samples * c.repeats.median,
                "gflops": flop * c.repeats.median,
                "fraction_of_sgemm": flop * statistics.median(c.repeats.ratios),
                "cost_of_a_further_voice": statistics.median(costs) if costs else None,
                "cost_of_a_further_voice_min": min(costs, default=None),
                "cost_of_a_further_voice_max": max(costs, default=None),
                "bytes_per_step": reads,
                "bytes_kept": kept,
                **_trust(c.repeats, samples, flop),
            }
        )
    return rows


def _trust(repeats: Repeats, samples: float, flop: float) -> Row:
    """How far a row can be trusted: its range, what disturbed it, and "noisy" ("" if its median is a figure).

    samples, flop: to samples a second and to the fraction of sgemm from the unit of the speeds.
    """
    return {
        "samples_per_s_min": samples * min(repeats.speeds),
        "samples_per_s_max": samples * max(repeats.speeds),
        "fraction_of_sgemm_min": flop * min(repeats.ratios),
        "fraction_of_sgemm_max": flop * max(repeats.ratios),
        "repeats": len(repeats.speeds),
        "reference_spread": repeats.spread,
        "waited_share": repeats.waited,
        "stolen_share": repeats.stolen,
        "figure": not repeats.why_no_figure(),
        "noisy": repeats.why_no_figure(),
    }
