"""Cameras, URLs and films: the newest image only, at its own pace, and what happens when there is none."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from livemove.capture import cameras
from livemove.capture.cameras import CameraFrame, Feed, check_camera, open_feed
from livemove.capture.capture_config import CaptureConfig
from livemove.contracts import CameraError
from tests.support.mjpeg import NetworkCamera
from tests.support.real_time import in_real_time, timed

FPS = 25


def grey_of(camera_frame: CameraFrame) -> int:
    return round(float(camera_frame.image.mean()))


def make_film(path: Path, greys: list[int]) -> Path:
    """A film of even grey images, FPS a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(FPS))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for grey in greys:
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), grey, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """One second; the image's grey tells its number: 20, 28, 36 ..."""
    return make_film(tmp_path / "film.mp4", [20 + 8 * i for i in range(FPS)])


@pytest.fixture
def opened() -> Iterator[Callable[..., Feed]]:
    feeds: list[Feed] = []

    def start(camera: object, loop: bool = False) -> Feed:
        feeds.append(open_feed(CaptureConfig(camera=str(camera), loop=loop), time.monotonic))
        return feeds[-1]

    yield start
    for feed in feeds:
        feed.close()


def take_all(feed: Feed, seconds: float) -> list[CameraFrame]:
    shots: list[CameraFrame] = []
    ends_s = time.monotonic() + seconds
    while time.monotonic() < ends_s and not feed.over:
        camera_frame = feed.take(0.05)
        if camera_frame is not None:
            shots.append(camera_frame)
    return shots


def wait_for(true: Callable[[], bool], seconds: float) -> bool:
    ends_s = time.monotonic() + seconds
    while not true() and time.monotonic() < ends_s:
        time.sleep(0.02)
    return true()


def watch_silence(feed: Feed) -> None:
    """What `follow` does until the first image."""
    ends_s = time.monotonic() + 5.0
    while time.monotonic() < ends_s:
        feed.take(0.05)
        feed.check_silence()


# --- the feed -----------------------------------------------------------------------------------------------


def test_only_the_newest_picture_is_kept() -> None:
    feed = Feed(CaptureConfig(), time.monotonic)
    for grey in (1, 2, 3):
        feed.put(np.full((4, 4, 3), grey, np.uint8), float(grey))
    camera_frame = feed.take(0.0)
    assert camera_frame is not None
    assert camera_frame.capture_s == 3.0
    assert feed.take(0.0) is None
    assert feed.seen == 3


# --- video files ------------------------------------------------------------------------------------------


class Virtual(Feed):
    """A feed whose time passes only while its film waits; naps: after so many images the machine stands still."""

    def __init__(self, film: Path, loop: bool = False, naps: dict[int, float] | None = None) -> None:
        self.time_s, self.shots, self.naps = 50.0, [], naps or {}
        super().__init__(CaptureConfig(camera=str(film), loop=loop), lambda: self.time_s)
        self.stopping = Waiting(self)

    def put(self, image: np.ndarray, capture_s: float) -> None:
        super().put(image, capture_s)
        self.shots.append(CameraFrame(image, capture_s))
        self.time_s += self.naps.get(len(self.shots), 0.0)
        if len(self.shots) == 3 * FPS:
            self.close()

    def play(self) -> tuple[np.ndarray, np.ndarray]:
        """The whole film, or three seconds of its loop: times since the start, greys."""
        cameras._play_video(self)
        times = np.array([camera_frame.capture_s for camera_frame in self.shots])
        return times - 50.0, np.array([grey_of(camera_frame) for camera_frame in self.shots])


class Waiting(threading.Event):
    def __init__(self, feed: Virtual) -> None:
        super().__init__()
        self.feed = feed

    def wait(self, timeout: float | None = None) -> bool:
        self.feed.time_s += timeout or 0.0
        return self.is_set()


def test_a_film_plays_at_its_own_pace_and_ends(film: Path) -> None:
    feed = Virtual(film)
    times, greys = feed.play()
    np.testing.assert_allclose(times, np.arange(FPS) / FPS, atol=1e-6)
    np.testing.assert_allclose(greys, 20 + 8 * np.arange(FPS), atol=4)
    assert feed.take(0.0) is not None
    assert feed.over


def test_a_film_that_was_held_up_catches_up(film: Path) -> None:
    """What was late is late by itself: from there on every image comes at its own time again."""
    times, _ = Virtual(film, naps={5: 0.3}).play()
    np.testing.assert_allclose(times[:5], np.arange(5) / FPS, atol=1e-6)
    np.testing.assert_allclose(times[5:12], 4 / FPS + 0.3, atol=1e-6)
    np.testing.assert_allclose(times[12:], np.arange(12, FPS) / FPS, atol=1e-6)


def test_a_looping_film_starts_again_without_a_pause(film: Path) -> None:
    times, greys = Virtual(film, loop=True).play()
    np.testing.assert_allclose(times, np.arange(3 * FPS) / FPS, atol=1e-6)
    np.testing.assert_array_equal(greys[:FPS], greys[FPS : 2 * FPS])


@in_real_time
def test_a_slow_looker_sees_the_present_not_the_past(film: Path, opened: Callable[..., Feed]) -> None:
    feed = opened(film)
    first = feed.take(30.0)
    with timed():
        assert first is not None
    time.sleep(0.6)
    late = feed.take(0.0)
    with timed():
        assert late is not None
        assert time.monotonic() - late.capture_s < 0.15
        assert grey_of(late) - grey_of(first) == pytest.approx(8 * 0.6 * FPS, abs=8 * 4)


@in_real_time
def test_a_film_damaged_on_the_way_plays_to_there(tmp_path: Path, opened: Callable[..., Feed]) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "film.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=Fraction(FPS))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for _ in range(FPS):
            noise = rng.integers(0, 255, (48, 64, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noise, format="rgb24")))
        container.mux(stream.encode(None))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    feed = opened(path)
    shots = take_all(feed, 30.0)
    with timed():
        assert feed.over
        assert 5 < len(shots) < FPS


@pytest.mark.parametrize("content", [None, b"", b"this is no film" * 100])
def test_no_film_is_a_camera_error(tmp_path: Path, opened: Callable[..., Feed], content: bytes | None) -> None:
    path = tmp_path / "film.mp4"
    if content is not None:
        path.write_bytes(content)
    for look in (lambda: check_camera(CaptureConfig(camera=str(path))), lambda: opened(path).take(5.0)):
        with pytest.raises(CameraError) as caught:
            look()
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_good_film_passes_the_check(film: Path) -> None:
    check_camera(CaptureConfig(camera=str(film)))


# --- cameras by index ---------------------------------------------------------------------------------------


def test_a_camera_that_is_not_there_names_the_way_on(opened: Callable[..., Feed]) -> None:
    with pytest.raises(CameraError, match=r"camera 97: .*--camera demo"):
        opened(97).take(10.0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells without opening it")
def test_a_camera_that_is_not_there_fails_the_check() -> None:
    with pytest.raises(CameraError, match=r"camera 97: .*--camera demo"):
        check_camera(CaptureConfig(camera="97"))


# --- URLs ---------------------------------------------------------------------------------------------------


@in_real_time
def test_a_network_camera_gives_pictures(opened: Callable[..., Feed]) -> None:
    with NetworkCamera() as camera:
        check_camera(CaptureConfig(camera=camera.url))
        shots = take_all(opened(camera.url), 2.0)
        with timed():
            assert len(shots) > 10
        assert shots[0].image.shape == (96, 128, 3)


@in_real_time
def test_a_url_that_stalls_fails_the_check_within_two_seconds() -> None:
    with NetworkCamera("stall") as camera:
        began_s = time.monotonic()
        with pytest.raises(CameraError, match="gave no image"):
            check_camera(CaptureConfig(camera=camera.url))
        with timed():
            assert time.monotonic() - began_s < 2.0


@in_real_time
def test_a_server_that_sends_its_header_and_then_nothing_fails_the_check_within_two_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        began_s = time.monotonic()
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                f"import socket, time; s = socket.socket(fileno={server.fileno()}); c, _ = s.accept(); "
                "c.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Type: video/x-motion-jpeg\\r\\n\\r\\n'); time.sleep(30)",
            ],
            pass_fds=[server.fileno()],
        )
        try:
            with pytest.raises(CameraError, match="gave no image"):
                check_camera(CaptureConfig(camera=f"http://127.0.0.1:{server.getsockname()[1]}/"))
            with timed():
                assert time.monotonic() - began_s < 2.5
        finally:
            process.kill()
            process.wait()


@in_real_time
def test_a_url_that_stalls_ends_its_feed_within_two_seconds(opened: Callable[..., Feed]) -> None:
    import cv2  # noqa: F401  (its own import is not what is timed)

    with NetworkCamera("stall") as camera:
        began_s = time.monotonic()
        feed = opened(camera.url)
        with pytest.raises(CameraError, match="camera http"):
            watch_silence(feed)
        with timed():
            assert time.monotonic() - began_s < 2.0


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:9/", "cannot be opened"),
        ("rtsp://127.0.0.1:9/", "cannot be opened"),
        ("http:///camera", "no host"),
        ("gopher://example/", "gopher"),
        ("http://127.0.0.1:99999/", "valid"),
    ],
)
def test_a_url_that_cannot_be_opened_fails_the_check(url: str, words: str) -> None:
    with pytest.raises(CameraError, match=words) as caught:
        check_camera(CaptureConfig(camera=url))
    assert "\n" not in str(caught.value)


@in_real_time
def test_a_camera_lost_and_found_plays_on(opened: Callable[..., Feed]) -> None:
    with NetworkCamera() as camera:
        feed = opened(camera.url)
        with timed():
            assert feed.take(5.0) is not None
        camera.mode = "drop"
        with timed():
            assert wait_for(lambda: feed.lost == 1, 5.0)
            assert take_all(feed, 0.3)[1:] == []
            assert not feed.over
        camera.mode = "play"
        with timed():
            assert wait_for(lambda: feed.returned >= 1, 8.0)
            assert len(take_all(feed, 1.5)) > 5


@in_real_time
def test_a_camera_that_stalls_while_playing_is_opened_again(opened: Callable[..., Feed]) -> None:
    with NetworkCamera() as camera:
        feed = opened(camera.url)
        with timed():
            assert feed.take(5.0) is not None
        camera.mode = "stall"
        with timed():
            assert wait_for(lambda: feed.lost == 1, 5.0)
        camera.mode = "play"
        with timed():
            assert wait_for(lambda: feed.returned >= 1, 8.0)


@in_real_time
def test_a_frozen_camera_gives_no_more_pictures_until_it_moves(opened: Callable[..., Feed]) -> None:
    with NetworkCamera() as camera:
        feed = opened(camera.url)
        with timed():
            assert feed.take(5.0) is not None
        camera.mode = "freeze"
        with timed():
            assert wait_for(lambda: feed.frozen > 0, 5.0)
        feed.take(0.0)
        with timed():
            assert take_all(feed, 0.5) == []
        camera.mode = "play"
        with timed():
            assert feed.take(3.0) is not None
