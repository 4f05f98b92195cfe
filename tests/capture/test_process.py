"""The capture loop with real parts: real clip, real landmarker; and the demo dancer in their place."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from livemove.body.features import FEATURES, FeatureStream
from livemove.capture import demo
from livemove.capture.capture_config import CaptureConfig
from livemove.capture.capture_process import AWAITED_S, Awaited, follow
from livemove.capture.landmarker import Landmarker
from livemove.capture.posemodel import find_pose_model
from livemove.contracts import CameraError, PoseFrame, PoseModelError
from livemove.media import video_file
from tests.support.real_time import in_real_time, timed
from tests.support.unavailable import unavailable
from tests.support.videos import cut


@dataclass
class Counted:
    """A tally, and what was published."""

    seen: int = 0
    pose_ms: list[float] = field(default_factory=list)
    frames: list[PoseFrame] = field(default_factory=list)

    def frame_seen(self, count: int = 1) -> None:
        self.seen += count

    def frame_used(self, pose_ms: float, people: int) -> None:
        self.pose_ms.append(pose_ms)


@pytest.fixture(scope="session")
def pose_model() -> Path:
    try:
        return find_pose_model("full")
    except PoseModelError as reason:
        unavailable(str(reason))


def followed(config: CaptureConfig, seconds: float) -> Counted:
    counted = Counted()
    ends_s = time.monotonic() + seconds
    follow(config, counted.frames.append, lambda: time.monotonic() > ends_s, counted, time.monotonic)
    return counted


def demo_on_a_clock_of_its_own(naps: dict[int, float]) -> Counted:
    """1.5 s of the demo on a virtual clock; naps: after so many frames the machine stands still for so long."""
    time_s, counted = 100.0, Counted()

    def sleep(seconds: float) -> None:
        nonlocal time_s
        time_s += seconds + naps.get(len(counted.frames), 0.0)

    config = CaptureConfig(camera="demo")
    follow(config, counted.frames.append, lambda: time_s >= 101.5 - 1e-9, counted, lambda: time_s, sleep)
    return counted


def test_the_demo_dances_at_its_own_rate() -> None:
    counted = demo_on_a_clock_of_its_own({})
    assert counted.seen == len(counted.pose_ms) == len(counted.frames) == 45
    assert [frame.sequence for frame in counted.frames] == list(range(45))
    np.testing.assert_allclose([frame.capture_s for frame in counted.frames], 100.0 + np.arange(45) / 30)


def test_the_demo_leaves_out_what_a_machine_that_stood_still_has_missed() -> None:
    counted = demo_on_a_clock_of_its_own({10: 0.51})
    assert len(counted.frames) == 30
    assert [frame.sequence for frame in counted.frames] == list(range(30))
    times = np.array([frame.capture_s for frame in counted.frames])
    assert np.diff(times).min() > 0.5 / 30
    assert times[10] - times[9] == pytest.approx(0.51 + 1 / 30)


def test_the_demo_is_two_where_two_are_looked_for() -> None:
    counted = Counted()
    follow(
        CaptureConfig(camera="demo", dancers=2), counted.frames.append, lambda: len(counted.frames) == 3, counted,
        time.monotonic, lambda _: None,
    )  # fmt: skip
    assert [frame.in_view for frame in counted.frames] == [2, 2, 2]


def test_a_second_dancer_who_does_not_come_is_said_once() -> None:
    awaited = Awaited(2)
    alone = demo.pose_at(0.0)

    def seen(time_s: float, people: int) -> str:
        alone.capture_s, alone.people = time_s, people
        return awaited.see(alone)

    assert [seen(float(t), 0) for t in range(30)] == [""] * 30, "nobody at all is seen in the window"
    lines = [seen(30.0 + t, 1) for t in range(30)]
    assert [n for n, line in enumerate(lines) if line] == [round(AWAITED_S)]
    assert lines[round(AWAITED_S)].startswith("dancer 2 is not in view")
    come = Awaited(2)
    assert not any(come.see(demo.pose_at(float(t), dancers=2 if t == 5 else 1)) for t in range(30))
    assert not any(Awaited(1).see(demo.pose_at(float(t))) for t in range(30))


def test_the_demo_needs_neither_cv2_nor_mediapipe() -> None:
    words = (
        "import sys, time\n"
        "from livemove.capture.capture_process import follow\n"
        "from livemove.capture.capture_config import CaptureConfig\n"
        "class T:\n  frame_seen = frame_used = lambda *a: None\n"
        "seen = []; follow(CaptureConfig(camera='demo'), seen.append, lambda: len(seen) > 2, T(), time.monotonic)\n"
        "print(sorted({'cv2', 'mediapipe', 'sounddevice', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.real
@in_real_time
def test_poses_of_a_real_dancer(pose_model: Path, dancer_clip: Path) -> None:
    counted = followed(CaptureConfig(camera=str(dancer_clip), pose_model=pose_model), 5.0)
    with timed():
        assert len(counted.frames) > 20
        assert np.mean([frame.people == 1 for frame in counted.frames]) >= 0.95
        assert counted.seen >= len(counted.frames)
    times = np.array([frame.capture_s for frame in counted.frames])
    with timed():
        assert (np.diff(times) > 0).all()
    world = counted.frames[-1].world[0]
    with timed():
        assert world[11, 1] < world[23, 1] < world[27, 1]  # shoulder above hip above ankle: y points down


@pytest.mark.real
def test_a_film_without_loop_ends_by_itself(pose_model: Path, dancer_clip: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.mp4"
    cut(dancer_clip, short, 50)
    counted = Counted()
    ends_s = time.monotonic() + 120.0
    feed = follow(
        CaptureConfig(camera=str(short)),
        counted.frames.append,
        lambda: time.monotonic() > ends_s,
        counted,
        time.monotonic,
    )
    assert time.monotonic() < ends_s
    assert feed is not None
    assert feed.over


@pytest.mark.real
def test_mirroring_turns_the_picture_and_keeps_the_hands(pose_model: Path, dancer_clip: Path) -> None:
    image = next(p for t, p in video_file.frames(dancer_clip) if t > 3.0)
    with Landmarker(path=pose_model) as plain, Landmarker(path=pose_model, mirror=True) as mirrored:
        there, turned = plain.find(image, 0.0), mirrored.find(image, 0.0)
    np.testing.assert_allclose(turned.image[0, :, 0], 1.0 - there.image[0, :, 0], atol=1e-6)
    np.testing.assert_array_equal(turned.world, there.world)


@pytest.mark.real
def test_sixteen_is_the_dancers_own_right_wrist(pose_model: Path, dancer_clip: Path) -> None:
    """A dancer who faces us has the right hand on the image's left."""
    stream = FeatureStream()
    with Landmarker(path=pose_model) as landmarker:
        for number, (time_s, image) in enumerate(video_file.frames(dancer_clip)):
            frame = landmarker.find(image, time_s)
            facing = stream.update(frame)[FEATURES.index("facing")]
            if number == 20:
                break
    assert facing > 0.8
    assert frame.image[0, 16, 0] < frame.image[0, 15, 0]


@pytest.mark.real
def test_pictures_with_padded_rows_are_read_right(pose_model: Path, dancer_clip: Path) -> None:
    image = next(p for t, p in video_file.frames(dancer_clip) if t > 3.0)
    padded = np.zeros((image.shape[0], image.shape[1] + 10, 3), np.uint8)
    padded[:, : image.shape[1]] = image
    with Landmarker(path=pose_model) as one, Landmarker(path=pose_model) as two:
        np.testing.assert_array_equal(one.find(padded[:, : image.shape[1]], 0.0).image, two.find(image, 0.0).image)


@pytest.mark.real
def test_time_that_stands_still_or_goes_back_is_survived(pose_model: Path, dancer_clip: Path) -> None:
    image = next(p for t, p in video_file.frames(dancer_clip) if t > 3.0)
    with Landmarker(path=pose_model) as landmarker:
        for time_s in (5.0, 5.0, 5.0001, 1.0):
            assert landmarker.find(image, time_s).people == 1


@pytest.mark.real
def test_mediapipe_says_nothing_and_starts_no_portaudio(pose_model: Path, dancer_clip: Path) -> None:
    words = (
        "import sys\n"
        "from pathlib import Path\n"
        "from livemove.media import video_file\n"
        "from livemove.capture.landmarker import Landmarker\n"
        f"clip, model = Path({str(dancer_clip)!r}), Path({str(pose_model)!r})\n"
        "with Landmarker(path=model) as landmarker:\n"
        "  found = [landmarker.find(p, t).people for (t, p), _ in zip(video_file.frames(clip), range(3))]\n"
        "print(sum(found), sorted({'sounddevice', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "3 []"
    assert done.stderr == ""


@pytest.mark.real
def test_a_source_without_picture_is_an_error_at_the_start(pose_model: Path, tmp_path: Path) -> None:
    with pytest.raises(CameraError, match=r"none\.mp4"):
        followed(CaptureConfig(camera=str(tmp_path / "none.mp4"), pose_model=pose_model), 5.0)
