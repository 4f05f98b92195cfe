"""Frames and sounds are at their times: where the file has none, has those of decoding, or begins to count again."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile as sf

from livemove.contracts import CameraError
from livemove.media import soundtrack, video_file
from livemove.media.opening import MediaError
from livemove.media.sound_file import mono_blocks
from tests.support.videos import RATE, flashing, write_video

FRAMES = 50

REORDERED = {"x264-params": "bframes=2:b-adapt=0"}
PLAIN = {"x264-params": "bframes=0"}


def brighter(count: int = FRAMES) -> list[np.ndarray]:
    """Frame i is 16 + 4 i grey."""
    return [np.full((48, 64, 3), 16 + 4 * i, np.uint8) for i in range(count)]


def sound_of(path: Path) -> np.ndarray:
    return np.concatenate([*mono_blocks(path, RATE)])


def with_sound(clip: Path, seconds: float) -> Path:
    sound, output = clip.with_name("sound.wav"), clip.with_name("out.mp4")
    sf.write(sound, np.zeros(round(seconds * RATE)), RATE)
    soundtrack.put_sound_under(clip, sound, output, lambda _: None)
    return output


KINDS = {
    "plain.h264": ("libx264", PLAIN, "h264"),
    "reordered.h264": ("libx264", REORDERED, "h264"),
    "plain.h265": ("libx265", {"x265-params": "bframes=0:log-level=none"}, "hevc"),
    "reordered.h265": ("libx265", {"x265-params": "bframes=2:log-level=none"}, "hevc"),
    "reordered.m2v": ("mpeg2video", {"bf": "2"}, "mpeg2video"),
    "reordered.m4v": ("mpeg4", {"bf": "2"}, "m4v"),
    "h264.avi": ("libx264", REORDERED, None),
    "h264plain.avi": ("libx264", PLAIN, None),
    "mpeg4.avi": ("mpeg4", {"bf": "2"}, None),
    "h264.mkv": ("libx264", REORDERED, None),
    "h264.ts": ("libx264", REORDERED, None),
    "h264.flv": ("libx264", REORDERED, None),
    "mpeg2.mpg": ("mpeg2video", {"bf": "2"}, None),
}


@pytest.mark.parametrize("kind", KINDS)
def test_frame_i_is_at_i_frames_whatever_the_file_counts_by(tmp_path: Path, kind: str) -> None:
    codec, options, container_format = KINDS[kind]
    clip = write_video(tmp_path / kind, brighter(), codec, options=options, container_format=container_format)
    for path in (clip, with_sound(clip, FRAMES / 25)):
        found = list(video_file.frames(path))
        assert len(found) == FRAMES
        assert [time_s for time_s, _ in found] == pytest.approx(np.arange(FRAMES) / 25, abs=1.5e-3)
        assert np.array([image.mean() for _, image in found]) == pytest.approx(16 + 4 * np.arange(FRAMES), abs=5)


@pytest.mark.parametrize("kind", ["h264.avi", "h264plain.avi", "mpeg4.avi", "h264.mkv", "h264.ts"])
def test_flash_and_beep_come_together_from_the_first_on(tmp_path: Path, kind: str) -> None:
    codec, options, _ = KINDS[kind]
    images, sound = flashing(4)
    clip = write_video(
        tmp_path / kind, images, codec, options=options, sound=sound, sound_codec="mp2" if "ts" in kind else "pcm_s16le"
    )
    white = [time_s for time_s, image in video_file.frames(clip) if image.mean() > 200]
    flashes = [time_s for time_s in white if not any(0 < time_s - other < 0.1 for other in white)]
    loud = np.flatnonzero(np.abs(sound_of(clip)) > 0.2)
    beeps = loud[np.diff(loud, prepend=-RATE) > RATE // 2] / RATE
    assert flashes == pytest.approx(np.arange(4), abs=1.5e-3)
    assert np.array(flashes) == pytest.approx(beeps, abs=5e-3)


@pytest.mark.parametrize("delay", [1, 2])
def test_an_encoders_delay_in_avi_is_no_frame_that_lasts(tmp_path: Path, delay: int) -> None:
    """Empty frames behind the first one: all later ones came 40 to 80 ms late against the sound."""
    images, sound = flashing(3)
    whole = write_video(tmp_path / "whole.avi", images, "mpeg4", sound=sound)
    path = tmp_path / "delayed.avi"
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        streams = {s.index: target.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is None:
                continue
            if packet.stream.type == "video" and packet.dts > 0:
                packet.dts = packet.pts = packet.dts + delay
            packet.stream = streams[packet.stream_index]
            target.mux(packet)
    times = [time_s for time_s, _ in video_file.frames(path)]
    assert times == pytest.approx(np.arange(len(images)) / 25, abs=1e-3)


def ts_at(path: Path, begin_s: int, seconds: int = 2) -> bytes:
    """A broadcast whose clock shows begin_s at its beginning."""
    images, sound = flashing(seconds)
    write_video(path, images, "libx264", options=PLAIN, sound=sound, sound_codec="mp2")
    moved = path.with_name(f"{begin_s}.ts")
    with av.open(str(path)) as source, av.open(str(moved), "w", format="mpegts") as target:
        streams = {s.index: target.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is not None and packet.pts is not None:
                shift = round(begin_s / packet.time_base)
                packet.dts, packet.pts, packet.stream = (
                    packet.dts + shift,
                    packet.pts + shift,
                    streams[packet.stream_index],
                )
                target.mux(packet)
    return moved.read_bytes()


@pytest.mark.parametrize("order", [(0, 0, 0), (0, 7200, 100), (90_000, 10, 0)])
def test_broadcasts_behind_each_other_go_on_as_one(tmp_path: Path, order: tuple[int, ...]) -> None:
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(ts_at(tmp_path / "one.ts", begin_s) for begin_s in order))
    found = list(video_file.frames(joined))
    times = np.array([time_s for time_s, _ in found])
    assert len(found) == 150
    assert np.diff(times).max() < 0.1
    assert times[-1] == pytest.approx(149 / 25, abs=0.1)
    white = np.array([time_s for time_s, image in found if image.mean() > 200])[::2]
    loud = np.flatnonzero(np.abs(sound_of(joined)) > 0.2)
    beeps = loud[np.diff(loud, prepend=-RATE) > RATE // 2] / RATE
    assert len(white) == len(beeps) == 6
    assert white == pytest.approx(beeps, abs=0.045)  # a frame: streams do not end at one moment


def test_a_file_that_jumps_by_an_hour_is_one_line(tmp_path: Path) -> None:
    pts = [*range(25), *range(25 + 90_000, 50 + 90_000)]
    clip = write_video(tmp_path / "x.mp4", brighter(), pts=pts)
    with pytest.raises(CameraError, match=r"x\.mp4: damaged after 1\.0 s: its times jump from 1\.0 to 3601\.0 s"):
        list(video_file.frames(clip))


def test_a_sound_that_jumps_by_an_hour_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for i in range(20):
            block = av.AudioFrame.from_ndarray(np.full((1, 4800), 9000 * (-1) ** i, np.int16), "s16", "mono")
            block.sample_rate, block.time_base = RATE, Fraction(1, RATE)
            block.pts = 4800 * i + (3600 * RATE if i > 9 else 0)
            container.mux(stream.encode(block))
        container.mux(stream.encode(None))
    with pytest.raises(MediaError, match=r"its sound's times jump from 1\.0 to 3601\.0 s"):
        sound_of(path)


def test_frames_that_share_a_time_do_not_shift_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "x.mkv"
    whole = write_video(tmp_path / "whole.mkv", brighter(), "mjpeg", "yuvj420p")
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(each for each in source.demux(video=0) if each.size):
            packet.pts = packet.dts = 360 if number in (10, 11) else packet.pts
            packet.stream = stream
            target.mux(packet)
    times = [time_s for time_s, _ in video_file.frames(path)]
    assert all(before < after for before, after in itertools.pairwise(times))
    assert times[12:] == pytest.approx(np.arange(12, FRAMES) / 25, abs=3e-3)


def test_a_recording_that_begins_between_two_key_frames_plays_from_the_first(tmp_path: Path) -> None:
    """Off the air one begins anywhere: what cannot be decoded before the first key frame is no damage."""
    write_video(tmp_path / "whole.ts", brighter(), options={"x264-params": "bframes=0:keyint=20:scenecut=0"})
    content = (tmp_path / "whole.ts").read_bytes()
    packets = [content[at : at + 188] for at in range(0, len(content), 188)]
    (tmp_path / "cut.ts").write_bytes(b"".join([*packets[:3], *packets[12:]]))
    found = list(video_file.frames(tmp_path / "cut.ts"))
    assert found[0][0] == 0.0
    assert 20 <= len(found) < FRAMES


def test_an_mp4_without_any_video_stream_is_never_made(tmp_path: Path) -> None:
    """What the raw streams gave once: exit 0, and a file of sound alone."""
    clip = write_video(tmp_path / "x.h264", brighter(), container_format="h264")
    with av.open(str(with_sound(clip, 2.0))) as container:
        assert len(container.streams.video) == 1
        assert sum(1 for _ in container.decode(video=0)) == FRAMES
