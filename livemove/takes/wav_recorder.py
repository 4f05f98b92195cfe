"""Writes all that is played into a stereo WAV file, from start to end.

In: the tap of the callback. Out: a file, or several where the device's rate changes. Runs as a thread of the
supervisor, so that the file survives a restart of any child; knows nothing of takes.
"""

# numpy's stubs need a newer Python than 3.10.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import contextlib
import threading
from collections import deque
from pathlib import Path

import numpy as np

from livemove.contracts import OutputError
from livemove.ipc.segment import Segment, Tap
from livemove.takes.folder import SIDES, Sound, pcm24

CHUNK = 4096


def check_writable(path: Path) -> None:
    """Raises OutputError unless path can be created and is a .wav; leaves nothing behind that was not there."""
    if path.suffix.lower() != ".wav":
        raise OutputError(f"{path} is not a .wav: takes are written as WAV, for instance --output take.wav")
    there = path.exists()
    try:
        with path.open("ab"):
            pass
        if not there:
            path.unlink()
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}; choose another --output") from error


class WavRecorder:
    """Writes everything the tap carries to path, from `start` to `stop`. Used by the supervisor."""

    def __init__(self, segment: Segment, path: Path) -> None:
        self.path = path
        self._troubles: deque[str] = deque()
        self._segment = segment
        self._tap: Tap = segment.tap
        self._rate = 0.0
        self._stop = threading.Event()
        self._at = 0
        self._chunk = np.zeros((CHUNK, SIDES), np.float32)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """From now on, at the device's rate; what a device of another rate plays goes into a file NAME-002.wav.

        Raises OutputError.
        """
        self._rate = self._segment.device_rate
        file = Sound(self.path, round(self._rate))
        self._at = self._tap.written
        self._thread = threading.Thread(target=self._run, args=(file,), name="recorder", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write the rest and close the file. Does nothing if it never started."""
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
            self._thread = None

    def trouble(self) -> str | None:
        """A line for the person about something that went wrong since the last call."""
        return self._troubles.popleft() if self._troubles else None

    def _run(self, file: Sound) -> None:
        try:
            with contextlib.closing(file):
                while not self._stop.wait(0.05):
                    self._drain(file)
                self._drain(file)
        except (OSError, OutputError) as error:
            self._troubles.append(f"{self.path} is no longer written: {error}; what was written is kept")

    def _drain(self, file: Sound) -> None:
        """Everything played so far. What was overwritten before we came becomes silence of the same length."""
        while (written := self._tap.written) > self._at:
            rate, since = self._segment.device_rate, self._segment.rate_since
            if rate != self._rate and since <= self._at:
                self._rate = rate
                file.change_rate(round(rate))
                self._troubles.append(f"the audio device has {rate:.0f} samples a second: written on as {file.path}")
            upto = min(written, since) if rate != self._rate else written
            chunk = self._chunk[: min(upto - self._at, CHUNK)]
            if not self._tap.read(self._at, chunk):
                chunk[:] = 0.0
                self._troubles.append(f"{self.path} has a hole of {len(chunk)} samples: the disk was too slow")
            file.write(pcm24(chunk))
            self._at += len(chunk)
