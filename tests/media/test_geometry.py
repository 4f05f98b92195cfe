"""Whatever way a frame is stored, it is seen, and written again, as it is displayed."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile as sf

from livemove.contracts import CameraError
from livemove.media import soundtrack, video_file
from livemove.media.geometry import geometry_of
from tests.support.videos import write_video

Image = np.ndarray

EIGHT: dict[tuple[int, int, int, int], Callable[[Image], Image]] = {
    (1, 0, 0, 1): lambda x: x,
    (0, 1, -1, 0): lambda x: np.rot90(x, -1),
    (-1, 0, 0, -1): lambda x: np.rot90(x, 2),
    (0, -1, 1, 0): np.rot90,
    (-1, 0, 0, 1): np.fliplr,
    (1, 0, 0, -1): np.flipud,
    (0, 1, 1, 0): lambda x: x.swapaxes(0, 1),
    (0, -1, -1, 0): lambda x: np.rot90(x, 2).swapaxes(0, 1),
}
"""Display matrix (a, b, c, d) -> what is displayed: x' = a x + c y, y' = b x + d y."""

KINDS = {
    "h264.mp4": ("libx264", "yuv420p"),
    "h264.mkv": ("libx264", "yuv420p"),
    "mjpeg.mov": ("mjpeg", "yuvj420p"),
    "prores.mov": ("prores_ks", "yuv422p10le"),
    "mpeg4.mp4": ("mpeg4", "yuv420p"),
}


def corners(width: int = 96, height: int = 64) -> Image:
    """Another grey in every corner."""
    image = np.zeros((height, width, 3), np.uint8)
    for row, column, grey in ((0, 0, 40), (0, 1, 100), (1, 0, 160), (1, 1, 220)):
        image[row * height // 2 :, column * width // 2 :] = grey
    image[height // 2 :, : width // 2] = 160
    return image


def differs(a: Image, b: Image) -> float:
    assert a.shape == b.shape
    return float(np.abs(a.astype(float) - b.astype(float)).mean())


def played(clip: Path, seconds: float = 0.4) -> Path:
    """The clip with another sound under it."""
    sound, output = clip.with_name("sound.wav"), clip.with_name("out.mp4")
    sf.write(sound, np.zeros(round(seconds * 48000)), 48000)
    soundtrack.put_sound_under(clip, sound, output, lambda _: None)
    return output


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("matrix", EIGHT)
def test_a_frame_is_seen_and_written_as_it_is_displayed(
    tmp_path: Path, kind: str, matrix: tuple[int, int, int, int]
) -> None:
    codec, pix_fmt = KINDS[kind]
    clip = write_video(tmp_path / kind, [corners()] * 10, codec, pix_fmt, matrix=matrix)
    wanted = EIGHT[matrix](corners())
    _, seen = next(video_file.frames(clip))
    assert differs(seen, wanted) < 5
    copies = list(video_file.frames(played(clip)))
    assert len(copies) == 10
    assert differs(copies[0][1], wanted) < 5


@pytest.mark.parametrize(
    ("kind", "codec", "size", "shape", "shown"),
    [
        ("dv.avi", "dvvideo", (720, 576), Fraction(64, 45), (1024, 576)),
        ("mpeg2.ts", "mpeg2video", (720, 576), Fraction(64, 45), (1024, 576)),
        ("double.mp4", "libx264", (320, 360), Fraction(2), (640, 360)),
        ("tall.mkv", "libx264", (360, 320), Fraction(1, 2), (360, 640)),
        ("ntsc.mpg", "mpeg2video", (720, 480), Fraction(8, 9), (720, 540)),
    ],
)
def test_pixels_are_made_square(
    tmp_path: Path, kind: str, codec: str, size: tuple[int, int], shape: Fraction, shown: tuple[int, int]
) -> None:
    """What is stored as an ellipse is a circle."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    across = (x - width / 2) * float(shape)
    radius = 0.4 * min(height, width * float(shape))
    disc = np.where(np.hypot(across, y - height / 2) < radius, 230, 30).astype(np.uint8)
    clip = write_video(tmp_path / kind, [np.dstack([disc] * 3)] * 10, codec, pixel_shape=shape)
    for path in (clip, played(clip)):
        image = next(video_file.frames(path))[1]
        assert image.shape[:2] == shown[::-1]
        bright = image[..., 1] > 128
        assert bright.any(0).sum() / bright.any(1).sum() == pytest.approx(1.0, abs=0.03)


def test_a_narrow_frame_lying_down_stands_up_with_its_shape(tmp_path: Path) -> None:
    """Turned after its pixels were made square: 96 x 64 at 2:1 lying is 64 x 192 standing."""
    clip = write_video(tmp_path / "x.mp4", [corners()] * 10, "mpeg4", matrix=(0, 1, -1, 0), pixel_shape=Fraction(2))
    assert next(video_file.frames(clip))[1].shape == (192, 64, 3)
    with av.open(str(played(clip))) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (64, 192)


def test_the_contrast_of_full_range_video_stays(tmp_path: Path) -> None:
    """MJPEG uses all 256 values of its bytes; told as a range that no player asks for, the copy would be too hard."""
    clip = write_video(tmp_path / "x.mov", [corners()] * 10, "mjpeg", "yuvj420p")
    with av.open(str(played(clip))) as container:
        grey = next(container.decode(video=0)).to_ndarray(format="gray")
    assert differs(grey, corners()[..., 0]) < 5


def test_a_video_that_changes_its_size_keeps_its_shape(tmp_path: Path) -> None:
    """Two recordings in one broadcast: the second has bars beside it."""
    for number, size in enumerate(((96, 64), (64, 64))):
        write_video(tmp_path / f"{number}.ts", [corners(*size)] * 10, options={"x264-params": "bframes=0"})
    joined = tmp_path / "joined.ts"
    joined.write_bytes((tmp_path / "0.ts").read_bytes() + (tmp_path / "1.ts").read_bytes())
    shapes = [image.shape[:2] for _, image in video_file.frames(joined)]
    assert shapes == [(64, 96)] * 10 + [(64, 64)] * 10
    last = list(video_file.frames(played(joined, 0.8)))[-1][1]
    assert last.shape == (64, 96, 3)
    assert differs(last[:, 16:80], corners(64, 64)) < 5
    assert last[:, :14].mean() < 8


@pytest.mark.parametrize("matrix", [(0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0)])
def test_a_matrix_that_shows_nothing_is_not_believed(tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    clip = write_video(tmp_path / "x.mp4", [corners()] * 10, matrix=matrix)
    assert differs(next(video_file.frames(clip))[1], corners()) < 5


@pytest.mark.parametrize("shape", [Fraction(1000, 1), Fraction(1, 1000)])
def test_pixels_of_no_real_shape_are_taken_for_square(tmp_path: Path, shape: Fraction) -> None:
    clip = write_video(tmp_path / "x.mp4", [corners()] * 10, "mpeg4", pixel_shape=shape)
    assert next(video_file.frames(clip))[1].shape == (64, 96, 3)


def test_a_square_frame_is_never_larger_than_can_be_borne() -> None:
    huge = av.VideoFrame(8192, 4096, "gray")
    found = geometry_of(huge, Fraction(8))
    assert (found.width, found.height) == (8192, 512)


def test_more_than_8k_is_one_line(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "x.avi", [np.zeros((4096, 16384, 3), np.uint8)], "mjpeg", "yuvj420p")
    with pytest.raises(CameraError, match=r"16384 x 4096 pixels, more than 8K"):
        next(video_file.frames(clip))
