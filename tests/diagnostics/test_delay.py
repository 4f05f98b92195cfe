"""Delays: unbiased, as steady as they are, and honest about their own noise."""

from __future__ import annotations

import numpy as np
import pytest

from livemove.diagnostics.delay import delay_of, windows

HOP_S = 256 / 48000
SECONDS = 60.0


def course(at_s: np.ndarray, seed: int = 0) -> np.ndarray:
    """Semitones: a hand that swings for some seconds and rests for some, all of it within 2 Hz."""
    rng = np.random.default_rng(seed)
    hz, size, phase = rng.uniform(0.2, 2.0, 12), rng.uniform(0.5, 3.0, 12), rng.uniform(0, 2 * np.pi, 12)
    swings = (size[:, None] / (1 + hz[:, None]) * np.sin(2 * np.pi * hz[:, None] * at_s + phase[:, None])).sum(axis=0)
    return 69 + swings * np.clip(0.6 + np.sin(2 * np.pi * at_s / 13.0), 0.0, 1.0)


def asked(noise: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks at a camera's 25 frames per second, uneven as they are, with noise in semitones."""
    rng = np.random.default_rng(1)
    at_s = np.arange(0.0, SECONDS, 0.04) + rng.uniform(0.0, 0.008, round(SECONDS / 0.04))
    return at_s, course(at_s) + rng.normal(0.0, noise, len(at_s))


def followed(lag_s: float | np.ndarray, noise: float = 0.1, offset: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """A sound that late, its noise with a memory of 40 ms as that of a filter would have."""
    at_s = np.arange(1.0, SECONDS - 1.0, HOP_S)
    rng = np.random.default_rng(2)
    white = rng.normal(0.0, 1.0, len(at_s) + 50)
    coloured = np.convolve(white, np.exp(-np.arange(50) * HOP_S / 0.04), "valid")[: len(at_s)]
    return at_s, course(at_s - lag_s) + offset + noise * coloured / coloured.std()


@pytest.mark.parametrize("lag_s", [-0.03, 0.0, 0.0613, 0.25])
def test_a_delay_is_found_between_the_steps_of_the_search(lag_s: float) -> None:
    found = delay_of(*asked(), *followed(lag_s))
    assert found.seconds == pytest.approx(lag_s, abs=0.001)
    assert found.correlation > 0.99
    assert found.slope == pytest.approx(10.0, abs=4.0)


def test_a_delay_of_something_that_only_rises_is_found_by_its_level() -> None:
    """A correlation is the same at every delay of a straight line."""
    at_s, late_s = np.arange(0.0, 4.0, 0.04), np.arange(1.0, 3.0, HOP_S)
    assert delay_of(at_s, 5.0 * at_s, late_s, 5.0 * (late_s - 0.06), 0.0).seconds == pytest.approx(0.06, abs=1e-6)


def test_an_instrument_out_of_tune_is_not_late() -> None:
    a, b = asked(), followed(0.06, offset=0.4)
    whole = delay_of(*a, *b)
    assert whole.offset == pytest.approx(0.4, abs=0.02)
    assert np.mean([each.seconds for _, each in windows(*a, *b, 2.0, 1.0, 3.0, whole.offset)]) == pytest.approx(
        0.06, abs=0.001
    )


def test_windows_of_a_steady_delay_differ_by_no_more_than_they_say() -> None:
    a, b = asked(), followed(0.06)
    found = windows(*a, *b, 2.0, 1.0, 3.0, 0.0)
    lags, own = np.array([(each.seconds, each.sd_s) for _, each in found]).T
    assert len(found) > 25
    assert lags.mean() == pytest.approx(0.06, abs=0.001)
    assert 0.5 < lags.std() / np.sqrt(np.mean(own**2)) < 2.0
    assert lags.std() < 0.0025


@pytest.mark.parametrize("planted_s", [0.005, 0.010])
def test_a_planted_jitter_is_seen(planted_s: float) -> None:
    """The lag swings by that (rms) over ten seconds, which windows of two see as good as whole."""
    at_s = np.arange(1.0, SECONDS - 1.0, HOP_S)
    a = asked()
    b = followed(0.06 + planted_s * np.sqrt(2) * np.sin(2 * np.pi * at_s / 10.7))
    found = windows(*a, *b, 2.0, 1.0, 3.0, 0.0)
    assert np.std([each.seconds for _, each in found]) == pytest.approx(planted_s, rel=0.25)


def test_what_is_not_known_is_left_out() -> None:
    """A limb is out of view for three seconds: what its pitch does then, without delay, is not the body's movement."""
    (at_s, a), (late_s, b) = asked(), followed(0.06)
    a, b = a.copy(), b.copy()
    lost, still_lost = (at_s > 20.0) & (at_s < 23.0), (late_s > 20.06) & (late_s < 23.06)
    a[lost] = 60.0 + 12.0 * np.exp(20.0 - at_s[lost])
    b[still_lost] = 60.0 + 12.0 * np.exp(20.0 - late_s[still_lost])
    known = a.copy()
    known[lost] = np.nan
    heard = b.copy()
    heard[still_lost] = np.nan
    fooled, found = (windows(at_s, x, late_s, y, 2.0, 1.0, 3.0, 0.0) for x, y in ((a, b), (known, heard)))
    assert delay_of(at_s, known, late_s, heard).seconds == pytest.approx(0.06, abs=0.001)
    assert np.std([each.seconds for _, each in found]) < 0.0025
    assert np.std([each.seconds for _, each in fooled]) > 0.005
    assert not any(20.5 < start_s < 22.0 for start_s, _ in found)
    with pytest.raises(ValueError, match="too few"):
        delay_of(at_s, np.full(len(at_s), np.nan), late_s, heard)


def test_windows_without_movement_say_nothing() -> None:
    at_s = np.arange(0.0, 20.0, 0.04)
    rest, late_s = 69 + 0.001 * np.sin(at_s), np.arange(1.0, 19.0, HOP_S)
    sound = np.interp(late_s - 0.05, at_s, rest)
    assert windows(at_s, rest, late_s, sound, 2.0, 1.0, 3.0, 0.0) == []


def test_too_little_is_an_error() -> None:
    with pytest.raises(ValueError, match="too few"):
        delay_of(*asked(), np.arange(5.0), np.arange(5.0))
