"""The one decoder: what every part of livemove sees of a video file (PyAV).

In: a path. Out: frames and their times. `sound_file` gives the sound on the same clock. Knows no pose, model or device.

What it promises, of any file, or else raises CameraError, one line that names the file:
upright     as displayed: turned and mirrored by the display matrix, whichever of the eight ways
square      pixels as high as they are wide, whatever the container or the codec says of their shape
timed       the first frame at 0; then when it is shown: strictly rising, without jumps, in the order of showing, also
            where the file has no times, has those of decoding only, or begins to count again
finite      real images of a real video: no cover, no still image, no text; times are finite numbers
bounded     one frame at a time; none larger than 8K; no step between two longer than 10 s
"""

# PyAV's stubs are partial.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from livemove.contracts import CameraError
from livemove.media.clock import FrameClock, PacketClock, fps_of
from livemove.media.geometry import Geometry, Image, PixelShape, as_image, geometry_of
from livemove.media.opening import UNREADABLE, MediaError, opened, reason_of, video_stream
from livemove.printable import printable

BREAKS_OFF_S = 1.0
"""What ends so much before the file's own word is said to be cut off."""

TAGGED = re.compile(r"(\d{1,4}):(\d\d):(\d\d(?:\.\d+)?)")
"""How Matroska tells the length of one stream."""

LEAD_IN = 250
"""Packets before the first frame that may be undecodable: what was recorded off the air begins anywhere."""


@dataclass(frozen=True)
class VideoInfo:
    """What a clip says about itself. frames and seconds are the container's own, 0 where it gives none."""

    path: Path
    fps: float
    frames: int
    seconds: float


@dataclass(frozen=True)
class Shown:
    """One frame as it is stored, when it is shown, in seconds from the first on, and how. origin_s: what the file
    calls the time of the first one."""

    frame: VideoFrame
    time_s: float
    geometry: Geometry
    origin_s: float


def probe(path: Path) -> VideoInfo:
    """Look at a clip without decoding it. Raises CameraError if it is no video."""
    with _opened(path) as (container, stream):
        fps = fps_of(stream)
        seconds = max(float(container.duration or 0) / av.time_base, 0.0)
        return VideoInfo(path, fps, stream.frames or round(seconds * fps), seconds)


def promised_s(path: Path) -> float:
    """Seconds of image from the first frame on, by what the file says of its video; 0 if it says nothing. Raises
    CameraError."""
    with contextlib.closing(decoded(path)) as found:
        origin_s = next(found).origin_s
    with _opened(path) as (container, stream):
        if stream.duration is not None and stream.time_base is not None:
            return float(((stream.start_time or 0) + stream.duration) * stream.time_base) - origin_s
        if tag := TAGGED.fullmatch(stream.metadata.get("DURATION", "")):
            hours, minutes, seconds = map(float, tag.groups())
            return 3600 * hours + 60 * minutes + seconds - origin_s
        if len(container.streams) == 1 and container.duration is not None:
            return container.duration / av.time_base - origin_s
        return 0.0


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
    for shown in decoded(path):
        yield shown.time_s, as_image(shown.frame, shown.geometry) if wanted(shown.time_s) else None


def facing(image: Image, mirrored: bool) -> Image:
    """The image as the camera saw it: some telephones store what the mirror on their screen showed, hands exchanged."""
    return np.ascontiguousarray(image[:, ::-1]) if mirrored else image


def decoded(path: Path) -> Generator[Shown]:
    """Every frame, in the order of showing, not converted yet. Raises CameraError as `frames` does."""
    clock: FrameClock | None = None
    begun = False
    with _opened(path) as (container, stream):
        try:
            stream.thread_type = "AUTO"
            clock, shape = FrameClock(container, stream), PixelShape(stream)
            for frame in _frames(container, stream, clock):
                begun = True
                time_s = clock.shown(frame)
                yield Shown(frame, time_s, geometry_of(frame, shape.now()), clock.origin_s or 0.0)
        except (*UNREADABLE, MediaError) as error:
            if not begun:
                raise CameraError(f"{printable(path)}: cannot be read as a video: {reason_of(error)}") from error
            after_s = max(clock.last_s, 0.0) if clock else 0.0
            raise CameraError(f"{printable(path)}: damaged after {after_s:.1f} s: {reason_of(error)}") from error
    if not begun:
        raise CameraError(f"{printable(path)}: cannot be read as a video: it holds no frame")


def _frames(container: InputContainer, stream: VideoStream, clock: FrameClock) -> Iterator[VideoFrame]:
    """Frames as the decoder gives them, from straightened packets."""
    packets = PacketClock(container)
    also = timed_streams(container) if packets.active else [cast(Stream, stream)]
    failures = 0
    for packet in container.demux(also):
        flush = packet.dts is None and packet.pts is None and not packet.size
        if not flush:
            packets.straighten(packet)
        if packet.stream.index != stream.index or (not packet.size and not flush):
            continue  # an empty packet is a frame that was left out, and would end the decoder
        if not flush:
            clock.sent(cast("Packet[VideoStream]", packet))
        try:
            found = stream.decode(packet)
        except FFmpegError:
            failures += 1
            if clock.origin_s is not None or failures > LEAD_IN:
                raise
            continue
        yield from found


def timed_streams(container: InputContainer) -> list[Stream]:
    """All whose packets' times tell a jump."""
    return [*container.streams.video, *container.streams.audio]


@contextlib.contextmanager
def _opened(path: Path) -> Generator[tuple[InputContainer, VideoStream]]:
    """The file and the stream that is its video. Raises CameraError."""
    try:
        with opened(path) as container:
            stream = video_stream(container)
            if stream is None:
                raise MediaError(_not_a_video(container))
            yield container, stream
    except MediaError as error:
        raise CameraError(f"{printable(path)}: cannot be read as a video: {error}") from error


def _not_a_video(container: InputContainer) -> str:
    if not container.streams.video:
        return "it has no video"
    return (
        "it has no video, only the image of a cover" if container.streams.audio else "it is a still image, not a video"
    )
