"""The cuda engine: contracts.Engine on an NVIDIA GPU, and the same for several streams at once.

In: a spec, its weights, channels and noise. Out: audio, trace, state. Packs weights and state for the kernels in
cuda_kernels.py, feeds them and streams back what they play; the only file of the instrument that imports torch.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportPossiblyUnboundVariable=false, reportUnknownVariableType=false
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
from livemove.synthesis import conditioning, pqmf, sampling

try:
    import torch
    from triton.runtime import JITFunction, OutOfResources

    from livemove.synthesis import cuda_kernels
except ImportError as error:
    _missing = error.name or str(error)
else:
    _missing = ""
    kernels: Any = cuda_kernels  # Triton's language, which type checkers do not speak

PRECISIONS = ("fp16", "fp32")
"""fp16: matrices rounded to float16 (a bundle holds no more), through tensor cores; what they are multiplied with keeps
22 bits. fp32: matrices as given, without tensor cores. Everything else is float32 in both."""

LANES = 8
"""Streams per program; a weight fetched once serves all of them."""

LAUNCH_HOPS = 8
"""Most hops per launch: enough to hide the host's work behind the device's, few enough that audio comes back early."""

SLICE = 64
"""Hidden units of the head at a time."""

STAGES = (3, 2, 1)
"""Layers whose weights are in shared memory or on their way there; the first number the device has room for is used."""

WRAP = 1 << 30
"""Steps are counted modulo this, which the length of every ring divides."""

LARGEST_HALF = 65504.0


def why_not() -> str:
    """One line that says what is missing for the engine to run here; empty if nothing is."""
    if _missing:
        return f"engine cuda: {_missing} is not installed; `pip install 'livemove[cuda]'` (Linux), or use native"
    if torch.version.cuda is None:
        return (
            f"engine cuda: torch {torch.__version__} was built without CUDA; "
            "`pip install 'livemove[cuda]'` with PyTorch's CUDA build, or use native"
        )
    if not torch.cuda.is_available():
        return "engine cuda: no NVIDIA GPU with a working driver (`nvidia-smi` should list it); use native"
    return ""


class CudaEngine:
    """Implements contracts.Engine: one stream of `CudaStreams`."""

    name = "cuda"

    def __init__(self, spec: ModelSpec, weights: Weights, *, precision: str = "fp16", device: str = "cuda") -> None:
        self.spec = spec
        self._streams = CudaStreams(spec, weights, 1, precision=precision, device=device)

    @property
    def detail(self) -> str:
        """The GPU and the precision in use."""
        return self._streams.detail

    def reset(self) -> None:
        self._streams.reset()

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
        self._streams.generate(
            out[None],
            channels[None],
            noise[None],
            styles=[style],
            temperatures=[temperature],
            traces=None if trace is None else [trace],
        )

    def state(self) -> EngineState:
        return self._streams.state(0)

    def set_state(self, state: EngineState) -> None:
        self._streams.set_state(0, state)


class CudaStreams:
    """Several streams of one model on one GPU, in lockstep, each with its own state, channels, style and noise.

    precision: one of PRECISIONS. device: "cuda", or "cpu" under TRITON_INTERPRET=1, for tests. EngineError if there is
    no GPU to use, if Triton cannot compile for it, or if the model does not fit it.
    """

    def __init__(
        self, spec: ModelSpec, weights: Weights, streams: int, *, precision: str = "fp16", device: str = "cuda"
    ) -> None:
        if device == "cpu" and not _missing:
            if isinstance(kernels.network, JITFunction):
                raise EngineError("engine cuda: the CPU only interprets the kernels, under TRITON_INTERPRET=1")
        elif why_not():
            raise EngineError(why_not())
        if precision not in PRECISIONS:
            raise EngineError(f"engine cuda: precision is one of {', '.join(PRECISIONS)}, not {precision}")
        self.spec = spec
        self.streams = streams
        self._precision = precision
        self._lanes = LANES * -(-streams // LANES)
        self._device = torch.device(device)
        self._size = _Sizes.of(spec)
        self._weights = self._packed(_checked(spec, weights), torch.float16 if precision == "fp16" else torch.float32)
        self._host_weights = {n: weights[n] for n in ("conditioner.weight", "conditioner.bias", "style.embedding")}
        self._start = 0
        size, lanes = self._size, self._lanes
        self._queues = self._zeros(size.ring_rows, lanes, size.residual)
        self._values = self._zeros(size.values, lanes, size.bands)
        self._phases = self._zeros(lanes, dtype=torch.float64)
        self._slots = [self._slot() for _ in range(2)]
        self._parameters = self._zeros(1)
        self._stages = STAGES[0]
        self.reset()
        if self._device.type == "cuda":
            self._warm_up()

    @property
    def detail(self) -> str:
        """The GPU and the precision in use."""
        gpu = torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else "interpreted on the CPU"
        return f"{gpu}, {self._precision}"

    def reset(self) -> None:
        """Every stream back to `initial_state`."""
        for stream in range(self.streams):
            self.set_state(stream, initial_state(self.spec))

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
        """contracts.Engine.generate with a leading axis of streams: out [streams, hops * HOP] and so on.

        While the device makes one launch's audio, the host prepares the next and hands out the one before.
        """
        self._check(out, channels, noise, styles)
        under_way: _Launch | None = None
        for turn, first in enumerate(range(0, channels.shape[1], LAUNCH_HOPS)):
            hops = min(LAUNCH_HOPS, channels.shape[1] - first)
            launch = _Launch(self._slots[turn % 2], first, hops)
            self._fill(launch, channels, noise, styles, temperatures)
            self._launch(launch, traced=traces is not None)
            if under_way:
                self._collect(under_way, out)
            if traces:
                self._trace(launch, traces)
            self._start = (self._start + hops * self.spec.steps_per_hop) % WRAP
            under_way = launch
        if under_way:
            self._collect(under_way, out)

    def state(self, stream: int) -> EngineState:
        spec, state = self.spec, initial_state(self.spec)
        queues = self._queues[self._queue_rows(), stream, : spec.residual]
        values = self._values[self._value_rows(self._size.history), stream, : spec.bands].cpu().numpy()
        state.queues[:] = queues.cpu().numpy()
        state.inputs[:] = values[-2:]
        if len(state.overlap):
            state.overlap[:] = values[-len(state.overlap) :]
        state.phase[:] = float(self._phases[stream])
        return state

    def set_state(self, stream: int, state: EngineState) -> None:
        spec, expected = self.spec, initial_state(self.spec)
        for field in ("inputs", "queues", "overlap", "phase"):
            have, want = getattr(state, field), getattr(expected, field)
            if have.shape != want.shape:
                raise EngineError(f"engine cuda: state.{field} is {list(have.shape)}, expected {list(want.shape)}")
        if spec.head == "mulaw" and not np.all((state.inputs >= 0) & (state.inputs < spec.classes)):
            raise EngineError(f"engine cuda: state.inputs holds a class outside 0..{spec.classes - 1}")
        history = np.zeros((self._size.history, spec.bands), np.float32)
        if len(state.overlap):
            history[-len(state.overlap) :] = state.overlap
        history[-2:] = state.inputs
        self._queues[self._queue_rows(), stream, : spec.residual] = self._tensor(state.queues)
        self._values[self._value_rows(self._size.history), stream, : spec.bands] = self._tensor(history)
        self._phases[stream] = float(state.phase[0])

    # --- one launch -----------------------------------------------------------------------------------------

    def _fill(
        self,
        launch: _Launch,
        channels: Float32,
        noise: Float32,
        styles: Sequence[int | Float32],
        temperatures: Sequence[float],
    ) -> None:
        """The launch's slot in pinned memory: what happens once a hop is done here, the rest on the device."""
        spec, slot, steps = self.spec, launch.slot, self.spec.steps_per_hop
        hops = slice(launch.first, launch.first + launch.hops)
        rows = slice(launch.first * steps, (launch.first + launch.hops) * steps)
        for stream, (style, temperature) in enumerate(zip(styles, temperatures, strict=True)):
            own = np.nan_to_num(channels[stream, hops], nan=-np.inf)  # clipped to the minimum, as the others do
            slot.embedded_host[: launch.hops, stream] = conditioning.embed(spec, self._host_weights, own, style)
            slot.temperatures_host[stream] = max(temperature, sampling.TEMPERATURE_FLOOR)
            if spec.phase:
                slot.hz_host[: launch.hops, stream] = conditioning.pitch_hz(spec, own)
            drawn = noise[stream, rows].reshape(launch.hops * steps, -1, spec.bands)
            slot.noise_host[: launch.hops * steps, stream, : drawn.shape[1], : spec.bands] = drawn

    def _launch(self, launch: _Launch, *, traced: bool) -> None:
        """Everything of one launch, in the order the device does it; the host waits for nothing."""
        spec, size, slot, hops, lanes = self.spec, self._size, launch.slot, launch.hops, self._lanes
        for (host, there), used in zip(slot.uploads, (hops, hops, hops * spec.steps_per_hop, lanes), strict=True):
            there[:used].copy_(host[:used], non_blocking=True)
        embedded = slot.embedded[:hops].view(hops * lanes, -1)
        conditions = slot.conditions[:hops].view(hops * lanes, -1)
        torch.addmm(self._weights["condition_bias"], embedded, self._weights["condition"], out=conditions)
        if traced and len(self._parameters) == 1:
            self._parameters = self._zeros(LAUNCH_HOPS * spec.steps_per_hop, lanes, spec.parameters)
        w = self._weights
        kernels.network[(lanes // LANES,)](
            w["input.weight"], w["input.bias"], w["phase"], w["layers"], w["residual"], w["residual_bias"], w["skip"],
            w["skip.bias"], w["head_1"], w["head_bias_1"], w["head_2"], w["head_bias_2"], w["rings"],
            self._queues, self._values, self._phases,
            conditions, slot.hz, slot.noise, slot.temperatures, self._parameters,
            self._start, hops, float(spec.step_rate), float(spec.sample_rate),
            *conditioning.PHASE_FADE, float(sampling.NOISE_MARGIN), sampling.LOG_SCALE_FLOOR,
            MULAW=spec.head == "mulaw", BANDS=spec.bands, CLASSES=spec.classes, MIXTURES=spec.mixtures,
            HARMONICS=spec.phase_width // 2, STEPS=spec.steps_per_hop, LAYERS=spec.layers, VALUES=size.values,
            TRACE=traced, B=size.bands, F=size.phase, R=size.residual, S=size.skip, A=size.hidden, M=size.parameters,
            N=LANES, SLICE=SLICE if size.hidden > SLICE else size.hidden, STAGES=self._stages, num_warps=4,
        )  # fmt: skip
        grid, sizes = (self.streams, hops), {"B": size.bands, "STEPS": spec.steps_per_hop, "VALUES": size.values}
        if spec.bands > 1:
            kernels.bands_to_audio[grid](
                self._values, w["to_audio"], slot.audio, self._start, lanes, BANDS=spec.bands, **sizes,
                AGES=spec.pqmf_taps // spec.bands,
            )  # fmt: skip
        else:
            kernels.levels_to_audio[grid](
                self._values, w["to_audio"], slot.audio, self._start, lanes, MULAW=spec.head == "mulaw", **sizes
            )
        samples = self.streams * hops * HOP
        slot.audio_host[:samples].copy_(slot.audio[:samples], non_blocking=True)
        if slot.done:
            slot.done.record()

    def _collect(self, launch: _Launch, out: Float32) -> None:
        if launch.slot.done:
            launch.slot.done.synchronize()
        samples = launch.hops * HOP
        audio = launch.slot.audio_host.numpy()[: self.streams * samples].reshape(self.streams, samples)
        out[:, launch.first * HOP : launch.first * HOP + samples] = audio

    def _trace(self, launch: _Launch, traces: Sequence[Trace]) -> None:
        steps = self.spec.steps_per_hop
        count, first = launch.hops * steps, launch.first * steps
        rows = (self._start + np.arange(count)) & (self._size.values - 1)
        for stream, trace in enumerate(traces):
            values = self._values[torch.from_numpy(rows).to(self._device), stream, : self.spec.bands]
            trace.values[first : first + count] = values.cpu().numpy()
            trace.parameters[first : first + count] = self._parameters[:count, stream].cpu().numpy()

    def _queue_rows(self) -> torch.Tensor:
        """Row of each entry of EngineState.queues, oldest first: int64 [sum(dilations)]."""
        rows = [first + ((self._start - d + np.arange(d)) & mask) for first, mask, d in self._size.rings(self.spec)]
        return self._tensor(np.concatenate(rows) if rows else np.zeros(0, np.int64), torch.int64)

    def _value_rows(self, back: int) -> torch.Tensor:
        """Rows of the last `back` values, oldest first."""
        return self._tensor((self._start - back + np.arange(back)) & (self._size.values - 1), torch.int64)

    def _warm_up(self) -> None:
        """Compile, and find how many layers' weights fit into shared memory at a time."""
        spec = self.spec
        rest = np.array([c.rest for c in spec.channels], np.float32)
        channels = np.tile(rest, (self.streams, 1, 1))
        noise = np.full((self.streams, spec.steps_per_hop, spec.noise_width), 0.5, np.float32)
        out = np.empty((self.streams, HOP), np.float32)
        gpu = torch.cuda.get_device_properties(self._device) if self._device.type == "cuda" else None
        room = gpu.shared_memory_per_block_optin if gpu else np.inf
        layer = sum(self._weights[name][0].nbytes for name in ("layers", "residual", "skip"))
        for stages in STAGES:
            if stages > STAGES[-1] and (stages - 1) * layer > room:
                continue  # too large for sure: not worth the seconds of compiling it
            self._stages = stages
            try:
                self.generate(out, channels, noise, styles=[0] * self.streams, temperatures=[1.0] * self.streams)
            except OutOfResources as full:
                if stages == STAGES[-1]:
                    raise EngineError(
                        f"engine cuda: {spec.name} does not fit this GPU ({full}); use native or a smaller model"
                    ) from full
            except RuntimeError as error:  # no C compiler for Triton's launcher, no memory, a driver too old
                raise EngineError(
                    f"engine cuda: the GPU cannot be used ({str(error).strip().splitlines()[0]}); use native"
                ) from error
            else:
                break
        self.reset()

    def _check(self, out: Float32, channels: Float32, noise: Float32, styles: Sequence[int | Float32]) -> None:
        spec, streams, hops = self.spec, self.streams, channels.shape[1]
        expected = {
            "channels": (channels, (streams, hops, len(spec.channels))),
            "noise": (noise, (streams, hops * spec.steps_per_hop, spec.noise_width)),
            "out": (out, (streams, hops * HOP)),
        }
        for name, (array, shape) in expected.items():
            if array.shape != shape:
                raise EngineError(
                    f"engine cuda: {hops} hops of {spec.name} take {name} {list(shape)}, not {list(array.shape)}"
                )
        for style in styles:
            if not isinstance(style, np.ndarray) and not 0 <= style < max(len(spec.styles), 1):
                raise EngineError(f"engine cuda: {spec.name} has {len(spec.styles)} styles; there is no style {style}")

    # --- memory ---------------------------------------------------------------------------------------------

    def _zeros(self, *shape: int, dtype: torch.dtype | None = None) -> torch.Tensor:
        return torch.zeros(shape, dtype=dtype or torch.float32, device=self._device)

    def _tensor(self, array: np.ndarray, dtype: torch.dtype | None = None) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device, dtype)

    def _slot(self) -> _Slot:
        spec, lanes, steps = self.spec, self._lanes, LAUNCH_HOPS * self.spec.steps_per_hop
        pinned = self._device.type == "cuda"

        def host(*shape: int, dtype: torch.dtype = torch.float32, fill: float = 0.0) -> torch.Tensor:
            return torch.full(shape, fill, dtype=dtype, pin_memory=pinned)

        embedded, hz = host(LAUNCH_HOPS, lanes, spec.conditioning), host(LAUNCH_HOPS, lanes, dtype=torch.float64)
        noise = host(steps, lanes, 1 if spec.head == "mulaw" else 2, self._size.bands, fill=0.5)
        temperatures = host(lanes, fill=1.0)
        return _Slot(
            uploads=[(h, torch.empty_like(h, device=self._device)) for h in (embedded, hz, noise, temperatures)],
            conditions=self._zeros(LAUNCH_HOPS, lanes, spec.layers * 2 * self._size.residual),
            audio=self._zeros(self.streams * LAUNCH_HOPS * HOP),
            audio_host=host(self.streams * LAUNCH_HOPS * HOP),
            done=torch.cuda.Event() if pinned else None,
        )

    def _packed(self, weights: Weights, narrow: torch.dtype) -> dict[str, torch.Tensor]:
        """The kernels' weights: [out, in] as the left sides of products, padded with zeros, matrices in `narrow`."""
        spec, size = self.spec, self._size
        n, r, s, a, f = spec.layers, size.residual, size.skip, size.hidden, size.phase
        mulaw = spec.head == "mulaw"

        def matrix(array: Float32, *shape: int) -> torch.Tensor:
            return self._tensor(_padded(array, shape), narrow)

        def vector(array: Float32, *shape: int) -> torch.Tensor:
            return self._tensor(_padded(array, shape))

        halves = np.stack([weights["layers.past"], weights["layers.now"]], 1)  # [n, 2, in, 2R]
        halves = halves.reshape(n, 2, spec.residual, 2, spec.residual)  # [n, past or now, in, filter or gate, out]
        condition = weights["layers.condition"].reshape(n, -1, 2, spec.residual).transpose(1, 0, 2, 3)
        head_2, head_bias_2 = weights["head.weight_2"].T, weights["head.bias_2"]
        if mulaw:
            packed_head = matrix(head_2, size.parameters, a), vector(head_bias_2, size.parameters)
            input_weight = vector(weights["input.weight"], 2, spec.classes, r)
            to_audio = self._tensor(sampling.mulaw_decode(np.arange(spec.classes), spec.classes))
        else:
            shape = (spec.bands, 3, spec.mixtures)
            rows = head_2.reshape(*shape, -1).swapaxes(0, 1), head_bias_2.reshape(shape).swapaxes(0, 1)
            padded = (3, size.bands, size.parameters)
            packed_head = matrix(rows[0], *padded, a), vector(rows[1], *padded)
            input_weight = matrix(weights["input.weight"].swapaxes(1, 2), 2, r, size.bands)
            to_audio = self._tensor(weights["bands.scale"])
            if spec.bands > 1:
                filters = pqmf.filters(spec.bands, spec.pqmf_taps)[1] * weights["bands.scale"][:, None]
                ages = filters.reshape(spec.bands, -1, spec.bands).swapaxes(0, 1)  # [age, band, sample]
                to_audio = vector(ages.astype(np.float32), len(ages), size.bands, size.bands)
        no_residual = np.zeros((1, spec.residual, spec.residual), np.float32)
        return {
            "input.weight": input_weight,
            "input.bias": vector(weights["input.bias"], r),
            "phase": matrix(weights["input.phase"].T, r, f) if spec.phase else self._zeros(1, dtype=narrow),
            "condition": self._tensor(_padded(condition, (spec.conditioning, n, 2, r)).reshape(spec.conditioning, -1)),
            "condition_bias": vector(weights["layers.bias"].reshape(n, 2, spec.residual), n, 2, r).reshape(-1),
            "layers": matrix(halves.transpose(0, 1, 3, 4, 2), n, 2, 2, r, r),
            "residual": matrix(np.concatenate([weights["layers.residual"].swapaxes(1, 2), no_residual]), n, r, r),
            "residual_bias": vector(np.concatenate([weights["layers.residual_bias"], no_residual[0, :1]]), n, r),
            "skip": matrix(weights["layers.skip"].swapaxes(1, 2), n, s, r),
            "skip.bias": vector(weights["skip.bias"], s),
            "head_1": matrix(weights["head.weight_1"].T, a, s),
            "head_bias_1": vector(weights["head.bias_1"], a),
            "head_2": packed_head[0],
            "head_bias_2": packed_head[1],
            "to_audio": to_audio,
            "rings": self._tensor(np.array(size.rings(spec)), torch.int32),
        }


@dataclass(frozen=True)
class _Sizes:
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
    def of(spec: ModelSpec) -> _Sizes:
        mulaw = spec.head == "mulaw"
        bands = 1 if mulaw else _power_of_two(spec.bands)
        history = max(len(initial_state(spec).overlap), 2)
        return _Sizes(
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


@dataclass
class _Slot:
    """Buffers of one launch, pinned on the host and on the device; two take turns.

    embedded float32 [hops, lanes, E]; hz float64 [hops, lanes]; noise float32 [steps, lanes, 1 or 2, bands];
    temperatures float32 [lanes]; conditions float32 [hops, lanes, layers * 2R]; audio float32, streams packed.
    """

    uploads: list[tuple[torch.Tensor, torch.Tensor]]
    conditions: torch.Tensor
    audio: torch.Tensor
    audio_host: torch.Tensor
    done: torch.cuda.Event | None

    def __post_init__(self) -> None:
        self.embedded_host, self.hz_host, self.noise_host, self.temperatures_host = (h.numpy() for h, _ in self.uploads)
        self.embedded, self.hz, self.noise, self.temperatures = (there for _, there in self.uploads)


@dataclass(frozen=True)
class _Launch:
    slot: _Slot
    first: int
    hops: int


def _power_of_two(width: int, least: int = 16) -> int:
    return max(least, 1 << (width - 1).bit_length())


def _padded(array: Float32, shape: tuple[int, ...]) -> Float32:
    """array in the corner of zeros of this shape."""
    padded = np.zeros(shape, np.float32)
    padded[tuple(slice(n) for n in array.shape)] = array
    return padded


def _checked(spec: ModelSpec, weights: Weights) -> Weights:
    """weights as they are; EngineError names the tensor that does not fit."""
    for name, shape in weight_shapes(spec).items():
        if name not in weights:
            raise EngineError(f"engine cuda: {spec.name} has no weight {name}")
        if weights[name].shape != shape:
            raise EngineError(f"engine cuda: {name} is {list(weights[name].shape)}, expected {list(shape)}")
        if not np.all(np.abs(weights[name]) <= LARGEST_HALF):
            raise EngineError(f"engine cuda: {name} holds a value that is not finite or beyond {LARGEST_HALF:.0f}")
    return weights
