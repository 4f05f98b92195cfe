"""What other people's files are called and what they hold: each plays, or is one line and exit code 2."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile as sf

from livemove.bundle import Bundle
from livemove.capture.capture_config import CaptureConfig
from livemove.contracts import CameraError, ControlError, OutputError
from livemove.control import presets
from livemove.media import video_file
from livemove.media.sound_file import choose, mono_blocks
from livemove.playback.song import Song
from livemove.takes.folder import TakeInfo, TakenModel, TakeWriter
from tests.support.paths import ROOT
from tests.support.videos import RATE, make_clip, make_film, tone
from training.data.corpus import Writer

NAMES = [
    b"2026-01-31T20:30:00.mp4", b"http:x.mp4", b"concat:a.mp4", b"\xff\xfe.mp4", "踊り é.mp4".encode(), b"-i.mp4",
    b"100%d.mp4", b"a\nb.mp4",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_path_is_bytes_on_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: bytes) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path(os.fsdecode(name))
    os.replace(make_film(tmp_path / "x.mp4", 1.0, tone(1.0)), name)
    assert CaptureConfig(camera=str(path)).kind == "file"
    assert len(list(video_file.frames(path))) == 25
    assert len(np.concatenate([*mono_blocks(path, RATE)])) > 0.9 * RATE
    assert Song(path, RATE).samples > 0.9 * RATE


def livemove(*words: object, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "livemove.cli", *map(os.fsencode, map(str, words))]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )


def with_cover(path: Path) -> Path:
    """A song with the picture of its cover."""
    with av.open(str(path), "w") as container:
        voice = container.add_stream("mp3" if path.suffix == ".mp3" else "flac", rate=RATE, layout="mono")
        cover = container.add_stream("mjpeg")
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        image = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 99, np.uint8), format="rgb24")
        container.mux([*cover.encode(image), *cover.encode(None)])
        samples = (tone(2.0)[None] * 32767).astype(np.int16)
        for first in range(0, samples.shape[1], 1152):
            block = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[:, first : first + 1152]), "s16p", "mono")
            block.sample_rate, block.pts = RATE, first
            container.mux(voice.encode(block))
        container.mux(voice.encode(None))
    return path


def no_video(kind: str, folder: Path) -> Path:
    path = folder / kind
    if kind == "cover.mp3":
        return with_cover(path)
    if kind == "picture.png":
        av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24").save(str(path))
    elif kind == "text.mp4":
        path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:1/x.ts\n")
    elif kind == "art.nfo":
        path.write_text("\x1b[31mlivemove\n" * 50)
    elif kind == "sound.wav":
        sf.write(path, tone(0.5), RATE)
    return path


NO_VIDEO = {
    "cover.mp3": "only the image of a cover",
    "picture.png": "it is a still image, not a video",
    "text.mp4": "cannot be read as a video",
    "art.nfo": "cannot be read as a video",
    "sound.wav": "it has no video",
}


@pytest.mark.parametrize("kind", NO_VIDEO)
def test_what_is_no_video_is_not_taken_for_one(tmp_path: Path, kind: str) -> None:
    with pytest.raises(CameraError, match=NO_VIDEO[kind]):
        list(video_file.frames(no_video(kind, tmp_path)))


@pytest.mark.parametrize("command", ["render", "perform"])
def test_a_cover_is_one_line_and_exit_code_2(tmp_path: Path, command: str) -> None:
    song = no_video("cover.mp3", tmp_path)
    words = [song, "-o", "o.mp4"] if command == "render" else ["--camera", song, "-o", "o.wav", "--no-monitor"]
    done = livemove(command, *words, cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.decode().strip().splitlines()) == 1
    assert b"only the image of a cover" in done.stderr
    assert not (tmp_path / "o.mp4").exists()


def test_a_name_that_is_no_text_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"no\xff.mp4")).write_bytes(b"nothing")
    done = livemove("render", os.fsdecode(b"no\xff.mp4"), "-o", "o.mp4", cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.decode().strip().splitlines()) == 1
    assert b"cannot be read as a video" in done.stderr


@pytest.mark.real
@pytest.mark.parametrize("name", [b"2026-01-31T20:30:00.mp4", b"\xff.mp4"])
def test_render_takes_and_gives_any_name(tmp_path: Path, pose_model: Path, name: bytes) -> None:
    os.replace(make_clip(tmp_path / "x.mp4", "libx264"), os.fsencode(tmp_path) + b"/" + name)
    output = os.fsdecode(name) + ".out.mp4"
    done = livemove("render", os.fsdecode(name), "-o", output, "--pose-model", pose_model, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list(video_file.frames(tmp_path / output))) == 25


@pytest.mark.real
def test_a_folder_whose_name_is_no_text(tmp_path: Path, pose_model: Path, small_bundle: Bundle) -> None:
    """render writes there, its report is text, and prepare says in one line that nobody would find it again."""
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    clip = make_film(folder / "x.mp4", 1.0, tone(1.0))
    for name in ("o.wav", "o.mp4"):
        words = ["render", clip, "-o", name, "--report", f"{name}.json", "--pose-model", pose_model]
        done = livemove(*words, "-m", small_bundle.path, cwd=folder)
        assert done.returncode == 0, done.stderr
        assert json.loads((folder / f"{name}.json").read_text())["clip"] == str(tmp_path / "?" / "x.mp4")
    with pytest.raises(OutputError, match="its name is no text"):
        Writer(folder / "data", RATE, "full", {})


def test_a_take_and_a_preset_of_a_camera_whose_name_is_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = TakenModel("m", "/m", "00", "", 0.0, ("pitch",), "")
    camera = os.fsdecode(b"/films/\xff.mp4")
    info = TakeInfo("1", datetime(2026, 1, 31, tzinfo=UTC), 0.0, RATE, RATE, 512, 0, camera, ("presence",), (model,))
    TakeWriter(tmp_path, info, {}).close()
    assert tomllib.loads((tmp_path / "take.toml").read_text("utf-8"))["camera"] == "/films/?.mp4"
    monkeypatch.setattr(presets, "presets_folder", lambda: tmp_path)
    kept = presets.Preset("soft", "theremin", devices=presets.Devices(camera=camera))
    with pytest.raises(ControlError, match=r"/films/\?\.mp4: no preset can name it"):
        presets.save_preset(kept)
    assert not (tmp_path / "soft.toml").exists()


# --- which sound --------------------------------------------------------------------------------------------


def tracks(path: Path, *sounds: np.ndarray) -> Path:
    """A video of two seconds with several sounds, each float32 [channels, samples]."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        layouts = {1: "mono", 2: "stereo"}
        voices = [container.add_stream("pcm_s16le", rate=RATE, layout=layouts[len(sound)]) for sound in sounds]
        for i in range(50):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), i, np.uint8), format="rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for voice, sound in zip(voices, sounds, strict=True):
            samples = np.ascontiguousarray((sound.T * 32767).astype(np.int16).reshape(1, -1))
            block = av.AudioFrame.from_ndarray(samples, "s16", layouts[len(sound)])
            block.sample_rate, block.pts = RATE, 0
            container.mux([*voice.encode(block), *voice.encode(None)])
    return path


def test_the_first_stream_that_can_be_heard_is_the_sound(tmp_path: Path) -> None:
    """OBS: the first track may be the microphone nobody switched on."""
    silence, music = np.zeros((2, 2 * RATE), np.float32), np.stack([tone(2.0)] * 2)
    path = tracks(tmp_path / "x.mkv", silence, music, music[:1] / 2)
    assert "silent" in choose(path).note
    assert np.concatenate([*mono_blocks(path, RATE)])[:RATE] == pytest.approx(tone(2.0)[:RATE], abs=1e-3)


def test_without_any_that_can_be_heard_the_first_one_counts(tmp_path: Path) -> None:
    silence = np.zeros((1, 2 * RATE), np.float32)
    choice = choose(tracks(tmp_path / "x.mkv", silence, silence))
    assert not choice.heard
    assert choice.index == 1


@pytest.mark.parametrize("offset", [0.0, 0.2])
def test_antiphase_is_not_cancelled(tmp_path: Path, offset: float) -> None:
    """Whether or not a constant lies under both sides."""
    path = tracks(tmp_path / "x.mkv", np.stack([tone(2.0), -tone(2.0)]) + np.float32(offset))
    assert "antiphase" in choose(path).note
    heard = np.concatenate([*mono_blocks(path, RATE)])[:RATE]
    assert heard - heard.mean() == pytest.approx(tone(2.0)[:RATE], abs=2e-3)


@pytest.mark.parametrize("right", [1.0, 0.5, 0.0, -0.3])
def test_other_stereo_is_the_mean(tmp_path: Path, right: float) -> None:
    path = tracks(tmp_path / "x.mkv", np.stack([tone(2.0), np.float32(right) * tone(2.0, 500)]))
    assert choose(path).note == ""
    wanted = (tone(2.0) + right * tone(2.0, 500)) / 2
    assert np.concatenate([*mono_blocks(path, RATE)])[:RATE] == pytest.approx(wanted[:RATE], abs=1e-3)
