"""The network as trained against the reference engine: parallel equals sequential, causal, sound likelihoods."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from livemove.contracts import HOP, Gate, HarmonicPath, ModelSpec, Phase, Trace
from livemove.synthesis import architectures, conditioning, harmonic_path, pqmf, sampling
from livemove.synthesis.reference import ReferenceEngine
from training.model.wavenet import WaveNet, nats

HOPS = 3


def small(spec: ModelSpec) -> ModelSpec:
    """The same family at test size: every code path, a receptive field longer than a hop."""
    return dataclasses.replace(
        spec, residual=16, skip=32, hidden=32, dilations=(1, 2, 4, 8, 16, 32, 1, 2), conditioning=16, styles=("a", "b")
    )


def with_path(spec: ModelSpec) -> ModelSpec:
    """The same with a harmonic path of more harmonics than the input has, and a gate."""
    return dataclasses.replace(
        spec,
        name="path",
        phase=Phase("pitch", 6),
        harmonic_path=HarmonicPath(40, 16, "loudness"),
        gate=Gate("loudness", 0.0, 0.3),
    )


SPECS = [small(architectures.stage()), small(architectures.classic()), with_path(small(architectures.stage()))]


def scene(spec: ModelSpec, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Moving channels [HOPS, C] in natural units, and noise."""
    rng = np.random.default_rng(seed)
    low = np.array([c.minimum for c in spec.channels])
    high = np.array([c.maximum for c in spec.channels])
    channels = (low + (high - low) * rng.random((HOPS, len(low)))).astype(np.float32)
    channels[0, 1] = 0.0  # silence first: a clip that is trained on begins with its own amplitudes, an engine with none
    return channels, rng.random((HOPS * spec.steps_per_hop, spec.noise_width), np.float32)


def free_run(spec: ModelSpec, weights: dict[str, np.ndarray]) -> tuple[Trace, np.ndarray, np.ndarray]:
    channels, noise = scene(spec)
    trace = Trace.empty(spec, HOPS)
    audio = np.empty(HOPS * HOP, np.float32)
    ReferenceEngine(spec, weights).generate(audio, channels, noise, style=1, trace=trace)
    return trace, channels, audio


def parallel(spec: ModelSpec, network: WaveNet, trace: Trace, channels: np.ndarray) -> torch.Tensor:
    steps = spec.steps_per_hop
    hz = conditioning.pitch_hz(spec, channels) if spec.phase else np.zeros(HOPS)
    cycles = np.cumsum(np.repeat(hz, steps)) / spec.step_rate % 1.0
    values = torch.from_numpy(trace.values)[None]
    with torch.no_grad():
        return network(
            values.long() if spec.head == "mulaw" else values,
            torch.from_numpy(conditioning.normalise(spec, channels))[None],
            torch.from_numpy(hz.astype(np.float32))[None],
            torch.from_numpy(cycles.astype(np.float32))[None],
            torch.tensor([1]),
        )[0][0]


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.name)
def test_parallel_network_equals_reference(spec: ModelSpec) -> None:
    weights = architectures.random_weights(spec)
    network = WaveNet(spec)
    network.load_weights(weights)
    trace, channels, _ = free_run(spec, weights)
    np.testing.assert_allclose(parallel(spec, network, trace, channels).numpy(), trace.parameters, atol=1e-4)


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.name)
def test_network_is_causal(spec: ModelSpec) -> None:
    network = WaveNet(spec)
    network.load_weights(architectures.random_weights(spec))
    trace, channels, _ = free_run(spec, network.weights())
    before = parallel(spec, network, trace, channels)
    changed = HOPS * spec.steps_per_hop // 2
    trace.values[changed] = 1 - trace.values[changed] if spec.head == "logistic" else 7
    after = parallel(spec, network, trace, channels)
    assert torch.equal(before[: changed + 1], after[: changed + 1])
    assert not torch.allclose(before[changed + 1], after[changed + 1])


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.name)
def test_receptive_field_is_what_the_spec_says(spec: ModelSpec) -> None:
    network = WaveNet(spec)
    network.load_weights(architectures.random_weights(spec))
    steps = spec.receptive_field + 8
    hops = -(-steps // spec.steps_per_hop)
    channels = torch.zeros(1, hops, len(spec.channels))
    hz, cycles = torch.full((1, hops), 220.0), torch.zeros(1, hops * spec.steps_per_hop)
    values = torch.zeros(1, hops * spec.steps_per_hop, spec.bands)
    other = values.clone()
    other[0, 0] = 1
    with torch.no_grad():
        runs = [
            network(v.long() if spec.head == "mulaw" else v, channels, hz, cycles, torch.tensor([0]))[0][0]
            for v in (values, other)
        ]
    differs = (runs[0] - runs[1]).abs().amax(-1) > 0
    assert differs[1]
    assert differs[spec.receptive_field]
    assert not differs[spec.receptive_field + 1 :].any()


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.name)
def test_chunked_equals_whole(spec: ModelSpec) -> None:
    weights = architectures.random_weights(spec)
    _, channels, whole = free_run(spec, weights)
    _, noise = scene(spec)
    engine = ReferenceEngine(spec, weights)
    pieces = np.empty_like(whole)
    for hop in range(HOPS):
        engine.generate(
            pieces[hop * HOP : (hop + 1) * HOP], channels[hop : hop + 1],
            noise[hop * spec.steps_per_hop : (hop + 1) * spec.steps_per_hop], style=1,
        )  # fmt: skip
    np.testing.assert_array_equal(pieces, whole)


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.name)
def test_state_carries_everything(spec: ModelSpec) -> None:
    weights = architectures.random_weights(spec)
    _, channels, whole = free_run(spec, weights)
    _, noise = scene(spec)
    first, second = ReferenceEngine(spec, weights), ReferenceEngine(spec, weights)
    pieces = np.empty_like(whole)
    first.generate(pieces[:HOP], channels[:1], noise[: spec.steps_per_hop], style=1)
    second.set_state(first.state())
    second.generate(pieces[HOP:], channels[1:], noise[spec.steps_per_hop :], style=1)
    np.testing.assert_array_equal(pieces, whole)


def test_logistic_mixture_density_integrates_to_one() -> None:
    spec = small(architectures.stage())
    parameters = torch.randn(1, 1, spec.parameters, generator=torch.Generator().manual_seed(0)).clamp(-2, 2)
    grid = torch.linspace(-120, 120, 60001)[None, :, None].expand(1, -1, spec.bands)
    density = torch.exp(-nats(spec, parameters.expand(1, grid.shape[1], -1), grid))
    np.testing.assert_allclose(torch.trapezoid(density, grid, dim=1).numpy(), 1, atol=1e-3)


def test_samples_follow_the_density_they_are_drawn_from() -> None:
    """Mean and variance of many draws match the mixture's own (a logistic of scale s has variance (pi s)^2 / 3)."""
    spec = dataclasses.replace(small(architectures.stage()), bands=4, pqmf_taps=40)
    layout = np.zeros((spec.bands, 3, spec.mixtures), np.float32)
    layout[:, 0] = [0.3, -0.4]
    layout[:, 1] = [-0.2, 0.3]
    layout[:, 2] = [-3.5, -4.0]
    noise = np.random.default_rng(0).random((20000, spec.noise_width), np.float32)
    draws = np.stack([sampling.sample(spec, layout.reshape(-1), n, 1.0) for n in noise])
    p = np.exp(layout[0, 0]) / np.exp(layout[0, 0]).sum()
    mean = (p * layout[0, 1]).sum()
    variance = (p * (layout[0, 1] ** 2 + (np.pi * np.exp(layout[0, 2])) ** 2 / 3)).sum() - mean**2
    np.testing.assert_allclose(draws.mean(0), mean, atol=0.01)
    np.testing.assert_allclose(draws.var(0), variance, rtol=0.05)


def test_mulaw_round_trip_is_within_half_a_level() -> None:
    audio = np.linspace(-1, 1, 4001, dtype=np.float32)
    index = sampling.mulaw_encode(audio, 256)
    assert index.min() == 0
    assert index.max() == 255
    again = sampling.mulaw_encode(sampling.mulaw_decode(index, 256), 256)
    np.testing.assert_array_equal(again, index)
    assert np.abs(sampling.mulaw_decode(index, 256) - audio).max() < 0.025


def test_the_harmonic_path_puts_a_sine_where_the_filter_bank_does() -> None:
    """A steady harmonic through the tabulated gains equals the analysis of the same sine, to -90 dB."""
    spec = with_path(architectures.stage())
    for hz, start in ((311.7, 0.3), (1500.0, 0.1), (5233.0, 0.9), (17900.0, 0.5)):
        samples = np.arange(4800)
        sine = np.cos(2 * np.pi * (hz * samples / spec.sample_rate + start)).astype(np.float32)
        bands = pqmf.analysis(sine, spec.bands, spec.pqmf_taps)
        ends = (np.arange(len(bands)) + 1) * spec.bands / spec.sample_rate
        gains = harmonic_path.band_gains(spec, np.float32([hz]))[0]
        path = (gains * np.exp(2j * np.pi * (hz * ends + start))[:, None]).real
        assert np.abs(path - bands)[40:-40].max() < 10 ** (-90 / 20), hz


def test_weights_of_styles_are_the_style_where_they_name_one() -> None:
    spec = SPECS[0]
    channels, noise = scene(spec)
    made = []
    for style in (1, np.float32([0, 1]), np.float32([0.5, 0.5])):
        audio = np.empty(HOPS * HOP, np.float32)
        ReferenceEngine(spec, architectures.random_weights(spec)).generate(audio, channels, noise, style=style)
        made.append(audio)
    np.testing.assert_array_equal(made[0], made[1])
    assert np.abs(made[2] - made[0]).max() > 1e-3


def test_a_closed_gate_is_silence_and_an_open_one_changes_nothing() -> None:
    spec = SPECS[2]
    channels, noise = scene(spec)
    weights = architectures.random_weights(spec)
    made = {}
    for name, gate in (("gated", spec.gate), ("free", None)):
        for loudness in (0.0, 1.0):
            channels[:, 1] = loudness
            made[name, loudness] = np.empty(HOPS * HOP, np.float32)
            engine = ReferenceEngine(dataclasses.replace(spec, gate=gate), weights)
            engine.generate(made[name, loudness], channels, noise)
    assert not made["gated", 0.0].any()
    assert made["free", 0.0].any()
    np.testing.assert_array_equal(made["gated", 1.0], made["free", 1.0])
