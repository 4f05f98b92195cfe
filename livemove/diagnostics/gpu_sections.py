"""What `livemove.diagnostics.gpu` measures of the cuda engine on one machine, one function per section.

In: a model, a kernel, a device. Out: plain dicts for JSON. Prints nothing, and imports no audio, camera or window.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from livemove.bundle import Golden, list_bundles, load_bundle
from livemove.contracts import HOP, Engine, Float32, LivemoveError, ModelSpec, Trace, Weights
from livemove.synthesis import architectures
from livemove.synthesis.cuda import CudaEngine, CudaStreams
from livemove.synthesis.reference import ReferenceEngine

Row = dict[str, object]

BOUND = 1e-4
"""Largest deviation of a distribution's parameters from the reference's, given the same values before them."""

SNR_DB = 60.0
STREAMS = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Model:
    """A setting with random weights, or a bundle with its golden vector."""

    name: str
    spec: ModelSpec
    weights: Weights
    golden: Golden | None


def models(bundles: bool = True) -> Iterator[Model]:
    """Both settings, then every bundle that loads."""
    for name, make in (("stage", architectures.stage), ("classic", architectures.classic)):
        spec = make()
        yield Model(name, spec, architectures.random_weights(spec), None)
    for path in list_bundles() if bundles else ():
        bundle = load_bundle(path)
        yield Model(path.name, bundle.spec, bundle.weights, bundle.golden)


def material(spec: ModelSpec, hops: int, streams: int = 1, seed: int = 0) -> tuple[Float32, Float32]:
    """Channels [streams, hops, C] all over their ranges, uniform noise [streams, steps, width]."""
    rng = np.random.default_rng(seed)
    low = np.array([c.minimum for c in spec.channels], np.float32)
    high = np.array([c.maximum for c in spec.channels], np.float32)
    channels = np.asarray(low + (high - low) * rng.random((streams, hops, len(low)), np.float32), np.float32)
    return channels, rng.random((streams, hops * spec.steps_per_hop, spec.noise_width), np.float32)


def snr_db(signal: np.ndarray, other: np.ndarray) -> float:
    """Signal to deviation, at most 200 dB."""
    error = float(np.sum(np.square(signal.astype(np.float64) - other)))
    return float(10 * np.log10(max(np.sum(np.square(signal.astype(np.float64))), 1e-20) / max(error, 1e-20)))


def parity(model: Model, kernel: str, precision: str, device: str = "cuda", steps: int = 256) -> Row:
    """The engine runs freely; the reference is fed with the values it drew. Distributions, audio, state."""
    spec = model.spec
    hops = max(1, steps // spec.steps_per_hop)
    if model.golden is None:
        channels, noise = (x[0] for x in material(spec, hops))
        style, temperature = 0, 1.0
    else:
        channels, noise = model.golden.channels[:hops], model.golden.noise[: hops * spec.steps_per_hop]
        style, temperature = model.golden.style, model.golden.temperature
    hops = len(channels)
    began_s = time.perf_counter()
    engine = CudaEngine(spec, model.weights, precision=precision, device=device, kernel=kernel)
    made_s = time.perf_counter() - began_s
    trace, audio = Trace.empty(spec, hops), np.zeros(hops * HOP, np.float32)
    engine.generate(audio, channels, noise, style=style, temperature=temperature, trace=trace)
    reference, own, expected = ReferenceEngine(spec, model.weights), Trace.empty(spec, hops), np.zeros_like(audio)
    reference.generate(expected, channels, noise, style=style, temperature=temperature, trace=own, forced=trace.values)
    ours, theirs = vars(engine.state()), vars(reference.state())
    error = float(np.max(np.abs(trace.parameters - own.parameters)))
    row: Row = {
        "model": model.name, "kernel": kernel, "precision": precision, "detail": engine.detail, "hops": hops,
        "made_s": made_s, "parameters_max_error": error, "parameters_snr_db": snr_db(own.parameters, trace.parameters),
        "values_max_error": float(np.max(np.abs(trace.values - own.values))),
        "values_different": float(np.mean(np.abs(trace.values - own.values) > BOUND)),
        "audio_max_error": float(np.max(np.abs(audio - expected))),
        "state_max_error": max(float(np.max(np.abs(ours[k] - theirs[k]), initial=0.0)) for k in ours),
        "passed": bool(error <= BOUND),
    }  # fmt: skip
    if model.golden is not None:
        golden = model.golden
        engine.reset()
        out = np.zeros(len(golden.channels) * HOP, np.float32)
        engine.generate(out, golden.channels, golden.noise, style=golden.style, temperature=golden.temperature)
        row["golden_snr_db"] = snr_db(golden.audio, out)
    return row


def hand_over(model: Model, kernel: str, device: str = "cuda", hops: int = 6) -> Row:
    """reference -> cuda -> native (or the reference) -> cuda mid-note, against the reference uninterrupted."""
    spec, golden = model.spec, model.golden
    if golden is None:
        raise LivemoveError(f"{model.name}: only a bundle's golden vector is handed over")
    hops, steps = min(hops, len(golden.channels)), spec.steps_per_hop
    second, why = _native(model)
    cuda = CudaEngine(spec, model.weights, device=device, kernel=kernel)
    players: list[Engine] = [ReferenceEngine(spec, model.weights), cuda, second, cuda]
    out = np.zeros((hops, HOP), np.float32)
    for hop in range(hops):
        player = players[hop * len(players) // hops]
        if hop and player is not (last := players[(hop - 1) * len(players) // hops]):
            player.set_state(last.state())
        player.generate(
            out[hop],
            golden.channels[hop : hop + 1],
            golden.noise[hop * steps : (hop + 1) * steps],
            style=golden.style,
            temperature=golden.temperature,
        )
    whole = golden.audio[: hops * HOP]
    snr = snr_db(whole, out.reshape(-1))
    return {
        "model": model.name, "kernel": kernel, "with": second.name, "why_no_native": why, "snr_db": snr,
        "max_error": float(np.max(np.abs(whole - out.reshape(-1)))), "passed": bool(snr >= SNR_DB),
    }  # fmt: skip


def _native(model: Model) -> tuple[Engine, str]:
    try:
        from livemove.synthesis.native import NativeEngine

        return NativeEngine(model.spec, model.weights), ""
    except (ImportError, LivemoveError, ValueError) as error:
        return ReferenceEngine(model.spec, model.weights), str(error)


def throughput(
    model: Model, kernel: str, streams: int, device: str = "cuda", steps: int = 2048, repeats: int = 7
) -> Row:
    """Samples a second of all streams together, the host's work included; and the GPU's own time per step."""
    spec = model.spec
    hops = max(1, steps // spec.steps_per_hop)
    engine = CudaStreams(spec, model.weights, streams, device=device, kernel=kernel)
    channels, noise = material(spec, hops, streams)
    out = np.empty((streams, hops * HOP), np.float32)
    speeds: list[float] = []
    for _ in range(repeats):
        began_s = time.perf_counter()
        engine.generate(out, channels, noise, styles=[0] * streams, temperatures=[1.0] * streams)
        speeds.append(out.size / (time.perf_counter() - began_s))
    row: Row = {
        "model": model.name, "kernel": kernel, "streams": streams, "detail": engine.detail,
        "samples_per_s": statistics.median(speeds), "least": min(speeds), "most": max(speeds),
        "realtime": statistics.median(speeds) / spec.sample_rate,
        "us_per_step": 1e6 * streams * spec.bands / statistics.median(speeds), "finite": bool(np.isfinite(out).all()),
    }  # fmt: skip
    if device == "cuda":
        launches = {hops: 1e6 * statistics.median(engine.launch_times_s(hops, 9)) for hops in (1, 8)}
        steps_between = 7 * spec.steps_per_hop
        row["launch_us"] = launches
        row["gpu_us_per_step"] = (launches[8] - launches[1]) / steps_between
        if streams == 1 and (marks := engine.clock_marks()) is not None:
            row["clock_marks"] = marks.tolist()
    return row


def latency(model: Model, kernel: str, device: str = "cuda", seconds: float = 2.0) -> Row:
    """One stream, one hop per call, as it is played live."""
    spec = model.spec
    engine = CudaEngine(spec, model.weights, device=device, kernel=kernel)
    channels, noise = (x[0] for x in material(spec, 1))
    out = np.empty(HOP, np.float32)
    times_ms: list[float] = []
    until_s = time.perf_counter() + seconds
    while (began_s := time.perf_counter()) < until_s or len(times_ms) < 3:
        engine.generate(out, channels, noise)
        times_ms.append(1000 * (time.perf_counter() - began_s))
    median, p99, p999 = np.quantile(times_ms, (0.5, 0.99, 0.999)).tolist()
    return {
        "model": model.name, "kernel": kernel, "hops": len(times_ms), "hop_ms": 1000 * HOP / spec.sample_rate,
        "median_ms": median, "p99_ms": p99, "p999_ms": p999, "largest_ms": max(times_ms),
        "realtime": 1000 * HOP / spec.sample_rate / median,
    }  # fmt: skip


def floors(spec: ModelSpec, limits: dict[str, float]) -> Row:
    """Least microseconds per step that the measured limits allow one stream: by reading, by arithmetic.

    limits: as gpu_device.probe. weight_bytes are read once a step: from L2 by one multiprocessor (Triton's kernel), by
    all; the cluster kernel reads none.
    """
    from livemove.diagnostics.bench_models import multiply_adds

    weight_bytes = 2 * multiply_adds(spec)
    return {
        "weight_bytes": weight_bytes,
        "flop_per_step": 2 * multiply_adds(spec),
        "one_multiprocessor_us": weight_bytes / limits["l2_read_one_multiprocessor_gbps"] / 1e3,
        "all_multiprocessors_us": weight_bytes / limits["l2_read_all_gbps"] / 1e3,
    }


def attempt(rows: list[Row], what: Sequence[object], work: Callable[[], Row]) -> None:
    """Append work's row, or one with the error: a section that fails must not cost the others their time."""
    import traceback

    began_s = time.perf_counter()
    try:
        rows.append({**work(), "took_s": time.perf_counter() - began_s})
    except Exception as error:  # whatever it is, it is the result of this row
        rows.append({"what": [str(w) for w in what], "error": repr(error), "traceback": traceback.format_exc()})
