# Types of the compiled generator (wavenet/bindings.cpp): what synthesis/native.py calls. Arrays are C-contiguous.

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

def instruction_sets() -> list[str]:
    """Instruction sets this machine can run, fastest first."""

def evaluate(isa: str, which: int, x: npt.NDArray[np.float32], y: npt.NDArray[np.float32], /) -> None:
    """y = 0: exp(x), 1: log(x), 2: tanh(first half of x) * sigmoid(second half), 3: the same in the fixed-point plan.

    Sizes are multiples of 16."""

def read(isa: str, x: npt.NDArray[np.float32], times: int, /) -> float:
    """The sum of x, read `times` times: to measure the bandwidth of where it lies.

    Its size is a multiple of 128, its address of 64."""

class Generator:
    """The arrays of `generate` have a leading axis of voices; `get_state` and `set_state` are of one voice."""

    def __init__(
        self,
        sizes: Mapping[str, float],
        dilations: Sequence[int],
        tensors: Mapping[str, npt.NDArray[np.float32]],
        ranges: npt.NDArray[np.float32],
        filters: npt.NDArray[np.float32],
        response: npt.NDArray[np.float32],
        decode: npt.NDArray[np.float32],
        isa: str,
        precision: str,
        voices: int,
    ) -> None: ...
    @property
    def isa(self) -> str: ...
    def generate(
        self,
        out: npt.NDArray[np.float32],
        channels: npt.NDArray[np.float32],
        noise: npt.NDArray[np.float32],
        style: npt.NDArray[np.float32],
        temperature: npt.NDArray[np.float32],
        values: npt.NDArray[np.float32] | None,
        parameters: npt.NDArray[np.float32] | None,
    ) -> None: ...
    def get_state(
        self,
        voice: int,
        inputs: npt.NDArray[np.float32],
        queues: npt.NDArray[np.float32],
        overlap: npt.NDArray[np.float32],
        phase: npt.NDArray[np.float64],
        amplitudes: npt.NDArray[np.float32],
    ) -> None: ...
    def set_state(
        self,
        voice: int,
        inputs: npt.NDArray[np.float32],
        queues: npt.NDArray[np.float32],
        overlap: npt.NDArray[np.float32],
        phase: npt.NDArray[np.float64],
        amplitudes: npt.NDArray[np.float32],
    ) -> None: ...
