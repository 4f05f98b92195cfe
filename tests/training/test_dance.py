"""The dance corpus by its command: who is held out, what is kept, and that it can be made again."""

from __future__ import annotations

from pathlib import Path

from livemove.body.features import FEATURES
from training.data import danced
from training.data.corpus import Corpus


def test_a_pair_of_dancers_is_one_performance_and_in_one_split(dance_corpus: Corpus) -> None:
    splits = {danced.performance(Path(clip.source)): set[str]() for clip in dance_corpus.clips}
    for clip in dance_corpus.clips:
        splits[danced.performance(Path(clip.source))].add(clip.split)
    assert set(splits) == {"01", "02", "solo"}
    assert all(len(found) == 1 for found in splits.values())
    assert set.union(*splits.values()) == {"train", "valid"}
    assert dance_corpus.styles == ("breaks", "tabla")


def test_landmarks_are_kept_of_what_is_held_out_only(dance_corpus: Corpus) -> None:
    for clip in dance_corpus.clips:
        assert bool(dance_corpus.poses(clip)) == (clip.split == "valid")


def test_a_clip_made_again_is_the_same(dance_corpus: Corpus, dance_material: tuple[Path, Path], tmp_path: Path) -> None:
    motions, sounds = dance_material
    take = danced.find_takes([motions], 2, 1)[-1]
    row = danced.make_clip(take, tmp_path, sounds)
    [clip] = [clip for clip in dance_corpus.clips if clip.key == row.key]
    assert clip == row
    for suffix in (".flac", ".npz"):
        made = (tmp_path / "clips" / f"{row.key}{suffix}").read_bytes()
        assert made == (dance_corpus.root / "clips" / f"{row.key}{suffix}").read_bytes()


def test_features_are_what_the_model_is_played_by(dance_corpus: Corpus) -> None:
    assert dance_corpus.find(FEATURES) == dance_corpus.tracks["features"]
