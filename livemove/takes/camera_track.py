"""The camera's video on its way into takes: frames -> H.264 in the capture process -> packets in the supervisor.

In: RGB images with their times. Out: packets with the same times, in order. A socket lies between, so that either
side may die; capture never waits, and leaves out frames when it cannot keep up. Knows no camera and no take.
"""

# PyAV's stubs are partial.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import contextlib
import os
import struct
import sys
import threading
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from multiprocessing import AuthenticationError, current_process
from multiprocessing.connection import Client, Connection, Listener
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from livemove.takes.folder import VIDEO_ROW, Rows

if TYPE_CHECKING:  # the supervisor only passes packets on: PyAV is loaded in capture only
    from av.video.codeccontext import VideoCodecContext

EDGE = 640
"""The longer edge of the video, at most: 3.8 ms of a core per frame (superfast 5.5, veryfast 8)."""

BYTES_PER_S = 1_500_000 // 8
"""Its encoder keeps to that, so that the last minutes take a known room in memory; a dancer needs a quarter of it."""

KEY_FRAMES = 15
"""Decoding can begin at every so many frames."""

WAITING = 2
TICKS = 1000
LAST_S = 1.0
WAKES = 3
"""So often its thread is woken at the end, LAST_S apart: a performance must end."""
HEAD = struct.Struct("<d?")
"""Before each packet: when its frame was captured; whether decoding can begin with it."""

Image = npt.NDArray[np.uint8]


class Encoder:
    """Images of one size -> H.264, one packet for each at once: no frame refers to a later one."""

    def __init__(self, height: int, width: int) -> None:
        """Raises whatever PyAV raises where it was built without x264."""
        import av
        from av.video.reformatter import VideoReformatter

        scale = min(EDGE / max(height, width), 1.0)
        self._context: VideoCodecContext = av.CodecContext.create("libx264", "w")
        self._context.height, self._context.width = (max(round(edge * scale) // 2 * 2, 2) for edge in (height, width))
        self._context.pix_fmt = "yuv420p"
        self._context.time_base = Fraction(1, TICKS)
        self._context.framerate = Fraction(30)
        self._context.options = {
            "preset": "ultrafast", "tune": "zerolatency", "crf": "22", "g": str(KEY_FRAMES), "threads": "1",
            "maxrate": str(8 * BYTES_PER_S), "bufsize": str(8 * BYTES_PER_S),
        }  # fmt: skip
        self._scaler = VideoReformatter()
        self._frame = av.VideoFrame.from_ndarray
        self._number = 0

    def encode(self, image: Image) -> Iterator[tuple[bytes, bool]]:
        """(packet, whether decoding can begin with it) from uint8 RGB [height, width, 3]."""
        frame = self._scaler.reformat(
            self._frame(image, format="rgb24"), self._context.width, self._context.height, "yuv420p",
            interpolation="FAST_BILINEAR",
        )  # fmt: skip
        frame.pts, frame.time_base = self._number * TICKS // 30, Fraction(1, TICKS)
        self._number += 1
        for packet in self._context.encode(frame):
            yield bytes(packet), packet.is_keyframe


class VideoSender:
    """Capture's end: a thread that encodes the newest frames behind everything else and sends them."""

    def __init__(self, address: str) -> None:
        self.trouble = ""
        """Why no video is recorded (any more), for the person."""
        self._address = address
        self._changed = threading.Condition()
        self._images: deque[tuple[Image, float]] = deque(maxlen=WAITING)
        self._over = False
        self._thread = threading.Thread(target=self._run, name="video", daemon=True)
        self._thread.start()

    def add(self, image: Image, capture_s: float) -> None:
        """uint8 RGB [height, width, 3], which nobody changes any more."""
        with self._changed:
            self._images.append((image, capture_s))
            self._changed.notify()

    def close(self) -> None:
        """What waits is sent first, for as long as that is worth waiting for: nobody may be reading any more."""
        with self._changed:
            self._over = True
            self._changed.notify()
        self._thread.join(LAST_S)

    def _run(self) -> None:
        if sys.platform == "linux":  # of this thread alone; on a busy machine the pose goes first
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        import av.error

        try:
            with Client(self._address, authkey=bytes(current_process().authkey)) as line:
                self._send(line)
        except (OSError, EOFError) as error:
            self.trouble = f"the camera's video is no longer recorded: {error}"
        except (av.error.FFmpegError, ValueError) as error:
            self.trouble = f"the camera's video cannot be recorded: {error}; PyAV as PyPI has it can"

    def _send(self, line: Any) -> None:
        encoder, shape = None, (0, 0)
        while (waiting := self._next()) is not None:
            image, capture_s = waiting
            if encoder is None or image.shape[:2] != shape:  # another camera, maybe
                shape = (image.shape[0], image.shape[1])
                encoder = Encoder(*shape)
            for packet, key in encoder.encode(image):
                line.send_bytes(HEAD.pack(capture_s, key) + packet)

    def _next(self) -> tuple[Image, float] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._images or self._over)
            return self._images.popleft() if self._images else None


class VideoReceiver:
    """The supervisor's end: gathers what one capture process after another sends."""

    def __init__(self) -> None:
        # Linux: in a name space of its own, so that who is killed leaves no socket in the temporary folder.
        place = f"\0livemove-{os.urandom(8).hex()}" if sys.platform == "linux" else None
        self._listener = Listener(place, authkey=bytes(current_process().authkey))
        self.address = place or str(self._listener.address)
        self._packets: deque[tuple[float, bool, bytes]] = deque()
        self._over = False
        self._thread = threading.Thread(target=self._run, name="video", daemon=True)
        self._thread.start()

    def take(self) -> tuple[npt.NDArray[np.uint8], Rows]:
        """All that came since the last call: its bytes, and a VIDEO_ROW for each frame."""
        found = [self._packets.popleft() for _ in range(len(self._packets))]
        rows = np.zeros(len(found), VIDEO_ROW)
        rows["size"] = [len(content) for _, _, content in found]
        rows["begin"] = np.cumsum(rows["size"]) - rows["size"]
        rows["capture_s"] = [capture_s for capture_s, _, _ in found]
        rows["key"] = [key for _, key, _ in found]
        return np.frombuffer(b"".join(content for _, _, content in found), np.uint8), rows

    def close(self) -> None:
        """Once no capture process is there any more. A thread that cannot be woken (no socket is left, say) is left."""
        self._over = True
        for _ in range(WAKES):
            if not self._thread.is_alive():
                break
            threading.Thread(target=self._wake, name="video's end", daemon=True).start()
            self._thread.join(LAST_S)
        self._listener.close()

    def _wake(self) -> None:
        """Be the one it waits for. If it ended by itself nobody answers, until the listener is closed."""
        with contextlib.suppress(OSError, EOFError):
            Client(self.address, authkey=bytes(current_process().authkey)).close()

    def _run(self) -> None:
        while not self._over:
            # It died, or it is none of ours; another one may come.
            with contextlib.suppress(OSError, EOFError, AuthenticationError), self._listener.accept() as line:
                self._receive(line)

    def _receive(self, line: Connection[Any, Any]) -> None:
        while not self._over:
            message = line.recv_bytes()
            capture_s, key = HEAD.unpack_from(message)
            self._packets.append((capture_s, key, message[HEAD.size :]))
