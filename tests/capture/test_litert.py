"""LiteRT and MediaPipe see the same: in one image to hundredths of a pixel, along a clip as far as MediaPipe agrees
with itself."""

from __future__ import annotations

import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livemove.capture import landmarker
from livemove.capture.blazepose.networks import Networks
from livemove.capture.blazepose.tracker import Tracker
from livemove.capture.landmarker import Landmarker
from livemove.capture.mediapipe_pose import load_mediapipe
from livemove.capture.runtimes import POSE_RUNTIMES
from livemove.capture.segmentation_mask import without_segmentation_mask
from livemove.contracts import PoseFrame, PoseModelError
from livemove.media import video_file

pytestmark = pytest.mark.real


def frames(clip: Path, count: int, poked: bool = False) -> list[tuple[float, np.ndarray]]:
    """From one second on: at time 0 MediaPipe's filter has not begun. poked: one pixel of the first is another by 1."""
    found = [(1.0 + time_s, image) for time_s, image in islice(video_file.frames(clip), count)]
    if poked:
        found[0] = (1.0, found[0][1].copy())
        found[0][1][found[0][1].shape[0] // 2, found[0][1].shape[1] // 2, 0] ^= 1
    return found


def seen(runtime: str, model: Path, clip: list[tuple[float, np.ndarray]], threads: int = 1) -> list[PoseFrame]:
    with Landmarker(path=model, runtime=runtime, threads=threads, smoothed=True) as each:
        return [each.find(image, time_s) for time_s, image in clip]


def apart(one: list[PoseFrame], other: list[PoseFrame], size: Any) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles 0.5 and 0.95 of the distances in pixels and in metres, where both see somebody."""
    pairs = [(a, b) for a, b in zip(one, other, strict=True) if a.people and b.people]
    pixels = [np.linalg.norm((a.image[0, :, :2] - b.image[0, :, :2]) * size, axis=1) for a, b in pairs]
    metres = [np.linalg.norm(a.world[0] - b.world[0], axis=1) for a, b in pairs]
    return np.quantile(pixels, (0.5, 0.95)), np.quantile(metres, (0.5, 0.95))


def test_in_one_image_both_see_the_same(pose_model: Path, dancer_clip: Path) -> None:
    """Detector and landmarks without memory: every image as if it were the first."""
    bundle = without_segmentation_mask(pose_model.read_bytes())
    mediapipe = load_mediapipe()
    vision = mediapipe.tasks.vision
    options = vision.PoseLandmarkerOptions(
        base_options=mediapipe.tasks.BaseOptions(model_asset_buffer=bundle), running_mode=vision.RunningMode.IMAGE
    )
    networks, pixels, metres, visible = Networks(bundle, threads=1), [], [], []
    with vision.PoseLandmarker.create_from_options(options) as published:
        for _, image in frames(dancer_clip, 200)[::8]:
            size = image.shape[1::-1]
            result = published.detect(mediapipe.Image(mediapipe.ImageFormat.SRGB, image))
            (body,) = Tracker(networks).look(image, 1.0)
            theirs = np.array([(mark.x, mark.y) for mark in result.pose_landmarks[0]])
            world = np.array([(mark.x, mark.y, mark.z) for mark in result.pose_world_landmarks[0]])
            pixels.append(np.linalg.norm(body.image[:, :2] - theirs * size, axis=1))
            metres.append(np.linalg.norm(body.metres - world, axis=1))
            visible.append(np.abs(body.visibility - [mark.visibility for mark in result.pose_landmarks[0]]))
    assert len(pixels) == 25
    assert np.quantile(pixels, 0.5) < 0.02
    assert np.quantile(pixels, 0.95) < 0.5
    assert np.quantile(metres, 0.95) < 0.002
    assert np.quantile(visible, 0.95) < 0.001


def test_along_a_clip_they_are_no_further_apart_than_mediapipe_from_itself(pose_model: Path, dancer_clip: Path) -> None:
    """Tracking feeds back: where the region lies a thousandth of a pixel further, other samples are rounded up, and
    after some frames the landmarks differ by tenths, with MediaPipe as well if one pixel of the first frame does."""
    clip = frames(dancer_clip, 150)
    size = clip[0][1].shape[1::-1]
    published = seen("mediapipe", pose_model, clip)
    itself = apart(published, seen("mediapipe", pose_model, frames(dancer_clip, 150, poked=True)), size)
    ours = seen("litert", pose_model, clip)
    assert [frame.people for frame in ours] == [frame.people for frame in published]
    found = apart(published, ours, size)
    assert found[0][0] < 0.5
    for ours_apart, its_own in zip(found, itself, strict=True):
        assert (its_own > 0).all()
        assert (ours_apart < 2.0 * its_own).all()
    visible = [np.abs(a.visibility[0] - b.visibility[0]) for a, b in zip(published, ours, strict=True)]
    assert np.quantile(visible, 0.95) < 0.02


def test_neither_threads_nor_the_segmentation_mask_change_a_landmark(pose_model: Path, dancer_clip: Path) -> None:
    clip = frames(dancer_clip, 20)
    plain, threaded = seen("litert", pose_model, clip), seen("litert", pose_model, clip, threads=2)
    with Landmarker(path=pose_model, runtime="litert", segmentation_mask=True, smoothed=True) as whole:
        masked = [whole.find(image, time_s) for time_s, image in clip]
    for one, *others in zip(plain, threaded, masked, strict=True):
        assert one.people == 1
        for other in others:
            np.testing.assert_array_equal(one.image, other.image)
            np.testing.assert_array_equal(one.world, other.world)
            np.testing.assert_array_equal(one.visibility, other.visibility)


@pytest.mark.parametrize("runtime", POSE_RUNTIMES)
def test_a_runtime_says_nothing_and_loads_nothing_of_the_other(
    pose_model: Path, dancer_clip: Path, runtime: str
) -> None:
    program = (
        "import sys; from itertools import islice; from pathlib import Path\n"
        "from livemove.capture.landmarker import Landmarker; from livemove.media import video_file\n"
        "model, clip, runtime = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]\n"
        "with Landmarker(path=model, runtime=runtime) as landmarker:\n"
        "  found = [landmarker.find(image, time_s).people for time_s, image in islice(video_file.frames(clip), 3)]\n"
        "print(sum(found), 'mediapipe' in sys.modules, 'ai_edge_litert' in sys.modules)\n"
    )
    command = [sys.executable, "-c", program, str(pose_model), str(dancer_clip), runtime]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    assert done.stdout.split() == ["3", str(runtime == "mediapipe"), str(runtime == "litert")]


def test_what_is_not_installed_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert landmarker.chosen("auto") == "litert"
    assert landmarker.chosen("mediapipe") == "mediapipe"
    monkeypatch.setattr(landmarker.importlib.util, "find_spec", lambda name: None)
    assert landmarker.chosen("auto") == "mediapipe"
    with pytest.raises(PoseModelError, match="pip install ai-edge-litert"):
        landmarker.chosen("litert")
    with pytest.raises(PoseModelError, match="unknown pose runtime"):
        landmarker.chosen("tflite")
