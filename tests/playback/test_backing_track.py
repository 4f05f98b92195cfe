"""The sound of a take: songs of every kind read, cut and counted in; the microphone's share of it to the sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from livemove.contracts import LivemoveError
from livemove.playback.backing_track import BEEP_S, Stretch, _between, _count_in, read_song
from tests.support.videos import make_film, tone

RATE = 48000


def level(sound: np.ndarray) -> float:
    return float(np.sqrt(np.mean(sound**2)))


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff"])
def test_songs_of_every_kind_are_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"song.{suffix}"
    soundfile.write(path, tone(1.0), RATE)
    song = read_song(path, RATE)
    assert song.shape[1] == 1
    assert len(song) / RATE == pytest.approx(1.0, abs=0.06)
    assert level(song) == pytest.approx(0.3 / np.sqrt(2), rel=0.05)


def test_a_films_sound_is_a_song(tmp_path: Path) -> None:
    song = read_song(make_film(tmp_path / "film.mp4", 2.0, tone(2.0)), RATE)
    assert len(song) / RATE == pytest.approx(2.0, abs=0.1)


def test_a_song_takes_the_rate_of_the_device(tmp_path: Path) -> None:
    """A 440 Hz tone keeps its pitch, its length and its place."""
    soundfile.write(tmp_path / "song.wav", tone(1.0), RATE)
    song = read_song(tmp_path / "song.wav", 44100)[:, 0]
    assert len(song) == 44100
    expected = 0.3 * np.sin(2 * np.pi * 440 * np.arange(44100) / 44100)
    assert song[1000:-1000] == pytest.approx(expected[1000:-1000], abs=1e-3)


def test_stereo_stays_stereo_and_no_longer_than_asked(tmp_path: Path) -> None:
    left_and_right = np.stack([tone(3.0), tone(3.0, 660.0)], axis=1)
    soundfile.write(tmp_path / "song.wav", left_and_right, RATE)
    song = read_song(tmp_path / "song.wav", RATE, 1.5)
    assert song.shape == (72000, 2)
    assert song == pytest.approx(left_and_right[:72000], abs=1e-4)


@pytest.mark.parametrize("what", ["missing", "text", "silent film", "numbers"])
def test_what_cannot_be_played_is_one_line_that_names_it(tmp_path: Path, what: str) -> None:
    path = tmp_path / "song.wav"
    if what == "text":
        path.write_text("la la la")
    elif what == "silent film":
        path = make_film(tmp_path / "film.mp4", 1.0)
    elif what == "numbers":
        soundfile.write(path, np.full(RATE, np.nan, np.float32), RATE, subtype="FLOAT")
    with pytest.raises(LivemoveError, match=path.name) as caught:
        read_song(path, RATE)
    assert "\n" not in str(caught.value)


def test_each_second_of_the_count_in_begins_with_a_beep() -> None:
    lead = _count_in(4 * RATE, 3.0, RATE, 2)
    loud = np.abs(lead).max(axis=(1,)) > 0.01
    begins = np.flatnonzero(loud & ~np.roll(loud, 1) & (np.arange(len(loud)) % RATE < 0.005 * RATE))
    assert set(begins // RATE) == {1, 2, 3}
    assert not loud[: round(0.99 * RATE)].any()
    assert not loud[round((3 + BEEP_S) * RATE) :].any()


def stretch(first: int, time_s: float, count: int = 1000) -> Stretch:
    return Stretch(first, time_s, np.arange(first, first + count, dtype=np.float32)[:, None], False)


def test_the_microphone_begins_and_ends_within_its_blocks() -> None:
    """A take from 10.0 to 10.05 s, blocks of 1000 samples at 10 kHz: from 9.95 s to 10.15 s."""
    parts = [_between(stretch(1000 * i, 9.95 + 0.1 * i), 10.0, 10.15 - 0.1, 10_000) for i in range(2)]
    assert np.concatenate([part.samples for part in parts])[:, 0].tolist() == list(range(500, 1000))
    assert parts[0].time_s == pytest.approx(10.0)
    assert parts[0].first == 500


def test_before_the_take_begins_the_microphone_gives_marks_only() -> None:
    part = _between(stretch(0, 9.95), None, np.inf, 10_000)
    assert (len(part.samples), part.time_s) == (0, 9.95)
