"""Corpora from single notes: notes tuned and made canonical, phrases whose pitch and phase are exact, the command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from click.testing import CliRunner

from livemove.contracts import HOP
from tests.support import tones
from training.corpora import phrases as command
from training.data import canonical, notes, score
from training.data.corpus import Corpus
from training.data.instrument import Instrument, Part, _part_shares
from training.data.phase import hz, integrate
from training.data.phrases import Player, phrase

RATE = notes.RATE
NAMES = ("pitch", "voicing", "loudness", "brightness", "onset")


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("notes")
    tones.write_notes(folder)
    return folder


@pytest.fixture(scope="module")
def library(sounds: Path) -> notes.Library:
    made, left_out = notes.make_library(notes.read_manifest(sounds))
    assert not left_out
    return made


@pytest.fixture(scope="module")
def made(sounds: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """One minute by the command."""
    root = tmp_path_factory.mktemp("corpus") / "pipe"
    asked = [str(sounds), "-o", str(root), "--instrument", "pipe", "--minutes", "1"]
    run = CliRunner().invoke(command.main, asked)
    assert run.exit_code == 0, run.output
    return Corpus(root)


def demodulated(sound: np.ndarray, cycles: np.ndarray, k: int, width: int) -> np.ndarray:
    """Slow complex amplitude of harmonic k, per sample."""
    window = np.hanning(width)
    return np.convolve(sound * np.exp(-2j * np.pi * k * cycles), 2 * window / window.sum(), "same")


def off_canonical(sound: np.ndarray, cycles: np.ndarray, k: int, width: int) -> np.ndarray:
    """Radians [n] that harmonic k lies off its canonical phase."""
    tone = demodulated(sound, cycles, k, width)
    return np.abs(np.angle(tone * np.exp(-1j * canonical.phases(k)[-1])))


# --- notes --------------------------------------------------------------------------------------------------


def test_a_prepared_note_is_in_tune_and_its_harmonics_are_canonical(library: notes.Library) -> None:
    for note in library.notes:
        assert note.cents == pytest.approx(20, abs=1.5)
        assert note.released
        sound = library.of(note).astype(np.float64)
        cycles = np.arange(len(sound)) / note.period
        first, last = note.body
        for k in (1, 2, 3, 5):
            off = off_canonical(sound, cycles, k, round(5 * note.period))[first:last]
            assert np.median(off) < 0.05, (note.file, k)


def test_as_recorded_the_harmonics_keep_their_own_phases(sounds: Path) -> None:
    file = next(f for f in notes.read_manifest(sounds) if not f.short)
    note, sound = notes.prepare_note(file, as_recorded=True)
    cycles = np.arange(len(sound)) / note.period
    off = [np.median(off_canonical(sound.astype(np.float64), cycles, k, 2000)[slice(*note.body)]) for k in (1, 2, 3, 4)]
    assert off[0] < 0.05  # the fundamental is where the phase's zero is
    assert max(off[1:]) > 0.3


def test_canonical_phases_leave_levels_and_noise_alone() -> None:
    tone, _ = tones.tone(np.full(RATE, 57.0), 3)
    rng = np.random.default_rng(0)
    noise = 0.01 * rng.standard_normal(RATE)
    f0 = float(hz(np.float64(57)))
    shifted = tone.astype(np.float64) + noise
    out = canonical.rewritten(shifted, RATE, f0)
    before, after = (np.abs(np.fft.rfft(s[RATE // 8 : -RATE // 8])) for s in (shifted, out))
    bins = np.arange(len(before)) * RATE / (RATE * 3 // 4) / f0
    near = np.abs(bins - np.round(bins)) < 0.1
    assert (after[near] ** 2).sum() == pytest.approx((before[near] ** 2).sum(), rel=0.02)
    between = (np.abs(bins - np.round(bins)) > 0.42) & (bins < 60)
    assert (after[between] ** 2).sum() == pytest.approx((before[between] ** 2).sum(), rel=0.02)


def test_a_tone_before_its_attack_stays_silent() -> None:
    """Narrow bands ring; nothing of that may be heard before a note begins."""
    tone, _ = tones.tone(np.full(RATE // 2, 45.0), 3)
    sound = np.concatenate([np.zeros(RATE // 4), tone.astype(np.float64)])
    out = canonical.rewritten(sound, RATE, float(hz(np.float64(45))))
    assert np.abs(out[: RATE // 4 - RATE // 50]).max() < 0.01 * np.abs(out).max()


def test_a_library_is_the_same_when_read_again(library: notes.Library, tmp_path: Path) -> None:
    notes.save_library(library, tmp_path)
    again = notes.load_library(tmp_path)
    assert again.notes == library.notes
    np.testing.assert_allclose(again.sound, library.sound, atol=1 / 32768)


def test_one_note_in_ten_is_held_out(sounds: Path) -> None:
    files = notes.read_manifest(sounds)
    assert [f.held_out for f in files] == [i % 10 == 9 for i in range(len(files))]


@pytest.mark.parametrize(
    ("row", "says"),
    [("a.wav,pipe,90,f,sustain", "cents off"), ("gone.wav,pipe,57,f,sustain", "cannot be read"),
     ("quiet.wav,pipe,57,f,sustain", "silence")],
)  # fmt: skip
def test_notes_that_cannot_be_used_are_left_out_and_said(tmp_path: Path, row: str, says: str) -> None:
    tones.write_notes(tmp_path, midis=(57,))
    sf.write(tmp_path / "a.wav", tones.tone(np.full(RATE, 85.0))[0], RATE)
    sf.write(tmp_path / "quiet.wav", np.zeros(RATE), RATE)
    with (tmp_path / "manifest.csv").open("a") as file:
        file.write(row + "\n")
    made, left_out = notes.make_library(notes.read_manifest(tmp_path))
    assert len(made.notes) == 4
    assert len(left_out) == 1
    assert says in left_out[0]


@pytest.mark.parametrize(
    ("content", "says"),
    [("file,instrument,midi\n", "lacks the columns dynamic, articulation"),
     ("file,instrument,midi,dynamic,articulation\na.wav,drum,,f,hit\n", "no held or short note"),
     ("file,instrument,midi,dynamic,articulation\na.wav,pipe,C4,f,sustain\n", "is no number"),
     ("file,instrument,midi,dynamic,articulation\na.wav,pipe,300,f,sustain\n", "beyond 20..110")],
)  # fmt: skip
def test_a_manifest_that_cannot_be_used_says_why(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "manifest.csv").write_text(content)
    with pytest.raises(notes.NotesError, match=says):
        notes.read_manifest(tmp_path)


# --- the instrument -----------------------------------------------------------------------------------------


def test_weights_sum_to_one_and_follow_pitch_and_level(library: notes.Library) -> None:
    instrument = Instrument(library, "pipe")
    pitch, level = np.linspace(56, 64, 400), np.linspace(-40, -10, 400)
    weights = instrument.weights(pitch, level, HOP / RATE)
    np.testing.assert_allclose(sum(weights.values()), 1, atol=1e-9)
    at_end = max(weights, key=lambda cell: weights[cell][-1])
    assert at_end.midi == 63
    assert at_end.takes[0].dynamic == "f"


def test_parts_blend_where_they_overlap() -> None:
    parts = (Part("low", 40, 60), Part("high", 50, 80))
    low, high = _part_shares(parts, np.array([45.0, 55.0, 70.0]))
    np.testing.assert_allclose(low, [1, 0.5, 0])
    np.testing.assert_allclose(high, [0, 0.5, 1])


# --- phrases ------------------------------------------------------------------------------------------------


def test_the_pitch_integrates_exactly_to_the_stored_phase(made: Corpus) -> None:
    for clip in made.clips:
        stored = made.phase(clip)
        assert stored is not None
        pitch = made.read(clip, ["pitch"]).channels[:, 0]
        off = integrate(pitch, RATE, float(stored[0]))[:-1] - stored
        assert 20 * np.abs(off - np.round(off)).max() < 1e-4


def test_the_sound_follows_the_phase_harmonic_by_harmonic(made: Corpus) -> None:
    off: dict[int, list[float]] = {1: [], 2: [], 3: []}
    for clip in made.select("train", NAMES):
        window = made.read(clip, NAMES)
        stored = made.phase(clip)
        assert stored is not None
        cycles = integrate(window.channels[:, 0], RATE, float(stored[0]))
        fine = np.interp(np.arange(len(window.audio)), np.arange(len(cycles)) * HOP, cycles)
        loud = np.repeat(window.channels[:, 2] > 0.15, HOP)
        for k, found in off.items():
            found += off_canonical(window.audio.astype(np.float64), fine, k, 960)[loud][::64].tolist()
    for k, found in off.items():
        assert np.median(found) < 0.05, k
        assert np.percentile(found, 90) < 0.4, k


def test_phrases_reach_from_digital_silence_to_loud(made: Corpus) -> None:
    tracks = [made.read(clip, NAMES) for clip in made.select("train", NAMES)]
    loudness = np.concatenate([w.channels[:, 2] for w in tracks])
    silent = np.concatenate([np.abs(w.audio).reshape(-1, HOP).max(1) == 0 for w in tracks])
    assert silent.mean() > 0.02
    assert np.percentile(loudness, 95) > 0.5
    assert ((loudness > 0) & (loudness < 0.15)).mean() > 0.02


def test_phrases_have_no_clicks(made: Corpus) -> None:
    """A click is a jump of the second difference far above what is around it; attacks of these notes take 40 ms."""
    for clip in made.select("train", NAMES):
        jump = np.abs(np.diff(made.read(clip, NAMES).audio.astype(np.float64), 2))
        around = np.sqrt(np.convolve(jump**2, np.ones(1441) / 1441, "same")) + 2e-4
        assert (jump / around).max() < 12


def test_validation_plays_the_notes_that_training_does_not_know(made: Corpus, library: notes.Library) -> None:
    kept = {note.file for note in library.notes if note.held_out}
    valid = made.select("valid", NAMES)
    assert {name for clip in valid for name in clip.source.split(", ")} == kept
    played = {n.file for _, slots in Instrument(library, "pipe")._slots for _, cells in slots for c in cells
              for n in c.takes}  # fmt: skip
    assert not played & kept


def test_a_seed_makes_the_same_phrase_again_and_another_one_another(library: notes.Library) -> None:
    player = Player(library, "pipe")
    first, again, other = (phrase(player, "pipe", seed, 3, 4.0) for seed in (1, 1, 2))
    assert np.array_equal(first[1], again[1])
    assert all(np.array_equal(first[2][name], again[2][name]) for name in first[2])
    assert not np.array_equal(first[1], other[1])


def test_scores_hold_what_players_do() -> None:
    """Over many scores: vibrato within 50 cents at 4.5 to 7 Hz, the whole range, bows in order."""
    low, high = 48.0, 72.0
    reached = []
    for index in range(30):
        written = score.compose(np.random.default_rng(index), 2000, low, high)
        reached.append((written.pitch.min(), written.pitch.max()))
        assert all(a.last <= b.first for a, b in zip(written.bows, written.bows[1:], strict=False))
        assert written.pitch.min() >= low - score.BEYOND
        assert written.pitch.max() <= high + score.BEYOND
    assert min(a for a, _ in reached) < low + 1
    assert max(b for _, b in reached) > high - 1
    bend = score.vibrato(np.random.default_rng(1), 1000, True)
    spectrum = np.abs(np.fft.rfft(bend * np.hanning(1000)))
    assert 4.0 < np.argmax(spectrum) * score.HOP_RATE / 1000 < 7.5
    assert np.abs(bend).max() < 0.62


# --- the command --------------------------------------------------------------------------------------------


def test_the_command_goes_on_and_workers_change_nothing(made: Corpus, tmp_path: Path) -> None:
    library_at = made.root.with_name(f"{made.root.name}.notes")
    asked = [str(library_at), "-o", str(tmp_path / "pipe"), "--instrument", "pipe"]
    first = CliRunner().invoke(command.main, [*asked, "--minutes", "0.5"])
    assert first.exit_code == 0, first.output
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "pipe" / "clips").rglob("*.flac")}
    more = CliRunner().invoke(command.main, [*asked, "--minutes", "1", "--workers", "2"])
    assert more.exit_code == 0, more.output
    assert all(p.stat().st_mtime_ns == at for p, at in before.items())
    for path in sorted((made.root / "clips").rglob("*.*")):
        assert path.read_bytes() == (tmp_path / "pipe" / path.relative_to(made.root)).read_bytes(), path
