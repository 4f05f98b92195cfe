"""What listens to the fault matrix hears what is planted: silences, clicks, peaks, offsets, what is no number.

On the theremin's own tone, as the matrix plays it.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.faults.listening import Heard, Piece

RATE = 48000
START_S = 500.0


def tone(seconds: float = 3.0, level: float = 0.3) -> np.ndarray:
    """Twelve harmonics of A4, as bright as the theremin in the middle of its range."""
    at_s = np.arange(round(seconds * RATE)) / RATE
    x = sum(np.sin(2 * np.pi * 440 * k * at_s + k) / k**1.5 for k in range(1, 13))
    return (level * x / np.abs(x).max()).astype(np.float32)


def heard(sound: np.ndarray, held_up: np.ndarray | None = None) -> Heard:
    at_s = START_S + np.arange(len(sound)) / RATE
    return Heard((Piece(sound, at_s, RATE, np.zeros((0, 2)) if held_up is None else held_up),))


def faded(sound: np.ndarray, first: int, count: int) -> np.ndarray:
    """Silent from sample first on, with fades of 10 ms before and after."""
    gain = np.ones(len(sound), np.float32)
    gain[first : first + count] = 0.0
    gain[first - 480 : first] = np.linspace(1, 0, 480)
    gain[first + count : first + count + 480] = np.linspace(0, 1, 480)
    return sound * gain


def test_a_tone_has_nothing_wrong() -> None:
    assert heard(tone()).troubles() == []
    assert heard(tone()).longest_silence_s(START_S, START_S + 3.0) == 0.0


@pytest.mark.parametrize("seconds", [0.02, 0.3, 1.0])
def test_a_faded_silence_is_measured_and_no_click(seconds: float) -> None:
    found = heard(faded(tone(), RATE, round(seconds * RATE)))
    assert found.longest_silence_s(START_S, START_S + 3.0) == pytest.approx(seconds, abs=0.003)
    assert found.silences(START_S, START_S + 3.0)[0, 0] == pytest.approx(START_S + 1.0, abs=0.003)
    assert found.troubles() == []


def test_silence_at_the_edges_and_between_two_lives_of_a_server_counts() -> None:
    first, second = heard(tone(1.0)).pieces[0], heard(tone(1.0)).pieces[0]
    later = Piece(second.sound, second.at_s + 2.5, RATE, second.held_up)
    found = Heard((first, later)).silences(START_S - 0.5, START_S + 4.0)
    assert np.diff(found, axis=1).ravel() == pytest.approx([0.5, 1.5, 0.5], abs=0.003)


def test_samples_one_after_the_other_are_no_silence_however_late_a_server_lets_them_out() -> None:
    piece = heard(tone(1.0)).pieces[0]
    half = len(piece.at_s) // 2
    at_s = piece.at_s + np.where(np.arange(len(piece.at_s)) < half, 0.0, 0.02)
    assert Heard((Piece(piece.sound, at_s, RATE, piece.held_up),)).longest_silence_s(START_S, START_S + 0.9) < 0.003
    quiet = piece.sound.copy()
    quiet[half : half + 480] = 0.0
    lost = Heard((Piece(quiet, at_s, RATE, piece.held_up),)).longest_silence_s(START_S, START_S + 0.9)
    assert lost == pytest.approx(0.03, abs=0.003)


@pytest.mark.parametrize("place", [24000, 70001, 100003])
@pytest.mark.parametrize("kind", ["cut off", "a sample lost", "a block twice", "a step"])
def test_planted_clicks_are_heard(kind: str, place: int) -> None:
    x = tone()
    if kind == "cut off":
        x[place : place + 4800] = 0.0
    elif kind == "a sample lost":
        x[place] = 0.0 if abs(x[place]) > 0.1 else 0.2
    elif kind == "a block twice":
        x[place:] = np.concatenate([x[place - 512 : place], x[place:-512]])
    else:
        x[place:] += 0.1
    assert len(heard(x).clicks_s) >= 1
    assert abs(heard(x).clicks_s[0] - (START_S + place / RATE)) < 0.11


def test_no_numbers_peaks_and_offsets_are_told() -> None:
    x = tone()
    x[1000:1003] = np.nan
    assert heard(x).troubles()[0] == "3 samples not finite"
    assert heard(tone(level=0.95)).troubles()[0].startswith("true peak ")
    assert heard(tone() + np.float32(0.006)).troubles()[0].startswith("offset 0.006")


def test_a_server_that_was_late_is_told_within_the_time_asked_for() -> None:
    found = heard(tone(), np.array([[START_S + 1.0, START_S + 1.2]]))
    assert found.held_up_s(START_S, START_S + 3.0) == pytest.approx(0.2)
    assert found.held_up_s(START_S + 1.5, START_S + 3.0) == 0.0
