"""The native engine: contracts.Engine on the C++ generator `livemove.native._wavenet`.

In: a spec, its weights, channels and noise. Out: audio, trace, state. Checks what people can get wrong and says it in
one line; the arithmetic, the state and every step of the loop are below Python. Knows no bundle, process or device.
"""

from __future__ import annotations

import numpy as np

from livemove.contracts import (
    HOP,
    EngineError,
    EngineState,
    Float32,
    ModelSpec,
    Trace,
    Weights,
    initial_state,
    weight_shapes,
)
from livemove.synthesis import harmonic_path, pqmf, sampling

try:
    from livemove.native import _wavenet
except ImportError as error:
    _wavenet = None
    _why = str(error)
else:
    _why = ""

PRECISIONS = ("fp16", "int8")
"""fp16: every matrix in binary16. int8: fixed point with one unit per column: skip in int8, a layer's present tap,
residual and head in 10 bits, its past tap in 16 (in 10 where the dilation is small and the machine multiplies bytes),
all inputs in 16; condition and input as in fp16."""

LARGEST_HALF = 65504.0


def instruction_sets() -> list[str]:
    """Names of the instruction sets this machine can run, fastest first; EngineError without the compiled module."""
    if _wavenet is None:
        raise EngineError(f"the native engine is not built here ({_why}): install the wheel or run `pip install .`")
    return _wavenet.instruction_sets()


class NativeEngine:
    """Implements contracts.Engine in C++ on one thread; `generate` allocates nothing and lets other threads run.

    instruction_set: one of `instruction_sets()`, or "auto" for the fastest. precision: one of PRECISIONS. Weights are
    rounded to binary16 once, at construction; sums are float32.
    """

    def __init__(
        self, spec: ModelSpec, weights: Weights, *, instruction_set: str = "auto", precision: str = "fp16"
    ) -> None:
        sets = instruction_sets()
        assert _wavenet is not None
        if instruction_set != "auto" and instruction_set not in sets:
            raise EngineError(f"native engine: this machine has no {instruction_set}; it has {', '.join(sets)}")
        if precision not in PRECISIONS:
            raise EngineError(f"native engine: precision is one of {', '.join(PRECISIONS)}, not {precision}")
        _check_spec(spec)
        self.spec = spec
        self.precision = precision
        self.name = "native" if precision == "fp16" else f"native-{precision}"
        phase, path, gate = spec.phase, spec.harmonic_path, spec.gate
        self._generator = _wavenet.Generator(
            sizes={
                "bands": spec.bands,
                "classes": spec.classes if spec.head == "mulaw" else 0,
                "mixtures": spec.mixtures if spec.head == "logistic" else 0,
                "residual": spec.residual,
                "skip": spec.skip,
                "hidden": spec.hidden,
                "conditioning": spec.conditioning,
                "channels": len(spec.channels),
                "styles": len(spec.styles),
                "harmonics": phase.harmonics if phase else 0,
                "pitch_channel": spec.channel_names.index(phase.channel) if phase else 0,
                "taps": spec.pqmf_taps if spec.bands > 1 else 0,
                "mulaw": int(spec.head == "mulaw"),
                "sample_rate": float(spec.sample_rate),
                "path_harmonics": path.harmonics if path else 0,
                "path_hidden": path.hidden if path else 0,
                "level_channel": spec.channel_names.index(path.level) if path and path.level else -1,
                "gate_channel": spec.channel_names.index(gate.channel) if gate else -1,
                "gate_closed": gate.closed if gate else 0.0,
                "gate_full": gate.full if gate else 1.0,
            },
            dilations=list(spec.dilations),
            tensors=_checked_weights(spec, weights),
            ranges=np.array([[c.minimum, c.maximum] for c in spec.channels], np.float32),
            filters=_filters(spec),
            response=harmonic_path.prototype_response(spec.bands, spec.pqmf_taps) if path else np.zeros(0, np.float32),
            decode=sampling.mulaw_decode(np.arange(spec.classes if spec.head == "mulaw" else 2), max(spec.classes, 2)),
            isa=instruction_set,
            precision=precision,
        )
        self._styles: Float32 = np.eye(max(len(spec.styles), 1), dtype=np.float32)
        self.reset()

    @property
    def instruction_set(self) -> str:
        """The instruction set in use."""
        return self._generator.isa

    def reset(self) -> None:
        self.set_state(initial_state(self.spec))

    def generate(
        self,
        out: Float32,
        channels: Float32,
        noise: Float32,
        *,
        style: int | Float32 = 0,
        temperature: float = 1.0,
        trace: Trace | None = None,
    ) -> None:
        """contracts.Engine.generate."""
        spec, hops = self.spec, len(channels)
        if channels.shape != (hops, len(spec.channels)) or out.shape != (hops * HOP,):
            raise EngineError(
                f"native engine: {hops} hops of {spec.name} take channels [{hops}, {len(spec.channels)}] and out "
                f"[{hops * HOP}], not {list(channels.shape)} and {list(out.shape)}"
            )
        if noise.shape != (hops * spec.steps_per_hop, spec.noise_width):
            raise EngineError(
                f"native engine: {hops} hops of {spec.name} take noise [{hops * spec.steps_per_hop}, "
                f"{spec.noise_width}], not {list(noise.shape)}"
            )
        if not isinstance(style, np.ndarray):
            if not 0 <= style < len(self._styles):
                raise EngineError(f"native engine: {spec.name} has {len(spec.styles)} styles, no style {style}")
            weights: Float32 = self._styles[style]
        else:
            weights = style
            if weights.shape != (len(self._styles),) or weights.dtype != np.float32:
                raise EngineError(f"native engine: {spec.name} takes float32 weights of {len(self._styles)} styles")
        self._generator.generate(
            out,
            channels,
            noise,
            weights,
            max(temperature, sampling.TEMPERATURE_FLOOR),
            trace.values if trace else None,
            trace.parameters if trace else None,
        )

    def state(self) -> EngineState:
        state = initial_state(self.spec)
        self._generator.get_state(state.inputs, state.queues, state.overlap, state.phase, state.amplitudes)
        return state

    def set_state(self, state: EngineState) -> None:
        expected = initial_state(self.spec)
        for field in ("inputs", "queues", "overlap", "phase", "amplitudes"):
            have, want = getattr(state, field), getattr(expected, field)
            if have.shape != want.shape:
                raise EngineError(f"native engine: state.{field} is {list(have.shape)}, expected {list(want.shape)}")
        if self.spec.head == "mulaw" and not np.all((state.inputs >= 0) & (state.inputs < self.spec.classes)):
            raise EngineError(f"native engine: state.inputs holds a class outside 0..{self.spec.classes - 1}")
        self._generator.set_state(
            np.ascontiguousarray(state.inputs, np.float32),
            np.ascontiguousarray(state.queues, np.float32),
            np.ascontiguousarray(state.overlap, np.float32),
            np.ascontiguousarray(state.phase, np.float64),
            np.ascontiguousarray(state.amplitudes, np.float32),
        )


def _check_spec(spec: ModelSpec) -> None:
    for field in ("residual", "skip", "hidden"):
        width = getattr(spec, field)
        if width % 16 or width < 16:
            raise EngineError(f"native engine: {spec.name} has {field} {width}; it must be a multiple of 16")
    if spec.residual > 512:
        raise EngineError(f"native engine: {spec.name} has residual {spec.residual}; at most 512")
    if spec.bands not in (1, 2, 4, 8, 16) or (spec.head == "mulaw" and spec.bands != 1):
        raise EngineError(f"native engine: {spec.name} has {spec.bands} bands with a {spec.head} head")
    if spec.head not in ("mulaw", "logistic"):
        raise EngineError(f"native engine: {spec.name} has the unknown head {spec.head}")


def _checked_weights(spec: ModelSpec, weights: Weights) -> Weights:
    """Contiguous float32 copies of what the generator packs; EngineError names the tensor that does not fit."""
    checked: Weights = {}
    for name, shape in weight_shapes(spec).items():
        if name not in weights:
            raise EngineError(f"native engine: {spec.name} has no weight {name}")
        tensor = np.ascontiguousarray(weights[name], np.float32)
        if tensor.shape != shape:
            raise EngineError(f"native engine: {name} is {list(tensor.shape)}, expected {list(shape)}")
        if not np.all(np.abs(tensor) <= LARGEST_HALF):
            raise EngineError(f"native engine: {name} holds a value that is not finite or beyond {LARGEST_HALF:.0f}")
        checked[name] = tensor
    return checked


def _filters(spec: ModelSpec) -> Float32:
    """PQMF synthesis responses float32 [bands, taps]; empty for one band."""
    if spec.bands == 1:
        return np.zeros((1, 0), np.float32)
    return np.ascontiguousarray(pqmf.filters(spec.bands, spec.pqmf_taps)[1], np.float32)
