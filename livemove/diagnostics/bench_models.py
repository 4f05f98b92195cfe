"""What `livemove bench` measures: the two architectures, other sizes of one of them, and what each costs by counting.

In: specs. Out: models with random weights, multiply-adds and bytes of a step. Measures nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from livemove.bundle import Bundle
from livemove.contracts import ModelSpec, Weights
from livemove.synthesis import architectures

ARCHITECTURES = {"classic": architectures.classic, "stage": architectures.stage}

Row = dict[str, str | float | None]


@dataclass(frozen=True)
class Model:
    """What to measure: an architecture with its weights and, for the onnx engine, its graph.

    dimension: the one (receptive field, layers, width, bands) in which it differs from the stage architecture; at: its
    place there. bundle: whose golden vector an engine must reproduce to be measured.
    """

    architecture: str
    spec: ModelSpec
    weights: Weights
    onnx_path: Path | None
    dimension: str = ""
    at: float = 0.0
    bundle: Bundle | None = None


def multiply_adds(spec: ModelSpec) -> int:
    """Multiply-adds of the network per step; one is two FLOP.

    layers * (past 2R^2 + now 2R^2 + skip R*S) + (layers - 1) * residual R^2 + head S*A + A*parameters
    + input: 2*bands*R (none for the mu-law embedding) + phase 2K*R. What runs once a hop is not counted.
    """
    r = spec.residual
    count = spec.layers * (4 * r * r + r * spec.skip) + (spec.layers - 1) * r * r
    count += spec.skip * spec.hidden + spec.hidden * spec.parameters + spec.phase_width * r
    return count + (0 if spec.head == "mulaw" else 2 * spec.bands * r)


def random_models(graphs: dict[str, Path] | None = None) -> list[Model]:
    """Every architecture with random weights; graphs: architecture -> generator.onnx of that size, whatever its
    weights."""
    models: list[Model] = []
    for name, make in ARCHITECTURES.items():
        spec = make()
        models.append(Model(name, spec, architectures.random_weights(spec), (graphs or {}).get(name)))
    return models


def step_bytes(spec: ModelSpec, precision: str, voices: int = 1) -> tuple[float, float]:
    """What the native engine reads of memory for a step of one voice, and all it has to keep at hand, in bytes.

    (weights and layer inputs read, weights and layer inputs kept). Weights of a step: the present taps, residual, skip
    and head once, those of the past tap once for 8 steps or for as many as the dilation lets come together, shared by
    all voices; of the head in fp16 only rows of positive inputs, about half. Bytes a weight: 2 in fp16; in int8 as
    `livemove.synthesis.native.PRECISIONS` says, on a machine that multiplies bytes.
    """
    r, whole = spec.residual, 1.25 if precision == "int8" else 2.0
    skip, head = (1.0, 1.25) if precision == "int8" else (2.0, 1.0)
    kept = read = 0.0
    for dilation in spec.dilations:
        together = 1 << min(dilation, 8).bit_length() - 1
        past = (1.25 if together <= 4 else 2.0) if precision == "int8" else 2.0
        every_step = 2 * r * r * whole + r * spec.skip * skip + r * r * whole
        kept += every_step + 2 * r * r * past + 4 * r * dilation * voices
        read += (every_step + 2 * r * r * past / together) / voices + 8 * r
    heads = spec.skip * spec.hidden + spec.hidden * spec.parameters
    inputs = 2.0 * 2 * spec.symbols * r
    once = 2 * r if spec.head == "mulaw" else inputs / voices
    return read + heads * head / voices + once, kept + heads * max(head, whole) + inputs


def size_models() -> list[Model]:
    """The stage architecture in other sizes, one dimension at a time."""
    stage = architectures.stage()
    ten = stage.dilations
    specs: list[tuple[str, str, float, ModelSpec]] = []
    for r in (32, 64, 128, 256):
        spec = replace(stage, residual=r, skip=2 * r, hidden=2 * r)
        specs.append((f"R{r} S{2 * r}", "width", r, spec))
    for times in (2, 3, 4):
        spec = replace(stage, dilations=ten * times)
        specs.append((f"{10 * times} layers", "layers", 10 * times, spec))
    for bands in (8, 4, 1):
        spec = replace(stage, bands=bands, pqmf_taps=10 * bands if bands > 1 else 0)
        specs.append(("1 band" if bands == 1 else f"{bands} bands", "bands", bands, spec))
    for name, dilations in (
        ("dilations 1", (1,) * 10),
        ("dilations 1..16", tuple(min(d, 16) for d in ten)),
        ("dilations 4..2048", tuple(4 * d for d in ten)),
        ("dilations 16..8192", tuple(16 * d for d in ten)),
    ):
        spec = replace(stage, dilations=dilations)
        specs.append((name, "receptive field", spec.receptive_field / spec.step_rate, spec))
    large = replace(stage, residual=128, skip=256, hidden=256, dilations=ten * 2)
    specs.append(("R128 S256, 20 layers", "", 0.0, large))
    return [
        Model(name, spec, architectures.random_weights(spec), None, dimension, at)
        for name, dimension, at, spec in specs
    ]
