"""Shared memory between processes: nothing torn, nothing lost, nothing left behind."""

from __future__ import annotations

import dataclasses
import math
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from livemove.contracts import CameraError, Controls, LivemoveError, PoseFrame
from livemove.ipc.segment import BIN_MS, RING_CAPACITY, ROLES, Segment, State, now_s, percentile_ms
from livemove.native._realtime import Output


def in_child(code: str, *arguments: str) -> str:
    """Run code in a fresh interpreter of its own; what it prints."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


def hammer(name: str) -> None:
    """Writes poses whose every number is their sequence number, until killed."""
    segment = Segment.attach(name)
    frame = PoseFrame(people=1)
    while True:
        frame.sequence += 1
        frame.capture_s = frame.sequence
        for array in (frame.image, frame.world, frame.visibility):
            array[...] = frame.sequence
        segment.pose.write(frame)


def test_every_process_reads_the_same_clock() -> None:
    before = now_s()
    there = float(in_child("from livemove.ipc.segment import now_s; print(repr(now_s()))"))
    assert before < there < now_s()


def test_a_pose_arrives_whole_and_once(segment: Segment) -> None:
    sent, got = PoseFrame(capture_s=1.5, sequence=3, people=2), PoseFrame()
    sent.image[1, 16] = 0.1, 0.2, 0.3
    sent.world[0, 0, 2] = -1.0
    sent.visibility[1, 32] = 0.5
    segment.pose.write(sent)
    assert segment.pose.read(got)
    assert (got.capture_s, got.sequence, got.people) == (1.5, 3, 2)
    np.testing.assert_array_equal(got.image, sent.image)
    np.testing.assert_array_equal(got.world, sent.world)
    np.testing.assert_array_equal(got.visibility, sent.visibility)
    assert not segment.pose.read(got)


def test_no_pose_is_read_before_one_is_written(segment: Segment) -> None:
    assert not segment.pose.read(PoseFrame())


def test_a_pose_is_never_torn_and_survives_its_writer(segment: Segment) -> None:
    """A writer as fast as it can, killed at a random place, three times over; then the next one is heard."""
    context = multiprocessing.get_context("spawn")
    frame = PoseFrame()
    for _ in range(3):
        writer = context.Process(target=hammer, args=(segment.name,))
        writer.start()
        frames, deadline = 0, time.monotonic() + 20
        while frames < 300 and time.monotonic() < deadline:
            if segment.pose.read(frame):
                frames += 1
                numbers = {
                    *frame.image.ravel().tolist(),
                    *frame.world.ravel().tolist(),
                    *frame.visibility.ravel().tolist(),
                }
                assert numbers == {float(np.float32(frame.sequence))}
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        assert frames == 300


def test_controls_start_neutral_and_follow_the_writer(segment: Segment) -> None:
    assert segment.controls.read() == Controls()
    everything = Controls(0.5, 0.8, 2, True, True, -1, 3, 4, 0.05, 6, 7, 8, 9, 10)
    segment.controls.write(everything)
    other = Segment.attach(segment.name)
    assert other.controls.read() == everything
    other.close()


def test_the_end_of_a_child_leaves_the_segment_in_place(segment: Segment) -> None:
    code = "import sys; from livemove.ipc.segment import Segment; print(Segment.attach(sys.argv[1]).stop_requested)"
    assert in_child(code, segment.name).strip() == "False"
    Segment.attach(segment.name).close()


def test_nothing_is_left_after_unlink() -> None:
    segment = Segment.create()
    name = segment.name
    segment.close()
    segment.unlink()
    with pytest.raises(FileNotFoundError):
        Segment.attach(name)


def test_a_childs_error_reaches_the_supervisor_as_it_was(segment: Segment) -> None:
    process_state = Segment.attach(segment.name).processes["capture"]
    process_state.failed(CameraError("no camera 7: try --camera demo"))
    error = segment.processes["capture"].error
    assert type(error) is CameraError
    assert str(error) == "no camera 7: try --camera demo"


def test_a_long_error_is_cut_not_spilled(segment: Segment) -> None:
    segment.processes["capture"].failed(LivemoveError("ä" * 5000))
    assert segment.processes["synthesis"].state is State.NONE
    assert set(str(segment.processes["capture"].error)) == {"ä"}


def test_lives_are_apart_and_clear(segment: Segment) -> None:
    for number, role in enumerate(ROLES):
        segment.processes[role].starting(number + 1)
        segment.processes[role].running(role)
    assert [segment.processes[role].pid for role in ROLES] == list(range(1, len(ROLES) + 1))
    segment.processes["capture"].clear()
    assert segment.processes["capture"].state is State.NONE
    assert segment.processes["capture"].label == ""
    assert segment.processes["synthesis"].label == "synthesis"


def test_capture_counts(segment: Segment) -> None:
    segment.capture.frame_seen(3)
    segment.capture.frame_used(20.1, 0)
    segment.capture.frame_used(25.1, 1)
    assert (segment.capture.frames_seen, segment.capture.frames_used, segment.capture.poses) == (3, 2, 1)
    assert segment.capture.pose_ms_histogram.sum() == 2
    assert segment.capture.pose_fps is None


@pytest.mark.parametrize("quantile", [0.0, 0.5, 0.95, 1.0])
def test_percentiles_of_a_histogram_are_those_of_its_values(quantile: float) -> None:
    values = np.random.default_rng(1).gamma(5.0, 8.0, 5000)
    histogram = np.bincount((values / BIN_MS).astype(int), minlength=4096).astype(np.uint64)
    found = percentile_ms(histogram, quantile)
    assert found is not None
    assert abs(found - np.quantile(values, quantile, method="inverted_cdf")) <= BIN_MS


def test_an_empty_histogram_has_no_percentile() -> None:
    assert percentile_ms(np.zeros(4096, np.uint64), 0.5) is None


def test_the_ring_takes_all_or_nothing(segment: Segment) -> None:
    assert segment.ring.write(np.zeros(RING_CAPACITY - 1, np.float32))
    assert not segment.ring.write(np.zeros(2, np.float32))
    assert segment.ring.fill == segment.ring.written == RING_CAPACITY - 1


def test_the_first_hops_are_due_until_playing_can_begin(segment: Segment) -> None:
    segment.ring.set_pace(48000.0, 512)
    for fill in (0, 256, 512, 768):
        assert segment.ring.fill == fill
        assert segment.ring.wait_due(1.5 * 512 / 48000, 0.0)
        segment.ring.write(np.zeros(256, np.float32))
    assert not segment.ring.wait_due(1.5 * 512 / 48000, 0.0)
    assert segment.ring.target == 1024


def test_hops_are_due_when_the_lead_before_a_callback_begins(segment: Segment) -> None:
    block_s = 480 / 48000
    segment.ring.set_pace(48000.0, 480)
    output = Output(segment.bytes, 48000.0, 1, 0.0)
    output.render(480)
    called_s = segment.playback.heartbeat_s
    assert segment.ring.wait_due(0.004, 1.0)
    assert now_s() - called_s >= block_s - 0.004


def test_a_late_callback_does_not_delay_the_one_after_it(segment: Segment) -> None:
    """The device goes on in time: a block that was not taken yet is wanted beside the next one."""
    block_s = 480 / 48000
    segment.ring.set_pace(48000.0, 480)
    output = Output(segment.bytes, 48000.0, 1, 0.0)
    output.render(480)
    called_s = segment.playback.heartbeat_s
    segment.ring.wait_due(0.004, 1.0)
    segment.ring.write(np.zeros(480, np.float32))
    assert segment.ring.wait_due(0.004, 1.0)
    assert now_s() - called_s >= 2 * block_s - 0.004


@pytest.mark.skipif(sys.platform == "win32", reason="SIGHUP is of POSIX")
def test_a_lost_terminal_ends_without_a_word_of_ours() -> None:
    """It signals the whole group, multiprocessing's resource tracker too, which must live on to forget our memory."""
    code = """
import os, signal, time
from livemove.ipc.segment import Segment
signal.signal(signal.SIGHUP, lambda *_: None)
segment = Segment.create()
os.killpg(0, signal.SIGHUP)
time.sleep(0.3)
segment.close()
segment.unlink()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, start_new_session=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 1e38, -1.0])
@pytest.mark.parametrize("name", ["gain", "temperature", "look_ahead_s"])
def test_controls_that_nobody_can_have_set_are_not_read(segment: Segment, name: str, number: float) -> None:
    good = Controls(gain=10.0, temperature=4.0, look_ahead_s=0.08, octave=1)
    segment.controls.write(good)
    assert segment.controls.read() == good
    segment.controls.write(dataclasses.replace(good, octave=2, **{name: number}))
    assert segment.controls.read() == good
    segment.controls.write(dataclasses.replace(good, octave=3))
    assert segment.controls.read().octave == 3
    segment.controls.write(dataclasses.replace(good, octave=4, styles=(0.5, math.nan)))
    assert segment.controls.read().octave == 3
