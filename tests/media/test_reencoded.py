"""A dancer plays the same however the video is stored: through render's own chain, with the real landmarker.

`python -m tests.measure.reencoded CLIP` prints r of every variant of any clip.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from livemove.bundle import Bundle, find_bundle, load_bundle
from tests.measure import reencoded
from tests.measure.reencoded import UNTOLD, Played, compared, played, written

SECONDS = 4.0
ALL = {variant.name: variant for variant in (*reencoded.HARMLESS, *reencoded.GEOMETRY, *reencoded.TIMES)}
WORST = ("dv 64:45.avi", "mpeg2 64:45.ts", "h264 2:1.mp4", "mjpeg 270.mov", "h264 mirrored.mp4", "reordered.avi",
         "raw.h264", "crf28.mkv")  # fmt: skip


@dataclass(frozen=True)
class Clean:
    images: list[np.ndarray]
    plays: Played
    bundle: Bundle
    pose_model: Path


@pytest.fixture(scope="module")
def clean(dancer_clip: Path, pose_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Clean:
    bundle, images = load_bundle(find_bundle("theremin")), reencoded.clean_images(dancer_clip, SECONDS)
    path = written(tmp_path_factory.mktemp("clean"), reencoded.CLEAN, images)
    return Clean(images, played(path, bundle, pose_model), bundle, pose_model)


@pytest.mark.real
@pytest.mark.parametrize("name", WORST)
def test_another_way_to_store_a_clip_plays_the_same(clean: Clean, tmp_path: Path, name: str) -> None:
    path = written(tmp_path, ALL[name], clean.images)
    found = compared(ALL[name], path, clean.plays, clean.bundle, clean.pose_model)
    assert found.good, found


@pytest.mark.real
def test_the_measure_tells_a_thin_dancer(clean: Clean, tmp_path: Path) -> None:
    """Half as wide as she is, and nothing in the file says so."""
    path = written(tmp_path, UNTOLD, clean.images)
    assert compared(UNTOLD, path, clean.plays, clean.bundle, clean.pose_model).brightness < 0.95
