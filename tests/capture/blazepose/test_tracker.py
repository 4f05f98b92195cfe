"""Tracking: the detector only where a body is missing, the largest first, then the nearest to where it was."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from livemove.capture.blazepose.landmarks import Reading
from livemove.capture.blazepose.regions import MARGIN, Region
from livemove.capture.blazepose.tracker import FORGOTTEN_S, HOLD_S, LOOK_S, Tracker

IMAGE = np.zeros((100, 100, 3), np.uint8)


class Scene:
    """Networks that see bodies where the test has put them: (x, y) -> reach from hips to rim, in pixels; of two in the
    same place the one that was named first."""

    def __init__(self, **bodies: tuple[float, float, float]) -> None:
        self.bodies = bodies
        self.detections = 0
        crop = SimpleNamespace(take=lambda image, region: None, pixels=np.zeros((100, 100, 3), np.uint8))
        self.detector: Any = SimpleNamespace(crop=crop)
        self.landmarkers = [Look(self), Look(self)]

    def detect(self) -> np.ndarray:
        self.detections += 1
        found = [[(0, 0), (1, 1), (x / 100, y / 100), (x / 100, (y - r) / 100)] for x, y, r in self.bodies.values()]
        return np.array(found, np.float32).reshape(-1, 4, 2)


class Look:
    """A landmark network that looks at a scene."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.shown = Region.whole(100, 100)
        self.crop = self
        self.pixels = np.zeros((256, 256, 3), np.uint8)

    def take(self, image: np.ndarray, region: Region) -> None:
        self.shown = region

    def _here(self) -> tuple[float, float, float] | None:
        """The body in the middle of what is shown."""
        bodies, middle = self.scene.bodies.values(), (self.shown.x, self.shown.y)
        return next((each for each in bodies if math.dist(each[:2], middle) < each[2] / 2), None)

    def presence(self) -> float:
        return 1.0 if self._here() else 0.1

    def reading(self) -> Reading:
        here = self._here()
        assert here is not None
        x, y, reach = here
        points = np.zeros((35, 3), np.float32)
        across = (np.array([[x, y]] * 34 + [[x, y - reach]]) - (self.shown.x, self.shown.y)) / self.shown.edge + 0.5
        points[:, :2] = across
        return Reading(points, np.zeros((33, 3), np.float32), np.ones(33, np.float32))


def hips(tracker: Tracker, time_s: float) -> list[tuple[int, int]]:
    return [(round(body.image[0, 0]), round(body.image[0, 1])) for body in tracker.look(IMAGE, time_s)]


def test_a_body_is_looked_for_once_and_followed_from_then_on() -> None:
    scene = Scene(one=(50, 60, 20))
    tracker: Any = Tracker(scene)  # pyright: ignore[reportArgumentType]
    for n in range(5):
        scene.bodies["one"] = (50 + n, 60, 20)
        assert len(tracker.look(IMAGE, n / 25)) == 1
    assert scene.detections == 1
    (body,) = tracker.bodies
    assert body.region is not None
    assert body.region.x == np.float32(54)
    assert body.region.edge == np.float32(2 * MARGIN * 20)


def test_nobody_is_looked_for_in_every_frame() -> None:
    scene = Scene()
    tracker: Any = Tracker(scene)  # pyright: ignore[reportArgumentType]
    assert [tracker.look(IMAGE, n / 25) for n in range(3)] == [[], [], []]
    assert scene.detections == 3


def test_of_several_the_largest_plays_and_later_the_nearest_to_where_it_was() -> None:
    scene = Scene(small=(20, 50, 10), large=(70, 50, 25), surest=(50, 10, 8))
    tracker: Any = Tracker(scene)  # pyright: ignore[reportArgumentType]
    assert hips(tracker, 0.0) == [(70, 50)]
    del scene.bodies["large"]
    assert hips(tracker, 0.1) == []
    scene.bodies = {"larger": (20, 50, 30), "back": (75, 52, 12)}
    assert hips(tracker, 0.2) == [(75, 52)]


def test_bodies_keep_their_places() -> None:
    scene = Scene(left=(20, 50, 15), right=(80, 50, 20))
    tracker: Any = Tracker(scene, people=2)  # pyright: ignore[reportArgumentType]
    assert hips(tracker, 0.0) == [(80, 50), (20, 50)]
    del scene.bodies["right"]
    assert hips(tracker, 0.1) == [(20, 50)]
    assert hips(tracker, 0.2) == [(20, 50)]  # the one who is left is not taken for the one who is missing
    scene.bodies["right"] = (78, 50, 20)
    assert hips(tracker, 0.35) == [(78, 50), (20, 50)]
    before = scene.detections
    assert hips(tracker, 0.4) == [(78, 50), (20, 50)]
    assert scene.detections == before


def test_while_somebody_is_followed_others_are_looked_for_now_and_then() -> None:
    scene = Scene(only=(50, 60, 20))
    tracker: Any = Tracker(scene, people=2)  # pyright: ignore[reportArgumentType]
    for n in range(26):
        assert hips(tracker, n / 25) == [(50, 60)]
    assert scene.detections == pytest.approx(1.0 / LOOK_S, abs=1.5)


def test_two_who_turn_out_to_be_one_are_one() -> None:
    """Where one dancer covers the other, both networks answer with the one in front; the one whose region jumped is
    gone, and is found again where it comes out."""
    scene = Scene(front=(40, 50, 20), behind=(70, 50, 20))
    tracker: Any = Tracker(scene, people=2)  # pyright: ignore[reportArgumentType]
    assert sorted(hips(tracker, 0.0)) == [(40, 50), (70, 50)]
    scene.bodies = {"front": (45, 50, 20), "behind": (64, 50, 20)}
    assert sorted(hips(tracker, 0.04)) == [(45, 50), (64, 50)]
    scene.bodies = {"front": (55, 50, 20), "behind": (58, 50, 20)}
    assert hips(tracker, 0.08) == [(55, 50)]
    scene.bodies = {"front": (62, 50, 20), "behind": (45, 50, 20)}
    assert sorted(hips(tracker, 0.3)) == [(45, 50), (62, 50)]


@pytest.mark.parametrize(("dancer", "x"), [("largest", 60), ("left", 20), ("right", 85)])
def test_who_plays_of_several_may_be_said(dancer: str, x: int) -> None:
    scene = Scene(a=(60, 50, 20), b=(20, 50, 12), c=(85, 50, 10))
    tracker: Any = Tracker(scene, dancer=dancer)  # pyright: ignore[reportArgumentType]
    assert hips(tracker, 0.0) == [(x, 50)]
    scene.bodies = dict(reversed(scene.bodies.items()))
    assert hips(tracker, 0.04) == [(x, 50)], "and is followed, whatever comes in which order"


def test_nobody_takes_the_place_of_one_who_is_lost_for_a_moment() -> None:
    """Far away there is somebody else: taken after HOLD_S, and not before; who stays away for long is forgotten."""
    scene = Scene(player=(20, 50, 8))
    tracker: Any = Tracker(scene)  # pyright: ignore[reportArgumentType]
    assert hips(tracker, 0.0) == [(20, 50)]
    scene.bodies = {"other": (85, 50, 20)}
    assert hips(tracker, 0.1) == hips(tracker, HOLD_S) == []
    assert hips(tracker, HOLD_S + 0.1) == [(85, 50)]
    scene.bodies = {}
    assert hips(tracker, 2.0) == []
    scene.bodies = {"near": (80, 50, 8), "large": (20, 50, 20)}
    assert hips(tracker, 2.0 + FORGOTTEN_S) == [(20, 50)]


def test_one_who_passes_in_front_is_not_followed() -> None:
    """The networks, shown a region, answer with the body that covers it; from one frame to the next nobody is twice as
    large."""
    scene = Scene(player=(50, 50, 10))
    tracker: Any = Tracker(scene)  # pyright: ignore[reportArgumentType]
    assert hips(tracker, 0.0) == [(50, 50)]
    scene.bodies = {"passing": (52, 50, 22), "player": (50, 50, 10)}
    assert hips(tracker, 0.04) == []
    scene.bodies = {"passing": (80, 50, 22), "player": (51, 50, 10)}
    assert hips(tracker, 0.08) == [(51, 50)]


def test_one_who_is_covered_is_looked_for_where_it_was_going() -> None:
    """And is found again as it comes out on the other side, though the detector sees nobody."""
    scene = Scene(front=(50, 50, 20), behind=(10, 50, 20))
    tracker: Any = Tracker(scene, people=2)  # pyright: ignore[reportArgumentType]
    found: list[list[tuple[int, int]]] = []
    for n in range(28):
        scene.bodies["behind"] = (10 + 3 * n, 50, 20)
        found.append(hips(tracker, n / 25))
        scene.detect = lambda: np.zeros((0, 4, 2), np.float32)
    covered = [each for each in found if len(each) == 1]
    assert covered == [[(50, 50)]] * len(covered)
    assert 3 <= len(covered) <= 8
    assert found[-1] == [(50, 50), (91, 50)]


def test_one_who_is_covered_for_long_is_not_looked_for_there() -> None:
    scene = Scene(front=(50, 50, 20), behind=(62, 50, 20))
    tracker: Any = Tracker(scene, people=2)  # pyright: ignore[reportArgumentType]
    hips(tracker, 0.0)
    del scene.bodies["behind"]
    for n in range(1, 12):
        assert hips(tracker, n / 25) == [(50, 50)]
    assert tracker.bodies[1].region is not None
    for n in range(12, 30):
        hips(tracker, n / 25)
    assert tracker.bodies[1].region is None


def test_who_was_there_from_the_start_is_looked_for_in_the_first_frames() -> None:
    """In the whole of an image that is no square and in its halves, for a small body is found in less of an image."""
    scene, image = Scene(large=(50, 100, 40)), np.zeros((200, 100, 3), np.uint8)
    shown: list[Region] = []
    scene.detector.crop.take = lambda image, region: shown.append(region)
    scene.detect = lambda: np.array([[(0, 0), (1, 1), (0.5, 0.5), (0.5, 0.3)]], np.float32)
    tracker: Any = Tracker(scene, people=2)  # pyright: ignore[reportArgumentType]
    for n in range(6):
        assert len(tracker.look(image, n / 60)) == 1
    assert [(region.y, region.edge) for region in shown] == [(100, 200), (50, 100), (150, 100)]
