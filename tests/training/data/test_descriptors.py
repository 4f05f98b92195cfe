"""Sound descriptors: known tones and glides give known numbers, noise and silence give none."""

from __future__ import annotations

import numpy as np
import pytest

from livemove.contracts import HOP
from tests.support.videos import clicks
from training.data import descriptors, procedural
from training.data.descriptors import NAMES, describe, track_pitch

RATE = 48000
COLUMN = {name: i for i, name in enumerate(NAMES)}


def harmonics(note: np.ndarray | float, rate: int, seconds: float, count: int, level: float = 0.2) -> np.ndarray:
    """float32 [samples]: a tone of falling harmonics at a MIDI note, one or [samples]."""
    hz = np.broadcast_to(440 * 2 ** ((np.asarray(note) - 69) / 12), round(seconds * rate))
    cycles = np.cumsum(hz) / rate
    parts = [np.sin(2 * np.pi * k * cycles) / k for k in range(1, count + 1) if hz.max() * k < 0.45 * rate]
    return (level * np.sum(parts, 0)).astype(np.float32)


def cents(found: np.ndarray, asked: np.ndarray | float) -> np.ndarray:
    """Absolute errors away from the ends, where the window meets nothing."""
    return 100 * np.abs(found - asked)[8:-8]


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
@pytest.mark.parametrize("hz", [60.0, 110.0, 261.63, 440.0, 987.77, 1700.0])
@pytest.mark.parametrize("count", [1, 12])
def test_a_steady_tone_is_heard_within_three_cents(rate: int, hz: float, count: int) -> None:
    note = 69 + 12 * np.log2(hz / 440)
    pitch, voicing = track_pitch(harmonics(note, rate, 0.5, count), rate)
    assert cents(pitch, note).max() < 3
    assert voicing[8:-8].min() > 0.9


def middles(hops: int) -> np.ndarray:
    """The sample in the middle of each hop."""
    return np.arange(hops) * HOP + HOP // 2


def test_a_glide_reads_as_the_pitch_in_the_middle_of_its_hop() -> None:
    note = np.linspace(57, 81, 2 * RATE)  # an octave a second
    pitch, _ = track_pitch(harmonics(note, RATE, 2, 8), RATE)
    assert cents(pitch, note[middles(len(pitch))]).max() < 3


def test_vibrato_is_followed() -> None:
    note = 64 + 0.5 * np.sin(2 * np.pi * 5 * np.arange(2 * RATE) / RATE)
    pitch, _ = track_pitch(harmonics(note, RATE, 2, 8), RATE)
    assert np.median(cents(pitch, note[middles(len(pitch))])) < 5


@pytest.mark.parametrize(("snr_db", "limit"), [(20, 4), (10, 15), (5, 30)])
def test_noise_costs_cents_not_octaves(snr_db: float, limit: float) -> None:
    tone = harmonics(62.0, RATE, 1, 8)
    noise = np.random.default_rng(0).standard_normal(len(tone)) * tone.std() * 10 ** (-snr_db / 20)
    pitch, _ = track_pitch((tone + noise).astype(np.float32), RATE)
    assert np.nanpercentile(cents(pitch, 62.0), 99) < limit


def test_the_theremin_is_tracked_through_its_notes_and_glides() -> None:
    errors = []
    for seed in range(8):
        controls = procedural.controls(np.random.default_rng((5, seed)), 400)
        found = describe(procedural.tone(controls, 0.0), RATE)
        heard = (controls[:, 1] > 0.25) & (found[:, COLUMN["voicing"]] > 0)
        errors.append(100 * np.abs(found[:, 0] - controls[:, 0])[heard])
    assert np.median(np.concatenate(errors)) < 8


def test_noise_has_no_pitch() -> None:
    noise = np.random.default_rng(1).standard_normal(RATE).astype(np.float32) * 0.1
    pitch, voicing = track_pitch(noise, RATE)
    assert (voicing == 0).mean() > 0.98
    assert np.isnan(pitch).mean() > 0.98


def test_silence_is_at_rest() -> None:
    rest = np.array([channel.rest for channel in descriptors.CHANNELS], np.float32)
    assert np.array_equal(describe(np.zeros(RATE, np.float32), RATE), np.tile(rest, (RATE // HOP, 1)))


def test_pitch_is_held_through_silence_and_known_before_the_first_note() -> None:
    tone = harmonics(60.0, RATE, 0.5, 6)
    gap = np.zeros(RATE // 2, np.float32)
    pitch = describe(np.concatenate([gap, tone, gap]), RATE)[:, 0]
    assert np.median(np.abs(pitch[:80] - pitch[100])) < 0.5
    assert pitch[-1] == pytest.approx(60, abs=1)


def test_loudness_is_the_theremins() -> None:
    controls = np.tile(np.float32([64, 0, 0.5]), (400, 1))
    controls[:, 1] = np.linspace(0.1, 1, 400)
    found = describe(procedural.tone(controls, 0.0), RATE)[:, COLUMN["loudness"]]
    assert np.abs(found - controls[:, 1])[8:-8].max() < 0.03


def test_music_as_loud_as_it_is_sold_is_within_range() -> None:
    sine = (0.7 * np.sin(np.arange(RATE) * 0.1)).astype(np.float32)
    found = describe(sine, RATE)[8:-8, COLUMN["loudness"]]
    assert found == pytest.approx(np.sqrt(0.7 / np.sqrt(2) / procedural.LEVEL), abs=0.03)
    assert found.max() < descriptors.CHANNELS[COLUMN["loudness"]].maximum


def test_brightness_counts_octaves_of_the_spectral_centroid() -> None:
    t = np.arange(RATE) / RATE
    found = [
        np.median(describe((0.2 * np.sin(2 * np.pi * hz * t)).astype(np.float32), RATE)[:, COLUMN["brightness"]])
        for hz in (1000, 2000, 4000)
    ]
    octave = 1 / np.log2(100)
    assert np.diff(found) == pytest.approx([octave, octave], abs=0.02)


def test_an_onset_is_where_it_happens_and_a_steady_tone_has_none() -> None:
    at_s = [0.3, 0.55, 0.81]
    onset = describe(clicks(1.2, at_s), RATE)[:, COLUMN["onset"]]
    peaks = np.flatnonzero((onset[1:-1] > 0.3) & (onset[1:-1] >= onset[:-2]) & (onset[1:-1] > onset[2:])) + 1
    assert peaks == pytest.approx([time_s * RATE / HOP for time_s in at_s], abs=1.5)
    assert describe(harmonics(60.0, RATE, 1, 6), RATE)[8:-8, COLUMN["onset"]].max() < 0.05


def test_blocks_leave_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = procedural.tone(procedural.controls(np.random.default_rng(3), 300), 0.0)
    whole = describe(sound, RATE)
    monkeypatch.setattr(descriptors, "BLOCK", 37)
    np.testing.assert_allclose(describe(sound, RATE), whole, atol=1e-5)


def test_every_value_is_within_its_channels_range() -> None:
    rng = np.random.default_rng(4)
    sound = np.clip(rng.standard_normal(RATE) * np.exp(rng.standard_normal(RATE)), -1, 1).astype(np.float32)
    found = describe(sound, RATE)
    for column, channel in enumerate(descriptors.CHANNELS):
        assert channel.minimum <= found[:, column].min()
        assert found[:, column].max() <= channel.maximum


def test_less_than_a_hop_describes_nothing() -> None:
    assert describe(np.zeros(HOP - 1, np.float32), RATE).shape == (0, len(NAMES))
