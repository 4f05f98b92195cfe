"""The cuda engine: contracts.Engine on an NVIDIA GPU, and the same for several streams at once.

In: a spec, its weights, channels and noise. Out: audio, trace, state. Holds weights and state on the GPU, launches
the kernels and streams back what they play. The network is one of two kernels on the same state: Triton's in
cuda_kernels.py or, if asked for, cuda_cluster's.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportPossiblyUnboundVariable=false
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
)
from livemove.synthesis import conditioning, cuda_cluster, cuda_layout, sampling
from livemove.synthesis.cuda_layout import LAUNCH_HOPS, Sizes

try:
    import torch
    from triton.runtime import JITFunction, OutOfResources

    from livemove.synthesis import cuda_kernels
    from livemove.synthesis.cuda_buffers import LaunchBuffers
    from livemove.synthesis.cuda_harmonics import HarmonicMeans
except ImportError as error:
    _missing = error.name or str(error)
else:
    _missing = ""
    kernels: Any = cuda_kernels  # Triton's language, which type checkers do not speak

KERNELS = ("triton", "cluster")
"""cluster: on one thread-block cluster per four streams (cuda_cluster.py); no GPU has run it yet, so it must be asked
for, and `python -m livemove.diagnostics.gpu` measures both."""

PRECISIONS = ("fp16", "fp32")
"""fp16: matrices rounded to float16 (a bundle holds no more), through tensor cores; what they are multiplied with keeps
22 bits. fp32: matrices as given, without tensor cores. Everything else is float32 in both."""

LANES = 8
"""Streams per program; a weight fetched once serves all of them."""

SLICE = 64
"""Hidden units of the head at a time."""

STAGES = (3, 2, 1)
"""Layers whose weights are in shared memory or on their way there; the first number the device has room for is used."""

WRAP = 1 << 30
"""Steps are counted modulo this, which the length of every ring divides."""


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

    def __init__(
        self,
        spec: ModelSpec,
        weights: Weights,
        *,
        precision: str = "fp16",
        device: str = "cuda",
        kernel: str = "triton",
    ) -> None:
        self.spec = spec
        self._streams = CudaStreams(spec, weights, 1, precision=precision, device=device, kernel=kernel)

    @property
    def detail(self) -> str:
        """The GPU, the precision and the kernel in use."""
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

    precision: one of PRECISIONS. kernel: one of KERNELS; "cluster" plays fp16 only. device: "cuda", or "cpu" under
    TRITON_INTERPRET=1, for tests. EngineError if there is no GPU to use, if the kernel cannot be compiled for it, or if
    the model does not fit it or the kernel.
    """

    def __init__(
        self,
        spec: ModelSpec,
        weights: Weights,
        streams: int,
        *,
        precision: str = "fp16",
        device: str = "cuda",
        kernel: str = "triton",
    ) -> None:
        if device == "cpu" and not _missing:
            if isinstance(kernels.network, JITFunction):
                raise EngineError("engine cuda: the CPU only interprets the kernels, under TRITON_INTERPRET=1")
        elif why_not():
            raise EngineError(why_not())
        if precision not in PRECISIONS:
            raise EngineError(f"engine cuda: precision is one of {', '.join(PRECISIONS)}, not {precision}")
        if kernel not in KERNELS:
            raise EngineError(f"engine cuda: kernel is one of {', '.join(KERNELS)}, not {kernel}")
        self.spec = spec
        self.streams = streams
        self._precision = precision
        self._lanes = LANES * -(-streams // LANES)
        self._device = torch.device(device)
        self._size = Sizes.of(spec)
        self._weights = self._uploaded(cuda_layout.checked(spec, weights))
        self._start = 0
        size, lanes = self._size, self._lanes
        self._queues = self._zeros(size.ring_rows, lanes, size.residual)
        self._inputs = self._zeros(2, lanes, size.bands)
        self._values = self._zeros(size.values, lanes, size.bands)
        self._amplitudes = self._zeros(lanes, spec.path_width)
        self._harmonic_means = HarmonicMeans(spec, weights, self._device) if spec.harmonic_path else None
        self._phases = self._zeros(lanes, dtype=torch.float64)
        self._slots = [LaunchBuffers(spec, weights, size, streams, lanes, self._device) for _ in range(2)]
        self._drawn = self._zeros(LAUNCH_HOPS * spec.steps_per_hop, lanes, size.bands)
        self._parameters = self._zeros(1)
        self._stages = STAGES[0]
        self._cluster = self._cluster_kernel(weights) if kernel == "cluster" else None
        self._clocks: torch.Tensor | None = None
        self.reset()
        if self._device.type == "cuda":
            self._warm_up()

    @property
    def detail(self) -> str:
        """The GPU, the precision and the kernel in use."""
        gpu = torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else "interpreted on the CPU"
        return f"{gpu}, {self._precision}, {'cluster' if self._cluster else 'triton'}"

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
        steps = self.spec.steps_per_hop

        def collect(launch: _Launch) -> None:
            samples = slice(launch.first * HOP, (launch.first + launch.hops) * HOP)
            out[:, samples] = launch.slot.wait(launch.hops)

        for turn, first in enumerate(range(0, channels.shape[1], LAUNCH_HOPS)):
            hops = min(LAUNCH_HOPS, channels.shape[1] - first)
            launch = _Launch(self._slots[turn % 2], first, hops)
            of_launch = slice(first, first + hops), slice(first * steps, (first + hops) * steps)
            launch.slot.fill(channels[:, of_launch[0]], noise[:, of_launch[1]], styles, temperatures)
            self._launch(launch, traced=traces is not None)
            if under_way:
                collect(under_way)
            if traces:
                self._trace(launch, traces)
            self._start = (self._start + hops * steps) % WRAP
            under_way = launch
        if under_way:
            collect(under_way)

    def state(self, stream: int) -> EngineState:
        spec, state = self.spec, initial_state(self.spec)
        queues = self._queues[self._queue_rows(), stream, : spec.residual]
        values = self._values[self._value_rows(self._size.history), stream, : spec.bands].cpu().numpy()
        state.queues[:] = queues.cpu().numpy()
        state.inputs[:] = self._inputs[:, stream, : spec.bands].cpu().numpy()
        state.amplitudes[:] = self._amplitudes[stream].cpu().numpy()
        if len(state.overlap):
            state.overlap[:] = values[-len(state.overlap) :]
        state.phase[:] = float(self._phases[stream])
        return state

    def set_state(self, stream: int, state: EngineState) -> None:
        spec, expected = self.spec, initial_state(self.spec)
        for field in ("inputs", "queues", "overlap", "phase", "amplitudes"):
            have, want = getattr(state, field), getattr(expected, field)
            if have.shape != want.shape:
                raise EngineError(f"engine cuda: state.{field} is {list(have.shape)}, expected {list(want.shape)}")
        if spec.head == "mulaw" and not np.all((state.inputs >= 0) & (state.inputs < spec.classes)):
            raise EngineError(f"engine cuda: state.inputs holds a class outside 0..{spec.classes - 1}")
        history = np.zeros((self._size.history, spec.bands), np.float32)
        if len(state.overlap):
            history[-len(state.overlap) :] = state.overlap
        self._queues[self._queue_rows(), stream, : spec.residual] = self._tensor(state.queues)
        self._values[self._value_rows(self._size.history), stream, : spec.bands] = self._tensor(history)
        self._inputs[:, stream, : spec.bands] = self._tensor(state.inputs)
        self._amplitudes[stream] = self._tensor(state.amplitudes)
        self._phases[stream] = float(state.phase[0])

    def launch_times_s(self, hops: int, repeats: int) -> list[float]:
        """Seconds on the GPU of launches of `hops` (at most LAUNCH_HOPS) resting hops, audio included; resets."""
        began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        launch = self._resting_launch(hops)
        times_s: list[float] = []
        for _ in range(repeats):
            began.record()
            self._launch(launch, traced=False)
            ended.record()
            ended.synchronize()
            times_s.append(began.elapsed_time(ended) / 1000)
        self.reset()
        return times_s

    def clock_marks(self) -> np.ndarray | None:
        """int64 [CTA, 2, marks]: the clocks of one step as cuda_wavenet.cu marks them; None of Triton's kernel."""
        if self._cluster is None:
            return None
        silent, capability = self._cluster, torch.cuda.get_device_capability(self._device)
        self._cluster = cuda_cluster.ClusterKernel(self.spec, capability, marked=True)
        self._clocks = self._zeros(silent.ctas, 2, cuda_cluster.MARKS, dtype=torch.int64)
        self._launch(self._resting_launch(1), traced=False)
        marks, self._clocks, self._cluster = self._clocks.cpu().numpy(), None, silent
        self.reset()
        return marks

    def _resting_launch(self, hops: int) -> _Launch:
        spec, launch = self.spec, _Launch(self._slots[0], 0, hops)
        channels = np.tile(np.array([c.rest for c in spec.channels], np.float32), (self.streams, hops, 1))
        noise = np.full((self.streams, hops * spec.steps_per_hop, spec.noise_width), 0.5, np.float32)
        launch.slot.fill(channels, noise, [0] * self.streams, [1.0] * self.streams)
        return launch

    # --- one launch -----------------------------------------------------------------------------------------

    def _launch(self, launch: _Launch, *, traced: bool) -> None:
        """Everything of one launch, in the order the device does it; the host waits for nothing."""
        spec, size, slot, hops, lanes = self.spec, self._size, launch.slot, launch.hops, self._lanes
        embedded = slot.embedded[:hops].view(hops * lanes, -1)[:, : spec.conditioning]
        conditions = slot.conditions[:hops].view(hops * lanes, -1)
        torch.addmm(self._weights["condition_bias"], embedded, self._weights["condition"], out=conditions)
        if self._harmonic_means:
            offsets, amplitudes = self._harmonic_means(
                slot.embedded[:hops], slot.styles, slot.levels[:hops], slot.hz[:hops], self._phases, self._amplitudes
            )
            slot.offsets[: hops * spec.steps_per_hop, :, : spec.bands] = offsets.flatten(0, 1)
            self._amplitudes.copy_(amplitudes)
        if traced and len(self._parameters) == 1:
            self._parameters = self._zeros(LAUNCH_HOPS * spec.steps_per_hop, lanes, spec.parameters)
        if self._cluster:
            self._launch_cluster(self._cluster, launch, traced=traced)
        else:
            self._launch_triton(launch, traced=traced)
        w = self._weights
        grid, sizes = (self.streams, hops), {"B": size.bands, "STEPS": spec.steps_per_hop, "VALUES": size.values}
        if spec.bands > 1:
            kernels.bands_to_audio[grid](
                self._values, w["to_audio"], slot.audio, self._start, lanes, BANDS=spec.bands, **sizes,
                AGES=spec.pqmf_taps // spec.bands,
            )  # fmt: skip
        else:
            kernels.levels_to_audio[grid](
                self._values,
                w["to_audio"],
                slot.gates,
                slot.audio,
                self._start,
                lanes,
                MULAW=spec.head == "mulaw",
                **sizes,
            )
        slot.fetch(hops)

    def _launch_triton(self, launch: _Launch, *, traced: bool) -> None:
        spec, size, slot, hops, lanes = self.spec, self._size, launch.slot, launch.hops, self._lanes
        conditions = slot.conditions[:hops].view(hops * lanes, -1)
        w = self._weights
        kernels.network[(lanes // LANES,)](
            w["input.weight"], w["input.bias"], w["phase"], w["path"], w["layers"],
            w["residual"], w["residual_bias"], w["skip"], w["skip.bias"],
            w["head_1"], w["head_bias_1"], w["head_2"], w["head_bias_2"], w["rings"],
            self._queues, self._inputs, self._values, self._phases,
            conditions, slot.hz, slot.noise, slot.temperatures, slot.offsets, slot.gates, self._drawn, self._parameters,
            self._start, hops, float(spec.step_rate), float(spec.sample_rate),
            *conditioning.PHASE_FADE, float(sampling.NOISE_MARGIN), sampling.LOG_SCALE_FLOOR,
            MULAW=spec.head == "mulaw", BANDS=spec.bands, CLASSES=spec.classes, MIXTURES=spec.mixtures,
            HARMONICS=spec.phase_width // 2, PATH=spec.harmonic_path is not None,
            STEPS=spec.steps_per_hop, LAYERS=spec.layers, VALUES=size.values,
            TRACE=traced, B=size.bands, F=size.phase, R=size.residual, S=size.skip, A=size.hidden, M=size.parameters,
            N=LANES, SLICE=SLICE if size.hidden > SLICE else size.hidden, STAGES=self._stages, num_warps=4,
        )  # fmt: skip

    def _launch_cluster(self, kernel: cuda_cluster.ClusterKernel, launch: _Launch, *, traced: bool) -> None:
        spec, slot = self.spec, launch.slot
        pointers = {name: tensor.data_ptr() for name, tensor in self._cluster_weights.items()}
        job = cuda_cluster.Job(
            **pointers, rings=self._weights["rings"].data_ptr(), queues=self._queues.data_ptr(),
            inputs=self._inputs.data_ptr(),
            values=self._values.data_ptr(), phases=self._phases.data_ptr(), conditions=slot.conditions.data_ptr(),
            hz=slot.hz.data_ptr(), noise=slot.noise.data_ptr(), temperatures=slot.temperatures.data_ptr(),
            offsets=slot.offsets.data_ptr(), gates=slot.gates.data_ptr(), drawn=self._drawn.data_ptr(),
            parameters=self._parameters.data_ptr() if traced else None,
            clocks=None if self._clocks is None else self._clocks.data_ptr(),
            step_rate=spec.step_rate, sample_rate=spec.sample_rate,
            fade_low=conditioning.PHASE_FADE[0], fade_high=conditioning.PHASE_FADE[1],
            margin=float(sampling.NOISE_MARGIN), log_scale_floor=sampling.LOG_SCALE_FLOOR,
            start=self._start, hops=launch.hops, lanes=self._lanes, values_mask=self._size.values - 1,
        )  # fmt: skip
        stream = torch.cuda.current_stream(self._device).cuda_stream if self._device.type == "cuda" else 0
        kernel.launch(job, self.streams, stream)

    def _trace(self, launch: _Launch, traces: Sequence[Trace]) -> None:
        steps = self.spec.steps_per_hop
        count, first = launch.hops * steps, launch.first * steps
        for stream, trace in enumerate(traces):
            trace.values[first : first + count] = self._drawn[:count, stream, : self.spec.bands].cpu().numpy()
            trace.parameters[first : first + count] = self._parameters[:count, stream].cpu().numpy()

    def _queue_rows(self) -> torch.Tensor:
        """Row of each entry of EngineState.queues, oldest first: int64 [sum(dilations)]."""
        rows = [first + ((self._start - d + np.arange(d)) & mask) for first, mask, d in self._size.rings(self.spec)]
        return self._tensor(np.concatenate(rows) if rows else np.zeros(0, np.int64), torch.int64)

    def _value_rows(self, back: int) -> torch.Tensor:
        """Rows of the last `back` values, oldest first."""
        return self._tensor((self._start - back + np.arange(back)) & (self._size.values - 1), torch.int64)

    def _cluster_kernel(self, weights: Weights) -> cuda_cluster.ClusterKernel:
        """The cluster kernel, compiled, its weights uploaded; EngineError where it cannot be had."""
        if self._precision != "fp16":
            raise EngineError(f"engine cuda: the cluster kernel plays fp16, not {self._precision}")
        gpu = self._device.type == "cuda"
        capability = torch.cuda.get_device_capability(self._device) if gpu else cuda_cluster.CAPABILITY
        kernel = cuda_cluster.ClusterKernel(self.spec, capability)
        packed = cuda_cluster.pack(self.spec, weights)
        self._cluster_weights = {name: self._tensor(array) for name, array in packed.items()}
        return kernel

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
        for stages in STAGES if self._cluster is None else STAGES[:1]:
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

    def _uploaded(self, weights: Weights) -> dict[str, torch.Tensor]:
        """Triton's weights, matrices in the precision asked for."""
        matrices = set(cuda_layout.MATRICES) | ({"input.weight"} if self.spec.head == "logistic" else set())
        narrow = torch.float16 if self._precision == "fp16" else torch.float32
        packed = cuda_layout.packed(self.spec, self._size, weights)
        return {name: self._tensor(a, narrow if name in matrices else None) for name, a in packed.items()}


@dataclass(frozen=True)
class _Launch:
    """Some hops of a call: the buffers they use, which is the first, how many."""

    slot: LaunchBuffers
    first: int
    hops: int
