"""MPE out, message by message against bytes worked out by hand; and a real port at its other end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livemove.contracts import Channel
from livemove.control.control_config import ControlConfig
from livemove.control.mpe import Mpe
from livemove.ipc.segment import Segment
from livemove.synthesis import architectures
from tests.support.control_process import control, wait_for
from tests.support.real_time import in_real_time, timed

CHANNELS = (architectures.PITCH, architectures.LOUDNESS, Channel("brightness", "", 0.0, 1.0, 0.5))
"""Pitch in MIDI notes, loudness 0..1, brightness 0..1."""


def play(mpe: Mpe, pitch: float, loudness: float, brightness: float = 0.5) -> list[list[int]]:
    return mpe.messages(CHANNELS, [pitch, loudness, brightness])


def test_it_says_what_it_is() -> None:
    """RPN 6 on channel 1: a lower zone of 15 members; RPN 0 on each of those: bends of 48 semitones; then RPN null."""
    said = Mpe().setup_messages()
    assert said[:5] == [[0xB0, 101, 0], [0xB0, 100, 6], [0xB0, 6, 15], [0xB0, 101, 127], [0xB0, 100, 127]]
    assert said[5:10] == [[0xB1, 101, 0], [0xB1, 100, 0], [0xB1, 6, 48], [0xB1, 101, 127], [0xB1, 100, 127]]
    assert said[-5:] == [[0xBF, 101, 0], [0xBF, 100, 0], [0xBF, 6, 48], [0xBF, 101, 127], [0xBF, 100, 127]]
    assert len(said) == 5 * 16


def test_a_note_begins_with_its_bend_timbre_and_pressure() -> None:
    """69.25: a quarter semitone is 8192 / 48 / 4 = 42.67, so 8235 = 64 * 128 + 43. Half of 127, 63.5, rounds to 64."""
    assert play(Mpe(), 69.25, 0.5) == [[0xE1, 43, 64], [0xB1, 74, 64], [0xD1, 64], [0x91, 69, 64]]


def test_only_what_changes_is_sent() -> None:
    mpe = Mpe()
    play(mpe, 69.0, 0.5)
    assert play(mpe, 69.0, 0.5) == []
    assert play(mpe, 69.0, 0.75) == [[0xD1, 95]]
    assert play(mpe, 69.0, 0.75, 1.0) == [[0xB1, 74, 127]]
    assert play(mpe, 81.0, 0.75, 1.0) == [[0xE1, 0, 80]]  # an octave: 8192 + 2048 = 80 * 128
    assert play(mpe, 57.0, 0.75, 1.0) == [[0xE1, 0, 48]]


def test_a_trembling_hand_is_one_note() -> None:
    mpe = Mpe()
    assert play(mpe, 60.0, 0.07) == []
    assert play(mpe, 60.0, 0.09)[-1] == [0x91, 60, 64]
    assert [m[0] for loudness in (0.07, 0.09, 0.05, 0.08) for m in play(mpe, 60.0, loudness)] == [0xD1] * 4
    assert play(mpe, 60.0, 0.03) == [[0x81, 60, 64]]
    assert play(mpe, 60.0, 0.07) == []


def test_every_note_has_the_next_channel_and_all_of_its_own() -> None:
    """What rings on is not bent by the next note, and the sixteenth note takes the first one's channel again."""
    mpe = Mpe()
    for note in range(16):
        begun = play(mpe, 60.0, 0.5)
        member = 1 + note % 15
        assert begun == [[0xE0 | member, 0, 64], [0xB0 | member, 74, 64], [0xD0 | member, 64], [0x90 | member, 60, 64]]
        assert play(mpe, 60.0, 0.0) == [[0x80 | member, 60, 64]]


def test_beyond_its_bend_it_goes_on_as_another_note() -> None:
    mpe = Mpe()
    wide = (Channel("pitch", architectures.PITCH.unit, 0.0, 127.0, 60.0), *CHANNELS[1:])
    assert mpe.messages(wide, [30.0, 0.5, 0.5])[-1] == [0x91, 30, 64]
    assert mpe.messages(wide, [78.0, 0.5, 0.5]) == [[0xE1, 127, 127]]  # 48 up: the end of the bend
    assert mpe.messages(wide, [78.5, 0.5, 0.5])[::4] == [[0x81, 30, 64], [0x92, 78, 64]]


def test_a_model_without_pitch_ends_the_note() -> None:
    mpe = Mpe()
    play(mpe, 60.0, 0.5)
    assert mpe.messages(CHANNELS[1:], [0.5, 0.5]) == [[0x81, 60, 64]]
    assert mpe.messages(CHANNELS[1:], [0.5, 0.5]) == []
    assert mpe.end() == []


@in_real_time
@pytest.mark.usefixtures("backend")
def test_a_synthesizer_hears_a_note_begin_and_end(segment: Segment, tmp_path: Path) -> None:
    """No poses come any more: a camera was lost while a note sounded, and it ends as its loudness eases to rest."""
    import rtmidi

    ear = rtmidi.MidiIn(rtmidi.API_UNIX_JACK, name="synthesizer")
    ear.open_virtual_port("in")
    got: list[list[int]] = []

    def heard(loudness: float, last: list[int]) -> Callable[[], Any]:
        def step() -> bool:
            segment.synthesis.hop(0.001, 256, np.array([60.0, loudness], np.float32))
            while message := ear.get_message():
                got.append(message[0])
            return last in got

        return step

    config = ControlConfig(midi_out="synthesizer", mpe=True, channels=(CHANNELS[:2],))
    with control(segment, config, tmp_path / "log"):
        wait_for(heard(0.0, [0xBF, 100, 127]))
        with timed():
            assert got == Mpe().setup_messages()
        segment.capture.frame_used(10.0, 1)
        wait_for(heard(0.5, [0x91, 60, 64]))
        wait_for(heard(0.0, [0x81, 60, 64]))
        wait_for(heard(0.5, [0x92, 60, 64]))
    wait_for(heard(0.5, [0x82, 60, 64]))  # the performance ended, and the note with it
    ear.close_port()
    ear.delete()
