"""Sequences of hits to train on, made of recordings made here, and the scores of what plays them."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from conftest import random_bundle

from livemove.body.triggers import HITS, REFRACTORY_S, WEAKEST
from livemove.bundle import Bundle
from livemove.contracts import HOP, Channel, Float32, LivemoveError, ModelSpec
from livemove.synthesis import pqmf, settings
from livemove.synthesis.reference import ReferenceEngine
from training import prepare_hits
from training.data import percussion
from training.data.corpus import Corpus
from training.metrics import percussion as scores

RATE = percussion.RATE
TAKES = 4


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like the one the corpus is made of: noise bursts that ring, each a little different, after a silence."""
    root = tmp_path_factory.mktemp("voices")
    rows: list[dict[str, str]] = []
    rng = np.random.default_rng(0)

    def write(file: str, articulation: str, dynamic: str, hz: float, level: float) -> None:
        seconds = np.arange(RATE // 2) / RATE
        ring = np.sin(2 * np.pi * hz * (1 + 0.05 * rng.standard_normal()) * seconds) * np.exp(-seconds / 0.02)
        click = rng.standard_normal(len(seconds)) * np.exp(-seconds / 0.01)
        late = np.zeros(round(rng.uniform(0.0, 0.02) * RATE))
        stereo = np.stack([np.concatenate([late, level * (0.3 * ring + 0.7 * click)])] * 2, -1) * (1.0, 0.1)
        (root / file).parent.mkdir(exist_ok=True)
        sf.write(root / file, np.clip(stereo, -1, 1), RATE)
        rows.append({"file": file, "articulation": articulation, "dynamic": dynamic})

    for name, layers in percussion.FAMILIES.items():
        hz = 150.0 + 200.0 * HITS.index(name)
        for layer in layers:
            for articulation in layer.articulations:
                for dynamic, level in (("vl1", 0.1), ("vl2", 0.4)):
                    for i in range(TAKES):
                        write(f"body_percussion/{articulation}_{dynamic}_rr{i}.flac", articulation, dynamic, hz, level)
            for file in layer.files:
                write(f"sonic_pi_percussion/{file}.flac", "drum", "", hz, 0.5)
    with (root / "manifest.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, ["file", "articulation", "dynamic"])
        table.writeheader()
        table.writerows(rows)
    return root


@pytest.fixture(scope="module")
def corpus(voices: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    root = tmp_path_factory.mktemp("corpus") / "drums"
    assert len(list(percussion.prepare(voices, root, clips=20, seconds=8.0))) == 20
    return Corpus(root)


def test_a_sound_begins_in_the_hop_in_which_its_channel_rises_and_not_before(corpus: Corpus) -> None:
    seen = 0
    for clip in corpus.clips:
        window = corpus.read(clip, HITS)
        hops = np.abs(window.audio.reshape(-1, HOP)).max(axis=1)
        rises = np.flatnonzero((scores.strengths_of(window.channels) > 0).any(axis=1))
        for hop, following in zip(rises, [*rises[1:], len(hops)], strict=True):
            if hop and hops[hop - 1] == 0.0 and following > hop + 2:
                seen += 1
                assert hops[hop] > 0.2 * hops[hop : hop + 3].max()
        silent = np.flatnonzero(hops > 0)
        assert silent[0] == rises[0]
    assert seen > 50


def test_channels_are_hits_of_every_limb_with_their_envelopes_and_rests_of_silence(corpus: Corpus) -> None:
    windows = [corpus.read(clip, HITS) for clip in corpus.clips]
    strengths = [scores.strengths_of(window.channels) for window in windows]
    for window, hits in zip(windows, strengths, strict=True):
        np.testing.assert_array_equal(percussion.envelopes(hits), window.channels)
        assert hits[hits > 0].min() >= WEAKEST
        for column in hits.T:
            assert (np.diff(np.flatnonzero(column)) * percussion.HOP_S >= REFRACTORY_S - 1e-9).all()
        resting = scores.resting(hits)
        assert not window.audio.reshape(-1, HOP)[resting].any()
        assert np.abs(window.audio).max() < 1.0
    together = np.concatenate(strengths)
    assert ((together > 0).sum(axis=0) > 20).all()
    assert ((together > 0).sum(axis=1) > 1).sum() > 10
    assert sum(scores.resting(hits).sum() for hits in strengths) > 100


def test_the_same_seed_gives_the_same_corpus_and_another_seed_another(voices: Path, tmp_path: Path) -> None:
    def made(folder: str, seed: int) -> list[bytes]:
        list(percussion.prepare(voices, tmp_path / folder, 10, 2.0, seed))
        files = sorted((tmp_path / folder / "clips").rglob("*.*"))
        assert len(files) == 20
        return [file.read_bytes() for file in files]

    first = made("a", 0)
    assert made("b", 0) == first
    assert made("c", 1) != first


def test_clips_held_out_are_played_on_recordings_that_are_not_trained_on(voices: Path) -> None:
    kit = percussion.load_kit(voices)
    for name, layers in kit.items():
        for pair in layers[:1]:
            for sound in pair:
                train = {take.tobytes() for take in sound.train}
                assert len(train) >= TAKES - 1, name
                assert not train & {take.tobytes() for take in sound.valid}


def test_a_corpus_keeps_its_kit(voices: Path, corpus: Corpus) -> None:
    kept, made = percussion.open_kit(corpus.root), percussion.load_kit(voices)
    for name in HITS:
        for mine, other in zip(kept[name], made[name], strict=True):
            for a, b in zip(mine, other, strict=True):
                assert a.level == b.level
                for x, y in zip((*a.train, *a.valid), (*b.train, *b.valid), strict=True):
                    np.testing.assert_array_equal(x, y)


def test_missing_recordings_are_named(tmp_path: Path) -> None:
    with pytest.raises(LivemoveError, match="not a list of hits"):
        percussion.load_kit(tmp_path)
    (tmp_path / "manifest.csv").write_text("file,articulation,dynamic\n")
    with pytest.raises(LivemoveError, match="no recordings of chestside_l"):
        percussion.load_kit(tmp_path)
    with pytest.raises(LivemoveError, match="prepare_hits"):
        percussion.open_kit(tmp_path)


def test_the_command_makes_a_corpus_and_says_how_much(
    voices: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "drums"
    with pytest.raises(SystemExit) as end:
        prepare_hits.main([str(voices), "-o", str(root), "--clips", "10", "--seconds", "1"])
    assert end.value.code == 0
    assert "10 clips (10 s)" in capsys.readouterr().out
    assert sum(clip.split == "valid" for clip in Corpus(root).clips) == 1


# --- scores -------------------------------------------------------------------------------------------------


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
        rng = np.random.default_rng(int(1e6 * noise[0, 0]))
        played = percussion.mixed(self.kit, scores.strengths_of(channels), rng, held_out=False)
        out[:] = np.concatenate([np.zeros(self.late, np.float32), played])[: len(out)]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    made = random_bundle(tmp_path_factory.mktemp("drums") / "drums", settings.stage("drums"))
    small = dataclasses.replace(settings.stage("drums"), residual=16, skip=16, hidden=16, conditioning=4, mixtures=1)
    channels = tuple(Channel(name, percussion.UNIT, 0.0, 1.0, 0.0) for name in HITS)
    spec = dataclasses.replace(small, channels=channels, phase=None)
    mapping = Path(__file__).parents[1] / "training" / "cards" / "bodydrum.toml"
    (made.path / "mapping.toml").write_bytes(mapping.read_bytes())
    return dataclasses.replace(made, spec=spec, weights=settings.random_weights(spec, 0))


def test_an_engine_that_plays_the_recordings_scores_as_they_do_and_a_late_one_does_not(
    bundle: Bundle, corpus: Corpus
) -> None:
    assert scores.is_of_hits(bundle.spec)
    assert not scores.is_of_hits(settings.stage("theremin"))
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
