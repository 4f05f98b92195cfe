"""What the window and the others share: images, requests and news, whole and in order; and what requests do."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time

import numpy as np
import pytest

from livemove.capture.capture_process import show, small
from livemove.contracts import Action, Controls, Request, SupervisorStatus
from livemove.control.steering import steer
from livemove.ipc.segment import IMAGE_EDGE, Segment


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


# --- images ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), [(240, 320), (320, 180), (7, 3), (IMAGE_EDGE, IMAGE_EDGE)])
def test_a_picture_arrives_whole_and_once(segment: Segment, height: int, width: int) -> None:
    image = noise(height, width)
    segment.image.write(image, 12.5)
    other = Segment.attach(segment.name)
    got = other.image.read()
    assert got is not None
    np.testing.assert_array_equal(got[0], image)
    assert got[1] == 12.5
    assert other.image.read() is None
    del got
    other.close()


def test_a_picture_that_does_not_fit_is_refused(segment: Segment) -> None:
    with pytest.raises(ValueError, match="321 x 10 does not fit"):
        segment.image.write(noise(10, IMAGE_EDGE + 1), 0.0)


def hammer(name: str) -> None:
    """Writes images of one grey each, until killed."""
    segment = Segment.attach(name)
    grey = 0
    while True:
        grey = (grey + 1) % 256
        segment.image.write(np.full((IMAGE_EDGE, IMAGE_EDGE, 3), grey, np.uint8), grey)


def test_a_picture_is_never_torn_and_survives_its_writer(segment: Segment) -> None:
    context = multiprocessing.get_context("spawn")
    for _ in range(2):
        writer = context.Process(target=hammer, args=(segment.name,))
        writer.start()
        images, deadline = 0, time.monotonic() + 60
        while images < 60 and time.monotonic() < deadline:
            got = segment.image.read()
            if got is not None:
                images += 1
                assert got[0].min() == got[0].max() == got[1]
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        assert images == 60
    got = None


def test_no_picture_is_published_without_a_window(segment: Segment) -> None:
    show(segment, False, noise(480, 640), 1.0)
    assert segment.image.read() is None
    segment.processes["monitor"].running("here")
    show(segment, False, noise(480, 640), 2.0)
    got = segment.image.read()
    assert got is not None
    assert got[0].shape == (240, 320, 3)
    got = None


@pytest.mark.parametrize(("height", "width", "expected"), [(480, 640, (240, 320)), (1920, 1080, (320, 180))])
def test_a_small_picture_keeps_its_shape(height: int, width: int, expected: tuple[int, int]) -> None:
    assert small(noise(height, width)).shape[:2] == expected


def test_a_picture_that_is_small_already_is_left_alone_and_mirrored_on_demand() -> None:
    image = noise(100, 120)
    np.testing.assert_array_equal(small(image), image)
    np.testing.assert_array_equal(small(image, mirror=True), image[:, ::-1])


# --- requests and news -------------------------------------------------------------------------------------------


def test_requests_arrive_in_order_and_once(segment: Segment) -> None:
    asked = [Request(Action.GAIN, -1.0), Request(Action.MUTE), Request(Action.STYLE, 1.0), Request(Action.STOP)]
    window = Segment.attach(segment.name)
    assert all(window.requests.ask(request) for request in asked)
    assert [segment.requests.take() for _ in asked] == asked
    assert segment.requests.take() is None
    window.close()


def test_a_supervisor_that_does_not_listen_is_noticed_and_nothing_is_lost(segment: Segment) -> None:
    assert [segment.requests.ask(Request(Action.GAIN, n)) for n in range(65)] == [True] * 64 + [False]
    assert [request.amount for request in iter(segment.requests.take, None)] == list(range(64))
    assert segment.requests.ask(Request(Action.MUTE))


def test_news_arrive_and_long_ones_are_cut(segment: Segment) -> None:
    restarts = {"capture": 1, "synthesis": 0, "playback": 2, "monitor": 0, "control": 3, "spare": 0}
    segment.supervisor_status.write(SupervisorStatus(2.0, 1.0, restarts, 3, "ä" * 1000, 1.5))
    got = Segment.attach(segment.name).supervisor_status.read()
    assert (got.written_s, got.playing_since_s, got.restarts, got.notices) == (2.0, 1.0, restarts, 3)
    assert got.recording_since_s == 1.5
    assert set(got.notice) == {"ä"}
    assert len(got.notice) == 251


def test_lists_and_names_arrive_and_long_lists_are_cut_between_names(segment: Segment) -> None:
    cards = tuple(f"{n} card {'ä' * 100}" for n in range(100))
    segment.supervisor_status.write(
        SupervisorStatus(cameras=("0", "a  film\u2028.mp4"), camera=1, devices=cards, device=-1)
    )
    got = Segment.attach(segment.name).supervisor_status.read()
    assert (got.cameras, got.camera, got.device) == (("0", "a  film\u2028.mp4"), 1, -1)
    assert got.devices == cards[: len(got.devices)]
    assert 30 < len(got.devices) < 100
    asked = Request(Action.CAMERA, text="http://a/ü" + 480 * "x")
    assert segment.commands.ask(asked)
    assert segment.commands.take() == asked
    with pytest.raises(ValueError, match="496 bytes"):
        segment.commands.ask(Request(Action.CAMERA, text=497 * "x"))


def test_the_features_of_a_hop_arrive(segment: Segment) -> None:
    features = np.linspace(-1, 1, 33, dtype=np.float32)
    segment.synthesis.set_features(features)
    np.testing.assert_array_equal(segment.synthesis.features, features)


# --- what requests do --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (Request(Action.GAIN, 6.0), Controls(gain=10 ** (6 / 20))),
        (Request(Action.GAIN, 100.0), Controls(gain=10.0)),
        (Request(Action.GAIN, -100.0), Controls(gain=0.001)),
        (Request(Action.GAIN, float("nan")), Controls()),
        (Request(Action.MUTE), Controls(mute=True)),
        (Request(Action.TEMPERATURE, 0.25), Controls(temperature=1.25)),
        (Request(Action.TEMPERATURE, -9.0), Controls(temperature=0.0)),
        (Request(Action.TEMPERATURE, 9.0), Controls(temperature=4.0)),
        (Request(Action.STYLE, -1.0), Controls(style=2)),
        (Request(Action.STYLE, 4.0), Controls(style=1)),
        (Request(Action.STOP), Controls()),
    ],
)
def test_a_request_changes_one_control_within_its_range(request_: Request, expected: Controls) -> None:
    changed = steer(Controls(), request_, styles=3)
    assert changed.gain == pytest.approx(expected.gain)
    assert (changed.temperature, changed.style, changed.mute) == (
        expected.temperature,
        expected.style,
        expected.mute,
    )


def test_a_model_without_styles_stays_at_its_first() -> None:
    assert steer(Controls(), Request(Action.STYLE, 1), styles=0) == Controls()


def test_louder_after_silence_is_heard_again() -> None:
    assert steer(Controls(gain=0.0), Request(Action.GAIN, 1.0), styles=0).gain > 0.0
