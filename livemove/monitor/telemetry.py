"""The monitor's readers of a running session: counters, output levels and spectrum, traces, and a verdict in words.

In: a Segment. Out: figures, levels, columns of sound and traces as plain values. Waits for nobody, knows no Qt.
"""

from __future__ import annotations

import enum
import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from livemove.body.lag import REGAINED, estimate_ms, predicted_ms
from livemove.body.notes import note_name
from livemove.contracts import Controls, Float32, SupervisorStatus
from livemove.ipc.segment import ROLES, Segment, State, now_s, percentile_ms

COLUMNS_PER_S = 60
"""Of everything that scrolls: waveform, spectrogram, traces share one time axis."""

ROWS = 192
LOW_HZ, HIGH_HZ = 55.0, 16000.0
"""The spectrogram: log-frequency rows from A1 up."""

FLOOR_DB, CEILING_DB = -80.0, -6.0
WINDOW = 4096

SILENT_S = 1.0
"""A camera, or a supervisor, that says nothing for so long is missed."""


class Tone(enum.IntEnum):
    """What a thing means for the person on stage, in order of urgency."""

    QUIET = 0
    FINE = 1
    WATCH = 2
    WRONG = 3


@dataclass(frozen=True)
class Figures:
    """The session in numbers, at one moment. ages: seconds since something last happened; inf: never. waits: what each
    process waits for; camera_fault: what is wrong with the camera; "": nothing."""

    seconds: float = 0.0
    engine: str = ""
    device: str = ""
    states: dict[str, State] = field(default_factory=dict[str, State])
    waits: dict[str, str] = field(default_factory=dict[str, str])
    camera_fault: str = ""
    people: int = 0
    pose_fps: float | None = None
    pose_ms: float | None = None
    pose_age_s: float = math.inf
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    lag_ms: float | None = None
    look_ahead_ms: float = 0.0
    device_ms: float = 0.0
    ring_fill_ms: float = 0.0
    ring_target_ms: float = 0.0
    underruns: int = 0
    late_callbacks: int = 0
    underflows: int = 0
    limiter_hits: int = 0
    nonfinite: int = 0
    restarts: dict[str, int] = field(default_factory=dict[str, int])
    trouble_age_s: float = math.inf
    restart_age_s: float = math.inf
    limiter_age_s: float = math.inf
    supervisor_age_s: float = 0.0
    ending: bool = False


class TelemetryReader:
    """Reads a session's counters; keeps former values, for rates and for how long ago something happened."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._recent: deque[tuple[float, int, npt.NDArray[np.uint64]]] = deque()
        self._fills: list[int] = []
        self._last: dict[str, int] = {}
        self._since: dict[str, float] = {}

    def sample_ring_fill(self) -> None:
        """At every redraw: what changes with every callback is averaged until the next `read`."""
        self._fills.append(self._segment.ring.fill)

    def read(self) -> Figures:
        """A few times a second: rates are taken over the last two or so."""
        segment, now = self._segment, now_s()
        playback, capture = segment.playback, segment.capture
        histogram, poses = playback.latency_histogram, capture.poses
        if self._recent and poses < self._recent[-1][1]:
            self._recent.clear()
        self._recent.append((now, poses, histogram))
        while len(self._recent) > 2 and now - self._recent[0][0] > 2.5:
            self._recent.popleft()
        then, poses_then, histogram_then = self._recent[0]
        lately = histogram - histogram_then
        rate = segment.device_rate or 1.0
        supervisor_status = segment.supervisor_status.read()
        underruns = playback.underruns
        look_ahead_s, age_ms = segment.controls.read().look_ahead_s, percentile_ms(lately, 0.5)
        pose_fps = (poses - poses_then) / (now - then) if poses and now > then else None
        fill = sum(self._fills) / len(self._fills) if self._fills else 0.0
        self._fills.clear()
        return Figures(
            seconds=now - supervisor_status.playing_since_s if supervisor_status.playing_since_s else 0.0,
            engine=segment.processes["synthesis"].label,
            device=segment.processes["playback"].label,
            states={role: segment.processes[role].state for role in ROLES},
            waits={role: segment.processes[role].waits_for for role in ROLES},
            camera_fault=capture.fault,
            people=capture.people,
            pose_fps=pose_fps,
            pose_ms=capture.pose_ms if poses else None,
            pose_age_s=now - capture.last_used_s if capture.last_used_s else math.inf,
            latency_p50_ms=age_ms,
            latency_p95_ms=percentile_ms(lately, 0.95),
            lag_ms=estimate_ms(age_ms, look_ahead_s, pose_fps),
            look_ahead_ms=1e3 * look_ahead_s,
            device_ms=1e3 * playback.output_latency_s,
            ring_fill_ms=1e3 * fill / rate,
            ring_target_ms=1e3 * segment.ring.target / rate,
            underruns=underruns,
            late_callbacks=playback.late_callbacks,
            underflows=playback.portaudio_underflows,
            limiter_hits=playback.limiter_hits,
            nonfinite=playback.nonfinite_samples,
            restarts=supervisor_status.restarts,
            trouble_age_s=self._age("trouble", underruns + playback.nonfinite_samples, now),
            restart_age_s=self._age("restart", sum(supervisor_status.restarts.values()), now),
            limiter_age_s=self._age("limiter", playback.limiter_hits, now),
            supervisor_age_s=now - supervisor_status.written_s if supervisor_status.written_s else 0.0,
            ending=segment.stop_requested,
        )

    def _age(self, name: str, count: int, now: float) -> float:
        """Seconds since that count last grew while we looked."""
        if count > self._last.setdefault(name, count):
            self._since[name] = now
        self._last[name] = count
        return now - self._since[name] if name in self._since else math.inf


@dataclass(frozen=True)
class Verdict:
    """How it goes, in a few words. camera: it is the image that is missing."""

    tone: Tone
    words: str
    camera: bool = False


CAMERA_WORDS = {
    "absent": "the camera is not there yet",
    "lost": "the camera is gone",
    "stalled": "no image from the camera",
    "frozen": "the camera is frozen",
    "black": "the camera sees black",
    "covered": "the camera is covered",
    "corrupt": "the camera sends no whole image",
    "slow": "the camera is slow",
}


def judge(figures: Figures, controls: Controls) -> Verdict:
    """The one thing the person on stage should know first."""
    states = figures.states
    gone = {role for role in ROLES[:3] if states.get(role, State.NONE) not in (State.RUNNING, State.FINISHED)}
    if figures.ending:
        return Verdict(Tone.QUIET, "ending")
    if figures.supervisor_age_s > 2 * SILENT_S:
        return Verdict(Tone.WRONG, "livemove no longer answers")
    if "playback" in gone:
        return Verdict(Tone.WRONG, "no audio device: trying again")
    if "synthesis" in gone:
        return Verdict(Tone.WRONG, "the instrument is coming back")
    if "capture" in gone:
        return Verdict(Tone.WRONG, "the camera is coming back", camera=True)
    if figures.waits.get("playback"):
        return Verdict(Tone.WATCH, f"waiting for {figures.waits['playback']}")
    if figures.camera_fault:
        return Verdict(Tone.WATCH, CAMERA_WORDS[figures.camera_fault], camera=True)
    if figures.pose_age_s > SILENT_S:
        return Verdict(Tone.WRONG, "no image from the camera", camera=True)
    if figures.trouble_age_s < 3.0:
        return Verdict(Tone.WRONG, "the sound broke off")
    if figures.waits.get("control"):
        return Verdict(Tone.WATCH, "waiting for MIDI")
    if controls.mute:
        return Verdict(Tone.WATCH, "muted")
    if controls.freeze:
        return Verdict(Tone.WATCH, "frozen")
    if figures.people == 0:
        return Verdict(Tone.WATCH, "nobody in view")
    if figures.limiter_age_s < 1.0:
        return Verdict(Tone.WATCH, "too loud: limiter at work")
    return Verdict(Tone.FINE, "playing")


LATE_MS = 60.0
"""A lag above it is worth doing something about."""


def sooner(figures: Figures) -> str:
    """What would shorten the lag most, in a few words; "": nothing that we know of."""
    fps, pose_ms = figures.pose_fps or 0.0, figures.pose_ms or 0.0
    ways = {
        "look-ahead is off: L": (
            REGAINED * predicted_ms(figures.latency_p50_ms or 0.0, 0.08, fps)
            if fps and figures.look_ahead_ms == 0.0
            else 0.0
        ),
        f"camera {fps:.0f} fps: more light": 500.0 / fps - 20.0 if fps and pose_ms < 700.0 / fps else 0.0,
        f"pose {pose_ms:.0f} ms: --pose lite": pose_ms - 25.0,
        f"ring {figures.ring_target_ms:.0f} ms: busy machine": figures.ring_target_ms - 25.0,
        f"device {figures.device_ms:.0f} ms: smaller --block": figures.device_ms - 12.0,
    }
    best = max(ways, key=lambda way: ways[way])
    return best if ways[best] > 2.0 else ""


class OutputAnalyzer:
    """The audio played since the last call, from the output tap: levels, and columns of waveform and spectrogram."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._rate = 0.0

    def _begin(self, rate: float) -> None:
        self._rate = rate
        self._at = self._segment.tap.written
        self._step = max(round(rate / COLUMNS_PER_S), 1)
        self._hann = np.hanning(WINDOW).astype(np.float32)
        self._hann /= self._hann.sum() / 2
        edges_hz = LOW_HZ * (HIGH_HZ / LOW_HZ) ** (np.arange(ROWS + 1) / ROWS)
        # Bin k reaches from k - 0.5 to k + 0.5; `total` in _rows is the power below each of these borders.
        edges = edges_hz * WINDOW / rate + 0.5
        self._weight = 1.0 / np.diff(edges)
        edges = np.minimum(edges, WINDOW / 2)  # rows above half the rate stay dark
        self._border = edges.astype(np.intp)
        self._beyond = edges - self._border
        self._tilt_db = np.linspace(-6.0, 18.0, ROWS)

    def read(self) -> AudioColumns:
        """Everything played since the last call that fits whole columns."""
        rate = self._segment.device_rate
        if rate == 0.0:
            return AudioColumns()
        if rate != self._rate:
            self._begin(rate)
        step = self._step
        new = self._segment.tap.written - self._at
        if new > 16 * step:  # we were held up: what is older is not worth catching up with
            self._at += (new - 16 * step) // step * step
            new = self._segment.tap.written - self._at
        count = new // step
        if count <= 0:
            return AudioColumns()
        # With what was played before, for the spectrum's window: read again, so that it is whole after a hold-up too.
        stretch = np.zeros(WINDOW + count * step, np.float32)
        first = self._at - WINDOW
        if not self._segment.tap.read(max(first, 0), stretch[max(-first, 0) :]):
            stretch[:] = 0.0
        self._at += count * step
        samples = stretch[WINDOW:]
        columns = samples.reshape(count, step)
        # A window is five columns long: one spectrum serves two columns.
        starts = np.arange(count, 0, -2)[::-1] * step
        pieces = np.stack([stretch[start : start + WINDOW] for start in starts]) * self._hann
        return AudioColumns(
            low=columns.min(axis=1),
            high=columns.max(axis=1),
            spectrum=np.repeat(self._rows(pieces), 2, axis=0)[-count:],
            peak=float(np.abs(samples).max()),
            rms=float(np.sqrt(np.mean(samples * samples))),
        )

    def _rows(self, pieces: Float32) -> npt.NDArray[np.uint8]:
        """uint8 [n, ROWS], low to high: mean power of each row's band, FLOOR_DB..CEILING_DB, 3 dB an octave lifted."""
        spectrum = np.fft.rfft(pieces)
        power = spectrum.real**2 + spectrum.imag**2
        total = np.zeros((len(power), power.shape[1] + 1), np.float64)
        np.cumsum(power, axis=1, out=total[:, 1:])
        below = total[:, self._border] * (1 - self._beyond) + total[:, self._border + 1] * self._beyond
        between = np.maximum(below[:, 1:] - below[:, :-1], 0.0) * self._weight  # differences of sums: never quite zero
        level_db = 10 * np.log10(between + 1e-12) + self._tilt_db
        return np.clip((level_db - FLOOR_DB) * (255 / (CEILING_DB - FLOOR_DB)), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class AudioColumns:
    """n columns of sound: low, high float32 [n], -1..1; spectrum uint8 [n, ROWS]; peak, rms of all of them."""

    low: Float32 = field(default_factory=lambda: np.zeros(0, np.float32))
    high: Float32 = field(default_factory=lambda: np.zeros(0, np.float32))
    spectrum: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, ROWS), np.uint8))
    peak: float = 0.0
    rms: float = 0.0


class TraceReader:
    """Channels and features as columns on the time axis of everything that scrolls."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._column = math.floor(now_s() * COLUMNS_PER_S)
        self._last: npt.NDArray[Any] | None = None

    def read(self) -> npt.NDArray[np.float64]:
        """float64 [n, C + F]: straight lines from the last values to the newest ones; channels first, then features."""
        column = math.floor(now_s() * COLUMNS_PER_S)
        count = min(column - self._column, COLUMNS_PER_S)
        self._column = column
        synthesis = self._segment.synthesis
        values = np.concatenate([synthesis.channels, synthesis.features])
        if self._last is None or len(self._last) != len(values):
            self._last = values
        way = np.arange(1, count + 1)[:, None] / max(count, 1)
        columns = self._last + way * (values - self._last)
        if count:
            self._last = values
        return columns


class Notices:
    """Lines for the person, each shown for a while."""

    SHOWN_S = 8.0

    def __init__(self) -> None:
        self._seen: int | None = None
        self._lines: deque[tuple[float, str, Tone]] = deque(maxlen=3)

    def say(self, line: str, tone: Tone = Tone.WATCH) -> None:
        self._lines.append((now_s(), line, tone))

    def read(self, supervisor_status: SupervisorStatus) -> tuple[list[str], Tone]:
        """What should stand there now, oldest first, and how much it matters. What was said before we came is old."""
        now = now_s()
        if self._seen is not None and supervisor_status.notices > self._seen:
            self.say(supervisor_status.notice)
        self._seen = supervisor_status.notices
        while self._lines and now - self._lines[0][0] > self.SHOWN_S:
            self._lines.popleft()
        return [line for _, line, _ in self._lines], max((tone for _, _, tone in self._lines), default=Tone.QUIET)


def written_note(midi: float) -> str:
    """A MIDI number as a musician says it, with cents: 69.1 -> "A4 +10"."""
    name, cents = note_name(midi)
    return name + (f" {signed(cents, '+d')}" if cents else "")


def signed(value: float, form: str) -> str:
    """With a true minus, as wide as the plus."""
    return format(value, form).replace("-", "−")


def decibels(level: float, floor: float = -60.0) -> float:
    """Of a linear level, no lower than floor."""
    return max(20 * math.log10(level), floor) if level > 0 else floor


def clock(seconds: float) -> str:
    minutes, rest = divmod(max(int(seconds), 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def written_db(level_db: float) -> str:
    """With a true minus and one decimal; nothing below -60."""
    return "−∞" if level_db <= -60.0 else signed(level_db, "+.1f").replace("+0.0", "0.0").replace("−0.0", "0.0")


def spoken(name: str) -> str:
    return name.replace("_", " ")
