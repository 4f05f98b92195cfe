"""What was named and is not there: the session starts without it, says so, and takes it when it comes.

Capture and synthesis are doubles where they are not what is tested; supervisor, shared memory, callback, PortAudio and
the servers are real.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from livemove.ipc.segment import Segment
from livemove.playback import playback_process
from livemove.playback.playback_process import Silence
from livemove.session.perform import Report, SessionConfig, Status, run_session
from tests.support.real_time import in_real_time, timed
from tests.support.servers import Jack
from tests.support.sessions import use

Step = tuple[Callable[[Status, list[str]], bool], Callable[[], object]]


def played(model: Path, script: list[Step], **options: object) -> tuple[Report, list[str], list[Status]]:
    """A session that goes through a script of (when, what then), each on a thread of its own, and ends behind it."""
    told: list[str] = []
    seen: list[Status] = []
    threads: list[threading.Thread] = []

    def on_status(status: Status) -> None:
        seen.append(status)
        if status.notice:
            told.append(status.notice)
        if status.phase != "playing" or any(thread.is_alive() for thread in threads):
            return
        if not script:
            os.kill(os.getpid(), signal.SIGINT)
        elif script[0][0](status, told):
            threads.append(threading.Thread(target=script.pop(0)[1]))
            threads[-1].start()

    report = run_session(SessionConfig.of(model=model, monitor=False, duration_s=90.0, **options), on_status)
    with timed():
        assert not script, "a minute and a half was not enough"
    return report, told, seen


def sounds(status: Status, _told: list[str]) -> bool:
    return status.rms > 0.3 and "JACK" in str(status.device)


@pytest.mark.usefixtures("doubles")
@in_real_time
def test_a_device_that_was_named_is_waited_for_and_taken_when_it_comes(
    model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """From the start, and after its server died: always that one, never another, and always said."""
    monkeypatch.setenv("PULSE_SERVER", "unix:/nonexistent")
    jack = Jack()
    use(jack, monkeypatch)
    name = "system (JACK Audio Connection Kit)"
    script: list[Step] = [
        (lambda status, _: status.device == "waiting for system" and status.rms > 0.3, jack.start),
        (sounds, jack.kill),
        (lambda status, _: status.device == f"waiting for {name}" and status.rms > 0.3, jack.start),
        (lambda status, told: sounds(status, told) and told[-1].startswith("audio device: "), lambda: None),
    ]
    try:
        report, told, seen = played(model, script, device="system", output=tmp_path / "x.wav")
    finally:
        jack.__exit__()
    assert {status.device for status in seen} <= {None, name, f"waiting for {name}", "waiting for system"}
    assert any("playing without sound until it is there: waiting for system" in line for line in told)
    assert [line for line in told if line.startswith("audio device: ")] == [f"audio device: {name}"] * 2
    assert report["restarts"]["synthesis"] == 0


def test_a_machine_that_slept_is_no_dead_stream(segment: Segment) -> None:
    """One look after an hour says nothing; that no callback comes while we look again and again does."""
    silence = Silence(segment)
    at_s = silence._looked_s + 3600.0
    assert silence.look(at_s) <= playback_process.SEEN_S
    for _ in range(round(playback_process.SILENT_STREAM_S / 0.02) + 1):
        at_s += 0.02
        silence.look(at_s)
    assert silence.seconds > playback_process.SILENT_STREAM_S
