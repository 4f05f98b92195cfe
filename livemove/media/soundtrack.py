"""A copy of a video with another sound under it (PyAV).

In: a video file and a sound file. Out: an mp4. Knows no pose, model or device.
"""

# PyAV's stubs are partial.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Protocol, cast

import av
import numpy as np
import numpy.typing as npt
import soundfile as sf
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from livemove.media import video_file
from livemove.media.clock import LONGEST_GAP_S
from livemove.media.geometry import as_yuv, even
from livemove.media.opening import UNREADABLE, MediaError, opened, video_stream

COPIED_CODECS = ("h264", "hevc", "av1", "vp9")
COPIED_CONTAINERS = ("mp4", "matroska")
"""What goes into an mp4 untouched and plays everywhere; the rest becomes H.264 (AVI, for one, has no usable times)."""

AAC_FRAME = 1024
TICKS = 90_000
"""Of encoded video in a second."""


def put_sound_under(clip: Path, sound: Path, output: Path, on_progress: Callable[[float], None]) -> None:
    """Write output, an mp4 with clip's video and sound (as many channels, AAC) from the video's first frame on.

    It ends with the sound. on_progress is called with the seconds done. Raises CameraError as the decoder does.

    The video stream is copied untouched where that plays everywhere, with the decoder's own times, and encoded as
    H.264, as the decoder sees it, otherwise.
    """
    if _can_copy(clip):
        try:
            return _write(clip, sound, output, on_progress, _Copied)
        except UNREADABLE:  # the muxer may find more than we do: then what the decoder makes of it
            pass
    _write(clip, sound, output, on_progress, _Encoded)


class _Video(Protocol):
    """The video on its way into a target; when it is made, the target gets its stream."""

    def write(self) -> Iterator[float]:
        """Packet by packet or frame by frame: seconds from the beginning, as far as it is written."""
        ...

    def finish(self) -> None: ...


def _write(
    clip: Path,
    sound: Path,
    output: Path,
    on_progress: Callable[[float], None],
    way: Callable[[Path, OutputContainer, contextlib.ExitStack], _Video],
) -> None:
    with (
        contextlib.ExitStack() as stack,
        sound.open("rb") as file,  # libsndfile would take no name that is no text
        sf.SoundFile(file) as wave,
        av.open(str(output), "w", format="mp4") as target,
    ):
        video = way(clip, target, stack)
        layout = "mono" if wave.channels == 1 else "stereo"
        voice = cast(AudioStream, target.add_stream("aac", rate=wave.samplerate, layout=layout))
        voice.bit_rate = 192_000
        written = 0

        def add_sound(until_s: float) -> None:
            """Keep the sound level with the video, so that the muxer need not hold either back."""
            nonlocal written
            while written < wave.frames and written < until_s * wave.samplerate:
                block = cast("npt.NDArray[np.float32]", wave.read(AAC_FRAME, dtype="float32", always_2d=True))
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block.T), format="fltp", layout=layout)
                frame.sample_rate, frame.pts = wave.samplerate, written
                written += len(block)
                target.mux(voice.encode(frame))

        end_s = wave.frames / wave.samplerate
        for done_s in video.write():
            add_sound(done_s)
            on_progress(done_s)
            if done_s >= end_s:
                break
        video.finish()
        add_sound(float("inf"))
        target.mux(voice.encode(None))


def _can_copy(clip: Path) -> bool:
    """Whether every packet is to be shown, at its own time, which rises and never jumps, from the decoder's first frame
    on. Raises CameraError."""
    origin_s = next(video_file.decoded(clip)).origin_s
    times: list[float] = []
    last_dts = None
    try:
        with opened(clip) as container:
            stream = video_stream(container)
            if stream is None or stream.codec_context.name not in COPIED_CODECS:
                return False
            if not any(name in container.format.name for name in COPIED_CONTAINERS):
                return False
            for packet in container.demux(stream):
                if not packet.size:
                    continue
                if packet.pts is None or packet.is_discard or packet.is_corrupt:
                    return False
                if last_dts is not None and (packet.dts is None or packet.dts <= last_dts):
                    return False
                last_dts = packet.dts if packet.dts is not None else last_dts
                times.append(float(packet.pts * packet.time_base))
    except (MediaError, *UNREADABLE):
        return False
    times.sort()
    steps = [after - before for before, after in itertools.pairwise(times)]
    return bool(times) and abs(times[0] - origin_s) < 1e-6 and all(0 < step <= LONGEST_GAP_S for step in steps)


class _Copied:
    """The video stream, packet by packet, moved so that its first frame is at 0."""

    def __init__(self, clip: Path, target: OutputContainer, stack: contextlib.ExitStack) -> None:
        self._container = stack.enter_context(opened(clip))
        video = video_stream(self._container)
        assert video is not None
        self._video, self._target = video, target
        self._stream = target.add_stream_from_template(video)
        self._start = video.start_time or 0
        self._waiting: list[Packet[VideoStream]] = []

    def write(self) -> Iterator[float]:
        for packet in self._container.demux(self._video):
            if not packet.size:
                continue
            self._waiting.append(packet)
            if packet.dts is not None:
                seconds = float((packet.dts - self._start) * packet.time_base)
                self._release(packet.dts)
                yield seconds

    def finish(self) -> None:
        if self._waiting:
            self._release(min(packet.pts or 0 for packet in self._waiting))

    def _release(self, dts: int) -> None:
        """Matroska gives the first packets of reordered frames no decoding times: count back from the first known."""
        for back, packet in enumerate(reversed(self._waiting)):
            packet.dts = dts - self._start - back
        for packet in self._waiting:
            packet.pts = (packet.pts or 0) - self._start
            packet.stream = self._stream
            self._target.mux(packet)
        self._waiting.clear()


class _Encoded:
    """The video as the decoder gives it, upright and with square pixels, as H.264."""

    def __init__(self, clip: Path, target: OutputContainer, stack: contextlib.ExitStack) -> None:
        self._frames = stack.enter_context(contextlib.closing(video_file.decoded(clip)))
        self._first = next(self._frames)
        self._target = target
        self._stream = stream = target.add_stream("libx264", rate=round(video_file.probe(clip).fps) or 1)
        stream.width, stream.height = even(self._first.geometry.shown)
        stream.pix_fmt = "yuv420p"
        # No B-frames, no weighted prediction: with them x264 gave five different files in twelve runs on one clip.
        stream.options = {"crf": "20", "preset": "veryfast", "x264-params": "bframes=0:weightp=0"}
        stream.codec_context.time_base = Fraction(1, TICKS)
        stream.codec_context.colorspace = self._first.frame.colorspace

    def write(self) -> Iterator[float]:
        last = -1
        for shown in itertools.chain([self._first], self._frames):
            frame = as_yuv(shown.frame, shown.geometry, self._stream.width, self._stream.height)
            last = max(round(shown.time_s * TICKS), last + 1)
            frame.pts, frame.time_base = last, Fraction(1, TICKS)
            frame.pict_type = 0  # the encoder chooses; else it copies the old video's choice
            self._target.mux(self._stream.encode(frame))
            yield shown.time_s

    def finish(self) -> None:
        self._target.mux(self._stream.encode(None))
