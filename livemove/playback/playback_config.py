"""What a playback run is told: plain, picklable, importable without PortAudio."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PlaybackConfig:
    """device: None for the default one. rate: None for the model's, or the device's own if it refuses that.

    play False: no device, the clock alone (a recorder listens). fallback: do so too if there is no device at all.
    """

    model_rate: int
    device: str | None = None
    block: int = 512
    rate: int | None = None
    play: bool = True
    fallback: bool = False
