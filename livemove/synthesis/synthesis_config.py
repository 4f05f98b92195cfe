"""What a synthesis run is told, and the names it may be told: plain, picklable, importable without an engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from livemove.controls import MAX_LAYERS

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
class Layer:
    """One of up to MAX_LAYERS voices that play at once.

    model      the bundle's folder
    mapping    None: the model's own
    gain_db    how loud it is in the mix when it begins
    pan        where: -1 left .. 1 right
    transpose  semitones up; a chord keeps its intervals in any scale
    note       MIDI number at which its pitch stays, whatever the body does: a drone; None: the body plays it
    dancer     who plays it, counted from 0
    """

    model: Path
    mapping: Path | None = None
    gain_db: float = 0.0
    pan: float = 0.0
    transpose: float = 0.0
    note: float | None = None
    dancer: int = 0

    @property
    def gain(self) -> float:
        """As a factor; -inf dB is 0."""
        return 10.0 ** (self.gain_db / 20.0)


class Levels(TypedDict):
    """Of contracts.Controls, what layers have of their own."""

    gains: tuple[float, ...]
    pans: tuple[float, ...]


def levels(layers: Sequence[Layer]) -> Levels:
    """As these layers begin."""
    left = MAX_LAYERS - len(layers)
    return Levels(
        gains=(*(layer.gain for layer in layers), *(1.0,) * left),
        pans=(*(layer.pan for layer in layers), *(0.0,) * left),
    )


@dataclass(frozen=True)
class SynthesisConfig:
    """Which models play, and on what.

    model     the bundle's folder
    engine    one of ENGINES, or "auto"
    provider  one of PROVIDERS: what the onnx engine runs on
    mapping   None: the model's own
    others    further models that are loaded and may be switched to, each with its mapping (None: its own)
    layers    of each that may be switched to, what plays at once, in place of model, mapping and others, which say the
              same where everything has one layer
    seed      the same one makes the same random choices
    sends     of "osc" and "midi", what triggers can send, and "beat" if there is one that they can wait for; the
              session fills it in
    postures  the folder of the postures that were taught (body/posture_files.py); None: there are none
    dancers   who is looked for, 1 or 2: a mapping has the second one's features as dancer2.NAME
    camera_delay_s  how long a frame takes from the camera to us, as far as known: so much further is predicted
    """

    model: Path
    engine: str = "auto"
    provider: str = "cpu"
    mapping: Path | None = None
    others: tuple[tuple[Path, Path | None], ...] = ()
    layers: tuple[tuple[Layer, ...], ...] = ()
    seed: int = 0
    sends: tuple[str, ...] = ()
    postures: Path | None = None
    dancers: int = 1
    camera_delay_s: float = 0.0

    @property
    def stacks(self) -> tuple[tuple[Layer, ...], ...]:
        """The layers of each that may be switched to, in the order of Controls.model."""
        return self.layers or tuple((Layer(*each),) for each in ((self.model, self.mapping), *self.others))
