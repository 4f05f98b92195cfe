"""Whether the dance scores tell who hears the dancer from who does not."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from livemove.bundle import Bundle
from livemove.synthesis import architectures
from livemove.synthesis.native import NativeEngine
from tests.support.bundles import small_spec
from training import evaluate
from training.data.corpus import Corpus
from training.metrics import dance_scores, report

RATE = 48000


def test_the_corpus_s_own_sound_meets_its_dancers_and_can_be_foretold(dance_corpus: Corpus) -> None:
    found = dance_scores.of_corpus(dance_corpus)
    met = found["beats"]
    assert isinstance(met, dict)
    assert met["beat_f1"] > 0.7
    assert met["beat_f1_interval"][0] <= met["beat_f1"] <= met["beat_f1_interval"][1]
    assert met["accents_per_s"] > 0.3
    assert float(str(found["onset_correlation"])) > 0.4


def test_steady_clicks_and_silence_gain_nothing_over_chance(dance_corpus: Corpus) -> None:
    """Sound that does not know who dances: the one-second bins praise it, the gain must not."""
    dances = dance_scores.read_dances(dance_corpus, "train")
    click = np.zeros(RATE // 4, np.float32)
    click[100:1500] = 0.8 * np.sin(np.arange(1400) * 0.2) * np.exp(-np.arange(1400) / 300)
    steady = [np.resize(click, len(d.audio)).astype(np.float32) for d in dances]
    found = dance_scores.of_sounds(dances, steady, RATE)
    assert found["second_hit"] > 0.95
    assert abs(float(str(found["beat_f1_gained"]))) < 0.05
    silent = dance_scores.of_sounds(dances, [np.zeros_like(d.audio) for d in dances], RATE)
    assert silent["beat_f1_gained"] == pytest.approx(0.0, abs=0.05)
    assert silent["onsets_per_s"] == 0.0


def test_styles_are_told_apart_where_they_differ_only() -> None:
    rng = np.random.default_rng(0)
    noise = [rng.standard_normal(RATE).astype(np.float32) * 0.1 for _ in range(24)]
    dull = [np.convolve(sound, np.ones(16) / 16, "same").astype(np.float32) for sound in noise[:12]]
    assert dance_scores.told_apart({"a": dull, "b": noise[12:]}, RATE)["accuracy"] == 1.0
    same = dance_scores.told_apart({"a": noise[:12], "b": noise[12:]}, RATE)
    assert same["accuracy"] < 0.8
    swapped = dance_scores.told_apart({"a": dull, "b": noise[12:]}, RATE, {"a": noise[12:], "b": dull})
    assert swapped["of_originals"] == 0.0


def test_a_network_that_learned_nothing_is_said_not_to_hear_the_dancer(dance_corpus: Corpus) -> None:
    channels, styles = dance_corpus.tracks["features"], dance_corpus.styles
    spec = dataclasses.replace(small_spec("deaf"), channels=channels, styles=styles, phase=None)
    weights = architectures.random_weights(spec)
    bundle = cast(Bundle, SimpleNamespace(spec=spec, weights=weights))
    figures = evaluate.scored(bundle, NativeEngine(spec, weights), 1.0, dance_corpus, evaluate.QUICK).figures
    found = figures["dance"]
    assert found["ignores_dancer"] is True
    likelihood = found["likelihood"]
    assert isinstance(likelihood, dict)
    low, high = likelihood["bits_gained_over_shuffled_interval"]
    assert low <= likelihood["bits_gained_over_shuffled"] <= high
    rows = {name: (value, beside) for name, value, beside in report.rows(figures)}
    assert "[" in rows["dance beats: beat_f1"][0]
    assert "[" in rows["dance likelihood: bits_gained_over_shuffled"][0]
    assert "dance likelihood: nll_bits_shuffled" not in rows
    assert "ceiling" in rows["dance beats: beat_f1"][1]
    assert any("does not hear who dances" in line for line in report.warnings(figures))


def test_sound_where_there_should_be_none_is_measured(monkeypatch: pytest.MonkeyPatch, dance_corpus: Corpus) -> None:
    """A hum 40 dB below full scale for ever, and nothing else."""
    spec = small_spec("dance")
    hum = np.float32(0.01 * np.sqrt(2) * np.sin(np.arange(20 * 48000) * 0.05))
    monkeypatch.setattr(dance_scores, "sound", lambda engine, channels, *_: hum[: len(channels) * 256])
    dances = dance_scores.read_dances(dance_corpus, "valid", 4.0)
    quiet = [dataclasses.replace(dance, audio=np.zeros_like(dance.audio)) for dance in dances]
    own = [hum[: len(dance.audio)] for dance in dances]
    found = dance_scores.silence(spec, cast(NativeEngine, None), quiet, own, 0.5)
    assert found["rest_dbfs"] == pytest.approx(-40, abs=0.1)
    assert found["gaps_dbfs"] == pytest.approx(-40, abs=0.1)
    assert found["gaps_usual_dbfs"] == pytest.approx(-40, abs=0.1)
    quieter = [0.1 * own[0], *(2 * sound for sound in own[1:])]
    found = dance_scores.silence(spec, cast(NativeEngine, None), quiet, quieter, 0.5)
    assert found["gaps_heard_share"] == pytest.approx(1 - 1 / len(quiet), abs=0.01)
    assert found["gaps_usual_dbfs"] == pytest.approx(-34 if len(quiet) > 2 else -44, abs=0.1)
    never = [dataclasses.replace(dance, audio=np.ones_like(dance.audio)) for dance in dances]
    assert np.isnan(dance_scores.silence(spec, cast(NativeEngine, None), never, own, 0.5)["gaps_dbfs"])
