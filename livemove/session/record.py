"""Records takes for training: plays a sound, records video of who moves to it, and stores both on one clock.

In: a RecordConfig. Out: an mp4 (see take.py), Progress meanwhile, a Report at the end. The camera runs in a thread, the
sound in a process of its own (see playback/backing_track.py). Must not know sounddevice or cv2. Prints nothing.
"""

from __future__ import annotations

import contextlib
import io
import math
import multiprocessing
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np

from livemove.capture.cameras import CameraFrame, Feed, check_camera, open_feed
from livemove.capture.capture_config import CaptureConfig
from livemove.contracts import CameraError, DeviceError, LivemoveError, OutputError
from livemove.ipc.segment import now_s
from livemove.ipc.signals import signals_held, stop_signals
from livemove.media import video_file
from livemove.media.av_writer import TakeFile
from livemove.monitor.monitor_config import CameraWindowConfig
from livemove.playback import backing_track
from livemove.playback.backing_track import Over, Ready, SoundConfig, Stretch
from livemove.printable import printable
from livemove.session.camera_window import ShownCamera

FRAMES_WAITING = 90
"""Of a camera whose frames are not encoded in time; 83 MB of them at 640 x 480."""
LOST_S = 3.0
"""A camera that gives nothing for so long has ended the take; a shorter gap stays in it."""
PROGRESS_S = 0.2
END_S = 5.0
"""The sound's process has so long to end, and the camera's thread."""


@dataclass(frozen=True)
class RecordConfig:
    """What a run of `livemove record` does; one field per command line option.

    folder, name    the take is folder/name.mp4; name None: date and time
    camera          index as text ("0"), http/rtsp URL, or a video file that plays at its own pace
    camera_delay_s  how long a frame takes from the camera to us
    mirrored        the camera shows left and right exchanged: the take has them put back
    monitor         whether a window shows what the camera sees
    sound, mic, device, input_device, count_in_s, duration_s    see playback.backing_track.SoundConfig
    """

    folder: Path
    name: str | None = None
    camera: str = "0"
    camera_delay_s: float = 0.0
    mirrored: bool = False
    sound: Path | None = None
    mic: bool = False
    device: str | None = None
    input_device: str | None = None
    count_in_s: float = 0.0
    duration_s: float | None = None
    monitor: bool = False


@dataclass(frozen=True)
class Progress:
    """One look, a few times a second. phase is "starting", "counting" or "recording".

    seconds of the take, negative while counting in; total_s None: open end; peak and rms of the last fifth of a second;
    gaps as in Report; notice: a line for the person, given once.
    """

    phase: str
    seconds: float = 0.0
    total_s: float | None = None
    fps: float | None = None
    rms: float = 0.0
    peak: float = 0.0
    gaps: int = 0
    notice: str | None = None

    @property
    def words(self) -> str:
        """For the camera's window."""
        if self.phase == "recording":
            return f"● {self.seconds:.0f} s" + ("" if self.total_s is None else f"\nof {self.total_s:.0f} s")
        return f"{math.ceil(-self.seconds)}" if self.phase == "counting" else "starting …"


class Report(TypedDict):
    """What was recorded. asked_s: how long it was to be, None: until it is stopped. gaps: how often the audio device
    ran dry; lost: how often the camera was; missed: frames."""

    file: str
    seconds: float
    asked_s: float | None
    frames: int
    sample_rate: int
    sound: str
    gaps: int
    lost: int
    missed: int


def record(config: RecordConfig, on_progress: Callable[[Progress], None]) -> Report:
    """Record until the sound or the duration ends, a video used as camera ends, or SIGINT/SIGTERM/SIGHUP; blocks.

    Call from the main thread. Raises LivemoveErrors; after one that ended a take the file stays and the message says
    how much is in it. Raises KeyboardInterrupt if it was stopped before there was anything to keep.
    """
    capture = CaptureConfig(camera=config.camera)
    if capture.kind == "demo":
        raise CameraError("the demo dancer has no image to record; give a camera, a URL or a video file")
    check_camera(capture)
    path = take_path(config)
    shown = CameraWindowConfig(config.camera) if config.monitor else None
    with _new_file(path) as file, stop_signals() as interrupted, ShownCamera(shown) as window:
        run = _Run(config, capture, file, interrupted, on_progress, window)
        try:
            run.until_over()
            return run.finish()
        except LivemoveError as error:
            raise type(error)(f"{error}{run.keep()}") from error
        finally:
            run.end()


def take_path(config: RecordConfig) -> Path:
    """Where the take goes. Raises OutputError."""
    name = config.name or time.strftime("%Y-%m-%d_%H%M%S")
    if not re.fullmatch(r"[\w -][\w. -]*", name):
        raise OutputError(f"--name {name}: letters, digits, spaces, `_`, `-` and `.` only, and no leading dot")
    return config.folder / f"{name}.mp4"


@contextlib.contextmanager
def _new_file(path: Path) -> Generator[io.FileIO]:
    """Open for writing, and gone again if nothing was written. Raises OutputError, also if it is there already."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = io.FileIO(path, "x")
    except FileExistsError as error:
        raise OutputError(f"{path} is there already: choose another --name") from error
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}; choose another folder") from error
    try:
        yield file
    finally:
        file.close()
        if not path.stat().st_size:
            path.unlink()


class _Run:
    """The camera's thread, the sound's process, the file, and what is known about them."""

    def __init__(
        self,
        config: RecordConfig,
        capture: CaptureConfig,
        file: io.FileIO,
        interrupted: threading.Event,
        on_progress: Callable[[Progress], None],
        window: ShownCamera,
    ) -> None:
        self.config = config
        self.window = window
        self.path = Path(str(file.name))
        self.interrupted = interrupted
        self.on_progress = on_progress
        self.sound = _Sound(
            SoundConfig(
                sound=config.sound,
                mic=config.mic,
                device=config.device,
                input_device=config.input_device,
                count_in_s=config.count_in_s,
                duration_s=config.duration_s,
            )
        )
        self.feed: Feed = open_feed(capture, now_s, FRAMES_WAITING)
        self._file = file
        self._take: TakeFile | None = None
        self._ready: Ready | None = None
        self._size: tuple[int, int] | None = None
        self._going_s: float | None = None
        self._begin_s: float | None = None
        self._over: Over | None = None
        self._stopping_s: float | None = None
        self._seen_s: deque[float] = deque()
        self._lost = 0
        self._gaps = 0
        self._levels: deque[tuple[float, float, float]] = deque()  # when in the air, peak, mean square
        self._notices: deque[str] = deque()
        self._told_s = -math.inf

    def until_over(self) -> None:
        """Everything from the first look to the last sound."""
        while self._over is None:
            if self.interrupted.is_set():
                if self._begin_s is None or now_s() < self._begin_s:
                    raise KeyboardInterrupt
                self._stop()
            self._see(self.feed.take(0.02))
            for message in self.sound.messages():
                self._hear(message)
            if self._going_s is None and self._ready and self._size:
                self._go(self._ready, self._size)
            if self._stopping_s is not None and now_s() - self._stopping_s > END_S:
                raise DeviceError("the sound does not end")
            self._tell()

    def _go(self, ready: Ready, size: tuple[int, int]) -> None:
        """Camera and sound are there: start."""
        about = {"title": self.path.stem, "comment": f"livemove record: {printable(_sound_name(self.config))}"}
        self._take = TakeFile(self._file, ready.rate, ready.channels, size, about)
        self._going_s = now_s()
        self.sound.tell("go")

    def _stop(self) -> None:
        if self._stopping_s is None:
            self._stopping_s = now_s()
            self.sound.tell("stop")

    def _see(self, camera_frame: CameraFrame | None) -> None:
        now = now_s()
        if camera_frame is None:
            if self.feed.over and (self._begin_s is None or now < self._begin_s):
                raise CameraError(f"{self.config.camera}: ended before the take began")
            if self.feed.over:
                if self._stopping_s is None:
                    self._notices.append(self.feed.trouble or f"{self.config.camera}: this video has ended")
                self._stop()
            elif self._seen_s and now - self._seen_s[-1] > LOST_S:
                raise CameraError(f"camera {self.config.camera}: gave no new image for {LOST_S:g} s")
            else:
                self.feed.check_silence()
            return
        if self.feed.lost > self._lost:
            self._lost = self.feed.lost
            self._notices.append(f"camera {self.config.camera} was lost for {now - self._seen_s[-1]:.1f} s")
        self._seen_s.append(camera_frame.capture_s)
        while camera_frame.capture_s - self._seen_s[0] > 2.0:
            self._seen_s.popleft()
        self._size = self._size or (camera_frame.image.shape[0], camera_frame.image.shape[1])
        time_s = camera_frame.capture_s - self.config.camera_delay_s
        image = video_file.facing(camera_frame.image, self.config.mirrored)
        if self._take and self._begin_s is not None and time_s >= self._begin_s:
            self._take.add_frame(image, time_s)
        self.window.image(image, camera_frame.capture_s)

    def _hear(self, message: Ready | Stretch | Over) -> None:
        if isinstance(message, Ready):
            self._ready = message
            if message.note and self.config.sound is not None:
                self._notices.append(f"{printable(self.config.sound)}: {message.note}")
        elif isinstance(message, Over):
            self._over = message
        elif self._take:
            if len(message.samples):
                self._gaps += message.gap and self._begin_s is not None
                self._begin_s = message.time_s if self._begin_s is None else self._begin_s
                peak, square = float(np.abs(message.samples).max()), float(np.mean(np.square(message.samples)))
                self._levels.append((message.time_s, peak, square))
            self._take.add_sound(message.first, message.time_s, message.samples, message.gap)

    def _tell(self) -> None:
        now = now_s()
        if now - self._told_s < PROGRESS_S:
            return
        self._told_s = now
        while self._levels and self._levels[0][0] < now - PROGRESS_S:
            self._levels.popleft()
        heard = [(peak, square) for time_s, peak, square in self._levels if time_s <= now]
        phase, seconds = "starting", 0.0
        if self._going_s is not None:
            begin_s = self._begin_s or self._going_s + max(self.config.count_in_s, backing_track.LEAD_S)
            phase, seconds = ("recording" if now >= begin_s else "counting"), now - begin_s
        over_s = self._seen_s[-1] - self._seen_s[0] if self._seen_s else 0.0
        if trouble := self.window.trouble():
            self._notices.append(trouble)
        progress = Progress(
            phase=phase,
            seconds=seconds,
            total_s=self._ready.seconds if self._ready else None,
            fps=(len(self._seen_s) - 1) / over_s if over_s else None,
            rms=math.sqrt(sum(square for _, square in heard) / len(heard)) if heard else 0.0,
            peak=max((peak for peak, _ in heard), default=0.0),
            gaps=self._gaps,
            notice=self._notices.popleft() if self._notices else None,
        )
        self.window.say(progress.words)
        self.on_progress(progress)

    def finish(self) -> Report:
        """Write the rest. Raises OutputError, and CameraError if there is no frame in it."""
        assert self._take is not None
        assert self._ready is not None
        assert self._over is not None
        while self._notices:
            self._told_s = -math.inf
            self._tell()
        self._take.finish(self._over.until_s)
        if not self._take.frames:
            raise CameraError(f"camera {self.config.camera}: gave no image while the sound lasted")
        return Report(
            file=str(self.path),
            seconds=self._take.seconds,
            asked_s=self._ready.seconds,
            frames=self._take.frames,
            sample_rate=self._ready.rate,
            sound=_sound_name(self.config),
            gaps=self._gaps,
            lost=self.feed.lost,
            missed=self.feed.missed,
        )

    def keep(self) -> str:
        """Whatever went wrong, keep what there is; a phrase about it, empty if there is nothing."""
        if self._take is not None:
            with contextlib.suppress(OutputError):  # the disk is full: that is being told
                self._take.finish(self._seen_s[-1])
        try:
            return f"; {video_file.probe(self.path).seconds:.1f} s are kept in {self.path}"
        except CameraError:
            return ""

    def end(self) -> None:
        """Let camera and sound go."""
        self.sound.end()
        self.feed.close(END_S)


class _Sound:
    """The sound's process, from this side."""

    def __init__(self, config: SoundConfig) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=backing_track.run, args=(theirs, config), name="livemove-sound", daemon=True
        )
        with signals_held():
            self._process.start()
        theirs.close()

    def messages(self) -> Generator[Ready | Stretch | Over]:
        """What has come. Raises what the process ended with."""
        try:
            while self._pipe.poll():
                message = self._pipe.recv()
                if isinstance(message, LivemoveError):
                    raise message
                yield message
        except (EOFError, ConnectionError) as error:
            raise DeviceError("the sound process died") from error

    def tell(self, word: str) -> None:
        with contextlib.suppress(OSError):  # it died: `messages` says so
            self._pipe.send(word)

    def end(self) -> None:
        """Wait for the fade; kill what does not end."""
        self.tell("stop")
        self._process.join(END_S)
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _sound_name(config: RecordConfig) -> str:
    """What the sound of a take is."""
    if config.sound is None:
        return "microphone"
    return f"microphone, to {config.sound.name}" if config.mic else config.sound.name
