"""Films made on the spot for tests: flashes in the image, clicks or tones in the sound, both at known times.

In: times and sounds, or a clip to cut. Out: files. Of livemove it knows the reader of video files alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from livemove.media import video_file

RATE = 48000


def tone(seconds: float, hz: float = 440.0, level: float = 0.3) -> np.ndarray:
    """float32 [samples]."""
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def clicks(seconds: float, at_s: list[float]) -> np.ndarray:
    """float32 [samples]: silence with a decaying noise of 20 ms at each of these times."""
    out = np.zeros(round(seconds * RATE), np.float32)
    burst = np.random.default_rng(0).standard_normal(960) * np.exp(-np.arange(960) / 200)
    for time_s in at_s:
        place = round(time_s * RATE)
        out[place : place + 960] += 0.3 * burst[: len(out) - place]
    return out


def flashing(seconds: int) -> tuple[list[np.ndarray], np.ndarray]:
    """(images at 25 fps, sound): white for two frames from each whole second on, and a beep of 80 ms that begins with
    it."""
    images = [np.full((48, 64, 3), 255 if i % 25 < 2 else 40, np.uint8) for i in range(25 * seconds)]
    t = np.arange(seconds * RATE) / RATE
    return images, np.where(t % 1 < 0.08, 0.5 * np.cos(2 * np.pi * 1000 * t), 0.0).astype(np.float32)


def make_film(
    path: Path,
    seconds: float = 3.0,
    sound: np.ndarray | None = None,
    flashes_s: list[float] | None = None,
    fps: int = 25,
    begin_s: float = 0.0,
    sound_begin_s: float | None = None,
) -> Path:
    """A film of a moving grey field, white in the frames nearest to flashes_s; times in it begin at begin_s.

    sound float32 [samples] at RATE, None for none; sound_begin_s: where it begins, like the image if None.
    """
    lossless = path.suffix == ".mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=fps)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.options = {"g": "10"}
        video.codec_context.time_base = Fraction(1, fps)
        voice = None
        if sound is not None:
            voice = container.add_stream("flac" if lossless else "aac", rate=RATE, layout="mono")
        white = {round(time_s * fps) for time_s in flashes_s or []}
        for i in range(round(seconds * fps)):
            image = np.full((48, 64, 3), 255 if i in white else 40 + i % 60, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = i + round(begin_s * fps), Fraction(1, fps)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if voice is not None and sound is not None:
            offset = round((begin_s if sound_begin_s is None else sound_begin_s) * RATE)
            for first in range(0, len(sound), 1024):
                part = np.ascontiguousarray(sound[None, first : first + 1024])
                if lossless:
                    part = (part * 32767).astype(np.int16)
                block = av.AudioFrame.from_ndarray(part, "s16" if lossless else "fltp", "mono")
                block.sample_rate, block.pts, block.time_base = RATE, first + offset, Fraction(1, RATE)
                container.mux(voice.encode(block))
            container.mux(voice.encode(None))
    return path


def flashes(path: Path) -> list[float]:
    """When the image is white, in seconds from its first frame."""
    found: list[float] = []
    start: float | None = None
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            start = frame.time if start is None else start
            if frame.to_ndarray(format="gray").mean() > 200:
                found.append(frame.time - start)
    return found


def make_clip(path: Path, codec: str, count: int = 25, width: int = 64, height: int = 48, fps: int = 25) -> Path:
    """A clip that gets brighter by 8 grey levels a frame, from 16 to 255."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for i in range(count):
            image = np.full((height, width, 3), min(16 + 8 * i, 255), np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def cut(clip: Path, short: Path, frames: int) -> None:
    """The first frames of a clip as a film of its own."""
    with av.open(str(short), "w") as container:
        stream = None
        for number, (_, image) in enumerate(video_file.frames(clip)):
            if number == frames:
                break
            if stream is None:
                stream = container.add_stream("mpeg4", rate=25)
                stream.height, stream.width = image.shape[:2]
                stream.pix_fmt = "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
        assert stream is not None
        container.mux(stream.encode(None))


def write_video(
    path: Path,
    images: Iterable[np.ndarray],
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    fps: int = 25,
    options: dict[str, str] | None = None,
    matrix: tuple[int, int, int, int] | None = None,
    pixel_shape: Fraction | None = None,
    container_format: str | None = None,
    sound: np.ndarray | None = None,
    sound_codec: str = "pcm_s16le",
    pts: Sequence[int] | None = None,
) -> Path:
    """A video of images uint8 RGB [height, width, 3], as a camera or program of any kind may have written it.

    matrix: (a, b, c, d) of the display matrix; pixel_shape: width by height; pts: of the frames, in 1/fps, one after
    the other without. sound float32 [samples] at RATE begins with the first frame.
    """
    with av.open(str(path), "w", format=container_format) as container:
        stream = container.add_stream(codec, rate=fps)
        stream.options = dict(options or {})
        stream.pix_fmt = pix_fmt
        if matrix is not None:
            a, b, c, d = (value << 16 for value in matrix)
            stream.set_display_matrix((a, b, 0, c, d, 0, 0, 0, 1 << 30))
        if pixel_shape is not None:
            stream.codec_context.sample_aspect_ratio = pixel_shape
        voice = None if sound is None else container.add_stream(sound_codec, rate=RATE, layout="mono")
        for number, image in enumerate(images):
            if number == 0:
                stream.height, stream.width = image.shape[:2]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base = number if pts is None else pts[number], Fraction(1, fps)
            container.mux(stream.encode(frame))
            if voice is not None and sound is not None:
                first = round(number * RATE / fps)
                part = np.ascontiguousarray(sound[None, first : round((number + 1) * RATE / fps)])
                if not part.size:
                    continue
                block = av.AudioFrame.from_ndarray((part * 32767).astype(np.int16), "s16", "mono")
                block.sample_rate, block.pts, block.time_base = RATE, first, Fraction(1, RATE)
                container.mux(voice.encode(block))
        container.mux(stream.encode(None))
        if voice is not None:
            container.mux(voice.encode(None))
    return path
