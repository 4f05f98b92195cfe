"""The scores of what plays hits, on sounds whose answers are known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from livemove.body.triggers import HITS
from livemove.bundle import Bundle
from livemove.contracts import Float32, ModelSpec
from livemove.synthesis import architectures, pqmf
from livemove.synthesis.reference import ReferenceEngine
from tests.support.bundles import random_bundle
from tests.support.hit_recordings import RATE, write_voices
from tests.support.paths import ROOT
from training import evaluate
from training.data import percussion
from training.data.corpus import Corpus
from training.metrics import corpus_scores, report
from training.metrics import percussion as scores


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    root = tmp_path_factory.mktemp("corpus") / "drums"
    list(percussion.prepare(write_voices(tmp_path_factory.mktemp("voices")), root, clips=20, seconds=8.0))
    return Corpus(root)


def hits_at(*seconds: float, which: int = 0, strength: float = 0.8, length: float = 3.0) -> Float32:
    found = np.zeros((round(length / percussion.HOP_S), len(HITS)), np.float32)
    for time_s in seconds:
        found[round(time_s / percussion.HOP_S), which] = strength
    return found


def test_onsets_are_found_where_they_are_and_double_hits_are_counted(corpus: Corpus) -> None:
    kit = percussion.open_kit(corpus.root)
    strengths = hits_at(0.5, 1.1, 1.9, which=4)
    found = scores.onsets(scores.nearest_sample(kit, strengths))
    true = scores.hit_times(strengths)
    np.testing.assert_allclose(found, true, atol=0.004)
    assert scores.onset_scores(found, true)["onset_f1"] == 1.0
    shifted = scores.onset_scores(found + 0.012, true)
    assert shifted["onset_f1"] == 0.0
    doubled = scores.onset_scores(np.sort([*found, found[1] + 0.05]), true)
    assert doubled["double_hits"] == pytest.approx(100 / 3)
    assert len(scores.onsets(np.zeros(RATE, np.float32))) == 0


def test_one_onset_answers_one_hit() -> None:
    assert scores.matches(np.array([1.0, 1.001]), np.array([1.0]), 0.01, 0.01) == [(0, 0)]
    assert scores.matches(np.array([1.0]), np.array([0.995, 1.005]), 0.01, 0.01) == [(0, 0)]
    assert scores.matches(np.array([0.5, 1.0, 2.0]), np.array([1.0, 2.0]), 0.01, 0.01) == [(1, 0), (2, 1)]


def test_the_distance_of_hits_is_none_for_the_same_and_not_of_their_level(corpus: Corpus) -> None:
    kit = percussion.open_kit(corpus.root)
    left, right = (scores.round_robins(kit, name, False)[0] for name in ("left_hand", "clap"))
    one = scores.spectrum_db(left)
    assert scores.hit_distance_db(one, scores.spectrum_db(0.5 * left)) < 0.05
    assert scores.hit_distance_db(one, scores.spectrum_db(right)) > 1.0


class Drummer(ReferenceEngine):
    """Plays a kit by its channels, late by the filter bank as every engine is, and by `late` samples more."""

    def __init__(self, spec: ModelSpec, weights: dict[str, np.ndarray], kit: percussion.Kit, late: int = 0) -> None:
        super().__init__(spec, weights)
        self.kit, self.late = kit, late + pqmf.delay(spec.bands, spec.pqmf_taps)

    def generate(self, out, channels, noise, *, style=0, temperature=1.0, trace=None, forced=None) -> None:
        strengths = scores.strengths_of(channels[:, : len(HITS)])
        played = percussion.mixed(self.kit, strengths, channels[:, len(HITS)], held_out=False)
        out[:] = np.concatenate([np.zeros(self.late, np.float32), played])[: len(out)]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    made = random_bundle(tmp_path_factory.mktemp("drums") / "drums", architectures.stage("drums"))
    small = dataclasses.replace(
        architectures.stage("drums"), residual=16, skip=16, hidden=16, conditioning=4, mixtures=1
    )
    spec = dataclasses.replace(small, channels=percussion.CHANNELS, phase=None)
    mapping = ROOT / "training" / "cards" / "bodydrum.toml"
    (made.path / "mapping.toml").write_bytes(mapping.read_bytes())
    return dataclasses.replace(made, spec=spec, weights=architectures.random_weights(spec, 0))


def test_an_engine_that_plays_the_recordings_scores_as_they_do_and_a_late_one_does_not(
    bundle: Bundle, corpus: Corpus
) -> None:
    assert scores.is_of_hits(bundle.spec)
    assert not scores.is_of_hits(architectures.stage("theremin"))
    kit = percussion.open_kit(corpus.root)
    good = scores.scores(bundle, Drummer(bundle.spec, bundle.weights, kit), corpus, 1.0, clips=2)
    assert good["scripted_trigger_f1"] >= 0.9
    assert good["scripted_onset_f1"] >= 0.9
    assert good["scripted_whole_f1"] >= 0.85
    for name in ("onset_f1", "scripted_onset_f1", "strength_correlation", "repeat_db"):
        assert good[name] == pytest.approx(good[f"{name}_recordings"], rel=0.15)
    assert good["repeat_ratio"] > 0.5
    assert good["repeat_db_baseline"] == 0.0
    assert good["peak_jitter_ms"] < 3.0
    assert good["rest_dbfs"] < -80.0
    late = scores.scores(bundle, Drummer(bundle.spec, bundle.weights, kit, late=600), corpus, 1.0, clips=1)
    assert late["onset_f1"] < 0.2
    assert late["scripted_onset_f1"] < 0.2


def test_an_evaluation_scores_hits_beside_the_recordings_and_only_of_models_that_all_limbs_play(
    bundle: Bundle, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus_scores, "scores", lambda *_: {})
    monkeypatch.setattr(scores, "scripted_dancer", lambda *_, **__: scores.Dancer(np.array([0.5]), hits_at(0.5)))
    monkeypatch.setattr(scores.scripted_hits, "scores", lambda: {})
    kit = percussion.open_kit(corpus.root)
    drummer = Drummer(bundle.spec, bundle.weights, kit)
    figures = evaluate.scored(bundle, drummer, 1.0, corpus, evaluate.QUICK).figures
    assert figures["hits"]["scripted_onset_f1"] == 1.0
    shown = {name: beside for name, _, beside in report.rows(figures)}
    assert "(recordings)" in shown["hits: onset_f1"]
    assert "(baseline)" in shown["hits: onset_f1"]
    one_limb = dataclasses.replace(bundle, spec=dataclasses.replace(bundle.spec, channels=bundle.spec.channels[:1]))
    assert "hits" not in evaluate.scored(one_limb, drummer, 1.0, corpus, evaluate.QUICK).figures
