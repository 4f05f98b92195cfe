"""A posture taken from somebody who shows it: held a few times before a camera, or at given moments of a video or take.

In: a TeachConfig, and the postures that are there already. Out: Progress meanwhile (calibrate's), and a Posture, or one
line that says why there is none. Nothing is written here. Must not know cv2. Prints nothing.
"""

# numpy's stubs need a newer Python than 3.10, which pyright checks for: its members come out half unknown.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import numpy as np

from livemove.body.posture_files import Taught, as_text, taught_in
from livemove.body.postures import NAME, TOO_LIKE, Example, Posture, Seen, apart, distances, limits, mean_of, seen_in
from livemove.capture.cameras import check_camera
from livemove.capture.capture_config import CaptureConfig
from livemove.capture.capture_process import Uncounted, follow
from livemove.capture.landmarker import Landmarker
from livemove.contracts import OutputError, PoseFrame, PostureError
from livemove.control.user_files import write_whole
from livemove.ipc.segment import now_s
from livemove.ipc.signals import stop_signals
from livemove.media.video_file import facing, some_frames
from livemove.session.calibrate import END_S, PROGRESS_S, SETTLED_S, WAIT_S, Progress, Step
from livemove.takes.reading import load_take

HOLDS = 3
READY_S, HOLD_S = 3.5, 1.5
"""Time to take a posture, and how long it is then held. In between one lets go of it: what differs from one time to the
next is what it may differ by on stage."""

SETTLE_S = 0.3
"""Of every hold: who is told to hold still comes to a rest."""

AROUND_S = 0.4
"""Of a video or take, frames so long before and after a moment show the posture."""

LEAD_IN_S = 1.0
"""So much of a video before them the landmarker sees, to find the body."""

MOST_MOMENTS = 8

SEEN_SHARE, LEAST_SEEN = 0.6, 4
"""Of the frames of a hold, so many must show a body."""

MOVED = 0.15
"""A body whose frames are further from their mean (torso lengths; nine of ten frames) does not hold still."""

DIFFERENT = 0.3
"""A hold further from all others is another posture."""


@dataclass(frozen=True)
class TeachConfig:
    """What a run of `livemove teach NAME` watches. at_s: of a video or take, the moments at which it is held, in
    seconds; before a camera one is led through HOLDS of them instead."""

    name: str
    camera: str = "0"
    at_s: tuple[float, ...] = ()
    mirror: bool = False
    mirrored: bool = False
    pose: str = "full"
    pose_model: Path | None = None
    pose_runtime: str = "auto"

    @property
    def capture(self) -> CaptureConfig:
        return CaptureConfig(
            camera=self.camera, mirror=self.mirror, mirrored=self.mirrored,
            pose=self.pose, pose_model=self.pose_model, pose_runtime=self.pose_runtime,
        )  # fmt: skip


@dataclass
class Hold:
    """One time that the posture was held. looked: frames; seen: those with a body. when: for a message."""

    when: str
    looked: int
    seen: list[Seen]


def teach(
    config: TeachConfig,
    taught: Taught,
    on_progress: Callable[[Progress], None],
    now: Callable[[], float] = now_s,
    sleep: Callable[[float], object] = time.sleep,
) -> Posture:
    """Watch the posture being held; blocks. Call from the main thread.

    taught: those that are there, from which it must differ; one of its own name does not count. now, sleep: the clock,
    and how it passes. Raises LivemoveErrors, and KeyboardInterrupt on SIGINT, SIGTERM or SIGHUP.
    """
    check_name(config.name)
    capture = config.capture
    if capture.kind in ("file", "take"):
        holds = _moments(config, on_progress)
    else:
        holds = _held_live(config, on_progress, now, sleep)
    posture = posture_of(config.name, holds, config.camera)
    for other in taught.postures:
        if other.name != config.name and (between := apart(posture.examples, other.examples)) < TOO_LIKE:
            raise PostureError(
                f"{config.name} is too like {other.name} ({between:.2f} torso lengths apart, {TOO_LIKE} at least): the "
                f"two could not be told apart; show another one, or `livemove teach --remove {other.name}`"
            )
    return posture


def check_name(name: str) -> None:
    """Raises PostureError for what expressions cannot name."""
    if NAME.fullmatch(name) is None:
        raise PostureError(
            f"{name!r} is no name for a posture: a word of up to 40 letters, digits and _, as in arms_up"
        )


# --- from what was seen to a posture ------------------------------------------------------------------------


def posture_of(name: str, holds: Sequence[Hold], camera: str) -> Posture:
    """One example for each hold, and how far they are apart. Raises PostureError, naming the hold."""
    for hold in holds:
        if len(hold.seen) < max(SEEN_SHARE * hold.looked, LEAST_SEEN):
            raise PostureError(
                f"nobody was seen by camera {camera} {hold.when} (in {len(hold.seen)} of {hold.looked} frames): {name} "
                f"is not taught; stand where it sees you whole, `livemove doctor --camera {camera}` says what is wrong"
            )
    means = [mean_of([seen.body for seen in hold.seen]) for hold in holds]
    for hold, mean in zip(holds, means, strict=True):
        if (trembling := _ninth_decile([_from([mean], seen) for seen in hold.seen])) > MOVED:
            raise PostureError(
                f"you moved {hold.when} (by {trembling:.2f} torso lengths, {MOVED} at most): {name} is not taught; "
                "hold still until you are told to let go"
            )
    spread = 0.0
    for place, hold in enumerate(holds):
        others = [mean for i, mean in enumerate(means) if i != place] or means
        off = _ninth_decile([_from(others, seen) for seen in hold.seen])
        if off > DIFFERENT:
            raise PostureError(
                f"what you showed {hold.when} is another posture than the other times ({off:.2f} torso lengths off, "
                f"{DIFFERENT} at most): {name} is not taught; show the same one each time"
            )
        spread = max(spread, off)
    return Posture(name, spread, tuple(means))


def _from(examples: Sequence[Example], seen: Seen) -> float:
    return float(distances(examples, seen).min())


def _ninth_decile(values: Sequence[float]) -> float:
    """Nine of ten are no larger."""
    return float(np.percentile(values, 90.0))


# --- the watching -------------------------------------------------------------------------------------------


def _moments(config: TeachConfig, on_progress: Callable[[Progress], None]) -> list[Hold]:
    """The frames of a video or take around its moments."""
    if not 0 < len(config.at_s) <= MOST_MOMENTS:
        raise PostureError(
            f"{config.camera}: when is {config.name} held? --at 3,8.5,14 says so, in seconds: {MOST_MOMENTS} at most"
        )
    holds = [Hold(f"at {at:g} s", 0, []) for at in config.at_s]
    end_s = max(config.at_s) + AROUND_S
    with stop_signals() as interrupted:
        on_progress(Progress("starting"))
        for time_s, frame in _frames(config, interrupted):
            for hold, at in zip(holds, config.at_s, strict=True):
                if abs(time_s - at) <= AROUND_S:
                    _look(hold, frame)
            on_progress(Progress("watching", done_s=time_s, total_s=end_s, seen=frame.people > 0))
            if time_s > end_s:
                break
        if interrupted.is_set():
            raise KeyboardInterrupt
    for hold in holds:
        if not hold.looked:
            raise PostureError(f"{config.camera}: there is no frame {hold.when}: it is not so long")
    return holds


def _frames(config: TeachConfig, interrupted: Event) -> Iterator[tuple[float, PoseFrame]]:
    """(seconds, pose) of the frames that count, and of some before."""
    if config.capture.kind == "take":
        take = load_take(Path(config.camera))
        yield from ((frame.capture_s - take.info.clock_s, frame) for frame in take.frames())
        return

    def wanted(time_s: float) -> bool:
        return any(at - LEAD_IN_S <= time_s <= at + AROUND_S for at in config.at_s)

    end_s = max(config.at_s) + AROUND_S
    with Landmarker(config.pose, config.pose_model, runtime=config.pose_runtime) as landmarker:
        for time_s, image in some_frames(Path(config.camera), wanted):
            if interrupted.is_set() or time_s > end_s:
                return
            if image is not None:
                yield time_s, landmarker.find(facing(image, config.mirrored), time_s)


def _look(hold: Hold, frame: PoseFrame) -> None:
    hold.looked += 1
    seen = seen_in(frame)
    if seen is not None:
        hold.seen.append(seen)


def steps_of(name: str) -> tuple[Step, ...]:
    """What one is told before a camera."""
    spoken = name.replace("_", " ")
    found: list[Step] = []
    for number in range(1, HOLDS + 1):
        first = "Take the posture" if number == 1 else "Let go, then take it again"
        found.append(Step("GET READY", f"{first}: {spoken}.", READY_S))
        found.append(Step("HOLD STILL", f"Hold it: {number} of {HOLDS}.", HOLD_S))
    return tuple(found)


def _held_live(
    config: TeachConfig,
    on_progress: Callable[[Progress], None],
    now: Callable[[], float],
    sleep: Callable[[float], object],
) -> list[Hold]:
    """Lead somebody in front of a camera through the holds."""
    check_camera(config.capture)
    watching = _Watching(config, on_progress, now)
    with stop_signals() as interrupted:
        on_progress(Progress("starting"))
        capture = config.capture
        feed = follow(capture, watching.see, lambda: interrupted.is_set() or watching.over(), Uncounted(), now, sleep)
        if feed is not None:
            feed.close(END_S)
        if interrupted.is_set():
            raise KeyboardInterrupt
    return watching.holds


class _Watching:
    """The holds so far, and which step it is."""

    def __init__(self, config: TeachConfig, on_progress: Callable[[Progress], None], now: Callable[[], float]) -> None:
        self.holds = [Hold(f"the {place} time", 0, []) for place in ("1st", "2nd", "3rd")[:HOLDS]]
        self._config = config
        self._steps = steps_of(config.name)
        self._total_s = sum(step.seconds for step in self._steps)
        self._on_progress = on_progress
        self._now = now
        self._first_s: float | None = None
        self._in_view_s: float | None = None
        self._began_s: float | None = None
        self._told_s = -math.inf

    def see(self, frame: PoseFrame) -> None:
        """A new pose, or that there is none."""
        self._first_s = frame.capture_s if self._first_s is None else self._first_s
        if frame.people == 0:
            self._in_view_s = None
        elif self._in_view_s is None:
            self._in_view_s = frame.capture_s
        if self._began_s is None:
            if self._in_view_s is not None and frame.capture_s - self._in_view_s >= SETTLED_S:
                self._began_s = self._now()
            return
        number, left_s = self._step(self._now() - self._began_s)
        is_hold = number % 2 == 1  # they come in turn with the time to get ready
        if is_hold and 0.0 < left_s <= self._steps[number].seconds - SETTLE_S:
            _look(self.holds[number // 2], frame)

    def over(self) -> bool:
        """Whether that was all; tells how far it is. Raises PostureError if nobody comes."""
        now = self._now()
        if self._began_s is None:
            if self._first_s is not None and now - self._first_s > WAIT_S:
                raise PostureError(
                    f"nobody was seen by camera {self._config.camera} for {WAIT_S:.0f} s: {self._config.name} is not "
                    f"taught; `livemove doctor --camera {self._config.camera}` says what is wrong"
                )
        elif now - self._began_s >= self._total_s:
            return True
        if now - self._told_s >= PROGRESS_S:
            self._told_s = now
            self._tell(now)
        return False

    def _tell(self, now: float) -> None:
        seen = self._in_view_s is not None
        if self._began_s is None:
            self._on_progress(Progress("starting" if self._first_s is None else "waiting", seen=seen))
            return
        number, left_s = self._step(now - self._began_s)
        following = self._steps[number + 1] if number + 1 < len(self._steps) else None
        done_s = now - self._began_s
        self._on_progress(Progress("moving", self._steps[number], following, left_s, done_s, self._total_s, seen))

    def _step(self, done_s: float) -> tuple[int, float]:
        """Which step it is after so long, and how long that still lasts."""
        for number, step in enumerate(self._steps):
            done_s -= step.seconds
            if done_s < 0.0:
                return number, -done_s
        return len(self._steps) - 1, 0.0


# --- where it is kept ---------------------------------------------------------------------------------------


def posture_file(folder: Path, name: str) -> Path:
    return folder / f"{name}.toml"


def check_free(folder: Path, name: str, replace: bool) -> Path:
    """Where it will be kept. Raises PostureError, OutputError: before somebody holds it, not after."""
    check_name(name)
    path = posture_file(folder, name)
    if path.exists() and not replace:
        raise PostureError(
            f"{name} is taught already ({path}): --replace teaches it anew, and what is there stays as {path.name}.bak"
        )
    place = path if path.exists() else next(each for each in path.absolute().parents if each.exists())
    if path.is_dir() or not os.access(place, os.W_OK):
        raise OutputError(f"{path}: cannot be written: permission denied or a folder")
    return path


def keep_posture(path: Path, posture: Posture) -> None:
    """Write it whole or not at all; what was there stays beside it as NAME.toml.bak. Raises OutputError."""
    try:
        write_whole(path, as_text(posture))
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def remove_posture(folder: Path, name: str) -> Path:
    """Take it away; its file stays as NAME.toml.bak, which is returned. Raises PostureError, OutputError."""
    path = posture_file(folder, name)
    if NAME.fullmatch(name) is None or not path.is_file():
        there = ", ".join(taught_in(folder).names) or "none yet"
        raise PostureError(f"no posture {name!r} in {folder}; there are: {there}")
    kept = path.with_name(path.name + ".bak")
    try:
        os.replace(path, kept)
    except OSError as error:
        raise OutputError(f"{path}: cannot be removed: {error.strerror}") from error
    return kept


def listed(folder: Path) -> list[dict[str, object]]:
    """What `livemove teach --list --json` prints: one entry for each posture, or why its file cannot be used. In torso
    lengths: the spread of its examples, and beyond what distance a body is in none."""
    taught = taught_in(folder)
    found: list[dict[str, object]] = []
    for posture in taught.postures:
        others = {each.name: apart(posture.examples, each.examples) for each in taught.postures if each is not posture}
        nearest = min(others, key=others.__getitem__, default=None)
        found.append(
            {
                "name": posture.name,
                "examples": len(posture.examples),
                "spread": round(posture.spread, 3),
                "none_beyond": round(limits(posture).far, 3),
                "nearest": nearest,
                "nearest_distance": None if nearest is None else round(others[nearest], 3),
                "error": None,
                "file": str(posture_file(folder, posture.name)),
            }
        )
    for name, error in taught.broken.items():
        found.append({"name": name, "error": error, "file": str(posture_file(folder, name))})
    return found
