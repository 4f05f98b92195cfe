"""Clips as files: their frames in order, and a copy of a clip with another soundtrack (PyAV).

In: a video file; for the copy also a sound file. Out: RGB frames and times; an mp4. Knows no pose, model or device.
"""

# PyAV's stubs are partial.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import numpy.typing as npt
import soundfile as sf
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from livemove.contracts import CameraError

Image = npt.NDArray[np.uint8]

COPIED_CODECS = ("h264", "hevc", "av1", "vp9")
COPIED_CONTAINERS = ("mp4", "matroska")
"""What goes into an mp4 untouched and plays everywhere; the rest becomes H.264 (AVI, for one, has no usable times)."""

AAC_FRAME = 1024
DEFAULT_FPS = 25.0


@dataclass(frozen=True)
class VideoInfo:
    """What a clip says about itself. frames and seconds are the container's own, 0 where it gives none."""

    path: Path
    fps: float
    frames: int
    seconds: float


def _open(path: Path) -> InputContainer:
    try:
        container = av.open(str(path))
    except (FFmpegError, OSError, ValueError) as error:
        reason = "no such file" if not path.exists() else getattr(error, "strerror", None) or str(error)
        raise CameraError(f"{path}: cannot be read as a video: {reason}") from error
    if not container.streams.video:
        container.close()
        raise CameraError(f"{path}: cannot be read as a video: it has no video")
    return container


def probe(path: Path) -> VideoInfo:
    """Look at a clip without decoding it. Raises CameraError if it is no video."""
    with _open(path) as container:
        stream = container.streams.video[0]
        fps = float(stream.average_rate or stream.guessed_rate or DEFAULT_FPS)
        seconds = float(container.duration or 0) / av.time_base
        return VideoInfo(path, fps, stream.frames or round(seconds * fps), seconds)


def frames(path: Path) -> Iterator[tuple[float, Image]]:
    """(seconds since the first frame, uint8 RGB [height, width, 3]) of every frame, upright, in order.

    Raises CameraError when the clip gives no frame, or breaks off before its end.
    """
    for time_s, image in some_frames(path, lambda time_s: True):
        assert image is not None
        yield time_s, image


def some_frames(path: Path, wanted: Callable[[float], bool]) -> Iterator[tuple[float, Image | None]]:
    """As `frames`, with None instead of the image where the time is not wanted, which costs a fraction.

    Raises CameraError when the clip gives no frame, or breaks off before its end.
    """
    start: float | None = None
    last, fps = -1.0, probe(path).fps
    with _open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        try:
            for frame in container.decode(stream):
                time_s = frame.time if frame.pts is not None else last + 1 / fps + (start or 0.0)
                start = time_s if start is None else start
                if time_s - start <= last:  # repeated or missing times: the landmarker wants them strictly increasing
                    time_s = start + last + 1 / fps
                last = time_s - start
                yield last, _upright(frame) if wanted(last) else None
        except FFmpegError as error:
            raise CameraError(f"{path}: damaged after {max(last, 0):.1f} s: {error.strerror}") from error
    if start is None:
        raise CameraError(f"{path}: cannot be read as a video: it holds no frame")


def _upright(frame: VideoFrame) -> Image:
    """Telephones store portrait video lying down, with a note of how to turn it."""
    image = cast(Image, frame.to_ndarray(format="rgb24"))
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns) if turns else image)


def put_sound_under(clip: Path, sound: Path, output: Path, on_progress: Callable[[float], None]) -> None:
    """Write output, an mp4 with clip's video and sound (mono, AAC) from the video's first frame on.

    It ends with the sound. on_progress is called with the seconds done.

    The video stream is copied untouched where that plays everywhere, and encoded as H.264 otherwise.
    """
    with _open(clip) as source, sf.SoundFile(sound) as wave, av.open(str(output), "w", format="mp4") as target:
        video = source.streams.video[0]
        writer = _Copied(video, target) if _can_copy(source, video) else _Encoded(video, target)
        voice = cast(AudioStream, target.add_stream("aac", rate=wave.samplerate, layout="mono"))
        voice.bit_rate = 192_000
        written = 0

        def add_sound(until_s: float) -> None:
            """Keep the sound level with the video, so that the muxer need not hold either back."""
            nonlocal written
            while written < wave.frames and written < until_s * wave.samplerate:
                block = cast("npt.NDArray[np.float32]", wave.read(AAC_FRAME, dtype="float32"))
                frame = av.AudioFrame.from_ndarray(block[None], format="fltp", layout="mono")
                frame.sample_rate, frame.pts = wave.samplerate, written
                written += len(block)
                target.mux(voice.encode(frame))

        end_s = wave.frames / wave.samplerate
        for packet in source.demux(video):
            done_s = writer.add(packet)
            add_sound(done_s)
            on_progress(done_s)
            if done_s >= end_s:
                break
        writer.finish()
        add_sound(float("inf"))
        target.mux(voice.encode(None))


def _can_copy(source: InputContainer, video: VideoStream) -> bool:
    return video.codec_context.name in COPIED_CODECS and any(c in source.format.name for c in COPIED_CONTAINERS)


class _Copied:
    """The video stream, packet by packet, moved so that its first frame is at 0."""

    def __init__(self, video: VideoStream, target: OutputContainer) -> None:
        self.target = target
        self.stream = target.add_stream_from_template(video)
        self.start = video.start_time or 0
        self.waiting: list[Packet[VideoStream]] = []

    def add(self, packet: Packet[VideoStream]) -> float:
        """Where in the video this packet is, in seconds."""
        if not packet.size:  # the flush at the end
            return 0.0
        self.waiting.append(packet)
        if packet.dts is None:
            return 0.0
        seconds = float((packet.dts - self.start) * packet.time_base)
        self._release(packet.dts)
        return seconds

    def finish(self) -> None:
        if self.waiting:
            self._release(min(packet.pts or 0 for packet in self.waiting))

    def _release(self, dts: int) -> None:
        """Matroska gives the first packets of reordered frames no decoding times: count back from the first known."""
        for back, packet in enumerate(reversed(self.waiting)):
            packet.dts = dts - self.start - back
        for packet in self.waiting:
            packet.pts = (packet.pts or 0) - self.start
            packet.stream = self.stream
            self.target.mux(packet)
        self.waiting.clear()


class _Encoded:
    """The video stream decoded and encoded again, moved so that its first frame is at 0."""

    def __init__(self, video: VideoStream, target: OutputContainer) -> None:
        self.video, self.target = video, target
        self.stream = target.add_stream("libx264", rate=video.average_rate or round(DEFAULT_FPS))
        self.stream.width, self.stream.height = video.width // 2 * 2, video.height // 2 * 2
        self.stream.pix_fmt = "yuv420p"
        # No B-frames, no weighted prediction: with them x264 gave five different files in twelve runs on one clip.
        self.stream.options = {"crf": "20", "preset": "veryfast", "x264-params": "bframes=0:weightp=0"}
        self.stream.codec_context.time_base = video.time_base or Fraction(1, 90_000)
        self.start: int | None = None

    def add(self, packet: Packet[VideoStream]) -> float:
        """Where in the video this packet is, in seconds."""
        seconds = 0.0
        for frame in self.video.decode(packet):
            if frame.pts is None or frame.time_base is None:
                continue
            self.start = frame.pts if self.start is None else self.start
            frame.pts -= self.start
            seconds = float(frame.pts * frame.time_base)
            frame.pict_type = 0  # the encoder chooses; else it copies the old video's choice
            self.target.mux(self.stream.encode(frame.reformat(self.stream.width, self.stream.height, "yuv420p")))
        return seconds

    def finish(self) -> None:
        self.target.mux(self.stream.encode(None))
