"""The supervisor: builds the shared memory, starts capture, synthesis and playback, watches and restarts them.

In: a SessionConfig. Out: Status a few times a second while it plays, and a Report when it ends.
Must not know torch, cv2, Qt, sounddevice or onnxruntime: they live in the children. Prints nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict


@dataclass(frozen=True)
class SessionConfig:
    """What a run of `livemove perform` does; one field per command line option. Picklable.

    camera        index as text ("0"), video file, http/rtsp URL, or "demo"
    device        None: the default output device; otherwise an index or part of a name
    samplerate    device rate in Hz; None: the model's own rate
    output        WAV of what is played; with output and device None, the sound goes to the default device too if there
                  is one, and to the file alone if there is none or play is False
    duration_s    None: until a signal, or until a camera file without loop ends
    started_s     when the command started, on the clock of `exchange.now_s`; None: this process's own start
    """

    model: Path
    camera: str = "0"
    loop: bool = False
    mirror: bool = False
    pose: str = "full"
    pose_model: Path | None = None
    engine: str = "auto"
    mapping: Path | None = None
    lookahead_s: float = 0.0
    style: int = 0
    temperature: float = 1.0
    gain: float = 1.0
    seed: int = 0
    device: str | None = None
    block: int = 512
    samplerate: int | None = None
    output: Path | None = None
    play: bool = True
    duration_s: float | None = None
    monitor: bool = True
    started_s: float | None = None


@dataclass(frozen=True)
class Status:
    """One look at the running session, a few times a second. Counters never go back.

    phase is "starting", "playing" or "stopping". notice is a line for the person, given once (a restart, no window).
    Values not known yet are None.
    """

    phase: str
    seconds: float
    engine: str | None = None
    device: str | None = None
    people: int = 0
    pose_fps: float | None = None
    pose_ms: float | None = None
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    ring_fill_ms: float = 0.0
    ring_target_ms: float = 0.0
    ring_starvations: int = 0
    late_callbacks: int = 0
    portaudio_underflows: int = 0
    limiter_hits: int = 0
    nonfinite_samples: int = 0
    peak: float = 0.0
    rms: float = 0.0
    channels: dict[str, float] = field(default_factory=dict[str, float])
    restarts: dict[str, int] = field(default_factory=dict[str, int])
    notice: str | None = None


class Percentiles(TypedDict):
    p50: float | None
    p95: float | None


class Latency(Percentiles):
    max: float | None


class Report(TypedDict):
    """What `perform --report FILE` writes. A value that was never measured is None."""

    engine: str
    model: str
    seconds: float
    sample_rate: int
    block: int
    frames_seen: int
    poses: int
    pose_fps: float | None
    pose_ms: Percentiles
    hops: int
    generate_realtime: float | None
    ring_starvations: int
    late_callbacks: int
    portaudio_underflows: int
    nonfinite_samples: int
    limiter_hits: int
    restarts: dict[str, int]
    motion_to_sound_ms: Latency
    first_sound_s: float | None


def run_session(config: SessionConfig, on_status: Callable[[Status], None]) -> Report:
    """Play until the duration ends, the film ends, or SIGINT/SIGTERM; blocks. Call from the main thread.

    Raises the LivemoveError a child met at start-up (bad bundle, camera, device ...), as the same class and message.
    """
    raise NotImplementedError("the processes land in the next commits")
