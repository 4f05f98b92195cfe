# Types of the compiled generator (wavenet/bindings.cpp): what synthesis/native.py calls. Arrays are C-contiguous.

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

def instruction_sets() -> list[str]:
    """Instruction sets this machine can run, fastest first."""

def evaluate(isa: str, which: int, x: npt.NDArray[np.float32], y: npt.NDArray[np.float32], /) -> None:
    """y = 0: exp(x), 1: log(x), 2: tanh(first half of x) * sigmoid(second half), 3: the same in the fixed-point plan.

    Sizes are multiples of 16."""

class Generator:
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
    ) -> None: ...
    @property
    def isa(self) -> str: ...
    def generate(
        self,
        out: npt.NDArray[np.float32],
        channels: npt.NDArray[np.float32],
        noise: npt.NDArray[np.float32],
        style: npt.NDArray[np.float32],
        temperature: float,
        values: npt.NDArray[np.float32] | None,
        parameters: npt.NDArray[np.float32] | None,
    ) -> None: ...
    def get_state(
        self,
        inputs: npt.NDArray[np.float32],
        queues: npt.NDArray[np.float32],
        overlap: npt.NDArray[np.float32],
        phase: npt.NDArray[np.float64],
        amplitudes: npt.NDArray[np.float32],
    ) -> None: ...
    def set_state(
        self,
        inputs: npt.NDArray[np.float32],
        queues: npt.NDArray[np.float32],
        overlap: npt.NDArray[np.float32],
        phase: npt.NDArray[np.float64],
        amplitudes: npt.NDArray[np.float32],
    ) -> None: ...
