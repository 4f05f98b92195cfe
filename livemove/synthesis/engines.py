"""From the name of an engine to one that plays a bundle, proven on the bundle's golden vector before anyone hears it.

In: a name and a checked Bundle. Out: an engine in its initial state and the reason it was taken; or one EngineError.
Imports an engine only when it is asked for, so that nobody waits for a runtime that is not used.
"""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

from livemove.bundle import Bundle
from livemove.contracts import HOP, Engine, EngineError
from livemove.synthesis.synthesis_config import ENGINES

APPROXIMATE = frozenset({"native-int8"})
"""Engines with coarser weights than a model has. Most models bear it; with one that does not they are refused."""

GOLDEN_SNR_DB = 40.0
"""Least ratio of the golden audio to an engine's deviation from it. Correct float32 engines differ by rounding only and
reach 80 dB and more; a wrong one reaches 0."""

ENOUGH_REALTIME = 2.0
"""`auto` stops looking at this many seconds of audio per second: trying the next engine would cost start-up time."""

TIMED_HOPS = 9


class UntrueEngineError(EngineError):
    """An engine that is here but does not reproduce the model's golden vector."""


@dataclass(frozen=True)
class EngineChoice:
    """An engine ready to play and, for the person at the keyboard, why this one."""

    engine: Engine
    why: str
    realtime: float


def engine_names() -> tuple[str, ...]:
    """What `make_engine` takes."""
    return ("auto", *ENGINES)


def make_engine(name: str, bundle: Bundle, provider: str = "cpu") -> Engine:
    """The engine called name; for "auto", where nobody waits, the first that is true to the model, however fast.

    So the same machine makes the same file again, whatever else it does meanwhile. provider: what the onnx engine runs
    on (livemove.synthesis.synthesis_config.PROVIDERS); no other engine asks. Raises EngineError if it is missing or
    untrue.
    """
    return (_fastest(bundle, provider, 0.0) if name == "auto" else choose_engine(name, bundle, provider)).engine


def choose_engine(name: str, bundle: Bundle, provider: str = "cpu") -> EngineChoice:
    """To play live: as `make_engine`, but for "auto" the fastest. With the reason and the measured speed."""
    if name == "auto":
        return _fastest(bundle, provider, ENOUGH_REALTIME)
    if name not in _ENGINES:
        raise EngineError(f"no engine called {name}; choose one of {', '.join(engine_names())}")
    engine = _ENGINES[name](bundle, provider)
    realtime = proven(engine, bundle)
    return EngineChoice(engine, f"{name}: chosen by name, {realtime:.1f}x real time", realtime)


def next_engine(bundle: Bundle, provider: str, without: Collection[str]) -> EngineChoice:
    """The fastest that is none of those: what plays on when one of them has failed. Raises EngineError."""
    return _fastest(bundle, provider, ENOUGH_REALTIME, without)


def _fastest(bundle: Bundle, provider: str, enough: float, without: Collection[str] = ()) -> EngineChoice:
    """The first that is true to the model and makes `enough` audio seconds a second, else the fastest of all."""
    refused: list[str] = []
    best: EngineChoice | None = None
    for name in ENGINES:
        if name in without:
            continue
        make = _ENGINES[name]
        if name == "cuda" and _no_gpu():
            continue  # most machines have none: no reason to speak of
        try:
            engine = make(bundle, provider)
            realtime = proven(engine, bundle)
        except EngineError as error:
            refused.append(str(error))
            continue
        if best is None or realtime > best.realtime:
            best = EngineChoice(engine, f"{name}: {realtime:.1f}x real time, golden vector passed", realtime)
        if best.realtime >= enough:
            break
    if best is None:
        raise EngineError(f"no engine can play {bundle.spec.name}: " + "; ".join(refused))
    return EngineChoice(best.engine, "; ".join([best.why, *refused]), best.realtime)


def _no_gpu() -> bool:
    from livemove.synthesis import cuda

    return bool(cuda.why_not())


def proven(engine: Engine, bundle: Bundle) -> float:
    """Speed of the engine in multiples of real time; UntrueEngineError if it does not reproduce the golden vector. It
    is in its initial state then."""
    golden, hops = bundle.golden, len(bundle.golden.channels)
    out = np.zeros(hops * HOP, np.float32)
    engine.reset()
    engine.generate(out, golden.channels, golden.noise, style=golden.style, temperature=golden.temperature)
    error = np.sum(np.square(out.astype(np.float64) - golden.audio))
    limit = np.sum(np.square(golden.audio.astype(np.float64))) * 10 ** (-GOLDEN_SNR_DB / 10)
    if not error <= max(limit, len(out) * 1e-10):  # a silent take: 100 dB below full scale; NaN fails
        raise UntrueEngineError(
            f"engine {engine.name} does not reproduce the golden vector of {bundle.path}; use another one"
        )
    realtime = _realtime(engine, bundle)
    engine.reset()
    return realtime


def _realtime(engine: Engine, bundle: Bundle) -> float:
    """From the median of single hops after the golden vector warmed it up: other processes start at the same time."""
    golden, steps = bundle.golden, bundle.spec.steps_per_hop
    out = np.zeros(HOP, np.float32)
    times_s: list[float] = []
    for hop in np.arange(TIMED_HOPS) % len(golden.channels):
        channels, noise = golden.channels[hop : hop + 1], golden.noise[hop * steps : (hop + 1) * steps]
        started = time.perf_counter()
        engine.generate(out, channels, noise, style=golden.style, temperature=golden.temperature)
        times_s.append(time.perf_counter() - started)
    return HOP / bundle.spec.sample_rate / statistics.median(times_s)


def _native(bundle: Bundle, _provider: str) -> Engine:
    from livemove.synthesis.native import NativeEngine

    return NativeEngine(bundle.spec, bundle.weights)


def _native_int8(bundle: Bundle, _provider: str) -> Engine:
    from livemove.synthesis.native import NativeEngine

    return NativeEngine(bundle.spec, bundle.weights, precision="int8")


def _cuda(bundle: Bundle, _provider: str) -> Engine:
    from livemove.synthesis.cuda import CudaEngine

    return CudaEngine(bundle.spec, bundle.weights)


def _onnx(bundle: Bundle, provider: str) -> Engine:
    if bundle.onnx_path is None:
        raise EngineError(f"engine onnx: {bundle.path} has no generator.onnx; export the model again or use native")
    if importlib.util.find_spec("onnxruntime") is None:
        raise EngineError("engine onnx: onnxruntime is not installed; `pip install onnxruntime` or use native")
    from livemove.synthesis.onnx import OnnxEngine

    return OnnxEngine(bundle.spec, bundle.onnx_path, provider)


def _reference(bundle: Bundle, _provider: str) -> Engine:
    from livemove.synthesis.reference import ReferenceEngine

    return ReferenceEngine(bundle.spec, bundle.weights)


_ENGINES: dict[str, Callable[[Bundle, str], Engine]] = {
    "native": _native,
    "native-int8": _native_int8,
    "cuda": _cuda,
    "onnx": _onnx,
    "reference": _reference,
}
