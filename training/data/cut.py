"""Some seconds of one video, or of a video and a sound stream that came apart, as an mp4 (PyAV; no ffmpeg program).

In: files as they were downloaded. Out: H.264 and AAC, times counted from the cut. Knows no network.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError

from livemove.contracts import Float32, LivemoveError
from livemove.media.clock import fps_of
from livemove.media.geometry import PixelShape, as_yuv, even, geometry_of
from livemove.media.opening import video_stream

TICKS = 90_000
SOUND_RATES = (48000, 44100, 32000, 24000, 22050, 16000)
SHORTEST_S = 1.0


class CutError(LivemoveError):
    """Nothing usable between these seconds; the message says why, without the file's name."""


def cut(parts: Sequence[Path], start_s: float, end_s: float, target: Path) -> tuple[float, bool]:
    """Write seconds start_s .. end_s of parts to target; (seconds written, whether there is sound).

    The video comes from the first part that has one, so does the sound. Raises CutError, and OSError if target cannot
    be written.
    """
    with contextlib.ExitStack() as stack:
        try:
            opened = [stack.enter_context(av.open(str(part))) for part in parts]
        except FFmpegError as error:
            raise CutError(f"what came is no video: {error.strerror or error}") from error
        container = next((c for c in opened if video_stream(c) is not None), None)
        if container is None:
            raise CutError("what came has no video")
        sounds = next((c for c in opened if c.streams.audio), None)
        try:
            sound, rate = _sound(sounds, start_s, end_s) if sounds else (np.zeros((1, 0), np.float32), SOUND_RATES[0])
        except FFmpegError as error:
            raise CutError(f"its sound is damaged: {error.strerror or error}") from error
        with av.open(str(target), "w", format="mp4") as out:
            seconds = _encode(container, sound, rate, start_s, end_s, out)
    if seconds < SHORTEST_S:
        raise CutError(f"it ends before second {start_s + SHORTEST_S:g}")
    return seconds, sound.shape[1] > 0


def _origin_s(container: InputContainer) -> float:
    return (container.start_time or 0) / av.time_base


def _seek(container: InputContainer, start_s: float) -> None:
    """To the key frame before start_s; a file that cannot be searched is read from its beginning."""
    with contextlib.suppress(FFmpegError):
        container.seek(int((start_s + _origin_s(container)) * av.time_base))


def _sound(container: InputContainer, start_s: float, end_s: float) -> tuple[Float32, int]:
    """(float32 [channels, samples] that lasts from start_s on, silence where there is none; a rate AAC knows)."""
    stream = container.streams.audio[0]
    rate = stream.rate if stream.rate in SOUND_RATES else SOUND_RATES[0]
    layout = "mono" if stream.channels == 1 else "stereo"
    resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate)
    origin_s = _origin_s(container)
    out = np.zeros((1 if layout == "mono" else 2, round((end_s - start_s) * rate)), np.float32)
    written = 0
    _seek(container, start_s)
    for decoded in container.decode(stream):
        if decoded.pts is None:
            continue
        if decoded.time - origin_s >= end_s:
            break
        for frame in resampler.resample(decoded):
            samples = frame.to_ndarray()
            place = round((frame.time - origin_s - start_s) * rate)
            first, last = max(-place, 0), min(samples.shape[1], out.shape[1] - place)
            if last > first:
                out[:, place + first : place + last] = samples[:, first:last]
                written = max(written, place + last)
    return out[:, :written], rate


def _encode(
    source: InputContainer, sound: Float32, rate: int, start_s: float, end_s: float, out: av.container.OutputContainer
) -> float:
    """Both streams into out; seconds of video."""
    stream = video_stream(source)
    if stream is None:
        raise CutError("what came has no video")
    fps = fps_of(stream)
    video = out.add_stream("libx264", rate=round(fps) or 1)
    video.pix_fmt = "yuv420p"
    video.options = {"crf": "20", "preset": "veryfast", "x264-params": "bframes=0"}
    video.codec_context.time_base = Fraction(1, TICKS)
    audio = None
    if sound.shape[1]:
        audio = out.add_stream("aac", rate=rate, layout="mono" if len(sound) == 1 else "stereo")
        audio.bit_rate = 192_000  # the sound is what is learnt from
    origin_s, seconds = _origin_s(source), 0.0
    shape, size = PixelShape(stream), (0, 0)
    _seek(source, start_s)
    try:
        for frame in source.decode(stream):
            if frame.pts is None or frame.time - origin_s < start_s - 1e-3:
                continue
            at_s = frame.time - origin_s - start_s
            if at_s >= end_s - start_s - 1e-3:
                break
            seconds = at_s + 1 / fps
            geometry = geometry_of(frame, shape.now())
            if size == (0, 0):
                size = video.width, video.height = even(geometry.shown)
            small = as_yuv(frame, geometry, *size)
            small.pts, small.time_base, small.pict_type = round(max(at_s, 0.0) * TICKS), Fraction(1, TICKS), 0
            out.mux(video.encode(small))
    except FFmpegError as error:
        raise CutError(f"its video is damaged: {error.strerror or error}") from error
    out.mux(video.encode(None))
    if audio is not None:
        for first in range(0, sound.shape[1], 1024):
            block = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(sound[:, first : first + 1024]), "fltp", "mono" if len(sound) == 1 else "stereo"
            )
            block.sample_rate, block.pts = rate, first
            out.mux(audio.encode(block))
        out.mux(audio.encode(None))
    return seconds
