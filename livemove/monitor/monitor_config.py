"""What a monitor is told, and whether this machine has a display: plain, picklable, importable anywhere without Qt."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from livemove.contracts import ModelSpec


@dataclass(frozen=True)
class MonitorConfig:
    """What the window shows that never changes while it plays.

    mapping  the mapping.toml in use, if there is one; the features it plays are the first that are shown
    calibrated  whether that mapping was fitted to a body by `livemove calibrate`
    others   further models to switch to, each with its mapping and whether that was fitted
    presets  names of the set list
    output   the WAV being written, if there is one
    audience whether a second window shows the drawn dancer
    layers   of each model to switch to, in their order, the names of all that play at once; (): each plays alone
    playing  which of them it is
    """

    spec: ModelSpec
    mapping: Path | None
    camera: str
    output: Path | None = None
    others: tuple[tuple[ModelSpec, Path | None, bool], ...] = ()
    presets: tuple[str, ...] = ()
    calibrated: bool = False
    audience: bool = False
    layers: tuple[tuple[str, ...], ...] = ()
    playing: int = 0

    @property
    def voices(self) -> tuple[str, ...]:
        """Names of all that play at once."""
        return self.layers[self.playing] if self.layers else (self.spec.name,)

    @property
    def name(self) -> str:
        """What plays, wherever it is named."""
        return " + ".join(self.voices)

    @property
    def models(self) -> tuple[str, ...]:
        """Names of all there are to switch to, in the order of `Controls.model`."""
        if self.layers:
            return tuple(" + ".join(voices) for voices in self.layers)
        return (self.spec.name, *(spec.name for spec, _, _ in self.others))

    def of_model(self, index: int) -> MonitorConfig:
        """The same with that one of the models as the one that plays."""
        spec, mapping, calibrated = ((self.spec, self.mapping, self.calibrated), *self.others)[index]
        return replace(self, spec=spec, mapping=mapping, calibrated=calibrated, playing=index)


@dataclass(frozen=True)
class CameraWindowConfig:
    """The window of `calibrate` and `record`. mirrored: it exchanges left and right, as a mirror does; False: what it
    is given is mirrored already."""

    camera: str
    mirrored: bool = True


def has_display() -> bool:
    """Whether a window could be shown to anybody here."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
