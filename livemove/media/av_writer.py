"""A take as a file: the sound whole, every video frame at its time in it; readable whenever and however the writing
ends.

In: video frames and stretches of sound, each with its time on one clock. Out: an mp4 (H.264 and FLAC). Knows no camera,
no audio device and no process.
"""

# PyAV's stubs are partial.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterable
from fractions import Fraction
from typing import Any, cast

import av
import numpy as np
import numpy.typing as npt
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from livemove.contracts import Float32, OutputError

TICKS = 60_000
"""Ticks of frame times in a second: whole numbers of them at 24, 25, 30, 50 and 60 fps; MPEG-4 allows 65,535 at
most."""

AHEAD_S = 1.0
"""A frame is written once the marks of so long after it have come."""
BEHIND_S = 10.0
"""Marks of so long before it count as well."""

APART = TICKS // 1000
"""Frames of a moment for which there is no sound (the device dropped some) follow each other by a millisecond."""

FRAGMENT_S = 0.5
"""What is written so far can be read: a fragment of the mp4 is complete after so long."""


class Timeline:
    """Where in the sound a moment of the clock falls. The sound is the take's own time: it stays as it is.

    Marks say when a sample was in the air, as the sound server believes. On a busy machine it believes too late, by
    10 ms now and then, and by up to 60 ms for seconds after the machine stood still, while the sound itself goes on
    undisturbed; it seldom believes too early. So the earliest tenth of the marks around a moment counts. An audio
    device's crystal strays from the clock (100 ppm are 18 ms in three minutes): the marks are of the last seconds only,
    which costs a millisecond. A device that ran dry shifts what follows: marks from before such a gap do not count
    after it.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._gaps = 0
        self._marks: deque[tuple[float, float, int]] = deque()  # (time, time - place, gaps so far)

    def mark(self, sample: int, time_s: float, gap: bool = False) -> None:
        """gap: the device ran dry just before."""
        self._gaps += gap
        self._marks.append((time_s, time_s - sample / self.rate, self._gaps))

    @property
    def settled_s(self) -> float:
        """Moments before this one are placed for good. -inf: there is no mark yet."""
        return self._marks[-1][0] - AHEAD_S if self._marks else -np.inf

    def place(self, time_s: float) -> float:
        """In samples, not rounded. There must be a mark; the nearest serves where there is none around."""
        gaps = next((gaps for mark_s, _, gaps in reversed(self._marks) if mark_s <= time_s), self._marks[0][2])
        begin_s, end_s = time_s - BEHIND_S, time_s + AHEAD_S
        around = sorted(o for mark_s, o, g in self._marks if g == gaps and begin_s <= mark_s <= end_s)
        offset = around[len(around) // 10] if around else min(self._marks, key=lambda mark: abs(mark[0] - time_s))[1]
        return (time_s - offset) * self.rate

    def forget(self, before_s: float) -> None:
        """No moment before this will be asked for."""
        while len(self._marks) > 1 and self._marks[0][0] < before_s - BEHIND_S:
            self._marks.popleft()


class TakeFile:
    """One take being written to a file that is open for writing and empty. It takes what comes, in any order.

    rate, channels: of the sound. size: (height, width) of the frames; others are scaled to it. about: what the file
    says about itself. What has come is on the disk about two seconds later. Methods raise OutputError when the disk
    takes no more; what was written before stays.
    """

    def __init__(
        self, file: io.FileIO, rate: int, channels: int, size: tuple[int, int], about: dict[str, str] | None = None
    ) -> None:
        self._disk = _Disk(file)
        # Fragments, each whole, in the order of writing: nothing is ever rewritten. delay_moov: without it the header
        # is written before the first frame's time is known, and that time is lost.
        options = {
            "movflags": "delay_moov+default_base_moof",
            "frag_duration": str(round(FRAGMENT_S * 1e6)),
            "flush_packets": "1",
        }
        self._container = av.open(cast(Any, self._disk), "w", format="mp4", options=options)
        self._container.metadata.update(about or {})
        self._video = _video_stream(self._container, size)
        self._sound = self._container.add_stream("flac", rate=rate)
        self._sound.codec_context.format = "s16"
        self._sound.codec_context.layout = "mono" if channels == 1 else "stereo"
        self.rate = rate
        self.frames = 0
        self.samples = 0
        self._timeline = Timeline(rate)
        self._begin: int | None = None  # number of the first sample
        self._zero_s: float | None = None  # time of the first frame
        self._encoded_ticks = self._placed_ticks = -APART
        self._packets: deque[Packet[VideoStream]] = deque()
        self._closed = False
        self._blocks: deque[npt.NDArray[np.int16]] = deque()

    @property
    def seconds(self) -> float:
        """Of sound written."""
        return self.samples / self.rate

    def add_sound(self, first: int, time_s: float, samples: Float32, gap: bool = False) -> None:
        """float32 [n, channels] from sample number first on, in the air since time_s; empty: a mark. gap: as in `mark`.

        The first that is not empty begins the take; they follow each other without a gap.
        """
        self._timeline.mark(first, time_s, gap)
        if len(samples):
            self._begin = first if self._begin is None else self._begin
            self._blocks.append(np.rint(np.clip(samples, -1, 1) * 32767).astype(np.int16))
        settled_s = self._timeline.settled_s
        self._write(settled_s)
        self._timeline.forget(settled_s)

    def add_frame(self, image: npt.NDArray[np.uint8], time_s: float) -> None:
        """uint8 RGB [height, width, 3] and when it was seen; not before the take begins, later than the one before."""
        self._zero_s = time_s if self._zero_s is None else self._zero_s
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame = frame.reformat(self._video.width, self._video.height, "yuv420p")
        self._encoded_ticks = max(round((time_s - self._zero_s) * TICKS), self._encoded_ticks + 1)
        frame.pts, frame.time_base = self._encoded_ticks, Fraction(1, TICKS)
        self._packets.extend(self._video.encode(frame))

    def finish(self, until_s: float | None = None) -> None:
        """Write the rest, as far as until_s, and end the file; nothing may be added afterwards. Again: does nothing.

        until_s: no further than AHEAD_S before the newest sound; None: all there is.
        """
        if self._closed:
            return
        self._closed = True
        if self._begin is not None and self._zero_s is not None:
            self._packets.extend(self._video.encode(None))
            self._write(np.inf if until_s is None else until_s)
            self._mux(self._sound.encode(None))
        self._container.close()
        self._disk.finish()
        self._disk.check()

    def _write(self, until_s: float) -> None:
        """Everything until then, video and sound level with each other, so that the muxer need not hold either."""
        if self._begin is None or self._zero_s is None:
            return
        while self._packets and (time_s := self._zero_s + cast(int, self._packets[0].pts) / TICKS) <= until_s:
            place = (self._timeline.place(time_s) - self._begin) / self.rate
            packet = self._packets.popleft()
            self._placed_ticks = max(round(place * TICKS), self._placed_ticks + APART)
            packet.pts = packet.dts = self._placed_ticks
            self._mux([packet])
            self.frames += 1
        end = np.inf if np.isinf(until_s) else self._timeline.place(until_s) - self._begin
        while self._blocks and (room := end - self.samples) >= 1:
            block = self._blocks.popleft()
            if len(block) > room:
                self._blocks.appendleft(block[int(room) :])
                block = block[: int(room)]
            self._add_block(block)

    def _add_block(self, block: npt.NDArray[np.int16]) -> None:
        frame = av.AudioFrame.from_ndarray(block.reshape(1, -1), format="s16", layout=self._sound.layout.name)
        frame.sample_rate, frame.pts, frame.time_base = self.rate, self.samples, Fraction(1, self.rate)
        self._mux(self._sound.encode(frame))
        self.samples += len(block)

    def _mux(self, packets: Iterable[Packet[Any]]) -> None:
        for packet in packets:
            self._container.mux(packet)
        self._disk.check()


def _video_stream(container: OutputContainer, size: tuple[int, int]) -> VideoStream:
    """H.264 where PyAV was built with it, else MPEG-4. A packet comes for each frame, at once and in their order."""
    if "libx264" in av.codecs_available:
        stream = container.add_stream("libx264", rate=30)
        stream.options = {"crf": "18", "preset": "veryfast", "tune": "zerolatency", "g": "60"}
    else:
        stream = container.add_stream("mpeg4", rate=30)
        stream.options = {"qmin": "2", "qmax": "4", "g": "60"}
    stream.height, stream.width = (edge // 2 * 2 for edge in size)
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = Fraction(1, TICKS)
    return stream


class _Disk:
    """The file as PyAV writes to it: fragment by fragment, each as a whole, so that there is never half of one.

    The muxer goes on when the disk takes no more (it buffers, it writes a trailer), so the trouble is kept for `check`.
    """

    def __init__(self, file: io.FileIO) -> None:
        self.name = str(file.name)
        self._file = file
        self._waiting = bytearray()
        self._error: OSError | None = None

    def write(self, content: bytes) -> int:
        self._waiting += content
        at = 0
        while len(self._waiting) >= at + 8:  # boxes: their size, their kind, what is in them
            size = int.from_bytes(self._waiting[at : at + 4], "big")
            at += size
            if len(self._waiting) < at:
                break
            if bytes(self._waiting[at - size + 4 : at - size + 8]) in (b"moov", b"mdat"):
                self._put(at)
                at = 0
        return len(content)

    def finish(self) -> None:
        """Write what is left: the index at the end."""
        self._put(len(self._waiting))

    def _put(self, count: int) -> None:
        left = memoryview(bytes(self._waiting[:count]))
        del self._waiting[:count]
        if self._error is not None:
            return
        begin = self._file.tell()
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            self._error = error
            self._file.truncate(begin)

    def check(self) -> None:
        """Raises OutputError."""
        if self._error is not None:
            raise OutputError(f"{self.name} can no longer be written: {self._error.strerror}")
