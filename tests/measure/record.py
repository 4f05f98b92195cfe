"""How far image and sound of a take are apart: `python -m tests.measure.record [--seconds 20] [--mic]`.

In: a network camera whose images tell when they were sent, a song of clicks, a server whose output is recorded with
the time at which each sample came. Out: for each click, the time in the image of the take minus the time at which the
sound server let the click out.

What it sees: everything between the camera's socket and the file, and between the sound server and the file. An image
counts from being sent, so transport and JPEG (some ms) are in it; a camera's exposure and an audio device's converters
are not. PulseAudio's null sink lets samples out in blocks that begin up to LATENCY_MS early: so much is uncertain.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import av
import numpy as np
import soundfile

from tests.support.mjpeg import NetworkCamera
from tests.support.servers import Pulse
from tests.support.videos import RATE, clicks

BARS = 24
TICK_S = 1e-4
LATENCY_MS = 5
"""Of parec: the null sink then works in blocks of so much."""


# --- images that tell the time ------------------------------------------------------------------------------


def draw_time() -> np.ndarray:
    """uint8 [96, 192, 3]: time.monotonic() as 24 bars, black 0, white 1, in units of TICK_S; it wraps after 28 min."""
    bits = round(time.monotonic() / TICK_S) >> np.arange(BARS) & 1
    return np.ascontiguousarray(np.broadcast_to((255 * bits).astype(np.uint8).repeat(8)[None, :, None], (96, 192, 3)))


def read_time(image: np.ndarray) -> float:
    """What draw_time drew, as it is nearest to now."""
    bits = image[..., 0].reshape(image.shape[0], BARS, -1)[:, :, 2:-2].mean(axis=(0, 2)) > 127
    ticks = int((bits.astype(np.int64) << np.arange(BARS)).sum())
    now = round(time.monotonic() / TICK_S)
    return (now - (now - ticks) % (1 << BARS)) * TICK_S


def camera_that_tells_the_time(fps: float = 30.0) -> NetworkCamera:
    return NetworkCamera(draw=draw_time, fps=fps)


# --- what the server lets out ---------------------------------------------------------------------------------


class Listener:
    """parec on the null sink's monitor, and when each chunk of it came."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            ["parec", "-d", "lm.monitor", "--format=float32le", f"--rate={RATE}", "--channels=1", "--raw",
             f"--latency-msec={LATENCY_MS}"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment,
        )  # fmt: skip
        self._chunks: list[tuple[float, np.ndarray]] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        pipe: IO[bytes] | None = self._process.stdout
        assert pipe is not None
        while content := os.read(pipe.fileno(), 1 << 16):
            self._chunks.append((time.monotonic(), np.frombuffer(content, np.float32)))

    def stop(self) -> tuple[np.ndarray, np.ndarray]:
        """float32 [samples], and of each sample the time it was let out, as far as can be known."""
        self._process.terminate()
        self._process.wait()
        self._thread.join()
        sound = np.concatenate([chunk for _, chunk in self._chunks])
        begin = np.cumsum([0, *(len(chunk) for _, chunk in self._chunks)])[:-1] / RATE
        late = np.array([time_s for time_s, _ in self._chunks]) - begin
        # A chunk may come late, never early: the earliest within two seconds is right.
        near = [late[np.abs(begin - at) < 1.0].min() for at in begin]
        place = np.arange(len(sound)) / RATE
        return sound, place + np.interp(place, begin, near)


def onsets(sound: np.ndarray) -> np.ndarray:
    """Numbers of the samples at which it becomes loud after a silence of 50 ms."""
    loud = np.flatnonzero(np.abs(sound) > 0.02)
    return loud[np.diff(loud, prepend=-RATE) > 0.05 * RATE]


# --- the measurement ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Alignment:
    """In seconds, one of each per click. Positive: the image of that moment stands too early in the take."""

    errors: np.ndarray
    images: int

    def __str__(self) -> str:
        low, middle, high = 1e3 * np.percentile(self.errors, [0, 50, 100])
        return (
            f"{len(self.errors)} clicks, {self.images} images: image ahead of sound by {middle:.1f} ms (median), "
            f"{low:.1f} to {high:.1f} ms"
        )


def song_of_clicks(path: Path, seconds: float) -> Path:
    """A click every half second or so, never twice at the same distance."""
    at_s = np.cumsum(np.random.default_rng(0).uniform(0.4, 0.6, round(2 * seconds)))
    soundfile.write(path, clicks(seconds, [s for s in at_s if s < seconds - 0.1]), RATE)
    return path


def alignment(take: Path, heard: np.ndarray, heard_s: np.ndarray) -> Alignment:
    """Of a take of a song of clicks, filmed by the camera that tells the time, and what the server let out."""
    with av.open(str(take)) as container:
        images = [(f.time, read_time(f.to_ndarray(format="rgb24"))) for f in container.decode(video=0)]
    with av.open(str(take)) as container:
        rate = container.streams.audio[0].rate
        sound = np.concatenate([f.to_ndarray() for f in container.decode(audio=0)], axis=1)[0] / 32768
    file_s, sent_s = np.array(images).T
    in_file, let_out = onsets(sound) / rate, heard_s[onsets(heard)]
    in_file = in_file[(in_file > file_s[0]) & (in_file < file_s[-1])]
    seen_s = np.interp(in_file, file_s, sent_s)
    errors = seen_s[:, None] - let_out
    return Alignment(errors[np.arange(len(errors)), np.abs(errors).argmin(axis=1)], len(images))


def measure(folder: Path, seconds: float, environment: dict[str, str], *options: str, mic: bool = False) -> Alignment:
    """Record a take with `livemove record` and look at it. mic: another program plays, the null sink is the microphone.

    Clicks are matched to the nearest: an error of more than 0.2 s looks like a wide spread.
    """
    song = song_of_clicks(folder / "clicks.wav", seconds)
    source = ["--mic", "--duration", str(seconds / 2)] if mic else ["--sound", str(song)]
    with camera_that_tells_the_time() as camera:
        command = ["record", str(folder), "--camera", camera.url, "--name", "take", "--no-monitor", *source, *options]
        listener = Listener(environment)
        other = subprocess.Popen(["paplay", str(song)], env=environment) if mic else None
        done = subprocess.run(
            [sys.executable, "-m", "livemove.cli", *command], env=environment, capture_output=True, text=True
        )
        if other:
            other.terminate()
            other.wait()
        heard, heard_s = listener.stop()
    assert done.returncode == 0, done.stderr
    return alignment(folder / "take.mp4", heard, heard_s)


if __name__ == "__main__":
    import tempfile

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--camera-delay", default="0")
    parser.add_argument("--mic", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Pulse() as pulse:
        environment = {**os.environ, **pulse.environment, "JACK_NO_START_SERVER": "1", "JACK_DEFAULT_SERVER": "none"}
        options = "--camera-delay", arguments.camera_delay
        print(measure(Path(folder), arguments.seconds, environment, *options, mic=arguments.mic))
