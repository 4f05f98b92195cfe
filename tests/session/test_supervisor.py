"""One child and its supervisor: what must not be waited for."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import pytest

from livemove.contracts import Action, LivemoveError, Request
from livemove.ipc.segment import Segment, State
from livemove.session import supervisor
from livemove.session.supervisor import Child, Log


class Stuck:
    """A process that the system cannot end yet: a driver holds it."""

    exitcode = None
    killed = joined_s = 0.0

    def is_alive(self) -> bool:
        return True

    def kill(self) -> None:
        self.killed += 1

    def join(self, timeout: float | None = None) -> None:
        self.joined_s += timeout or 0.0
        time.sleep(timeout or 0.0)


def test_a_child_that_the_system_cannot_end_holds_nobody_up(segment: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    """It hung and is killed: the loop that decides on mute and panic goes on at once."""
    with Log() as log:
        child = Child("synthesis", segment, None, log)
        process = Stuck()
        child.process = process  # type: ignore[assignment]
        child.process_state.running("sine")
        assert child.watch() is None
        clock_s = since_s = child._looked_s  # pyright: ignore[reportPrivateUsage]
        monkeypatch.setattr(supervisor, "now_s", lambda: clock_s)
        while clock_s < since_s + supervisor.HANG_S:  # 4.98 s are seen: a sum of hundredths is never on the bound
            assert child.watch() is None
            clock_s += 0.6 * supervisor.SEEN_S
        clock_s += 2 * supervisor.SEEN_S
        assert process.killed == 0
        began_s = time.monotonic()
        notice = child.watch()
        assert time.monotonic() - began_s < 0.2
        assert process.killed == 1
        assert process.joined_s <= 0.05
        joined_s = process.joined_s
        assert notice is not None
        assert "hung" in notice
        child.join(0.0)
        assert process.joined_s > joined_s, "at the end of the session it is waited for, a little"


def test_what_says_something_about_other_fields_is_seen_after_them(segment: Segment) -> None:
    """Published and observed, whatever the processor: state, stop, remarks and panics come out as they went in."""
    state = segment.processes["capture"]
    state.running("demo")
    state.remark("one")
    state.remark("two")
    assert (state.state, state.label, state.remarks) == (State.RUNNING, "demo", (2, "two"))
    assert segment.external_inputs.want("osc:/a") == 0
    assert segment.external_inputs.wanted == ("osc:/a",)
    segment.set_device_rate(44100.5)
    assert segment.device_rate == 44100.5
    segment.request_stop()
    assert segment.stop_requested
    segment.requests.ask(Request(Action.PANIC))
    assert segment.wait_asked(0.0)
    assert segment.requests.take() == Request(Action.PANIC, 1.0)
    assert not segment.wait_asked(0.0)


def test_a_log_that_somebody_tidied_up_is_a_line_and_not_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A temporary folder may be cleaned while it plays; a child that crashes then is started again all the same."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with Log() as log:
        shutil.rmtree(temporary)
        assert log.keep() == "its log is gone: No such file or directory"
        temporary.mkdir()
        log.path.write_text("what went wrong\n")
        assert log.keep().startswith("what went wrong (all of it: ")


def test_a_system_without_room_for_a_process_is_asked_again(segment: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    """On stage; before it has run once, it is the session's error."""

    class NoRoom:
        def __init__(self, **_: object) -> None: ...

        def start(self) -> None:
            raise OSError(24, "Too many open files")

    class Context:
        Process = NoRoom

    monkeypatch.setattr("livemove.session.supervisor.multiprocessing.get_context", lambda _: Context)
    with Log() as log:
        child = Child("capture", segment, None, log)
        with pytest.raises(LivemoveError, match="the capture process cannot be started: Too many open files"):
            child.start()
        child._has_run = True
        child.start()
        assert child.process is None
        assert child.watch() is None
        assert child.restarts == 0, "not at once"
        child._retry_s = 0.0
        assert child.watch() is None
        assert child.restarts == 1
