"""What a clip plays when somebody has stored it in another way: `python -m tests.measure.reencoded CLIP`.

In: a video of a dancer. Out, for every way it is written here (codecs, pixel shapes, rotations, containers without
times): the correlation r of the theremin's pitch and brightness with those of the clean copy, through the chain of
`livemove render` from decoder and landmarker to mapping; how many frames came, and how far from their times. Then a
flash against a beep. Exit code 1 if one is outside the bounds that issue reports set. Knows no device.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from livemove.body.features import FEATURES
from livemove.body.mapping import load_mapping
from livemove.bundle import Bundle, load_bundle
from livemove.contracts import Float32, ModelSpec
from livemove.media import sound_file, video_file
from livemove.offline.render import Player, RenderConfig, Take, Voice, poses_of
from tests.support.videos import RATE, flashing, write_video

FPS = 25
WIDTH, HEIGHT = 1280, 720

Image = np.ndarray


@dataclass(frozen=True)
class Variant:
    """One way to store a clip. size: of the frames as stored, (width, height), before they are turned; stored: from an
    image as displayed to the one that is written; told: whether the file says what was done to it.

    pitch, brightness: the least r.
    """

    name: str
    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict[str, str])
    container_format: str | None = None
    size: tuple[int, int] = (WIDTH, HEIGHT)
    pixel_shape: Fraction | None = None
    matrix: tuple[int, int, int, int] | None = None
    stored: Callable[[Image], Image] = lambda image: image
    pitch: float = 0.99
    brightness: float = 0.95


PLAIN = {"crf": "18", "preset": "veryfast", "x264-params": "bframes=0"}
REORDERED = {"crf": "18", "preset": "veryfast", "x264-params": "bframes=2:b-adapt=0"}
SHARP = {"qmin": "2", "qmax": "4"}

CLEAN = Variant("clean.mp4", options=PLAIN)

HARMLESS = (
    Variant("crf28.mkv", options={"crf": "28", "preset": "veryfast"}, brightness=0.98),
    Variant("hevc10.mp4", "libx265", "yuv420p10le", {"crf": "24", "x265-params": "log-level=none"}, brightness=0.98),
    Variant("mpeg4.mp4", "mpeg4", options=SHARP, brightness=0.98),
    Variant("mjpeg.mov", "mjpeg", "yuvj420p", SHARP, brightness=0.98),
)  # fmt: skip

GEOMETRY = (
    Variant("dv 64:45.avi", "dvvideo", size=(720, 576), pixel_shape=Fraction(64, 45)),
    Variant("mpeg2 64:45.ts", "mpeg2video", options=SHARP, size=(720, 576), pixel_shape=Fraction(64, 45)),
    Variant("h264 2:1.mp4", options=PLAIN, size=(640, 720), pixel_shape=Fraction(2)),
    Variant("hdv 4:3.ts", "mpeg2video", options=SHARP, size=(1440, 1080), pixel_shape=Fraction(4, 3)),
    Variant("ntsc 32:27.mpg", "mpeg2video", options=SHARP, size=(720, 480), pixel_shape=Fraction(32, 27)),
    Variant("h264 1:2.mkv", options=PLAIN, size=(1280, 360), pixel_shape=Fraction(1, 2)),
    Variant("mjpeg 270.mov", "mjpeg", "yuvj420p", SHARP, matrix=(0, -1, 1, 0), stored=lambda x: np.rot90(x, -1)),
    Variant("prores 90.mov", "prores_ks", "yuv422p10le", matrix=(0, 1, -1, 0), stored=np.rot90),
    Variant("mpeg4 180.mp4", "mpeg4", options=SHARP, matrix=(-1, 0, 0, -1), stored=lambda x: np.rot90(x, 2)),
    Variant("h264 mirrored.mp4", options=PLAIN, matrix=(-1, 0, 0, 1), stored=np.fliplr),
)

TIMES = (
    Variant("reordered.avi", options=REORDERED, brightness=0.98),
    Variant("mpeg4.avi", "mpeg4", options={**SHARP, "bf": "2"}, brightness=0.98),
    Variant("raw.h264", options=PLAIN, container_format="h264", brightness=0.98),
    Variant("reordered.h264", options=REORDERED, container_format="h264", brightness=0.98),
    Variant("raw.h265", "libx265", options={"crf": "20", "x265-params": "bframes=0:log-level=none"},
            container_format="hevc", brightness=0.98),
)  # fmt: skip

UNTOLD = Variant("640x720, its shape untold.mp4", options=PLAIN, size=(640, 720))
"""A control: what cannot be mended, because the file does not say it, shows what r is worth."""

LATEST_S = 5e-3
"""Between a flash and its beep."""


def clean_images(clip: Path, seconds: float) -> list[Image]:
    """uint8 RGB [HEIGHT, WIDTH, 3] of a clip's first seconds at FPS, bars beside what has another shape."""
    images: list[Image] = []
    with contextlib.closing(video_file.decoded(clip)) as frames:
        for shown in frames:
            if len(images) >= seconds * FPS:
                break
            if shown.time_s < len(images) / FPS - 1e-3:
                continue  # more frames a second than that
            width, height = shown.geometry.shown
            scale = min(WIDTH / width, HEIGHT / height)
            small = av.VideoFrame.from_ndarray(video_file.as_image(shown.frame, shown.geometry), format="rgb24")
            fits = round(width * scale / 2) * 2, round(height * scale / 2) * 2
            image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
            left, top = (WIDTH - fits[0]) // 2, (HEIGHT - fits[1]) // 2
            fitted = small.reformat(*fits, interpolation="BICUBIC").to_ndarray()
            image[top : top + fits[1], left : left + fits[0]] = fitted
            images.append(image)
    return images


def written(folder: Path, variant: Variant, images: list[Image]) -> Path:
    def stored() -> Iterator[Image]:
        for image in images:
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            yield variant.stored(frame.reformat(*variant.size, interpolation="BICUBIC").to_ndarray())

    return write_video(
        folder / variant.name, stored(), variant.codec, variant.pix_fmt, FPS, variant.options, variant.matrix,
        variant.pixel_shape, variant.container_format,
    )  # fmt: skip


class _Channels:
    """In the place of an engine: keeps what it is asked to play."""

    name = "none"

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.asked: list[Float32] = []

    def reset(self) -> None:
        self.asked.clear()

    def generate(self, out: Float32, channels: Float32, noise: Float32, **_: object) -> None:
        self.asked.append(channels.copy())


@dataclass(frozen=True)
class Played:
    """channels float32 [hops, C] that a clip plays; times of its frames; share of them with somebody in view."""

    channels: Float32
    times_s: np.ndarray
    person: float


def played(clip: Path, bundle: Bundle, pose_model: Path | None) -> Played:
    """By the chain of `livemove render`."""
    assert bundle.mapping_path is not None
    config = RenderConfig(clip, clip.with_suffix(".wav"), bundle.path, pose_model=pose_model)
    engine, take, times = _Channels(bundle.spec), Take(), []
    mapping = load_mapping(bundle.mapping_path, bundle.spec, FEATURES)
    player = Player(config, [Voice(config, bundle.spec, engine, mapping)])
    with contextlib.closing(poses_of(config, 1 / FPS, take)) as poses:
        for pose, until_s in poses:
            times.append(pose.capture_s)
            for _ in player.play(pose, until_s):
                pass
    return Played(np.concatenate(engine.asked), np.array(times), take.poses / max(take.frames, 1))


@dataclass(frozen=True)
class Compared:
    """A variant against the clean clip. late_ms: the largest error of a frame's time."""

    variant: Variant
    pitch: float
    brightness: float
    frames: int
    late_ms: float
    person: float

    @property
    def good(self) -> bool:
        wanted = self.variant
        return self.pitch >= wanted.pitch and self.brightness >= wanted.brightness and self.late_ms <= 2.0


def compared(variant: Variant, clip: Path, clean: Played, bundle: Bundle, pose_model: Path | None) -> Compared:
    found = played(clip, bundle, pose_model)
    hops = min(len(found.channels), len(clean.channels))
    names = bundle.spec.channel_names
    r = {
        name: float(np.corrcoef(found.channels[:hops, column], clean.channels[:hops, column])[0, 1])
        for column, name in enumerate(names)
    }
    count = len(found.times_s)
    late_ms = 1e3 * float(np.abs(found.times_s - np.arange(count) / FPS).max()) if count else float("inf")
    if count != len(clean.times_s):
        late_ms = float("inf")
    return Compared(variant, r["pitch"], r["brightness"], count, late_ms, found.person)


FLASHES = {
    "h264 reordered.avi": ("libx264", REORDERED, "pcm_s16le"),
    "mpeg4 reordered.avi": ("mpeg4", {"bf": "2"}, "pcm_s16le"),
    "h264 reordered.mkv": ("libx264", REORDERED, "pcm_s16le"),
    "h264 reordered.ts": ("libx264", REORDERED, "mp2"),
}


def flash_against_beep(path: Path, codec: str, options: dict[str, str], sound_codec: str) -> list[float]:
    """Seconds by which each beep follows its flash, once a second, in a video of four seconds."""
    images, sound = flashing(4)
    clip = write_video(path, images, codec, options=options, sound=sound, sound_codec=sound_codec)
    white = [time_s for time_s, image in video_file.frames(clip) if image.mean() > 200]
    flashes = [time_s for time_s in white if not any(0 < time_s - other < 0.1 for other in white)]
    heard = np.concatenate([*sound_file.mono_blocks(clip, RATE)])
    loud = np.flatnonzero(np.abs(heard) > 0.2)
    beeps = loud[np.diff(loud, prepend=-RATE) > RATE // 2] / RATE
    return [float(beep - flash) for flash, beep in zip(flashes, beeps, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--model", type=Path, default=Path("models/theremin"))
    parser.add_argument("--pose-model", type=Path)
    arguments = parser.parse_args()
    bundle = load_bundle(arguments.model)
    images = clean_images(arguments.clip, arguments.seconds)
    good = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clean = played(written(folder, CLEAN, images), bundle, arguments.pose_model)
        print(f"{len(images)} frames, somebody in view in {100 * clean.person:.0f} %; r of pitch and of brightness:")
        for variant in (*HARMLESS, *GEOMETRY, *TIMES, UNTOLD):
            path = written(folder, variant, images)
            row = compared(variant, path, clean, bundle, arguments.pose_model)
            path.unlink()
            verdict = "a control" if variant is UNTOLD else "" if row.good else "MISSED"
            good = good and verdict != "MISSED"
            print(f"{variant.name:32} {row.pitch:7.4f} {row.brightness:7.4f}  {row.frames} frames, times within "
                  f"{row.late_ms:.1f} ms  {verdict}", flush=True)  # fmt: skip
        for kind, (codec, options, sound_codec) in FLASHES.items():
            late = flash_against_beep(folder / kind, codec, options, sound_codec)
            missed = len(late) != 4 or max(map(abs, late)) > LATEST_S
            good = good and not missed
            print(f"{kind:32} flash and beep apart by {1e3 * max(map(abs, late)):.1f} ms at most  "
                  f"{'MISSED' if missed else ''}", flush=True)  # fmt: skip
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
