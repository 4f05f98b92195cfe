"""Containers changed at random, by a seed: a right result or one line, whatever their headers say.

`python -m tests.measure.mutate` does the same for a quarter of an hour, and watches memory and time.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from livemove.offline import render as rendering
from tests.measure.mutate import NobodyThere, good_files, tried
from tests.support.bundles import random_bundle, small_spec
from tests.support.mutations import mutated
from training.data import clip

SEEDS = 45
"""Three of every kind of container."""


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return good_files(tmp_path_factory.mktemp("good"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_bundle(tmp_path_factory.mktemp("model") / "small", small_spec()).path


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (rendering, clip):
        monkeypatch.setattr(module, "Landmarker", NobodyThere)


@pytest.mark.real
@pytest.mark.usefixtures("nobody")
def test_the_files_are_good_before_they_are_mutated(good: list[Path], model: Path, pose_model: Path) -> None:
    for path in good:
        silent = path.suffix in (".webm", ".h264", ".flv")
        assert tried("prepare", path, model, pose_model) == ("a line" if silent else "right"), path
        if path.suffix not in (".wav", ".flac", ".ogg", ".mp3", ".m4a"):
            assert tried("render", path, model, pose_model) == "right", path


@pytest.mark.real
@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_mutated_file_is_right_or_one_line(
    good: list[Path], model: Path, pose_model: Path, tmp_path: Path, seed: int
) -> None:
    source = good[seed % len(good)]
    path = tmp_path / f"case{source.suffix}"
    path.write_bytes(mutated(source.read_bytes(), seed))
    for command in ("render", "prepare"):
        assert tried(command, path, model, pose_model) in ("right", "a line")
