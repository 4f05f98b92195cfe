"""The video of a take: what the camera saw, or the dancer drawn from the poses, with the sound that was played.

In: a take. Out: an mp4, each frame the newest one, or of the newest pose, at the moment its sound was heard. Knows no
camera and no engine.
"""

# PyAV's stubs are partial.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.error import FFmpegError
from av.video.frame import VideoFrame

from livemove.body.landmarks import BONES
from livemove.contracts import Float32, Float64, OutputError, TakeError
from livemove.media import soundtrack
from livemove.takes.folder import STREAM, Rows, Sound
from livemove.takes.reading import DISAGREE, Take

FPS = 30
HEIGHT = 720
GONE_S = 0.5
"""A pose that old is nobody's."""

BACK = np.array((14, 15, 19), np.float32)
LIGHT = np.array((255, 176, 64), np.float32)
GLOW = 0.85
"""What is left of the light one frame later."""

SHAPES = (16 / 9, 4 / 3, 1.0, 3 / 4, 9 / 16)
"""Aspect ratios cameras give, width by height."""


def write_take_video(take: Take, output: Path, on_progress: Callable[[float], None]) -> None:
    """Write output, which appears whole or not at all; on_progress gets the seconds done. Raises LivemoveError."""
    frames = camera_frames(take) if len(take.video()) else drawn_frames(take)
    try:
        with tempfile.TemporaryDirectory(prefix=".livemove-", dir=output.absolute().parent) as folder:
            sound, silent, whole = (Path(folder) / name for name in ("sound.wav", "silent.mp4", "video.mp4"))
            wave = Sound(sound, take.info.rate, sides=take.sides)
            wave.write(take.sound()[:, : take.sides])
            wave.close()
            _encode(frames, silent, on_progress)
            soundtrack.put_sound_under(silent, sound, whole, lambda _: None)
            os.replace(whole, output)
    except OSError as error:
        raise OutputError(f"{output}: cannot be written: {error.strerror}; choose another --output") from error
    except DISAGREE as error:
        raise TakeError(f"{take.path}: its files do not fit together ({' '.join(str(error).split())[:120]})") from error


def _encode(frames: Iterator[VideoFrame], path: Path, on_progress: Callable[[float], None]) -> None:
    """All in the size of the first."""
    with av.open(str(path), "w", format="mp4") as target:
        stream = target.add_stream("libx264", rate=FPS)
        stream.pix_fmt = "yuv420p"
        # As in soundtrack.py: what else x264 may do makes its files differ from run to run.
        stream.options = {"crf": "20", "preset": "veryfast", "x264-params": "bframes=0:weightp=0"}
        for number, frame in enumerate(frames):
            if number == 0:
                stream.width, stream.height = frame.width, frame.height
            shown = frame.reformat(stream.width, stream.height, "yuv420p")
            shown.pts = None  # one after the other
            shown.pict_type = 0  # the encoder chooses; else it copies the stream's choice
            target.mux(stream.encode(shown))
            on_progress(number / FPS)
        target.mux(stream.encode(None))


def moments(take: Take) -> Iterator[float]:
    """When the sound under each frame of the video was heard, on the clock of the take."""
    heard_s: Float64 = take.blocks["dac_s"].astype(np.float64)
    sample: Float64 = (np.cumsum(take.blocks["frames"]) - take.blocks["frames"]).astype(np.float64)
    for number in range(int(take.seconds * FPS)):
        yield float(np.interp(number / FPS * take.info.rate, sample, heard_s))


# --- what the camera saw ------------------------------------------------------------------------------------


def camera_frames(take: Take) -> Iterator[VideoFrame]:
    """The camera's newest frame at every moment; its first one until that was there. Raises TakeError."""
    frames = _decoded(take)
    shown = waiting = next(frames, None)
    if shown is None:
        raise TakeError(f"{take.path / STREAM}: there is no frame in it")
    for now_s in moments(take):
        while waiting is not None and waiting[0] <= now_s:
            shown, waiting = waiting, next(frames, None)
        yield shown[1]


def _decoded(take: Take) -> Iterator[tuple[float, VideoFrame]]:
    """(when it was captured, frame) of all that are whole, in order."""
    rows, path = take.video(), take.path / STREAM
    context = av.CodecContext.create("h264", "r")
    try:
        with path.open("rb") as file:
            for number in range(int(np.argmax(rows["key"] > 0)), len(rows)):
                file.seek(int(rows["begin"][number]))
                packet = av.Packet(file.read(int(rows["size"][number])))
                packet.pts = number
                for frame in context.decode(packet):
                    yield float(rows["capture_s"][frame.pts]), frame
        for frame in context.decode(None):
            yield float(rows["capture_s"][frame.pts]), frame
    except (FFmpegError, OSError) as error:
        raise TakeError(f"{path}: cannot be read: {error.strerror}") from error


# --- drawn in light -----------------------------------------------------------------------------------------


def _width(shape: float) -> int:
    return round(HEIGHT * shape / 2) * 2


def shape_of(poses: Rows) -> float:
    """Width by height of the camera's image: a metre has as many pixels across as down."""
    seen = poses[(poses["people"] > 0) & poses["visibility"].any(axis=1)]
    if not len(seen):
        return SHAPES[0]
    image: Float64 = (seen["image"] - seen["image"].mean(axis=1, keepdims=True)).astype(np.float64)
    world: Float64 = (seen["world"] - seen["world"].mean(axis=1, keepdims=True)).astype(np.float64)
    across, down = (np.abs((image[..., i] * world[..., i]).sum()) / (world[..., i] ** 2).sum() for i in (0, 1))
    return min(SHAPES, key=lambda shape: abs(np.log(max(down, 1e-9) / max(across, 1e-9) / shape)))


def drawn_frames(take: Take) -> Iterator[VideoFrame]:
    """The dancer at every moment, in light that fades. Raises TakeError."""
    if not len(take.poses):
        raise TakeError(f"{take.path}: this take holds no poses to draw")
    shape = shape_of(take.poses)
    size = np.array((_width(shape), HEIGHT), np.float64)
    captured_s: Float64 = take.poses["capture_s"]
    light = np.zeros((HEIGHT, _width(shape)), np.float32)
    for now_s in moments(take):
        light *= GLOW
        upto = int(np.searchsorted(captured_s, now_s, side="right"))
        if upto and now_s - captured_s[upto - 1] < GONE_S:
            for person in take.poses[np.searchsorted(captured_s, captured_s[upto - 1]) : upto]:
                if person["people"] and person["visibility"].any():
                    _draw(light, person["image"][:, :2] * size, person["visibility"])
        image = (BACK + light[..., None] * (LIGHT - BACK)).astype(np.uint8)
        yield VideoFrame.from_ndarray(image, format="rgb24")


def _draw(light: Float32, joints: npt.NDArray[np.floating], visible: Float32) -> None:
    """Bones and head of one person into light, in place; joints [33, 2] in pixels."""
    trunk = float(np.linalg.norm(joints[[11, 12]].mean(axis=0) - joints[[23, 24]].mean(axis=0)))
    thick = max(0.06 * trunk, 2.0)
    for a, b in BONES:
        _line(light, joints[a], joints[b], thick, float(min(visible[a], visible[b])))
    head = joints[[7, 8]].mean(axis=0)
    _line(light, head, head, max(0.36 * trunk, 4.0), float(visible[0]))


def _line(light: Float32, a: Float64, b: Float64, thick: float, brightness: float) -> None:
    """A round-ended line, its edge a pixel soft."""
    reach = thick / 2 + 1
    low = np.maximum(np.floor(np.minimum(a, b) - reach), 0).astype(int)
    high = np.minimum(np.ceil(np.maximum(a, b) + reach) + 1, light.shape[::-1]).astype(int)
    if (low >= high).any() or not np.isfinite([*a, *b]).all():
        return
    y, x = np.mgrid[low[1] : high[1], low[0] : high[0]]
    dx, dy = b - a
    along = np.clip(((x - a[0]) * dx + (y - a[1]) * dy) / max(dx * dx + dy * dy, 1e-9), 0.0, 1.0)
    distance = np.hypot(x - a[0] - along * dx, y - a[1] - along * dy)
    part = light[low[1] : high[1], low[0] : high[0]]
    np.maximum(part, brightness * np.clip(thick / 2 + 0.5 - distance, 0.0, 1.0), out=part, casting="same_kind")
