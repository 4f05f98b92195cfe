"""What the window knows: figures, columns of sound, traces, and the plain words for how it goes. Without Qt."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
import pytest

from livemove.body.lag import estimate_ms
from livemove.contracts import Controls, SupervisorStatus
from livemove.ipc.segment import Segment, State
from livemove.monitor import telemetry
from livemove.monitor.telemetry import (
    COLUMNS_PER_S,
    HIGH_HZ,
    LOW_HZ,
    ROWS,
    AudioColumns,
    Figures,
    Notices,
    OutputAnalyzer,
    TelemetryReader,
    Tone,
    TraceReader,
    judge,
    sooner,
    written_note,
)
from livemove.native._realtime import Output

RATE = 48000


class Clock:
    """In place of now_s."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(telemetry, "now_s", made)
    return made


@pytest.fixture
def segment() -> Iterator[Segment]:
    made = Segment.create()
    made.set_device_rate(RATE)
    yield made
    made.close()
    made.unlink()


class Player:
    """Plays samples through the real callback."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.output = Output(segment.bytes, RATE, 1, 0.0)

    def play(self, samples: np.ndarray) -> None:
        for block in samples.astype(np.float32).reshape(-1, 480):
            self.segment.ring.write(block)
            self.output.render(480)


def listened(listener: OutputAnalyzer, player: Player, samples: np.ndarray) -> AudioColumns:
    """The columns of all of it, listened to every 10 ms."""
    parts = []
    for block in samples.reshape(-1, 480):
        player.play(block)
        parts.append(listener.read())
    parts = [part for part in parts if len(part.low)]
    return AudioColumns(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("low", "high", "spectrum")),
        peak=max(part.peak for part in parts),
    )


def sine(hertz: float, seconds: float, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


# --- sound -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hertz", [110.0, 440.0, 3000.0, 12000.0])
def test_a_tone_lights_the_row_of_its_pitch(segment: Segment, hertz: float) -> None:
    listener, player = OutputAnalyzer(segment), Player(segment)
    listener.read()
    spectrum = listened(listener, player, sine(hertz, 0.5)).spectrum
    row = ROWS * math.log(hertz / LOW_HZ) / math.log(HIGH_HZ / LOW_HZ)
    assert abs(int(spectrum[-1].argmax()) + 0.5 - row) < 2.5


def test_rows_above_half_the_rate_stay_dark() -> None:
    slow = Segment.create()
    try:
        slow.set_device_rate(16000)
        listener, player = OutputAnalyzer(slow), Player(slow)
        listener.read()
        spectrum = listened(listener, player, np.random.default_rng(0).normal(0, 0.2, RATE)).spectrum
        dark = int(np.ceil(ROWS * math.log(8000 / LOW_HZ) / math.log(HIGH_HZ / LOW_HZ)))
        assert not spectrum[:, dark:].any()
        assert spectrum[-1, dark - 2] > 0
    finally:
        slow.close()
        slow.unlink()


def test_silence_lights_nothing(segment: Segment) -> None:
    listener, player = OutputAnalyzer(segment), Player(segment)
    listener.read()
    assert not listened(listener, player, np.zeros(RATE // 2, np.float32)).spectrum.any()


def test_a_second_is_as_many_columns_as_promised_and_no_sample_is_missed(segment: Segment) -> None:
    listener, player = OutputAnalyzer(segment), Player(segment)
    listener.read()
    player.play(np.zeros(4800))
    listener.read()
    samples = np.zeros(RATE, np.float32)
    samples[12345] = 0.7
    sound = listened(listener, player, samples)
    assert len(sound.low) == COLUMNS_PER_S
    assert sound.peak == pytest.approx(0.7, abs=0.02)
    assert (sound.high > 0.6).sum() == 1


def test_a_listener_that_was_held_up_skips_to_now(segment: Segment) -> None:
    listener, player = OutputAnalyzer(segment), Player(segment)
    listener.read()
    player.play(sine(440, 5.0))
    assert 1 <= len(listener.read().low) <= 16
    assert len(listener.read().low) == 0


def test_a_hold_up_is_no_click_in_the_spectrum(segment: Segment) -> None:
    """A window put together from before and after would have a line through all rows."""
    listener, player = OutputAnalyzer(segment), Player(segment)
    listener.read()
    tone = sine(440.0, 2.0)
    listened(listener, player, tone[: RATE // 2])
    player.play(tone[RATE // 2 :])
    spectrum = listener.read().spectrum
    assert len(spectrum) == 16
    assert not spectrum[:, -ROWS // 4 :].any()


def test_before_there_is_a_device_there_is_no_sound() -> None:
    silent = Segment.create()
    try:
        assert len(OutputAnalyzer(silent).read().low) == 0
    finally:
        silent.close()
        silent.unlink()


# --- traces ------------------------------------------------------------------------------------------------------


def test_traces_go_straight_from_value_to_value(segment: Segment, clock: Clock) -> None:
    segment.synthesis.hop(0.001, 256, np.array([1.0, 2.0], np.float32))
    segment.synthesis.set_features(np.array([0.0], np.float32))
    tracer = TraceReader(segment)
    clock.seconds += 4.001 / COLUMNS_PER_S
    np.testing.assert_allclose(tracer.read(), [[1, 2, 0]] * 4)
    segment.synthesis.hop(0.001, 256, np.array([3.0, 2.0], np.float32))
    clock.seconds += 2.0 / COLUMNS_PER_S
    np.testing.assert_allclose(tracer.read(), [[2, 2, 0], [3, 2, 0]])


def test_a_tracer_that_was_held_up_gives_a_second_at_most(segment: Segment, clock: Clock) -> None:
    segment.synthesis.hop(0.001, 256, np.array([1.0], np.float32))
    tracer = TraceReader(segment)
    clock.seconds += 100.0
    assert len(tracer.read()) == COLUMNS_PER_S


# --- figures and words -------------------------------------------------------------------------------------------


def test_rates_are_those_of_the_last_seconds(segment: Segment, clock: Clock) -> None:
    watcher = TelemetryReader(segment)
    for _ in range(20):
        for _ in range(5):
            segment.capture.frame_used(20.0, 1)
        clock.seconds += 0.2
        figures = watcher.read()
    assert figures.pose_fps == pytest.approx(25.0)
    for _ in range(20):
        clock.seconds += 0.2
        figures = watcher.read()
    assert figures.pose_fps == 0.0


def test_a_restart_is_news_from_when_it_was_seen(segment: Segment, clock: Clock) -> None:
    watcher = TelemetryReader(segment)
    segment.supervisor_status.write(SupervisorStatus(100.0, 90.0, {"capture": 1}))
    assert watcher.read().restart_age_s == math.inf  # it was before we came
    segment.supervisor_status.write(SupervisorStatus(100.0, 90.0, {"capture": 2}))
    clock.seconds += 1.0
    assert watcher.read().restart_age_s == 0.0
    clock.seconds += 5.0
    figures = watcher.read()
    assert figures.restart_age_s == 5.0
    assert figures.restarts["capture"] == 2
    assert figures.seconds == 16.0


WELL = Figures(
    people=1,
    pose_age_s=0.03,
    states={"capture": State.RUNNING, "synthesis": State.RUNNING, "playback": State.RUNNING, "monitor": State.RUNNING},
)


@pytest.mark.parametrize(
    ("change", "controls", "tone", "words"),
    [
        ({}, Controls(), Tone.FINE, "playing"),
        ({}, Controls(mute=True), Tone.WATCH, "muted"),
        ({"people": 0}, Controls(freeze=True), Tone.WATCH, "frozen"),
        ({"people": 0}, Controls(), Tone.WATCH, "nobody in view"),
        ({"limiter_age_s": 0.1}, Controls(), Tone.WATCH, "too loud"),
        ({"trouble_age_s": 1.0}, Controls(mute=True), Tone.WRONG, "broke off"),
        ({"trouble_age_s": 60.0}, Controls(), Tone.FINE, "playing"),
        ({"pose_age_s": 2.0}, Controls(), Tone.WRONG, "no image"),
        ({"states": {**WELL.states, "capture": State.STARTING}}, Controls(), Tone.WRONG, "camera is coming back"),
        ({"states": {**WELL.states, "synthesis": State.NONE}}, Controls(), Tone.WRONG, "instrument is coming back"),
        ({"states": {**WELL.states, "playback": State.FAILED}}, Controls(), Tone.WRONG, "no audio device"),
        ({"states": {**WELL.states, "monitor": State.STARTING}}, Controls(), Tone.FINE, "playing"),
        ({"waits": {"playback": "USB"}, "pose_age_s": 2.0}, Controls(), Tone.WATCH, "waiting for USB"),
        ({"camera_fault": "absent", "pose_age_s": 2.0}, Controls(), Tone.WATCH, "camera is not there yet"),
        ({"camera_fault": "covered", "people": 0}, Controls(), Tone.WATCH, "camera is covered"),
        ({"waits": {"control": "MIDI from nano"}}, Controls(), Tone.WATCH, "waiting for MIDI"),
        ({"supervisor_age_s": 5.0}, Controls(), Tone.WRONG, "no longer answers"),
        ({"ending": True, "supervisor_age_s": 5.0}, Controls(), Tone.QUIET, "ending"),
    ],
)
def test_the_most_urgent_thing_is_said_first(
    change: dict[str, object], controls: Controls, tone: Tone, words: str
) -> None:
    verdict = judge(dataclasses.replace(WELL, **change), controls)
    assert verdict.tone == tone
    assert words in verdict.words


def test_news_stand_for_a_while_and_old_ones_are_not_told_again(clock: Clock) -> None:
    news = Notices()
    assert news.read(SupervisorStatus(notices=4, notice="long ago")) == ([], Tone.QUIET)
    assert news.read(SupervisorStatus(notices=5, notice="capture died")) == (["capture died"], Tone.WATCH)
    clock.seconds += 1.0
    assert news.read(SupervisorStatus(notices=6, notice="capture died"))[0] == ["capture died"] * 2
    clock.seconds += 7.5
    assert news.read(SupervisorStatus(notices=6, notice="capture died"))[0] == ["capture died"]


@pytest.mark.parametrize(
    ("midi", "name"), [(69.0, "A4"), (69.1, "A4 +10"), (60.6, "C#4 −40"), (57.0, "A3"), (70.0, "A#4")]
)
def test_pitches_have_their_names(midi: float, name: str) -> None:
    assert written_note(midi) == name


def test_a_long_lag_says_what_would_shorten_it_most() -> None:
    quick = dataclasses.replace(
        WELL, latency_p50_ms=60.0, pose_fps=30.0, pose_ms=18.0, ring_target_ms=16.0, device_ms=10.0
    )
    quick = dataclasses.replace(quick, look_ahead_ms=80.0)
    assert sooner(quick) == ""
    assert "look-ahead" in sooner(dataclasses.replace(quick, look_ahead_ms=0.0))
    assert "15 fps" in sooner(dataclasses.replace(quick, pose_fps=15.0))
    assert "--pose lite" in sooner(dataclasses.replace(quick, pose_ms=60.0, pose_fps=16.0))
    assert "--block" in sooner(dataclasses.replace(quick, device_ms=40.0))


def test_the_lag_grows_with_the_age_and_falls_with_the_look_ahead() -> None:
    cases = ((90.0, 0.08, 30.0), (90.0, 0.02, 30.0), (90.0, 0.0, 30.0), (120.0, 0.0, 30.0))
    lags = [estimate_ms(*case) or 0.0 for case in cases]
    assert lags == sorted(set(lags))
    assert lags[2] > 90.0  # without a prediction it is later than the pose is old: a filter's work
    assert estimate_ms(60.0, 0.08, 30.0) == estimate_ms(60.0, 0.025, 30.0)  # no further than to the next pose
    assert estimate_ms(None, 0.08, 30.0) is None
    assert estimate_ms(60.0, 0.08, 0.0) is None
