"""Other people's files as PyAV containers, whatever they are called and whatever they claim to be.

In: a path. Out: an open container, and its video stream. Follows no link to another file or network; knows no pixels.
"""

# PyAV's stubs are partial.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

UNREADABLE = (FFmpegError, OSError, ValueError, ArithmeticError, MemoryError)
"""What PyAV raises on bytes that are not what they claim to be."""

MOST_PIXELS = 8192 * 4608
"""Of a frame: 8K and a little. A header that promises more would be believed with gigabytes."""

STILLS = ("image2", "tty")
"""Formats of still images and of text, which FFmpeg would show as a video, beside those that end in _pipe."""


class MediaError(Exception):
    """Why a file cannot be used, without its name."""


class UnreadableError(MediaError):
    """It cannot even be opened."""


def reason_of(error: BaseException) -> str:
    """In words, on one line."""
    return " ".join(str(getattr(error, "strerror", None) or error or type(error).__name__).split())


@contextlib.contextmanager
def opened(path: Path) -> Generator[InputContainer]:
    """The file at path, whatever its name. Raises MediaError.

    An absolute path begins with no protocol, even where the name holds a colon. Playlists may name files only.
    """
    try:
        container = av.open(
            os.path.abspath(path),
            options={"protocol_whitelist": "file"},
            metadata_errors="replace",
        )
    except UNREADABLE as error:
        raise UnreadableError("no such file" if not os.path.lexists(path) else reason_of(error)) from error
    with container:
        yield container


def video_stream(container: InputContainer) -> VideoStream | None:
    """The stream that is the video, of several the one that is best or marked as such; covers and stills are none."""
    name = container.format.name
    if name in STILLS or name.endswith("_pipe"):
        return None
    found = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic and s.codec_context]
    best = container.streams.best("video")
    stream = next((s for s in found if best is not None and s.index == best.index), next(iter(found), None))
    if stream is not None:
        if stream.codec_context.width * stream.codec_context.height > MOST_PIXELS:
            raise MediaError(
                f"its frames have {stream.codec_context.width} x {stream.codec_context.height} pixels, more than 8K"
            )
        stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
    return stream
