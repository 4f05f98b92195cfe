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
    """As much of `aalink.Link` as is needed: beats a minute, beats since the session began, beats into the bar, how
    many others there are, whether one that shares its start and stop plays."""

    tempo: float
    beat: float
    phase: float
    num_peers: int
    playing: bool


class Link:
    """A session that is joined, or begun where there is none yet."""

    def __init__(self, beats: Beats | None = None) -> None:
        """Raises ControlError where aalink is not installed. beats: stands in for it."""
        self._loop = asyncio.new_event_loop()  # aalink wants one to exist, though nothing here waits in it
        self._beats = beats or self._loop.run_until_complete(_join())
        self._has_played = False

    @property
    def label(self) -> str:
        others = int(self._beats.num_peers)
        return f"Link at {self._beats.tempo:.1f} bpm with {others} other{'' if others == 1 else 's'}"

    @property
    def beat(self) -> float:
        """Now, in quarter notes; a bar begins at every multiple of BAR. This and the next two on any thread."""
        return float(self._beats.beat)

    @property
    def tempo(self) -> float:
        """Beats a minute."""
        return float(self._beats.tempo)

    @property
    def playing(self) -> bool:
        """False once others who share start and stop have stopped; while nobody shares them the beat simply goes on."""
        playing = bool(self._beats.playing)
        self._has_played = self._has_played or playing
        return playing or not self._has_played

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
    link.start_stop_sync_enabled = True
    link.enabled = True
    return cast(Beats, link)
