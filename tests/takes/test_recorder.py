"""What is written is what was played; what could not be is told, and harms nothing."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
import soundfile

from livemove.ipc.segment import Segment
from livemove.native._realtime import TAP_CAPACITY, Output
from livemove.takes.folder import TakeWriter, pcm24
from livemove.takes.history import Rolling
from livemove.takes.reading import load_take
from livemove.takes.recorder import TakeRecorder, check_takes
from livemove.takes.wav_recorder import WavRecorder, check_writable
from tests.support.recording import Stage, settings, until
from tests.support.stereo import centred


def play_noise(segment: Segment, output: Output, blocks: int) -> None:
    random = np.random.default_rng(0)
    for _ in range(blocks):
        segment.ring.write(random.uniform(-0.5, 0.5, 512).astype(np.float32))
        output.render(512)


def test_the_file_holds_every_sample_played_since_the_start(segment: Segment, tmp_path: Path) -> None:
    output = Output(segment.bytes, 48000.0, 2, 0.0)
    play_noise(segment, output, 10)
    segment.set_device_rate(48000.0)
    recorder = WavRecorder(segment, tmp_path / "take.wav")
    recorder.start()
    play_noise(segment, output, 40)
    recorder.stop()
    played = np.empty(40 * 512, np.float32)
    assert segment.tap.read(10 * 512, played)
    written, rate = centred(tmp_path / "take.wav")
    assert rate == 48000
    assert len(written) == len(played)
    assert np.abs(written - played).max() < 2**-22
    assert recorder.trouble() is None


def test_a_hole_is_told_and_keeps_its_length(segment: Segment, tmp_path: Path) -> None:
    output = Output(segment.bytes, 48000.0, 1, 0.0)
    segment.set_device_rate(48000.0)
    recorder = WavRecorder(segment, tmp_path / "take.wav")
    recorder.start()
    output.render(2 * TAP_CAPACITY)  # one call, in which no other thread gets to run
    recorder.stop()
    assert soundfile.info(tmp_path / "take.wav").frames == 2 * TAP_CAPACITY
    assert "hole" in str(recorder.trouble())


def test_checking_a_place_leaves_nothing_there(tmp_path: Path) -> None:
    check_writable(tmp_path / "take.wav")
    assert list(tmp_path.iterdir()) == []


def test_what_a_card_of_another_rate_plays_is_a_file_of_that_rate(segment: Segment, tmp_path: Path) -> None:
    segment.set_device_rate(48000.0)
    recorder = WavRecorder(segment, tmp_path / "take.wav")
    recorder.start()
    play_noise(segment, Output(segment.bytes, 48000.0, 1, 0.0), 30)
    segment.set_device_rate(96000.0)  # refused by that card, which plays nothing
    segment.set_device_rate(44100.0)
    play_noise(segment, Output(segment.bytes, 44100.0, 1, 0.0), 20)
    recorder.stop()
    played = np.empty(50 * 512, np.float32)
    assert segment.tap.read(0, played)
    for name, rate, expected in (("take", 48000, played[: 30 * 512]), ("take-002", 44100, played[30 * 512 :])):
        written, found = centred(tmp_path / f"{name}.wav")
        assert found == rate
        assert len(written) == len(expected)
        assert np.abs(written - expected).max() < 2**-22
    assert len(list(tmp_path.iterdir())) == 2
    assert "44100 samples a second" in str(recorder.trouble())


# --- takes --------------------------------------------------------------------------------------------------


def test_takes_begin_and_end_while_it_plays(segment: Segment, tmp_path: Path) -> None:
    stage, keeper = Stage(segment), TakeRecorder(segment, settings(tmp_path))
    keeper.start()
    stage.play(20)
    until(lambda: keeper.history is not None and keeper.history.blocks.end == 20)
    keeper.record(True)
    until(lambda: keeper.recording)
    stage.play(30)
    until(lambda: keeper.history is not None and keeper.history.blocks.end == 50)
    keeper.record(False)
    until(lambda: not keeper.recording)
    stage.play(10)
    keeper.stop()
    take = load_take(next(tmp_path.iterdir()))
    assert take.samples == 31 * 512, "from the block in which it was asked for"
    assert np.array_equal(take.sound(), pcm24(stage.played(19 * 512, 31 * 512)))
    assert {19.0, 49.0} <= set(take.hops["channels"][:, 0].tolist())
    assert set(take.hops["gain"].tolist()) == {0.5}
    assert take.hops["sources"].shape[1] == len(take.info.sources) == 2
    assert [frame.sequence for frame in take.frames()][-1] >= 49


def test_the_last_seconds_are_what_the_tap_carried(segment: Segment, tmp_path: Path) -> None:
    stage, keeper = Stage(segment), TakeRecorder(segment, settings(tmp_path, keep_s=0.5))
    keeper.start()
    stage.play(100)
    until(lambda: keeper.history is not None and keeper.history.blocks.end == 100)
    keeper.save_last()
    until(lambda: "recorded" in str(keeper.notice()))
    take = load_take(next(tmp_path.iterdir()))
    assert 0.48 < take.seconds <= 0.5
    assert np.array_equal(take.sound(), pcm24(stage.played(100 * 512 - take.samples, take.samples)))
    keeper.stop()


def test_a_card_of_another_rate_begins_another_take_and_nothing_is_lost(segment: Segment, tmp_path: Path) -> None:
    stage, keeper = Stage(segment), TakeRecorder(segment, settings(tmp_path / "recorded"))
    keeper.record_all()
    keeper.start()
    stage.play(30)
    until(lambda: keeper.recording)
    stage.change_card(44100.0)
    stage.play(20)
    stage.change_card(44100.0)  # of the same rate: the take goes on
    stage.play(10)
    until(lambda: keeper.history is not None and keeper.history.blocks.end == 60)
    keeper.save_last()
    keeper.stop()
    takes = sorted((load_take(each) for each in (tmp_path / "recorded").iterdir()), key=lambda take: take.info.rate)
    assert [(take.info.rate, take.samples) for take in takes] == 2 * [(44100, 30 * 512)] + 2 * [(48000, 30 * 512)]
    for take in takes:
        first = 30 * 512 if take.info.rate == 44100 else 0
        assert np.array_equal(take.sound(), pcm24(stage.played(first, 30 * 512)))


def test_of_the_last_seconds_each_card_has_its_own_length(segment: Segment, tmp_path: Path) -> None:
    stage, keeper = Stage(segment), TakeRecorder(segment, settings(tmp_path, keep_s=1.0))
    keeper.start()
    stage.play(80)
    until(lambda: keeper.history is not None and keeper.history.blocks.end == 80)
    stage.change_card(96000.0)
    stage.play(94)
    until(lambda: keeper.history is not None and keeper.history.blocks.end == 174)
    keeper.save_last()
    keeper.stop()
    seconds = {load_take(each).info.rate: load_take(each).seconds for each in tmp_path.iterdir()}
    assert seconds[96000] == pytest.approx(94 * 512 / 96000)
    assert 0.98 < sum(seconds.values()) <= 1.0


def test_a_full_disk_ends_the_take_and_nothing_else(
    segment: Segment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, keeper = Stage(segment), TakeRecorder(segment, settings(tmp_path))
    keeper.record_all()
    keeper.start()
    stage.play(10)
    until(lambda: "recording" in str(keeper.notice()))
    until(
        lambda: len(load_take(next(tmp_path.iterdir())).blocks) == 10 if list(tmp_path.glob("*/poses.npy")) else False
    )

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(TakeWriter, "sound", full)
        stage.play(10)
        lines: list[str] = []
        until(lambda: lines.append(keeper.notice() or "") or "No space left" in lines[-1])
    assert "what was written is kept" in lines[-1]
    assert keeper.recording is None
    take = load_take(next(tmp_path.iterdir()))
    assert np.array_equal(take.sound(), pcm24(stage.played(0, 10 * 512)))
    keeper.save_last()
    until(lambda: "recorded" in str(keeper.notice()))
    assert load_take(max(tmp_path.iterdir())).samples == 20 * 512, "memory does not mind the disk"
    keeper.stop()


def test_rolling_rows_are_the_last_ones_in_order() -> None:
    rolling = Rolling(7, np.dtype(np.int64))
    for at in range(0, 40, 3):
        rolling.add(np.arange(at, at + 3))
        assert rolling.read(rolling.start, rolling.end).tolist() == list(range(max(0, at - 4), at + 3))
    rolling.add(np.arange(42, 62))
    assert rolling.read(rolling.start, rolling.end).tolist() == list(range(55, 62))


def test_checking_a_folder_for_takes_leaves_nothing_there(tmp_path: Path) -> None:
    check_takes(tmp_path / "new" / "folder")
    assert list(tmp_path.iterdir()) == []
