"""The cuda engine against the reference: on the GPU where there is one, and always in Triton's interpreter on the CPU.

The kernels' source is the same in both. Without a GPU this process interprets it; with one it runs on the GPU, and one
more test runs this file again in an interpreter.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from tests.support.interpreted import DEVICE  # before anything that imports Triton

# isort: split
import triton.language as tl
from triton.runtime import OutOfResources, interpreter

from livemove import contracts
from livemove.contracts import (
    Engine,
    EngineError,
    Float32,
    Gate,
    HarmonicPath,
    ModelSpec,
    Phase,
    Trace,
    initial_state,
)  # fmt: skip
from livemove.diagnostics import bench, bench_models
from livemove.synthesis import architectures, cuda, cuda_buffers, reference
from livemove.synthesis.cuda import CudaEngine, CudaStreams
from livemove.synthesis.native import NativeEngine
from livemove.synthesis.onnx import OnnxEngine
from livemove.synthesis.reference import ReferenceEngine
from tests.support.paths import ROOT
from training.model import onnx_graph

FP16_SNR_DB = 60.0
FP32_BOUND = 1e-4

TYPES = {
    torch.float16: "*fp16", torch.float32: "*fp32", torch.float64: "*fp64", torch.int32: "*i32",
    int: "i32", float: "fp32",
}  # fmt: skip

SHARED_MEMORY = {86: 99 * 1024, 90: 227 * 1024}
"""Most bytes of shared memory one program can have, by compute capability (CUDA C++ Programming Guide, table 24)."""

SHORT_HOP = 32
"""Samples per hop for networks of one band: 256 steps take the interpreter 20 s, and the kernels take any number."""

STAGE = dataclasses.replace(
    architectures.stage("small stage"),
    residual=16,
    skip=32,
    hidden=16,
    conditioning=4,
    dilations=(1, 3, 18),
    mixtures=2,
)
CLASSIC = dataclasses.replace(
    architectures.classic("small classic"),
    residual=16,
    skip=16,
    hidden=32,
    conditioning=4,
    dilations=(2, 20),
    classes=40,
)
SPECS = {
    "stage": STAGE,
    "classic": CLASSIC,
    "widths that are no powers of two": dataclasses.replace(
        STAGE, residual=20, skip=48, hidden=80, conditioning=5, mixtures=3, dilations=(1, 2), phase=Phase("pitch", 5)
    ),
    "eight bands, styles, no phase": dataclasses.replace(
        STAGE, bands=8, pqmf_taps=80, mixtures=1, dilations=(7,), styles=("a", "b"), phase=None
    ),
    "one band of logistics": dataclasses.replace(STAGE, bands=1, pqmf_taps=0, dilations=(5,)),
    "mu-law with phase and gate": dataclasses.replace(
        CLASSIC, dilations=(1,), phase=Phase("pitch", 3), gate=Gate("loudness", 0.1, 0.8)
    ),
    "harmonic path, gate, styles": dataclasses.replace(
        STAGE,
        dilations=(3,),
        harmonic_path=HarmonicPath(7, 6, "loudness"),
        gate=Gate("loudness", 0.1, 0.8),
        styles=("a", "b"),
    ),
}


@pytest.fixture(autouse=True)
def brisk_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Triton's interpreter patches the whole language anew for every nested call, a millisecond each, and checks every
    integer sum for overflow: ten times the time of the arithmetic."""
    if DEVICE == "cuda":
        return
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    patch, patched = interpreter._patch_lang, []

    def call(function: interpreter.InterpretedFunction, *args: object, **kwargs: object) -> object:
        if function.fn.__globals__.get("core") is tl.core and not patched:
            patched.append(patch(function.fn))
        return function.rewrite()(*args, **kwargs)

    monkeypatch.setattr(interpreter.InterpretedFunction, "__call__", call)
    quick = interpreter.InterpreterOptions(sanitize_overflow=False)
    monkeypatch.setattr(interpreter.interpreter_builder, "options", quick)


@pytest.fixture
def short_hops(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (contracts, cuda, cuda_buffers, reference):
        monkeypatch.setattr(module, "HOP", SHORT_HOP)


def material(spec: ModelSpec, hops: int, seed: int = 0) -> tuple[Float32, Float32]:
    """Channels [hops, C] moving through and beyond their ranges; noise."""
    rng = np.random.default_rng(seed)
    low = np.array([c.minimum for c in spec.channels], np.float32)
    high = np.array([c.maximum for c in spec.channels], np.float32)
    channels = low + (high - low) * rng.uniform(-0.1, 1.1, (hops, len(spec.channels))).astype(np.float32)
    return channels, rng.random((hops * spec.steps_per_hop, spec.noise_width), np.float32)


def engine(spec: ModelSpec, precision: str = "fp32") -> CudaEngine:
    return CudaEngine(spec, architectures.random_weights(spec, seed=3), precision=precision, device=DEVICE)


def oracle(spec: ModelSpec) -> ReferenceEngine:
    return ReferenceEngine(spec, architectures.random_weights(spec, seed=3))


def play(player: Engine, channels: Float32, noise: Float32) -> Float32:
    out = np.empty(len(channels) * contracts.HOP, np.float32)
    player.generate(out, channels, noise, temperature=0.7)
    return out


def forced_reference(
    spec: ModelSpec, channels: Float32, noise: Float32, trace: Trace, **how: float
) -> tuple[ReferenceEngine, Float32, Trace]:
    """The reference fed with the values of an engine's trace: (it, its audio, its own trace)."""
    player, audio, own = (
        oracle(spec),
        np.empty(len(channels) * contracts.HOP, np.float32),
        Trace.empty(spec, len(channels)),
    )
    player.generate(audio, channels, noise, trace=own, forced=trace.values, **how)  # type: ignore[arg-type]
    return player, audio, own


def signal_to_error_db(ours: Trace, theirs: Trace) -> float:
    error = ours.parameters - theirs.parameters
    return float(10 * np.log10(np.sum(theirs.parameters**2) / np.sum(error**2)))


@pytest.mark.parametrize("name", SPECS)
def test_distributions_draws_audio_and_state_are_the_references(name: str, request: pytest.FixtureRequest) -> None:
    """The engine runs freely; the reference is fed with the values it drew."""
    spec = SPECS[name]
    if spec.bands == 1:
        request.getfixturevalue("short_hops")
    hops = -(-32 // spec.steps_per_hop)
    style = np.float32([0.3, 0.7]) if spec.styles else 0
    channels, noise = material(spec, hops)
    ours, trace, audio = engine(spec), Trace.empty(spec, hops), np.zeros(hops * contracts.HOP, np.float32)
    ours.generate(audio, channels, noise, style=style, temperature=0.7, trace=trace)
    theirs, expected, own = forced_reference(spec, channels, noise, trace, style=style, temperature=0.7)
    np.testing.assert_allclose(trace.parameters, own.parameters, rtol=0, atol=FP32_BOUND)
    np.testing.assert_allclose(audio, expected, rtol=0, atol=1e-5)
    if spec.head == "mulaw":  # a value on the border of two classes may fall to either side
        assert np.mean(trace.values != own.values) < 0.02
    else:
        np.testing.assert_allclose(trace.values, own.values, rtol=0, atol=FP32_BOUND)
    for field, value in vars(ours.state()).items():
        np.testing.assert_allclose(value, getattr(theirs.state(), field), rtol=0, atol=FP32_BOUND, err_msg=field)
        assert value.dtype == getattr(theirs.state(), field).dtype


@pytest.mark.parametrize("spec", [SPECS["widths that are no powers of two"], CLASSIC], ids=["stage", "classic"])
def test_half_precision_weights_lose_nothing_more(spec: ModelSpec, request: pytest.FixtureRequest) -> None:
    """The weights are float16 already, as every bundle's are: what they are multiplied with is not cut to match."""
    if spec.bands == 1:
        request.getfixturevalue("short_hops")
    hops = -(-32 // spec.steps_per_hop)
    channels, noise = material(spec, hops)
    trace = Trace.empty(spec, hops)
    engine(spec, "fp16").generate(np.empty(hops * contracts.HOP, np.float32), channels, noise, trace=trace)
    own = forced_reference(spec, channels, noise, trace)[2]
    assert signal_to_error_db(trace, own) >= FP16_SNR_DB
    np.testing.assert_allclose(trace.parameters, own.parameters, rtol=0, atol=FP32_BOUND)


def test_hop_by_hop_equals_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the edges of launches too: three hops are two launches here."""
    monkeypatch.setattr(cuda, "LAUNCH_HOPS", 2)
    channels, noise = material(STAGE, 3)
    whole = play(engine(STAGE), channels, noise)
    player, steps = engine(STAGE), STAGE.steps_per_hop
    single = [play(player, channels[i : i + 1], noise[i * steps : (i + 1) * steps]) for i in range(3)]
    np.testing.assert_array_equal(np.concatenate(single), whole)


@pytest.mark.parametrize("spec", [STAGE, CLASSIC], ids=["stage", "classic"])
def test_engines_take_over_from_one_another_mid_note(spec: ModelSpec, request: pytest.FixtureRequest) -> None:
    """cuda -> onnx -> native -> reference -> cuda; with hops cut short, which onnx and native do not know, cuda and the
    reference alone. Half the usual gain: at full gain a random network is chaotic and multiplies rounding by ten every
    hop."""
    weights = {name: w / 2 for name, w in architectures.random_weights(spec, seed=3).items()}
    players: list[Engine] = [ReferenceEngine(spec, weights)]
    if spec.bands == 1:
        request.getfixturevalue("short_hops")
    else:
        players[:0] = [OnnxEngine(spec, onnx_graph.build(spec, weights)), NativeEngine(spec, weights)]
    players.insert(0, CudaEngine(spec, weights, precision="fp32", device=DEVICE))
    hops, steps = max(4, len(players) + 1), spec.steps_per_hop
    channels, noise = material(spec, hops)
    uninterrupted = play(ReferenceEngine(spec, weights), channels, noise)
    pieces: list[Float32] = []
    for hop in range(hops):
        player = players[hop % len(players)]
        pieces.append(play(player, channels[hop : hop + 1], noise[hop * steps : (hop + 1) * steps]))
        players[(hop + 1) % len(players)].set_state(player.state())
    np.testing.assert_allclose(np.concatenate(pieces), uninterrupted, rtol=0, atol=1e-4)


def test_state_survives_a_round_trip_and_reset_forgets_it() -> None:
    player, start = engine(STAGE), initial_state(STAGE)
    assert all(np.array_equal(v, getattr(start, k)) for k, v in vars(player.state()).items())
    play(player, *material(STAGE, 1))
    before = player.state()
    assert before.queues.any()
    player.reset()
    assert all(np.array_equal(v, getattr(start, k)) for k, v in vars(player.state()).items())
    player.set_state(before)
    assert all(np.array_equal(v, getattr(before, k)) for k, v in vars(player.state()).items())


def test_several_streams_play_what_each_would_alone() -> None:
    """Nine streams are two programs; each has its own channels, noise, style and temperature."""
    spec, count, hops = SPECS["eight bands, styles, no phase"], 9, 1
    weights = architectures.random_weights(spec, seed=3)
    together = CudaStreams(spec, weights, count, precision="fp32", device=DEVICE)
    channels, noise = (np.stack(x) for x in zip(*(material(spec, hops, seed) for seed in range(count)), strict=True))
    styles, temperatures = [i % 2 for i in range(count)], [0.3 + 0.1 * i for i in range(count)]
    out = np.empty((count, hops * contracts.HOP), np.float32)
    together.generate(out, channels, noise, styles=styles, temperatures=temperatures)
    for i in (0, 7, 8):
        alone, audio = engine(spec), np.empty(hops * contracts.HOP, np.float32)
        alone.generate(audio, channels[i], noise[i], style=styles[i], temperature=temperatures[i])
        np.testing.assert_allclose(out[i], audio, rtol=0, atol=1e-6, err_msg=f"stream {i}")
        for field, value in vars(alone.state()).items():
            np.testing.assert_allclose(getattr(together.state(i), field), value, rtol=0, atol=1e-5, err_msg=field)


@pytest.mark.parametrize("temperature", [0.0, 0.5])
@pytest.mark.parametrize("edge", [0.0, 1.0])
def test_noise_and_temperature_at_their_edges_draw_what_the_reference_draws(edge: float, temperature: float) -> None:
    channels, noise = material(STAGE, 1)
    noise[:] = edge
    trace = Trace.empty(STAGE, 1)
    engine(STAGE).generate(np.empty(contracts.HOP, np.float32), channels, noise, temperature=temperature, trace=trace)
    own = forced_reference(STAGE, channels, noise, trace, temperature=temperature)[2]
    np.testing.assert_allclose(trace.values, own.values, rtol=0, atol=FP32_BOUND)


def test_a_channel_that_is_not_a_number_does_not_stay() -> None:
    channels, noise = material(STAGE, 2)
    channels[0] = np.nan
    assert np.isfinite(play(engine(STAGE), channels, noise)).all()


def launch_of(spec: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> tuple[tuple[object, ...], dict[str, object]]:
    """Arguments of the network's launch at this size, without running it."""
    launches: list[tuple[tuple[object, ...], dict[str, object]]] = []

    class Recorder:
        def __getitem__(self, grid: tuple[int, ...]) -> object:
            return lambda *args, **kwargs: launches.append((args, kwargs))

    player = CudaEngine(spec, architectures.random_weights(spec), device=DEVICE)
    monkeypatch.setattr(cuda.kernels, "network", Recorder())
    play(player, *material(spec, 1))
    return launches[0]


@pytest.mark.parametrize(
    ("setting", "architecture", "instruction"),
    [
        (architectures.stage, 90, "wgmma.mma_async.sync.aligned.m64n16k16"),
        (architectures.classic, 86, "mma.sync.aligned.m16n8k16"),
    ],
    ids=["stage, Hopper", "classic, Ampere"],
)
def test_the_full_size_compiles_to_tensor_cores_and_fits(
    setting: type, architecture: int, instruction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Machine code for GPUs that need not be here: what ptxas says of registers and shared memory holds for them."""
    args, constants = launch_of(setting(), monkeypatch)
    constants.pop("num_warps")
    types = [TYPES[a.dtype] if isinstance(a, torch.Tensor) else TYPES[type(a)] for a in args]
    plan = {"types": types, "constants": constants | {"STAGES": 2}, "architecture": architecture}
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    compiler = ROOT / "tests" / "support" / "compile_cuda.py"
    done = subprocess.run(
        [sys.executable, str(compiler)], input=json.dumps(plan), env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout)
    assert instruction in result["ptx"]
    assert result["shared"] <= SHARED_MEMORY[architecture]


def test_the_benchmark_counts_the_samples_of_all_streams() -> None:
    model = bench_models.Model("small", STAGE, architectures.random_weights(STAGE), None)
    row = bench._in_lockstep(model, 3, 1, bench.Sgemm(), hops=1, device=DEVICE)
    assert (row["engine"], row["setting"], row["streams"]) == ("cuda", "small", 3)
    assert float(row["samples_per_s"]) > 0


def test_a_model_too_large_for_the_device_tries_fewer_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    player = CudaStreams(STAGE, architectures.random_weights(STAGE), 1, device=DEVICE)
    tried: list[int] = []

    class Small:
        def __getitem__(self, grid: tuple[int, ...]) -> object:
            def launch(*_: object, STAGES: int, **__: object) -> None:
                tried.append(STAGES)
                if fits < STAGES:
                    raise OutOfResources(300_000, 99_000, "shared memory")

            return launch

    monkeypatch.setattr(cuda.kernels, "network", Small())
    fits = 2
    player._warm_up()
    assert tried == [3, 2]
    fits = 0
    with pytest.raises(EngineError, match="small stage does not fit this GPU"):
        player._warm_up()


def test_a_kernel_that_cannot_be_compiled_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    player = CudaStreams(STAGE, architectures.random_weights(STAGE), 1, device=DEVICE)

    class NoCompiler:
        def __getitem__(self, grid: tuple[int, ...]) -> object:
            raise RuntimeError("Failed to find C compiler.\nPlease specify via CC environment variable.")

    monkeypatch.setattr(cuda.kernels, "network", NoCompiler())
    with pytest.raises(EngineError, match=r"cannot be used \(Failed to find C compiler.\); use native"):
        player._warm_up()


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = architectures.random_weights(STAGE)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    with pytest.raises(EngineError, match="no NVIDIA GPU with a working driver"):
        CudaEngine(STAGE, weights)
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(EngineError, match="built without CUDA"):
        CudaEngine(STAGE, weights)
    monkeypatch.setattr(cuda, "_missing", "triton")
    with pytest.raises(EngineError, match=r"triton is not installed; `pip install 'livemove\[cuda\]'"):
        CudaEngine(STAGE, weights)


def test_what_does_not_fit_is_named() -> None:
    weights = architectures.random_weights(STAGE)
    player, (channels, noise) = engine(STAGE), material(STAGE, 2)
    with pytest.raises(EngineError, match="noise"):
        play(player, channels, noise[:-1])
    with pytest.raises(EngineError, match="channels"):
        play(player, channels[:, :-1], noise)
    with pytest.raises(EngineError, match="style 1"):
        player.generate(np.empty(2 * contracts.HOP, np.float32), channels, noise, style=1)
    state = player.state()
    state.queues = state.queues[:-1]
    with pytest.raises(EngineError, match=r"state\.queues"):
        player.set_state(state)
    with pytest.raises(EngineError, match=r"layers\.now"):
        CudaEngine(STAGE, {**weights, "layers.now": weights["layers.now"][:, :-1]}, device=DEVICE)
    with pytest.raises(EngineError, match=r"no weight head\.bias_1"):
        CudaEngine(STAGE, {k: v for k, v in weights.items() if k != "head.bias_1"}, device=DEVICE)
    with pytest.raises(EngineError, match="precision is one of"):
        CudaEngine(STAGE, weights, precision="int3", device=DEVICE)


if DEVICE == "cuda":

    def test_the_interpreter_agrees_too() -> None:
        """On a machine with a GPU everything above ran on it; here the same once more in the interpreter."""
        environment = os.environ | {"TRITON_INTERPRET": "1"}
        command = [sys.executable, "-m", "pytest", "-q", __file__]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:]
