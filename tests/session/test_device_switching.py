"""Cameras and audio devices changed while it plays: who is asked to leave, who comes, and what is gone back to.

The rules are tested on a child without a process and a clock that is set; one test is a whole session on two servers.
"""

from __future__ import annotations

import os
import signal
import threading
import types
from pathlib import Path
from typing import Any, cast

import pytest

from livemove.bundle import load_bundle
from livemove.capture import capture_config
from livemove.capture.capture_config import cameras_here
from livemove.contracts import Action, CameraError, Controls, Request
from livemove.control.control_config import ControlConfig
from livemove.ipc import child
from livemove.ipc.segment import Segment, now_s
from livemove.session import device_switching, perform, supervisor
from livemove.session.perform import PresetDevices, SessionConfig, Status, run_session
from tests.support.gaps import breaks, counted, steady
from tests.support.osc import free_port, packet, send
from tests.support.real_time import in_real_time, timed
from tests.support.servers import Jack, Pulse
from tests.support.sessions import use
from tests.support.stereo import centred


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.s = 100.0
        for module in (supervisor, perform):
            monkeypatch.setattr(module, "now_s", lambda: self.s)


class Process:
    """Alive until it ends or is ended."""

    def __init__(self) -> None:
        self.exitcode: int | None = None

    def is_alive(self) -> bool:
        return self.exitcode is None

    def kill(self) -> None:
        self.exitcode = -9 if self.exitcode is None else self.exitcode

    def join(self, _timeout_s: float) -> None:
        """It is over."""


class Camera(supervisor.Child):
    """A capture process that is played by the test."""

    def __init__(self, segment: Segment, clock: Clock) -> None:
        log = types.SimpleNamespace(keep=lambda: "the last line of its log")
        super().__init__("capture", segment, "old", cast(Any, log))
        self.clock = clock
        self.started: list[str] = []
        self.start()
        self.run()

    def start(self) -> None:
        self.process_state.clear()
        self.process_state.starting(1)
        self._remarks, self._started_s = 0, self.clock.s
        self.process_state._record["heartbeat_s"][0] = self.clock.s
        self.process = cast(Any, Process())
        self.started.append(self.config)

    def run(self) -> str | None:
        self.process_state.running(self.config)
        self.process_state._record["heartbeat_s"][0] = self.clock.s
        return self.watch()

    def end(self) -> None:
        assert self.process_state.asked_to_leave
        self.process_state.finished()
        cast(Any, self.process).exitcode = 0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def camera(segment: Segment, clock: Clock) -> Camera:
    return Camera(segment, clock)


def test_the_old_one_leaves_before_the_new_one_comes_and_nothing_counts_as_a_restart(camera: Camera) -> None:
    camera.switch("new", "camera: new", "going on with old")
    assert camera.watch() is None
    assert camera.started == ["old"]
    camera.end()
    assert not camera.over, "a camera that makes room is not the end of a film"
    assert camera.watch() is None
    assert camera.started == ["old", "new"]
    assert camera.switching
    assert camera.run() == "camera: new"
    assert not camera.switching
    assert camera.restarts == 0


def test_one_that_does_not_leave_is_ended(camera: Camera, clock: Clock) -> None:
    camera.switch("new", "", "")
    camera.watch()
    clock.s += supervisor.LEAVE_S + 0.1
    camera.watch()
    assert camera.started == ["old", "new"]


@pytest.mark.parametrize("own_words", [True, False])
def test_where_the_new_one_cannot_be_the_old_one_comes_back(camera: Camera, own_words: bool) -> None:
    camera.switch("new", "camera: new", "going on with old")
    camera.end()
    camera.watch()
    if own_words:
        camera.process_state.failed(CameraError("no camera called new"))
        expected = "no camera called new; going on with old"
    else:
        cast(Any, camera.process).exitcode = 1
        expected = "the last line of its log; going on with old"
    assert camera.watch() == expected
    assert camera.started == ["old", "new", "old"]
    assert camera.run() is None, "that it is back again was said"
    assert camera.restarts == 0


def test_of_two_wishes_the_last_one_counts_and_back_is_the_one_that_ran(camera: Camera) -> None:
    camera.switch("new", "", "going on with old")
    camera.switch("newer", "", "going on with new")
    camera.end()
    camera.watch()
    assert camera.started == ["old", "newer"]
    camera.switch("newest", "", "going on with newer")  # which is on its way: it need not be waited for
    camera.watch()
    camera.process_state.failed(CameraError("no"))
    assert camera.watch() == "no; going on with old"
    assert camera.started == ["old", "newer", "newest", "old"]


def test_what_is_gone_can_be_changed_for_something_else(camera: Camera, clock: Clock) -> None:
    for _ in range(3):
        cast(Any, camera.process).exitcode = 1
        assert "starting it again" in str(camera.watch())
        clock.s += 5.0
        camera.watch()
    cast(Any, camera.process).exitcode = 1
    camera.watch()
    camera.switch("new", "camera: new", "going on with old")
    camera.watch()
    assert camera.started[-1] == "new"
    assert camera.run() == "camera: new"


# --- how long a start may take ------------------------------------------------------------------------------


def test_a_start_takes_as_long_as_it_takes_while_there_is_progress(camera: Camera, clock: Clock) -> None:
    camera.start()
    for _ in range(20):
        clock.s += 0.9 * supervisor.START_LIMIT_S["capture"]
        camera.process_state._record["heartbeat_s"][0] = clock.s
        assert camera.watch() is None
    clock.s += 1.1 * supervisor.START_LIMIT_S["capture"]
    assert "stuck for 60 s while it started" in str(camera.watch())


def test_only_work_is_a_sign_of_progress(segment: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    process_state = segment.processes["playback"]
    process_state.starting(1)
    spent_s, beats = 0.0, list[float]()
    monkeypatch.setattr(process_state, "heartbeat", lambda: beats.append(spent_s))

    def sleep(_s: float) -> None:
        nonlocal spent_s
        looks = len(slept)
        slept.append(spent_s)
        spent_s += 0.1 if looks < 3 else 0.0
        if looks == 10:
            process_state.finished()

    slept: list[float] = []
    clocks = types.SimpleNamespace(sleep=sleep, process_time=lambda: 1.0 + spent_s, thread_time=lambda: 1.0)
    monkeypatch.setattr(child, "time", clocks)
    monkeypatch.setattr(child.os, "times", lambda: types.SimpleNamespace(children_user=0.0, children_system=0.0))
    child._beat_while_it_starts(process_state)
    assert beats == pytest.approx([0.1, 0.2, 0.3])


# --- what a request means -----------------------------------------------------------------------------------


class Stage:
    """A session whose children only note what they are to change to."""

    def __init__(self, segment: Segment, folder: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
        monkeypatch.setattr(device_switching, "cameras_here", lambda: ("0", "2"))
        self.wishes: list[tuple[str, Any]] = []
        stage = self

        def switch(self: supervisor.Child, config: Any, arrived: str, _back: str) -> None:
            self.config = config
            stage.wishes.append((arrived, config))

        monkeypatch.setattr(supervisor.Child, "switch", switch)
        config = SessionConfig.of(model=folder, monitor=False, **options)
        stacks = [[load_bundle(folder)]]
        self.session = perform._Session(
            config, stacks, segment, cast(Any, None), now_s(), threading.Event(), lambda _: None
        )
        self.session.playing_s = 1.0
        self.segment = segment
        segment.set_devices(["0 jack (ALSA)", "3 USB (ALSA)", "4 twin (ALSA)", "5 twin (ALSA)"])
        segment.processes["playback"].running("jack (ALSA)")

    def ask(self, *requests: Request) -> list[str]:
        """What the children are to change to."""
        self.wishes.clear()
        for request in requests:
            self.segment.requests.ask(request)
        self.session._decide()
        return [arrived for arrived, _ in self.wishes]


def test_next_and_previous_go_round_the_cameras_and_cards_there_are(
    segment: Segment, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    stage = Stage(segment, model, monkeypatch, camera="demo", cameras=("stage.mp4",))
    next_one, last_one = Request(Action.CAMERA, 1.0), Request(Action.CAMERA, -1.0)
    assert stage.ask(next_one, next_one, next_one, next_one) == [
        "camera: stage.mp4", "camera: 0", "camera: 2", "camera: demo",
    ]  # fmt: skip
    assert stage.ask(last_one) == ["camera: 2"]
    assert stage.ask(Request(Action.CAMERA, text="http://stage/left")) == ["camera: http://stage/left"]
    assert stage.ask(Request(Action.CAMERA, text="http://stage/left")) == [], "it is the one in use"
    stage.session._tell()
    told = segment.supervisor_status.read()
    assert told.cameras == ("demo", "stage.mp4", "0", "2", "http://stage/left")
    assert told.camera == 4
    assert told.devices[told.device] == "0 jack (ALSA)"
    assert stage.ask(Request(Action.DEVICE, -1.0)) == ["audio device: twin (ALSA)"]
    assert stage.wishes[0][1].device == "5", "of two with one name, the number tells which"
    assert stage.ask(Request(Action.DEVICE, text="usb")) == ["audio device: USB (ALSA)"]
    assert stage.wishes[0][1].device == "USB (ALSA)"
    assert stage.ask(Request(Action.DEVICE, text="twin")) == []
    assert "fits several" in stage.session.notices[-1]


def test_cards_that_were_given_are_those_one_goes_round(
    segment: Segment, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    stage = Stage(segment, model, monkeypatch, device="jack", devices=("jack", "HDMI", "usb"))
    stage.session._tell()
    told = segment.supervisor_status.read()
    assert told.devices == ("0 jack (ALSA)", "HDMI", "3 USB (ALSA)")
    assert told.device == 0
    assert stage.ask(Request(Action.DEVICE, 1.0)) == ["audio device: HDMI"], "it may be plugged in by now"


def test_a_preset_plugs_in_what_it_names_and_leaves_the_rest(
    segment: Segment, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    preset_devices = (PresetDevices(camera="0"), PresetDevices(), PresetDevices(camera="2", mirror=True, device="usb"))
    stage = Stage(
        segment, model, monkeypatch, camera="0", presets=(Controls(), Controls(), Controls()),
        preset_devices=preset_devices,
        control=ControlConfig(presets=("a", "b", "c")),
    )  # fmt: skip
    assert stage.ask(Request(Action.PRESET, 0.0, True)) == []
    assert stage.ask(Request(Action.PRESET, 1.0)) == []
    assert stage.ask(Request(Action.PRESET, 1.0)) == ["camera: 2", "audio device: USB (ALSA)"]
    assert stage.wishes[0][1].mirror
    assert stage.wishes[0][1].loop, "a film that is changed to does not end the show"


def test_before_it_plays_and_without_a_card_a_change_is_refused_in_words(
    segment: Segment, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    stage = Stage(segment, model, monkeypatch, play=False)
    assert stage.ask(Request(Action.DEVICE, 1.0)) == []
    assert "a file alone" in stage.session.notices[-1]
    stage.session.playing_s = None
    assert stage.ask(Request(Action.CAMERA, 1.0)) == []
    assert "once it plays" in stage.session.notices[-1]


def test_of_a_webcams_nodes_the_one_with_pictures_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, index in (("video0", "0"), ("video1", "1"), ("video10", "0"), ("video2", "0")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "index").write_text(f"{index}\n")
    (tmp_path / "video3").mkdir()
    monkeypatch.setattr(capture_config, "Path", lambda _: tmp_path)
    assert cameras_here() == ("0", "2", "10")


# --- the whole of it ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("doubles")
@in_real_time
def test_a_show_goes_on_over_other_cards_and_cameras(
    model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:  # fmt: skip
    """From PulseAudio at 48,000 to JACK at 44,100, to a card and a camera that are not there, all by OSC."""
    port = free_port()
    seen: list[Status] = []
    # When this was told, ask for that; at last there is sound again, and time for some of it.
    script = [("", "device", "system"), ("audio device: system", "device", "Theremin 3000"),
              ("no audio device matches", "camera", "missing"), ("no camera called missing", "", "")]  # fmt: skip

    def on_status(status: Status) -> None:
        seen.append(status)
        since = next((n for n, each in enumerate(reversed(seen)) if each.notice or each.rms < 0.3), 0)
        if not script or status.phase != "playing" or since < 7:  # not for a good second yet
            return
        told = [each.notice for each in seen if each.notice]
        after, where, what = script[0]
        if any(after in notice for notice in ("", *told)):
            del script[0]
            if where:
                send(port, packet(f"/livemove/{where}", what))
            else:
                os.kill(os.getpid(), signal.SIGINT)

    with Jack(rate=44100) as jack, Pulse() as pulse:
        use(jack, monkeypatch)
        use(pulse, monkeypatch)
        report = run_session(
            SessionConfig.of(
                model=model, monitor=False, device="pulse", output=tmp_path / "take.wav", duration_s=60.0,
                control=ControlConfig(osc=("127.0.0.1", port)),
            ),
            on_status,
        )  # fmt: skip
    with timed():
        assert not script, "a minute was not enough"
    notices = [status.notice for status in seen if status.notice]
    assert any(notice.startswith("audio device: system (JACK") for notice in notices)
    assert any("no audio device matches 'Theremin 3000'" in n and "; going on with system (JACK" in n for n in notices)
    assert any("no camera called missing" in n and n.endswith("; going on with camera 0") for n in notices)
    with timed():
        assert sum(report["restarts"].values()) == 0
    assert report["sample_rate"] == 44100
    with timed():
        assert seen[-2].rms > 0.3, "silent at the end"
    first, at_first = centred(tmp_path / "take.wav")
    second, at_second = centred(tmp_path / "take-002.wav")
    assert (at_first, at_second) == (48000, 44100)
    with timed():
        assert breaks(steady(first, at_first), at_first) <= counted(report)
    # The tone has its pitch at either rate; it is left and taken up once, for the card that was not there.
    with timed():
        assert breaks(steady(second, at_second), at_second) <= 2 + counted(report)
