"""Beats of a body and of a sound, against bodies and sounds whose beats are known."""

from __future__ import annotations

import numpy as np
import pytest

from training.metrics import beats


def swinging(seconds: float, stops_a_second: float, fps: float = 25.0) -> tuple[np.ndarray, np.ndarray]:
    """A body whose arms swing and stop at every multiple of 1 / stops_a_second: landmarks, times."""
    times = np.arange(0, seconds, 1 / fps)
    world = np.zeros((len(times), 33, 3))
    world[:, (13, 14, 15, 16), 0] = 0.4 * np.cos(np.pi * stops_a_second * times)[:, None]
    return world, times


def clicks(times_s: np.ndarray, seconds: float, rate: int = 22050) -> np.ndarray:
    audio = np.zeros(round(seconds * rate), np.float32)
    decay = np.exp(-np.arange(2000) / 200) * np.sin(np.arange(2000) * 0.3)
    for time_s in times_s:
        at = round(time_s * rate)
        audio[at : at + 2000] += decay[: len(audio) - at]
    return audio


def test_a_body_beats_where_it_stops() -> None:
    found = beats.kinematic_beats(*swinging(6.0, 2.0))
    np.testing.assert_allclose(found, np.arange(1, 12) * 0.5, atol=0.03)


def test_a_trembling_body_has_no_more_beats_than_a_steady_one() -> None:
    world, times = swinging(6.0, 2.0)
    tremble = world + np.random.default_rng(0).normal(0, 0.004, world.shape)
    np.testing.assert_allclose(beats.kinematic_beats(tremble, times), np.arange(1, 12) * 0.5, atol=0.06)


def test_a_body_that_stands_has_no_beats() -> None:
    assert len(beats.kinematic_beats(np.zeros((100, 33, 3)), np.arange(100) / 25)) == 0


def test_clicks_at_120_a_minute_are_found() -> None:
    found = beats.musical_beats(clicks(np.arange(0.5, 9.5, 0.5), 10.0), 22050)
    assert len(found) >= 15
    assert np.abs(found[:, None] - np.arange(0, 10, 0.5)).min(1).max() < 0.06


def test_silence_has_no_beats() -> None:
    assert len(beats.musical_beats(np.zeros(22050, np.float32), 22050)) == 0


def test_alignment_is_one_on_the_beat_and_falls_with_distance() -> None:
    at = np.arange(1, 10) * 0.5
    assert beats.alignment(at, at) == 1.0
    assert beats.alignment(at, at + beats.ALIGNMENT_S) == pytest.approx(np.exp(-0.5))
    assert beats.alignment(at, at + 0.25) < 0.001
    assert beats.alignment(np.zeros(0), at) == beats.alignment(at, np.zeros(0)) == 0.0


def test_a_beat_is_met_once() -> None:
    assert beats.met(np.array([1.0, 1.05, 2.0]), np.array([1.02, 2.5])) == 1
    assert beats.met(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == 2


def test_scores_of_dance_and_of_music_divide_by_their_own() -> None:
    kinematic, musical = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0])
    assert beats.of_dance(kinematic, musical) == {"coverage": 2.0, "hit": 0.5}
    assert beats.of_music(kinematic, musical) == {"coverage": 2.0, "hit": 1.0}


def test_strong_onsets_are_where_something_is_struck() -> None:
    rate = 48000
    audio = np.zeros(3 * rate, np.float32)
    at_s = np.array([0.5, 0.9, 1.7, 2.5])
    for time_s in at_s:
        begin = round(time_s * rate)
        audio[begin : begin + 4800] += 0.4 * np.sin(np.arange(4800) * 0.1) * np.exp(-np.arange(4800) / 1000)
    audio += 0.002 * np.random.default_rng(0).standard_normal(len(audio)).astype(np.float32)
    found = beats.strong_onsets(audio, rate)
    np.testing.assert_allclose(found, at_s, atol=0.012)
    assert beats.f_measure(found, at_s) == 1.0


def test_f_measure_matches_one_to_one() -> None:
    one, two = np.array([1.0]), np.array([0.98, 1.02])
    assert beats.f_measure(two, one) == pytest.approx(2 / 3)
    assert beats.f_measure(one, one + 0.08) == 0.0
    assert beats.f_measure(np.zeros(0), np.zeros(0)) == 1.0


def test_one_second_bins_count_seconds() -> None:
    assert beats.in_seconds(np.array([0.1, 0.9, 2.5]), np.array([0.5, 1.5])) == {"coverage": 1.0, "hit": 0.5}
