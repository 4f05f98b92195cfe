"""Valid model bundles with random weights: noise to the ear, and every engine must agree on it.

In: a folder, a spec, a seed. Out: a bundle on disk. Knows no test.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from livemove.bundle import Bundle, Golden, as_stored, save_bundle
from livemove.contracts import HOP, ModelSpec
from livemove.synthesis import architectures
from livemove.synthesis.reference import ReferenceEngine

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


def small_spec(name: str = "small") -> ModelSpec:
    """The stage setting with a tenth of its size, so that even the reference engine is quick."""
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
