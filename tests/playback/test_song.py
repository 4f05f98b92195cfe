"""A song while it is played: of every kind, at the device's rate, to its end, in a memory that does not grow."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from livemove.contracts import LivemoveError
from livemove.playback import song as songs
from livemove.playback.song import Song
from tests.support.paths import ROOT
from tests.support.videos import make_film, tone

RATE = 48000


def played(song: Song) -> np.ndarray:
    """float32 [samples, channels]: all of it, as a callback takes it."""
    song.start()
    blocks: list[np.ndarray] = []
    deadline_s = time.monotonic() + 60
    while not song.over:
        assert time.monotonic() < deadline_s, "it never ends"
        block = np.zeros((1024, song.channels), np.float32)
        blocks.append(block[: song.read(block)])
        if not len(blocks[-1]):
            time.sleep(0.01)
    return np.concatenate(blocks)


def level(sound: np.ndarray) -> float:
    return float(np.sqrt(np.mean(sound**2)))


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff"])
def test_songs_of_every_kind_are_played(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"song.{suffix}"
    soundfile.write(path, tone(1.0), RATE)
    song = Song(path, RATE)
    sound = played(song)
    assert sound.shape == (song.samples, 1)
    assert song.seconds == pytest.approx(1.0, abs=0.06)
    assert level(sound) == pytest.approx(0.3 / np.sqrt(2), rel=0.05)
    assert song.note == ""


def test_a_films_sound_is_a_song(tmp_path: Path) -> None:
    song = Song(make_film(tmp_path / "film.mp4", 2.0, tone(2.0)), RATE)
    assert song.seconds == pytest.approx(2.0, abs=0.1)


def test_a_song_takes_the_rate_of_the_device(tmp_path: Path) -> None:
    """A 440 Hz tone keeps its pitch, its length and its place."""
    soundfile.write(tmp_path / "song.wav", tone(1.0), RATE)
    sound = played(Song(tmp_path / "song.wav", 44100))[:, 0]
    assert len(sound) == 44100
    expected = 0.3 * np.sin(2 * np.pi * 440 * np.arange(44100) / 44100)
    assert sound[1000:-1000] == pytest.approx(expected[1000:-1000], abs=1e-3)


def left_and_right(path: Path) -> np.ndarray:
    sound = np.stack([tone(3.0), tone(3.0, 660.0)], axis=1)
    soundfile.write(path, sound, RATE)
    return sound


def test_stereo_stays_stereo_and_no_longer_than_asked(tmp_path: Path) -> None:
    sound = left_and_right(tmp_path / "song.wav")
    assert played(Song(tmp_path / "song.wav", RATE, seconds=1.5)) == pytest.approx(sound[:72000], abs=1e-4)


def test_a_device_of_one_channel_plays_both_sides(tmp_path: Path) -> None:
    sound = left_and_right(tmp_path / "song.wav")
    heard = played(Song(tmp_path / "song.wav", RATE, most_channels=1))
    assert heard == pytest.approx(sound.mean(axis=1, keepdims=True), abs=1e-4)


def test_decoding_waits_for_the_one_who_plays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sample in its place, however far behind the player is, and never much more than AHEAD_S in memory."""
    monkeypatch.setattr(songs, "AHEAD_S", 0.1)
    sound = left_and_right(tmp_path / "song.wav")
    song = Song(tmp_path / "song.wav", RATE)
    song.start()
    time.sleep(0.3)
    waiting = sum(map(len, song._blocks))  # pyright: ignore[reportPrivateUsage]
    assert 0.1 * RATE <= waiting < 2.5 * RATE
    blocks: list[np.ndarray] = []
    while not song.over:
        block = np.zeros((4096, 2), np.float32)
        blocks.append(block[: song.read(block)])
        time.sleep(0.005)
    assert np.concatenate(blocks) == pytest.approx(sound, abs=1e-4)


@pytest.mark.parametrize("what", ["missing", "text", "silent video", "numbers"])
def test_what_cannot_be_played_is_one_line_that_names_it(tmp_path: Path, what: str) -> None:
    path = tmp_path / "song.wav"
    if what == "text":
        path.write_text("la la la")
    elif what == "silent video":
        path = make_film(tmp_path / "film.mp4", 1.0)
    elif what == "numbers":
        soundfile.write(path, np.full(RATE, np.nan, np.float32), RATE, subtype="FLOAT")
    with pytest.raises(LivemoveError, match=path.name) as caught:
        Song(path, RATE)
    assert "\n" not in str(caught.value)


def test_a_song_that_breaks_off_or_is_shorter_than_asked_is_said(tmp_path: Path) -> None:
    path = tmp_path / "song.wav"
    soundfile.write(path, tone(5.0), RATE)
    assert Song(path, RATE).note == ""
    assert Song(path, RATE, seconds=8.0).note == "it ends after 5.0 of 8.0 s"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert Song(path, RATE).note == "it breaks off after 2.5 of 5.0 s"


def test_a_song_that_is_damaged_is_one_line_before_it_plays(tmp_path: Path) -> None:
    path = tmp_path / "song.flac"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 5 * RATE), RATE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(LivemoveError, match=r"song\.flac: cannot be played: its sound is damaged after 2\.. s"):
        Song(path, RATE)


def test_a_song_that_is_changed_while_it_plays_says_so(tmp_path: Path) -> None:
    path, whole = tmp_path / "song.wav", tmp_path / "whole.wav"
    left_and_right(path)
    left_and_right(whole)
    song = Song(path, RATE)
    soundfile.write(path, tone(1.0), RATE)
    song.start()
    assert song.trouble == f"{path}: has become shorter while it was played"
    song = Song(whole, RATE)
    whole.unlink()
    song.start()
    assert song.trouble.startswith(f"{whole}: ")


PEAK = """
import pathlib, resource, sys, numpy as np
from livemove.playback.song import Song
song = Song(pathlib.Path(sys.argv[1]), 48000)
song.start()
block = np.zeros((65536, song.channels), np.float32)
while not song.over:
    song.read(block)
print(song.seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def test_the_memory_of_a_song_does_not_grow_with_it(tmp_path: Path) -> None:
    """Twenty minutes are 220 MB at this rate, and once were twice that."""
    megabytes: list[float] = []
    for minutes in (1, 20):
        path = tmp_path / f"{minutes}.flac"
        with soundfile.SoundFile(path, "w", samplerate=8000, channels=1) as file:
            for _ in range(minutes):
                file.write(np.sin(2 * np.pi * 440 * np.arange(60 * 8000) / 8000).astype(np.float32) / 2)
        done = subprocess.run(
            [sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True, cwd=ROOT
        )
        seconds, peak = map(float, done.stdout.split())
        assert seconds == pytest.approx(60 * minutes, abs=0.1)
        megabytes.append(peak)
    assert megabytes[1] - megabytes[0] < 30, megabytes
