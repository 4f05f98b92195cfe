"""What a monitor is told, and whether this machine has a display: plain, picklable, importable anywhere without Qt."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from livemove.contracts import ModelSpec


@dataclass(frozen=True)
class MonitorConfig:
    """What the window shows that never changes while it plays.

    mapping  the mapping.toml in use, if there is one; the features it plays are the first that are shown
    output   the take being written, if there is one
    """

    spec: ModelSpec
    mapping: Path | None
    camera: str
    output: Path | None = None


def has_display() -> bool:
    """Whether a window could be shown to anybody here."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
