"""External inputs: numbers from OSC, MIDI and Link that play channels.

In: names that synthesis wants, values that control gives. Out: the same. Knows neither protocol.
"""

# numpy's stubs need a newer Python than 3.10, which pyright checks for: its members come out half unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from livemove.contracts import LivemoveError
from livemove.ipc.records import Record, observe, publish


class ExternalInputs:
    """Numbers from OSC, MIDI and Link by name: synthesis says which it wants, control fills them in.

    Places are given once and stay: a name keeps its place, and its last value, whoever is started again.
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        self._names: tuple[str, ...] = ()

    def want(self, name: str) -> int:
        """Synthesis only: the place of that input. Raises LivemoveError when there is no room for another one."""
        names = self.wanted
        if name in names:
            return names.index(name)
        text = "\n".join([*names, name]).encode()
        if len(names) == len(self._record["value"]) or len(text) >= self._record["names"].dtype.itemsize:
            raise LivemoveError(f"input {name!r}: there is no room for more than {len(names)} external inputs")
        self._record["value"][len(names)] = np.nan
        self._record["names"][0] = text
        publish(self._record["wanted"], len(names) + 1)
        return len(names)

    @property
    def wanted(self) -> tuple[str, ...]:
        """Names by place. Anyone."""
        count = observe(self._record["wanted"])
        if count != len(self._names):
            self._names = tuple(bytes(self._record["names"][0]).decode().split("\n")[:count])
        return self._names

    def set(self, place: int, value: float) -> None:
        """Control only."""
        self._record["value"][place] = value

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """float64 [64] by place, a view; NaN until something came. Anyone."""
        return self._record["value"]
