"""How the cuda engine lays out weights and state for Triton's kernels: padded sizes, rings, weights in order of use.

In: a spec and its weights. Out: sizes, and NumPy arrays to be copied to the GPU. Knows neither torch nor kernels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from livemove.contracts import EngineError, Float32, ModelSpec, Weights, initial_state, weight_shapes
from livemove.synthesis import pqmf, sampling

LAUNCH_HOPS = 8
"""Most hops per launch: enough to hide the host's work behind the device's, few enough that audio comes back early."""

LARGEST_HALF = 65504.0

MATRICES = ("layers", "residual", "skip", "head_1", "head_2", "phase", "path")
"""What `packed` returns that may be rounded to float16; of a logistic head input.weight, too."""


@dataclass(frozen=True)
class Sizes:
    """Widths padded to powers of two that a matrix product takes, and the lengths of the rings."""

    bands: int
    phase: int
    residual: int
    skip: int
    hidden: int
    parameters: int
    history: int
    values: int
    ring_rows: int

    @staticmethod
    def of(spec: ModelSpec) -> Sizes:
        mulaw = spec.head == "mulaw"
        bands = 1 if mulaw else _power_of_two(spec.bands)
        history = max(len(initial_state(spec).overlap), 2)
        return Sizes(
            bands=bands,
            phase=_power_of_two(spec.phase_width),
            residual=_power_of_two(spec.residual),
            skip=_power_of_two(spec.skip),
            hidden=_power_of_two(spec.hidden),
            parameters=_power_of_two(spec.classes) if mulaw else _power_of_two(spec.mixtures, 1),
            history=history,
            values=_power_of_two(history + LAUNCH_HOPS * spec.steps_per_hop),
            ring_rows=sum(_power_of_two(d + 1, 1) for d in spec.dilations),
        )

    def rings(self, spec: ModelSpec) -> list[tuple[int, int, int]]:
        """First row, mask and dilation of every layer's ring: longer than its dilation, so that one step's read and
        write never meet."""
        lengths = [_power_of_two(d + 1, 1) for d in spec.dilations]
        first = np.cumsum([0, *lengths])
        return [(int(f), n - 1, d) for f, n, d in zip(first, lengths, spec.dilations, strict=False)]


def packed(spec: ModelSpec, size: Sizes, weights: Weights) -> dict[str, np.ndarray]:
    """The kernels' weights: [out, in] as the left sides of products, padded with zeros."""
    n, r, s, a, f = spec.layers, size.residual, size.skip, size.hidden, size.phase
    mulaw = spec.head == "mulaw"

    halves = np.stack([weights["layers.past"], weights["layers.now"]], 1)  # [n, 2, in, 2R]
    halves = halves.reshape(n, 2, spec.residual, 2, spec.residual)  # [n, past or now, in, filter or gate, out]
    condition = weights["layers.condition"].reshape(n, -1, 2, spec.residual).transpose(1, 0, 2, 3)
    head_2, head_bias_2 = weights["head.weight_2"].T, weights["head.bias_2"]
    if mulaw:
        packed_head = padded(head_2, size.parameters, a), padded(head_bias_2, size.parameters)
        input_weight = padded(weights["input.weight"], 2, spec.classes, r)
        to_audio = sampling.mulaw_decode(np.arange(spec.classes), spec.classes)
    else:
        shape = (spec.bands, 3, spec.mixtures)
        rows = head_2.reshape(*shape, -1).swapaxes(0, 1), head_bias_2.reshape(shape).swapaxes(0, 1)
        widths = (3, size.bands, size.parameters)
        packed_head = padded(rows[0], *widths, a), padded(rows[1], *widths)
        input_weight = padded(weights["input.weight"].swapaxes(1, 2), 2, r, size.bands)
        to_audio = weights["bands.scale"]
        if spec.bands > 1:
            filters = pqmf.filters(spec.bands, spec.pqmf_taps)[1] * weights["bands.scale"][:, None]
            ages = filters.reshape(spec.bands, -1, spec.bands).swapaxes(0, 1)  # [age, band, sample]
            to_audio = padded(ages.astype(np.float32), len(ages), size.bands, size.bands)
    no_residual = np.zeros((1, spec.residual, spec.residual), np.float32)
    return {
        "input.weight": input_weight,
        "input.bias": padded(weights["input.bias"], r),
        "phase": padded(weights["input.phase"].T, r, f) if spec.phase else np.zeros(1, np.float32),
        "path": padded(weights["input.harmonics"].T, r, size.bands) if spec.harmonic_path else np.zeros(1, np.float32),
        "condition": padded(condition, spec.conditioning, n, 2, r).reshape(spec.conditioning, -1),
        "condition_bias": padded(weights["layers.bias"].reshape(n, 2, spec.residual), n, 2, r).reshape(-1),
        "layers": padded(halves.transpose(0, 1, 3, 4, 2), n, 2, 2, r, r),
        "residual": padded(np.concatenate([weights["layers.residual"].swapaxes(1, 2), no_residual]), n, r, r),
        "residual_bias": padded(np.concatenate([weights["layers.residual_bias"], no_residual[0, :1]]), n, r),
        "skip": padded(weights["layers.skip"].swapaxes(1, 2), n, s, r),
        "skip.bias": padded(weights["skip.bias"], s),
        "head_1": padded(weights["head.weight_1"].T, a, s),
        "head_bias_1": padded(weights["head.bias_1"], a),
        "head_2": packed_head[0],
        "head_bias_2": packed_head[1],
        "to_audio": to_audio,
        "rings": np.array(size.rings(spec), np.int32),
    }


def _power_of_two(width: int, least: int = 16) -> int:
    return max(least, 1 << (width - 1).bit_length())


def padded(array: Float32, *shape: int) -> Float32:
    """array in the corner of zeros of this shape."""
    corner = np.zeros(shape, np.float32)
    corner[tuple(slice(n) for n in array.shape)] = array
    return corner


def checked(spec: ModelSpec, weights: Weights) -> Weights:
    """weights as they are; EngineError names the tensor that does not fit."""
    for name, shape in weight_shapes(spec).items():
        if name not in weights:
            raise EngineError(f"engine cuda: {spec.name} has no weight {name}")
        if weights[name].shape != shape:
            raise EngineError(f"engine cuda: {name} is {list(weights[name].shape)}, expected {list(shape)}")
        if not np.all(np.abs(weights[name]) <= LARGEST_HALF):
            raise EngineError(f"engine cuda: {name} holds a value that is not finite or beyond {LARGEST_HALF:.0f}")
    return weights
