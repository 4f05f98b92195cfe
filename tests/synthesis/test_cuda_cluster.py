"""The cluster kernel (native/cuda_wavenet.cu) against the reference: the same source, run by cuda_on_cpu.hpp's fibers.

Who waits for whom is drawn at random, so that these tests also look for missing barriers. Where cuda-bindings is
installed the kernel is compiled for a GPU, too; test_cuda.py and `python -m livemove.diagnostics.gpu` run it on one.
"""

from __future__ import annotations

from tests.support.interpreted import DEVICE  # before anything that imports Triton

# isort: split
import ctypes
import dataclasses
import importlib.util
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from livemove import contracts
from livemove.contracts import EngineError, Float32, Gate, HarmonicPath, ModelSpec, Phase, Trace
from livemove.synthesis import architectures, cuda, cuda_buffers, cuda_cluster, reference
from livemove.synthesis.cuda import CudaEngine, CudaStreams
from livemove.synthesis.reference import ReferenceEngine
from tests.support.paths import ROOT

COMPILER = shutil.which("g++")
pytestmark = [
    pytest.mark.skipif(COMPILER is None, reason="g++ is not installed: it compiles the kernel for the CPU"),
    pytest.mark.skipif(DEVICE == "cuda", reason="there is a GPU: livemove.diagnostics.gpu plays on it"),
]

BOUND = 1e-4
SHORT_HOP = 32
SHARED_MEMORY = 227 * 1024

STAGE = dataclasses.replace(
    architectures.stage("small stage"),
    skip=64,
    hidden=32,
    conditioning=4,
    dilations=(1, 3, 18, 1),
    phase=Phase("pitch", 5),
)
CLASSIC = dataclasses.replace(
    architectures.classic("small classic"), residual=40, skip=128, hidden=64, conditioning=4, dilations=(2, 20, 1, 1),
    classes=40,
)  # fmt: skip
SPECS = {
    "stage, two CTAs of layers": STAGE,
    "one layer, three mixtures, no phase": dataclasses.replace(STAGE, dilations=(2,), mixtures=3, phase=None),
    "eight bands, seven layers": dataclasses.replace(STAGE, bands=8, pqmf_taps=80, dilations=(1, 2, 4, 8, 1, 2, 4)),
    "one band of logistics": dataclasses.replace(STAGE, bands=1, pqmf_taps=0, dilations=(5, 1)),
    "classic": CLASSIC,
    "mu-law with phase and gate": dataclasses.replace(
        CLASSIC, dilations=(1,), phase=Phase("pitch", 3), gate=Gate("loudness", 0.1, 0.8)
    ),
    "harmonic path, gate": dataclasses.replace(
        STAGE, harmonic_path=HarmonicPath(7, 6, "loudness"), gate=Gate("loudness", 0.1, 0.8)
    ),
}


class KernelOnCpu:
    """Takes the place of cuda_cluster.ClusterKernel."""

    folder: Path
    kernel = cuda_cluster.SOURCE
    seed = 0

    def __init__(self, spec: ModelSpec, capability: tuple[int, int]) -> None:
        assert not cuda_cluster.why_not(spec)
        macros = {**cuda_cluster.sizes(spec), "MARKED": 0}
        defined = [f"-D{name}={value}" for name, value in macros.items()] + [f'-DKERNEL="{self.kernel}"']
        library = self.folder / f"{abs(hash(tuple(defined)))}.so"
        if not library.exists():
            source = ROOT / "tests" / "support" / "cuda_on_cpu.cpp"
            command = ["g++", "-std=c++17", "-O1", "-shared", "-fPIC", "-Wno-unknown-pragmas", *defined]
            subprocess.run([*command, "-o", str(library), str(source)], check=True)
        self._play = ctypes.CDLL(str(library)).wavenet_on_cpu

    def launch(self, job: cuda_cluster.Job, streams: int, cuda_stream: int) -> None:
        self.seed += 1
        self._play(ctypes.byref(job), -(-streams // cuda_cluster.STREAMS), self.seed)


@pytest.fixture(autouse=True)
def kernel_on_cpu(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    KernelOnCpu.folder = tmp_path_factory.getbasetemp()
    monkeypatch.setattr(cuda_cluster, "ClusterKernel", KernelOnCpu)


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


@pytest.mark.parametrize("name", SPECS)
def test_distributions_draws_audio_and_state_are_the_references(name: str, request: pytest.FixtureRequest) -> None:
    """The engine runs freely; the reference is fed with the values it drew."""
    spec = SPECS[name]
    if spec.bands == 1:
        request.getfixturevalue("short_hops")
    hops = -(-48 // spec.steps_per_hop)
    channels, noise = material(spec, hops)
    weights = architectures.random_weights(spec, seed=3)
    ours = CudaEngine(spec, weights, device="cpu", kernel="cluster")
    trace, audio = Trace.empty(spec, hops), np.zeros(hops * contracts.HOP, np.float32)
    ours.generate(audio, channels, noise, temperature=0.7, trace=trace)
    theirs, own, expected = ReferenceEngine(spec, weights), Trace.empty(spec, hops), np.empty_like(audio)
    theirs.generate(expected, channels, noise, temperature=0.7, trace=own, forced=trace.values)
    np.testing.assert_allclose(trace.parameters, own.parameters, rtol=0, atol=BOUND)
    np.testing.assert_allclose(audio, expected, rtol=0, atol=1e-5)
    if spec.head == "mulaw":  # a value on the border of two classes may fall to either side
        assert np.mean(trace.values != own.values) < 0.02
    else:
        np.testing.assert_allclose(trace.values, own.values, rtol=0, atol=BOUND)
    for field, value in vars(ours.state()).items():
        np.testing.assert_allclose(value, getattr(theirs.state(), field), rtol=0, atol=BOUND, err_msg=field)


def test_several_streams_play_what_each_would_alone() -> None:
    """Six streams are two clusters; each has its own channels, noise and temperature."""
    count, hops, weights = 6, 1, architectures.random_weights(STAGE, seed=3)
    together = CudaStreams(STAGE, weights, count, device="cpu", kernel="cluster")
    channels, noise = (np.stack(x) for x in zip(*(material(STAGE, hops, seed) for seed in range(count)), strict=True))
    temperatures = [0.3 + 0.1 * i for i in range(count)]
    out = np.empty((count, contracts.HOP), np.float32)
    together.generate(out, channels, noise, styles=[0] * count, temperatures=temperatures)
    for i in (0, 3, 5):
        alone, audio = ReferenceEngine(STAGE, weights), np.empty(contracts.HOP, np.float32)
        alone.generate(audio, channels[i], noise[i], temperature=temperatures[i])
        np.testing.assert_allclose(out[i], audio, rtol=0, atol=1e-4, err_msg=f"stream {i}")


def test_hop_by_hop_equals_all_at_once_and_hands_over_to_the_reference() -> None:
    hops, steps, weights = 4, STAGE.steps_per_hop, architectures.random_weights(STAGE, seed=3)
    weights = {name: w / 2 for name, w in weights.items()}  # at full gain a random network multiplies rounding
    channels, noise = material(STAGE, hops)
    whole, pieces = np.empty(hops * contracts.HOP, np.float32), np.empty((hops, contracts.HOP), np.float32)
    ReferenceEngine(STAGE, weights).generate(whole, channels, noise)
    ours, theirs = CudaEngine(STAGE, weights, device="cpu", kernel="cluster"), ReferenceEngine(STAGE, weights)
    players = (ours, ours, theirs, ours)
    for hop, player in enumerate(players):
        player.generate(pieces[hop], channels[hop : hop + 1], noise[hop * steps : (hop + 1) * steps])
        if hop + 1 < hops and players[hop + 1] is not player:
            players[hop + 1].set_state(player.state())
    np.testing.assert_allclose(pieces.reshape(-1), whole, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("barrier", "without"),
    [
        ("            sync_named(CHAIN, GROUP);\n            arrive_named(GATED", "            arrive_named(GATED"),
        ("sync_named(CHAIN, GROUP);  // all of the queues", "// all of the queues"),
    ],
    ids=["gated units", "queues"],
)
def test_a_missing_barrier_shows(barrier: str, without: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """These tests would see it: the kernel without one of its barriers does not play what the reference plays."""
    text = cuda_cluster.SOURCE.read_text()
    assert text.count(barrier) == 1
    (tmp_path / "broken.cu").write_text(text.replace(barrier, without))
    monkeypatch.setattr(KernelOnCpu, "kernel", tmp_path / "broken.cu")
    channels, noise = material(STAGE, 2)
    weights, whole = architectures.random_weights(STAGE, seed=3), np.empty((2, 2 * contracts.HOP), np.float32)
    CudaEngine(STAGE, weights, device="cpu", kernel="cluster").generate(whole[0], channels, noise)
    ReferenceEngine(STAGE, weights).generate(whole[1], channels, noise)
    assert np.max(np.abs(whole[0] - whole[1])) > 1e-3


@pytest.mark.parametrize("make", [architectures.stage, architectures.classic])
def test_the_full_size_compiles_for_hopper_and_fits(make: type) -> None:
    if importlib.util.find_spec("cuda") is None:
        pytest.skip("cuda-bindings is not installed: its NVRTC compiles the kernel")
    image = cuda_cluster.compiled(cuda_cluster.SOURCE, (*cuda_cluster.sizes(make()).items(), ("MARKED", 0)), (9, 0))
    assert image[:4] == b"\x7fELF"


def test_what_the_kernel_cannot_play_is_named() -> None:
    narrow = dataclasses.replace(STAGE, residual=16)
    assert "16 residual channels" in cuda_cluster.why_not(narrow)
    assert "more than 21" in cuda_cluster.why_not(dataclasses.replace(STAGE, dilations=(1,) * 22))
    assert "skip" in cuda_cluster.why_not(dataclasses.replace(STAGE, skip=512))
    weights = architectures.random_weights(STAGE)
    with pytest.raises(EngineError, match="the cluster kernel plays fp16, not fp32"):
        CudaEngine(STAGE, weights, device="cpu", kernel="cluster", precision="fp32")
    with pytest.raises(EngineError, match="kernel is one of"):
        CudaEngine(STAGE, weights, device="cpu", kernel="warp")


def test_it_plays_only_if_asked_for() -> None:
    weights = architectures.random_weights(STAGE)
    assert CudaEngine(STAGE, weights, device="cpu").detail.endswith("fp16, triton")
    assert CudaEngine(STAGE, weights, device="cpu", kernel="cluster").detail.endswith("fp16, cluster")
