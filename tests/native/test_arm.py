"""The C++ as compiled for AArch64, emulated: the WaveNet kernels, those with dot products too, and the effects."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path

import numpy as np
import pytest

from livemove.contracts import HOP, Float32, ModelSpec, Trace
from livemove.native._effects import Delay, Reverb
from livemove.synthesis import architectures, native
from livemove.synthesis.native import PRECISIONS, NativeEngine, NativeVoices
from livemove.synthesis.reference import ReferenceEngine
from tests.native.test_voices import assert_equal, random_state, several
from tests.native.test_wavenet import FP32_BOUND, INT8_SNR_DB, SPECS, distribution_snr_db, material, play
from tests.support import emulation
from tests.support.paths import ROOT

pytestmark = pytest.mark.skipif(
    emulation.COMPILER is None or emulation.EMULATOR is None,
    reason="needs Debian's g++-aarch64-linux-gnu and qemu-user",
)

SETS = ("neon-dot", "portable")

SMALL = {
    "stage": dataclasses.replace(SPECS["stage"], dilations=(1, 2, 4, 8, 16)),
    "classic": dataclasses.replace(SPECS["classic"], dilations=(1, 2, 16)),
    "harmonic path, gate and styles": SPECS["harmonic path, gate and styles"],
    "four bands, widths of 16": SPECS["four bands, widths of 16"],
}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return emulation.compile_wavenet(tmp_path_factory.mktemp("arm"))


@pytest.fixture
def arm(program: Path, monkeypatch: pytest.MonkeyPatch) -> emulation.EmulatedModule:
    """From here on the native engine is the emulated one."""
    module = emulation.EmulatedModule(program)
    monkeypatch.setattr(native, "_wavenet", module)
    return module


def test_the_fastest_kernels_that_the_processor_has_are_taken(program: Path) -> None:
    assert emulation.EmulatedModule(program).instruction_sets() == ["neon-dot", "portable"]
    assert emulation.EmulatedModule(program, "cortex-a72").instruction_sets() == ["portable"]


@pytest.mark.usefixtures("arm")
@pytest.mark.parametrize("instruction_set", SETS)
@pytest.mark.parametrize("spec", SMALL.values(), ids=SMALL.keys())
def test_it_equals_the_reference_fed_with_its_values(spec: ModelSpec, instruction_set: str) -> None:
    weights = architectures.random_weights(spec, seed=3)
    engine, reference = NativeEngine(spec, weights, instruction_set=instruction_set), ReferenceEngine(spec, weights)
    channels, noise = material(spec, 1)
    out, trace = np.zeros(HOP, np.float32), Trace.empty(spec, 1)
    engine.generate(out, channels, noise, temperature=0.7, trace=trace)
    expected, forced = np.zeros_like(out), Trace.empty(spec, 1)
    reference.generate(expected, channels, noise, temperature=0.7, trace=forced, forced=trace.values)
    np.testing.assert_allclose(trace.parameters, forced.parameters, atol=FP32_BOUND, rtol=0)
    np.testing.assert_allclose(out, expected, atol=FP32_BOUND, rtol=0)


@pytest.mark.usefixtures("arm")
@pytest.mark.parametrize("instruction_set", SETS)
@pytest.mark.parametrize("spec", SMALL.values(), ids=SMALL.keys())
def test_int8_computes_the_same_network(spec: ModelSpec, instruction_set: str) -> None:
    bound = INT8_SNR_DB if spec.residual >= 64 and len(spec.dilations) > 3 else 30.0
    assert distribution_snr_db(spec, architectures.random_weights(spec), instruction_set, "int8") > bound


@pytest.mark.usefixtures("arm")
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("instruction_set", SETS)
def test_every_voice_is_an_engine_of_its_own(instruction_set: str, precision: str) -> None:
    spec, rng, voices = SMALL["harmonic path, gate and styles"], np.random.default_rng(9), 3
    weights = architectures.random_weights(spec, seed=3)
    how = {"instruction_set": instruction_set, "precision": precision}
    together, alone = NativeVoices(spec, weights, voices, **how), NativeEngine(spec, weights, **how)
    channels, noise, styles, temperatures = several(spec, voices, 1)
    states = [random_state(spec, rng) for _ in range(voices)]
    for voice, state in enumerate(states):
        together.set_state(voice, state)
    out = np.zeros((voices, HOP), np.float32)
    together.generate(out, channels, noise, styles=styles, temperatures=temperatures)
    for voice, state in enumerate(states):
        alone.set_state(state)
        expected = play(alone, channels[voice], noise[voice], style=styles[voice], temperature=temperatures[voice])
        np.testing.assert_array_equal(out[voice], expected)
        assert_equal(together.state(voice), alone.state())


# --- effects ------------------------------------------------------------------------------------------------


def test_the_effects_sound_as_they_do_here(tmp_path: Path) -> None:
    """Rounding alone differs: 1e-5 of full scale after a second of reverb and delay."""
    program = tmp_path / "effects"
    source = ROOT / "tests" / "native" / "effects_through.cpp"
    options = [option for option in emulation.FLAGS if option != "-DLIVEMOVE_ARM"]
    subprocess.run([str(emulation.COMPILER), *options, "-static", str(source), "-o", str(program)], check=True)
    hops = 188
    given = np.random.default_rng(4).uniform(-0.3, 0.3, (hops, HOP, 2)).astype(np.float32)
    given[40:] = 0.0
    heard = np.frombuffer(emulation.on_arm(program, given=given.tobytes()), np.float32).reshape(hops, HOP, 2)
    here = through_both(given)
    assert np.abs(here[60:]).max() > 1e-2, "they ring on"
    np.testing.assert_allclose(heard, here, atol=1e-5, rtol=0)


def through_both(given: Float32) -> Float32:
    """As effects_through.cpp does."""
    delay, reverb, found = Delay(48000.0), Reverb(48000.0), given.copy()
    for block in found:
        delay.process(block, 0.5, 0.1, 0.5)
        reverb.process(block, 0.5, 1.5, 0.5)
    return found
