"""Valid model bundles with random weights: noise to the ear, and every engine must agree on it.

In: a folder, a spec, a seed. Out: a bundle on disk. Knows no test.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from livemove.bundle import Bundle, Golden, as_stored, save_bundle
from livemove.contracts import HOP, Gate, HarmonicPath, ModelSpec, Phase, Weights
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


STYLES = """
[styles]
between = ["dark", "bright"]
source = "crouch"
from = [0.0, 1.0]
smoothing_s = 0.05
"""
"""An axis between the two styles of `two_voices`, to be put after MAPPING."""


PLAYED = """\
[channels.pitch]
source = "osc:/pitch"
from = [57, 81]
to = [57, 81]

[channels.loudness]
source = "osc:/loudness"
from = [0, 1]
to = [0, 1]

[channels.brightness]
source = "presence"
from = [0, 1]
to = [0.5, 0.5]
"""
"""A mapping by which OSC plays pitch and loudness, whatever the body does."""


def two_voices(path: Path, mapping: str = MAPPING, gate: Gate | None = None) -> Bundle:
    """Two styles, one network that is silent but for its harmonic path: dark is the first harmonic alone, bright all of
    eight alike. gate: where it is wholly silent."""
    spec = dataclasses.replace(
        small_spec("voices"), styles=("dark", "bright"), phase=Phase("pitch", 2),
        harmonic_path=HarmonicPath(8, 16, "loudness"), gate=gate,
    )  # fmt: skip
    weights = {name: np.zeros_like(w) for name, w in architectures.random_weights(spec).items()}
    weights["bands.scale"][:] = 0.25
    weights["head.bias_2"].reshape(spec.bands, 3, spec.mixtures)[:, 2] = -9.0  # hardly any noise
    weights["style.embedding"][:] = [[-1.0] * spec.conditioning, [1.0] * spec.conditioning]
    weights["harmonics.bias_2"][0] = 1.0  # a hidden unit that is always on, alike for both styles
    weights["harmonics.weight_3"][0, 0] = 0.8
    weights["harmonics.weight_3"][16, :8] = 0.3
    return _saved(path, spec, as_stored(weights), np.random.default_rng(0), mapping=mapping)


def random_bundle(path: Path, spec: ModelSpec, seed: int = 0, onnx: bytes | None = None) -> Bundle:
    """A valid bundle with random weights: noise to the ear, but every engine must agree on it."""
    weights = as_stored(architectures.random_weights(spec, seed))
    return _saved(path, spec, weights, np.random.default_rng(seed), onnx)


def _saved(
    path: Path, spec: ModelSpec, weights: Weights, rng: np.random.Generator, onnx: bytes | None = None,
    mapping: str = MAPPING,
) -> Bundle:  # fmt: skip
    hops = 2
    low = np.array([c.minimum for c in spec.channels], np.float32)
    high = np.array([c.maximum for c in spec.channels], np.float32)
    channels = low + (high - low) * rng.random((hops, len(spec.channels)), np.float32)
    noise = rng.random((hops * spec.steps_per_hop, spec.noise_width), np.float32)
    audio = np.empty(hops * HOP, np.float32)
    ReferenceEngine(spec, weights).generate(audio, channels, noise, temperature=spec.temperature)
    golden = Golden(channels, noise, audio, style=0, temperature=spec.temperature)
    return save_bundle(path, spec, weights, golden, onnx, mapping, f"# {spec.name}\n\nRandom weights, for tests.\n")
