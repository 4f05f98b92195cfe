"""What a session tells while it plays, and when it is over.

In: the counters in the shared memory. Out: Status a few times a second, and the Report that `--report` writes. Judges
nothing, and starts and stops nothing.
"""

# numpy's stubs need a newer Python than 3.10, which pyright checks for: its members come out half unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from livemove.body.lag import estimate_ms
from livemove.contracts import Controls, ModelSpec
from livemove.ipc.loop_status import LoopStatus
from livemove.ipc.segment import Segment, now_s, percentile_ms


@dataclass(frozen=True)
class Status:
    """One look at the running session, a few times a second. Counters never go back.

    phase is "starting", "playing" or "stopping". notice is a line for the person, given once (a restart, no window).
    camera and card are those in use, or on their way, as a SessionConfig would have it; device is its whole name.
    Values not known yet are None.
    """

    phase: str
    seconds: float
    engine: str | None = None
    device: str | None = None
    camera: str = ""
    card: str | None = None
    people: int = 0
    pose_fps: float | None = None
    pose_ms: float | None = None
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    lag_ms: float | None = None
    ring_fill_ms: float = 0.0
    ring_target_ms: float = 0.0
    underruns: int = 0
    late_callbacks: int = 0
    portaudio_underflows: int = 0
    limiter_hits: int = 0
    nonfinite_samples: int = 0
    peak: float = 0.0
    rms: float = 0.0
    recording: Path | None = None
    channels: dict[str, float] = field(default_factory=dict[str, float])
    controls: Controls = field(default_factory=Controls)
    restarts: dict[str, int] = field(default_factory=dict[str, int])
    notice: str | None = None
    loop: LoopStatus = field(default_factory=LoopStatus)


class Percentiles(TypedDict):
    p50: float | None
    p95: float | None


class Latency(Percentiles):
    max: float | None


class Report(TypedDict):
    """What `perform --report FILE` writes. A value that was never measured is None.

    lag_ms: how late the sound followed the body, estimated from the median of motion_to_sound_ms and the look-ahead at
    the end; `livemove latency` measures it from a take. camera_faults: how
    often each began (capture/camera_faults.py). restarts: by process; of those of synthesis, take_overs were
    taken over by its spare. failed_engines: given up in this session, in order.
    """

    engine: str
    model: str
    seconds: float
    sample_rate: int
    block: int
    device: str | None
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
    camera_faults: dict[str, int]
    restarts: dict[str, int]
    take_overs: int
    failed_engines: list[str]
    motion_to_sound_ms: Latency
    lag_ms: float | None
    first_sound_s: float | None


class StatusReader:
    """Reads what is measured out of the shared memory; rates and latencies are those of the last two seconds."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._recent: deque[tuple[float, int, Any]] = deque()

    def status(self, spec: ModelSpec, **known: Any) -> Status:
        """spec: of the model that plays; known: the fields of Status that are not measured."""
        segment = self._segment
        now = now_s()
        histogram = segment.playback.latency_histogram
        poses = segment.capture.poses
        self._recent.append((now, poses, histogram))
        while len(self._recent) > 2 and now - self._recent[0][0] > 2.0:
            self._recent.popleft()
        then, poses_then, histogram_then = self._recent[0]
        lately = histogram - histogram_then
        rate = segment.device_rate or spec.sample_rate
        age_ms = percentile_ms(lately, 0.5)
        pose_fps = (poses - poses_then) / (now - then) if poses and now > then else None
        return Status(
            engine=segment.processes["synthesis"].label or None,
            device=segment.processes["playback"].label or None,
            people=segment.capture.people,
            pose_fps=pose_fps,
            pose_ms=segment.capture.pose_ms if poses else None,
            latency_p50_ms=age_ms,
            latency_p95_ms=percentile_ms(lately, 0.95),
            lag_ms=estimate_ms(age_ms, segment.controls.read().look_ahead_s, pose_fps),
            ring_fill_ms=1e3 * segment.ring.fill / rate,
            ring_target_ms=1e3 * segment.ring.target / rate,
            underruns=segment.playback.underruns,
            late_callbacks=segment.playback.late_callbacks,
            portaudio_underflows=segment.playback.portaudio_underflows,
            limiter_hits=segment.playback.limiter_hits,
            nonfinite_samples=segment.playback.nonfinite_samples,
            peak=segment.playback.peak,
            rms=segment.playback.rms,
            loop=segment.synthesis.loop,
            channels=dict(zip(spec.channel_names, segment.synthesis.channels.tolist(), strict=False)),
            **known,
        )


def final_report(
    segment: Segment,
    spec: ModelSpec,
    *,
    engine: str,
    seconds: float,
    started_s: float,
    restarts: dict[str, int],
    take_overs: int,
) -> Report:
    """spec: of the first model; seconds: how long it played; started_s: when the command started; take_overs: how often
    a spare took over."""
    capture, synthesis, playback = segment.capture, segment.synthesis, segment.playback
    pose_ms, latency = capture.pose_ms_histogram, playback.latency_histogram
    busy_s, age_ms = synthesis.busy_s, percentile_ms(latency, 0.5)
    first_sound_s = playback.first_sound_s
    return Report(
        engine=engine,
        model=spec.name,
        seconds=seconds,
        sample_rate=round(segment.device_rate),
        block=segment.device_block,
        device=segment.processes["playback"].label or None,
        frames_seen=capture.frames_seen,
        poses=capture.poses,
        pose_fps=capture.pose_fps,
        pose_ms={"p50": percentile_ms(pose_ms, 0.5), "p95": percentile_ms(pose_ms, 0.95)},
        hops=synthesis.hops,
        generate_realtime=synthesis.audio_samples / spec.sample_rate / busy_s if busy_s else None,
        ring_starvations=playback.underruns,
        late_callbacks=playback.late_callbacks,
        portaudio_underflows=playback.portaudio_underflows,
        nonfinite_samples=playback.nonfinite_samples,
        limiter_hits=playback.limiter_hits,
        camera_faults=capture.faults,
        restarts=restarts,
        take_overs=take_overs,
        failed_engines=list(synthesis.failed_engines),
        motion_to_sound_ms={
            "p50": age_ms,
            "p95": percentile_ms(latency, 0.95),
            "max": playback.latency_max_ms if latency.any() else None,
        },
        lag_ms=estimate_ms(age_ms, segment.controls.read().look_ahead_s, capture.pose_fps),
        first_sound_s=first_sound_s - started_s if first_sound_s else None,
    )
