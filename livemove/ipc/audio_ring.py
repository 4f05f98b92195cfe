"""Audio on its way from synthesis to the device, and what was played.

In: hops of samples. Out: the callback takes them (native/realtime/output.hpp); readers of the tap get what was played.
Knows neither engine nor device.
"""

# numpy's stubs need a newer Python than 3.10, which pyright checks for: its members come out half unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from livemove.contracts import Float32
from livemove.native import _realtime


class AudioRing:
    """Samples on their way out, float32 left and right at the device's rate, counted once for both sides. Producer:
    synthesis. Consumer: the callback.

    When it runs dry the callback fades out, counts an underrun, and starts again once the fill reaches `target`.
    """

    def __init__(self, memory: npt.NDArray[np.uint8]) -> None:
        self._native = _realtime.Ring(memory)

    def write(self, samples: Float32) -> bool:
        """Producer only: all of samples float32 [n, 2], or, when there is no room, nothing and False. [n]: the same on
        both sides."""
        return self._native.write(samples)

    def mark(self, first_sample: int, capture_s: float) -> None:
        """Producer only, before the hop it describes.

        Sample first_sample, counted like `written`, begins a hop made from the pose captured at capture_s (NaN: none).
        """
        self._native.mark(first_sample, capture_s)

    def set_pace(self, rate: float, block: int) -> None:
        """Producer only, before the first sample of that rate: the consumer takes `block` samples, `rate` a second."""
        self._native.set_pace(rate, block)

    def wait_due(self, lead_s: float, timeout_s: float) -> bool:
        """Producer only: sleep, without the GIL, until a hop is due; False if timeout_s passed first.

        Due: the ring holds less than the callbacks of the next lead_s seconds will take.
        """
        return self._native.wait_due(lead_s, timeout_s)

    def seek(self, sample: int) -> None:
        """Replay only, nobody else being there: all before this sample was written and played."""
        self._native.seek(sample)

    def set_target(self, fill: int) -> None:
        """Replay only: `target`, which is otherwise set by `wait_due`."""
        self._native.set_target(fill)

    @property
    def room(self) -> int:
        """Producer only: so many samples can be written now."""
        return self._native.room

    @property
    def written(self) -> int:
        """Samples written since the segment was made."""
        return self._native.written

    @property
    def fill(self) -> int:
        """Samples not yet played. Anyone."""
        return self._native.fill

    @property
    def target(self) -> int:
        """The fill at which the callback begins to play, samples. Anyone."""
        return self._native.target


class Tap:
    """What was really played, float32 left and right at the device's rate, counted once for both sides; the callback
    never waits for its readers. Anyone."""

    def __init__(self, memory: npt.NDArray[np.uint8]) -> None:
        self._native = _realtime.Tap(memory)

    @property
    def written(self) -> int:
        return self._native.written

    def read(self, start: int, out: Float32) -> bool:
        """Fill out float32 [n, 2] with samples start.. (start + n <= written), or [n] with the mean of both sides;
        False: some were lost, out is no use."""
        return self._native.read(start, out)
