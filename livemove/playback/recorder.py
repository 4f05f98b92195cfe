"""Writes what is played to a WAV: reads the tap of the callback, so that the take is what came out of the speakers.

In: the tap. Out: a 24-bit mono WAV. Runs as a thread of the supervisor, so that a take survives a restart of playback.
"""

# soundfile has no type information.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path

import numpy as np
import soundfile

from livemove.contracts import OutputError
from livemove.exchange import Segment, Tap

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


class Recorder:
    """Writes everything the tap carries to path, from `start` to `stop`. Used by the supervisor."""

    def __init__(self, segment: Segment, path: Path) -> None:
        self.path = path
        self._troubles: deque[str] = deque()
        self._tap: Tap = segment.tap
        self._stop = threading.Event()
        self._at = 0
        self._chunk = np.zeros(CHUNK, np.float32)
        self._thread: threading.Thread | None = None

    def start(self, rate: float) -> None:
        """From now on, at the device's rate. Raises OutputError."""
        try:
            file = soundfile.SoundFile(str(self.path), "w", samplerate=round(rate), channels=1, subtype="PCM_24")
        except (OSError, soundfile.LibsndfileError) as error:
            raise OutputError(f"{self.path} cannot be written: {error}; choose another --output") from error
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

    def _run(self, file: soundfile.SoundFile) -> None:
        try:
            with file:
                while not self._stop.wait(0.05):
                    self._drain(file)
                self._drain(file)
        except (OSError, soundfile.LibsndfileError) as error:
            self._troubles.append(f"{self.path} is no longer written: {error}")

    def _drain(self, file: soundfile.SoundFile) -> None:
        """Everything played so far. What was overwritten before we came becomes silence of the same length."""
        while (waiting := self._tap.written - self._at) > 0:
            chunk = self._chunk[: min(waiting, CHUNK)]
            if not self._tap.read(self._at, chunk):
                chunk[:] = 0.0
                self._troubles.append(f"{self.path} has a hole of {len(chunk)} samples: the disk was too slow")
            file.write(chunk)
            self._at += len(chunk)
