"""Fixtures of several tests: a small corpus of training/corpora/dance.py, made of motions and sounds of code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from click.testing import CliRunner

from tests.support.motions import swinging, write_motion
from training.corpora import dance
from training.data import dance_kit
from training.data.corpus import Corpus

RATE = 48000


@pytest.fixture(autouse=True)
def numbers_as_in_a_fresh_process() -> Iterator[None]:
    """A training flushes denormals to zero for its whole process, which is that of the next test, too."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture(scope="session")
def dance_material(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
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


@pytest.fixture(scope="session")
def dance_corpus(dance_material: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    motions, sounds = dance_material
    root = tmp_path_factory.mktemp("corpus") / "dance"
    arguments = [str(motions), "--sounds", str(sounds), "-o", str(root), "--minutes", "2", "--workers", "2"]
    done = CliRunner().invoke(dance.main, arguments)
    assert done.exit_code == 0, done.output
    assert "3 performances" not in done.output  # one is held out
    return Corpus(root)
