"""Recordings to learn from: what is said of each kind of material, and that cutting loses nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from scipy import signal

from livemove.contracts import HOP
from tests.support.tones import RATE, tone
from training.data import material
from training.data.corpus import Corpus
from training.data.phase import hz


def melody(seconds: float, seed: int = 0) -> np.ndarray:
    """One instrument: notes of 0.4 to 0.9 s over an octave, soft and loud, with rests."""
    rng = np.random.default_rng(seed)
    notes, levels = [], []
    while sum(map(len, notes)) < seconds * RATE:
        n = int(rng.uniform(0.4, 0.9) * RATE)
        notes.append(np.full(n, rng.integers(57, 70)))
        fade = np.minimum(1, np.minimum(np.arange(n), n - np.arange(n)) / (0.03 * RATE))
        levels.append(fade * rng.choice([0.0, 0.2, 0.5, 1.0], p=[0.1, 0.3, 0.3, 0.3]))
    sound, _ = tone(np.concatenate(notes).astype(np.float64), seed, count=12)
    return (sound * np.concatenate(levels))[: round(seconds * RATE)].astype(np.float32)


def speech(seconds: float) -> np.ndarray:
    """Syllables: four a second, intonation that never rests, three formants that move, a hissed consonant between."""
    rng = np.random.default_rng(0)
    parts: list[np.ndarray] = []
    while sum(map(len, parts)) < seconds * RATE:
        n, gap = int(rng.uniform(0.12, 0.25) * RATE), int(rng.uniform(0.04, 0.1) * RATE)
        note = rng.uniform(42, 50) + np.linspace(0, rng.choice([-1, 1]) * rng.uniform(2, 6), n)
        sound, _ = tone(note, int(rng.integers(1000)))
        for formant_hz in rng.uniform((300, 900, 2200), (800, 2000, 3000)):
            b, a = signal.iirpeak(formant_hz, 4, fs=RATE)
            sound = sound + 4 * signal.lfilter(b, a, sound)
        parts += [sound * np.hanning(n), 0.02 * np.diff(rng.standard_normal(gap + 1))]
    return (0.3 * np.concatenate(parts))[: round(seconds * RATE)].astype(np.float32)


def noise(seconds: float) -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal(round(seconds * RATE))).astype(np.float32)


def gusts(seconds: float) -> np.ndarray:
    t = np.arange(round(seconds * RATE)) / RATE
    return noise(seconds) * (0.55 + 0.45 * np.sin(2 * np.pi * 0.3 * t)).astype(np.float32)


def ensemble(seconds: float) -> np.ndarray:
    """A chord held through, a melody above it, and a drum machine, not too loud."""
    t = np.arange(round(seconds * RATE))
    drums = 0.2 * noise(seconds) * np.exp(-(t % (RATE // 3)) / 1500)
    chord = sum(np.sin(2 * np.pi * note_hz * k * t / RATE) / k for note_hz in (110.0, 146.8) for k in range(1, 6))
    return (0.05 * chord + 0.5 * melody(seconds) + drums).astype(np.float32)


def judged(folder: Path, *sounds: np.ndarray) -> material.Material:
    paths = [folder / f"{i}.wav" for i in range(len(sounds))]
    for path, sound in zip(paths, sounds, strict=True):
        sf.write(path, sound, RATE, subtype="FLOAT")
    return material.judge([material.hear(path) for path in paths])


@pytest.fixture
def short_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(material, "ENOUGH_S", 20.0)


@pytest.mark.usefixtures("short_is_enough")
def test_one_instrument_has_pitch_and_nothing_is_wrong_with_it(tmp_path: Path) -> None:
    there = judged(tmp_path, melody(30))
    assert there.pitched
    assert there.findings == ()


@pytest.mark.parametrize(
    ("sound", "said"),
    [
        (noise(10), "too short"),
        (noise(22), "noise that stays as it is"),
        (np.zeros(10 * RATE, np.float32), "silent"),
        (speech(22), "speech"),
        (ensemble(22), "several notes at once"),
        (melody(8), "too short: "),
    ],
    ids=["noise", "long noise", "silence", "speech", "ensemble", "short melody"],
)
def test_what_does_not_suffice_stops_it(tmp_path: Path, sound: np.ndarray, said: str) -> None:
    there = judged(tmp_path, sound)
    assert any(said in finding.text for finding in there.findings if finding.stops), there.findings


def test_sound_that_changes_without_pitch_can_be_learnt(tmp_path: Path) -> None:
    there = judged(tmp_path, gusts(28))
    assert not there.pitched
    assert [f.text for f in there.findings if f.stops] == []
    assert any("no pitch" in f.text for f in there.findings)


def test_what_is_less_than_good_is_said_and_does_not_stop_it(tmp_path: Path) -> None:
    one_note, _ = tone(np.full(24 * RATE, 60.0), count=8)
    for sound, said in (
        (np.clip(melody(28) * 20, -1, 1), "clipped"),
        (one_note, "one note"),
        (melody(28), "a minute or"),
    ):
        there = judged(tmp_path, sound)
        assert said in "".join(f.text for f in there.findings if not f.stops), said
        assert not any(f.stops for f in there.findings)


def test_of_several_recordings_the_one_at_fault_is_named(tmp_path: Path) -> None:
    there = judged(tmp_path, melody(24), speech(12))
    assert [f.text.partition(":")[0] for f in there.findings if f.stops] == ["1.wav"]


def test_cutting_keeps_every_hop_and_holds_some_out(tmp_path: Path) -> None:
    sf.write(tmp_path / "a.wav", 0.1 * melody(20), RATE, subtype="FLOAT")
    sound = material.hear(tmp_path / "a.wav")
    material.cut([sound], tmp_path / "corpus", "mine")
    corpus = Corpus(tmp_path / "corpus")
    assert corpus.styles == ("mine",)
    assert {clip.split for clip in corpus.clips} == {"train", "valid"}
    clips = sorted(corpus.clips, key=lambda clip: clip.start_s)
    whole = np.concatenate([corpus.read(clip, ("loudness",)).audio for clip in clips])
    assert len(whole) == len(sound.audio)
    gain = float(whole @ sound.audio / (sound.audio @ sound.audio))
    assert gain > 4  # it was recorded too quietly
    np.testing.assert_allclose(whole, gain * sound.audio, atol=2**-15)
    loudness = np.concatenate([corpus.read(clip, ("loudness",)).channels[:, 0] for clip in clips])
    assert np.percentile(loudness, 99) == pytest.approx(material.LOUD, abs=0.03)


def test_the_pitch_of_a_piece_integrates_to_its_phase(tmp_path: Path) -> None:
    sf.write(tmp_path / "a.wav", melody(20), RATE, subtype="FLOAT")
    material.cut([material.hear(tmp_path / "a.wav")], tmp_path / "corpus", "mine")
    corpus = Corpus(tmp_path / "corpus")
    for clip in corpus.clips:
        pitch = corpus.read(clip, ("pitch",)).channels[:, 0]
        phase = corpus.phase(clip)
        assert phase is not None
        run = phase[0] + np.concatenate([[0], np.cumsum(hz(pitch))[:-1]]) * HOP / RATE
        off = np.abs((run - phase + 0.5) % 1 - 0.5)
        assert off.max() < 0.01


def test_pieces_are_cut_where_it_is_quiet() -> None:
    level = np.full(round(30 / material.HOP_S), -20.0)
    quiet = [round(s / material.HOP_S) for s in (5.2, 12.0, 17.5, 24.0)]
    level[quiet] = -70.0
    assert [first for first, _ in material.boundaries(level)][1:] == quiet
