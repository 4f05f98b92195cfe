"""Motion capture becomes landmarks: bones keep their places, cameras their geometry, and held limbs stand still."""

from __future__ import annotations

import dataclasses
import lzma
from pathlib import Path

import numpy as np
import pytest

from livemove.body.features import FEATURES
from tests.support.motions import swinging, write_motion
from training.data import mocap
from training.data.bvh import MotionError, positions, read_bvh
from training.data.clip import features_at_hops
from training.data.corpus import unpacked

LEFT = {"shoulder": 11, "elbow": 13, "wrist": 15, "hip": 23, "ankle": 27}


def camera(**changed: float) -> mocap.Camera:
    """A perfect one, straight before the dancer."""
    perfect = mocap.Camera(0.0, 1.0, 4.0, 0.9, 16 / 9, 25.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    return dataclasses.replace(perfect, **changed)


def features_of(body: mocap.Dancer, seen_by: mocap.Camera) -> np.ndarray:
    observation = mocap.observed(np.random.default_rng(0), body, seen_by)
    columns = (observation.frame_s, observation.people, observation.image, observation.world, observation.visibility)
    poses = [unpacked(i, *row) for i, row in enumerate(zip(*columns, strict=True))]
    return features_at_hops(poses, int(observation.frame_s[-1] * 187.5), 48000)


def test_an_elbow_bent_by_ninety_degrees_brings_the_hand_forward(tmp_path: Path) -> None:
    bent = np.tile([0.0, -90.0, 0.0], (60, 1))  # about X, so that a forearm hanging down points along +z
    motion = read_bvh(write_motion(tmp_path / "a.bvh", 1.0, LeftForeArm=bent))
    names = [joint.name for joint in motion.joints]
    place, _ = positions(motion)
    np.testing.assert_allclose(place[0, names.index("LeftForeArm")], [20, 110, 0], atol=1e-3)
    np.testing.assert_allclose(place[0, names.index("LeftHand")], [20, 110, 28], atol=1e-3)
    np.testing.assert_allclose(place[0, names.index("RightHand")], [-20, 82, 0], atol=1e-3)


def test_a_packed_file_reads_the_same(tmp_path: Path) -> None:
    plain = write_motion(tmp_path / "a.bvh", 1.0, LeftArm=swinging(1.0, 1, 50))
    packed = tmp_path / "a.bvh.xz"
    packed.write_bytes(lzma.compress(plain.read_bytes()))
    np.testing.assert_array_equal(read_bvh(plain).values, read_bvh(packed).values)


@pytest.mark.parametrize("damage", ["MOTION\nFrames: 9\nFrame Time: 0.1\n1 2 3", "no motion at all", ""])
def test_a_damaged_file_is_one_error_that_names_it(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "broken.bvh"
    path.write_text(damage)
    with pytest.raises(MotionError, match=r"broken\.bvh"):
        read_bvh(path)


def test_the_body_stands_upright_in_metres_whatever_its_file_s_unit(tmp_path: Path) -> None:
    marks = mocap.dancer(read_bvh(write_motion(tmp_path / "a.bvh", 1.0))).marks[10]
    leg = np.linalg.norm(marks[LEFT["hip"]] - marks[LEFT["ankle"]])
    assert leg == pytest.approx(mocap.LEG_M, abs=1e-6)
    assert marks[0, 1] > marks[LEFT["shoulder"], 1] > marks[LEFT["hip"], 1] > marks[LEFT["ankle"], 1] > 0
    assert marks[0, 2] > marks[7, 2]  # the nose is before the ears, who face +z
    assert marks[7, 0] > marks[8, 0]


def test_who_faces_the_camera_is_seen_facing_it_and_in_profile_from_the_side(tmp_path: Path) -> None:
    body = mocap.dancer(read_bvh(write_motion(tmp_path / "a.bvh", 2.0)))
    facing, turn = FEATURES.index("facing"), FEATURES.index("turn")
    before = features_of(body, camera())[-1]
    assert before[facing] == pytest.approx(1.0, abs=0.01)
    beside = features_of(body, camera(yaw=np.pi / 2))[-1]
    assert abs(beside[facing]) < 0.05
    assert abs(beside[turn]) > 0.95
    behind = features_of(body, camera(yaw=np.pi))[-1]
    assert behind[facing] == pytest.approx(-1.0, abs=0.01)


def test_image_and_world_agree_with_a_pinhole(tmp_path: Path) -> None:
    body = mocap.dancer(read_bvh(write_motion(tmp_path / "a.bvh", 1.0)))
    near, far = (
        mocap.observed(np.random.default_rng(0), body, camera(distance_m=d, height_m=0.95)) for d in (3.0, 6.0)
    )
    heights = [np.ptp(observation.image[0, (11, 27), 1]) for observation in (near, far)]
    assert heights[0] / heights[1] == pytest.approx(2.0, abs=0.03)
    np.testing.assert_allclose(near.world, far.world, atol=1e-5)
    assert (near.visibility > 0.9).all()
    assert near.people.all()


def test_a_dancer_beyond_the_frame_s_edge_is_not_seen(tmp_path: Path) -> None:
    body = mocap.dancer(read_bvh(write_motion(tmp_path / "a.bvh", 1.0)))
    close = mocap.observed(np.random.default_rng(0), body, camera(distance_m=0.8))
    assert (close.visibility[:, 27:] < 0.5).all()


def test_held_limbs_stand_still_and_the_others_dance(tmp_path: Path) -> None:
    swing = swinging(2.0, 1, 60)
    motion = read_bvh(write_motion(tmp_path / "a.bvh", 2.0, LeftArm=swing, RightUpLeg=swing))
    for mode, moving, still in (("arms", 15, 28), ("legs", 28, 15)):
        marks = mocap.dancer(motion, mode).marks
        assert np.ptp(marks[:, moving], axis=0).max() > 0.2
        assert np.ptp(marks[:, still], axis=0).max() < 1e-6


def test_tempo_and_pauses_keep_the_way_and_change_the_time(tmp_path: Path) -> None:
    body = mocap.dancer(read_bvh(write_motion(tmp_path / "a.bvh", 4.0, LeftArm=swinging(4.0, 1, 60))))
    lengths = []
    for seed in range(20):
        timed = mocap.timed(np.random.default_rng(seed), body)
        lengths.append(len(timed.marks) / timed.rate)
        assert timed.marks[:, 15].min(0) == pytest.approx(body.marks[:, 15].min(0), abs=0.02)
        jumps = np.abs(np.diff(timed.marks[:, 15], axis=0)).max() * timed.rate
        assert jumps < 1.3 * mocap.TEMPO[1] * np.abs(np.diff(body.marks[:, 15], axis=0)).max() * body.rate
    assert min(lengths) > 4.0 / mocap.TEMPO[1] - 0.1
    assert max(lengths) > 5.0  # some have a pause


def test_the_same_seed_is_observed_the_same(tmp_path: Path) -> None:
    body = mocap.dancer(read_bvh(write_motion(tmp_path / "a.bvh", 2.0, LeftArm=swinging(2.0, 1, 60))))
    observations = []
    for _ in range(2):
        rng = np.random.default_rng(7)
        observations.append(mocap.observed(rng, body, mocap.drawn_camera(rng)))
    np.testing.assert_array_equal(observations[0].world, observations[1].world)
    assert (np.diff(observations[0].frame_s) > 0).all()
