"""The cuda engine against the reference: on the GPU where there is one, and always in Triton's interpreter on the CPU.

The kernels' source is the same in both. Without a GPU this process interprets it; with one it runs on the GPU, and one
more test runs this file again in an interpreter.
"""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import pytest
import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
DEVICE = "cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda"

import triton.language as tl  # noqa: E402
from triton.runtime import interpreter  # noqa: E402

from livemove.contracts import HOP, Float32, ModelSpec, Phase, Trace  # noqa: E402
from livemove.synthesis import cuda, settings  # noqa: E402
from livemove.synthesis.cuda import CudaEngine  # noqa: E402
from livemove.synthesis.native import NativeEngine  # noqa: E402
from livemove.synthesis.reference import ReferenceEngine  # noqa: E402

os.environ.pop("TRITON_INTERPRET", None)  # the tests of this file are to interpret, no others and no child of theirs

FP16_SNR_DB = 60.0
FP32_BOUND = 1e-4

STAGE = dataclasses.replace(
    settings.stage("small stage"), residual=16, skip=32, hidden=16, conditioning=4, dilations=(1, 3, 18), mixtures=2
)
CLASSIC = dataclasses.replace(
    settings.classic("small classic"), residual=16, skip=16, hidden=32, conditioning=4, dilations=(2, 40), classes=40
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
    "mu-law with phase": dataclasses.replace(CLASSIC, dilations=(1,), phase=Phase("pitch", 3)),
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


def material(spec: ModelSpec, hops: int, seed: int = 0) -> tuple[Float32, Float32]:
    """Channels [hops, C] moving through and beyond their ranges; noise."""
    rng = np.random.default_rng(seed)
    low = np.array([c.minimum for c in spec.channels], np.float32)
    high = np.array([c.maximum for c in spec.channels], np.float32)
    channels = low + (high - low) * rng.uniform(-0.1, 1.1, (hops, len(spec.channels))).astype(np.float32)
    return channels, rng.random((hops * spec.steps_per_hop, spec.noise_width), np.float32)


def hops_of(spec: ModelSpec) -> int:
    """Enough steps to go round every ring."""
    return -(-32 // spec.steps_per_hop)


def engine(spec: ModelSpec, precision: str = "fp32") -> CudaEngine:
    return CudaEngine(spec, settings.random_weights(spec, seed=3), precision=precision, device=DEVICE)


def reference(spec: ModelSpec) -> ReferenceEngine:
    return ReferenceEngine(spec, settings.random_weights(spec, seed=3))


def play(player: CudaEngine | NativeEngine | ReferenceEngine, channels: Float32, noise: Float32) -> Float32:
    out = np.empty(len(channels) * HOP, np.float32)
    player.generate(out, channels, noise, temperature=0.7)
    return out


@pytest.mark.parametrize("precision", cuda.PRECISIONS)
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_distributions_draws_audio_and_state_are_the_references(spec: ModelSpec, precision: str) -> None:
    """The engine runs freely; the reference is fed with the values it drew."""
    hops, style = hops_of(spec), len(spec.styles) // 2
    channels, noise = material(spec, hops)
    ours, theirs = engine(spec, precision), reference(spec)
    audio, trace = np.zeros((2, hops * HOP), np.float32), [Trace.empty(spec, hops) for _ in range(2)]
    ours.generate(audio[0], channels, noise, style=style, temperature=0.7, trace=trace[0])
    theirs.generate(audio[1], channels, noise, style=style, temperature=0.7, trace=trace[1], forced=trace[0].values)
    error = trace[0].parameters - trace[1].parameters
    assert 10 * np.log10(np.sum(trace[1].parameters ** 2) / np.sum(error**2)) >= FP16_SNR_DB
    np.testing.assert_allclose(audio[0], audio[1], rtol=0, atol=1e-5)
    if spec.head == "mulaw":  # a value on the border of two classes may fall to either side
        assert np.mean(trace[0].values != trace[1].values) < 0.01
    bound = FP32_BOUND if precision == "fp32" else 0.02
    np.testing.assert_allclose(trace[0].parameters, trace[1].parameters, rtol=0, atol=bound)
    for name, value in vars(ours.state()).items():
        np.testing.assert_allclose(value, getattr(theirs.state(), name), rtol=0, atol=bound, err_msg=name)
        assert value.dtype == getattr(theirs.state(), name).dtype
