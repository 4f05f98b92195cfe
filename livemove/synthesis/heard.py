"""When a sample that goes into the ring now will be heard: what a body is predicted for.

In: the callback's account of its blocks. Out: seconds on the clock of all processes. Knows no ring, device or body.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


class HeardTime:
    """The line from samples of the ring to the times at which the converter plays them.

    Hosts tell the converter's time with jitter: a block moves the line by a tenth of what it says, and all the way
    where it says something quite different (another device, an underrun).
    """

    FOLLOW = 0.1
    JUMP_S = 0.005

    def __init__(self) -> None:
        self._zero_s: float | None = None  # when sample 0 would have been heard

    def add(self, blocks: npt.NDArray[np.void], rate: float) -> None:
        """Rows of `livemove.ipc.logs.BLOCK_ROW`, in order; rate: of the device, in Hz."""
        for read, dac_s in zip(blocks["read"].tolist(), blocks["dac_s"].tolist(), strict=True):
            zero_s = dac_s - read / rate
            if self._zero_s is None or abs(zero_s - self._zero_s) > self.JUMP_S:
                self._zero_s = zero_s
            else:
                self._zero_s += self.FOLLOW * (zero_s - self._zero_s)

    def at(self, sample: float, rate: float, now_s: float) -> float:
        """When that sample, counted as the ring does, is heard; never before now_s, which stands in before the first
        block."""
        return now_s if self._zero_s is None else max(self._zero_s + sample / rate, now_s)
