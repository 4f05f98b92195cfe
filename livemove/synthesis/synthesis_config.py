"""What a synthesis run is told, and the names it may be told: plain, picklable, importable without an engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ENGINES = ("native", "native-int8", "cuda", "onnx", "reference")
"""Every engine, in the order in which `auto` tries them: fastest first."""

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}
"""What the onnx engine may run on, and what ONNX Runtime calls it."""


@dataclass(frozen=True)
class SynthesisConfig:
    """Which models play, and on what.

    model     the bundle's folder
    engine    one of ENGINES, or "auto"
    provider  one of PROVIDERS: what the onnx engine runs on
    mapping   None: the model's own
    others    further models that are loaded and may be switched to, each with its mapping (None: its own)
    seed      the same one makes the same random choices
    block     the device's, in frames; the session fills it in
    sends     of "osc" and "midi", what triggers can send; the session fills it in
    dancers   who is looked for, 1 or 2: a mapping has the second one's features as dancer2.NAME
    camera_delay_s  how long a frame takes from the camera to us, as far as known: so much further is predicted
    """

    model: Path
    engine: str = "auto"
    provider: str = "cpu"
    mapping: Path | None = None
    others: tuple[tuple[Path, Path | None], ...] = ()
    seed: int = 0
    block: int = 512
    sends: tuple[str, ...] = ()
    dancers: int = 1
    camera_delay_s: float = 0.0
