"""The capture process: newest frame -> landmarks -> mailbox; a demo dancer or a take may stand in for the camera.

`follow` is the loop itself, on callbacks; `run` ties it to the shared memory of a session. Knows nothing of features.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from livemove.capture import demo
from livemove.capture.camera_faults import WORDS, CameraFaults
from livemove.capture.cameras import Feed, Image, open_feed
from livemove.capture.capture_config import CaptureConfig
from livemove.capture.landmarker import Landmarker
from livemove.contracts import PoseFrame
from livemove.ipc.cpu_affinity import cores_here, leave_sound_core
from livemove.ipc.network import deny_sockets
from livemove.ipc.segment import IMAGE_EDGE, Segment, State, now_s
from livemove.media.video_file import facing
from livemove.takes.camera_track import VideoSender
from livemove.takes.reading import load_take

LOOK_S = 0.1
"""How long to wait for a frame before looking whether to stop."""

AWAITED_S = 10.0
"""A dancer who has not come by then is asked for, once."""

MOST_THREADS = 4
"""Of a network: its layers are small, and what a further thread computes is soon less than what it waits."""


class Tally(Protocol):
    """Who counts; `exchange.CaptureTelemetry` is one."""

    def frame_seen(self, count: int = 1) -> None:
        """So many more frames came from the camera."""

    def frame_used(self, pose_ms: float, people: int) -> None:
        """One went through the landmarker."""


class Uncounted:
    """A Tally for who does not ask how many frames there were."""

    def frame_seen(self, count: int = 1) -> None:
        pass

    def frame_used(self, pose_ms: float, people: int) -> None:
        pass


def run(segment: Segment, config: CaptureConfig) -> None:
    """Until the supervisor asks to stop or leave, or a video ends. Raises CameraError, PoseModelError at the start."""
    if config.kind != "url":
        deny_sockets(local=True)  # local ones carry the camera's video to takes
    process_state = segment.processes["capture"]
    state = {"running": False}
    awaited = Awaited(config.dancers)

    def publish(frame: PoseFrame) -> None:
        segment.pose.write(frame)
        if not state["running"]:
            state["running"] = True
            process_state.running(config.camera)
        if words := awaited.see(frame):
            process_state.remark(words)

    def stop() -> bool:
        process_state.heartbeat()
        return segment.stop_requested or process_state.asked_to_leave

    sender = VideoSender(config.video_address) if config.video_address else None
    told = False

    def show_it(image: Image, capture_s: float) -> None:
        nonlocal told
        show(segment, config.mirror, image, capture_s)
        if sender is not None:
            sender.add(image, capture_s)
            if sender.trouble and not told:
                told = True
                process_state.remark(sender.trouble)

    def on_fault(fault: str) -> None:
        segment.capture.set_fault(fault)
        if fault and not state["running"]:  # it plays without it
            state["running"] = True
            process_state.waiting(f"camera {config.camera}")
        elif not fault:
            process_state.running(config.camera)
        process_state.remark(f"camera {config.camera} {WORDS.get(fault, 'sees again')}")

    segment.capture.set_fault("")
    try:
        feed = follow(
            config, publish, stop, segment.capture, now_s, show=show_it, settle=lambda: _settle(config.dancers),
            on_fault=on_fault,
        )  # fmt: skip
        if feed is not None and feed.trouble:
            process_state.remark(feed.trouble)
    finally:
        if sender is not None:
            sender.close()


def _settle(dancers: int) -> None:
    """Beside the camera's thread, which keeps its core and its network: what comes now needs neither. Two dancers are
    looked at on two cores, even where one of them is the sound's: it takes a few percent of it."""
    if dancers == 1 or cores_here() > 2:
        leave_sound_core()
    deny_sockets(local=True)


class Awaited:
    """Which of so many dancers has not come."""

    def __init__(self, dancers: int) -> None:
        self._absent = set(range(dancers)) if dancers > 1 else set[int]()
        self._first_s: float | None = None

    def see(self, frame: PoseFrame) -> str:
        """A line about who has not come AWAITED_S after the first did; at most once."""
        if not self._absent:
            return ""
        self._absent -= {dancer for dancer in self._absent if frame.shows(dancer)}
        if self._first_s is None:
            self._first_s = frame.capture_s if frame.in_view else None
            return ""
        if not self._absent or frame.capture_s - self._first_s < AWAITED_S:
            return ""
        number = min(self._absent) + 1
        self._absent.clear()
        return f"dancer {number} is not in view: the rest plays, and theirs begins when they come"


def show(segment: Segment, mirror: bool, image: Image, capture_s: float) -> None:
    """Give the image to the monitor, if one runs: without it, it costs nothing."""
    if segment.processes["monitor"].state is State.RUNNING:
        segment.image.write(small(image, mirror), capture_s)


def small(image: Image, mirror: bool = False) -> Image:
    """uint8 RGB [height, width, 3], its longer edge IMAGE_EDGE at most; mirrored left to right if asked."""
    import cv2

    height, width, _ = image.shape
    scale = min(IMAGE_EDGE / max(height, width), 1.0)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    reduced: Image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return reduced[:, ::-1] if mirror else reduced


def follow(
    config: CaptureConfig,
    publish: Callable[[PoseFrame], None],
    stop: Callable[[], bool],
    tally: Tally,
    now: Callable[[], float],
    sleep: Callable[[float], object] = time.sleep,
    show: Callable[[Image, float], None] | None = None,
    settle: Callable[[], object] | None = None,
    on_fault: Callable[[str], object] | None = None,
) -> Feed | None:
    """Publish the pose in the newest frame, again and again, until stop() or the end of a video.

    stop is asked several times a second, in between two frames. now: the clock of `PoseFrame.capture_s`; sleep: how
    the demo lets it pass; show gets each image that was used, and its time, once its pose is published; settle
    chooses where the landmarker runs, and not the camera's thread; on_fault gets what is wrong with the camera, as
    `camera_faults.WORDS` has it, and "" when that is over. A camera lost on the way leaves a silence, not an
    error: the features ease to rest until it is back. Returns the feed, with its counts of losses and returns (None for
    demo and take). Raises CameraError, PoseModelError before the first frame, TakeError.
    """
    if config.kind == "demo":
        _follow_demo(config, publish, stop, tally, now, sleep)
        return None
    if config.kind == "take":
        _follow_take(config, publish, stop, tally, now, sleep)
        return None
    feed = open_feed(config, now)  # its thread opens the camera while the pose runtime loads here
    try:
        if settle is not None:
            settle()  # a runtime's threads are started, and placed, with the landmarker
        threads = min(cores_here(), MOST_THREADS)
        with Landmarker(
            config.pose,
            config.pose_model,
            config.mirror,
            runtime=config.pose_runtime,
            threads=threads,
            dancer=config.dancer,
            dancers=config.dancers,
        ) as landmarker:
            counted = 0
            faults, fault = CameraFaults(now()), ""

            def judge(found: str) -> None:
                nonlocal fault
                if found != fault and on_fault is not None:
                    on_fault(found)
                fault = found

            while not stop():
                camera_frame = feed.take(LOOK_S)
                seen = feed.seen
                tally.frame_seen(seen - counted)
                counted = seen
                if camera_frame is None:
                    if feed.over:
                        break
                    feed.check_silence()
                    if config.kind != "file":
                        judge(faults.missed(feed, now()))
                    continue
                began_s = now()
                image = facing(camera_frame.image, config.mirrored)
                frame = landmarker.find(image, camera_frame.capture_s)
                publish(frame)
                tally.frame_used((now() - began_s) * 1e3, frame.in_view)
                if config.kind != "file":  # what a video shows is what was meant
                    judge(faults.saw(image, frame.in_view, seen, camera_frame.capture_s))
                if show is not None:
                    show(image, camera_frame.capture_s)
    finally:
        feed.close()
    return feed


def _follow_demo(
    config: CaptureConfig,
    publish: Callable[[PoseFrame], None],
    stop: Callable[[], bool],
    tally: Tally,
    now: Callable[[], float],
    sleep: Callable[[float], object],
) -> None:
    """At the demo's frame rate; what a machine that stood still has missed is left out, as a camera would."""
    start_s, sequence, tick = now(), 0, 0
    while not stop():
        tally.frame_seen()
        began_s = now()
        frame = demo.pose_at(began_s - start_s, sequence, config.mirror, config.dancers)
        frame.capture_s = began_s
        publish(frame)
        tally.frame_used((now() - began_s) * 1e3, frame.in_view)
        sequence += 1
        tick = max(tick, math.floor((now() - start_s) * demo.FPS)) + 1
        sleep(max(start_s + tick / demo.FPS - now(), 0.0))


def _follow_take(
    config: CaptureConfig,
    publish: Callable[[PoseFrame], None],
    stop: Callable[[], bool],
    tally: Tally,
    now: Callable[[], float],
    sleep: Callable[[float], object],
) -> None:
    """The poses of a take, at their own pace, from its first sound to its last."""
    take = load_take(Path(config.camera))
    sequence = 0

    def wait(until_s: float) -> bool:
        """Until then; False if asked to stop before."""
        while (left_s := until_s - now()) > 0.0 and not stop():
            sleep(min(left_s, LOOK_S))
        return not stop()

    while True:
        start_s = now() - take.info.clock_s
        for frame in take.frames():
            due_s = start_s + frame.capture_s
            if due_s < now() - LOOK_S:  # before the take began, or missed by a machine that stood still
                continue
            if not wait(due_s):
                return
            tally.frame_seen()
            frame.sequence, frame.capture_s = sequence, now()
            if config.mirror:
                frame.image[: frame.people, :, 0] = 1.0 - frame.image[: frame.people, :, 0]
            publish(frame)
            tally.frame_used((now() - frame.capture_s) * 1e3, frame.in_view)
            sequence += 1
        if not wait(start_s + take.info.clock_s + take.seconds) or not config.loop:
            return
