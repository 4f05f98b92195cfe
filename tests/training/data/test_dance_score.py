"""The rules that compose: what is struck when, and that nothing is known before it happens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from livemove.body.features import FEATURES, REST
from livemove.contracts import HOP
from training.data import dance_kit, dance_score

RATE = 48000
HOP_S = HOP / RATE


def resting(hops: int) -> np.ndarray:
    return np.tile(REST, (hops, 1))


def moving(hops: int, **tracks: np.ndarray | float) -> np.ndarray:
    features = resting(hops)
    for name, values in tracks.items():
        features[:, FEATURES.index(name)] = values
    return features


def bump(hops: int, centre: int, height: float, width: int = 12) -> np.ndarray:
    return height * np.exp(-0.5 * ((np.arange(hops) - centre) / width) ** 2)


def wild(seed: int, hops: int) -> np.ndarray:
    """Features that wander fast within their ranges."""
    rng = np.random.default_rng(seed)
    knots = rng.random((hops // 20 + 2, len(FEATURES)))
    at = np.arange(hops) / 20
    return np.stack([np.interp(at, np.arange(len(knots)), column) for column in knots.T], -1).astype(np.float32)


def test_a_fast_foot_that_stops_strikes_once_just_after_its_peak() -> None:
    hits = dance_score.compose(moving(400, left_foot_speed=bump(400, 200, 0.8)), "breaks", RATE)
    assert [hit.voice for hit in hits] == ["kick"]
    assert 200 < hits[0].hop < 220


def test_harder_is_louder() -> None:
    soft, hard = (
        dance_score.compose(moving(400, left_foot_speed=bump(400, 200, peak)), "breaks", RATE)[0]
        for peak in (0.62, 0.9)
    )
    assert soft.level < 0.2
    assert hard.level > 0.8


def test_who_is_slow_or_slows_down_gently_strikes_nothing() -> None:
    assert not dance_score.compose(moving(400, left_foot_speed=bump(400, 200, 0.4)), "breaks", RATE)
    gently = np.concatenate([np.full(100, 0.8), np.linspace(0.8, 0.02, 500)])
    assert not [
        h for h in dance_score.compose(moving(600, left_foot_speed=gently), "breaks", RATE) if h.voice == "kick"
    ]


def test_a_limb_that_goes_out_of_sight_did_not_stop() -> None:
    speed = np.full(400, 0.8)
    speed[200:] = 0.0
    assert not dance_score.compose(moving(400, right_hand_speed=speed), "tabla", RATE)


@pytest.mark.parametrize("style", list(dance_score.STYLES))
def test_stillness_is_silent(style: str) -> None:
    assert not dance_score.compose(resting(2000), style, RATE)


@pytest.mark.parametrize("style", list(dance_score.STYLES))
def test_what_comes_later_changes_nothing_before(style: str) -> None:
    one, other = wild(0, 1500), wild(1, 1500)
    other[:1000] = one[:1000]

    def early(features: np.ndarray) -> list[dance_score.Hit]:
        return [hit for hit in dance_score.compose(features, style, RATE) if hit.hop < 1000]

    assert len(early(one)) > 10
    assert early(one) == early(other)


def test_the_pulse_quickens_with_energy() -> None:
    counts = [
        len([h for h in dance_score.compose(moving(1875, energy=e), "breaks", RATE) if h.voice == "hat"])
        for e in (0.05, 0.3, 1.0)
    ]
    assert counts[0] == 0
    assert 30 < counts[1] < counts[2] <= 62


def test_higher_hands_play_higher_notes_of_the_scale() -> None:
    notes = []
    for height in np.linspace(-1, 1, 9):
        features = moving(400, right_hand_speed=bump(400, 200, 0.8), right_hand_height=height)
        notes += [hit.note for hit in dance_score.compose(features, "tabla", RATE) if hit.voice == "cello"]
    assert notes == sorted(notes)
    assert notes[-1] - notes[0] >= 12
    assert all((note - 57) % 12 in dance_score.PENTATONIC for note in notes)


def test_a_raised_hand_strikes_once_until_it_was_down() -> None:
    at, heights = (0, 100, 200, 220, 240, 320, 400), (-1, 0.5, 0.5, 0.3, 0.5, -1, 0.5)
    height = np.interp(np.arange(400), at, heights)
    hits = dance_score.compose(moving(400, left_hand_height=height), "breaks", RATE)
    assert [hit.voice for hit in hits] == ["splash", "splash"]


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """Every file of the kits: a click of its own pitch, after 10 ms of silence."""
    for i, name in enumerate(dance_kit.files()):
        tone = np.sin(2 * np.pi * (200 + 50 * i) * np.arange(4800) / RATE) * np.exp(-np.arange(4800) / 600)
        sf.write(tmp_path / f"{name}.wav", 0.5 * np.concatenate([np.zeros(480), tone]), RATE)
    return tmp_path


def test_a_hit_sounds_delay_hops_after_its_hop(sounds: Path) -> None:
    audio = dance_kit.mixdown([dance_score.Hit(40, "kick", 1.0)], "breaks", 100, sounds, RATE)
    assert len(audio) == 100 * HOP
    begin = int(np.flatnonzero(np.abs(audio) > 0.01)[0])
    assert abs(begin - (40 + dance_score.DELAY_HOPS) * HOP) < 2 * dance_kit.PRE_S * RATE


def test_a_mix_stays_within_full_scale_and_ends_with_its_hops(sounds: Path) -> None:
    hits = [dance_score.Hit(hop, voice, 1.0, 45) for hop in (0, 1, 98) for voice in dance_kit.KITS["tabla"]]
    audio = dance_kit.mixdown(hits, "tabla", 100, sounds, RATE)
    assert len(audio) == 100 * HOP
    assert 0.5 < np.abs(audio).max() < 1.0


def test_a_missing_sound_is_named(sounds: Path) -> None:
    dance_kit.load.cache_clear()
    (sounds / "bd_tek.wav").unlink()
    with pytest.raises(dance_kit.KitError, match="bd_tek"):
        dance_kit.load(sounds, RATE)
