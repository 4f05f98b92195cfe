"""Which block an audio device held: where nobody asks for one, the next performance opens it with that.

In: what a performance counted. Out: frames, by the whole name of a device. A minute without an underrun makes the next
performance's block half as long, until one does not hold; that one is not tried again.
"""

from __future__ import annotations

from livemove import numbers
from livemove.control.user_files import blocks_file, read_tables, write_tables
from livemove.controls import BLOCKS

SHORTEST, LONGEST = 128, 1024
"""What is tried without being asked for."""

ENOUGH_S = 60.0
"""A performance shorter than this says nothing."""

MOST_PER_MINUTE = 0.5
"""More underruns than this: the block did not hold."""


def held_blocks() -> dict[str, int]:
    """Frames by the whole name of a device. Raises ControlError: the file is damaged."""
    return _read()["blocks"]


def learn(device: str, block: int, seconds: float, underruns: int) -> int | None:
    """From what a performance of so many seconds with that block counted: the block of the next one, if it is another.

    Raises ControlError.
    """
    if seconds < ENOUGH_S or not SHORTEST <= block <= LONGEST:
        return None
    tables = _read()
    failed = tables["failed"].get(device, 0)
    if underruns > MOST_PER_MINUTE * seconds / 60.0:
        tables["failed"][device] = max(failed, block)
        following = min(2 * block, LONGEST)
    else:
        following = block // 2 if not underruns and block // 2 >= SHORTEST and block // 2 > failed else block
    if following == block:
        return None
    tables["blocks"][device] = following
    write_tables(blocks_file(), tables)
    return following


def _read() -> dict[str, dict[str, int]]:
    return read_tables(blocks_file(), ("blocks", "failed"), lambda value: numbers.whole(value, *BLOCKS), "delete it")
