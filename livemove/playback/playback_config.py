"""What a playback run is told: plain, picklable, importable without PortAudio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

LATENCY_BLOCKS = {"low": 128, "safe": 1024}
"""Block of each way to open a device, where none is given; without either it is 512."""

CLOCK = "no device"
"""What plays where there is none, as a session names it."""


@dataclass(frozen=True)
class PlaybackConfig:
    """Where the sound goes. The session fills in model_rate and fallback.

    device      index or part of a name; None: the default one
    block       frames the device asks for at once
    held        by the whole name of a device: the block that it held, in place of `block`. While it plays no block is
                smaller than at the start
    untold_s    by the whole name of a device: seconds from when it says a sample is heard to when it is, as measured
    latency     "low": the device for us alone, where its system has that, with the least PortAudio promises; "safe":
                with the most; None: shared, with the least
    samplerate  of the device, in Hz; None: the model's own rate, or the device's own if it refuses that
    play        False: no device, the clock alone (a recorder listens)
    model_rate  samples per second of the model
    fallback    without any device go on as with play False
    patient     a device that is not there is waited for, and the clock plays meanwhile; False: it is an error
    last        the device that played last, by its whole name; without `device` it is looked for first. The session
                fills in both
    """

    device: str | None = None
    block: int = 512
    latency: str | None = None
    samplerate: int | None = None
    play: bool = True
    model_rate: int = 0
    fallback: bool = False
    patient: bool = False
    last: str | None = None
    held: Mapping[str, int] = field(default_factory=dict[str, int])
    untold_s: Mapping[str, float] = field(default_factory=dict[str, float])
