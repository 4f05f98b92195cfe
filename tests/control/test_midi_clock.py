"""MIDI clock and timecode in and out: tempo through jitter, positions as MIDI has them, and real ports."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest

from livemove.control.clock_out import STALL, ClockEncoder, ClockOut, OwnClock
from livemove.control.control_config import ControlConfig
from livemove.control.midi import ArrivalTimes
from livemove.control.midi_clock import CLOCK, CONTINUE, GONE_S, SONG_POSITION, START, STOP, MidiClockIn, PulseFilter
from livemove.control.midi_timecode import TimecodeIn
from livemove.ipc.segment import Segment
from tests.support.control_process import control, wait_for
from tests.support.real_time import in_real_time, timed


def pulses(clock: MidiClockIn, bpm: float, count: int, begin_s: float = 0.0, jitter_s: float = 0.0) -> float:
    """So many, the first at begin_s, each late by up to jitter_s; when the one after them is due."""
    rng = np.random.default_rng(0)
    for i in range(count):
        clock.handle([CLOCK], begin_s + i * 2.5 / bpm + float(rng.uniform(0.0, jitter_s)))
    return begin_s + count * 2.5 / bpm


def to_port(out: Any) -> Callable[[list[list[int]]], bool]:
    """What a ClockOut sends to a port of rtmidi."""

    def send(due: list[list[int]]) -> bool:
        for message in due:
            out.send_message(message)
        return True

    return send


# --- in: clock ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bpm", [40.0, 120.0, 174.0])
def test_tempo_and_beat_are_steadier_than_the_pulses(bpm: float) -> None:
    """Late by up to 5 ms, as a sound server's period makes them: the beat is to be known four times as well."""
    clock = MidiClockIn()
    clock.handle([START], 0.0)
    pulses(clock, bpm, 24 * 16, 0.0, 0.005)
    errors: list[float] = []
    for i in range(24 * 16, 24 * 32):
        at_s = i * 2.5 / bpm
        clock.handle([CLOCK], at_s + float(np.random.default_rng(i).uniform(0.0, 0.005)))
        found = clock.inputs(at_s + 0.006, 0.0)
        beats = (at_s + 0.006 - 0.0025) * bpm / 60.0  # pulses are late by 2.5 ms on average
        errors.append(((found["clock.beat"] - beats + 0.5) % 1.0 - 0.5) * 60.0 / bpm)
        assert found["clock.tempo"] == pytest.approx(bpm, rel=0.01)
    print(
        f"{bpm:g} bpm: beat within {1e3 * np.std(errors):.2f} ms rms, pulses {1e3 * 0.005 / math.sqrt(12):.2f} ms rms"
    )
    assert np.std(errors) < 0.5 * 0.005 / math.sqrt(12)


def test_beat_and_bar_are_of_the_moment_they_are_heard() -> None:
    clock = MidiClockIn()
    assert clock.inputs(0.0, 0.0) == {}
    clock.handle([START], 0.0)
    at_s = pulses(clock, 120.0, 24 * 3 + 13)  # the last one is beat 3.5
    found = clock.inputs(at_s - 2.5 / 120.0, 0.0)
    assert found == pytest.approx(
        {"clock.tempo": 120.0, "clock.beat": 0.5, "clock.phase": 3.5 / 4, "clock.running": 1.0}
    )
    ahead = clock.inputs(at_s - 2.5 / 120.0, 0.5)
    assert ahead["clock.phase"] == pytest.approx(0.5 / 4)


def test_stop_holds_continue_goes_on_and_start_begins_again() -> None:
    clock = MidiClockIn()
    clock.handle([START], 0.0)
    at_s = pulses(clock, 120.0, 24 * 2 + 1)
    clock.handle([STOP], at_s)
    at_s = pulses(clock, 120.0, 48, at_s)  # many go on while they are stopped
    found = clock.inputs(at_s, 0.1)
    assert (found["clock.phase"], found["clock.running"]) == (0.5, 0.0)
    clock.handle([CONTINUE], at_s)
    at_s = pulses(clock, 120.0, 24, at_s)
    assert clock.inputs(at_s - 2.5 / 120, 0.0)["clock.phase"] == pytest.approx(0.75)
    clock.handle([START], at_s)
    at_s = pulses(clock, 120.0, 13, at_s)
    assert clock.inputs(at_s - 2.5 / 120, 0.0)["clock.phase"] == pytest.approx(0.5 / 4)
    clock.handle([STOP], at_s)
    clock.handle([SONG_POSITION, 6, 1], at_s)  # 134 sixteenths: beat 33.5
    clock.handle([CONTINUE], at_s)
    at_s = pulses(clock, 120.0, 1, at_s)
    assert clock.inputs(at_s - 2.5 / 120, 0.0)["clock.phase"] == pytest.approx((33.5 % 4) / 4)


def test_a_cable_pulled_is_a_stop_and_another_tempo_is_followed_within_a_second() -> None:
    clock = MidiClockIn()
    clock.handle([START], 0.0)
    at_s = pulses(clock, 120.0, 96)
    assert clock.inputs(at_s, 0.0)["clock.running"] == 1.0
    assert clock.inputs(at_s + GONE_S, 0.0)["clock.running"] == 0.0
    for bpm in (140.0, 60.0, 63.0):
        at_s = pulses(clock, bpm, round(24 * bpm / 60.0), at_s)
        assert clock.inputs(at_s, 0.0)["clock.tempo"] == pytest.approx(bpm, rel=0.02), bpm


def test_pulses_of_a_sound_server_with_long_periods_and_of_a_machine_that_stood_still_keep_their_tempo() -> None:
    """Given out every 21 ms only, longer than they are apart, and once not for 150 ms."""
    clock = MidiClockIn()
    for i in range(400):
        at_s = i * 2.5 / 132.0
        at_s = max(at_s, 4.15) if 4.0 <= at_s < 4.15 else at_s
        clock.handle([CLOCK], math.ceil(at_s / 0.0213) * 0.0213)
        if i > 100:
            assert clock.inputs(at_s, 0.0)["clock.tempo"] == pytest.approx(132.0, rel=0.05), i


def test_a_filter_that_knows_nothing_says_nothing() -> None:
    found = PulseFilter()
    assert math.isnan(found.period_s)
    assert found.since(5.0) == 0.0
    found.pulse(1.0)
    assert found.since(5.0) == 0.0
    found.pulse(1.0)  # two at once
    assert found.since(5.0) == 0.0


@pytest.mark.parametrize("message", [[0x90, 60, 1], [0xF2, 1], [0xFE], [0xF0, 1, 0xF7]])
def test_what_is_no_clock_is_left_alone(message: list[int]) -> None:
    clock = MidiClockIn()
    assert not clock.handle(message, 0.0)
    assert clock.inputs(0.0, 0.0) == {}


def test_what_waited_to_be_taken_is_not_late() -> None:
    """Messages 20 ms apart, taken up to 8 ms later: their times are as far apart as they were sent."""
    arrivals, rng = ArrivalTimes(), np.random.default_rng(1)
    taken = [0.02 * i + float(rng.uniform(0.0, 0.008)) for i in range(100)]
    stamps = [arrivals.stamp(0.02 if i else 0.0, at_s) for i, at_s in enumerate(taken)]
    assert np.allclose(np.diff(stamps[50:]), 0.02, atol=5e-4)
    assert all(stamp <= at_s for stamp, at_s in zip(stamps, taken, strict=True))
    assert arrivals.stamp(0.0, 100.0) == 100.0  # another port, which counts anew


# --- in: timecode -------------------------------------------------------------------------------------------


def timecode(rate: int, hours: int, minutes: int, seconds: int, frames: int) -> list[int]:
    """The eight quarter frames' data bytes."""
    numbers = (frames, seconds, minutes, hours | rate << 5)
    nibbles = [part for number in numbers for part in (number & 15, number >> 4)]
    return [piece << 4 | nibble for piece, nibble in enumerate(nibbles)]


@pytest.mark.parametrize(("rate", "fps"), [(0, 24.0), (1, 25.0), (3, 30.0)])
def test_timecode_runs_in_seconds(rate: int, fps: float) -> None:
    code = TimecodeIn()
    for pair in range(25):
        frame = 2 * pair
        data = timecode(rate, 1, 2, 3 + frame // round(fps), frame % round(fps))
        for piece, byte in enumerate(data):
            code.handle([0xF1, byte], (frame + piece / 4) / fps)
    at_s = (48 + 7 / 4) / fps
    found = code.inputs(at_s, 0.0)
    assert found == pytest.approx({"mtc.seconds": 3723.0 + at_s, "mtc.running": 1.0}, abs=1e-3)
    assert code.inputs(at_s, 0.1)["mtc.seconds"] == pytest.approx(3723.1 + at_s, abs=1e-3)
    stopped = code.inputs(at_s + 1.0, 0.1)
    assert stopped == pytest.approx({"mtc.seconds": 3723.0 + at_s, "mtc.running": 0.0}, abs=1e-3)


def test_drop_frame_counts_the_frames_that_there_are() -> None:
    """SMPTE 12M: 1:00:00;00 is frame 107892 of 29.97 a second, 3599.996 s, where without dropping it were 3603.6."""
    code = TimecodeIn()
    code.handle([0xF0, 0x7F, 0x7F, 1, 1, 2 << 5 | 1, 0, 0, 0, 0xF7], 0.0)
    assert code.inputs(0.0, 0.0) == pytest.approx({"mtc.seconds": 107892 * 1001 / 30000, "mtc.running": 0.0})


def test_rewinding_and_a_locate_stand_still_and_a_half_timecode_is_none() -> None:
    code = TimecodeIn()
    data = timecode(1, 0, 0, 10, 0)
    for i, byte in enumerate(data[:7]):
        code.handle([0xF1, byte], 0.01 * i)
    assert code.inputs(0.07, 0.0) == {}
    for i, byte in enumerate(data):
        code.handle([0xF1, byte], 0.1 + 0.01 * i)
    assert code.inputs(0.17, 0.0)["mtc.running"] == 1.0
    for i, byte in enumerate(reversed(data)):
        code.handle([0xF1, byte], 0.18 + 0.01 * i)
    assert code.inputs(0.26, 0.0)["mtc.running"] == 0.0
    code.handle([0xF0, 0x7F, 0x00, 1, 1, 1 << 5, 0, 30, 0, 0xF7], 0.3)
    assert code.inputs(0.3, 0.5) == {"mtc.seconds": 30.0, "mtc.running": 0.0}


@pytest.mark.parametrize(
    "message", [[0xF1], [0xF0, 0x7F, 0, 1, 1, 0, 0, 0xF7], [0xF0, 0x7E, 0, 1, 1, 0, 0, 0, 0, 0xF7]]
)
def test_what_is_no_timecode_is_left_alone(message: list[int]) -> None:
    assert not TimecodeIn().handle(message, 0.0)


# --- out ----------------------------------------------------------------------------------------------------


def sent(beats: list[tuple[float, bool]]) -> list[list[int]]:
    encoder = ClockEncoder()
    return [message for beat, playing in beats for message in encoder.messages(beat, playing)]


def test_pulses_come_first_and_start_before_the_first_bar() -> None:
    """A beat of them, from which who follows learns the tempo; then start, and the next pulse is the song's first."""
    found = sent([(-1.0 + i / 240.0, True) for i in range(480 + 1)])
    assert found == [[CLOCK]] * 23 + [[START]] + [[CLOCK]] * 25


def test_who_follows_is_where_the_clock_is() -> None:
    encoder, clock = ClockEncoder(), MidiClockIn()
    for i in range(2000):
        at_s = i * 0.004
        for message in encoder.messages(-1.0 + 2.0 * at_s, True):
            clock.handle(message, at_s)
    assert clock.inputs(at_s, 0.0)["clock.phase"] == pytest.approx((2.0 * at_s - 1.0) % 4 / 4, abs=0.01)


def test_no_pulse_is_left_out_when_it_comes_late_and_after_a_long_while_it_says_where_it_is() -> None:
    encoder = ClockEncoder()
    heard = [*encoder.messages(-0.5, True), *encoder.messages(0.0, True)]
    assert encoder.messages(0.9, True).count([CLOCK]) == 21
    late = encoder.messages(5.0, True)
    assert STALL < 4.1 * 24
    assert late == [[STOP]]
    again = [message for i in range(1, 30) for message in encoder.messages(5.0 + i / 24, True)]
    at = again.index([CONTINUE])
    assert again[at - 1] == [SONG_POSITION, 21, 0]  # beat 5.25
    assert again[at - 2] == [CLOCK]
    assert [START] in heard


def test_a_stop_stops_once_and_the_next_start_is_a_new_song() -> None:
    found = sent([(-0.5, True), (0.5, True), (1.0, False), (2.0, False), (3.0, True), (4.0, True), (4.5, True)])
    assert [message for message in found if message != [CLOCK]] == [[START], [STOP], [START]]


def test_to_a_port_that_was_gone_the_song_goes_on() -> None:
    encoder = ClockEncoder()
    encoder.messages(-0.5, True)
    encoder.messages(0.5, True)
    encoder.interrupt()
    encoder.messages(1.0, True)
    found = encoder.messages(1.5, True)
    assert [message for message in found if message != [CLOCK]] == [[SONG_POSITION, 5, 0], [CONTINUE]]
    assert encoder.end() == [[STOP]]
    assert encoder.end() == []


def test_the_thread_keeps_time_and_ends_with_stop() -> None:
    times: list[float] = []
    messages: list[list[int]] = []

    def send(due: list[list[int]]) -> bool:
        times.extend([time.monotonic()] * due.count([CLOCK]))
        messages.extend(due)
        return True

    began_s = time.monotonic()
    clock = ClockOut(OwnClock(240.0), send)
    time.sleep(1.5)
    clock.close()
    due = 96.0 * (time.monotonic() - began_s)
    late_ms = 1e3 * (np.array(times) - times[0] - np.arange(len(times)) / 96.0)
    late_ms -= np.median(late_ms)
    print(f"{len(times)} pulses: {late_ms.std():.2f} ms rms, {np.abs(late_ms).max():.2f} ms at most")
    assert len(times) == pytest.approx(due, abs=STALL)
    assert messages.count([START]) == 1
    assert messages[-1] == [STOP]


def test_a_clock_needs_a_port() -> None:
    from click.testing import CliRunner

    from livemove.cli import main

    for options, word in (
        (["--midi-clock"], "--midi-out"),
        (["--midi-out", "x", "--tempo", "100"], "--midi-clock"),
        (["--midi-out", "x", "--midi-clock", "--link", "--tempo", "100"], "--link"),
        (["--midi-out", "x", "--midi-clock", "--tempo", "1000"], "300"),
    ):
        result = CliRunner().invoke(main, ["perform", "--camera", "demo", *options])
        assert result.exit_code == 2
        assert word in result.output


# --- real ports, on JACK's MIDI -----------------------------------------------------------------------------


@in_real_time
@pytest.mark.usefixtures("backend")
def test_a_real_clock_is_a_source_and_stops_when_its_port_goes(segment: Segment, tmp_path: Path) -> None:
    import rtmidi

    names = ("clock.tempo", "clock.beat", "clock.phase", "clock.running", "mtc.seconds", "mtc.running")
    places = {name: segment.external_inputs.want(name) for name in names}
    values = segment.external_inputs.values
    out = rtmidi.MidiOut(rtmidi.API_UNIX_JACK, name="sequencer")
    out.open_virtual_port("clock")
    with control(segment, ControlConfig(midi="sequencer", learnt=tmp_path / "midi.toml"), tmp_path / "log"):
        clock = ClockOut(OwnClock(132.0), to_port(out))
        wait_for(lambda: values[places["clock.running"]] == 1.0)
        time.sleep(1.5)
        with timed():
            assert values[places["clock.tempo"]] == pytest.approx(132.0, rel=0.03)
            beat = clock.clock.beat
            apart = (values[places["clock.phase"]] * 4 - beat + 2.0) % 4.0 - 2.0
            print(f"clock in: {values[places['clock.tempo']]:.2f} bpm, beat {1e3 * apart * 60 / 132:.1f} ms apart")
            assert abs(apart * 60 / 132) < 0.05
        clock.close()
        wait_for(lambda: values[places["clock.running"]] == 0.0)
        out.send_message([0xF0, 0x7F, 0x7F, 1, 1, 1 << 5, 1, 0, 0, 0xF7])
        wait_for(lambda: values[places["mtc.seconds"]] == 60.0)
        out.send_message(mido.Message("sysex", data=[1, 2, 3]).bytes())
        out.send_message(mido.Message("program_change", program=2).bytes())
        assert wait_for(segment.commands.take).amount == 2.0
        out.close_port()
        out.delete()
        wait_for(lambda: "is gone" in segment.processes["control"].remarks[1])


@in_real_time
@pytest.mark.usefixtures("backend")
def test_a_real_synthesizer_gets_a_clock_beside_its_notes(segment: Segment, tmp_path: Path) -> None:
    import rtmidi

    from livemove.contracts import SentMessage

    ear = rtmidi.MidiIn(rtmidi.API_UNIX_JACK, name="synthesizer")
    ear.open_virtual_port("in")
    ear.ignore_types(sysex=False, timing=False, active_sense=False)
    got: list[tuple[list[int], float]] = []
    at_s = 0.0

    def heard() -> int:
        nonlocal at_s
        while (found := ear.get_message()) is not None:
            at_s += found[1]
            got.append((found[0], at_s))
        return sum(message == [CLOCK] for message, _ in got)

    config = ControlConfig(midi_out="synthesizer", midi_clock=True, tempo=150.0)
    with control(segment, config, tmp_path / "log"):
        assert "MIDI clock at 150.0 bpm" in segment.processes["control"].label
        segment.outbox.put(SentMessage(note=60, velocity=90, seconds=0.05))
        wait_for(lambda: heard() >= 180)
    wait_for(lambda: heard() and got[-1][0] == [STOP])
    messages = [message for message, _ in got]
    start = messages.index([START])
    assert messages[start - 1] == messages[start + 1] == [CLOCK]
    assert [0x90, 60, 90] in messages
    assert [0x80, 60, 0] in messages
    times = np.array([at for message, at in got if message == [CLOCK]])
    late_ms = 1e3 * (times - times[0] - np.arange(len(times)) * 2.5 / 150.0)
    late_ms -= np.median(late_ms)
    print(
        f"{len(times)} pulses on JACK, period 10.7 ms: {late_ms.std():.2f} ms rms, 95 % within "
        f"{np.percentile(np.abs(late_ms), 95):.1f} ms, {np.abs(late_ms).max():.1f} ms at most"
    )
    with timed():
        assert abs(np.polyfit(np.arange(len(times)), times, 1)[0] - 2.5 / 150.0) < 1e-4
    ear.close_port()
    ear.delete()
