"""What is wrong with a camera: each fault gets its name, none gets one it does not have, and all of them end."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from livemove.capture import camera_faults
from livemove.capture.camera_faults import WORDS, CameraFaults
from livemove.capture.capture_config import CaptureConfig
from livemove.capture.capture_process import follow
from livemove.contracts import PoseFrame
from livemove.ipc.segment import Segment
from livemove.ipc.telemetry import FAULTS
from livemove.media import video_file
from tests.support.mjpeg import NetworkCamera
from tests.support.real_time import in_real_time, timed

RNG = np.random.default_rng(0)


@dataclass
class Counts:
    seen: int = 1
    lost: int = 0
    returned: int = 0
    refused: int = 0
    still: bool = False
    undecoded: bool = False


def room() -> np.ndarray:
    """An image with light and shade, and a sensor's noise."""
    shades = np.linspace(40, 200, 160)[None, :, None] + RNG.normal(0, 3, (120, 160, 3))
    return shades.astype(np.uint8)


def even(level: float) -> np.ndarray:
    return np.clip(level + RNG.normal(0, 3, (120, 160, 3)), 0, 255).astype(np.uint8)


def test_every_fault_has_words_and_a_number() -> None:
    assert set(FAULTS) == {"", *WORDS}


@pytest.mark.parametrize(("image", "fault"), [(even(2.0), "black"), (even(120.0), "covered"), (room(), "")])
def test_what_an_image_looks_like_is_told_once_it_lasts(image: np.ndarray, fault: str) -> None:
    faults = CameraFaults(0.0)
    times = np.arange(60) / 30
    found = [faults.saw(image, 0, i, float(at)) for i, at in enumerate(times)]
    lasting = times >= camera_faults.LASTS_S + 0.01
    assert {found[i] for i in np.flatnonzero(~lasting)[:-1]} == {""}
    assert {found[i] for i in np.flatnonzero(lasting)} == {fault}
    assert faults.saw(room(), 0, 60, 2.0) == "", "over at the first image that is good"


def test_somebody_in_front_of_a_plain_wall_is_no_cover() -> None:
    faults = CameraFaults(0.0)
    assert {faults.saw(even(120.0), 1, at, at / 30) for at in range(90)} == {""}


@pytest.fixture(scope="module")
def cut() -> np.ndarray:
    """An image whose JPEG ended after half its bytes, as it comes from a network camera through the real decoder."""
    with NetworkCamera("cut", room) as camera:
        capture = cv2.VideoCapture(camera.url, cv2.CAP_FFMPEG)
        good, image = capture.read()
        capture.release()
    assert good
    return np.asarray(image, np.uint8)[:, :, ::-1]


def test_an_image_that_ends_early_is_known_and_a_whole_one_is_not(cut: np.ndarray) -> None:
    assert camera_faults.cut_off(cut)
    assert not camera_faults.cut_off(room())
    assert len(np.unique(cut[:30], axis=0)) > 20, "its upper part is there"


def test_images_that_end_early_are_a_fault_while_they_come_and_not_once_they_stop(cut: np.ndarray) -> None:
    faults = CameraFaults(0.0)
    found = [faults.saw(cut if 30 <= at < 90 and at % 3 == 0 else room(), 1, at, at / 30) for at in range(180)]
    assert set(found[:30]) == {""}
    assert set(found[60:90]) == {"corrupt"}
    assert set(found[-25:]) == {""}


def test_a_single_broken_image_and_plain_grounds_are_no_fault(cut: np.ndarray) -> None:
    faults = CameraFaults(0.0)
    assert {faults.saw(cut if at == 40 else room(), 1, at, at / 30) for at in range(90)} == {""}
    for ground in ((0, 0, 0), (255, 255, 255), (0, 177, 64), (0, 255, 0), (128, 128, 128)):
        image, faults = room(), CameraFaults(0.0)
        image[60:] = ground
        assert {faults.saw(image, 1, at, at / 30) for at in range(90)} == {""}, ground


@pytest.mark.parametrize(("fps", "fault"), [(30.0, ""), (10.0, ""), (5.0, "slow")])
def test_slow_is_a_rate_below_which_no_melody_can_be_followed(fps: float, fault: str) -> None:
    faults = CameraFaults(0.0)
    found = [faults.saw(room(), 1, at, at / fps) for at in range(round(4 * fps))]
    assert found[-1] == fault
    assert faults.saw(room(), 1, round(4 * fps), 4.0 + 3.0) == "", "what comes after a silence is measured from there"


@pytest.mark.parametrize(
    ("counts", "fault"),
    [
        (Counts(), "stalled"),
        (Counts(lost=1), "lost"),
        (Counts(lost=1, returned=1), "stalled"),
        (Counts(still=True), "frozen"),
        (Counts(undecoded=True), "corrupt"),
        (Counts(seen=0, refused=1), "absent"),
        (Counts(seen=0), ""),
    ],
)
def test_why_no_image_comes_is_told_by_what_the_feed_counted(counts: Counts, fault: str) -> None:
    faults = CameraFaults(0.0)
    if counts.seen:
        faults.saw(room(), 1, 1, 0.0)
    assert faults.missed(counts, 0.5 * camera_faults.STALL_S) == ""
    assert faults.missed(counts, 1.1 * camera_faults.STALL_S) == fault
    assert faults.saw(room(), 1, 2, 3.0) == ""


def test_a_machine_that_uses_few_of_the_images_does_not_make_the_camera_slow() -> None:
    faults = CameraFaults(0.0)
    assert {faults.saw(room(), 1, 30 * at // 5, at / 5) for at in range(20)} == {""}


def test_beginnings_are_counted(segment: Segment) -> None:
    for fault in ("lost", "lost", "", "lost", "stalled", ""):
        segment.capture.set_fault(fault)
    assert segment.capture.faults == {"lost": 2, "stalled": 1}
    assert segment.capture.fault == ""


SCRIPT = {
    "stall": {"stalled", "lost"},
    "freeze": {"frozen"},
    "black": {"black"},
    "grey": {"covered"},
    "drop": {"lost", "corrupt"},
    "corrupt": {"corrupt", "lost", "stalled"},
}
"""What the camera does, and the names it may get for it."""


class Stage:
    """A network camera that goes through SCRIPT: each until its fault is named, then well again until a pose comes."""

    def __init__(self, camera: NetworkCamera) -> None:
        self.found: dict[str, set[str]] = {}
        self.back_s: dict[str, float] = {}
        self._camera = camera
        self._left = list(SCRIPT)
        self._since_s = self._limit_s = 0.0

    def frame_seen(self, count: int = 1) -> None:
        """As a tally."""

    def frame_used(self, pose_ms: float, people: int) -> None:
        """As a tally."""

    def publish(self, frame: PoseFrame) -> None:
        """A pose: the next fault begins, if the camera was well for a while."""
        if not self._left or not frame.people or self._camera.mode != "play":
            return
        mode, at_s = self._left[0], time.monotonic()
        self._limit_s = self._limit_s or at_s + 90.0
        if mode in self.found and frame.capture_s > self._since_s:
            self.back_s[mode] = at_s - self._since_s
            self._left.pop(0)
            self._since_s = at_s
        elif mode not in self.found and at_s > self._since_s + 0.5:
            self._camera.mode, self.found[mode] = mode, set()

    def on_fault(self, fault: str) -> None:
        if self._left and fault and self._camera.mode == self._left[0]:
            self.found[self._left[0]].add(fault)

    def stop(self) -> bool:
        if self._left and self.found.get(self._left[0], set()) & SCRIPT[self._left[0]] and self._camera.mode != "play":
            self._camera.mode, self._since_s = "play", time.monotonic()
        return not self._left or 0.0 < self._limit_s < time.monotonic()


@pytest.mark.real
@in_real_time
def test_a_camera_that_goes_through_all_of_them_is_back_within_two_seconds_of_each(
    pose_model: Path, dancer_clip: Path
) -> None:
    """A camera on the network that shows a dancer, and fails on cue: the fault's name, then a pose again."""
    film = [image for (_, image), _ in zip(video_file.frames(dancer_clip), range(60), strict=False)]
    images = itertools.cycle(film)
    with NetworkCamera(draw=lambda: next(images), fps=15.0) as camera:
        stage = Stage(camera)
        config = CaptureConfig(camera=camera.url, pose_model=pose_model, patient=True)
        follow(config, stage.publish, stage.stop, stage, time.monotonic, on_fault=stage.on_fault)
    with timed():
        assert list(stage.back_s) == list(SCRIPT), (stage.found, stage.back_s)
        assert max(stage.back_s.values()) < 2.0, stage.back_s
