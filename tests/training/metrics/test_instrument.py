"""Figures of players whose faults are known: a good oscillator, one that gets stuck, styles that differ or do not."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from livemove.contracts import HOP, LEVEL, Channel, Float32, ModelSpec
from livemove.synthesis import architectures
from tests.support import note_corpus
from training.data.corpus import Corpus
from training.metrics import additive, control_tracks, held_out, instrument, stress, styles
from training.metrics.control_tracks import Composer, Ranges
from training.metrics.playing import Segment, Style


def spec(*style_names: str) -> ModelSpec:
    return dataclasses.replace(architectures.stage("horn", note_corpus.channels()), styles=style_names)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return note_corpus.write(tmp_path_factory.mktemp("notes") / "corpus", count=20)


@pytest.fixture(scope="module")
def baseline(corpus: Corpus) -> additive.Additive:
    return additive.fit(corpus, spec())


class Tone:
    """A sawtooth at the pitch and loudness asked for; brightness: a second style has fewer harmonics."""

    lag = 0

    def sound(self, channels: Float32, style: Style = 0, seed: int = 0, phase: float = 0.0) -> Float32:
        dull = float(style if isinstance(style, int) else style[1])
        number = np.arange(1, additive.HARMONICS + 1)
        hz = 440 * 2 ** ((channels[:, :1] - 69) / 12) * number
        amplitude = number ** -(1.0 + 1.5 * dull) * (hz < 20000)
        amplitude *= LEVEL * channels[:, 1:2] ** 2 * np.sqrt(2) / np.sqrt((amplitude**2).sum(1, keepdims=True))
        return additive.oscillators(channels[:, 0].astype(np.float64), amplitude, 48000, phase).astype(np.float32)

    def sequence(self, segments: Sequence[Segment], seed: int = 0) -> Float32:
        return self.sound(np.concatenate([channels for channels, _ in segments]), segments[0][1], seed)


class Stuck(Tone):
    """Sings on through every rest once it was loud, ever lower."""

    def sound(self, channels: Float32, style: Style = 0, seed: int = 0, phase: float = 0.0) -> Float32:
        held = channels.copy()
        held[:, 1] = np.maximum.accumulate(channels[:, 1])
        held[:, 0] -= np.linspace(0, 3, len(held))
        return super().sound(held, style, seed, phase)


def test_tracks_stay_within_the_ranges_and_differ_by_seed() -> None:
    ranges = Ranges((60.0, 70.0), (0.4, 0.9), np.array([[60.0, 0.2, 0.4], [70.0, 0.5, 0.7]]))
    one, same, other = (Composer(spec(), ranges).everything(seed, 0.3) for seed in (0, 0, 1))
    assert {track.kind for track in one} >= {"held", "glide", "vibrato", "leaps", "swell", "brightening", "onset"}
    for a, b in zip(one, same, strict=True):
        np.testing.assert_array_equal(a.channels, b.channels)
    assert any(not np.array_equal(a.channels, b.channels) for a, b in zip(one, other, strict=True))
    for track in one:
        pitch, loudness, bright = track.channels.T
        assert 59.9 <= pitch.min() <= pitch.max() <= 70.1
        assert loudness.max() <= 0.9 + 1e-6
        assert (bright >= np.interp(pitch, [60, 70], [0.2, 0.5]) - 1e-5).all()
        assert (bright <= np.interp(pitch, [60, 70], [0.4, 0.7]) + 1e-5).all()


def test_ranges_are_what_the_corpus_holds_and_survive_json(corpus: Corpus) -> None:
    found = control_tracks.met_ranges(spec(), corpus)
    assert found.pitch == pytest.approx((57, 81), abs=1.5)
    assert 0.1 <= found.loudness[0] < found.loudness[1] < 0.95
    again = Ranges.from_plain(found.as_plain())
    assert again.pitch == found.pitch
    np.testing.assert_allclose(again.bright(np.array([60.0]), 0.5), found.bright(np.array([60.0]), 0.5), atol=1e-3)


def test_an_oscillator_has_the_figures_of_one() -> None:
    ranges = control_tracks.whole_ranges(spec())
    found = instrument.figures(Tone(), spec(), ranges, 0, share=0.2)
    assert found["pitch_cents_median"] < 3
    assert found["pitch_gross_share"] < 0.01
    assert found["hnr_db"] > 45
    assert found["alias_db_worst"] < -75
    assert found["loudness_correlation"] > 0.98
    assert found["response_ms"] < 8
    assert found["rest_dbfs"] < -110
    assert found["vibrato_depth"] == pytest.approx(1, abs=0.02)
    assert abs(found["vibrato_lag_ms"]) < 1
    assert abs(found["glide_lag_ms"]) < 1


def test_a_player_that_is_late_is_told_so() -> None:
    late = Tone()
    late.lag = 4800
    ranges = control_tracks.whole_ranges(spec())
    assert instrument.figures(late, spec(), ranges, 0, share=0.2)["response_ms"] == pytest.approx(104, abs=5)


def test_stress_tells_the_sound_from_the_stuck() -> None:
    composer = Composer(spec(), control_tracks.whole_ranges(spec()))
    good, bad = (stress.figures(player, composer, 40, 0) for player in (Tone(), Stuck()))
    assert good["stress_rest_dbfs"] < -110
    assert good["stress_gross_share"] < 0.01
    assert good["stress_lost_share"] == 0
    assert good["stress_drift_db"] < 0.5
    assert bad["stress_rest_dbfs"] > -30
    assert bad["stress_gross_share"] > 0.5


def test_a_player_that_is_silent_is_lost() -> None:
    class Mute(Tone):
        def sequence(self, segments: Sequence[Segment], seed: int = 0) -> Float32:
            return 1e-5 * super().sequence(segments, seed)

    found = stress.figures(Mute(), Composer(spec(), control_tracks.whole_ranges(spec())), 20, 0)
    assert found["stress_lost_share"] == 1


def test_the_additive_baseline_sounds_like_what_it_was_fitted_to(corpus: Corpus, baseline: additive.Additive) -> None:
    notes = held_out.notes(corpus, spec(), 5)
    assert {note.name for note in notes} <= {clip.name for clip in corpus.clips if clip.split == "valid"}
    found = held_out.scores({"model": Tone(), "baseline": baseline}, notes, spec(), seeds=2)
    assert found["notes"] == 5
    assert found["recordings"]["hnr_db"] == pytest.approx(30, abs=1)
    assert found["baseline"]["hnr_db"][0] == pytest.approx(30, abs=1.5)
    assert found["baseline"]["log_mel_db"][0] < 3
    assert found["baseline"]["loudness_correlation"][0] > 0.99
    mean, low, high = found["baseline_minus_model_db"]
    assert low <= mean <= high < -5  # a sawtooth is farther from these notes


def test_the_baseline_starts_at_the_phase_it_is_told(corpus: Corpus, baseline: additive.Additive) -> None:
    note = held_out.notes(corpus, spec(), 1)[0]
    assert note.phase == pytest.approx(float(corpus.phase(corpus.select("valid", ("pitch",))[0])[0]))  # pyright: ignore
    one, other = (baseline.sound(note.channels, 0, 0, phase) for phase in (note.phase, note.phase + 1.0))
    np.testing.assert_allclose(one, other, atol=1e-3)


def test_an_interval_holds_the_mean_of_what_it_is_of() -> None:
    mean, low, high = held_out.interval(np.random.default_rng(0).normal(1.0, 0.5, 50))
    assert low < mean < high
    assert high - low == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(50), rel=0.25)


def test_styles_that_differ_are_told_apart_and_a_blend_lies_between() -> None:
    two = spec("bright", "dull")
    ranges = dict.fromkeys(two.styles, control_tracks.whole_ranges(two))
    assert styles.told_apart(Tone(), two, ranges, None)["accuracy"] > 0.95
    assert styles.blend(Tone(), two, ranges)["monotone"] == 1.0

    class Deaf(Tone):
        def sound(self, channels: Float32, style: Style = 0, seed: int = 0, phase: float = 0.0) -> Float32:
            return super().sound(channels, 0, seed, phase)

    assert styles.told_apart(Deaf(), two, ranges, None)["accuracy"] < 0.8
    assert styles.blend(Deaf(), two, ranges)["monotone"] == 0.0


def test_one_held_rest_is_as_long_as_the_hops_say() -> None:
    composer = Composer(spec(), control_tracks.whole_ranges(spec()))
    made = stress.cycle(composer, np.random.default_rng(0))
    assert made.begins[-1] == len(made.channels)
    assert (made.channels[made.begins[1] : made.begins[2], 1] == 0).all()
    assert (made.channels[made.begins[5] :, 1] == 0).all()
    assert np.ptp(made.channels[made.begins[4] : made.begins[5]], axis=0).max() == 0
    assert len(made.channels) * HOP / 48000 == pytest.approx(6.7, abs=0.1)


def test_channels_that_are_not_played_rest() -> None:
    wider = dataclasses.replace(spec(), channels=(*note_corpus.channels(), Channel("onset", "0..1", 0.0, 1.0, 0.25)))
    composer = Composer(wider, control_tracks.whole_ranges(wider))
    assert (composer.channels(np.full(5, 60.0), 0.5)[:, 3] == 0.25).all()


def test_a_corpus_that_holds_nothing_out_is_named(tmp_path: Path) -> None:
    from training.data.corpus import CorpusError

    small = note_corpus.write(tmp_path / "corpus", count=1, seconds=0.5)
    with pytest.raises(CorpusError, match="holds out no clip"):
        held_out.notes(small, spec())
