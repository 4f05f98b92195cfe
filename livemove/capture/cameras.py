"""Cameras, URLs and video files, each read by a thread of its own that keeps the newest frames only.

In: a CaptureConfig and a clock. Out: frames, uint8 RGB images with the time they reached us. Knows no pose and no
process.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from livemove.capture import webcam
from livemove.capture.capture_config import CaptureConfig
from livemove.capture.webcam import Promise
from livemove.contracts import CameraError
from livemove.media import video_file
from livemove.printable import printable

Image = npt.NDArray[np.uint8]
Clock = Callable[[], float]

URL_S = 1.6
"""A URL that gives nothing for so long has stalled."""
CAMERA_S = 10.0
"""A camera may take this long for its first frame: some ask for permission first."""
FROZEN_S = 1.0
"""A camera that gives the same image to the bit for so long is frozen: a real one has noise."""
RETRY_S = (0.25, 0.5)
"""Pauses between attempts to open it again, the last one from then on: back, it must be seen within two seconds."""


@dataclass(frozen=True)
class CameraFrame:
    """One frame: image uint8 RGB [height, width, 3], and when it was captured on the clock of the feed, in seconds:
    as the driver of a webcam says, where it does; else when it reached us."""

    image: Image
    capture_s: float


class Feed:
    """Room for the newest `keep` frames between the thread that gets them and the thread that looks at them.

    Counted by the camera: frames seen, how often it was lost and came back, frames thrown away as frozen; and
    frames that gave way to newer ones before anybody took them; how often it could not be opened. undecoded: it was
    opened, and gave no image. promise: what a webcam says it gives.
    """

    def __init__(self, config: CaptureConfig, now: Clock, keep: int = 1) -> None:
        self.config = config
        self.now = now
        self.seen = 0
        self.lost = 0
        self.returned = 0
        self.frozen = 0
        self.missed = 0
        self.promise = Promise()
        self.trouble = ""
        """Why a video gave less than it promises; in words, once it has ended."""
        self.refused = 0
        self.still = False  # frozen now
        self.undecoded = False
        self.stopping = threading.Event()
        self.thread: threading.Thread | None = None
        self._changed = threading.Condition()
        self._frames: deque[CameraFrame] = deque(maxlen=keep)
        self._ended = False
        self._error: CameraError | None = None
        self._opening_s: float | None = None

    # --- the camera's thread

    def opening(self) -> None:
        """From here on the camera itself is waited for, not the loading of libraries."""
        self._opening_s = self.now()

    def put(self, image: Image, capture_s: float) -> None:
        with self._changed:
            self.seen += 1
            self.missed += len(self._frames) == self._frames.maxlen
            self._frames.append(CameraFrame(image, capture_s))
            self._changed.notify()

    def end(self, error: CameraError | None = None) -> None:
        """No more frames; error: there never were any."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify()

    # --- the landmarker's thread

    def take(self, timeout_s: float) -> CameraFrame | None:
        """The oldest frame kept and not yet taken, waited for up to timeout_s. Raises what `end` was given."""
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self._ended, timeout_s)
            if self._error is not None:
                raise self._error
            return self._frames.popleft() if self._frames else None

    def check_silence(self) -> None:
        """Raise CameraError if the camera has had its time and has given no frame yet."""
        limit_s = URL_S + 0.2 if self.config.kind == "url" else CAMERA_S
        if self.config.patient:
            return
        if self.seen == 0 and self._opening_s is not None and self.now() - self._opening_s > limit_s:
            raise silent(self.config)

    @property
    def over(self) -> bool:
        """The camera has ended and its last frame was taken."""
        with self._changed:
            return self._ended and not self._frames

    def close(self, wait_s: float = 0.0) -> None:
        """Let the thread go. It is not waited for longer than wait_s: it may sit in a driver that never returns.

        A process that ends by itself should wait: a thread that comes back from cv2 into an interpreter that is being
        taken down aborts it.
        """
        self.stopping.set()
        if self.thread is not None:
            self.thread.join(wait_s)


def open_feed(config: CaptureConfig, now: Clock, keep: int = 1) -> Feed:
    """Start the thread of a camera, URL or video. A camera that gives no frame ends its feed with a CameraError."""
    feed = Feed(config, now, keep)
    work = _play_video if config.kind == "file" else _drain_camera
    feed.thread = threading.Thread(target=work, args=(feed,), name="camera", daemon=True)
    feed.thread.start()
    return feed


def silent(config: CaptureConfig) -> CameraError:
    """What to say about a camera that opens but gives no frame in time."""
    if config.kind == "url":
        return CameraError(
            f"camera {config.camera}: gave no image within {URL_S:g} s; check the address and the network"
        )
    return CameraError(
        f"camera {config.camera}: gave no image within {CAMERA_S:g} s; another program may be using it, or the "
        "system withholds it: allow camera access, or play without one: --camera demo"
    )


# --- video files ------------------------------------------------------------------------------------------


def _play_video(feed: Feed) -> None:
    """Give each frame at its own time, from the moment the video is open, like a camera that will not wait."""
    path, loop = Path(feed.config.camera), feed.config.loop
    start_s: float | None = None
    try:
        frame_s = 1.0 / video_file.probe(path).fps
        promised_s = video_file.promised_s(path)
        while not feed.stopping.is_set():
            last_s = 0.0
            try:
                for time_s, image in video_file.frames(path):
                    start_s = feed.now() if start_s is None else start_s
                    if feed.stopping.wait(max(start_s + time_s - feed.now(), 0.0)):
                        return
                    feed.put(image, feed.now())
                    last_s = time_s
                if promised_s - last_s - frame_s > video_file.BREAKS_OFF_S:
                    feed.trouble = f"{printable(path)}: breaks off after {last_s:.1f} of {promised_s:.1f} s"
            except CameraError as error:
                if start_s is None:
                    raise
                feed.lost += 1  # damaged on the way: what came before it was good, so it ends (or loops) there
                feed.trouble = str(error)
            if not loop or start_s is None:
                break
            start_s += last_s + frame_s
        feed.end()
    except CameraError as error:
        feed.end(error)


# --- cameras and URLs ---------------------------------------------------------------------------------------


def _drain_camera(feed: Feed) -> None:
    """Read as fast as the camera gives; when it is lost or frozen, open it again, for as long as it takes."""
    capture = _open_capture(feed)
    if capture is None and not feed.config.patient:
        feed.end(_no_camera(feed.config))
        return
    feed.refused += capture is None
    attempt = 0
    while not feed.stopping.is_set():
        if capture is not None:
            before = feed.seen
            _read_until_lost(feed, capture)
            capture.release()
            if feed.stopping.is_set():
                return
            feed.lost += 1
            feed.undecoded = feed.seen == before
            feed.still = False
            attempt = 0 if feed.seen > before else attempt
        if feed.stopping.wait(RETRY_S[min(attempt, len(RETRY_S) - 1)]):
            return
        attempt += 1
        capture = _open_capture(feed)
        feed.returned += capture is not None
        feed.refused += capture is None


def _read_until_lost(feed: Feed, capture: Any) -> None:
    """Until it fails to read, or freezes for so long that opening it again is worth a try."""
    import cv2

    print_of_last, changed_s = 0, feed.now()
    while not feed.stopping.is_set():
        good, image = capture.read()
        now_s = feed.now()
        if not good or image is None:
            return
        fingerprint = zlib.crc32(image[::8].tobytes())
        if fingerprint != print_of_last:
            print_of_last, changed_s = fingerprint, now_s
            feed.still = feed.undecoded = False
        elif now_s - changed_s > FROZEN_S:
            feed.still = True
            feed.frozen += 1
            if now_s - changed_s > 5 * FROZEN_S:
                return
            continue
        captured_s = webcam.capture_time(capture, now_s) if feed.config.kind == "index" else now_s
        feed.put(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), captured_s)  # pyright: ignore[reportUnknownArgumentType]


def _open_capture(feed: Feed) -> Any:
    """cv2.VideoCapture, opened, or None."""
    for name, value in {
        "OPENCV_LOG_LEVEL": "OFF",
        "OPENCV_FFMPEG_LOGLEVEL": "-8",
        "OPENCV_VIDEOIO_MSMF_ENABLE_HW_TRANSFORMS": "0",  # with them, Windows takes half a minute to open a webcam
    }.items():
        os.environ.setdefault(name, value)
    import cv2

    config = feed.config
    feed.opening()
    if config.kind == "index":
        capture = webcam.open_webcam(int(config.camera))
    else:
        limit_ms = int(URL_S * 1e3)
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit_ms]
        capture = cv2.VideoCapture(config.camera, cv2.CAP_FFMPEG, limits)
    if not capture.isOpened():
        return None
    if config.kind == "index":
        feed.promise = webcam.promise(capture)
    return capture


def _no_camera(config: CaptureConfig) -> CameraError:
    if config.kind == "url":
        return CameraError(f"camera {config.camera}: cannot be opened; check the address and the network")
    return CameraError(
        f"camera {config.camera}: there is no such camera, or another program is using it; give another index, a video "
        "file or a URL, or play without one: --camera demo"
    )


# --- a look before anything is started ----------------------------------------------------------------------


def check_camera(config: CaptureConfig) -> None:
    """Raise CameraError if the camera certainly gives no frame; quick, and without cv2 or mediapipe.

    What passes may still fail: whether a camera works is known only by opening it, which capture does once.
    """
    if config.kind == "file":
        video_file.probe(Path(config.camera))
    elif config.kind == "url":
        _check_url(config)
    elif config.kind == "index" and os.path.isdir("/sys/class") and not os.path.exists(f"/dev/video{config.camera}"):
        raise _no_camera(config)


def _check_url(config: CaptureConfig) -> None:
    """http: the first bytes of the body must come; others: the port must be open."""
    url = config.camera
    deadline_s = time.monotonic() + URL_S
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise CameraError(f"camera {url}: not a valid address: {error}") from error
    if not host:
        raise CameraError(f"camera {url}: not a valid address: it names no host")
    if parts.scheme not in ("http", "https", "rtsp", "rtsps", "rtmp", "tcp", "udp"):
        raise CameraError(
            f"camera {url}: unknown kind of address {parts.scheme}://; http, https and rtsp are understood"
        )
    try:
        if parts.scheme in ("http", "https"):
            with urllib.request.urlopen(url, timeout=URL_S) as answer:
                left_s = deadline_s - time.monotonic()
                answer.fp.raw._sock.settimeout(max(left_s, 0.1))
                if not answer.read1(1):
                    raise CameraError(f"camera {url}: the server sends nothing")
        elif parts.scheme != "udp":
            socket.create_connection((host, port or 554), timeout=URL_S).close()
    except urllib.error.HTTPError as error:
        raise CameraError(f"camera {url}: the server answers {error.code} {error.reason}") from error
    except TimeoutError as error:
        raise silent(config) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        if isinstance(reason, TimeoutError):
            raise silent(config) from error
        raise CameraError(f"camera {url}: cannot be opened: {getattr(reason, 'strerror', None) or reason}") from error
