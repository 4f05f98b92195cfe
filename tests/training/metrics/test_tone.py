"""Measures of a tone on sounds whose pitch, noise, lines and lags are known."""

from __future__ import annotations

import numpy as np
import pytest

from livemove.contracts import HOP, Float32, Float64
from training.metrics import additive, tone

RATE = 48000
SECOND = round(RATE / HOP)


def sawtooth(notes: Float64, level: float = 0.1, highest_hz: float = 15000.0) -> Float32:
    """Harmonics that fall by 6 dB an octave up to highest_hz; RMS level."""
    number = np.arange(1, additive.HARMONICS + 1)
    amplitude = (1 / number) * (tone.hertz(notes)[:, None] * number < highest_hz)
    amplitude *= level * np.sqrt(2) / np.sqrt((amplitude**2).sum(1, keepdims=True))
    return additive.oscillators(notes, amplitude, RATE, 0.3).astype(np.float32)


def always(hops: int) -> np.ndarray:
    return np.ones(hops, bool)


@pytest.mark.parametrize("note", [36.3, 45.0, 57.7, 69.2, 84.6, 88.0])
def test_the_pitch_of_every_register_is_found_and_an_octave_is_gross(note: float) -> None:
    notes = np.full(SECOND, note)
    sound = sawtooth(notes)
    assert np.median(tone.pitch_errors(sound, RATE, notes, always(SECOND))) < 5
    assert np.median(tone.pitch_errors(sound, RATE, notes + 0.2, always(SECOND))) == pytest.approx(20, abs=5)
    assert (tone.pitch_errors(sawtooth(notes + 12), RATE, notes, always(SECOND)) > tone.GROSS_CENTS).mean() > 0.9


def test_a_leap_has_no_one_pitch_and_does_not_count() -> None:
    notes = np.repeat([60.0, 67.0, 62.0], SECOND // 2)
    assert (tone.pitch_errors(sawtooth(notes), RATE, notes, always(len(notes))) < 30).all()


@pytest.mark.parametrize("note", [36.5, 60.0, 86.0])
@pytest.mark.parametrize("noise_db", [-15.0, -25.0, -40.0])
def test_harmonics_to_noise_is_the_noise_that_was_added(note: float, noise_db: float) -> None:
    times = np.arange(2 * SECOND) / SECOND
    notes = (
        note + 0.4 * np.sin(2 * np.pi * 5 * times) + np.linspace(0, 1.5, 2 * SECOND)
    )  # vibrato and glide are no noise
    sound = sawtooth(notes)
    hiss = 0.1 * 10 ** (noise_db / 20) * np.random.default_rng(0).standard_normal(len(sound)).astype(np.float32)
    found = np.median(tone.harmonic_to_noise_db(sound + hiss, RATE, notes, always(len(notes))))
    assert found == pytest.approx(-noise_db, abs=0.7)


@pytest.mark.parametrize("note", [40.3, 57.1, 69.0, 81.4])
@pytest.mark.parametrize("level_db", [-35.0, -50.0])
def test_a_line_at_an_image_of_the_step_rate_is_found_at_its_level(note: float, level_db: float) -> None:
    notes = np.full(2 * SECOND, note)
    hz = float(tone.hertz(np.array(note)))
    sound = sawtooth(notes)
    image = 3000 * 2 - 3 * hz
    line = 0.1 * np.sqrt(2) * 10 ** (level_db / 20) * np.sin(2 * np.pi * image * np.arange(len(sound)) / RATE)
    hiss = 0.1 * 10 ** (-35 / 20) * np.random.default_rng(0).standard_normal(len(sound))
    found = tone.alias_line_db((sound + line + hiss).astype(np.float32), RATE, hz, 3000.0)
    assert found == pytest.approx(level_db, abs=1.0)


@pytest.mark.parametrize("note", [36.0, 60.3, 88.0])
def test_noise_and_harmonics_are_no_lines(note: float) -> None:
    notes = np.full(2 * SECOND, note)
    sound = sawtooth(notes)
    hz = float(tone.hertz(np.array(note)))
    assert tone.alias_line_db(sound, RATE, hz, 3000.0) < -80
    hiss = 0.1 * 10 ** (-25 / 20) * np.random.default_rng(0).standard_normal(len(sound)).astype(np.float32)
    assert tone.alias_line_db(sound + hiss, RATE, hz, 3000.0) < -55


@pytest.mark.parametrize("note", [38.0, 62.0, 84.0])
def test_vibrato_is_measured_as_deep_and_as_late_as_it_is(note: float) -> None:
    times = np.arange(3 * SECOND) / SECOND
    shape = np.sin(2 * np.pi * 5.5 * times)
    asked = note + 0.4 * shape
    late = note + 0.2 * np.sin(2 * np.pi * 5.5 * (times - 0.012))
    sounding = always(len(asked))
    sounding[: SECOND // 4] = sounding[-SECOND // 4 :] = False
    depth, lag = tone.vibrato(sawtooth(late), RATE, asked, 5.5, sounding)
    assert depth == pytest.approx(0.5, abs=0.03)
    assert lag == pytest.approx(12, abs=1.5)


def test_a_glide_lags_by_what_it_was_delayed() -> None:
    asked = np.linspace(50, 62, 2 * SECOND)
    sound = np.concatenate([np.zeros(round(0.01 * RATE), np.float32), sawtooth(asked)])[: len(asked) * HOP]
    assert tone.glide_lag_ms(sound, RATE, asked, always(len(asked))) == pytest.approx(10, abs=0.5)
    assert np.isnan(tone.glide_lag_ms(sound, RATE, np.full(len(asked), 60.0), always(len(asked))))
