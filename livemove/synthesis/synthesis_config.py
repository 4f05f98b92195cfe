"""What a synthesis run is told: plain, picklable, importable without an engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SynthesisConfig:
    """What synthesis needs to know; block is the device's, in frames.

    others: further models that are loaded and may be switched to, each with its mapping (None: its own).
    """

    model: Path
    engine: str = "auto"
    provider: str = "cpu"
    mapping: Path | None = None
    others: tuple[tuple[Path, Path | None], ...] = ()
    seed: int = 0
    block: int = 512
