"""The camera's film on its way into takes: pictures -> H.264 in the capture process -> packets in the supervisor.

In: RGB pictures with their times. Out: packets with the same times, in order. A socket lies between, so that either
side may die; whoever films never waits, and leaves out pictures when it cannot keep up. Knows no camera and no take.
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

from livemove.takes.folder import FILM, Rows

if TYPE_CHECKING:  # the supervisor only passes packets on: PyAV is loaded where there are pictures
    from av.video.codeccontext import VideoCodecContext

EDGE = 640
"""The longer edge of the film, at most: 3.8 ms of a core for a picture (superfast 5.5, veryfast 8)."""

BYTES_PER_S = 1_500_000 // 8
"""Its encoder keeps to that, so that the last minutes take a known room in memory; a dancer needs a quarter of it."""

KEY_PICTURES = 15
"""A film can begin at every so many pictures."""

WAITING = 2
TICKS = 1000
LAST_S = 1.0
HEAD = struct.Struct("<d?")
"""Before each packet: when its picture was captured; whether a film can begin with it."""

Picture = npt.NDArray[np.uint8]


class Encoder:
    """Pictures of one size -> H.264, one packet for each at once: no picture refers to a later one."""

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
            "preset": "ultrafast", "tune": "zerolatency", "crf": "22", "g": str(KEY_PICTURES), "threads": "1",
            "maxrate": str(8 * BYTES_PER_S), "bufsize": str(8 * BYTES_PER_S),
        }  # fmt: skip
        self._scaler = VideoReformatter()
        self._frame = av.VideoFrame.from_ndarray
        self._number = 0

    def encode(self, picture: Picture) -> Iterator[tuple[bytes, bool]]:
        """(packet, whether a film can begin with it) from uint8 RGB [height, width, 3]."""
        frame = self._scaler.reformat(
            self._frame(picture, format="rgb24"), self._context.width, self._context.height, "yuv420p",
            interpolation="FAST_BILINEAR",
        )  # fmt: skip
        frame.pts, frame.time_base = self._number * TICKS // 30, Fraction(1, TICKS)
        self._number += 1
        for packet in self._context.encode(frame):
            yield bytes(packet), packet.is_keyframe


class FilmSender:
    """Capture's end: a thread that encodes the newest pictures behind everything else and sends them."""

    def __init__(self, address: str) -> None:
        self.trouble = ""
        """Why there is no film (any more), for the person."""
        self._address = address
        self._changed = threading.Condition()
        self._pictures: deque[tuple[Picture, float]] = deque(maxlen=WAITING)
        self._over = False
        self._thread = threading.Thread(target=self._run, name="film", daemon=True)
        self._thread.start()

    def add(self, picture: Picture, capture_s: float) -> None:
        """uint8 RGB [height, width, 3], which nobody changes any more."""
        with self._changed:
            self._pictures.append((picture, capture_s))
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
            self.trouble = f"the camera is no longer filmed: {error}"
        except (av.error.FFmpegError, ValueError) as error:
            self.trouble = f"the camera cannot be filmed: {error}; PyAV as PyPI has it can"

    def _send(self, line: Any) -> None:
        encoder, shape = None, (0, 0)
        while (shot := self._next()) is not None:
            picture, capture_s = shot
            if encoder is None or picture.shape[:2] != shape:  # another camera, maybe
                shape = (picture.shape[0], picture.shape[1])
                encoder = Encoder(*shape)
            for packet, key in encoder.encode(picture):
                line.send_bytes(HEAD.pack(capture_s, key) + packet)

    def _next(self) -> tuple[Picture, float] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._pictures or self._over)
            return self._pictures.popleft() if self._pictures else None


class FilmReceiver:
    """The supervisor's end: gathers what one capture process after another sends."""

    def __init__(self) -> None:
        self._listener = Listener(authkey=bytes(current_process().authkey))
        self.address = str(self._listener.address)
        self._packets: deque[tuple[float, bool, bytes]] = deque()
        self._over = False
        self._thread = threading.Thread(target=self._run, name="film", daemon=True)
        self._thread.start()

    def take(self) -> tuple[npt.NDArray[np.uint8], Rows]:
        """All that came since the last call: its bytes, and a row of FILM for each picture."""
        found = [self._packets.popleft() for _ in range(len(self._packets))]
        rows = np.zeros(len(found), FILM)
        rows["size"] = [len(content) for _, _, content in found]
        rows["begin"] = np.cumsum(rows["size"]) - rows["size"]
        rows["capture_s"] = [capture_s for capture_s, _, _ in found]
        rows["key"] = [key for _, key, _ in found]
        return np.frombuffer(b"".join(content for _, _, content in found), np.uint8), rows

    def close(self) -> None:
        """Once no capture process is there any more."""
        self._over = True
        threading.Thread(target=self._wake, name="film's end", daemon=True).start()
        self._thread.join()
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
