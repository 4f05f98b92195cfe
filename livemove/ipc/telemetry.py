"""What each process counts about itself: frames and poses, hops, the callback's own accounts.

In: one event at a time, from the process that has it. Out: counts, times, histograms, to anyone. Counts only: judging
them is monitor's and the report's business.
"""

# numpy's stubs need a newer Python than 3.10, which pyright checks for: its members come out half unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from livemove.contracts import Float32
from livemove.ipc.loop_status import LoopState, LoopStatus
from livemove.ipc.records import Record, lines, names, observe, publish
from livemove.native._realtime import BIN_MS, now_s


def percentile_ms(histogram: npt.NDArray[np.uint64], quantile: float) -> float | None:
    """The quantile (0..1) of a histogram of BIN_MS bins, in ms: upper edge of its bin; None if nothing was counted."""
    total = int(histogram.sum())
    if not total:
        return None
    index = int(np.searchsorted(np.cumsum(histogram), max(1.0, np.ceil(quantile * total))))
    return (index + 1) * BIN_MS


FAULTS = ("", "absent", "lost", "stalled", "frozen", "black", "covered", "corrupt", "slow")
"""What may be wrong with a camera, by number; see capture/camera_faults.py."""


class CaptureTelemetry:
    """What the camera and the landmarker do. Written by capture only; read by anyone.

    frames_seen: frames the camera gave. frames_used: those the landmarker looked at. poses: those with
    somebody in them.
    """

    def __init__(self, record: Record) -> None:
        self._record = record

    def frame_seen(self, count: int = 1) -> None:
        self._record["frames_seen"][0] += np.uint64(count)

    def frame_used(self, pose_ms: float, people: int) -> None:
        """One frame went through the landmarker in pose_ms."""
        r = self._record
        r["frames_used"][0] += np.uint64(1)
        r["poses"][0] += np.uint64(people > 0)
        r["people"][0] = people
        r["last_pose_ms"][0] = pose_ms
        r["pose_ms"][min(int(pose_ms / BIN_MS), len(r["pose_ms"]) - 1)] += np.uint64(1)
        now = now_s()
        if people > 0 and r["first_pose_s"][0] == 0.0:
            r["first_pose_s"][0] = now
        r["last_used_s"][0] = now

    def set_fault(self, fault: str) -> None:
        """What is wrong with the camera from now on; "": nothing. Each beginning is counted."""
        place = FAULTS.index(fault)
        if place and place != int(self._record["fault"][0]):
            self._record["faults"][place] += np.uint64(1)
        self._record["fault"][0] = place

    @property
    def fault(self) -> str:
        """What is wrong with the camera now."""
        return FAULTS[int(self._record["fault"][0])]

    @property
    def faults(self) -> dict[str, int]:
        """How often each began, of those that did."""
        counts = self._record["faults"].tolist()
        return {fault: int(count) for fault, count in zip(FAULTS, counts, strict=False) if fault and count}

    @property
    def frames_seen(self) -> int:
        return int(self._record["frames_seen"][0])

    @property
    def frames_used(self) -> int:
        return int(self._record["frames_used"][0])

    @property
    def poses(self) -> int:
        return int(self._record["poses"][0])

    @property
    def people(self) -> int:
        return int(self._record["people"][0])

    @property
    def last_used_s(self) -> float:
        """When the landmarker was last done with a frame; 0 while it never was."""
        return float(self._record["last_used_s"][0])

    @property
    def pose_ms(self) -> float:
        """The last one."""
        return float(self._record["last_pose_ms"][0])

    @property
    def pose_ms_histogram(self) -> npt.NDArray[np.uint64]:
        return self._record["pose_ms"].copy()

    @property
    def pose_fps(self) -> float | None:
        """Poses per second since the first one; None before the second."""
        elapsed_s = float(self._record["last_used_s"][0] - self._record["first_pose_s"][0])
        return (self.poses - 1) / elapsed_s if self.poses > 1 and elapsed_s > 0 else None


class SynthesisTelemetry:
    """What the engine does. Written by synthesis only; read by anyone."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def hop(self, busy_s: float, samples: int, channels: Float32) -> None:
        """One hop of `samples` model-rate samples took busy_s; channels float32 [C <= 64], as the engine got them."""
        r = self._record
        r["hops"][0] += np.uint64(1)
        r["audio_samples"][0] += np.uint64(samples)
        r["busy_s"][0] += busy_s
        count = min(len(channels), len(r["channels"]))
        r["channel_count"][0] = count
        r["channels"][:count] = channels[:count]

    def set_styles(self, weights: Float32 | None) -> None:
        """Weights of the styles [S <= MAX_BLEND] as the engine got them at the last hop; None: it blends none."""
        r = self._record
        count = 0 if weights is None else len(weights)
        r["style_count"][0] = count
        if weights is not None:
            r["styles"][:count] = weights

    def set_loop(self, loop: LoopStatus) -> None:
        """What the looper did in the last hop."""
        self._record["loop"][:] = loop.seconds, loop.beats, loop.at_s
        self._record["loop_state"][0] = int(loop.state)

    @property
    def loop(self) -> LoopStatus:
        """Anyone."""
        return LoopStatus(LoopState(int(self._record["loop_state"][0])), *self._record["loop"].tolist())

    def engine_failed(self, engine: str) -> None:
        """That engine is given up for the rest of the session, whoever plays: it is counted, and never tried again."""
        failed = tuple(dict.fromkeys((*self.failed_engines, engine)))
        self._record["failed_engines"][0] = lines(failed, self._record["failed_engines"].dtype.itemsize)
        publish(self._record["engine_failures"], self.engine_failures + 1)

    def set_rate(self, rate: float) -> None:
        """What is written into the ring from now on has this rate."""
        self._record["rate"][0] = rate

    def set_features(self, features: Float32) -> None:
        """features float32 [F <= 64], as the mapping of the last hop got them."""
        r = self._record
        count = min(len(features), len(r["features"]))
        r["feature_count"][0] = count
        r["features"][:count] = features[:count]

    @property
    def rate(self) -> float:
        """Of the samples that are written into the ring; 0 before the first."""
        return float(self._record["rate"][0])

    @property
    def engine_failures(self) -> int:
        """How often an engine was given up. Anyone; to be read before `failed_engines`."""
        return observe(self._record["engine_failures"])

    @property
    def failed_engines(self) -> tuple[str, ...]:
        """Names of those that were given up."""
        return names(self._record["failed_engines"])

    @property
    def hops(self) -> int:
        return int(self._record["hops"][0])

    @property
    def audio_samples(self) -> int:
        return int(self._record["audio_samples"][0])

    @property
    def busy_s(self) -> float:
        return float(self._record["busy_s"][0])

    @property
    def channels(self) -> npt.NDArray[np.float64]:
        """float64 [C]: the last hop's."""
        return self._record["channels"][: int(self._record["channel_count"][0])].copy()

    @property
    def styles(self) -> npt.NDArray[np.float64]:
        """float64 [S]: weights of the styles of the last hop; empty for a model that blends none."""
        return self._record["styles"][: int(self._record["style_count"][0])].copy()

    @property
    def features(self) -> npt.NDArray[np.float64]:
        """float64 [F]: the last hop's."""
        return self._record["features"][: int(self._record["feature_count"][0])].copy()


class PlaybackTelemetry:
    """What the callback counts. Written by the callback only; read by anyone. Survives a restart of playback."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def _count(self, name: str) -> int:
        return int(self._record[name][0])

    def _number(self, name: str) -> float:
        return float(self._record[name][0])

    @property
    def heartbeat_s(self) -> float:
        return self._number("heartbeat_s")

    @property
    def callbacks(self) -> int:
        return self._count("callbacks")

    @property
    def late_callbacks(self) -> int:
        return self._count("late_callbacks")

    @property
    def portaudio_underflows(self) -> int:
        return self._count("portaudio_underflows")

    @property
    def underruns(self) -> int:
        """Episodes: the ring ran dry while playing."""
        return self._count("ring_starvations")

    @property
    def underruns_settled(self) -> int:
        """Those later than one second after playing began."""
        return self._count("ring_starvations_settled")

    @property
    def underrun_samples(self) -> int:
        """Device samples without material, fades included."""
        return self._count("starved_samples")

    @property
    def limiter_hits(self) -> int:
        """Samples above -1 dBFS."""
        return self._count("limiter_hits")

    @property
    def nonfinite_samples(self) -> int:
        return self._count("nonfinite_samples")

    @property
    def peak(self) -> float:
        return self._number("peak")

    @property
    def rms(self) -> float:
        return self._number("rms")

    @property
    def first_sound_s(self) -> float:
        """DAC time of the first sample above -80 dBFS; 0 while there was none."""
        return self._number("first_sound_s")

    @property
    def output_latency_s(self) -> float:
        return self._number("output_latency_s")

    @property
    def margin_s(self) -> float:
        """How long the newest sample of the last block had been in the ring; 0 after an underrun."""
        return self._number("margin_s")

    @property
    def latency_max_ms(self) -> float:
        return self._number("latency_max_ms")

    @property
    def latency_histogram(self) -> npt.NDArray[np.uint64]:
        """uint64 [4096] counts of BIN_MS bins: motion-to-sound latency of every hop played."""
        return self._record["latency_ms"].copy()
