"""What may reach a loudspeaker, whatever engine, controls and memory do: limiter, gate, mute and panic."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from livemove.contracts import Action, Controls, Float32, Request
from livemove.controls import GAIN_FACTORS
from livemove.ipc.segment import BLOCK_ROW, Segment
from livemove.native._realtime import LIMITER_DELAY, MAX_GAIN, Output
from tests.support.clicks import clicks
from tests.support.true_peak import offset, true_peak_db

RATE = 48000
BLOCK = 512
SECONDS = np.arange(1 << 16) / RATE
RANDOM = np.random.default_rng(14)
NOISE = RANDOM.standard_normal(len(SECONDS))
BAND = signal.butter(2, [200, 8000], btype="band", fs=RATE, output="sos")

LOUD = {
    "a sine": 2 * np.sin(2 * np.pi * 440 * SECONDS),
    "peaks between the samples": 1.4 * np.sin(np.pi / 2 * np.arange(len(SECONDS)) + np.pi / 4),
    "near Nyquist": 2 * np.sin(2 * np.pi * 21000 * SECONDS),
    "noise": NOISE,
    "noise, clipped": np.clip(30 * NOISE, -8, 8),
    "random signs": np.sign(NOISE),
    "a square": 2 * np.sign(np.sin(2 * np.pi * 100 * SECONDS)),
    "impulses": 8.0 * np.sign(NOISE) * (RANDOM.random(len(SECONDS)) < 0.001),
    "bursts": 8 * np.sin(2 * np.pi * 997 * SECONDS) * (np.sin(2 * np.pi * 3 * SECONDS) > 0.5),
    "a glide": 3 * signal.chirp(SECONDS, 50, SECONDS[-1], 22000),
    "hits": signal.sosfilt(BAND, 40.0 * (RANDOM.random(len(SECONDS)) < 0.0005)),
    "a lopsided pulse": 4.0 * ((SECONDS * 110) % 1.0 < 0.1) - 0.4,
}


def played(segment: Segment, sound: Float32, *, block: int = BLOCK, output: Output | None = None) -> Float32:
    output = output or Output(segment.bytes, RATE, 1, 0.0)
    pieces: list[Float32] = []
    for at in range(0, len(sound), block):
        piece = sound[at : at + block].astype(np.float32)
        assert segment.ring.write(piece)
        pieces.append(output.render(len(piece))[:, 0])
    return np.concatenate(pieces)


def tone(samples: int, level: float = 0.5, start: int = 0) -> Float32:
    return (level * np.sin(2 * np.pi * 441 / RATE * (start + np.arange(samples)))).astype(np.float32)


# --- the limiter --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOUD)
def test_no_true_peak_above_one_decibel_below_full_scale(name: str, segment: Segment) -> None:
    y = played(segment, LOUD[name])
    assert segment.playback.limiter_hits > 0
    assert true_peak_db(y) <= -1.0
    assert true_peak_db(y) > -2.5, "it limits, and takes no more than it must"
    assert offset(y, RATE) <= 0.005


def test_the_measure_finds_what_the_samples_hide() -> None:
    """The control: every sample is below -1 dBFS, the sound is at +1.9."""
    between = 1.25 * np.sin(np.pi / 2 * np.arange(4096) + np.pi / 4)
    assert np.abs(between).max() < 0.89
    assert 1.8 < true_peak_db(between) < 2.1
    assert offset(tone(RATE) + 0.006, RATE) > 0.005


def test_it_is_a_delay_and_nothing_else_below_its_ceiling(segment: Segment) -> None:
    """To the bit, behind fade and DC block: a quarter of the gain is a quarter of the sound."""
    loud = played(segment, LOUD["noise"] * 0.1)
    segment.controls.write(Controls(gain=0.25))
    soft = played(segment, LOUD["noise"] * 0.1)
    np.testing.assert_array_equal(soft, loud * np.float32(0.25))
    assert segment.playback.limiter_hits == 0
    impulse = np.zeros(4 * BLOCK, np.float32)
    impulse[3 * BLOCK] = 0.5
    assert int(np.argmax(played(segment, impulse))) == 3 * BLOCK + LIMITER_DELAY


def test_it_limits_the_same_in_blocks_of_any_size(segment: Segment) -> None:
    whole = played(segment, LOUD["bursts"])
    np.testing.assert_array_equal(played(segment, LOUD["bursts"], block=61), whole)


def test_it_turns_down_and_up_again_without_a_click(segment: Segment) -> None:
    """A tone that is suddenly four times as loud, and soft again: fades of 20 ms in the engine, not of one sample."""
    level = 0.3 + 1.2 * (np.convolve(np.sin(2 * np.pi * 2 * SECONDS) > 0, np.hanning(960) / 480, "same"))
    y = played(segment, level * np.sin(2 * np.pi * 220 * SECONDS))
    assert segment.playback.limiter_hits > 0
    assert not len(clicks(y))


# --- the gate -----------------------------------------------------------------------------------------------

BAD = (np.nan, np.inf, -np.inf, 1e308, -1e308, -1.0, -0.0, 5e-324)


@pytest.mark.parametrize("gain", BAD)
def test_a_gain_that_is_no_number_harms_nothing(gain: float, segment: Segment) -> None:
    """Straight into the shared memory, past every gate before: the sound stays as loud as it was, or within limits, and
    is back to the bit when the gain is."""
    output = Output(segment.bytes, RATE, 1, 0.0)
    before = played(segment, tone(20 * BLOCK), output=output)
    segment.controls.write(Controls(gain=gain))
    y = played(segment, tone(20 * BLOCK, start=20 * BLOCK), output=output)
    assert np.isfinite(y).all()
    assert true_peak_db(np.concatenate([before, y])) <= -1.0
    assert not len(clicks(np.concatenate([before, y])))
    if not np.isfinite(np.float32(np.clip(gain, -3e38, 3e38))) or abs(gain) > 3e38:
        assert segment.playback.nonfinite_samples == 20, "once a block"
        np.testing.assert_allclose(y[-BLOCK:], tone(BLOCK, start=39 * BLOCK - LIMITER_DELAY), atol=0.01)
    segment.controls.write(Controls())
    y = played(segment, tone(20 * BLOCK, start=40 * BLOCK), output=output)
    np.testing.assert_allclose(y[-BLOCK:], tone(BLOCK, start=59 * BLOCK - LIMITER_DELAY), atol=0.01)


@pytest.mark.parametrize("field", ["gain", "gain_target", "dc_in", "dc_out", "pending", "gains"])
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30, -1e30])
def test_a_state_that_is_no_number_is_healed(field: str, value: float, segment: Segment) -> None:
    """As a take from elsewhere may have it, or memory that failed."""
    row = np.zeros(1, BLOCK_ROW)
    row["gain"] = row["gain_target"] = 1.0
    row["state"], row["position"], row["gain_left"], row["gains"] = 1, 480, 100, 1 << 24
    with np.errstate(all="ignore"):
        row[field] = np.full(row[field].shape, value).astype(row[field].dtype)
    output = Output(segment.bytes, RATE, 1, 0.0)
    output.restore(row.view(np.uint8))
    y = played(segment, tone(100 * BLOCK), output=output)
    assert np.isfinite(y).all()
    assert np.abs(y).max() <= 0.891
    np.testing.assert_allclose(y[-BLOCK:], tone(BLOCK, start=99 * BLOCK - LIMITER_DELAY), atol=0.01)


def test_a_state_with_impossible_places_is_made_possible(segment: Segment) -> None:
    row = np.zeros(1, BLOCK_ROW)
    for name in ("state", "position", "tail", "gain_left", "starving"):
        row[name] = 2**63 + 12345
    output = Output(segment.bytes, RATE, 1, 0.0)
    output.restore(row.view(np.uint8))
    assert np.isfinite(played(segment, tone(20 * BLOCK), output=output)).all()


def test_the_most_gain_is_what_the_table_of_controls_says() -> None:
    assert pytest.approx(GAIN_FACTORS[1]) == MAX_GAIN


# --- mute and panic -----------------------------------------------------------------------------------------

SILENT_AFTER = round(0.010 * RATE)


def test_a_start_in_silence_is_silent_from_the_first_sample(segment: Segment) -> None:
    segment.controls.write(Controls(mute=True))
    assert not played(segment, tone(40 * BLOCK)).any()


@pytest.mark.parametrize("asker", ["the window", "OSC or MIDI", "the terminal", "mute"])
def test_panic_is_silence_within_ten_milliseconds_and_no_click(asker: str, segment: Segment) -> None:
    """Of the block that begins next, from the callback alone: nobody else lives here, and nobody answers."""
    output = Output(segment.bytes, RATE, 1, 0.0)
    before = played(segment, tone(20 * BLOCK), output=output)
    if asker == "the window":
        assert segment.requests.ask(Request(Action.PANIC))
    elif asker == "OSC or MIDI":
        assert segment.commands.ask(Request(Action.PANIC))
    elif asker == "the terminal":
        segment.panic()
    else:
        segment.controls.write(Controls(mute=True))
    after = played(segment, tone(20 * BLOCK, start=20 * BLOCK), output=output)
    assert after[: SILENT_AFTER // 2].any(), "it fades"
    assert not after[SILENT_AFTER:].any()
    assert not len(clicks(np.concatenate([before, after])))


def test_panic_is_never_refused_and_ends_with_the_answer(segment: Segment) -> None:
    """With the queue full of requests that nobody takes; asked for three times, answered once, then unmuted."""
    while segment.requests.ask(Request(Action.GAIN, 1.0)):
        pass
    output = Output(segment.bytes, RATE, 1, 0.0)
    for _ in range(3):
        assert segment.requests.ask(Request(Action.PANIC))
    assert not played(segment, tone(20 * BLOCK), output=output)[SILENT_AFTER:].any()
    segment.controls.write(Controls())  # says nothing about the panic: it was written before
    assert not played(segment, tone(20 * BLOCK), output=output).any()
    assert segment.requests.take() == Request(Action.PANIC, 3.0)
    segment.controls.write(Controls(mute=True, panics=3))
    assert not played(segment, tone(20 * BLOCK), output=output).any()
    segment.controls.write(Controls(panics=3))
    assert played(segment, tone(20 * BLOCK), output=output).any()


def test_the_detector_of_clicks_hears_a_mute_without_a_fade(segment: Segment) -> None:
    """The control."""
    y = played(segment, tone(20 * BLOCK))
    y[10 * BLOCK + 7 :] = 0.0
    assert len(clicks(y))
