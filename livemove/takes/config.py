"""What is kept of a performance: plain, picklable, importable without any codec."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TakesConfig:
    """Which takes are made, and where.

    folder  in which takes are made, at any time
    record  a take from the first sample on
    keep_s  how much is kept in memory, to be made a take after the fact
    video    takes keep the camera's images as well
    """

    folder: Path = Path()
    record: bool = False
    keep_s: float = 300.0
    video: bool = False
