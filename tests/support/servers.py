"""Real sound servers for the tests: JACK with its dummy driver, PulseAudio with a null sink. Ended by pid.

Each has a name of its own, so that test runs side by side do not meet. Output goes to files: a pipe nobody reads hangs.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psutil


def _end(process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGTERM) -> None:
    if process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


REGISTRY = Path("/dev/shm/jack-shm-registry")
"""Where JACK's servers enter themselves. It has room for eight, and who was killed stays in it."""


def _another_jack() -> bool:
    """Whether a JACK server lives anywhere on this machine."""
    return any(process.info["name"] in ("jackd", "jackdbus") for process in psutil.process_iter(["name"]))


class Jack:
    """`with Jack() as jack:` a JACK server; `jack.environment` is what its clients need."""

    def __init__(self, rate: int = 48000, period: int = 512) -> None:
        self.name = f"livemove-{os.getpid()}-{time.monotonic_ns() % 1_000_000}"
        self.rate = rate
        self.period = period
        self.environment = {"JACK_DEFAULT_SERVER": self.name, "JACK_NO_AUDIO_RESERVATION": "1"}
        self._folder = Path(tempfile.mkdtemp(prefix="livemove-jack-"))
        self._recording: subprocess.Popen[bytes] | None = None
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if not self._comes_up() and "Too many servers" in self._said() and not _another_jack():
            REGISTRY.unlink(missing_ok=True)
            self._comes_up()
        assert self.process is not None
        assert self.process.poll() is None, f"jackd does not start:\n{self._said()}"
        subprocess.run(
            ["jack_wait", "-s", self.name, "-w", "-t", "10"],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _comes_up(self) -> bool:
        """Whether it lives for half a second: what keeps it from starting it finds out at once."""
        command = [
            "jackd",
            "-n",
            self.name,
            "-R",
            "-P",
            "70",
            "-d",
            "dummy",
            "-r",
            str(self.rate),
            "-p",
            str(self.period),
        ]
        with (self._folder / "jackd.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self.process.wait(0.5)
        except subprocess.TimeoutExpired:
            return True
        return False

    def _said(self) -> str:
        return (self._folder / "jackd.log").read_text(errors="replace")

    def kill(self) -> None:
        """As a crash would."""
        assert self.process is not None
        _end(self.process, signal.SIGKILL)

    def record(self, path: Path, seconds: int, ports: tuple[str, ...] = ("PortAudio:out_0", "PortAudio:out_1")) -> None:
        """Start recording client ports to a WAV; `recorded` waits for its end."""
        environment = {**os.environ, **self.environment}
        with (self._folder / "jack_rec.log").open("ab") as log:
            self._recording = subprocess.Popen(
                ["jack_rec", "-f", str(path), "-d", str(seconds), "-b", "24", *ports],
                env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def recorded(self, timeout_s: float) -> None:
        assert self._recording is not None
        assert self._recording.wait(timeout_s) == 0, (self._folder / "jack_rec.log").read_text()

    def __enter__(self) -> Jack:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._recording is not None:
            _end(self._recording)
        if self.process is not None:
            _end(self.process)
        shutil.rmtree(self._folder, ignore_errors=True)


class Pulse:
    """`with Pulse() as pulse:` a PulseAudio server with one null sink, `lm`; clients need `pulse.environment`."""

    def __init__(self, rate: int = 48000) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="livemove-pulse-"))
        self.rate = rate
        self.socket = self._folder / "native"
        self.environment = {
            "PULSE_SERVER": f"unix:{self.socket}",
            "PULSE_RUNTIME_PATH": str(self._folder),
            "PULSE_STATE_PATH": str(self._folder),
            "PULSE_COOKIE": str(self._folder / "cookie"),
            "XDG_RUNTIME_DIR": str(self._folder),
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        script = self._folder / "pa.pa"
        script.write_text(
            f"load-module module-null-sink sink_name=lm rate={self.rate} channels=2 norewinds=1 format=float32le\n"
            f"load-module module-native-protocol-unix auth-anonymous=1 socket={self.socket}\n"
            "set-default-sink lm\nset-default-source lm.monitor\n"
        )
        command = [
            "pulseaudio", "-n", "-F", str(script), "--daemonize=no", "--exit-idle-time=-1", "--disallow-exit",
            "--use-pid-file=no", "--realtime=no", "--high-priority=no",
        ]  # fmt: skip
        with (self._folder / "pulse.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env={**os.environ, **self.environment}, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 10
        while not self.socket.exists():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError(f"pulseaudio did not start: {(self._folder / 'pulse.log').read_text()}")
            time.sleep(0.02)

    def kill(self) -> None:
        assert self.process is not None
        _end(self.process, signal.SIGKILL)

    def __enter__(self) -> Pulse:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            _end(self.process)
        shutil.rmtree(self._folder, ignore_errors=True)
