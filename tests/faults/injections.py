"""What the rows of the fault matrix do to a performance. Each makes or takes a Performance; a float it returns is when.

In: a Performance. Out: harm. Knows nothing of what must come of it.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import soundfile

from livemove.contracts import Action, LivemoveError, Request
from livemove.controls import CONTROLS
from livemove.ipc.segment import now_s
from livemove.takes.reading import load_take
from tests.faults.performance import Performance
from tests.support.osc import packet
from tests.support.paths import ROOT, THEREMIN

Act = Callable[[Performance], object]


def nothing(show: Performance) -> None: ...


# --- processes ----------------------------------------------------------------------------------------------


def signals(role: str, number: int) -> Act:
    return lambda show: show.signal(role, number)


def everybody(number: int) -> Act:
    def act(show: Performance) -> None:
        show.remember_family()
        for pid in (show.process.pid, *(process.pid for process in show.family)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    return act


def engine_killed_again(show: Performance) -> None:
    for _ in range(3):
        pid = show.pid("synthesis")
        hops = show.segment.synthesis.hops
        show.signal("synthesis", signal.SIGKILL)
        if _ < 2:
            show.until(lambda pid=pid: show.pid("synthesis") not in (0, pid), 10.0, "another engine")
            show.until(lambda hops=hops: show.segment.synthesis.hops > hops + 20, 10.0, "its hops")


def all_but_playback_killed(show: Performance) -> None:
    for role in ("capture", "control", "synthesis"):
        show.signal(role, signal.SIGKILL)


def obeys(show: Performance) -> None:
    """A gain by OSC is obeyed, once control has had time to come back. Raises Unready."""

    def obeyed() -> bool:
        show.osc("/livemove/gain", 0.75)
        time.sleep(0.02)
        return abs(show.segment.controls.read().gain - 0.75) < 1e-3

    show.until(obeyed, 30.0, "OSC is obeyed")


def ended_by(number: int) -> Act:
    def act(show: Performance) -> None:
        show.remember_family()
        began_s = time.monotonic()
        show.process.send_signal(number)
        show.wait_for_end(began_s)

    return act


def group_interrupted(show: Performance) -> None:
    show.remember_family()
    began_s = time.monotonic()
    os.killpg(show.process.pid, signal.SIGINT)
    show.wait_for_end(began_s)


def everybody_killed(show: Performance) -> None:
    show.remember_family()
    began_s = time.monotonic()
    os.killpg(show.process.pid, signal.SIGKILL)
    show.wait_for_end(began_s)


def next_start_is_clean(show: Performance) -> bool:
    """What nobody could tidy up any more, the next start does, once it is no longer young."""
    time.sleep(11.0)
    done = subprocess.run(
        [sys.executable, "-m", "livemove.cli", "perform", "--camera", "demo", "-o", "after.wav", "--duration", "1",
         "--no-monitor"],
        cwd=show.folder, env={**show.environment, "PULSE_SERVER": "unix:/nonexistent"}, capture_output=True, timeout=60,
    )  # fmt: skip
    return done.returncode == 0 and b"Traceback" not in done.stderr


# --- panic --------------------------------------------------------------------------------------------------


def panic_by_osc(show: Performance) -> float:
    began_s = now_s()
    show.osc("/livemove/panic")
    return began_s


def panic_alone(show: Performance) -> float:
    show.signal("supervisor", signal.SIGSTOP)
    show.signal("capture", signal.SIGKILL)
    show.signal("control", signal.SIGKILL)
    began_s = now_s()
    show.segment.requests.ask(Request(Action.PANIC))
    return began_s


def panic_in_a_flood(show: Performance) -> float:
    _flooding(show, 2.0)
    time.sleep(1.0)
    return panic_by_osc(show)


# --- sound servers ------------------------------------------------------------------------------------------


def server_killed(show: Performance) -> None:
    assert show.server is not None
    show.server.kill()


def server_back(show: Performance) -> float:
    assert show.server is not None
    assert show.ear is not None
    if hasattr(show.server, "socket"):
        show.server.socket.unlink(missing_ok=True)
    held = hasattr(show.server, "period")
    if held:  # JACK: who comes late begins to hear in the middle of a tone, which is a click of ours
        show.signal("playback", signal.SIGSTOP)
    try:
        show.server.start()
        show.ear.start()
    finally:
        if held:
            show.signal("playback", signal.SIGCONT)
    return now_s()


def server_signal(number: int) -> Act:
    def act(show: Performance) -> None:
        assert show.server is not None
        assert show.server.process is not None
        show.server.process.send_signal(number)

    return act


def _pactl(show: Performance, *words: str) -> None:
    subprocess.run(["pactl", *words], env=show.environment, check=True, stdout=subprocess.DEVNULL)


def sink_unloaded(show: Performance) -> None:
    _pactl(show, "unload-module", "module-null-sink")


def sink_loaded(show: Performance) -> float:
    assert show.ear is not None
    options = ("sink_name=lm", "rate=48000", "channels=2", "norewinds=1", "format=float32le")
    _pactl(show, "load-module", "module-null-sink", *options)
    _pactl(show, "set-default-sink", "lm")
    show.ear.start()
    return now_s()


# --- cameras and videos -------------------------------------------------------------------------------------


def camera(mode: str) -> Act:
    def act(show: Performance) -> None:
        assert show.camera is not None
        show.camera.mode = mode

    return act


def camera_black(show: Performance) -> None:
    assert show.camera is not None
    show.camera.seen, show.camera.draw = show.camera.draw, lambda: np.zeros((240, 320, 3), np.uint8)  # type: ignore[attr-defined]


def camera_slow(show: Performance) -> None:
    assert show.camera is not None
    show.camera.fps = 1.0


def camera_small(show: Performance) -> None:
    assert show.camera is not None
    draw = show.camera.draw
    show.camera.draw = lambda: np.ascontiguousarray(draw()[::2, ::2])


def camera_as_before(show: Performance) -> None:
    assert show.camera is not None
    show.camera.draw = getattr(show.camera, "seen", show.camera.draw)
    show.camera.fps = 25.0


def a_video(folder: Path) -> tuple[str, ...]:
    """--camera of the real dancer's first seconds, a copy that may be harmed."""
    from tests.support.material import fetch_dancer

    shutil.copyfile(fetch_dancer(), folder / "video.avi")
    return ("--camera", "video.avi")


def video_cut_short(show: Performance) -> None:
    video = show.folder / "video.avi"
    os.truncate(video, video.stat().st_size // 40)


def video_deleted(show: Performance) -> None:
    (show.folder / "video.avi").unlink()


# --- resources ----------------------------------------------------------------------------------------------


def disk_full(show: Performance) -> None:
    """Nothing of the supervisor's may grow beyond the largest file there is and 64 KiB."""
    largest = max(path.stat().st_size for path in show.folder.rglob("*.wav"))
    resource.prlimit(show.process.pid, resource.RLIMIT_FSIZE, (largest + (1 << 16), resource.RLIM_INFINITY))


def wav_readable(show: Performance) -> bool:
    return len(soundfile.read(show.folder / "played.wav")[0]) > 48000


def takes_readable(show: Performance) -> bool:
    with contextlib.suppress(LivemoveError):
        return all(load_take(path).samples > 48000 for path in (show.folder / "takes").iterdir())
    return False


def deleted(name: str) -> Act:
    def act(show: Performance) -> None:
        path = show.folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return act


def no_memory(role: str) -> Act:
    def act(show: Performance) -> None:
        pid = show.pid(role)
        size = psutil.Process(pid).memory_info().vms
        resource.prlimit(pid, resource.RLIMIT_AS, (size + (1 << 20), resource.RLIM_INFINITY))

    return act


def no_files(show: Performance) -> None:
    pid = show.process.pid
    lowest = max(int(each) for each in os.listdir(f"/proc/{pid}/fd")) + 1
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    show.signal("capture", signal.SIGKILL)


def files_again(show: Performance) -> None:
    resource.prlimit(show.process.pid, resource.RLIMIT_NOFILE, resource.getrlimit(resource.RLIMIT_NOFILE))
    captures(show)


def captures(show: Performance) -> None:
    """Raises Unready if capture does not look at frames again."""
    before = show.segment.capture.frames_used
    show.until(lambda: show.segment.capture.frames_used > before + 10, 30.0, "capture")


def busy(show: Performance) -> None:
    work = "import time\nend = time.monotonic() + 3\nwhile time.monotonic() < end: pass"
    for _ in range((os.cpu_count() or 1) + 1):
        process = subprocess.Popen([sys.executable, "-S", "-c", work])
        show.cleanup.callback(process.wait)
        show.cleanup.callback(process.kill)


def a_model(folder: Path) -> tuple[str, ...]:
    """--model, a copy that may be harmed."""
    shutil.copytree(THEREMIN, folder / "copy")
    return ("--model", "copy")


def model_deleted(show: Performance) -> None:
    (show.folder / "copy").rename(show.folder / "away")
    show.signal("synthesis", signal.SIGKILL)


def model_back(show: Performance) -> None:
    (show.folder / "away").rename(show.folder / "copy")


def mapping_broken(show: Performance) -> None:
    show.mapping.write_text("[channels.pitch\nsource = nan")
    show.osc("/livemove/reload")


def temporary_gone(show: Performance) -> None:
    shutil.rmtree(show.temporary)
    show.signal("capture", signal.SIGKILL)


# --- numbers ------------------------------------------------------------------------------------------------


def _flooding(show: Performance, seconds: float) -> None:
    """In a thread: 20,000 packets a second to controls and inputs, in gulps of 40."""
    kinds = [packet("/livemove/gain", 0.9), packet("/livemove/temperature", 1.0), packet("/brightness", 0.5)]
    kinds += [packet("/livemove/nobody", 1.0), packet("/livemove/octave/by", 0)]

    def flood() -> None:
        end_s = time.monotonic() + seconds
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while time.monotonic() < end_s:
                for each in kinds * 8:
                    with contextlib.suppress(OSError):
                        sender.sendto(each, ("127.0.0.1", show.port))
                time.sleep(0.002)

    thread = threading.Thread(target=flood, daemon=True)
    thread.start()
    show.cleanup.callback(thread.join)


def flood(show: Performance) -> None:
    _flooding(show, 3.0)


NO_NUMBERS = (float("nan"), float("inf"), float("-inf"), 1e308, -1e308, "nan", "1e999", "", b"\0\xff", True, -(2**31))
NUMERIC = ("gain", "gain_db", "temperature", "look_ahead", "octave", "style", "styles", "style_1", "scale", "root")


def bad_numbers(show: Performance) -> None:
    assert set(NUMERIC) - {"gain_db", "styles"} <= set(CONTROLS)
    addresses = [f"/livemove/{name}{by}" for name in NUMERIC for by in ("", "/by")]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for address in (*addresses, "/brightness"):
            for value in NO_NUMBERS:
                with contextlib.suppress(struct.error, OverflowError):
                    whole = packet(address, value)
                    for cut in (len(whole), len(whole) // 2, len(whole) - 2):
                        sender.sendto(whole[:cut], ("127.0.0.1", show.port))
                time.sleep(0.001)
    # What of it is a number within limits is obeyed: put back what is heard.
    for name, value in (("gain", 1.0), ("temperature", 1.0), ("octave", 0), ("scale", 0), ("root", 0)):
        show.osc(f"/livemove/{name}", value)


KEYBOARD = """
import sys, time, rtmidi
port = rtmidi.MidiOut(rtmidi.API_UNIX_JACK, name="keyboard")
port.open_virtual_port("keyboard")
print("ready", flush=True)
sys.stdin.readline()
end = time.monotonic() + 3
at = 0
while time.monotonic() < end:
    for _ in range(6):
        at += 1
        port.send_message([0xB0, 1 + at % 60, at % 128] if at % 3 else [0x90, at % 128, at % 128])
    time.sleep(0.002)
print("done", flush=True)
time.sleep(60)
"""


def keyboard(show: Performance) -> None:
    """A MIDI keyboard on the JACK server: a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", KEYBOARD], env=show.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True, cwd=ROOT,
    )  # fmt: skip
    show.cleanup.callback(process.wait)
    show.cleanup.callback(process.kill)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "ready", "rtmidi cannot open a port on JACK"
    show.keyboard = process


def midi_flood(show: Performance) -> None:
    assert show.keyboard is not None
    assert show.keyboard.stdin is not None
    show.keyboard.stdin.write("go\n")
    show.keyboard.stdin.flush()


def keyboard_gone(show: Performance) -> None:
    assert show.keyboard is not None
    show.keyboard.kill()


def nan_in_the_ring(show: Performance) -> None:
    """As an engine would write it: while ours stands still, so that the ring has one producer."""
    show.signal("synthesis", signal.SIGSTOP)
    bad = np.tile(np.array([np.nan, np.inf, -np.inf, np.nan], np.float32), 64)
    for _ in range(2):
        show.segment.ring.write(bad)
    show.signal("synthesis", signal.SIGCONT)


def counted_nonfinite(show: Performance) -> bool:
    return show.report.get("nonfinite_samples", 0) > 0


def nan_in_controls(show: Performance) -> None:
    before = show.segment.controls.read()
    for value in (float("nan"), float("inf"), float("-inf"), 1e38):
        show.segment.controls.write(replace(before, gain=value, temperature=value, look_ahead_s=value))
        time.sleep(0.3)
    show.segment.controls.write(before)
