"""The sound of a file, on the clock of its video: sample 0 belongs to the first frame that `video_file` gives (PyAV).

In: a path. Out: float32 blocks, in order and without gaps, finite, a second or so at a time however long the file is.
Knows no model and no device.
"""

# PyAV's stubs are partial.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import soxr
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError

from livemove.contracts import CameraError, Float32, Float64
from livemove.media import video_file
from livemove.media.clock import BACK_S, LONGEST_GAP_S, PacketClock
from livemove.media.opening import UNREADABLE, MediaError, UnreadableError, opened, reason_of, video_stream

CLOSE_S = 0.02
"""Sound whose time is off by less follows the sound before it without a gap: containers round their times."""
LATEST_S = 600.0
"""Sound may begin so long after the first frame."""

SILENT = 10 ** (-60 / 20)
"""RMS of a few milliseconds: a stream that is never louder has no sound."""
CANCELLED = 0.2
"""Channels whose sum keeps less of their power than their difference times this are in antiphase."""

UNKNOWN_BYTES = 0x7FFF0000
"""What a program writes that does not know yet how long its WAV becomes is as much or more."""

STRETCH = 256
BLOCK = 48000


@dataclass(frozen=True)
class Choice:
    """Which stream of a file is its sound (its index), and how its channels become one: weights float32 [channels].

    heard: whether it is ever louder than SILENT. note: what was chosen that nobody would expect, in words, or "".
    """

    index: int
    rate: int
    weights: Float32
    heard: bool = True
    note: str = ""


@dataclass
class SoundEnd:
    """Filled in as blocks are read. seconds: of sound, so far; promised_s: by the file's word, 0 without one."""

    seconds: float = 0.0
    promised_s: float = 0.0


def mono_blocks(path: Path, rate: int, choice: Choice | None = None, end: SoundEnd | None = None) -> Iterator[Float32]:
    """float32 [n] at rate, n of about a second: the sound of a video from its first frame on, or of a sound file.

    Gaps in the file's times are filled with silence. Raises MediaError, whose message does not name the file.
    """
    choice = choose(path) if choice is None else choice
    resampler = None if choice.rate == rate else soxr.ResampleStream(choice.rate, rate, 1, dtype="float32")
    for block in _blocks(path, choice, end or SoundEnd()):
        mono = _folded(block, choice.weights)
        if not np.isfinite(mono).all():
            raise MediaError("its sound is not all numbers")
        yield mono if resampler is None else resampler.resample_chunk(mono)
    if resampler is not None:
        yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def stereo_blocks(
    path: Path, rate: int, choice: Choice | None = None, end: SoundEnd | None = None
) -> Iterator[Float32]:
    """float32 [n, 1 or 2] at rate, as `mono_blocks`: what is there to be listened to."""
    choice = choose(path) if choice is None else choice
    channels = min(len(choice.weights), 2)
    resampler = None if choice.rate == rate else soxr.ResampleStream(choice.rate, rate, channels, dtype="float32")
    for block in _blocks(path, choice, end or SoundEnd(), "mono" if channels == 1 else "stereo"):
        interleaved = np.ascontiguousarray(block.T)
        if not np.isfinite(interleaved).all():
            raise MediaError("its samples are not all numbers")
        yield interleaved if resampler is None else resampler.resample_chunk(interleaved)
    if resampler is not None:
        yield resampler.resample_chunk(np.zeros((0, channels), np.float32), last=True)


# --- which sound --------------------------------------------------------------------------------------------


def choose(path: Path) -> Choice:
    """The first stream that can be heard, the file's own favourite before the others; the favourite if none can.

    Raises MediaError where there is no sound.
    """
    try:
        with opened(path) as container:
            streams = [s.index for s in container.streams.audio if cast("object", s.codec_context) is not None]
            best = container.streams.best("audio")
    except UnreadableError as error:
        raise MediaError(f"cannot be read: {error}") from error
    if not streams or best is None:
        raise MediaError("it has no sound")
    order = sorted(streams, key=lambda index: (index != best.index, index))
    found: list[Choice] = []
    for index in order:
        choice = _survey(path, index)
        if choice.heard and index != order[0]:
            note = f"its first sound is silent: stream {index} is taken"
            return replace(choice, note="; ".join(filter(None, (note, choice.note))))
        if choice.heard:
            return choice
        found.append(choice)
    return found[0]


def _survey(path: Path, index: int) -> Choice:
    """One stream, read through: how its channels go together, and whether it can be heard."""
    moment, square, count = np.zeros(1), np.zeros((1, 1)), 0
    rate, heard = 0, False
    with opened(path) as container:
        stream = cast(AudioStream, container.streams[index])
        with contextlib.suppress(FFmpegError):  # where it is read for good, it is said
            for block, rate in _decoded(container, stream):  # noqa: B007 (the last one counts)
                if len(block) != len(moment):
                    moment, square, count = np.zeros(len(block)), np.zeros((len(block), len(block))), 0
                samples = np.nan_to_num(block.astype(np.float64), posinf=0.0, neginf=0.0)
                moment += samples.sum(1)
                square += samples @ samples.T
                count += samples.shape[1]
                heard = heard or _power(samples) > SILENT**2
                if heard and len(block) == 1:
                    break
        rate = rate or stream.rate
    mean = moment / max(count, 1)
    weights, note = _fold(square / max(count, 1) - np.outer(mean, mean))
    return Choice(index, rate, weights, heard, note)


def _power(samples: Float64) -> float:
    """Of the loudest stretch of a few milliseconds of [channels, n], without what a constant adds to it."""
    length = min(samples.shape[1], STRETCH)
    whole = samples[:, : samples.shape[1] // max(length, 1) * length]
    return float(whole.reshape(len(samples), -1, length).var(2).max()) if whole.size else 0.0


def _fold(covariance: Float64) -> tuple[Float32, str]:
    """Weights [channels] of one channel out of several; those turned over that would otherwise be lost in the sum."""
    count = len(covariance)
    plain = np.full(count, 1 / count)
    signs = np.where(covariance[int(np.argmax(np.diag(covariance)))] < 0, -1.0, 1.0)
    aligned = plain * signs
    if count > 1 and plain @ covariance @ plain < CANCELLED * (aligned @ covariance @ aligned):
        return aligned.astype(np.float32), "its channels are in antiphase: one side is turned over"
    return plain.astype(np.float32), ""


def _folded(block: Float32, weights: Float32) -> Float32:
    """float32 [n] of [channels, n]; of as many channels as nobody looked at, the mean."""
    if len(block) == len(weights):
        return cast(Float32, weights @ block)
    return block.mean(0, dtype=np.float32)


# --- its blocks ---------------------------------------------------------------------------------------------


def _blocks(path: Path, choice: Choice, end: SoundEnd, layout: str | None = None) -> Iterator[Float32]:
    """float32 [channels, n] at the stream's rate, each where it belongs."""
    origin_s = _first_frame_s(path)
    done, offset_s = 0, 0.0
    with opened(path) as container:
        if origin_s is None:
            end.promised_s = max(float(container.duration or 0) / av.time_base, _wav_s(path))
        try:
            for block, begin_s in _timed(container, cast(AudioStream, container.streams[choice.index]), choice, layout):
                if origin_s is None:
                    origin_s = begin_s or 0.0
                place = done if begin_s is None else round((begin_s - origin_s + offset_s) * choice.rate)
                if place < done - BACK_S * choice.rate and done > 0:  # times begin again: go on from here
                    offset_s += (done - place) / choice.rate
                    place = done
                if abs(place - done) < CLOSE_S * choice.rate and done > 0:
                    place = done
                longest_s = LONGEST_GAP_S if done else LATEST_S
                if place - done > longest_s * choice.rate:
                    raise MediaError(
                        f"its sound's times jump from {done / choice.rate:.1f} to {place / choice.rate:.1f} s; cut it "
                        "there, or convert it to a new file"
                    )
                block = block[:, max(done - place, 0) :]
                while place > done and block.shape[1]:
                    gap = min(place - done, BLOCK)
                    yield np.zeros((len(block), gap), np.float32)
                    done += gap
                if block.shape[1]:
                    yield block
                    done += block.shape[1]
                end.seconds = done / choice.rate
        except UNREADABLE as error:
            raise MediaError(f"its sound is damaged after {done / choice.rate:.1f} s: {reason_of(error)}") from error
    if not done:
        raise MediaError("it has no sound")


def _wav_s(path: Path) -> float:
    """Seconds that the header of a WAV tells; FFmpeg takes the file's size for it. 0: it is none, or does not tell."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
    at, bytes_per_s = 12, 0
    while head[:4] == b"RIFF" and head[8:12] == b"WAVE" and at + 8 <= len(head):
        size = int.from_bytes(head[at + 4 : at + 8], "little")
        if head[at : at + 4] == b"fmt ":
            bytes_per_s = int.from_bytes(head[at + 16 : at + 20], "little")
        if head[at : at + 4] == b"data":
            return size / bytes_per_s if bytes_per_s and size < UNKNOWN_BYTES else 0.0
        at += 8 + size + size % 2
    return 0.0


def _timed(
    container: InputContainer, stream: AudioStream, choice: Choice, layout: str | None
) -> Iterator[tuple[Float32, float | None]]:
    """(float32 [channels, about a second], when it begins by the file's word), what follows without a gap together."""
    parts: list[Float32] = []
    begin_s: float | None = None
    count = 0
    for block, rate, time_s in _decoded_with_times(container, stream, layout):
        if rate != choice.rate:
            raise MediaError(f"the sound changes its rate from {choice.rate} to {rate}")
        due_s = None if begin_s is None else begin_s + count / rate
        apart = time_s is not None and due_s is not None and abs(time_s - due_s) > CLOSE_S / 2
        if parts and (apart or count >= BLOCK or len(block) != len(parts[0])):
            yield np.concatenate(parts, 1), begin_s
            parts, begin_s, count = [], None, 0
        if not parts:
            begin_s = time_s
        parts.append(block)
        count += block.shape[1]
    if parts:
        yield np.concatenate(parts, 1), begin_s


def _decoded(container: InputContainer, stream: AudioStream) -> Iterator[tuple[Float32, int]]:
    for block, rate, _ in _decoded_with_times(container, stream, None):
        yield block, rate


def _decoded_with_times(
    container: InputContainer, stream: AudioStream, layout: str | None
) -> Iterator[tuple[Float32, int, float | None]]:
    """(float32 [channels, n], rate, time by the file's word) of each frame, from straightened packets."""
    packets = PacketClock(container)
    also = video_file.timed_streams(container) if packets.active else [stream]
    resampler, like = av.AudioResampler(format="fltp", layout=layout), None
    for packet in container.demux(also):
        flush = packet.dts is None and packet.pts is None and not packet.size
        if not flush:
            packets.straighten(packet)
        if packet.stream.index != stream.index or (not packet.size and not flush):
            continue
        for frame in stream.decode(cast(Any, packet)):
            kind = (frame.format.name, frame.layout.name, frame.sample_rate)
            if like is not None and kind != like:  # a broadcast may go from stereo to 5.1
                resampler = av.AudioResampler(format="fltp", layout=layout)
            like = kind
            time_s = float(frame.pts * frame.time_base) if frame.pts is not None and frame.time_base else None
            for part in resampler.resample(frame):
                yield cast(Float32, part.to_ndarray()), frame.sample_rate, time_s


def _first_frame_s(path: Path) -> float | None:
    """What the file calls the time of the first frame; None where it has no video, or none that can be read."""
    with opened(path) as container:
        if video_stream(container) is None:
            return None
    frames: Generator[video_file.Shown] = video_file.decoded(path)
    with contextlib.closing(frames), contextlib.suppress(CameraError):
        return next(frames).origin_s
    return None
