"""The pose model without its segmentation mask: the same landmarks, and nothing done to a file that is built
otherwise."""

from __future__ import annotations

import io
import zipfile
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from livemove.capture.landmarker import Landmarker
from livemove.capture.segmentation_mask import NETWORK, without_segmentation_mask
from livemove.media import video_file


@pytest.mark.real
def test_the_landmarks_are_the_same_bit_by_bit(pose_model: Path, dancer_clip: Path) -> None:
    with (
        Landmarker(path=pose_model, runtime="mediapipe") as trimmed,
        Landmarker(path=pose_model, runtime="mediapipe", segmentation_mask=True) as whole,
    ):
        for time_s, image in islice(video_file.frames(dancer_clip), 60):
            expected = whole.find(image, time_s)
            found = trimmed.find(image, time_s)
            assert found.people == expected.people
            np.testing.assert_array_equal(found.image, expected.image)
            np.testing.assert_array_equal(found.world, expected.world)
            np.testing.assert_array_equal(found.visibility, expected.visibility)
    assert expected.people == 1


@pytest.mark.real
def test_the_archive_stays_whole(pose_model: Path) -> None:
    """Checksums fit, the other networks are untouched, and what is trimmed is trimmed once."""
    bundle = pose_model.read_bytes()
    trimmed = without_segmentation_mask(bundle)
    assert len(trimmed) == len(bundle)
    before, after = zipfile.ZipFile(io.BytesIO(bundle)), zipfile.ZipFile(io.BytesIO(trimmed))
    assert after.testzip() is None
    assert [each.filename for each in before.filelist if before.read(each) != after.read(each.filename)] == [NETWORK]
    assert without_segmentation_mask(trimmed) == trimmed


def _archive(compression: int, **members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


@pytest.mark.parametrize(
    "bundle",
    [
        b"",
        b"no archive",
        _archive(zipfile.ZIP_STORED, other=b"x"),
        _archive(zipfile.ZIP_STORED, **{NETWORK: b"no network"}),
        _archive(zipfile.ZIP_STORED, **{NETWORK: bytes(4096)}),
        _archive(zipfile.ZIP_STORED, **{NETWORK: b"\xff" * 4096}),
        _archive(zipfile.ZIP_DEFLATED, **{NETWORK: bytes(4096)}),
    ],
    ids=["empty", "no archive", "no network in it", "text", "zeros", "ones", "compressed"],
)
def test_what_is_built_otherwise_comes_back_as_it_is(bundle: bytes) -> None:
    assert without_segmentation_mask(bundle) == bundle


@pytest.mark.real
@pytest.mark.parametrize("cut", [0.1, 0.5, 0.9])
def test_a_damaged_network_does_no_harm(pose_model: Path, cut: float) -> None:
    """Half a network in a whole archive: as it is, or trimmed; never an exception."""
    bundle = pose_model.read_bytes()
    network = zipfile.ZipFile(io.BytesIO(bundle)).read(NETWORK)
    damaged = _archive(zipfile.ZIP_STORED, **{NETWORK: network[: int(cut * len(network))]})
    assert len(without_segmentation_mask(damaged)) == len(damaged)
