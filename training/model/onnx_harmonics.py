"""The harmonic path as nodes of generator.onnx: synthesis/harmonic_path.py, once a run, which is a hop.

In: names of values in a graph. Out: the name of what is added to the means. Knows no WaveNet.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from livemove.contracts import LEVEL, PITCH_OCTAVES, Float64, ModelSpec
from livemove.synthesis import harmonic_path
from training.model.onnx_nodes import Graph


def first(g: Graph, features: str, have: int, want: int) -> str:
    """The sines and cosines [steps, 2 want] of the first harmonics of [steps, 2 have]."""
    if have == want:
        return features
    columns = np.concatenate([np.arange(want), have + np.arange(want)])
    return g.one("Gather", features, g.constant(columns, np.int64), axis=1)


def bands(
    g: Graph, spec: ModelSpec, w: dict[str, Float64], steps: int, normalised: str, embedded: str, hz: str, features: str
) -> str:
    """m [steps, bands] in network values. normalised [1, C], embedded [1, E], hz double [], features [steps, 2K]."""
    assert spec.phase is not None
    assert spec.harmonic_path is not None
    count = spec.harmonic_path.harmonics
    amplitudes = g.one("Concat", g.shaped("amplitudes", 1, -1), _amplitudes(g, spec, w, normalised, embedded), axis=0)
    real, imaginary = (
        g.shaped(half, 2, count, 1) for half in g.many("Split", amplitudes, outputs=2, axis=1)
    )  # [before and now, K, 1]
    gain, quadrature = _gains(g, spec, w, hz)
    over_sine = g.one("Neg", g.one("Add", g.one("Mul", real, quadrature), g.one("Mul", imaginary, gain)))
    over_cosine = g.one("Sub", g.one("Mul", real, gain), g.one("Mul", imaginary, quadrature))
    sums = g.one("Concat", over_sine, over_cosine, axis=1)  # [2, 2K, bands]
    ramp = np.arange(1, steps + 1) / steps
    parts = g.one("MatMul", first(g, features, max(count, spec.phase.harmonics), count), sums)
    weighed = g.one("Mul", parts, g.constant(np.stack([1 - ramp, ramp])[..., None]))
    return g.one("ReduceSum", weighed, g.constant([0], np.int64), keepdims=0)


def _amplitudes(g: Graph, spec: ModelSpec, w: dict[str, Float64], normalised: str, embedded: str) -> str:
    """[1, 2K]: harmonic_path.amplitudes; goes out as the next run's state."""
    assert spec.phase is not None
    assert spec.harmonic_path is not None
    index = spec.channel_names.index(spec.phase.channel)
    pitch = g.one("Gather", normalised, g.constant([index], np.int64), axis=1)
    angle = g.one("Mul", pitch, g.constant(np.pi * 2.0 ** np.arange(PITCH_OCTAVES)[None]))
    hidden = g.one("Concat", embedded, g.one("Sin", angle), g.one("Cos", angle), axis=1)
    for layer in "12":
        bias = g.constant(w[f"harmonics.bias_{layer}"])
        hidden = g.one("Relu", g.dense(hidden, w[f"harmonics.weight_{layer}"], bias))
    if len(spec.styles) > 1:
        hidden = g.shaped(g.one("Mul", g.shaped("style", -1, 1), hidden), 1, -1)
    made = g.dense(hidden, w["harmonics.weight_3"], g.constant(w["harmonics.bias_3"]))
    if spec.harmonic_path.level:
        index = spec.channel_names.index(spec.harmonic_path.level)
        channel = spec.channels[index]
        value = g.one("Gather", "channels", g.constant([index], np.int64))
        value = g.one("Clip", value, g.constant(channel.minimum), g.constant(channel.maximum))
        made = g.one("Mul", made, g.one("Mul", g.one("Mul", value, value), g.constant(LEVEL)))
    g.shaped(made, 2 * spec.harmonic_path.harmonics, name="amplitudes_out")
    return made


def _gains(g: Graph, spec: ModelSpec, w: dict[str, Float64], hz: str) -> tuple[str, str]:
    """harmonic_path.band_gains of the multiples of hz: real and imaginary parts [K, bands], over the bands' scales."""
    assert spec.harmonic_path is not None
    double, points = np.float64, harmonic_path.RESPONSE_POINTS
    k = np.arange(1, spec.harmonic_path.harmonics + 1)[:, None]
    place = g.one("Mul", hz, g.constant(k * (2 * spec.bands * points / spec.sample_rate), double))
    centre = (np.arange(spec.bands) + 0.5) * points
    distance = g.one("Add", place, g.constant(np.concatenate([centre, -centre])[None], double))
    at = g.one("Cast", g.one("Abs", distance), to=TensorProto.FLOAT)  # [K, above and below]
    table = np.append(harmonic_path.prototype_response(spec.bands, spec.pqmf_taps), 0.0)
    left = g.one("Min", g.one("Floor", at), g.constant(len(table) - 1.0))
    part = g.one("Sub", at, left)
    index = g.one("Cast", left, to=TensorProto.INT64)
    low = g.one("Gather", g.constant(table), index)
    rise = g.one("Gather", g.constant(np.append(np.diff(table), 0.0)), index)
    response = g.one("Add", low, g.one("Mul", rise, part))
    theta = np.where(np.arange(spec.bands) % 2, -1, 1) * np.pi / 4
    cosine, sine = np.diag(np.cos(theta) / w["bands.scale"]), np.diag(np.sin(theta) / w["bands.scale"])
    turned = g.one("MatMul", response, g.constant(np.block([[cosine, -sine], [cosine, sine]])))
    real, imaginary = g.many("Split", turned, outputs=2, axis=1)
    turn = g.one("Cast", g.one("Mul", hz, g.constant(-np.pi * k / spec.sample_rate, double)), to=TensorProto.FLOAT)
    c, s = g.one("Cos", turn), g.one("Sin", turn)
    gain = g.one("Sub", g.one("Mul", real, c), g.one("Mul", imaginary, s))
    return gain, g.one("Add", g.one("Mul", real, s), g.one("Mul", imaginary, c))
