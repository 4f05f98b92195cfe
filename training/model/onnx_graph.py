"""Writes generator.onnx: spec and weights in, one serialised ONNX model out, an unrolled chunk of WaveNet generation.

Built node by node with onnx.helper, so that no tracer decides how many nodes a step costs: ONNX Runtime spends about as
long on a node as on its arithmetic. Knows the arithmetic of contracts.weight_shapes, and no engine, bundle or torch.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from livemove.contracts import FORMAT_VERSION, Float64, ModelSpec, Weights, initial_state
from livemove.synthesis import conditioning, pqmf, sampling
from training.model import onnx_harmonics
from training.model.onnx_nodes import Graph as _Graph

OPSET = 17
IR_VERSION = 8
"""What onnxruntime 1.18 and everything after it reads."""

UNROLL = 16
"""Steps per run, at most. 8 and 32 are no faster: shorter chunks copy the queues more often and batch fewer past taps,
longer ones outgrow the caches with ONNX Runtime's own bookkeeping, several cache lines per node."""

CONCATENATE_UP_TO = 2
"""Layers of at most this dilation multiply [past | now] in one Gemm; wider ones batch the past taps of d steps."""

STEP = 1e30
"""Slope that turns HardSigmoid into a unit step, so that choosing a component is one activation."""


def steps_per_run(spec: ModelSpec) -> int:
    """Steps one run of the graph computes: a whole fraction of a hop. A harmonic path's amplitudes ramp over a hop."""
    return spec.steps_per_hop if spec.harmonic_path else math.gcd(spec.steps_per_hop, UNROLL)


def delays(spec: ModelSpec) -> dict[int, int]:
    """Layer -> runs it looks back, where that is a whole number of runs. Such a queue never enters the graph, which
    would copy all of it twice a run: `past_LAYER` is what went out as `past_LAYER_out` that many runs before."""
    steps = steps_per_run(spec)
    wide = [(layer, d) for layer, d in enumerate(spec.dilations) if d > CONCATENATE_UP_TO]
    return {layer: d // steps for layer, d in wide if d % steps == 0}


def build(spec: ModelSpec, weights: Weights) -> bytes:
    """The serialised model.

    Inputs: channels float32 [C] in natural units, style float32 [max(styles, 1)] weights, temperature float32 [],
    noise float32 [steps, noise_width] uniform in 0..1, and the state of contracts.EngineState: inputs, queues and,
    where the spec has them, overlap, phase and amplitudes; queues without those of `delays`, each of which is an input
    past_LAYER [steps, residual]. Outputs: audio float32 [steps * bands], values and parameters as in contracts.Trace,
    and the new state under the same names with `_out`. The metadata entry `livemove` (JSON) holds steps, sample rate,
    channels with their ranges, the constant that fills each state tensor at the start, and for each past_LAYER how many
    runs later its `_out` comes back (`delays`; all else comes back in the next run).
    """
    steps = steps_per_run(spec)
    w = {name: np.asarray(value, np.float64) for name, value in weights.items()}
    g = _Graph()
    temperature = g.one("Max", "temperature", g.constant(sampling.TEMPERATURE_FLOOR))
    normalised = _normalised(g, spec)
    embedded = _embedding(g, w, normalised)
    stack = _Stack(g, spec, w, steps, embedded)
    phase = _phase(g, spec, steps)
    path = (
        onnx_harmonics.bands(g, spec, w, steps, normalised, embedded, *phase) if spec.harmonic_path and phase else None
    )
    excitation = _excitation(g, spec, w, steps, phase, path)
    if spec.head == "mulaw":
        _mulaw_head(g, spec, w, steps, temperature, stack, excitation)
    else:
        _logistic_head(g, spec, w, steps, temperature, stack, excitation, path)
    stack.queues_out()
    return _model(spec, g, steps).SerializeToString()


def _normalised(g: _Graph, spec: ModelSpec) -> str:
    """[1, C]: conditioning.normalise as nodes."""
    low = np.array([c.minimum for c in spec.channels])
    high = np.array([c.maximum for c in spec.channels])
    scaled = g.one("Mul", g.one("Sub", "channels", g.constant(low)), g.constant(2 / (high - low)))
    centred = g.one("Sub", scaled, g.constant(1.0))
    return g.shaped(g.one("Clip", centred, g.constant(-1.0), g.constant(1.0)), 1, len(spec.channels))


def _embedding(g: _Graph, w: dict[str, Float64], normalised: str) -> str:
    """[1, E]: conditioning.embed as nodes."""
    style = g.dense(g.shaped("style", 1, -1), w["style.embedding"], g.constant(w["conditioner.bias"]))
    return g.one("Tanh", g.dense(normalised, w["conditioner.weight"], style))


def _phase(g: _Graph, spec: ModelSpec, steps: int) -> tuple[str, str] | None:
    """(frequency in Hz, double []; sines and cosines of the running phase [steps, 2K] of as many harmonics as the input
    or the harmonic path needs); None without a phase."""
    if spec.phase is None:
        return None
    double = np.float64
    index = spec.channel_names.index(spec.phase.channel)
    channel = spec.channels[index]
    note = g.one("Cast", g.one("Gather", "channels", g.constant(index, np.int64)), to=TensorProto.DOUBLE)
    note = g.one("Clip", note, g.constant(channel.minimum, double), g.constant(channel.maximum, double))
    octaves = g.one("Div", g.one("Sub", note, g.constant(69.0, double)), g.constant(12.0, double))
    hz = g.one("Mul", g.one("Pow", g.constant(2.0, double), octaves), g.constant(440.0, double))
    cycles = g.one("Add", "phase", g.one("Mul", hz, g.constant(np.arange(1, steps + 1) / spec.step_rate, double)))
    last = g.one("Gather", cycles, g.constant([steps - 1], np.int64))
    g.one("Sub", last, g.one("Floor", last), name="phase_out")
    k = np.arange(1, max(spec.phase.harmonics, spec.path_width // 2) + 1)
    multiples = g.one("Mul", g.shaped(cycles, steps, 1), g.constant(k[None], double))
    wrapped = g.one("Cast", g.one("Sub", multiples, g.one("Floor", multiples)), to=TensorProto.FLOAT)
    angle = g.one("Mul", wrapped, g.constant(2 * np.pi))
    low, high = conditioning.PHASE_FADE
    fade = g.one("Mul", hz, g.constant(k / (spec.sample_rate * (high - low)), double))
    fade = g.one("Cast", g.one("Sub", g.constant(high / (high - low), double), fade), to=TensorProto.FLOAT)
    gain = g.one("Clip", fade, g.constant(0.0), g.constant(1.0))
    return hz, g.one("Concat", *(g.one("Mul", g.one(f, angle), gain) for f in ("Sin", "Cos")), axis=1)


def _excitation(
    g: _Graph, spec: ModelSpec, w: dict[str, Float64], steps: int, phase: tuple[str, str] | None, path: str | None
) -> list[str] | None:
    """Per step [1, R]: the phase through input.phase and the harmonic path through input.harmonics; None without."""
    if phase is None or spec.phase is None:
        return None
    features = onnx_harmonics.first(g, phase[1], max(spec.phase.harmonics, spec.path_width // 2), spec.phase.harmonics)
    made = g.dense(features, w["input.phase"], g.constant(w["input.bias"]))
    if path:  # the state holds network values less the path's share; those drawn in this run are less it from here on
        made = g.dense(path, w["input.harmonics"], made)
        padded = g.one("Concat", g.constant(np.zeros((2, spec.bands))), path, axis=0)
        for tap in range(2):
            earlier = g.one("Gather", padded, g.constant(np.arange(steps) + tap, np.int64), axis=0)
            made = g.dense(earlier, -w["input.weight"][tap], made)
    return g.rows(made, steps)


class _Stack:
    """The dilated layers: `step` maps h [1, R] of one step to the skip sum's Relu [1, S].

    Residual biases never appear per step. Inside the graph a layer's input is kept without the biases of the layers
    before it; what they would add (`shift`) is folded into the gates' biases and put back in queues_out.
    """

    def __init__(self, g: _Graph, spec: ModelSpec, w: dict[str, Float64], steps: int, embedded: str) -> None:
        self.g, self.spec, self.w, self.steps = g, spec, w, steps
        layers, r = spec.layers, spec.residual
        self.shift = np.concatenate([np.zeros((1, r)), np.cumsum(w["layers.residual_bias"], 0)])[:layers]
        from_queue = w["layers.bias"] + np.einsum("lr,lrz->lz", self.shift, w["layers.now"])
        from_graph = from_queue + np.einsum("lr,lrz->lz", self.shift, w["layers.past"])
        # [layer, source] -> the gates' constant part where the past tap comes from a queue (0) or from this run (1): a
        # row [1, 2R] for batches, else its halves [1, R]. No output is split off that nobody reads: each costs 0.6 us.
        used = [(layer, source) for layer, d in enumerate(spec.dilations) for source in range(1 + (steps > d))]
        bias = np.stack([(from_queue, from_graph)[source][layer] for layer, source in used]).reshape(1, -1)
        condition = np.moveaxis(w["layers.condition"][[layer for layer, _ in used]], 0, 1)
        gates = g.dense(embedded, condition.reshape(spec.conditioning, -1), g.constant(bias))
        sizes = [[r, r] if spec.dilations[layer] <= CONCATENATE_UP_TO else [2 * r] for layer, _ in used]
        flat = [size for part in sizes for size in part]
        parts = iter(g.many("Split", gates, g.constant(flat, np.int64), outputs=len(flat), axis=1))
        self.bias = {key: [next(parts) for _ in part] for key, part in zip(used, sizes, strict=True)}
        self.inputs: list[list[str]] = [[] for _ in range(layers)]
        self.past: list[list[tuple[str, str]]] = [[] for _ in range(layers)]
        self.delays = delays(spec)
        self._queues_in()

    def _queues_in(self) -> None:
        """Cut the queues into what this run's steps look back to, and what only moves up."""
        dilations = self.spec.dilations
        short = [d for layer, d in enumerate(dilations) if layer not in self.delays]
        sizes = [size for d in short for size in (min(d, self.steps), d - self.steps) if size > 0]
        parts = iter(self.g.rows("queues", sizes) if sizes else [])
        self.oldest: list[list[str]] = []
        self.kept: list[list[str]] = []
        for layer, d in enumerate(dilations):
            if layer in self.delays:
                self.oldest.append([])
                self.kept.append([])
                self._batch(layer, f"past_{layer}", self.steps, 0)
                continue
            block = next(parts)
            self.kept.append([next(parts)] if d > self.steps else [])
            if d <= CONCATENATE_UP_TO:
                self.oldest.append(self.g.rows(block, min(d, self.steps)))
            else:
                self.oldest.append([])
                self._batch(layer, block, min(d, self.steps), 0)

    def _batch(self, layer: int, block: str, count: int, source: int) -> None:
        """Past taps of the next `count` steps of a layer, in one product."""
        product = self.g.dense(block, self.w["layers.past"][layer], *self.bias[layer, source])
        halves = self.g.rows(self.g.shaped(product, 2 * count, self.spec.residual), 2 * count)
        self.past[layer] += zip(halves[::2], halves[1::2], strict=True)

    def step(self, h: str) -> str:
        g, r = self.g, self.spec.residual
        gated: list[str] = []
        for layer, d in enumerate(self.spec.dilations):
            inputs = self.inputs[layer]
            t = len(inputs)
            now = self.w["layers.now"][layer]
            if d <= CONCATENATE_UP_TO:
                past = self.oldest[layer][t] if t < d else inputs[t - d]
                x = g.one("Concat", past, h, axis=1)
                weight = np.concatenate([self.w["layers.past"][layer], now])
                bias = self.bias[layer, int(t >= d)]
            else:
                if t >= d and t % d == 0:
                    count = min(d, self.steps - t)
                    self._batch(layer, g.stack(inputs[t - d : t - d + count]), count, 1)
                x, weight, bias = h, now, self.past[layer][t]
            inputs.append(h)
            tanh = g.one("Tanh", g.dense(x, weight[:, :r], bias[0]))
            sigmoid = g.one("Sigmoid", g.dense(x, weight[:, r:], bias[1]))
            gated.append(g.one("Mul", tanh, sigmoid))
            if layer < self.spec.layers - 1:
                h = g.dense(gated[-1], self.w["layers.residual"][layer], h)
        skip = self.w["layers.skip"].reshape(-1, self.spec.skip)
        return g.one("Relu", g.dense(g.one("Concat", *gated, axis=1), skip, g.constant(self.w["skip.bias"][None])))

    def queues_out(self) -> None:
        parts: list[str] = []
        for layer, d in enumerate(self.spec.dilations):
            new = self.inputs[layer][-min(d, self.steps) :]
            block = new[0] if len(new) == 1 else self.g.stack(new)
            name = f"past_{layer}_out" if layer in self.delays else ""
            block = self.g.one("Add", block, self.g.constant(self.shift[layer][None]), name=name)
            if layer not in self.delays:
                parts += [*self.kept[layer], block]
        if parts:
            self.g.stack(parts, name="queues_out")


def _mulaw_head(
    g: _Graph,
    spec: ModelSpec,
    w: dict[str, Float64],
    steps: int,
    temperature: str,
    stack: _Stack,
    excitation: list[str] | None,
) -> None:
    """All steps of a mu-law model: two embeddings, the stack, the softmax, one class drawn."""
    classes = spec.classes
    inverse = g.one("Div", g.constant(1.0), temperature)
    # cumulative probability - u, with the last class made certain: the first class above 0 is the one drawn
    certain = np.concatenate([np.zeros(classes - 1), [2.0]])[None]
    thresholds = g.rows(g.one("Sub", g.constant(certain), "noise"), steps)
    bias = g.constant(w["input.bias"])
    first = g.one("Cast", "inputs", to=TensorProto.INT64)
    before, last = (g.shaped(x, 1) for x in g.rows(first, 2))
    drawn: list[str] = []
    parameters: list[str] = []
    for t in range(steps):
        h = g.one(
            "Add",
            g.one("Gather", g.constant(w["input.weight"][0]), before),
            g.one("Gather", g.constant(w["input.weight"][1]), last),
        )
        h = g.one("Add", h, excitation[t] if excitation else bias)
        hidden = g.one("Relu", g.dense(stack.step(h), w["head.weight_1"], g.constant(w["head.bias_1"][None])))
        parameters.append(g.dense(hidden, w["head.weight_2"], g.constant(w["head.bias_2"][None])))
        probability = g.one("Softmax", g.one("Mul", parameters[-1], inverse))
        cumulative = g.one("CumSum", probability, g.constant(1, np.int64))
        above = g.one("HardSigmoid", g.one("Add", cumulative, thresholds[t]), alpha=STEP, beta=0.0)
        before, last = last, g.one("ArgMax", above, axis=1, keepdims=0)
        drawn.append(last)
    g.stack(parameters, name="parameters")
    index = g.stack(drawn)
    g.shaped(g.one("Cast", index, to=TensorProto.FLOAT), steps, 1, name="values")
    recent = g.one("Cast", g.stack([before, last]), to=TensorProto.FLOAT)
    g.shaped(recent, 2, 1, name="inputs_out")
    g.one("Gather", g.constant(sampling.mulaw_decode(np.arange(classes), classes)), index, name="audio")


def _logistic_head(
    g: _Graph,
    spec: ModelSpec,
    w: dict[str, Float64],
    steps: int,
    temperature: str,
    stack: _Stack,
    excitation: list[str] | None,
    path: str | None,
) -> None:
    """All steps of a banded model; path [steps, bands] is added to all means.

    Per step every component draws its value and all but the chosen one become 0: what is fed back is a row
    [1, mixtures * bands], whose components are added up once, after the last step.
    """
    bands, mixtures, hidden_size = spec.bands, spec.mixtures, spec.hidden
    # hidden carries a column of ones behind the real ones: it brings the means' bias, because Gemm's own is the draw
    weight_1 = np.concatenate([w["head.weight_1"], np.zeros((spec.skip, 1))], 1)
    bias_1 = g.constant(np.concatenate([w["head.bias_1"], [1.0]])[None])
    weight_2 = np.concatenate([w["head.weight_2"], np.zeros((1, spec.parameters))])
    # columns [logits, means, log scales], each [mixtures * bands], mixture by mixture
    by_kind = (
        weight_2.reshape(hidden_size + 1, bands, 3, mixtures).transpose(2, 0, 3, 1).reshape(3, hidden_size + 1, -1)
    )
    bias_by_kind = w["head.bias_2"].reshape(bands, 3, mixtures).transpose(1, 2, 0).reshape(3, 1, -1)
    mean = by_kind[1].copy()
    mean[-1] = bias_by_kind[1]
    # Relu is the floor of the log scale, so the draws carry exp(floor)
    scale_bias = g.constant(bias_by_kind[2] - sampling.LOG_SCALE_FLOOR)

    choice, uniform = g.many("Split", "noise", outputs=2, axis=1)
    margin = float(sampling.NOISE_MARGIN)
    draw = _logit(g, g.one("Clip", uniform, g.constant(margin), g.constant(1 - margin)))
    draw = g.one("Mul", draw, g.one("Mul", temperature, g.constant(math.exp(sampling.LOG_SCALE_FLOOR))))
    draws = g.rows(g.one("Concat", *[draw] * mixtures, axis=1), steps)
    if mixtures == 2:
        thresholds = _thresholds_of_two(g, choice, temperature, bias_by_kind[0], steps)
    else:
        thresholds = _thresholds_of_many(g, choice, mixtures, steps)

    first = w["input.weight"]
    taps = [first, np.concatenate([first] * mixtures, 1)]  # of a row from the state, of a row drawn here
    added = g.rows(g.one("Concat", *[path] * mixtures, axis=1), steps) if path else None
    rows = [*g.rows("inputs", 2)]
    hiddens: list[str] = []
    for t in range(steps):
        add = excitation[t] if excitation else g.constant(w["input.bias"][None])
        add = g.dense(rows[t], taps[int(t >= 2)][0], add)
        h = g.dense(rows[t + 1], taps[int(t >= 1)][1], add)
        hidden = g.one("Relu", g.dense(stack.step(h), weight_1, bias_1))
        hiddens.append(hidden)
        spread = g.one("Exp", g.one("Relu", g.dense(hidden, by_kind[2], scale_bias)))
        spread = g.one("Mul", spread, draws[t])
        value = g.dense(hidden, mean, g.one("Add", spread, added[t]) if added else spread)
        value = g.one("Clip", value, g.constant(-1.0), g.constant(1.0))
        if mixtures == 2:
            # logit 0 - logit 1 against the threshold, then its negative: exactly one of the two becomes 1
            difference = by_kind[0][:, :bands] - by_kind[0][:, bands:]
            sign = g.dense(hidden, np.concatenate([difference, -difference], 1), thresholds[t])
            value = g.one("Mul", value, g.one("HardSigmoid", sign, alpha=STEP, beta=0.5))
        elif mixtures > 2:
            logits = g.dense(hidden, by_kind[0], g.constant(bias_by_kind[0]))
            value = g.one("Mul", value, _choose_of_many(g, logits, temperature, thresholds[t], mixtures, bands))
        rows.append(value)
    values = g.shaped(g.stack(rows[2:]), steps, mixtures, bands)
    values = g.one("ReduceSum", values, g.constant([1], np.int64), keepdims=0, name="values")
    inputs = g.one("Sub", values, path) if path else values
    g.one("Gather", g.stack(["inputs", inputs]), g.constant([steps, steps + 1], np.int64), axis=0, name="inputs_out")
    bias_2 = g.constant(w["head.bias_2"])
    if path:
        onto_means = np.zeros((bands, bands, 3, mixtures))
        onto_means[np.arange(bands), np.arange(bands), 1] = 1.0
        bias_2 = g.dense(path, onto_means.reshape(bands, -1), bias_2)
    g.one("Gemm", g.stack(hiddens), g.constant(weight_2), bias_2, name="parameters")
    _audio(g, spec, w["bands.scale"], _gated(g, spec, values), steps)


def _gated(g: _Graph, spec: ModelSpec, values: str) -> str:
    """conditioning.gate times the values on their way out."""
    if spec.gate is None:
        return values
    channel = g.one("Gather", "channels", g.constant([spec.channel_names.index(spec.gate.channel)], np.int64))
    slope = 1 / (spec.gate.full - spec.gate.closed)
    opening = g.one("Mul", g.one("Sub", channel, g.constant(spec.gate.closed)), g.constant(slope))
    return g.one("Mul", values, g.one("Clip", opening, g.constant(0.0), g.constant(1.0)))


def _logit(g: _Graph, u: str) -> str:
    return g.one("Sub", g.one("Log", u), g.one("Log", g.one("Sub", g.constant(1.0), u)))


def _thresholds_of_two(g: _Graph, uniform: str, temperature: str, bias: Float64, steps: int) -> list[str]:
    """Per step [1, 2 * bands]: component 0 is drawn where (logit 0 - logit 1) / temperature > logit(u)."""
    bands = bias.shape[1] // 2
    difference = g.constant(bias[:, :bands] - bias[:, bands:])
    above = g.one("Sub", difference, g.one("Mul", _logit(g, uniform), temperature))
    return g.rows(g.one("Concat", above, g.one("Neg", above), axis=1), steps)


def _thresholds_of_many(g: _Graph, uniform: str, mixtures: int, steps: int) -> list[str]:
    """Per step [mixtures, bands]: what added to the cumulative probability is above 0 from the drawn component on."""
    certain = np.zeros((1, mixtures, 1))
    certain[0, -1] = 2.0
    above = g.one("Sub", g.constant(certain), g.one("Unsqueeze", uniform, g.constant([1], np.int64)))
    bands = g.shaped(above, steps * mixtures, -1)
    return g.rows(bands, [mixtures] * steps)


def _choose_of_many(g: _Graph, logits: str, temperature: str, threshold: str, mixtures: int, bands: int) -> str:
    """[1, mixtures * bands]: 1 at each band's drawn component, else 0."""
    probability = g.one("Softmax", g.shaped(g.one("Div", logits, temperature), mixtures, bands), axis=0)
    cumulative = g.one("Gemm", g.constant(np.tril(np.ones((mixtures, mixtures)))), probability, threshold)
    from_drawn = g.one("HardSigmoid", cumulative, alpha=STEP, beta=0.0)
    only_drawn = g.one("MatMul", g.constant(np.eye(mixtures) - np.eye(mixtures, k=-1)), from_drawn)
    return g.shaped(only_drawn, 1, mixtures * bands)


def _audio(g: _Graph, spec: ModelSpec, scale: Float64, values: str, steps: int) -> None:
    """pqmf.synthesis as one product: the band signals of the last `pqmf_taps // bands` steps times the filters."""
    if spec.bands == 1:
        g.shaped(g.one("Mul", values, g.constant(scale)), steps, name="audio")
        return
    bands, overlap = spec.bands, spec.pqmf_taps // spec.bands - 1
    signals = g.stack(["overlap", values])
    g.one("Gather", signals, g.constant(np.arange(steps, steps + overlap), np.int64), axis=0, name="overlap_out")
    recent = np.arange(steps)[:, None] + overlap - np.arange(overlap + 1)  # [step, age]
    history = g.shaped(g.one("Gather", signals, g.constant(recent, np.int64), axis=0), steps, -1)
    filters = pqmf.filters(bands, spec.pqmf_taps)[1].reshape(bands, overlap + 1, bands) * scale[:, None, None]
    blocks = g.one("MatMul", history, g.constant(filters.transpose(1, 0, 2).reshape(-1, bands)))
    g.shaped(blocks, steps * bands, name="audio")


def _model(spec: ModelSpec, g: _Graph, steps: int) -> onnx.ModelProto:
    start = initial_state(spec)
    late = delays(spec)
    short = sum(spec.dilations) - steps * sum(late.values())
    state = {"inputs": start.inputs}
    if short:
        state["queues"] = start.queues[:short]
    if spec.bands > 1:
        state["overlap"] = start.overlap
    if spec.phase:
        state["phase"] = start.phase
    if spec.harmonic_path:
        state["amplitudes"] = start.amplitudes
    state |= {f"past_{layer}": start.queues[:steps] for layer in late}

    def values(shapes: dict[str, tuple[Any, tuple[int, ...]]]) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)
            for name, (dtype, shape) in shapes.items()
        ]

    inputs = {
        "channels": (np.float32, (len(spec.channels),)),
        "style": (np.float32, (max(len(spec.styles), 1),)),
        "temperature": (np.float32, ()),
        "noise": (np.float32, (steps, spec.noise_width)),
        **{name: (array.dtype, array.shape) for name, array in state.items()},
    }
    outputs = {
        "audio": (np.float32, (steps * spec.bands,)),
        "values": (np.float32, (steps, spec.bands)),
        "parameters": (np.float32, (steps, spec.parameters)),
        **{f"{name}_out": (array.dtype, array.shape) for name, array in state.items()},
    }
    graph = helper.make_graph(g.nodes, spec.name, values(inputs), values(outputs), list(g.initialisers.values()))
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="livemove",
        doc_string="One run computes the next steps of a streaming WaveNet; feed each *_out back as what it names.",
    )
    about = {
        "format": FORMAT_VERSION,
        "steps": steps,
        "sample_rate": spec.sample_rate,
        "bands": spec.bands,
        "channels": [
            {"name": c.name, "unit": c.unit, "range": [c.minimum, c.maximum], "rest": c.rest} for c in spec.channels
        ],
        "styles": list(spec.styles),
        "temperature": spec.temperature,
        "delays": {f"past_{layer}": runs for layer, runs in late.items()},
        "start": {name: float(array.flat[0]) if array.size else 0.0 for name, array in state.items()},
    }
    helper.set_model_props(model, {"livemove": json.dumps(about)})
    return model
