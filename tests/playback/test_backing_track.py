"""The sound of a take: counted in; the microphone's share of it to the sample."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from livemove.playback import backing_track
from livemove.playback.backing_track import BEEP_S, Stretch, _between, _count_in
from livemove.playback.device import Device
from tests.support.videos import tone

RATE = 48000


def test_each_second_of_the_count_in_begins_with_a_beep() -> None:
    lead = _count_in(4 * RATE, 3.0, RATE, 2)
    loud = np.abs(lead).max(axis=(1,)) > 0.01
    begins = np.flatnonzero(loud & ~np.roll(loud, 1) & (np.arange(len(loud)) % RATE < 0.005 * RATE))
    assert set(begins // RATE) == {1, 2, 3}
    assert not loud[: round(0.99 * RATE)].any()
    assert not loud[round((3 + BEEP_S) * RATE) :].any()


@pytest.fixture
def player(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> backing_track._Player:
    """A song of two seconds on a device of the test's own, which asks by hand."""
    soundfile.write(tmp_path / "song.wav", tone(2.0), RATE)
    monkeypatch.setattr(backing_track._Player, "open", lambda *_: None)
    device = Device(0, "by hand", "test", 2, float(RATE), 0.1, True)
    player = backing_track._Player(device, backing_track.SoundConfig(tmp_path / "song.wav"))
    player.going = True
    return player


def asked(player: backing_track._Player, blocks: int) -> np.ndarray:
    """float32 [samples, channels]: what so many callbacks give the device."""
    times = SimpleNamespace(outputBufferDacTime=0.0, currentTime=0.0)
    out = [np.ones((1024, player.channels), np.float32) for _ in range(blocks)]
    for block in out:
        player._play(block, len(block), times, 0)
    return np.concatenate(out)


def test_what_is_told_is_what_is_played_silence_and_then_the_song(player: backing_track._Player) -> None:
    out = asked(player, 200)
    song = out[player.lead : player.lead + 2 * RATE, 0]
    assert song == pytest.approx(tone(2.0), abs=1e-4)
    assert not out[: player.lead].any()
    assert not out[player.lead + 2 * RATE :].any()
    assert np.concatenate([each.samples for each in player.heard])[:, 0] == pytest.approx(song)
    assert not any(each.gap for each in player.heard)
    assert player.late == 0


def test_a_song_that_is_decoded_too_late_is_silence_told_as_a_gap_and_goes_on(player: backing_track._Player) -> None:
    assert player.song is not None
    waiting = [*player.song._blocks]
    player.song._blocks.clear()
    asked(player, 100)
    player.song._blocks.extend(waiting)
    out = asked(player, 150)
    assert player.late == 100 * 1024 - player.lead
    heard = np.concatenate([each.samples for each in player.heard])[:, 0]
    assert heard[player.late :] == pytest.approx(tone(2.0), abs=1e-4)
    assert not heard[: player.late].any()
    assert out[: 2 * RATE, 0] == pytest.approx(tone(2.0), abs=1e-4)
    assert {each.gap for each in player.heard if len(each.samples)} == {True, False}


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
