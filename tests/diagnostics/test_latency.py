"""The lag of a take: what is measured is what was put in."""

from __future__ import annotations

import numpy as np
import pytest

from livemove.diagnostics.latency import Traces, jitter, ripple, still_noise, stops
from livemove.diagnostics.pitch import yin

RATE = 48000
HOP_S = 256 / RATE


def test_yin_finds_a_gliding_harmonic_tone_to_a_few_cents() -> None:
    seconds = 2.0
    times = np.arange(round(seconds * RATE)) / RATE
    notes = 60 + 6 * np.sin(2 * np.pi * 0.5 * times)
    phase = np.cumsum(440 * 2 ** ((notes - 69) / 12)) / RATE
    tone = sum(np.sin(2 * np.pi * k * phase) / k for k in (1, 2, 3)) * 0.2
    centres = np.arange(4000, len(tone) - 4000, 256).astype(float)
    asked = notes[centres.astype(int)]
    found = yin(tone.astype(np.float32), RATE, centres, asked + 1.5)
    assert 100 * np.abs(found - asked).max() < 8.0


def test_yin_says_nothing_of_noise() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    centres = np.arange(4000.0, 40000.0, 512.0)
    assert np.isnan(yin(noise, RATE, centres, np.full(len(centres), 60.0))).mean() > 0.9


def traces(asked: np.ndarray, channel: np.ndarray, sound: np.ndarray) -> Traces:
    """asked at 25 poses per second, the others at hops, all from 0 on."""
    hop_s = np.arange(len(channel)) * HOP_S
    return Traces(np.arange(len(asked)) / 25, asked, hop_s, channel, channel, sound)


def test_a_still_hands_noise_is_the_sounds_not_the_drift() -> None:
    rng = np.random.default_rng(2)
    asked = np.linspace(60.0, 60.05, 250)
    hops = round(9.9 / HOP_S)
    sound = 60 + np.linspace(0, 0.05, hops) + rng.normal(0, 0.07, hops)
    cents, seconds = still_noise(traces(asked, sound, sound))
    assert cents == pytest.approx(7.0, abs=0.4)
    assert seconds > 8.0
    moving = 60 + 5 * np.sin(np.arange(250) / 10)
    assert still_noise(traces(moving, sound, sound)) == (None, 0.0)


def test_an_overshoot_is_found_where_it_is() -> None:
    """Up an octave in half a second, ten times, each time 100 cents too far for 80 ms."""
    pose_s, hop_s = np.arange(750) / 25, np.arange(round(29.0 / HOP_S)) * HOP_S

    def course(t: np.ndarray) -> np.ndarray:
        part = t % 3.0
        return 60 + 12 * (np.clip((part - 1.0) / 0.52, 0, 1) - np.clip((part - 2.5) / 0.5, 0, 1))

    channel = course(hop_s) + 1.0 * ((hop_s % 3.0 > 1.52) & (hop_s % 3.0 < 1.6))
    found = stops(traces(course(pose_s), channel, channel))
    assert found["count"] >= 9
    assert found["overshoot_cents"] == pytest.approx(100, abs=3)
    assert found["overshoot_share"] == pytest.approx(100 / 1200, abs=0.01)
    assert found["settled_ms"] == pytest.approx(80, abs=HOP_S * 2e3 + 1)


def test_a_line_at_the_cameras_rate_stands_out() -> None:
    rng = np.random.default_rng(3)
    times = np.arange(round(20.0 / HOP_S)) * HOP_S
    smooth = 60 + np.cumsum(rng.normal(0, 0.01, len(times)))
    plain, lined = ripple(smooth, HOP_S, 25.0), ripple(smooth + 0.02 * np.sin(2 * np.pi * 25 * times), HOP_S, 25.0)
    assert plain is not None
    assert lined is not None
    assert plain < 3.0 < 10.0 < lined


def test_a_limb_out_of_view_is_neither_still_nor_does_it_stop() -> None:
    pose_s, hop_s = np.arange(750) / 25, np.arange(round(29.0 / HOP_S)) * HOP_S

    def course(t: np.ndarray) -> np.ndarray:
        return 60 + 12 * np.clip((t % 3.0 - 1.0) / 0.5, 0, 1)

    asked = course(pose_s)
    asked[pose_s % 3.0 > 1.45] = np.nan
    sound = course(hop_s)
    sound[hop_s % 3.0 > 1.45] = np.nan
    found = traces(asked, course(hop_s), sound)
    assert stops(found)["count"] == 0
    noise, still_s = still_noise(found)
    assert noise is not None
    assert still_s < 10.5


@pytest.mark.parametrize("planted_ms", [4.0, 8.0])
def test_a_lag_that_changes_is_told_as_it_is(planted_ms: float) -> None:
    rng = np.random.default_rng(6)
    pose_s, hop_s = np.arange(1500) / 25, np.arange(round(59.0 / HOP_S)) * HOP_S

    def course(t: np.ndarray) -> np.ndarray:
        return 69 + 4 * np.sin(2 * np.pi * 0.5 * t) + 2 * np.sin(2 * np.pi * 1.3 * t)

    lag_s = 0.06 + planted_ms / 1e3 * np.sqrt(2) * np.sin(2 * np.pi * hop_s / 11.3)
    sound = course(hop_s - lag_s) + rng.normal(0, 0.05, len(hop_s))
    found = jitter(traces(course(pose_s), sound, sound))
    assert found["sd"] == pytest.approx(planted_ms, rel=0.2)


def test_a_sound_that_follows_at_a_constant_distance_has_no_jitter() -> None:
    rng = np.random.default_rng(4)
    pose_s, hop_s = np.arange(1000) / 25, np.arange(round(39.0 / HOP_S)) * HOP_S

    def course(t: np.ndarray) -> np.ndarray:
        return 69 + 4 * np.sin(2 * np.pi * 0.5 * t) + 2 * np.sin(2 * np.pi * 1.3 * t)

    sound = course(hop_s - 0.06) + rng.normal(0, 0.05, len(hop_s))
    found = jitter(traces(course(pose_s), course(hop_s - 0.058), sound))
    assert found["windows"] > 30
    assert found["sd"] is not None
    assert found["own"] is not None
    assert found["sd"] < 1.0
    assert found["own"] < 1.0
