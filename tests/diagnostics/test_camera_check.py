"""What a look through the camera says: images and bodies with one fault each, and the line a dancer reads."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from livemove.capture.capture_config import CaptureConfig
from livemove.capture.landmarker import Landmarker
from livemove.capture.lighting import Light, face_box, light
from livemove.capture.webcam import Promise
from livemove.contracts import PoseFrame
from livemove.diagnostics.camera_check import CameraCheck, look, measure
from livemove.diagnostics.doctor import Finding, camera_findings
from livemove.media import video_file
from tests.support.bodies import body, nobody, placed

GOOD = Light(brightness=0.45, contrast=0.6, burnt=0.0, face=0.5)


def seen(
    change: Callable[[PoseFrame], PoseFrame] = lambda frame: frame, fps: float = 25.0, shone: Light = GOOD
) -> CameraCheck:
    """Five seconds of somebody standing well, but for that change."""
    frames = [change(body(n / fps)) for n in range(round(5 * fps))]
    return measure(frames, [shone] * len(frames), len(frames))


def said(check: CameraCheck, part: str) -> Finding:
    (finding,) = [each for each in camera_findings(check) if each.part == part]
    return finding


def hide(*landmarks: int) -> Callable[[PoseFrame], PoseFrame]:
    def change(frame: PoseFrame) -> PoseFrame:
        frame.visibility[0, list(landmarks)] = 0.1
        return frame

    return change


def test_who_stands_well_in_good_light_has_nothing_to_mend() -> None:
    found = camera_findings(seen())
    assert [each.part for each in found] == ["light", "frame rate", "distance", "limbs"]
    assert {each.state for each in found} == {"ok"}


# --- light --------------------------------------------------------------------------------------------------


def image(level: float, spread: float = 0.5) -> np.ndarray:
    """uint8 RGB: a wall from dark to bright around that level, 0..1."""
    ramp = np.clip(level + spread * np.linspace(-0.5, 0.5, 320), 0, 1) * 255
    return np.tile(ramp.astype(np.uint8)[None, :, None], (240, 1, 3))


def person_in(image: np.ndarray, level: float) -> Light:
    """The light with a face in it that is as bright as that."""
    frame = body(0.0)
    box = face_box(frame)
    assert box is not None
    left, top, right, bottom = box
    image[int(top * 240) : int(bottom * 240) + 1, int(left * 320) : int(right * 320) + 1] = int(255 * level)
    return light(image, box)


@pytest.mark.parametrize(
    ("shone", "words"),
    [
        (light(image(0.08, 0.1)), "Too dark"),
        (light(image(0.95, 0.1)), "Too bright"),
        (light(np.where(np.arange(320)[None, :, None] < 120, 255, image(0.4)).astype(np.uint8)), "Too bright"),
        (light(image(0.5, 0.05)), "flat and grey"),
        (person_in(image(0.6), 0.1), "You are a shadow: the light is behind you"),
    ],
)
def test_light_in_which_a_body_is_lost_says_what_to_mend(shone: Light, words: str) -> None:
    found = said(seen(hide(15), shone=shone), "light")
    assert found.state == "poor"
    assert words in found.detail


def test_light_in_which_a_body_is_made_out_all_the_same_is_good_enough() -> None:
    found = said(seen(shone=light(image(0.12, 0.1))), "light")
    assert found.state == "ok"
    assert "Too dark" in found.detail
    assert said(seen(shone=light(image(0.05, 0.05))), "light").state == "poor"


def test_a_dark_face_in_good_light_is_no_shadow() -> None:
    found = said(seen(hide(15), shone=person_in(image(0.5), 0.22)), "light")
    assert (found.state, "Good light" in found.detail) == ("ok", True)


def test_light_is_measured_as_it_is() -> None:
    found = person_in(image(0.5, 0.4), 0.2)
    assert found.brightness == pytest.approx(0.5, abs=0.05)
    assert found.contrast == pytest.approx(0.36, abs=0.03)
    assert found.face == pytest.approx(0.2, abs=0.05)
    assert light(np.full((48, 64, 3), 255, np.uint8)).burnt == 1.0


def test_a_face_outside_the_picture_has_no_light_of_its_own() -> None:
    assert face_box(placed(body(0.0), x=2.0)) is None
    assert face_box(nobody(0.0)) is None


# --- distance -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scale", "x", "y", "words"),
    [
        (1.6, 0.0, 0.25, "Step back about a metre: your feet are out of the frame."),
        (2.2, 0.0, 0.45, "Step back about 1.5 metres: your feet are out of the frame."),
        (1.0, 0.0, 0.45, "Tilt the camera down: your feet are out of the frame"),
        (1.0, 0.0, -0.3, "Tilt the camera up: your head is out of the frame"),
        (0.4, 0.0, 0.0, "closer: you are small in the frame"),
        (1.0, -0.35, 0.0, "Step to your left"),
        (1.0, 0.35, 0.0, "Step to your right"),
    ],
)
def test_a_place_that_is_not_good_says_where_to_go(scale: float, x: float, y: float, words: str) -> None:
    found = said(seen(lambda frame: placed(frame, scale, x, y)), "distance")
    assert found.state == "poor"
    assert words in found.detail


def test_hands_that_leave_the_frame_are_told() -> None:
    def reach(frame: PoseFrame) -> PoseFrame:
        return placed(body(frame.capture_s, 1.0, 1.0), 1.2, y=-0.1)

    assert "your hands leave the frame" in said(seen(reach), "distance").detail


def test_nobody_is_one_line_and_no_more_about_a_body() -> None:
    found = camera_findings(seen(lambda frame: nobody(frame.capture_s)))
    assert [each.part for each in found] == ["light", "frame rate", "distance"]
    assert "Nobody is to be seen" in found[-1].detail


# --- pace and limbs -----------------------------------------------------------------------------------------


def test_a_slow_camera_and_a_slow_computer_are_told_apart() -> None:
    slow = seen(fps=9.0)
    assert "The camera is slow" in said(slow, "frame rate").detail
    assert "The computer is slower" in said(dataclasses.replace(slow, seen_fps=30.0), "frame rate").detail


def test_a_camera_that_is_slower_than_it_could_be_wants_light() -> None:
    slow = dataclasses.replace(seen(fps=15.0), seen_fps=15.0, promise=Promise(30.0, 0.0625))
    found = said(slow, "frame rate")
    assert found.state == "poor"
    assert "15 frames a second in this light and could give 30: more light is worth 33 ms" in found.detail
    assert "exposure 62 ms" in found.detail
    assert said(dataclasses.replace(slow, promise=Promise(15.0)), "frame rate").detail.startswith("The camera is slow")
    assert said(dataclasses.replace(seen(), promise=Promise(30.0)), "frame rate").state == "ok"


def test_pictures_that_come_unevenly_are_told() -> None:
    times = np.arange(125) / 25
    times[60:] += 0.5
    frames = [body(float(time_s)) for time_s in times]
    found = said(measure(frames, [GOOD], len(frames)), "frame rate")
    assert found.state == "poor"
    assert "unevenly" in found.detail
    assert "longest gap 540 ms" in found.detail


def test_a_limb_that_is_hard_to_make_out_is_named() -> None:
    found = said(seen(hide(15)), "limbs")
    assert found.state == "poor"
    assert "your left arm (100 % of the time)" in found.detail
    assert "right arm" not in found.detail


def test_what_is_out_of_the_frame_is_not_called_hard_to_see() -> None:
    def change(frame: PoseFrame) -> PoseFrame:
        return hide(25, 26, 27, 28)(placed(frame, 2.2, y=0.6))

    check = seen(change)
    assert check.out["feet"] == 1.0
    assert said(check, "limbs").state == "ok"


# --- the look itself ----------------------------------------------------------------------------------------


def test_the_demo_is_looked_at_for_so_long() -> None:
    time_s = 100.0

    def sleep(seconds: float) -> None:
        nonlocal time_s
        time_s += seconds

    check = look(CaptureConfig(camera="demo"), 3.0, lambda: time_s, sleep)
    assert check.fps == pytest.approx(30.0, abs=0.5)
    assert check.people == 1.0
    assert check.light is None
    assert {each.part: each.state for each in camera_findings(check)} == dict.fromkeys(
        ("frame rate", "distance", "limbs"), "ok"
    )


@pytest.mark.real
def test_a_real_dancer_on_a_stage_stands_well(dancer_clip: Path, pose_model: Path) -> None:
    frames, lights = [], []
    with Landmarker("full", pose_model) as landmarker:
        for time_s, shot in video_file.frames(dancer_clip):
            if time_s >= 1.5:
                break
            frames.append(landmarker.find(shot, time_s))
            lights.append(light(shot, face_box(frames[-1])))
    check = measure(frames, lights, len(frames))
    assert check.people == 1.0
    assert 1.5 < check.room_m < 3.5
    assert {each.part: each.state for each in camera_findings(check)} == dict.fromkeys(
        ("light", "frame rate", "distance", "limbs"), "ok"
    )
