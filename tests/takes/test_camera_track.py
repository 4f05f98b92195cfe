"""The camera's film in takes: every image at its own time, whatever dies; and the film of a take that shows it."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from multiprocessing import current_process
from multiprocessing.connection import Client
from pathlib import Path

import av
import numpy as np
import pytest

from livemove.contracts import Action, OutputError
from livemove.ipc.segment import Segment
from livemove.offline.take_video import FPS, camera_frames, write_take_video
from livemove.session import supervisor
from livemove.session.perform import SessionConfig, run_session
from livemove.takes import camera_track
from livemove.takes.camera_track import HEAD, VideoReceiver, VideoSender
from livemove.takes.folder import STREAM, VIDEO_ROW
from livemove.takes.reading import Take, load_take
from livemove.takes.recorder import TakeRecorder
from tests.support.bundles import random_bundle, small_spec
from tests.support.real_time import in_real_time, timed
from tests.support.recording import Stage, settings, until
from tests.support.sessions import asking, child


def grey(number: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    return np.full((*size, 3), 20 + number, np.uint8)


@pytest.fixture
def receiver() -> Iterator[VideoReceiver]:
    made = VideoReceiver()
    yield made
    made.close()


def one(receiver: VideoReceiver) -> tuple[np.ndarray, np.ndarray]:
    """The next image, waited for."""
    found: list[tuple[np.ndarray, np.ndarray]] = []
    until(lambda: found.append(receiver.take()) or len(found[-1][1]))
    return found[-1]


def film(receiver: VideoReceiver, numbers: range, size: tuple[int, int] = (48, 64)) -> tuple[np.ndarray, np.ndarray]:
    """(stream, rows) of grey images seen at 100 + number / 25 s, one waited for before the next is shown."""
    sender = VideoSender(receiver.address)
    pieces = []
    for number in numbers:
        sender.add(grey(number, size), 100 + number / 25)
        pieces.append(one(receiver))
    sender.close()
    assert sender.trouble == ""
    stream = np.concatenate([content for content, _ in pieces])
    rows = np.concatenate([rows for _, rows in pieces])
    rows["begin"] = np.cumsum(rows["size"]) - rows["size"]
    return stream, rows


def test_every_picture_comes_at_once_with_its_time(receiver: VideoReceiver) -> None:
    stream, rows = film(receiver, range(40))
    assert rows["capture_s"].tolist() == [100 + n / 25 for n in range(40)]
    assert np.flatnonzero(rows["key"]).tolist() == [0, 15, 30]
    assert len(stream) == rows["size"].sum()


def test_a_camera_that_dies_in_a_word_is_followed_by_the_next(receiver: VideoReceiver) -> None:
    line = Client(receiver.address, authkey=bytes(current_process().authkey))
    line.send_bytes(HEAD.pack(1.0, True) + b"whole")
    until(lambda: len(receiver.take()[1]))
    os.write(line.fileno(), b"\0\0\1\0half of it")  # its length, and less than that
    line.close()
    assert len(film(receiver, range(3))[1]) == 3


def test_a_camera_without_anybody_to_send_to_says_so_and_goes_on() -> None:
    sender = VideoSender("/nowhere/at/all")
    until(lambda: sender.trouble)
    assert "no longer recorded" in sender.trouble
    sender.add(grey(0), 0.0)
    sender.close()


def test_a_receiver_that_cannot_be_woken_lets_the_performance_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where no socket is left to wake it with."""

    def no_socket(*_: object, **__: object) -> None:
        raise OSError("too many open files")

    receiver = VideoReceiver()
    with monkeypatch.context() as patch:
        patch.setattr(camera_track, "Client", no_socket)
        patch.setattr(camera_track, "LAST_S", 0.05)
        receiver.close()


def test_a_camera_too_quick_loses_pictures_and_is_not_held_up(receiver: VideoReceiver) -> None:
    sender = VideoSender(receiver.address)
    for number in range(200):
        sender.add(grey(number % 100), float(number))
    sender.close()
    times: list[float] = []
    until(lambda: times.extend(receiver.take()[1]["capture_s"]) or 199.0 in times)
    assert len(times) < 200
    assert times == sorted(times)


# --- in takes -----------------------------------------------------------------------------------------------


def kept(folder: Path, segment: Segment, shown: int, begin: int) -> Path:
    """A take of a film of so many images, of which `begin` had been seen when it began."""
    plain = settings(folder)
    filmed = dataclasses.replace(plain, config=dataclasses.replace(plain.config, video=True))
    keeper = TakeRecorder(segment, filmed)
    stage, sender = Stage(segment), VideoSender(keeper.video_address)
    keeper.start()
    stage.play(4)
    until(lambda: keeper.history is not None and keeper.history.blocks.end == 4)
    memory = keeper.history
    assert memory is not None
    now_s = float(memory.blocks.read(3, 4)["dac_s"][0])

    def show(numbers: range) -> None:
        for number in numbers:
            sender.add(grey(number), now_s - 0.04 * (begin - number))
            until(lambda end=number + 1: memory.video.end == end)

    show(range(begin))
    keeper.record(True)
    until(lambda: keeper.recording)
    stage.play(200)
    show(range(begin, shown))
    until(lambda: memory.blocks.end == 204)
    keeper.record(False)
    until(lambda: not keeper.recording)
    sender.close()
    keeper.stop()
    return max(folder.iterdir())


def greys(take: Take) -> np.ndarray:
    return np.array([round(float(image.to_ndarray(format="gray").mean())) - 20 for image in camera_frames(take)])


def test_a_take_begins_with_a_picture_that_can_be_decoded(segment: Segment, tmp_path: Path) -> None:
    take = load_take(kept(tmp_path, segment, shown=50, begin=20))
    rows = take.video()
    assert rows["key"][0] == 1
    assert rows["begin"][0] == 0
    assert len(rows) == 35, "from the fifteenth on: there a decoder may begin"
    assert (take.path / STREAM).stat().st_size == rows["size"].sum()
    with av.open(str(take.path / STREAM)) as container:  # as any player would
        assert len(list(container.decode(video=0))) == 35


def test_the_film_of_a_take_shows_at_every_moment_what_was_seen_then(segment: Segment, tmp_path: Path) -> None:
    take = load_take(kept(tmp_path, segment, shown=50, begin=20))
    rows, seen = take.video(), greys(take)
    heard_s = np.interp(np.arange(len(seen)) / FPS, np.arange(len(take.blocks)) * 512 / 48000, take.blocks["dac_s"])
    expected = 14 + np.searchsorted(rows["capture_s"], heard_s, side="right")
    assert np.abs(seen - np.clip(expected, 15, 49)).max() <= 1
    write_take_video(take, tmp_path / "film.mp4", lambda _: None)
    with av.open(str(tmp_path / "film.mp4")) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (64, 48)
        shown = [frame.to_ndarray(format="gray").mean() - 20 for frame in container.decode(video=0)]
    assert shown == pytest.approx(seen[: len(shown)], abs=2)


def test_a_film_cut_off_anywhere_shows_what_is_whole(segment: Segment, tmp_path: Path) -> None:
    folder = kept(tmp_path, segment, shown=50, begin=20)
    table = (folder / "film.npy").read_bytes()
    (folder / "film.npy").write_bytes(table[: len(table) - 25 * VIDEO_ROW.itemsize + 7])
    stream = (folder / STREAM).read_bytes()
    (folder / STREAM).write_bytes(stream[: int(load_take(folder).video()["size"][:10].sum()) + 5])
    take = load_take(folder)
    assert len(take.video()) == 10
    assert greys(take).max() == pytest.approx(24, abs=1)


def test_without_a_film_there_is_none_to_write(segment: Segment, tmp_path: Path) -> None:
    keeper = TakeRecorder(segment, settings(tmp_path))
    keeper.start()
    Stage(segment).play(4)
    until(lambda: keeper.history is not None and keeper.history.blocks.end == 4)
    keeper.save_last()
    until(lambda: "recorded" in str(keeper.notice()))
    keeper.stop()
    assert keeper.video_address == ""
    assert not list(tmp_path.glob("*/film*"))


def test_who_gives_no_picture_cannot_be_filmed(tmp_path: Path) -> None:
    model = random_bundle(tmp_path / "m", small_spec()).path
    with pytest.raises(OutputError, match="--video: demo"):
        run_session(SessionConfig.of(model=model, camera="demo", video=True, monitor=False), lambda _: None)


@pytest.mark.skipif(sys.platform == "win32", reason="processes are stopped with signals here")
@in_real_time
def test_a_real_session_films_on_when_its_camera_process_died(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(supervisor.MODULES, "capture", "tests.support.double_capture")
    shutil.rmtree(tmp_path / "takes", ignore_errors=True)
    model = random_bundle(tmp_path / "m", small_spec()).path
    report, _ = asking(
        monkeypatch, model, {1.0: lambda: os.kill(child(0), signal.SIGKILL), 3.5: Action.SAVE_LAST}, camera="0",
        video=True, folder=tmp_path / "takes", output=tmp_path / "w.wav", duration_s=4.0,
    )  # fmt: skip
    take = load_take(next((tmp_path / "takes").iterdir()))
    rows = take.video()
    with timed():
        assert report["restarts"]["capture"] == 1
        assert len(rows) > 40
    assert set(rows["capture_s"]) <= set(take.poses["capture_s"])
    assert rows["key"][np.argmax(np.diff(rows["capture_s"])) + 1] == 1, "the next process begins anew"
    assert len(set(greys(take).tolist())) > 20


def test_x264_keeps_to_the_bytes_that_memory_has(receiver: VideoReceiver) -> None:
    """Noise, which cannot be compressed: two seconds of it."""
    random, sender, size = np.random.default_rng(0), VideoSender(receiver.address), 0
    for number in range(60):
        sender.add(random.integers(0, 255, (240, 320, 3), np.uint8), float(number))
        size += len(one(receiver)[0])
    sender.close()
    assert size < 3 * camera_track.BYTES_PER_S, "two seconds, and what its buffer evens out"
