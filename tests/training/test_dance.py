"""The dance corpus by its command, and whether its scores tell who hears the dancer from who does not."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import soundfile as sf
from click.testing import CliRunner

from livemove.body.features import FEATURES
from livemove.bundle import Bundle
from livemove.synthesis import settings
from livemove.synthesis.native import NativeEngine
from tests.support.bundles import small_spec
from tests.support.motions import swinging, write_motion
from training import dance
from training.data import dance_kit, danced
from training.data.corpus import Corpus
from training.metrics import beats, dance_scores, report

RATE = 48000


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(folder of motions of three performances, folder of sounds)."""
    root = tmp_path_factory.mktemp("material")
    motions, sounds = root / "motions", root / "sounds"
    motions.mkdir()
    sounds.mkdir()
    for i, name in enumerate(("7_01", "8_01", "7_02", "solo")):
        step, wave = swinging(9.0, 1.3 + 0.31 * i, 70), swinging(9.0, 0.7 + 0.17 * i, 120)
        write_motion(motions / f"{name}.bvh", 9.0, LeftUpLeg=step, RightArm=wave)
    for i, name in enumerate(dance_kit.files()):
        tone = np.sin(2 * np.pi * (150 + 60 * i) * np.arange(9600) / RATE) * np.exp(-np.arange(9600) / 1500)
        sf.write(sounds / f"{name}.wav", 0.9 * tone, RATE)
    return motions, sounds


@pytest.fixture(scope="module")
def corpus(material: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    motions, sounds = material
    root = tmp_path_factory.mktemp("corpus") / "dance"
    arguments = [str(motions), "--sounds", str(sounds), "-o", str(root), "--minutes", "2", "--workers", "2"]
    done = CliRunner().invoke(dance.main, arguments)
    assert done.exit_code == 0, done.output
    assert "3 performances" not in done.output  # one is held out
    return Corpus(root)


def test_a_pair_of_dancers_is_one_performance_and_in_one_split(corpus: Corpus) -> None:
    splits = {danced.performance(Path(clip.source)): set[str]() for clip in corpus.clips}
    for clip in corpus.clips:
        splits[danced.performance(Path(clip.source))].add(clip.split)
    assert set(splits) == {"01", "02", "solo"}
    assert all(len(found) == 1 for found in splits.values())
    assert set.union(*splits.values()) == {"train", "valid"}
    assert corpus.styles == ("breaks", "tabla")


def test_landmarks_are_kept_of_what_is_held_out_only(corpus: Corpus) -> None:
    for clip in corpus.clips:
        assert bool(corpus.poses(clip)) == (clip.split == "valid")


def test_a_clip_made_again_is_the_same(corpus: Corpus, material: tuple[Path, Path], tmp_path: Path) -> None:
    motions, sounds = material
    take = danced.find_takes([motions], 2, 1)[-1]
    row = danced.make_clip(take, tmp_path, sounds)
    [clip] = [clip for clip in corpus.clips if clip.key == row.key]
    assert clip == row
    for suffix in (".flac", ".npz"):
        made = (tmp_path / "clips" / f"{row.key}{suffix}").read_bytes()
        assert made == (corpus.root / "clips" / f"{row.key}{suffix}").read_bytes()


def test_the_corpus_s_own_sound_meets_its_dancers_and_can_be_foretold(corpus: Corpus) -> None:
    found = dance_scores.of_corpus(corpus)
    met = found["beats"]
    assert isinstance(met, dict)
    assert met["beat_f1"] > 0.7
    assert met["beat_f1_interval"][0] <= met["beat_f1"] <= met["beat_f1_interval"][1]
    assert met["accents_per_s"] > 0.3


def test_steady_clicks_and_silence_gain_nothing_over_chance(corpus: Corpus) -> None:
    """Sound that does not know who dances: the one-second bins praise it, the gain must not."""
    dances = dance_scores.read_dances(corpus, "train")
    click = np.zeros(RATE // 4, np.float32)
    click[100:1500] = 0.8 * np.sin(np.arange(1400) * 0.2) * np.exp(-np.arange(1400) / 300)
    steady = [np.resize(click, len(d.audio)).astype(np.float32) for d in dances]
    found = dance_scores.of_sounds(dances, steady, RATE)
    assert found["second_hit"] == 1.0
    assert abs(float(str(found["beat_f1_gained"]))) < 0.05
    silent = dance_scores.of_sounds(dances, [np.zeros_like(d.audio) for d in dances], RATE)
    assert silent["beat_f1_gained"] == pytest.approx(0.0, abs=0.05)
    assert silent["onsets_per_s"] == 0.0


def test_styles_are_told_apart_where_they_differ_only(corpus: Corpus) -> None:
    rng = np.random.default_rng(0)
    noise = [rng.standard_normal(RATE).astype(np.float32) * 0.1 for _ in range(24)]
    dull = [np.convolve(sound, np.ones(16) / 16, "same").astype(np.float32) for sound in noise[:12]]
    assert dance_scores.told_apart({"a": dull, "b": noise[12:]}, RATE)["accuracy"] == 1.0
    same = dance_scores.told_apart({"a": noise[:12], "b": noise[12:]}, RATE)
    assert same["accuracy"] < 0.8
    swapped = dance_scores.told_apart({"a": dull, "b": noise[12:]}, RATE, {"a": noise[12:], "b": dull})
    assert swapped["of_originals"] == 0.0


def test_strong_onsets_are_where_something_is_struck() -> None:
    audio = np.zeros(3 * RATE, np.float32)
    at_s = np.array([0.5, 0.9, 1.7, 2.5])
    for time_s in at_s:
        begin = round(time_s * RATE)
        audio[begin : begin + 4800] += 0.4 * np.sin(np.arange(4800) * 0.1) * np.exp(-np.arange(4800) / 1000)
    audio += 0.002 * np.random.default_rng(0).standard_normal(len(audio)).astype(np.float32)
    found = beats.strong_onsets(audio, RATE)
    np.testing.assert_allclose(found, at_s, atol=0.012)
    assert beats.f_measure(found, at_s) == 1.0


def test_f_measure_matches_one_to_one() -> None:
    one, two = np.array([1.0]), np.array([0.98, 1.02])
    assert beats.f_measure(two, one) == pytest.approx(2 / 3)
    assert beats.f_measure(one, one + 0.08) == 0.0
    assert beats.f_measure(np.zeros(0), np.zeros(0)) == 1.0


def test_one_second_bins_count_seconds() -> None:
    assert beats.in_seconds(np.array([0.1, 0.9, 2.5]), np.array([0.5, 1.5])) == {"coverage": 1.0, "hit": 0.5}


def test_a_network_that_learned_nothing_is_said_not_to_hear_the_dancer(corpus: Corpus) -> None:
    spec = dataclasses.replace(small_spec("deaf"), channels=corpus.tracks["features"], styles=corpus.styles, phase=None)
    weights = settings.random_weights(spec)
    bundle = cast(Bundle, SimpleNamespace(spec=spec, weights=weights))
    found = dance_scores.scores(bundle, NativeEngine(spec, weights), corpus, 1.0)
    assert found["ignores_dancer"] is True
    likelihood = found["likelihood"]
    assert isinstance(likelihood, dict)
    low, high = likelihood["bits_gained_over_shuffled_interval"]
    assert low <= likelihood["bits_gained_over_shuffled"] <= high
    rows = {name: (value, beside) for name, value, beside in report.rows({"dance": found, "ceiling": {}})}
    assert "[" in rows["dance beats: beat_f1"][0]
    assert "ceiling" in rows["dance beats: beat_f1"][1]
    assert report.warnings({"dance": found})


def test_features_are_what_the_model_is_played_by(corpus: Corpus) -> None:
    assert corpus.find(FEATURES) == corpus.tracks["features"]
