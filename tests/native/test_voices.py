"""Several voices in one pass: each plays, bit by bit, what an engine of its own would; one leaves or joins unheard."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from livemove.bundle import load_bundle
from livemove.contracts import HOP, EngineError, EngineState, Float32, ModelSpec, Trace, initial_state
from livemove.synthesis import architectures
from livemove.synthesis.native import MOST_VOICES, PRECISIONS, NativeEngine, NativeVoices, instruction_sets
from tests.native.test_wavenet import SPECS, hops_of, material, play
from tests.support.paths import ROOT

VOICES = 7
"""Four, two and one at a time: every width of the products that voices share."""

MODELS = sorted(path.parent for path in (ROOT / "models").glob("*/model.json"))


def random_state(spec: ModelSpec, rng: np.random.Generator) -> EngineState:
    """What a voice might remember in the middle of a note."""
    state = initial_state(spec)
    for array in (state.queues, state.overlap, state.amplitudes):
        array[:] = rng.uniform(-0.5, 0.5, array.shape)
    state.inputs[:] = (
        rng.integers(0, spec.classes, (2, 1)) if spec.head == "mulaw" else rng.uniform(-1, 1, (2, spec.bands))
    )
    state.phase[:] = rng.random()
    return state


def style_of(spec: ModelSpec, voice: int) -> int | Float32:
    """By turns one style and a blend of all."""
    count = max(len(spec.styles), 1)
    return voice % count if voice % 2 else np.linspace(0.1 * voice, 1.0, count, dtype=np.float32)


def several(spec: ModelSpec, voices: int, hops: int) -> tuple[Float32, Float32, list[int | Float32], list[float]]:
    """Channels and noise with a leading axis of voices, styles, temperatures: other ones for each."""
    each = [material(spec, hops, seed) for seed in range(voices)]
    temperatures = [0.3 + 0.2 * voice for voice in range(voices)]
    return (
        np.stack([channels for channels, _ in each]),
        np.stack([noise for _, noise in each]),
        [style_of(spec, voice) for voice in range(voices)],
        temperatures,
    )


def assert_equal(state: EngineState, expected: EngineState) -> None:
    for name, value in vars(state).items():
        np.testing.assert_array_equal(value, getattr(expected, name), err_msg=name)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("instruction_set", instruction_sets())
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())
def test_every_voice_is_an_engine_of_its_own(spec: ModelSpec, instruction_set: str, precision: str) -> None:
    weights, rng = architectures.random_weights(spec, seed=3), np.random.default_rng(9)
    how = {"instruction_set": instruction_set, "precision": precision}
    together, alone = NativeVoices(spec, weights, VOICES, **how), NativeEngine(spec, weights, **how)
    hops = hops_of(spec)
    channels, noise, styles, temperatures = several(spec, VOICES, hops)
    states = [random_state(spec, rng) for _ in range(VOICES)]
    for voice, state in enumerate(states):
        together.set_state(voice, state)
    out, traces = np.zeros((VOICES, hops * HOP), np.float32), [Trace.empty(spec, hops) for _ in range(VOICES)]
    together.generate(out, channels, noise, styles=styles, temperatures=temperatures, traces=traces)
    for voice, state in enumerate(states):
        alone.set_state(state)
        trace = Trace.empty(spec, hops)
        expected = play(
            alone, channels[voice], noise[voice], style=styles[voice], temperature=temperatures[voice], trace=trace
        )
        np.testing.assert_array_equal(out[voice], expected)
        np.testing.assert_array_equal(traces[voice].values, trace.values)
        np.testing.assert_array_equal(traces[voice].parameters, trace.parameters)
        assert_equal(together.state(voice), alone.state())
    assert len({out[voice].tobytes() for voice in range(VOICES)}) == VOICES


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("spec", [SPECS["stage"], SPECS["classic"]], ids=["stage", "classic"])
def test_a_voice_is_handed_over_while_the_others_play_on(spec: ModelSpec, precision: str) -> None:
    """Voice 1 leaves after the first hop, plays alone for one, and comes back as voice 0, which goes on as voice 1."""
    weights = architectures.random_weights(spec)
    together = NativeVoices(spec, weights, 3, precision=precision)
    alone = NativeEngine(spec, weights, precision=precision)
    channels, noise, styles, temperatures = several(spec, 3, 4)
    steps = spec.steps_per_hop
    expected: list[Float32] = []
    for voice in range(3):
        alone.reset()
        expected.append(
            play(alone, channels[voice], noise[voice], style=styles[voice], temperature=temperatures[voice])
        )

    def hop(at: int, order: list[int]) -> Float32:
        """One hop of the voices; order: whose material each plays."""
        out = np.zeros((3, HOP), np.float32)
        together.generate(
            out,
            np.ascontiguousarray(channels[order, at : at + 1]),
            np.ascontiguousarray(noise[order, at * steps : (at + 1) * steps]),
            styles=[styles[voice] for voice in order],
            temperatures=[temperatures[voice] for voice in order],
        )
        return out

    parts: dict[int, list[Float32]] = {voice: [] for voice in range(3)}
    for voice, part in enumerate(hop(0, [0, 1, 2])):
        parts[voice].append(part)
    alone.set_state(together.state(1))
    together.set_state(1, initial_state(spec))  # silence in its place for a hop
    for voice, part in zip((0, None, 2), hop(1, [0, 1, 2]), strict=True):
        if voice is not None:
            parts[voice].append(part)
    its = slice(steps, 2 * steps)
    parts[1].append(play(alone, channels[1, 1:2], noise[1, its], style=styles[1], temperature=temperatures[1]))
    first = together.state(0)
    together.set_state(0, alone.state())
    together.set_state(1, first)
    for at in (2, 3):
        for voice, part in zip((1, 0, 2), hop(at, [1, 0, 2]), strict=True):
            parts[voice].append(part)
    for voice in range(3):
        np.testing.assert_array_equal(np.concatenate(parts[voice]), expected[voice])


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.name)
def test_voices_play_the_golden_vector_of_every_model(path: Path) -> None:
    bundle = load_bundle(str(path))
    golden, count = bundle.golden, 3
    together = NativeVoices(bundle.spec, bundle.weights, count)
    alone = NativeEngine(bundle.spec, bundle.weights)
    expected = play(alone, golden.channels, golden.noise, style=golden.style, temperature=golden.temperature)
    error = np.sum(np.square(expected.astype(np.float64) - golden.audio))
    assert error < 1e-4 * np.sum(np.square(golden.audio.astype(np.float64)))
    out = np.zeros((count, len(expected)), np.float32)
    together.generate(
        out,
        np.stack([golden.channels] * count),
        np.stack([golden.noise] * count),
        styles=[golden.style] * count,
        temperatures=[golden.temperature] * count,
    )
    for voice in range(count):
        np.testing.assert_array_equal(out[voice], expected)


def test_hop_by_hop_equals_all_at_once_for_all_voices() -> None:
    spec = SPECS["harmonic path, gate and styles"]
    engine = NativeVoices(spec, architectures.random_weights(spec), 2)
    channels, noise, styles, temperatures = several(spec, 2, 5)
    whole, steps = np.zeros((2, 5 * HOP), np.float32), spec.steps_per_hop
    engine.generate(whole, channels, noise, styles=styles, temperatures=temperatures)
    engine.reset()
    for at in range(5):
        part = np.zeros((2, HOP), np.float32)
        engine.generate(
            part,
            channels[:, at : at + 1].copy(),
            noise[:, at * steps : (at + 1) * steps].copy(),
            styles=styles,
            temperatures=temperatures,
        )
        np.testing.assert_array_equal(part, whole[:, at * HOP : (at + 1) * HOP])


def test_a_voice_fed_with_what_is_no_number_leaves_the_others_alone() -> None:
    spec = SPECS["stage"]
    engine = NativeVoices(spec, architectures.random_weights(spec), 2)
    channels, noise, styles, temperatures = several(spec, 2, 2)
    first, second = np.zeros((2, 2, 2 * HOP), np.float32)
    engine.generate(first, channels, noise, styles=styles, temperatures=temperatures)
    engine.reset()
    channels[0] = np.nan
    engine.generate(second, channels, noise, styles=styles, temperatures=temperatures)
    np.testing.assert_array_equal(first[1], second[1])
    assert np.isfinite(second).all()
    assert not np.array_equal(first[0], second[0])


def test_arguments_that_do_not_fit_are_named() -> None:
    spec = dataclasses.replace(SPECS["stage"], dilations=(1, 2))
    weights = architectures.random_weights(spec)
    with pytest.raises(EngineError, match=f"0 voices at once; 1 to {MOST_VOICES}"):
        NativeVoices(spec, weights, 0)
    with pytest.raises(EngineError, match=f"{MOST_VOICES + 1} voices"):
        NativeVoices(spec, weights, MOST_VOICES + 1)
    engine = NativeVoices(spec, weights, 2)
    channels, noise, styles, temperatures = several(spec, 2, 3)
    out = np.zeros((2, 3 * HOP), np.float32)
    with pytest.raises(EngineError, match=r"take channels \[2, 3, 3\].*not \[1, 3, 3\]"):
        engine.generate(out, channels[:1].copy(), noise, styles=styles, temperatures=temperatures)
    with pytest.raises(EngineError, match=r"take noise \[2, 48, 32\], not \[2, 47, 32\]"):
        engine.generate(out, channels, noise[:, 1:].copy(), styles=styles, temperatures=temperatures)
    with pytest.raises(EngineError, match="2 voices take as many styles"):
        engine.generate(out, channels, noise, styles=styles[:1], temperatures=temperatures)
    with pytest.raises(EngineError, match="no style 1"):
        engine.generate(out, channels, noise, styles=[0, 1], temperatures=temperatures)
    with pytest.raises(EngineError, match="no voice 2; there are 2, from 0"):
        engine.state(2)
    with pytest.raises(EngineError, match="no voice -1"):
        engine.set_state(-1, initial_state(spec))
