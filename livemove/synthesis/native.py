"""The native engine, for one voice (contracts.Engine) or several at once, on the C++ generator of native/wavenet/.

In: a spec, its weights, channels and noise. Out: audio, trace, state. Checks what people can get wrong and says it in
one line; the arithmetic, the state and every step of the loop are below Python. Knows no bundle, process or device.
"""

from __future__ import annotations

from collections.abc import Sequence

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

MOST_VOICES = 16
"""kMostVoices of native/wavenet/plan.hpp."""


def instruction_sets() -> list[str]:
    """Names of the instruction sets this machine can run, fastest first; EngineError without the compiled module."""
    if _wavenet is None:
        raise EngineError(f"the native engine is not built here ({_why}): install the wheel or run `pip install .`")
    return _wavenet.instruction_sets()


class NativeVoices:
    """Several voices of one model on one thread, in lockstep, each with its own state, channels, style and noise.

    Weights are read once for all voices, so that a further one costs a part of the first; what a voice plays is, bit by
    bit, what `NativeEngine` plays alone. `generate` allocates nothing per hop and lets other threads run.

    voices: 1..MOST_VOICES. instruction_set: one of `instruction_sets()`, or "auto" for the fastest. precision: one of
    PRECISIONS. Weights are rounded to binary16 once, at construction; sums are float32. EngineError for what does not
    fit.
    """

    def __init__(
        self, spec: ModelSpec, weights: Weights, voices: int, *, instruction_set: str = "auto", precision: str = "fp16"
    ) -> None:
        sets = instruction_sets()
        assert _wavenet is not None
        if instruction_set != "auto" and instruction_set not in sets:
            raise EngineError(f"native engine: this machine has no {instruction_set}; it has {', '.join(sets)}")
        if precision not in PRECISIONS:
            raise EngineError(f"native engine: precision is one of {', '.join(PRECISIONS)}, not {precision}")
        if not 1 <= voices <= MOST_VOICES:
            raise EngineError(f"native engine: {voices} voices at once; 1 to {MOST_VOICES}")
        _check_spec(spec)
        self.spec = spec
        self.voices = voices
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
            voices=voices,
        )
        self._styles: Float32 = np.eye(max(len(spec.styles), 1), dtype=np.float32)
        self.reset()

    @property
    def instruction_set(self) -> str:
        """The instruction set in use."""
        return self._generator.isa

    def reset(self) -> None:
        """Every voice back to `initial_state`."""
        for voice in range(self.voices):
            self.set_state(voice, initial_state(self.spec))

    def generate(
        self,
        out: Float32,
        channels: Float32,
        noise: Float32,
        *,
        styles: Sequence[int | Float32],
        temperatures: Sequence[float],
        traces: Sequence[Trace] | None = None,
    ) -> None:
        """contracts.Engine.generate with a leading axis of voices: out [voices, hops * HOP] and so on."""
        spec, voices = self.spec, self.voices
        if len(styles) != voices or len(temperatures) != voices or (traces is not None and len(traces) != voices):
            raise EngineError(f"native engine: {voices} voices take as many styles, temperatures and traces")
        hops = channels.shape[1] if channels.ndim == 3 else 0
        steps, leading = hops * spec.steps_per_hop, f"[{voices}, " if voices > 1 else "["
        if channels.shape != (voices, hops, len(spec.channels)) or out.shape != (voices, hops * HOP):
            raise EngineError(
                f"native engine: {hops} hops of {spec.name} take channels {leading}{hops}, {len(spec.channels)}] and "
                f"out {leading}{hops * HOP}], not {_shape(channels, voices)} and {_shape(out, voices)}"
            )
        if noise.shape != (voices, steps, spec.noise_width):
            raise EngineError(
                f"native engine: {hops} hops of {spec.name} take noise {leading}{steps}, {spec.noise_width}], not "
                f"{_shape(noise, voices)}"
            )
        if voices == 1 and traces:  # filled in place
            values, parameters = traces[0].values[None], traces[0].parameters[None]
        elif traces:
            values = np.empty((voices, steps, spec.bands), np.float32)
            parameters = np.empty((voices, steps, spec.parameters), np.float32)
        else:
            values = parameters = None
        self._generator.generate(
            out,
            channels,
            noise,
            np.stack([self._style(style) for style in styles]),
            np.maximum(np.array(temperatures, np.float32), np.float32(sampling.TEMPERATURE_FLOOR)),
            values,
            parameters,
        )
        if voices > 1 and traces and values is not None and parameters is not None:
            for voice, trace in enumerate(traces):
                trace.values[:], trace.parameters[:] = values[voice], parameters[voice]

    def state(self, voice: int) -> EngineState:
        """What a voice remembers, to be handed to another engine or to `set_state` of another voice."""
        state = initial_state(self.spec)
        self._check_voice(voice)
        self._generator.get_state(voice, state.inputs, state.queues, state.overlap, state.phase, state.amplitudes)
        return state

    def set_state(self, voice: int, state: EngineState) -> None:
        """The voice goes on from there; the others play on as if nothing had happened."""
        self._check_voice(voice)
        expected = initial_state(self.spec)
        for field in ("inputs", "queues", "overlap", "phase", "amplitudes"):
            have, want = getattr(state, field), getattr(expected, field)
            if have.shape != want.shape:
                raise EngineError(f"native engine: state.{field} is {list(have.shape)}, expected {list(want.shape)}")
        if self.spec.head == "mulaw" and not np.all((state.inputs >= 0) & (state.inputs < self.spec.classes)):
            raise EngineError(f"native engine: state.inputs holds a class outside 0..{self.spec.classes - 1}")
        self._generator.set_state(
            voice,
            np.ascontiguousarray(state.inputs, np.float32),
            np.ascontiguousarray(state.queues, np.float32),
            np.ascontiguousarray(state.overlap, np.float32),
            np.ascontiguousarray(state.phase, np.float64),
            np.ascontiguousarray(state.amplitudes, np.float32),
        )

    def _check_voice(self, voice: int) -> None:
        if not 0 <= voice < self.voices:
            raise EngineError(f"native engine: no voice {voice}; there are {self.voices}, from 0")

    def _style(self, style: int | Float32) -> Float32:
        """float32 [max(styles, 1)], the weight of each style."""
        spec = self.spec
        if not isinstance(style, np.ndarray):
            if not 0 <= style < len(self._styles):
                raise EngineError(f"native engine: {spec.name} has {len(spec.styles)} styles, no style {style}")
            return self._styles[style]
        if style.shape != (len(self._styles),) or style.dtype != np.float32:
            raise EngineError(f"native engine: {spec.name} takes float32 weights of {len(self._styles)} styles")
        return style


class NativeEngine:
    """Implements contracts.Engine: one voice of `NativeVoices`, which says what the arguments are."""

    def __init__(
        self, spec: ModelSpec, weights: Weights, *, instruction_set: str = "auto", precision: str = "fp16"
    ) -> None:
        self._voices = NativeVoices(spec, weights, 1, instruction_set=instruction_set, precision=precision)
        self.spec = spec
        self.precision = precision
        self.name = "native" if precision == "fp16" else f"native-{precision}"

    @property
    def instruction_set(self) -> str:
        """The instruction set in use."""
        return self._voices.instruction_set

    def reset(self) -> None:
        self._voices.reset()

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
        self._voices.generate(
            out[None],
            channels[None],
            noise[None],
            styles=(style,),
            temperatures=(temperature,),
            traces=None if trace is None else (trace,),
        )

    def state(self) -> EngineState:
        return self._voices.state(0)

    def set_state(self, state: EngineState) -> None:
        self._voices.set_state(0, state)


def _shape(array: Float32, voices: int) -> list[int]:
    """As the caller gave it: without the leading axis where there is one voice."""
    return list(array.shape if voices > 1 else array.shape[1:])


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
