"""The running phase of recorded sound: found within stated bounds, stored by prepare, and what training begins with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from livemove.contracts import HOP
from livemove.synthesis import architectures
from tests.support import tones
from training.data import corpus, phase
from training.data.clip import Settings
from training.data.descriptors import CHANNELS, track_pitch
from training.data.feed import MARGIN, Recorded
from training.data.phase import integrate, recover
from training.prepare import prepare

RATE = tones.RATE
SECONDS = np.arange(2 * RATE) / RATE
TRACKS = {
    "steady": 57 + 0 * SECONDS,
    "vibrato": 57 + 0.5 * np.sin(2 * np.pi * 6 * SECONDS),
    "two octaves in two seconds": 45 + 12 * SECONDS,
    "an octave up and down": 57 + 6 * np.sin(2 * np.pi * 0.7 * SECONDS),
    "low": 36 + 0.3 * np.sin(2 * np.pi * 5 * SECONDS),
    "high": 84 + 0.5 * np.sin(2 * np.pi * 6.5 * SECONDS),
}


def errors(found: phase.RunningPhase, cycles: np.ndarray) -> np.ndarray:
    """Cycles off, -0.5..0.5, at the starts of the voiced hops that are not at an end."""
    off = found.cycles[:-1] - cycles[::HOP][: len(found.voiced)]
    inner = found.voiced.copy()
    inner[:6], inner[-6:] = False, False
    assert inner.sum() > 0.9 * len(inner) - 12
    off = off[inner]
    return off - np.round(off)


def rms(values: np.ndarray) -> float:
    return float(np.sqrt((values**2).mean()))


@pytest.mark.parametrize("snr_db", [None, 20.0])
@pytest.mark.parametrize("track", TRACKS)
def test_the_tenth_harmonic_is_followed_within_a_hundredth_of_a_cycle(track: str, snr_db: float | None) -> None:
    sound, cycles = tones.tone(TRACKS[track], snr_db=snr_db)
    found = recover(sound, RATE, track_pitch(sound, RATE)[0])
    assert 10 * rms(errors(found, cycles)) < 0.012


@pytest.mark.parametrize("track", ["vibrato", "an octave up and down"])
def test_without_its_fundamental_the_phase_is_known_but_for_a_constant(track: str) -> None:
    sound, cycles = tones.tone(TRACKS[track], missing=True)
    off = errors(recover(sound, RATE, track_pitch(sound, RATE)[0]), cycles)
    off = off - off[0]
    assert 10 * rms(off - off.mean()) < 0.012


def test_a_bowed_tone_whose_harmonics_wander_is_followed() -> None:
    sound, cycles = tones.bowed(50.0, 3.0, 1)
    found = recover(sound, RATE, track_pitch(sound, RATE)[0])
    off = errors(found, cycles)
    assert 10 * rms(off) < 0.06
    tracked = recover(sound, RATE, track_pitch(sound, RATE)[0]).note
    assert np.abs(tracked - 50)[8:-8].max() < 0.2


def test_a_pitch_half_a_semitone_off_is_corrected() -> None:
    sound, cycles = tones.tone(TRACKS["steady"])
    found = recover(sound, RATE, np.full(len(sound) // HOP, 57.4))
    assert 10 * rms(errors(found, cycles)) < 0.012


def test_the_pitch_integrates_to_the_phase() -> None:
    sound, _ = tones.tone(TRACKS["vibrato"], snr_db=20)
    found = recover(sound, RATE, track_pitch(sound, RATE)[0])
    np.testing.assert_allclose(integrate(found.note, RATE, found.cycles[0]), found.cycles, atol=1e-6)
    assert found.at_hops.dtype == np.float32
    assert (found.at_hops >= 0).all()
    assert (found.at_hops < 1).all()


def test_silence_between_notes_is_marked_and_bridged() -> None:
    """Each note has its own phase; in the gap the held pitch leads from one to the other."""
    a, a_cycles = tones.tone(np.full(RATE, 57.0), 1)
    b, b_cycles = tones.tone(np.full(RATE, 60.0), 2)
    gap = np.zeros(100 * HOP, np.float32)
    first, second = RATE // HOP, RATE // HOP + 100
    sound = np.concatenate([a[: first * HOP], gap, b[: first * HOP]])
    found = recover(sound, RATE, track_pitch(sound, RATE)[0])
    assert not found.voiced[first + 6 : second - 6].any()
    for begin, cycles in ((0, a_cycles), (second, b_cycles)):
        hops = np.arange(12, first - 12)
        off = found.cycles[begin + hops] - cycles[hops * HOP]
        assert 10 * rms(off - np.round(off)) < 0.02
    held = found.note[first + 8 : second - 8]
    assert np.ptp(held) < 1e-6
    assert np.abs(held - 57).max() < 0.5


def test_of_silence_nothing_is_invented() -> None:
    found = recover(np.zeros(100 * HOP, np.float32), RATE, np.full(100, np.nan))
    assert not found.voiced.any()
    assert (found.note == 69).all()


# --- in the corpus ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[corpus.Corpus, np.ndarray]:
    """A corpus of one vibrato, and its cycles."""
    root = tmp_path_factory.mktemp("phase")
    sound, cycles = tones.tone(TRACKS["vibrato"])
    (root / "sounds").mkdir()
    sf.write(root / "sounds" / "a.wav", sound, RATE, subtype="FLOAT")
    prepare(str(root / "sounds"), root / "data", Settings())
    return corpus.Corpus(root / "data"), cycles


def test_prepare_stores_phase_and_the_pitch_that_retraces_it(prepared: tuple[corpus.Corpus, np.ndarray]) -> None:
    made, cycles = prepared
    stored = made.phase(made.clips[0])
    assert stored is not None
    pitch = made.read(made.clips[0], ["pitch"]).channels[:, 0]
    off = integrate(pitch, RATE, float(stored[0]))[:-1] - stored
    assert 20 * rms(off - np.round(off)) < 0.01
    off = stored[8:-8] - cycles[::HOP][8 : len(stored) - 8]
    assert 10 * rms(off - np.round(off)) < 0.012


def test_training_clips_begin_at_the_stored_phase(prepared: tuple[corpus.Corpus, np.ndarray]) -> None:
    made, cycles = prepared
    spec = architectures.stage("theremin")
    source = Recorded(made, spec.channel_names)
    for index in range(3):
        window = source.windows(20, 7)[index]
        found = float(source.clip(spec, 20, 7, index, False)["cycles"][0])
        sample = (window.first + MARGIN) * HOP + HOP // spec.steps_per_hop  # that after the first step
        off = found - cycles[sample]
        assert abs(off - round(off)) < 0.004


def test_older_corpora_have_no_phase_and_are_read(tmp_path: Path) -> None:
    clip = corpus.Clip("train", "a", "b", "c", tracks=("descriptors",), hops=4)
    arrays = {"descriptors": np.zeros((4, len(CHANNELS)), np.float32)}
    writer = corpus.Writer(tmp_path, RATE, "full", {"descriptors": CHANNELS})
    corpus.write_clip(tmp_path, clip, np.zeros(4 * HOP, np.float32), RATE, arrays)
    writer.record(clip)
    writer.close()
    assert corpus.Corpus(tmp_path).phase(clip) is None
