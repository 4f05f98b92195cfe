"""`livemove record` as a person meets it: real processes, a network camera, a sound server; and all that goes wrong."""

from __future__ import annotations

import dataclasses
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
import soundfile

from tests.measure import record as measure_record
from tests.measure.record import camera_that_tells_the_time
from tests.support.mjpeg import NetworkCamera
from tests.support.real_time import in_real_time, timed
from tests.support.servers import Pulse
from tests.support.videos import clicks, make_film, tone, write_video
from training.data.items import find_items

ALONE = {"JACK_NO_START_SERVER": "1", "JACK_DEFAULT_SERVER": "none", "PULSE_SERVER": "unix:/nonexistent"}
"""An environment in which no sound server answers, whatever runs on the machine."""

RATE = 48000


@dataclass
class Stage:
    """A camera, a sound server, a song of 20 s and a folder for takes."""

    camera: NetworkCamera
    server: Pulse
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, **ALONE, **self.server.environment}

    @property
    def take(self) -> Path:
        return self.folder / "take.mp4"

    def start(self, *options: object, prepare: Callable[[], None] | None = None) -> subprocess.Popen[str]:
        """`livemove record`, take.mp4, with the song unless options say otherwise."""
        sound = [] if "--mic" in options else ["--sound", self.folder / "song.wav"]
        command = [
            "record",
            self.folder,
            "--name",
            "take",
            "--camera",
            self.camera.url,
            *sound,
            *options,
            "--no-monitor",
        ]
        return subprocess.Popen(
            [sys.executable, "-m", "livemove.cli", *map(str, command)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment,
            preexec_fn=prepare,
        )  # fmt: skip

    def run(self, *options: object, prepare: Callable[[], None] | None = None) -> tuple[int, str]:
        """Exit code, and what it says."""
        return ended(self.start(*options, prepare=prepare))

    def wait_for(self, size: int) -> None:
        """Until the take has so many bytes."""
        deadline_s = time.monotonic() + 60
        while not self.take.exists() or self.take.stat().st_size < size:
            assert time.monotonic() < deadline_s, "nothing is written"
            time.sleep(0.05)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    try:
        out, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert out == ""
    return process.returncode, said.strip()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    soundfile.write(tmp_path / "song.wav", tone(20.0), RATE)
    with camera_that_tells_the_time() as camera, Pulse() as server:
        yield Stage(camera, server, tmp_path)


def lengths(take: Path) -> tuple[float, float]:
    """Seconds of image and of sound that can be decoded."""
    with av.open(str(take)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    with av.open(str(take)) as container:
        samples = sum(frame.samples for frame in container.decode(audio=0))
        return times[-1] - times[0], samples / container.streams.audio[0].rate


def refusal(said: str) -> str:
    """The one line, after those about its progress, that a command leaves that cannot do what it is told."""
    *progress, line = said.splitlines()
    assert line.startswith("livemove: ")
    assert not any("livemove" in other for other in progress), said
    return line


# --- alignment ------------------------------------------------------------------------------------------------


@in_real_time
def test_what_was_heard_and_what_was_seen_at_one_moment_have_one_time(tmp_path_factory: pytest.TempPathFactory) -> None:
    """See tests/measure/record.py for what this sees: the null sink's block of 5 ms is the uncertainty."""
    with Pulse() as server:
        environment = {**os.environ, **ALONE, **server.environment}
        found = measure_record.measure(tmp_path_factory.mktemp("takes"), 8.0, environment)
    with timed():
        assert len(found.errors) >= 12
        assert abs(np.median(found.errors)) < 0.010, found
        assert np.mean(np.abs(found.errors) < 0.010) > 0.8, found


@in_real_time
def test_the_microphone_is_aligned_as_well_and_the_cameras_delay_taken_off(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """A delay of 40 ms that this camera does not have: everything seen comes 40 ms too early, exactly that."""
    with Pulse() as server:
        environment = {**os.environ, **ALONE, **server.environment}
        folder = tmp_path_factory.mktemp("takes")
        found = measure_record.measure(folder, 20.0, environment, "--camera-delay", "40", mic=True)
    with timed():
        assert len(found.errors) >= 12
        assert np.median(found.errors) == pytest.approx(0.040, abs=0.010), found


# --- what a take is -------------------------------------------------------------------------------------------


def test_a_take_lasts_as_long_as_asked_and_is_found_by_prepare(stage: Stage) -> None:
    code, said = stage.run("--duration", 2, "--count-in", 1)
    assert code == 0, said
    picture_s, sound_s = lengths(stage.take)
    assert sound_s == pytest.approx(2.0, abs=0.01)
    assert 1.0 < picture_s < 2.1
    assert "take.mp4: 2.0 s of song.wav" in said.splitlines()[-1]
    assert [(s.kind, s.name) for s in find_items(str(stage.folder), {})] == [("film", "take")]


def test_what_is_played_is_what_is_in_the_take(stage: Stage) -> None:
    """The count-in is not, nor the silence before."""
    code, said = stage.run("--duration", 1, "--count-in", 1)
    assert code == 0, said
    with av.open(str(stage.take)) as container:
        rate = container.streams.audio[0].rate
        sound = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)[0] / 32767
    expected = 0.3 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    assert sound[100 : rate - 100] == pytest.approx(expected[100 : rate - 100], abs=2e-3)


def test_nothing_is_overwritten(stage: Stage) -> None:
    stage.take.write_bytes(b"the best take ever")
    code, said = stage.run()
    assert code == 2
    assert "choose another --name" in refusal(said)
    assert stage.take.read_bytes() == b"the best take ever"


# --- however it ends ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_take_that_is_stopped_is_kept(stage: Stage, number: signal.Signals) -> None:
    process = stage.start()
    stage.wait_for(30_000)
    process.send_signal(number)
    code, said = ended(process)
    assert code == 0, said
    picture_s, sound_s = lengths(stage.take)
    assert 0.5 < sound_s < 20.0
    assert picture_s <= sound_s


def test_stopped_before_it_began_it_leaves_nothing(stage: Stage) -> None:
    process = stage.start("--count-in", 30)
    while not stage.take.exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert ended(process) == (130, "stopped")
    assert not stage.take.exists()


def test_a_take_survives_a_kill_and_leaves_no_process(stage: Stage) -> None:
    process = stage.start()
    stage.wait_for(60_000)
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.kill()
    process.communicate()
    picture_s, sound_s = lengths(stage.take)
    assert min(picture_s, sound_s) > 0.4
    assert not psutil.wait_procs(children, timeout=20)[1]


def test_a_lost_camera_ends_the_take_and_keeps_it(stage: Stage) -> None:
    process = stage.start()
    stage.wait_for(30_000)
    stage.camera.mode = "stall"
    code, said = ended(process)
    assert code == 2
    assert "gave no new image for 3 s" in refusal(said)
    assert f"s are kept in {stage.take}" in said
    assert lengths(stage.take)[0] > 0.4


def test_a_full_disk_ends_the_take_and_keeps_it(stage: Stage) -> None:
    def no_more_than_60_kb() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    code, said = stage.run(prepare=no_more_than_60_kb)
    assert code == 2
    assert "can no longer be written" in refusal(said)
    assert f"s are kept in {stage.take}" in said
    assert lengths(stage.take)[1] > 0.4


def test_a_dead_sound_server_ends_the_take_and_keeps_it(stage: Stage) -> None:
    process = stage.start()
    stage.wait_for(30_000)
    stage.server.kill()
    code, said = ended(process)
    assert code == 2
    assert f"s are kept in {stage.take}" in refusal(said)
    assert lengths(stage.take)[1] > 0.4


# --- what cannot be done --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--sound", "{folder}/no-song.wav"], "no-song.wav: cannot be played: no such file"),
        (["--sound", "{folder}/song.wav", "--device", "Theremin 3000"], "no audio device matches 'Theremin 3000'"),
        (["--mic", "--input-device", "Theremin 3000"], "`livemove devices --input` lists them"),
        (["--camera", "demo"], "the demo dancer has no image to record"),
        (["--camera", "{folder}/no-film.mp4"], "no-film.mp4: cannot be read as a video: no such file"),
        (["--name", "../../take"], "--name ../../take: letters, digits"),
    ],
)
def test_what_cannot_be_recorded_is_one_line(stage: Stage, options: list[str], reason: str) -> None:
    code, said = stage.run(*(option.format(folder=stage.folder) for option in options))
    assert code == 2
    assert reason in refusal(said)
    assert not stage.take.exists()


def test_a_film_in_place_of_a_camera_ends_the_take(stage: Stage) -> None:
    film = make_film(stage.folder / "film.mp4", 12.0)
    code, said = stage.run("--camera", film)
    assert code == 0, said
    assert 0.5 < lengths(stage.take)[1] < 12.0
    assert f"{film}: this video has ended" in said
    assert "s (of 20.0) of song.wav" in said.splitlines()[-1]


def test_a_film_that_breaks_off_ends_the_take_and_says_so(stage: Stage) -> None:
    whole = make_film(stage.folder / "whole.mkv", 30.0, clicks(30.0, [0.5]))
    film = stage.folder / "film.mkv"
    film.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    code, said = stage.run("--camera", film)
    assert code == 0, said
    assert f"{film}: breaks off after" in said or f"{film}: damaged after" in said, said
    assert "s (of 20.0) of song.wav" in said.splitlines()[-1]


def test_a_song_shorter_than_asked_is_said(stage: Stage) -> None:
    soundfile.write(stage.folder / "song.wav", tone(1.0), RATE)
    code, said = stage.run("--duration", 3)
    assert code == 0, said
    assert "song.wav: it ends after 1.0 of 3.0 s" in said
    assert lengths(stage.take)[1] == pytest.approx(1.0, abs=0.01)


def test_a_camera_that_mirrors_is_put_back(stage: Stage) -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    image[:, :32] = 200
    film = write_video(stage.folder / "film.mp4", [image] * 500)
    code, said = stage.run("--camera", film, "--mirrored", "--duration", 1)
    assert code == 0, said
    with av.open(str(stage.take)) as container:
        grey = next(container.decode(video=0)).to_ndarray(format="gray")
    assert grey[:, :28].mean() < 30
    assert grey[:, 36:].mean() > 150


def test_a_song_and_a_folder_whose_names_are_no_text(stage: Stage) -> None:
    folder = stage.folder / os.fsdecode(b"takes\xff")
    folder.mkdir()
    song = folder / os.fsdecode(b"\xfe.wav")
    os.replace(stage.folder / "song.wav", song)
    stage = dataclasses.replace(stage, folder=folder)
    code, said = stage.run("--sound", song, "--duration", 1)
    assert code == 0, said
    assert lengths(stage.take)[1] == pytest.approx(1.0, abs=0.01)


def test_a_film_too_short_to_begin_is_one_line(stage: Stage) -> None:
    code, said = stage.run("--camera", make_film(stage.folder / "film.mp4", 1.0), "--count-in", 5)
    assert code == 2
    assert "film.mp4: ended before the take began" in refusal(said)
    assert not stage.take.exists()


def test_without_an_audio_device_one_line_says_so(stage: Stage) -> None:
    stage.server.environment = {}
    code, said = stage.run()
    assert code == 2
    assert "no audio device found" in refusal(said)
    assert not stage.take.exists()


def test_nothing_to_record_is_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "livemove.cli", "record", str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "give --sound FILE to move to, or --mic" in refusal(done.stderr.strip())
