"""Takes as files: images placed in the sound by the clock, through jitter, drift and gaps; whole however it ends."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from livemove.contracts import OutputError
from livemove.media import av_writer, video_file
from livemove.media.av_writer import TakeFile, Timeline
from training.data.clip import read_sound

RATE = 48000
BLOCK = 1024
SIZE = (48, 64)


def marks(
    timeline: Timeline, seconds: float, when: Callable[[float], float], first_s: float = 0.0, gap_s: float = np.inf
) -> None:
    """A mark for each block of so many seconds; when: time of a place, both in seconds; gap_s: where there is a gap."""
    for sample in range(round(first_s * RATE), round((first_s + seconds) * RATE), BLOCK):
        timeline.mark(sample, when(sample / RATE), gap=sample / RATE >= gap_s > (sample - BLOCK) / RATE)


def test_a_moment_is_placed_by_the_clock() -> None:
    timeline = Timeline(RATE)
    marks(timeline, 4.0, lambda s: 100.0 + s)
    assert timeline.place(102.5) == pytest.approx(2.5 * RATE, abs=0.01)


def test_marks_that_jitter_do_not_move_pictures() -> None:
    """One in three late by up to 20 ms, as when the machine is busy."""
    rng = np.random.default_rng(0)
    timeline = Timeline(RATE)
    marks(timeline, 4.0, lambda s: 100.0 + s + (rng.random() < 0.33) * rng.random() * 0.02)
    for time_s in np.linspace(101.0, 103.0, 20):
        assert timeline.place(time_s) / RATE == pytest.approx(time_s - 100.0, abs=1e-4)


def test_a_crystal_that_strays_is_followed() -> None:
    """100 ppm: 18 ms at the end of three minutes."""
    timeline = Timeline(RATE)
    for minute in range(3):
        marks(timeline, 60.0, lambda s: s * (1 + 1e-4), 60.0 * minute)
        timeline.forget(60.0 * minute)
    assert timeline.place(179.0 * (1 + 1e-4)) / RATE == pytest.approx(179.0, abs=1.5e-3)


def test_a_server_that_believes_too_late_for_seconds_does_not_move_pictures() -> None:
    """As PulseAudio was seen to after the machine had stood still: 58 ms, then less and less, for seven seconds."""
    timeline = Timeline(RATE)
    marks(timeline, 20.0, lambda s: 100.0 + s + max(0.058 * (1 - (s - 6.0) / 7.0), 0.0) * (s > 6.0))
    for time_s in np.linspace(102.0, 118.0, 33):
        assert timeline.place(time_s) / RATE == pytest.approx(time_s - 100.0, abs=1e-3)


def test_a_gap_moves_what_follows_it_and_nothing_before() -> None:
    """The card ran dry at 2 s, for 40 ms."""
    timeline = Timeline(RATE)
    marks(timeline, 4.0, lambda s: s + 0.04 * (s >= 2.0), gap_s=2.0)
    assert timeline.place(1.95) / RATE == pytest.approx(1.95, abs=1e-3)
    assert timeline.place(2.10) / RATE == pytest.approx(2.06, abs=1e-3)


def test_a_moment_settles_once_the_marks_around_it_are_there() -> None:
    timeline = Timeline(RATE)
    assert timeline.settled_s == -np.inf
    marks(timeline, 3.0, lambda s: s)
    assert timeline.settled_s == pytest.approx(3.0 - av_writer.AHEAD_S, abs=BLOCK / RATE)


# --- files --------------------------------------------------------------------------------------------------


def song(seconds: float, channels: int = 1) -> np.ndarray:
    """float32 [samples, channels], different in every sample."""
    rng = np.random.default_rng(1)
    return (0.2 * rng.standard_normal((round(seconds * RATE), channels))).astype(np.float32)


def write(
    path: Path,
    sound: np.ndarray,
    pictures_s: np.ndarray,
    began_s: float = 50.0,
    gap_at_s: float = np.inf,
    gap_s: float = 0.0,
    until_s: float | None = None,
    finish: bool = True,
) -> TakeFile:
    """A take as `fill` fills it, and finished."""
    done = TakeFile(io.FileIO(path, "x"), RATE, sound.shape[1], SIZE)
    fill(done, sound, pictures_s, began_s, gap_at_s, gap_s)
    if finish:
        done.finish(until_s)
    return done


def fill(
    done: TakeFile,
    sound: np.ndarray,
    pictures_s: np.ndarray,
    began_s: float = 50.0,
    gap_at_s: float = np.inf,
    gap_s: float = 0.0,
) -> None:
    """Grey images 20, 21 ... at these times after began_s, when the sound begins, with its sample number 4800."""
    lead, waiting = 4800, list(enumerate(pictures_s))
    done.add_sound(0, began_s - lead / RATE, sound[:0])
    for at in range(0, len(sound), BLOCK):
        place_s = at / RATE
        time_s = began_s + place_s + (gap_s if place_s >= gap_at_s else 0.0)
        gap = place_s >= gap_at_s > place_s - BLOCK / RATE
        done.add_sound(lead + at, time_s, sound[at : at + BLOCK], gap)
        while waiting and began_s + waiting[0][1] < time_s:
            number, seen_s = waiting.pop(0)
            done.add_frame(np.full((*SIZE, 3), 20 + number, np.uint8), began_s + seen_s)


def sound_of(path: Path) -> tuple[float, np.ndarray]:
    """When it begins, and int16 [samples, channels]."""
    with av.open(str(path)) as container:
        blocks = list(container.decode(audio=0))
    channels = blocks[0].layout.nb_channels
    return blocks[0].time, np.concatenate([b.to_ndarray().reshape(-1, channels) for b in blocks])


def pictures_of(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Times in the file, and greys."""
    with av.open(str(path)) as container:
        found = [(f.time, f.to_ndarray(format="rgb24").mean()) for f in container.decode(video=0)]
    return np.array([t for t, _ in found]), np.array([g for _, g in found])


@pytest.mark.parametrize("channels", [1, 2])
def test_the_sound_is_kept_sample_by_sample(tmp_path: Path, channels: int) -> None:
    sound = song(3.0, channels)
    write(tmp_path / "a.mp4", sound, np.arange(0.01, 2.9, 0.04))
    begin_s, found = sound_of(tmp_path / "a.mp4")
    assert begin_s == 0.0
    assert np.array_equal(found, np.rint(sound * 32767).astype(np.int16))


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_every_picture_has_its_own_time_in_the_sound(
    tmp_path: Path, codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(av_writer.av, "codecs_available", {codec, "flac"})
    seen_s = np.cumsum(np.random.default_rng(2).uniform(0.01, 0.06, 70)) + 0.013
    write(tmp_path / "a.mp4", song(seen_s[-1] + 0.1), seen_s)
    time_s, greys = pictures_of(tmp_path / "a.mp4")
    assert time_s == pytest.approx(seen_s, abs=5e-4)
    assert greys == pytest.approx(20 + np.arange(70), abs=3)


def test_pictures_before_and_after_a_gap_meet_what_was_heard(tmp_path: Path) -> None:
    """30 ms of silence after 2 s: the sound has no hole, the images after it stand 30 ms earlier."""
    seen_s = np.arange(0.01, 3.9, 0.04)
    write(tmp_path / "a.mp4", song(4.0), seen_s, gap_at_s=2.0, gap_s=0.03)
    time_s, _ = pictures_of(tmp_path / "a.mp4")
    apart = np.abs(seen_s - 2.0) > 0.05
    expected = np.where(seen_s > 2.0, seen_s - 0.03, seen_s)
    assert time_s[apart] == pytest.approx(expected[apart], abs=1e-3)
    assert (np.diff(time_s) > 0).all()


def test_a_take_that_is_stopped_ends_there(tmp_path: Path) -> None:
    done = write(tmp_path / "a.mp4", song(4.0), np.arange(0.01, 3.9, 0.04), until_s=53.5)
    _, found = sound_of(tmp_path / "a.mp4")
    assert len(found) / RATE == pytest.approx(3.5, abs=1e-3)
    assert pictures_of(tmp_path / "a.mp4")[0][-1] <= 3.5
    assert done.seconds == pytest.approx(3.5, abs=1e-3)


def test_what_was_written_before_a_kill_can_be_read(tmp_path: Path) -> None:
    """Nothing is closed: the file is looked at as it lies on the disk."""
    sound = song(6.0)
    unfinished = write(tmp_path / "a.mp4", sound, np.arange(0.01, 5.9, 0.04), finish=False)
    begin_s, found = sound_of(tmp_path / "a.mp4")
    assert begin_s == 0.0
    assert len(found) / RATE > 6.0 - av_writer.AHEAD_S - 2 * av_writer.FRAGMENT_S - 0.2
    assert np.array_equal(found[:, 0], np.rint(sound[: len(found), 0] * 32767).astype(np.int16))
    time_s, _ = pictures_of(tmp_path / "a.mp4")
    assert time_s == pytest.approx(np.arange(0.01, 5.9, 0.04)[: len(time_s)], abs=5e-4)
    assert video_file.probe(tmp_path / "a.mp4").seconds == pytest.approx(len(found) / RATE, abs=0.1)
    unfinished.finish()


def test_a_full_disk_leaves_whole_pictures_and_whole_sound(tmp_path: Path) -> None:
    """Full after 300 kB: everything that is in the file can be decoded to its end."""

    class FullDisk(io.FileIO):
        def write(self, content: object) -> int:
            room = 300_000 - self.tell()
            if room <= 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(memoryview(content)[:room])

    path = tmp_path / "a.mp4"
    full = TakeFile(FullDisk(path, "x"), RATE, 1, SIZE)
    with pytest.raises(OutputError, match=r"a\.mp4 can no longer be written: No space left"):
        fill(full, song(8.0), np.arange(0.01, 7.9, 0.04))
    with pytest.raises(OutputError, match="can no longer be written"):
        full.finish()
    _, found = sound_of(path)
    time_s, _ = pictures_of(path)
    assert 2.0 < len(found) / RATE < 4.0
    assert time_s[-1] == pytest.approx(len(found) / RATE, abs=0.2)
    assert path.stat().st_size <= 300_000


def test_prepare_hears_and_sees_the_same_moment(tmp_path: Path) -> None:
    """The first image comes 0.25 s into the sound: that is where the sound of the clip begins."""
    sound = song(3.0)
    write(tmp_path / "a.mp4", sound, np.arange(0.25, 2.9, 0.04))
    heard = read_sound(tmp_path / "a.mp4", RATE)
    assert heard == pytest.approx(sound[RATE // 4 :, 0], abs=1e-4)
