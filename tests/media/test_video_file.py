"""Clips as files: frames in order and upright, and a new sound under an old image."""

from __future__ import annotations

import gc
import hashlib
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile as sf

from livemove.contracts import CameraError
from livemove.media import sound_file, soundtrack, video_file
from livemove.media.geometry import as_image, as_yuv
from tests.support.videos import make_clip

RATE = 48000


def make_sound(path: Path, seconds: float) -> Path:
    """A 440 Hz tone that starts after half of the time."""
    t = np.arange(round(seconds * RATE)) / RATE
    sf.write(path, 0.5 * np.sin(2 * np.pi * 440 * t) * (t >= seconds / 2), RATE, "PCM_24")
    return path


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def ignore(seconds: float) -> None:
    """Progress nobody watches."""


@pytest.mark.parametrize(("codec", "suffix"), [("libx264", ".mp4"), ("mpeg4", ".avi"), ("libvpx-vp9", ".webm")])
def test_every_frame_comes_once_and_in_order(tmp_path: Path, codec: str, suffix: str) -> None:
    found = list(video_file.frames(make_clip(tmp_path / f"clip{suffix}", codec)))
    times = np.array([time_s for time_s, _ in found])
    brightness = np.array([image.mean() for _, image in found])
    assert times == pytest.approx(np.arange(25) / 25, abs=1e-3)
    assert brightness == pytest.approx(16 + 8 * np.arange(25), abs=4)
    assert found[0][1].shape == (48, 64, 3)


def test_probe_knows_length_and_pace(tmp_path: Path) -> None:
    clip = video_file.probe(make_clip(tmp_path / "clip.mp4", "libx264", count=50))
    assert (clip.frames, clip.fps, clip.seconds) == (50, 25.0, pytest.approx(2.0, abs=0.05))


@pytest.mark.parametrize(("codec", "suffix"), [("libx264", ".mp4"), ("libx264", ".mkv")])
def test_a_picture_that_plays_everywhere_is_copied_untouched(tmp_path: Path, codec: str, suffix: str) -> None:
    clip = make_clip(tmp_path / f"clip{suffix}", codec)
    soundtrack.put_sound_under(clip, make_sound(tmp_path / "sound.wav", 1.0), tmp_path / "out.mp4", ignore)
    assert packets(tmp_path / "out.mp4") == packets(clip)


def test_another_picture_becomes_h264_of_the_same_frames(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.avi", "mpeg4", width=66, height=50)
    soundtrack.put_sound_under(clip, make_sound(tmp_path / "sound.wav", 1.0), tmp_path / "out.mp4", ignore)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "h264"
    assert [time_s for time_s, _ in video_file.frames(tmp_path / "out.mp4")] == pytest.approx(
        np.arange(25) / 25, abs=1e-3
    )


@pytest.mark.parametrize(("codec", "suffix"), [("libx264", ".mp4"), ("mpeg4", ".avi")])
def test_sound_and_picture_stay_together(tmp_path: Path, codec: str, suffix: str) -> None:
    """The tone, which starts half-way, starts half-way."""
    clip = make_clip(tmp_path / f"clip{suffix}", codec)
    soundtrack.put_sound_under(clip, make_sound(tmp_path / "sound.wav", 1.0), tmp_path / "out.mp4", ignore)
    with av.open(str(tmp_path / "out.mp4")) as container:
        blocks = [(frame.time, frame.to_ndarray()[0]) for frame in container.decode(audio=0)]
    assert blocks[0][0] == pytest.approx(0.0, abs=0.03)  # AAC's priming is taken off by the container
    sound = np.concatenate([block for _, block in blocks])
    onset_s = blocks[0][0] + np.argmax(np.abs(sound) > 0.1) / RATE
    assert onset_s == pytest.approx(0.5, abs=0.025)
    assert len(sound) / RATE == pytest.approx(1.0, abs=0.05)


def test_the_same_input_gives_the_same_file(tmp_path: Path) -> None:
    clip, sound = make_clip(tmp_path / "clip.avi", "mpeg4"), make_sound(tmp_path / "sound.wav", 1.0)
    digests: set[str] = set()
    for name in ("a.mp4", "b.mp4"):
        soundtrack.put_sound_under(clip, sound, tmp_path / name, ignore)
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1


def test_the_film_ends_with_its_sound(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", "libx264", count=50)
    soundtrack.put_sound_under(clip, make_sound(tmp_path / "sound.wav", 1.0), tmp_path / "out.mp4", ignore)
    assert video_file.probe(tmp_path / "out.mp4").seconds == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("content", [b"", b"this is no film" * 100, None])
def test_what_is_no_video_is_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "clip.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CameraError, match=r"clip\.mp4: cannot be read as a video: ") as caught:
        video_file.probe(path)
    assert "\n" not in str(caught.value)


def test_a_sound_without_picture_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="it has no video"):
        video_file.probe(make_sound(tmp_path / "sound.wav", 0.1))


def test_what_was_read_goes_by_itself(tmp_path: Path) -> None:
    """A frame in a cycle would keep its image until Python's collector comes by: capture grew by 80 MB in three
    minutes."""
    clip = make_clip(tmp_path / "clip.mp4", "libx264", count=40)
    sound = tmp_path / "sound.wav"
    sf.write(sound, np.zeros(48000), 48000)
    gc.collect()
    gc.disable()
    try:
        for shown in video_file.decoded(clip):
            as_image(shown.frame, shown.geometry)
            as_yuv(shown.frame, shown.geometry, 32, 32)
        del shown
        for _ in sound_file.stereo_blocks(sound, 44100):
            pass
        assert gc.collect() < 20
    finally:
        gc.enable()
