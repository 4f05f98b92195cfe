"""Whole sessions on real sound servers: played without a gap, and survivors of everything that dies under them.

Capture and synthesis are doubles (a steady sine), so that any gap can be measured; supervisor, shared memory, callback,
PortAudio and the servers are real. What the real capture and synthesis do together is in tests/synthesis.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile

from livemove.contracts import CameraError, DeviceError, LivemoveError, OutputError
from livemove.session import supervisor
from tests.support.gaps import breaks, counted, steady
from tests.support.paths import ROOT
from tests.support.real_time import in_real_time, timed
from tests.support.servers import Jack, Pulse
from tests.support.sessions import perform, use
from tests.support.stereo import centred

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sound servers of these tests are Linux's")


PROMISED = {
    *("engine", "model", "seconds", "sample_rate", "block", "device", "frames_seen", "poses", "pose_fps"),
    *(
        "pose_ms",
        "hops",
        "generate_realtime",
        "ring_starvations",
        "late_callbacks",
        "portaudio_underflows",
        "nonfinite_samples",
    ),
    *(
        "limiter_hits",
        "camera_faults",
        "restarts",
        "take_overs",
        "failed_engines",
        "motion_to_sound_ms",
        "lag_ms",
        "first_sound_s",
    ),
}


def pids() -> dict[str, int]:
    """Role -> pid is not told by the session: the order of birth tells it."""
    spawned = [c for c in psutil.Process().children() if "--multiprocessing-fork" in c.cmdline()]
    return dict(zip(("capture", "synthesis", "playback"), sorted(c.pid for c in spawned), strict=False))


@pytest.mark.usefixtures("doubles")
@in_real_time
def test_what_jack_hears_has_no_gap_and_nothing_above_one(
    model: Path, jack: Jack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use(jack, monkeypatch)
    wav, take = tmp_path / "heard.wav", tmp_path / "take.wav"
    report, seen = perform(model, {0.5: lambda _: jack.record(wav, 3)}, duration_s=4.5, output=take)
    jack.recorded(10)
    heard, rate = soundfile.read(wav, dtype="float32")
    assert np.abs(heard).max() <= 1.0
    assert np.abs(heard[:, 0] - heard[:, 1]).max() == 0.0
    with timed():
        assert breaks(steady(heard[:, 0], rate), rate) <= counted(report)
    assert "JACK" in str(seen[-1].device)

    # What is written is what was played.
    taken, rate = centred(take)
    with timed():
        assert abs(len(taken) / rate - report["seconds"]) < 0.3
        assert breaks(steady(taken, rate), rate) <= counted(report)
        assert abs(taken[-1]) < 1e-3


@pytest.mark.usefixtures("doubles", "silent_house")
@in_real_time
def test_the_report_has_exactly_what_was_promised(model: Path, tmp_path: Path) -> None:
    report, _ = perform(model, duration_s=2.0, output=tmp_path / "take.wav")
    assert set(json.loads(json.dumps(report))) == PROMISED
    with timed():
        assert report["engine"] == "sine"
        assert report["model"] == "small"
        assert 2.0 <= report["seconds"] < 2.5
        assert report["pose_fps"] is not None
        assert 20 < report["pose_fps"] < 31
        assert report["pose_ms"] == {"p50": 20.25, "p95": 20.25}
        assert report["motion_to_sound_ms"]["p50"] is not None
        assert report["restarts"] == {"capture": 0, "synthesis": 0, "playback": 0, "monitor": 0}
        assert report["first_sound_s"] is not None


@pytest.mark.usefixtures("doubles", "silent_house")
@in_real_time
def test_a_take_needs_no_sound_card(model: Path, tmp_path: Path) -> None:
    take = tmp_path / "take.wav"
    report, _ = perform(model, duration_s=2.0, output=take)
    x, rate = centred(take)
    assert rate == 48000
    with timed():
        assert abs(len(x) / rate - report["seconds"]) < 0.3
        assert breaks(steady(x, rate), rate) <= counted(report)


@pytest.mark.usefixtures("doubles", "silent_house")
@in_real_time
def test_the_end_of_a_film_is_the_end(model: Path, tmp_path: Path) -> None:
    report, _ = perform(model, camera="film", output=tmp_path / "take.wav", play=False)
    with timed():
        assert report["seconds"] < 2.0
        assert report["poses"] > 15


@pytest.mark.usefixtures("doubles")
@pytest.mark.parametrize("role", ["capture", "synthesis", "playback"])
@in_real_time
def test_a_killed_child_is_replaced_and_the_sound_goes_on(
    role: str, model: Path, jack: Jack, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(jack, monkeypatch)
    report, seen = perform(model, {0.5: lambda _: os.kill(pids()[role], signal.SIGKILL)}, duration_s=4.5)
    with timed():
        assert report["restarts"] == {name: int(name == role) for name in report["restarts"]}
        assert seen[-2].rms > 0.3, "silent at the end"
    assert any(status.notice and role in status.notice for status in seen)


@pytest.mark.usefixtures("doubles", "silent_house")
@in_real_time
def test_a_hung_child_is_replaced(model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(supervisor, "HANG_S", 1.0)
    take = tmp_path / "take.wav"
    stop = {0.3: lambda _: os.kill(pids()["synthesis"], signal.SIGSTOP)}
    report, _ = perform(model, stop, duration_s=4.0, output=take)
    with timed():
        assert report["restarts"]["synthesis"] == 1
        assert report["ring_starvations"] >= 1
        assert breaks(steady(*centred(take)), 48000) >= 1


@pytest.mark.usefixtures("doubles")
@in_real_time
def test_the_death_of_the_sound_server_is_survived(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing hangs, playback is tried again and again, and plays once a server is back."""
    with Jack() as jack:
        use(jack, monkeypatch)
        began = time.monotonic()
        report, seen = perform(model, {0.5: lambda _: jack.kill(), 2.5: lambda _: jack.start()}, duration_s=9.0)
        with timed():
            assert time.monotonic() - began < 20
    with timed():
        assert report["restarts"]["playback"] >= 1
        assert report["restarts"]["synthesis"] == report["restarts"]["capture"] == 0
        assert seen[-2].rms > 0.3, "silent at the end"


@pytest.mark.usefixtures("doubles")
@in_real_time
def test_a_session_takes_the_rate_of_its_device(model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Playback, synthesis and recorder agree on it; the resampling itself is tested in tests/synthesis."""
    take = tmp_path / "take.wav"
    with Jack(rate=44100) as jack:
        use(jack, monkeypatch)
        report, _ = perform(model, duration_s=2.0, output=take)
    x, rate = centred(take)
    assert report["sample_rate"] == rate == 44100
    with timed():
        assert breaks(steady(x, rate), rate) <= counted(report)


@pytest.mark.usefixtures("doubles")
@in_real_time
def test_pulseaudio_hears_it_too(model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    raw = tmp_path / "heard.f32"
    with Pulse() as pulse, raw.open("wb") as sink:
        use(pulse, monkeypatch)
        monkeypatch.setenv("JACK_DEFAULT_SERVER", "livemove-nobody")
        command = ["parec", "-d", "lm.monitor", "--format=float32le", "--rate=48000", "--channels=2", "--raw"]
        recording = subprocess.Popen(command, stdout=sink, stderr=subprocess.DEVNULL)
        report, _ = perform(model, duration_s=3.0)
        recording.terminate()
        recording.wait()
    heard = np.fromfile(raw, np.float32)
    heard = heard[: len(heard) // 2 * 2].reshape(-1, 2)[:, 0]
    assert np.abs(heard).max() <= 1.0
    with timed():
        assert breaks(steady(heard, 48000), 48000) <= counted(report)


# --- errors of the user ------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("doubles", "silent_house")
def test_no_audio_device_is_one_line_that_names_the_way_on(model: Path) -> None:
    with pytest.raises(DeviceError, match=r"--output take\.wav"):
        perform(model)


@pytest.mark.usefixtures("doubles")
def test_a_rate_the_device_refuses_is_named_with_one_it_takes(
    model: Path, jack: Jack, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(jack, monkeypatch)
    with pytest.raises(DeviceError, match="refuses 22050 samples per second: try --samplerate 48000"):
        perform(model, samplerate=22050)


@pytest.mark.usefixtures("doubles", "silent_house")
@pytest.mark.parametrize("name", ["missing/take.wav", "take.mp3", "folder.wav"])
def test_an_unwritable_output_is_named_before_anything_starts(name: str, model: Path, tmp_path: Path) -> None:
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(OutputError, match=name):
        perform(model, output=tmp_path / name)
    assert not pids()


@pytest.mark.usefixtures("doubles", "silent_house")
def test_a_childs_error_is_the_sessions_error(model: Path, tmp_path: Path) -> None:
    with pytest.raises(CameraError, match=r"^no camera called missing: try --camera demo$"):
        perform(model, camera="missing", output=tmp_path / "take.wav")
    assert not pids()


@pytest.mark.usefixtures("doubles", "silent_house")
def test_a_childs_crash_at_the_start_names_it_and_its_log(model: Path, tmp_path: Path) -> None:
    with pytest.raises(LivemoveError, match=r"capture process died.*ZeroDivisionError: a mistake of ours") as caught:
        perform(model, camera="broken", output=tmp_path / "take.wav")
    log = Path(str(caught.value).rsplit("all of it: ", 1)[1].rstrip(")"))
    assert "Traceback" in log.read_text()
    log.unlink()


# --- signals and the death of the supervisor ---------------------------------------------------------------------

SCRIPT = """
import json, sys
from pathlib import Path
from livemove.session import supervisor
from livemove.session import perform
supervisor.MODULES.update(capture="tests.support.double_capture", synthesis="tests.support.double_synthesis")
def tell(status):
    if status.phase == "playing":
        print("playing", flush=True)
config = perform.SessionConfig.of(model=Path(sys.argv[1]), output=Path(sys.argv[2]), play=False, monitor=False)
print(json.dumps(perform.run_session(config, tell)))
"""


@pytest.fixture
def performing(model: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A session in a process of its own, in a process group of its own as under a terminal, once it plays."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(model), str(tmp_path / "take.wav")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "playing\n", process.stderr and process.stderr.read()
    yield process
    process.kill()
    process.communicate()


def segments(of: list[psutil.Process]) -> set[str]:
    """Shared memory these processes have mapped."""
    return {Path(m.path).name for p in of for m in p.memory_maps() if m.path.startswith("/dev/shm/livemove-")}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("everybody", [True, False], ids=["group", "supervisor"])
def test_a_signal_ends_it_cleanly(
    number: signal.Signals, everybody: bool, performing: subprocess.Popen[str], tmp_path: Path
) -> None:
    """Ctrl-C reaches the whole group, `kill` the supervisor alone: either way a fade, a report, and nothing left."""
    family = psutil.Process(performing.pid).children(recursive=True)
    names = segments([psutil.Process(performing.pid)])
    assert names
    if everybody:
        os.killpg(performing.pid, number)
    else:
        performing.send_signal(number)
    out, err = performing.communicate(timeout=60)
    assert performing.returncode == 0
    assert err == ""
    assert json.loads(out.splitlines()[-1])["restarts"] == {"capture": 0, "synthesis": 0, "playback": 0, "monitor": 0}
    assert psutil.wait_procs(family, timeout=30)[1] == []
    assert not any((Path("/dev/shm") / name).exists() for name in names)
    take, _ = centred(tmp_path / "take.wav")
    assert abs(take[-1]) < 1e-3


def test_nobody_outlives_a_killed_supervisor(performing: subprocess.Popen[str]) -> None:
    family = psutil.Process(performing.pid).children(recursive=True)
    names = segments([psutil.Process(performing.pid)])
    performing.kill()
    assert psutil.wait_procs(family, timeout=30)[1] == []
    assert not any((Path("/dev/shm") / name).exists() for name in names)
