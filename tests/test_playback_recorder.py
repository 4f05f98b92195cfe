"""What is written is what was played; what could not be is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from livemove.exchange import Segment
from livemove.native._realtime import TAP_CAPACITY, Output
from livemove.playback.recorder import Recorder, check_writable


@pytest.fixture
def segment() -> Iterator[Segment]:
    made = Segment.create()
    yield made
    made.close()
    made.unlink()


def play_noise(segment: Segment, output: Output, blocks: int) -> None:
    random = np.random.default_rng(0)
    for _ in range(blocks):
        segment.ring.write(random.uniform(-0.5, 0.5, 512).astype(np.float32))
        output.render(512)


def test_the_file_holds_every_sample_played_since_the_start(segment: Segment, tmp_path: Path) -> None:
    output = Output(segment.bytes, 48000.0, 2, 0.0)
    play_noise(segment, output, 10)
    recorder = Recorder(segment, tmp_path / "take.wav")
    recorder.start(48000.0)
    play_noise(segment, output, 40)
    recorder.stop()
    played = np.empty(40 * 512, np.float32)
    assert segment.tap.read(10 * 512, played)
    written, rate = soundfile.read(tmp_path / "take.wav", dtype="float32")
    assert rate == 48000
    assert len(written) == len(played)
    assert np.abs(written - played).max() < 2**-22
    assert recorder.trouble() is None


def test_a_hole_is_told_and_keeps_its_length(segment: Segment, tmp_path: Path) -> None:
    output = Output(segment.bytes, 48000.0, 1, 0.0)
    recorder = Recorder(segment, tmp_path / "take.wav")
    recorder.start(48000.0)
    output.render(2 * TAP_CAPACITY)  # one call, in which no other thread gets to run
    recorder.stop()
    assert soundfile.info(tmp_path / "take.wav").frames == 2 * TAP_CAPACITY
    assert "hole" in str(recorder.trouble())


def test_checking_a_place_leaves_nothing_there(tmp_path: Path) -> None:
    check_writable(tmp_path / "take.wav")
    assert list(tmp_path.iterdir()) == []
