"""The cuda engine's network for GPUs with thread-block clusters (compute capability 9.0): native/cuda_wavenet.cu.

In: a spec and its weights; pointers to state and inputs. Out: weights in the order the kernel reads them, a compiled
kernel that can be launched; EngineError where it cannot be used. Knows neither torch nor the engine.
"""

# cuda-bindings has no type stubs, and is installed only where there is a GPU.
# pyright: reportMissingImports=false
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportPossiblyUnboundVariable=false, reportUnknownArgumentType=false
from __future__ import annotations

import ctypes
import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from livemove.contracts import EngineError, Float32, ModelSpec, Weights
from livemove.synthesis.cuda_layout import padded

SOURCE = Path(__file__).parents[1] / "native" / "cuda_wavenet.cu"
STREAMS = 4
"""Streams per cluster."""

WIDTH = 64
"""Residual channels the kernel is written for; fewer are padded."""

LAYERS_PER_CTA = 3
"""As many layers' weights as the registers of four warps hold."""

PORTABLE_CTAS = 8
"""Most CTAs of a cluster that every GPU with clusters takes."""

CAPABILITY = (9, 0)
THREADS = 256
MARKS = 16
"""Clocks per CTA and group of warps that `Job.clocks` has room for."""

_PAIRS = np.arange(16).reshape(2, 8).T.reshape(-1)
"""Columns 0, 8, 1, 9 ...: a thread holds rows j and j + 8 of a tile, and writes them as one word."""

_QUADS = np.array([4 * (slot % 8 // 2) + 2 * (slot // 8) + slot % 2 for slot in range(16)])
"""Columns in the order in which four neighbouring floats become the two words of one thread."""

_POINTERS = (
    "now", "past", "residual", "skip", "input", "head_1", "head_2",
    "input_bias", "residual_bias", "skip_bias", "head_bias_1", "head_bias_2", "embedding", "rings",
    "queues", "inputs", "values", "phases", "conditions", "hz", "noise", "temperatures", "offsets", "gates", "drawn",
    "parameters", "clocks",
)  # fmt: skip


class Job(ctypes.Structure):
    """struct Job of the kernel: pointers to device memory, and numbers."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in _POINTERS),
        *((name, ctypes.c_double) for name in ("step_rate", "sample_rate")),
        *((name, ctypes.c_float) for name in ("fade_low", "fade_high", "margin", "log_scale_floor")),
        *((name, ctypes.c_int) for name in ("start", "hops", "lanes", "values_mask")),
    )


def why_not(spec: ModelSpec) -> str:
    """Why the kernel cannot play this model; empty if it can. Says nothing of the GPU."""
    if not WIDTH // 2 < spec.residual <= WIDTH:
        return f"{spec.residual} residual channels, not {WIDTH // 2 + 1}..{WIDTH}"
    if _ctas(spec) + 1 > PORTABLE_CTAS:
        return f"{spec.layers} layers, more than {LAYERS_PER_CTA * (PORTABLE_CTAS - 1)}"
    for name in ("skip", "hidden", "parameters"):
        if getattr(spec, name) > 256:
            return f"{getattr(spec, name)} {name} channels, more than 256"
    if spec.head == "logistic" and spec.bands > 16:
        return f"{spec.bands} bands, more than 16"
    return ""


def sizes(spec: ModelSpec) -> dict[str, int]:
    """The macros the kernel is compiled with. Padded: SKIP, HIDDEN, PARAMETERS, FEATURES, BAND_STRIDE."""
    mulaw, ctas = spec.head == "mulaw", _ctas(spec)
    return {
        "LAYERS": spec.layers,
        "CTAS": ctas,
        "PER_CTA": -(-spec.layers // ctas),
        "SKIP": _up(spec.skip, 64),
        "HIDDEN": _up(spec.hidden, 32),
        "PARAMETERS": _up(spec.parameters, 32),
        "REAL_PARAMETERS": spec.parameters,
        "BANDS": spec.bands,
        "BAND_STRIDE": 1 if mulaw else 16,
        "MULAW": int(mulaw),
        "CLASSES": spec.classes if mulaw else 0,
        "MIXTURES": 0 if mulaw else spec.mixtures,
        "HARMONICS": spec.phase_width // 2,
        "PATH": int(spec.harmonic_path is not None),
        "FEATURES": _up(spec.phase_width, 16),
        "STEPS": spec.steps_per_hop,
    }


def pack(spec: ModelSpec, weights: Weights) -> dict[str, np.ndarray]:
    """Weights by the names of `Job`: uint32 fragments of matrices, float32 biases, uint16 embedding."""
    size, n, r, mulaw = sizes(spec), spec.layers, spec.residual, spec.head == "mulaw"
    skip, hidden, parameters, features = (size[name] for name in ("SKIP", "HIDDEN", "PARAMETERS", "FEATURES"))

    def gates(name: str, order: np.ndarray) -> np.ndarray:
        """[n, 4 warps, 2 tiles]: 8 filter rows, then the 8 gate rows that go with them."""
        w = padded(weights[name].reshape(n, r, 2, r).transpose(0, 2, 3, 1), n, 2, WIDTH, WIDTH)  # [n, half, out, in]
        return _fragments(w.reshape(n, 2, 8, 8, WIDTH).swapaxes(1, 2).reshape(n, 2 * WIDTH, WIDTH), order)

    residual = padded(weights["layers.residual"].swapaxes(1, 2), n, WIDTH, WIDTH)
    inputs: list[Float32] = []
    if not mulaw:
        inputs += [padded(weights["input.weight"][tap].T, WIDTH, 16) for tap in range(2)]
    if spec.harmonic_path:
        inputs.append(padded(weights["input.harmonics"].T, WIDTH, 16))
    if spec.phase:
        inputs.append(padded(weights["input.phase"].T, WIDTH, features))
    embedding = padded(weights["input.weight"], 2, spec.symbols, WIDTH).astype(np.float16) if mulaw else np.zeros(1)
    return {
        "now": gates("layers.now", _PAIRS),
        "past": gates("layers.past", _QUADS),
        "residual": _fragments(residual, _PAIRS),
        "skip": _fragments(padded(weights["layers.skip"].swapaxes(1, 2), n, skip, WIDTH), _PAIRS),
        "input": _fragments(np.concatenate(inputs, 1)[None], _QUADS) if inputs else np.zeros(1, np.uint32),
        "head_1": _fragments(padded(weights["head.weight_1"].T, hidden, skip)[None], _PAIRS),
        "head_2": _fragments(padded(weights["head.weight_2"].T, parameters, hidden)[None], _PAIRS),
        "input_bias": padded(weights["input.bias"], WIDTH),
        "residual_bias": padded(weights["layers.residual_bias"], n, WIDTH),
        "skip_bias": padded(weights["skip.bias"], skip),
        "head_bias_1": padded(weights["head.bias_1"], hidden),
        "head_bias_2": padded(weights["head.bias_2"], parameters),
        "embedding": embedding.astype(np.float16).view(np.uint16),
    }


class ClusterKernel:
    """The kernel compiled for a spec and the GPU of the current CUDA context. EngineError with the reason if not."""

    def __init__(self, spec: ModelSpec, capability: tuple[int, int], *, marked: bool = False) -> None:
        """marked: it writes `Job.clocks`."""
        if reason := why_not(spec):
            raise EngineError(f"engine cuda: no cluster kernel: {reason}")
        if capability < CAPABILITY:
            raise EngineError(
                f"engine cuda: no cluster kernel: the GPU's compute capability is {capability}, below 9.0"
            )
        self._module = Module(SOURCE, (*sizes(spec).items(), ("MARKED", int(marked))), capability)
        self._function = self._module.function("wavenet")
        self.shared_bytes = self._module.integer("shared_bytes")
        driver = _driver()
        attribute = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        _checked(driver.cuFuncSetAttribute(self._function, attribute, self.shared_bytes))
        self.ctas = _ctas(spec) + 1

    def launch(self, job: Job, streams: int, cuda_stream: int) -> None:
        """Queue the job for this many streams; every one in a cluster with three others."""
        grid = self.ctas * -(-streams // STREAMS)
        launch(self._function, grid, THREADS, self.shared_bytes, cuda_stream, [job])


class Module:
    """A file of CUDA C++ compiled and loaded into the current CUDA context."""

    def __init__(self, source: Path, macros: tuple[tuple[str, int], ...], capability: tuple[int, int]) -> None:
        self._module = _checked(_driver().cuModuleLoadData(compiled(source, macros, capability)))

    def function(self, name: str) -> Any:
        return _checked(_driver().cuModuleGetFunction(self._module, name.encode()))

    def integer(self, name: str) -> int:
        """A constant of the file."""
        pointer, _ = _checked(_driver().cuModuleGetGlobal(self._module, name.encode()))
        value = ctypes.c_int()
        _checked(_driver().cuMemcpyDtoH(ctypes.addressof(value), pointer, 4))
        return value.value


def launch(function: Any, grid: int, threads: int, shared_bytes: int, cuda_stream: int, arguments: list[Any]) -> None:
    """Queue a kernel; arguments: ctypes values as it declares them. They are copied before this returns."""
    pointers = (ctypes.c_void_p * max(len(arguments), 1))(*(ctypes.addressof(a) for a in arguments))
    queued = _driver().cuLaunchKernel(
        function, grid, 1, 1, threads, 1, 1, shared_bytes, cuda_stream, ctypes.addressof(pointers), 0
    )
    _checked(queued)


@lru_cache(maxsize=16)
def compiled(source: Path, macros: tuple[tuple[str, int], ...], capability: tuple[int, int]) -> bytes:
    """Machine code of a file of CUDA C++. Needs cuda-bindings and NVRTC, no GPU. EngineError if it fails."""
    if importlib.util.find_spec("cuda") is None:
        raise EngineError("engine cuda: no cluster kernel: cuda-bindings is missing; pip install 'livemove[cuda]'")
    from cuda.bindings import nvrtc

    program = _checked(nvrtc.nvrtcCreateProgram(source.read_bytes(), source.name.encode(), 0, [], []))
    major, minor = capability
    options = [
        f"--gpu-architecture=sm_{major}{minor}", "--std=c++17", f"--include-path={source.parent}",
        *(f"-D{name}={value}" for name, value in macros),
    ]  # fmt: skip
    encoded = [option.encode() for option in options]
    (status,) = nvrtc.nvrtcCompileProgram(program, len(encoded), encoded)
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        log = bytearray(_checked(nvrtc.nvrtcGetProgramLogSize(program)))
        _checked(nvrtc.nvrtcGetProgramLog(program, log))
        said = bytes(log).decode(errors="replace").strip("\0\n ")
        raise EngineError(f"engine cuda: {source.name} does not compile: {said}")
    image = bytearray(_checked(nvrtc.nvrtcGetCUBINSize(program)))
    _checked(nvrtc.nvrtcGetCUBIN(program, image))
    nvrtc.nvrtcDestroyProgram(program)
    return bytes(image)


def _driver() -> Any:
    from cuda.bindings import driver

    return driver


def _checked(returned: tuple[Any, ...]) -> Any:
    """What a call of cuda-bindings gave after its status; EngineError with the status unless it is success."""
    status, *rest = returned
    if int(status):
        raise EngineError(f"engine cuda: {status!s} from the CUDA driver or NVRTC")
    return rest[0] if len(rest) == 1 else tuple(rest)


def _ctas(spec: ModelSpec) -> int:
    return -(-spec.layers // LAYERS_PER_CTA)


def _up(width: int, multiple: int) -> int:
    return -(-width // multiple) * multiple


def _fragments(matrices: Float32, order: np.ndarray) -> np.ndarray:
    """matrices [n, out, in] as the left sides of mma.m16n8k16: uint32 [n, out / 16, in / 16, lane, 4].

    order: which of a tile's 16 columns stands in which slot of the product.
    """
    n, rows, columns = matrices.shape
    tiles = matrices.reshape(n, rows // 16, 16, columns // 16, 16).swapaxes(2, 3)[..., order].astype(np.float16)
    lane, word, half = np.arange(32)[:, None, None], np.arange(4)[None, :, None], np.arange(2)[None, None, :]
    picked = tiles[..., lane // 4 + 8 * (word % 2), 2 * (lane % 4) + 8 * (word // 2) + half]
    return np.ascontiguousarray(picked).view(np.uint32)[..., 0]
