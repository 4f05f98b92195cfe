"""Fits a mapping to a body: somebody goes through the range of motion, and the mapping's ranges move to what was seen.

In: a CalibrationConfig, or, for `fit` alone, a mapping and the features of somebody who moves. Out: Progress meanwhile,
and the mapping's text with its new ranges. Nothing is written before it is over. Must not know cv2. Prints nothing.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tomlkit
from tomlkit.exceptions import ParseError

from livemove.body.features import FEATURES, TABLE, FeatureStream
from livemove.body.mapping import Mapping, load_mapping
from livemove.bundle import load_bundle
from livemove.capture.cameras import check_camera
from livemove.capture.capture_config import CaptureConfig
from livemove.capture.capture_process import Uncounted, follow
from livemove.contracts import CalibrationError, Float32, Float64, MappingError, OutputError, PoseFrame
from livemove.control.user_files import write_whole
from livemove.ipc.segment import now_s
from livemove.ipc.signals import stop_signals
from livemove.monitor.monitor_config import CameraWindowConfig
from livemove.session.camera_window import ShownCamera

ENDS = (3.0, 97.0)
"""Percentiles taken for the ends of a range: a landmark that jumps for half a second moves neither."""
MARGIN = 0.05
"""Share of the range by which both ends come inwards: the last centimetres need not be reached."""
MOVED = 0.15
"""Share of a feature's whole range that a body must have used for its range to be fitted."""
LEAST_FRAMES = 30
"""So often an input must have been measured: a second of a webcam."""
STANDS = 0.2
"""Somebody told to stand still does if an input stays within this share of its range ..."""
NEAR_END = 0.25
"""... and if that is within such a share of one end, all of it plays this end: hanging arms are silent, not nearly."""

SETTLED_S = 1.0
"""Somebody must have been in view for so long before the first step."""
WAIT_S = 30.0
"""So long a camera is looked through for somebody."""
PROGRESS_S = 0.1
END_S = 2.0
"""The camera's thread has so long to end."""


@dataclass(frozen=True)
class Step:
    """One thing to do. words: short enough for big letters; how: the same as a sentence; seconds: how long."""

    words: str
    how: str
    seconds: float


STEPS = (
    Step("STAND STILL", "Stand still, arms hanging.", 3.0),
    Step("ARMS UP", "Both arms up, as high as is comfortable.", 3.0),
    Step("ARMS DOWN", "Arms down again, all the way.", 3.0),
    Step("ARMS WIDE", "Arms wide to the sides, then the hands together in front of you.", 3.5),
    Step("CROUCH", "Crouch as low as you will on stage.", 3.0),
    Step("MOVE FREELY", "Now move as you will on stage: the slowest and the quickest.", 4.5),
)
STEPS_S = sum(step.seconds for step in STEPS)


@dataclass(frozen=True)
class CalibrationConfig:
    """What a run of `livemove calibrate` watches, and for which mapping.

    mapping     the mapping to fit; None: the model's own
    monitor     whether a window shows what the camera sees
    duration_s  how long the steps take in all; of a video or take, how much is watched (None: all of it)
    """

    model: Path
    mapping: Path | None = None
    camera: str = "0"
    mirror: bool = False
    mirrored: bool = False
    pose: str = "full"
    pose_model: Path | None = None
    pose_runtime: str = "auto"
    duration_s: float | None = None
    monitor: bool = False


@dataclass(frozen=True)
class Progress:
    """One look, a few times a second.

    phase   "starting"; "waiting" for somebody to step into the frame; "moving" through the steps; "watching" what
            cannot be told to: a video, a take, the demo
    step    the one to do now, next_step the one after it; left_s: how long it lasts
    done_s, total_s   of all of it; total_s None: a video, to its end
    seen    somebody is in view
    notice  a line for the person, given once
    """

    phase: str
    step: Step | None = None
    next_step: Step | None = None
    left_s: float = 0.0
    done_s: float = 0.0
    total_s: float | None = None
    seen: bool = False
    notice: str | None = None

    @property
    def words(self) -> str:
        """For the camera's window: what to do now, and below it how, and for how long."""
        nobody = "" if self.seen else "\nnobody in view"
        if self.phase == "moving" and self.step is not None:
            how = "nobody in view" if nobody else f"{self.step.how}  {math.ceil(self.left_s)} s"
            return f"{self.step.words}\n{how}"
        if self.phase == "waiting":
            return "STAY THERE" if self.seen else "STEP INTO THE FRAME\nhead to feet"
        return f"{self.done_s:.0f} s{nobody}" if self.phase == "watching" else "starting …"


@dataclass(frozen=True)
class Movement:
    """The features of somebody who moved.

    features  float32 [T, F], one row a frame in which somebody was looked for; NaN where a feature was not measured
    still     bool [T]: stood as told to, before the first movement
    """

    features: Float32
    still: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Fitted:
    """What became of one channel's range. kept: why it is what it was; "" if it was fitted."""

    channel: str
    input: str
    before: tuple[float, float]
    after: tuple[float, float]
    kept: str = ""


@dataclass(frozen=True)
class Calibration:
    """What came of it: the mapping's text with its new ranges, not written anywhere yet."""

    text: str
    channels: tuple[Fitted, ...]
    frames: int
    seen: int


def calibrate(
    config: CalibrationConfig,
    on_progress: Callable[[Progress], None],
    now: Callable[[], float] = now_s,
    sleep: Callable[[float], object] = time.sleep,
) -> Calibration:
    """Watch somebody move and fit the mapping; blocks. Call from the main thread.

    now, sleep: the clock, and how it passes. Raises LivemoveErrors, and KeyboardInterrupt on SIGINT, SIGTERM or SIGHUP.
    """
    bundle = load_bundle(config.model)
    path = config.mapping or bundle.mapping_path
    if path is None:
        raise CalibrationError(
            f"model {bundle.path.name} takes the body's features as they are and has no mapping to fit; give one with "
            "--mapping FILE"
        )
    mapping = load_mapping(path, bundle.spec, FEATURES)
    if not any(route.input is not None and _is_bodily(route.input) for route in mapping.routes):
        raise CalibrationError(f"{path}: no channel is played by the body: there is nothing to fit")
    movement = watch(config, on_progress, now, sleep)
    seen = int((movement.features[:, FEATURES.index("presence")] > 0.5).sum())
    if seen < LEAST_FRAMES:
        raise CalibrationError(_nobody(config.camera, f"in {seen} of {len(movement.features)} frames only"))
    channels = fit(mapping, movement)
    if all(each.kept for each in channels):
        why = "; ".join(f"{each.input}: {each.kept}" for each in channels)
        raise CalibrationError(f"no range could be fitted ({why}): nothing is changed; try again with larger movements")
    text = with_ranges(path, {each.channel: each.after for each in channels if not each.kept})
    return Calibration(text, channels, len(movement.features), seen)


def _nobody(camera: str, how: str) -> str:
    return (
        f"nobody was seen by camera {camera} ({how}): stand where it sees you from head to feet, with light on you; "
        f"`livemove doctor --camera {camera}` says what is wrong"
    )


# --- the fit: pure functions on features --------------------------------------------------------------------


def fit(mapping: Mapping, movement: Movement) -> tuple[Fitted, ...]:
    """The range of every channel, in their order, as that movement has it.

    The ranges of one input move together, so that channels that share it (one fading in where another fades out) stay
    where they were to each other; what was turned round stays so.
    """
    spans: dict[int, tuple[float, float] | str] = {}
    found: list[Fitted] = []
    for channel, route in zip(mapping.channels, mapping.routes, strict=True):
        if route.input is None:
            text = route.expression.text if route.expression else ""
            why = "an expression: its range stays as you wrote it"
            found.append(Fitted(channel.name, text, route.from_range, route.from_range, why))
            continue
        if not _is_bodily(route.input):
            external = route.input - len(FEATURES)
            name = mapping.external[external] if external >= 0 else FEATURES[route.input]
            found.append(Fitted(channel.name, name, route.from_range, route.from_range, "not a movement"))
            continue
        if route.input not in spans:
            feature = TABLE[route.input]
            spans[route.input] = body_range(
                movement.features[:, route.input], movement.still, feature.maximum - feature.minimum
            )
        span = spans[route.input]
        name = FEATURES[route.input]
        if isinstance(span, str):
            found.append(Fitted(channel.name, name, route.from_range, route.from_range, span))
            continue
        ends = [end for other in mapping.routes if other.input == route.input for end in other.from_range]
        low, high = min(ends), max(ends)
        first, last = (span[0] + (end - low) / (high - low) * (span[1] - span[0]) for end in route.from_range)
        found.append(Fitted(channel.name, name, route.from_range, (round(first, 3), round(last, 3))))
    return tuple(found)


def _is_bodily(place: int) -> bool:
    """Whether that input is a movement: not MIDI, not OSC, not whether somebody is there at all."""
    return place < len(FEATURES) and FEATURES[place] != "presence"


def body_range(values: Float32 | Float64, still: npt.NDArray[np.bool_], whole: float) -> tuple[float, float] | str:
    """(low, high) that an input of that body should play, or, if there is none to be had, why.

    values float [T], NaN where not measured; still bool [T]; whole: what the input could span.
    """
    measured = np.isfinite(values)
    if measured.sum() < LEAST_FRAMES:
        return "not seen long enough"
    lowest, highest = np.percentile(values[measured], ENDS)
    span = float(highest - lowest)
    if span < MOVED * whole:
        return "hardly moved"
    low, high = float(lowest) + MARGIN * span, float(highest) - MARGIN * span
    resting = values[measured & still]
    if len(resting) >= LEAST_FRAMES:
        rest_low, rest_high = (float(end) for end in np.percentile(resting, ENDS))
        if rest_high - rest_low <= STANDS * span:
            if rest_high <= lowest + NEAR_END * span:
                low = max(low, rest_high + 0.02 * span)
            elif rest_low >= highest - NEAR_END * span:
                high = min(high, rest_low - 0.02 * span)
    return low, high


def with_ranges(path: Path, ranges: dict[str, tuple[float, float]]) -> str:
    """The text of a mapping with these channels' ranges in place of its own; all else, comments too, as it was.

    Raises MappingError.
    """
    try:
        document = tomlkit.parse(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, ParseError) as error:
        raise MappingError(f"{path}: cannot read the mapping: {error}") from error
    for channel, (first, last) in ranges.items():
        document["channels"][channel]["from"] = [first, last]
    return tomlkit.dumps(document)


# --- the watching -------------------------------------------------------------------------------------------


def watch(
    config: CalibrationConfig,
    on_progress: Callable[[Progress], None],
    now: Callable[[], float] = now_s,
    sleep: Callable[[float], object] = time.sleep,
) -> Movement:
    """Lead somebody in front of a camera through the steps, or look at a video, take or the demo as it is.

    Raises as `calibrate` does.
    """
    capture = CaptureConfig(
        camera=config.camera, mirror=config.mirror, mirrored=config.mirrored,
        pose=config.pose, pose_model=config.pose_model, pose_runtime=config.pose_runtime,
    )  # fmt: skip
    check_camera(capture)
    shown = CameraWindowConfig(config.camera, mirrored=not config.mirror) if config.monitor else None
    with stop_signals() as interrupted, ShownCamera(shown) as window:
        guided = capture.kind in ("index", "url")
        watching = _Watching(config.camera, guided, _seconds(config, capture), on_progress, now, window)

        def over() -> bool:
            return interrupted.is_set() or watching.over()

        on_progress(Progress("starting"))
        feed = follow(capture, watching.see, over, Uncounted(), now, sleep, show=window.image)
        if feed is not None:
            feed.close(END_S)
        if interrupted.is_set():
            raise KeyboardInterrupt
    return watching.movement()


def _seconds(config: CalibrationConfig, capture: CaptureConfig) -> float | None:
    """How long to watch; None: to the end of a video or take."""
    if config.duration_s is None and capture.kind in ("file", "take"):
        return None
    return config.duration_s or STEPS_S


class _Watching:
    """The features so far, and which step it is."""

    def __init__(
        self,
        camera: str,
        guided: bool,
        total_s: float | None,
        on_progress: Callable[[Progress], None],
        now: Callable[[], float],
        window: ShownCamera,
    ) -> None:
        self.camera = camera
        self.guided = guided
        self.total_s = total_s
        self.on_progress = on_progress
        self.now = now
        self.window = window
        self._stream = FeatureStream()
        self._rows: list[Float32] = []
        self._still: list[bool] = []
        self._first_s: float | None = None
        self._in_view_s: float | None = None
        self._began_s: float | None = None
        self._told_s = -math.inf

    def see(self, frame: PoseFrame) -> None:
        """A new pose, or that there is none."""
        values = self._stream.update(frame)
        self.window.pose(frame)
        self._first_s = frame.capture_s if self._first_s is None else self._first_s
        if frame.people == 0:
            self._in_view_s = None
        elif self._in_view_s is None:
            self._in_view_s = frame.capture_s
        if self._began_s is None:
            settled = self._in_view_s is not None and frame.capture_s - self._in_view_s >= SETTLED_S
            if settled or not self.guided:
                self._began_s = self.now()
            return
        self._rows.append(np.where(self._stream.seen(), values, np.float32(np.nan)).astype(np.float32))
        step, left_s = self._step(self.now() - self._began_s)
        # In its first part, somebody who was told to stand still comes to a rest.
        self._still.append(self.guided and step == 0 and left_s < 0.67 * self._length_s(0))

    def over(self) -> bool:
        """Whether that was all; tells how far it is. Raises CalibrationError if nobody comes."""
        now = self.now()
        if self._began_s is None:
            if self._first_s is not None and now - self._first_s > WAIT_S:
                raise CalibrationError(_nobody(self.camera, f"for {WAIT_S:.0f} s"))
        elif self.total_s is not None and now - self._began_s >= self.total_s:
            return True
        if now - self._told_s >= PROGRESS_S:
            self._told_s = now
            self._tell(now)
        return False

    def _tell(self, now: float) -> None:
        progress = replace(self._progress(now), notice=self.window.trouble())
        self.window.say(progress.words)
        self.on_progress(progress)

    def _progress(self, now: float) -> Progress:
        seen = self._in_view_s is not None
        if self._began_s is None:
            return Progress("starting" if self._first_s is None else "waiting", seen=seen)
        done_s = now - self._began_s
        if not self.guided:
            return Progress("watching", done_s=done_s, total_s=self.total_s, seen=seen)
        number, left_s = self._step(done_s)
        next_step = STEPS[number + 1] if number + 1 < len(STEPS) else None
        return Progress("moving", STEPS[number], next_step, left_s, done_s, self.total_s, seen)

    def _step(self, done_s: float) -> tuple[int, float]:
        """Which step it is after so long, and how long that still lasts."""
        for number in range(len(STEPS)):
            done_s -= self._length_s(number)
            if done_s < 0.0:
                return number, -done_s
        return len(STEPS) - 1, 0.0

    def _length_s(self, number: int) -> float:
        return STEPS[number].seconds * (self.total_s or STEPS_S) / STEPS_S

    def movement(self) -> Movement:
        rows = np.stack(self._rows) if self._rows else np.zeros((0, len(FEATURES)), np.float32)
        return Movement(rows, np.array(self._still, np.bool_))


# --- where it is kept ---------------------------------------------------------------------------------------


def check_place(path: Path) -> None:
    """Raise OutputError if a mapping cannot be written there: before somebody dances for it, not after."""
    place = path if path.exists() else next(each for each in path.absolute().parents if each.exists())
    if path.is_dir() or not os.access(place, os.W_OK):
        raise OutputError(f"{path}: cannot be written: permission denied or a folder; choose another --output")


def keep_mapping(path: Path, text: str) -> None:
    """Write it whole or not at all; what was there stays beside it as NAME.bak. Raises OutputError."""
    try:
        write_whole(path, text)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def report(done: Calibration, mapping: Path, play: Sequence[str]) -> dict[str, object]:
    """What `livemove calibrate --json` prints."""
    return {
        "mapping": str(mapping),
        "play": list(play),
        "pictures": done.frames,
        "seen": done.seen,
        "channels": [
            {
                "channel": each.channel, "source": each.input, "before": list(each.before), "after": list(each.after),
                "fitted": not each.kept, "kept": each.kept or None,
            }
            for each in done.channels
        ],
    }  # fmt: skip
