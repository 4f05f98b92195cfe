"""How fast one core reads its caches and memory: for each level as much as fits it, but not the one before.

In: sizes of the caches. Out: GB/s by level. Reads with the native engine's vectors where that is built; else with
NumPy, whose calls take too long to show what a first-level cache can do.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from livemove.contracts import Float32
from livemove.diagnostics import cpu

ASSUMED = {1: 32 << 10, 2: 1 << 20, 3: 32 << 20}
"""Sizes where the system tells none."""
READ_BYTES = 64 << 20
"""At least so much is read at a time; the memory is read in twice the last cache, up to MOST_BYTES."""
MOST_BYTES = 256 << 20
MEMORY = "memory"


class Bandwidth:
    """Arrays for every level, and what reading them gave so far."""

    def __init__(self) -> None:
        sizes = cpu.caches() or ASSUMED
        self._read = _reader()
        last = max(sizes.values())
        self._arrays = {f"L{level}": _aligned(size // 2) for level, size in sorted(sizes.items())}
        self._arrays[MEMORY] = _aligned(min(max(2 * last, READ_BYTES), MOST_BYTES))
        self._gbps: dict[str, list[float]] = {level: [] for level in self._arrays}

    def measure(self) -> None:
        """One more time, every level in turn."""
        for level, array in self._arrays.items():
            times = max(READ_BYTES // array.nbytes, 1)
            started = time.perf_counter()
            self._read(array, times)
            self._gbps[level].append(1e-9 * times * array.nbytes / (time.perf_counter() - started))

    @property
    def medians(self) -> dict[str, float]:
        """ "L1", "L2" ... "memory" -> GB/s."""
        return {level: statistics.median(speeds) for level, speeds in self._gbps.items() if speeds}


def _aligned(size: int) -> Float32:
    """At least `size` bytes of ones on a border of 64, in whole rounds of the reader."""
    count = -(-size // 512) * 128
    room = np.ones(count + 16, np.float32)
    start = -room.ctypes.data % 64 // 4
    return room[start : start + count]


def _reader() -> Callable[[Float32, int], object]:
    try:
        from livemove.native import _wavenet
    except ImportError:

        def reduce(array: Float32, times: int) -> None:
            for _ in range(times):
                np.bitwise_or.reduce(array.view(np.int64))

        return reduce
    fastest = _wavenet.instruction_sets()[0]
    return lambda array, times: _wavenet.read(fastest, array, times)
