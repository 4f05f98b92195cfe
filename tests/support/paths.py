"""Where things are in the source tree."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds livemove, training, models and tests."""
THEREMIN = ROOT / "models" / "theremin"
