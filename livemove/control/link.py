"""Ableton Link: the beat that other programs on the network play to, as external inputs.

In: the network; aalink speaks to it, without which everything else plays on. Out: numbers under the names that a
mapping.toml may give a channel as its source. Knows no shared memory and no model.
"""

# aalink has no type information.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportMissingImports=false

from __future__ import annotations

import asyncio
from typing import Any, Protocol, cast

from livemove.contracts import ControlError

TEMPO = 120.0
"""Beats a minute, until somebody else in the session has another one."""

BAR = 4
"""Beats of a bar."""


class Beats(Protocol):
    """As much of `aalink.Link` as is needed: beats a minute, beats into the bar, how many others there are."""

    tempo: float
    phase: float
    num_peers: int


class Link:
    """A session that is joined, or begun where there is none yet."""

    def __init__(self, beats: Beats | None = None) -> None:
        """Raises ControlError where aalink is not installed. beats: stands in for it."""
        self._loop = asyncio.new_event_loop()  # aalink wants one to exist, though nothing here waits in it
        self._beats = beats or self._loop.run_until_complete(_join())

    @property
    def label(self) -> str:
        others = int(self._beats.num_peers)
        return f"Link at {self._beats.tempo:.1f} bpm with {others} other{'' if others == 1 else 's'}"

    def inputs(self, ahead_s: float) -> dict[str, float]:
        """Tempo in beats a minute, and where in the beat and in the bar (both 0..1) it is in so many seconds: what is
        made now is heard then."""
        tempo = float(self._beats.tempo)
        place = (float(self._beats.phase) + ahead_s * tempo / 60.0) % BAR
        return {"link.tempo": tempo, "link.beat": place % 1.0, "link.phase": place / BAR}

    def close(self) -> None:
        self._loop.close()


async def _join() -> Beats:
    try:
        import aalink
    except ImportError as error:
        raise ControlError("Ableton Link is not installed: pip install 'livemove[link]'") from error
    link: Any = aalink.Link(TEMPO)
    link.quantum = BAR
    link.enabled = True
    return cast(Beats, link)
