"""The native engine against the reference: every instruction set of this machine, every shape of the model family."""

from __future__ import annotations

import dataclasses
import sys
import threading

import numpy as np
import pytest

from livemove.contracts import (
    HOP,
    Channel,
    Engine,
    EngineError,
    Float32,
    Gate,
    HarmonicPath,
    ModelSpec,
    Phase,
    Trace,
    Weights,
    initial_state,
)
from livemove.native import _wavenet
from livemove.synthesis import architectures
from livemove.synthesis.native import NativeEngine, instruction_sets
from livemove.synthesis.onnx import OnnxEngine
from livemove.synthesis.reference import ReferenceEngine
from training.model import onnx_graph

FP32_BOUND = 1e-4
"""Both sides hold the same fp16 weights and sum in float32: only the order of the sums differs."""

INT8_SNR_DB = 40.0
FP16_SNR_DB = 60.0

ODD = tuple(Channel(f"c{i}", "1", -1.0, 2.0, 0.0) for i in range(5))

STAGE = architectures.stage()
CLASSIC = dataclasses.replace(architectures.classic(), dilations=(1, 2, 4, 8, 16, 32))
SPECS = {
    "stage": STAGE,
    "classic": CLASSIC,
    "eight bands, no phase": dataclasses.replace(
        STAGE, bands=8, pqmf_taps=80, phase=None, channels=ODD, conditioning=7, mixtures=3, dilations=(1, 2, 4) * 2
    ),
    "four bands, widths of 16": dataclasses.replace(
        STAGE, bands=4, pqmf_taps=40, residual=16, skip=48, hidden=32, mixtures=1, dilations=(3, 1, 6, 40)
    ),
    "one band of logistics": dataclasses.replace(
        STAGE, bands=1, pqmf_taps=0, residual=32, skip=80, hidden=16, mixtures=10, dilations=(1, 2, 4)
    ),
    "mu-law with phase and styles": dataclasses.replace(
        CLASSIC, phase=STAGE.phase, styles=("a", "b", "c"), residual=48, skip=16, hidden=112, dilations=(5, 7, 16)
    ),
    "one layer": dataclasses.replace(STAGE, dilations=(1,)),
    "harmonic path, gate and styles": dataclasses.replace(
        STAGE,
        phase=Phase("pitch", 8),
        harmonic_path=HarmonicPath(40, 24, "loudness"),
        gate=Gate("loudness", 0.0, 0.5),
        styles=("a", "b"),
        dilations=(1, 2, 4, 8),
    ),
    "harmonic path of eight bands, no level": dataclasses.replace(
        STAGE, bands=8, pqmf_taps=80, harmonic_path=HarmonicPath(9, 16, ""), dilations=(1, 2, 4)
    ),
}


def material(spec: ModelSpec, hops: int, seed: int = 0) -> tuple[Float32, Float32]:
    """Channels [hops, C] moving through and beyond their ranges; noise."""
    rng = np.random.default_rng(seed)
    low = np.array([c.minimum for c in spec.channels], np.float32)
    high = np.array([c.maximum for c in spec.channels], np.float32)
    channels = low + (high - low) * rng.uniform(-0.1, 1.1, (hops, len(spec.channels))).astype(np.float32)
    return channels, rng.random((hops * spec.steps_per_hop, spec.noise_width), np.float32)


def hops_of(spec: ModelSpec) -> int:
    """Enough to go round every ring once, few enough for the reference."""
    return max(1, min(4, 512 // spec.steps_per_hop))


def play(engine: Engine, channels: Float32, noise: Float32, **how: object) -> Float32:
    out = np.zeros(len(channels) * HOP, np.float32)
    engine.generate(out, channels, noise, **how)  # type: ignore[arg-type]
    return out


@pytest.mark.parametrize("instruction_set", instruction_sets())
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())
def test_native_equals_the_reference_fed_with_its_values(spec: ModelSpec, instruction_set: str) -> None:
    weights = architectures.random_weights(spec, seed=3)
    native, reference = NativeEngine(spec, weights, instruction_set=instruction_set), ReferenceEngine(spec, weights)
    hops = hops_of(spec)
    style = np.float32([0.3, 0.6, 0.1][: len(spec.styles)]) if spec.styles else 0
    channels, noise = material(spec, hops)
    out, trace = np.zeros(hops * HOP, np.float32), Trace.empty(spec, hops)
    native.generate(out, channels, noise, style=style, temperature=0.7, trace=trace)
    expected, forced = np.zeros_like(out), Trace.empty(spec, hops)
    reference.generate(expected, channels, noise, style=style, temperature=0.7, trace=forced, forced=trace.values)

    np.testing.assert_allclose(trace.parameters, forced.parameters, atol=FP32_BOUND, rtol=0)
    if spec.head == "mulaw":  # a value on the border of two classes may fall to either side
        assert np.mean(trace.values != forced.values) < 0.01
    else:
        np.testing.assert_allclose(trace.values, forced.values, atol=FP32_BOUND, rtol=0)
    np.testing.assert_allclose(out, expected, atol=1e-5, rtol=0)
    for name, value in vars(native.state()).items():
        np.testing.assert_allclose(value, getattr(reference.state(), name), atol=FP32_BOUND, rtol=0, err_msg=name)


@pytest.mark.parametrize("instruction_set", instruction_sets())
@pytest.mark.parametrize("spec", [STAGE, CLASSIC], ids=["stage", "classic"])
def test_hop_by_hop_equals_all_at_once(spec: ModelSpec, instruction_set: str) -> None:
    engine = NativeEngine(spec, architectures.random_weights(spec), instruction_set=instruction_set)
    channels, noise = material(spec, 5)
    whole = play(engine, channels, noise)
    engine.reset()
    steps = spec.steps_per_hop
    parts = [play(engine, channels[i : i + 1], noise[i * steps : (i + 1) * steps]) for i in range(5)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_the_same_again_after_reset() -> None:
    engine = NativeEngine(STAGE, architectures.random_weights(STAGE))
    channels, noise = material(STAGE, 40)
    first = play(engine, channels, noise)
    assert np.abs(play(engine, channels, noise) - first).max() > 1e-3  # it does remember
    engine.reset()
    np.testing.assert_array_equal(play(engine, channels, noise), first)


@pytest.mark.parametrize("spec", [STAGE, CLASSIC], ids=["stage", "classic"])
def test_hand_over_between_native_and_reference_mid_note(spec: ModelSpec) -> None:
    """The state travels native -> reference -> native; what comes out is what one engine alone would have played.

    Half the usual gain: at full gain a random network is chaotic and multiplies rounding by ten every hop.
    """
    weights = {name: w / 2 for name, w in architectures.random_weights(spec).items()}
    alone, native, reference = NativeEngine(spec, weights), NativeEngine(spec, weights), ReferenceEngine(spec, weights)
    channels, noise = material(spec, 6)
    whole = play(alone, channels, noise)
    steps, parts = spec.steps_per_hop, []
    state = initial_state(spec)
    for hop, engine in enumerate((native, native, reference, native, reference, reference)):
        engine.set_state(state)
        parts.append(play(engine, channels[hop : hop + 1], noise[hop * steps : (hop + 1) * steps]))
        state = engine.state()
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-4, rtol=0)


@pytest.mark.parametrize("spec", [STAGE, CLASSIC], ids=["stage", "classic"])
def test_hand_over_every_ten_hops_gives_the_uninterrupted_signal(spec: ModelSpec) -> None:
    """native -> onnx -> reference -> native ..., in float32; half the usual gain, for the same reason."""
    weights = {name: w / 2 for name, w in architectures.random_weights(spec).items()}
    alone = ReferenceEngine(spec, weights)
    players = (
        NativeEngine(spec, weights),
        OnnxEngine(spec, onnx_graph.build(spec, weights)),
        ReferenceEngine(spec, weights),
    )
    turns = 5 if spec.steps_per_hop < HOP else 4
    channels, noise = material(spec, 10 * turns)
    whole = play(alone, channels, noise)
    steps, parts, state = 10 * spec.steps_per_hop, [], initial_state(spec)
    for turn in range(turns):
        engine = players[turn % 3]
        engine.set_state(state)
        parts.append(play(engine, channels[10 * turn : 10 * turn + 10], noise[turn * steps : (turn + 1) * steps]))
        state = engine.state()
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-4, rtol=0)


def test_state_survives_a_round_trip() -> None:
    engine = NativeEngine(STAGE, architectures.random_weights(STAGE))
    play(engine, *material(STAGE, 3))
    before = engine.state()
    engine.reset()
    assert all(np.array_equal(v, getattr(initial_state(STAGE), k)) for k, v in vars(engine.state()).items())
    engine.set_state(before)
    assert all(np.array_equal(v, getattr(before, k)) for k, v in vars(engine.state()).items())


def test_a_channel_that_is_not_a_number_does_not_stay() -> None:
    """It counts as the channel's minimum; let into the queues it would silence the engine until the next reset."""
    engine = NativeEngine(STAGE, architectures.random_weights(STAGE))
    channels, noise = material(STAGE, 3)
    channels[1] = np.nan
    assert np.isfinite(play(engine, channels, noise)).all()


def test_noise_decides_what_is_played() -> None:
    engine = NativeEngine(STAGE, architectures.random_weights(STAGE))
    channels, noise = material(STAGE, 2)
    first = play(engine, channels, noise)
    engine.reset()
    assert not np.array_equal(play(engine, channels, noise[::-1].copy()), first)


def distribution_snr_db(spec: ModelSpec, weights: Weights, instruction_set: str, precision: str) -> float:
    """Signal to error of an engine's distribution (logits; of logistics also means and log scales) against float32,
    both fed with the engine's own values."""
    engine = NativeEngine(spec, weights, instruction_set=instruction_set, precision=precision)
    hops = max(1, 128 // spec.steps_per_hop)
    channels, noise = material(spec, hops)
    out, trace, exact = np.zeros(hops * HOP, np.float32), Trace.empty(spec, hops), Trace.empty(spec, hops)
    engine.generate(out, channels, noise, trace=trace)
    ReferenceEngine(spec, weights).generate(out, channels, noise, trace=exact, forced=trace.values)
    error = trace.parameters - exact.parameters
    return float(10 * np.log10(np.sum(exact.parameters**2) / np.sum(error**2)))


@pytest.mark.parametrize("instruction_set", instruction_sets())
@pytest.mark.parametrize("spec", [STAGE, architectures.classic()], ids=["stage", "classic"])
def test_int8_keeps_the_distribution(spec: ModelSpec, instruction_set: str) -> None:
    assert distribution_snr_db(spec, architectures.random_weights(spec), instruction_set, "int8") > INT8_SNR_DB


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_int8_keeps_the_distribution_of_other_networks(seed: int) -> None:
    """At the full depth of the classic setting, where roundings add up most: 41.2 dB at the worst."""
    spec = architectures.classic()
    assert distribution_snr_db(spec, architectures.random_weights(spec, seed), "auto", "int8") > INT8_SNR_DB


@pytest.mark.parametrize("instruction_set", instruction_sets())
@pytest.mark.parametrize("spec", [STAGE, architectures.classic()], ids=["stage", "classic"])
def test_fp16_keeps_the_distribution_of_float32_weights(spec: ModelSpec, instruction_set: str) -> None:
    """Weights that binary16 does not hold, as training leaves them."""
    rng = np.random.default_rng(5)
    weights = {name: w * rng.uniform(0.7, 1.0, w.shape) for name, w in architectures.random_weights(spec).items()}
    weights = {name: w.astype(np.float32) for name, w in weights.items()}
    assert distribution_snr_db(spec, weights, instruction_set, "fp16") > FP16_SNR_DB


@pytest.mark.parametrize("instruction_set", instruction_sets())
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())
def test_int8_computes_the_same_network_in_every_shape(spec: ModelSpec, instruction_set: str) -> None:
    """Small or narrow networks average fewer rounding errors: a wrong column or tap would leave 0 dB."""
    assert distribution_snr_db(spec, architectures.random_weights(spec), instruction_set, "int8") > 30.0


@pytest.mark.parametrize("instruction_set", instruction_sets())
class TestElementaryFunctions:
    """The bounds stated in elementary.hpp."""

    def evaluate(self, instruction_set: str, which: int, x: Float32) -> Float32:
        y = np.empty(len(x) // (2 if which >= 2 else 1), np.float32)
        _wavenet.evaluate(instruction_set, which, x, y)
        return y

    def test_exp(self, instruction_set: str) -> None:
        x = np.linspace(-87, 87, 1 << 20, dtype=np.float32)
        exact = np.exp(x.astype(np.float64))
        assert np.abs(self.evaluate(instruction_set, 0, x) / exact - 1).max() < 2e-7

    def test_log(self, instruction_set: str) -> None:
        x = np.exp(np.linspace(-80, 80, 1 << 20)).astype(np.float32)
        exact = np.log(x.astype(np.float64))
        error = np.abs(self.evaluate(instruction_set, 1, x) - exact)
        assert (error / np.maximum(1, np.abs(exact))).max() < 2e-7

    @pytest.mark.parametrize(("which", "bound"), [(2, 4e-7), (3, 1e-5)], ids=["float", "fixed point"])
    def test_gate(self, instruction_set: str, which: int, bound: float) -> None:
        rng = np.random.default_rng(0)
        a, b = rng.uniform(-12, 12, (2, 1 << 20)).astype(np.float32)
        a[:1024], b[-1024:] = 1e-4 * a[:1024], 1e3 * b[-1024:]
        exact = np.tanh(a.astype(np.float64)) / (1 + np.exp(np.minimum(-b.astype(np.float64), 700)))
        assert np.abs(self.evaluate(instruction_set, which, np.concatenate([a, b])) - exact).max() < bound


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"residual": 40}, "residual 40"),
        ({"skip": 8}, "skip 8"),
        ({"hidden": 100}, "hidden 100"),
        ({"residual": 1024}, "residual 1024"),
        ({"bands": 32, "pqmf_taps": 320}, "32 bands"),
    ],
)
def test_a_shape_the_kernels_do_not_have_is_named(change: dict[str, int], says: str) -> None:
    spec = dataclasses.replace(STAGE, **change)
    with pytest.raises(EngineError, match=says):
        NativeEngine(spec, architectures.random_weights(spec))


def test_weights_that_do_not_fit_are_named() -> None:
    weights = architectures.random_weights(STAGE)
    with pytest.raises(EngineError, match=r"layers\.now"):
        NativeEngine(STAGE, {**weights, "layers.now": weights["layers.now"][:, :-1]})
    with pytest.raises(EngineError, match=r"no weight head\.bias_1"):
        NativeEngine(STAGE, {k: v for k, v in weights.items() if k != "head.bias_1"})
    with pytest.raises(EngineError, match=r"skip\.bias"):
        NativeEngine(STAGE, {**weights, "skip.bias": np.full(STAGE.skip, np.nan, np.float32)})


def test_arguments_that_do_not_fit_are_named() -> None:
    engine = NativeEngine(STAGE, architectures.random_weights(STAGE))
    channels, noise = material(STAGE, 2)
    with pytest.raises(EngineError, match="noise"):
        play(engine, channels, noise[:-1])
    with pytest.raises(EngineError, match="channels"):
        play(engine, channels[:, :-1], noise)
    with pytest.raises(EngineError, match="style 1"):
        play(engine, channels, noise, style=1)
    state = engine.state()
    state.queues = state.queues[:-1]
    with pytest.raises(EngineError, match=r"state\.queues"):
        engine.set_state(state)
    with pytest.raises(EngineError, match="no such-set"):
        NativeEngine(STAGE, architectures.random_weights(STAGE), instruction_set="such-set")


def test_other_threads_run_while_it_generates() -> None:
    """The interpreter lock is released: a Python thread keeps counting through one long call."""
    engine = NativeEngine(STAGE, architectures.random_weights(STAGE), instruction_set=instruction_sets()[-1])
    channels, noise = material(STAGE, 600)
    out = np.zeros(600 * HOP, np.float32)
    worker = threading.Thread(target=engine.generate, args=(out, channels, noise))
    switch = sys.getswitchinterval()
    sys.setswitchinterval(60.0)  # nobody is asked to give the lock away
    try:
        worker.start()
        turns = 0
        while worker.is_alive():
            turns += 1
            worker.join(0.001)
    finally:
        sys.setswitchinterval(switch)
    assert turns > 3
