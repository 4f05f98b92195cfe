"""Sequences of hits to train on, made of recordings made here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from livemove.body.triggers import HITS, REFRACTORY_S, VARIATION, WEAKEST
from livemove.contracts import HOP, LivemoveError
from tests.support.hit_recordings import TAKES, write_voices
from training.corpora import hits as command
from training.data import percussion
from training.data.corpus import Corpus
from training.metrics import percussion as scores


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_voices(tmp_path_factory.mktemp("voices"))


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


def test_the_variation_says_which_recording_a_hit_is(voices: Path, corpus: Corpus) -> None:
    kit = percussion.load_kit(voices)
    for clip in corpus.clips[:4]:
        window = corpus.read(clip, (*HITS, VARIATION))
        hits, variations = scores.strengths_of(window.channels[:, :-1]), window.channels[:, -1]
        struck = (hits > 0).any(axis=1)
        assert (np.diff(variations)[~struck[1:]] == 0).all()
        assert len(np.unique(variations[struck])) == struck.sum()
        played = percussion.mixed(kit, hits, variations, clip.split == "valid")
        level = np.abs(window.audio).max() / np.abs(played).max()
        np.testing.assert_allclose(window.audio, level * played, atol=2e-4)
    soft = kit["left_hand"][0][0]
    taken = {soft.take(v, held_out=False).tobytes() for v in np.linspace(0.0, 1.0, 50)}
    assert taken == {take.tobytes() for take in soft.train}
    alone = kit["left_foot"][1][0]
    assert len({alone.take(v, held_out=False).tobytes() for v in (0.0, 0.3, 0.9)}) == 3


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
    with pytest.raises(LivemoveError, match=r"training/corpora/hits\.py"):
        percussion.open_kit(tmp_path)


def test_the_command_makes_a_corpus_and_says_how_much(
    voices: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "drums"
    with pytest.raises(SystemExit) as end:
        command.main([str(voices), "-o", str(root), "--clips", "10", "--seconds", "1"])
    assert end.value.code == 0
    assert "10 clips (10 s)" in capsys.readouterr().out
    assert sum(clip.split == "valid" for clip in Corpus(root).clips) == 1
