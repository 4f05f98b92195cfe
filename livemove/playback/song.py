"""A song that is decoded while it is played: some seconds of it are in memory, however long it is.

In: a sound file, a rate. Out: its samples in order, for a callback that never waits. Knows no device.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from livemove.contracts import Float32, LivemoveError
from livemove.media import sound_file
from livemove.media.opening import MediaError
from livemove.printable import printable

AHEAD_S = 10.0
"""So much is decoded before it is due."""
LOOK_S = 0.05
"""How often the thread looks whether there is room for more."""
BREAKS_OFF_S = 1.0
"""A sound that ends so much before the file's own word is said to be damaged."""


class Song:
    """A sound file, from its beginning to its end or for so many seconds. `samples`, `channels`: what it has, at rate.

    It is read through once before anything sounds, so that what cannot be played to its end is known then: raises
    LivemoveError. note: what is worth a word to whoever plays it, or "".
    """

    def __init__(self, path: Path, rate: int, most_channels: int = 2, seconds: float | None = None) -> None:
        self.rate = rate
        self.note = ""
        self.trouble = ""
        """Why it ends before its samples are there: the file was changed while it played."""
        self._path = path
        self._most_channels = most_channels
        self._most = math.inf if seconds is None else round(seconds * rate)
        self.samples, self.channels = 0, 1
        self._look_through()
        self._blocks: deque[Float32] = deque()
        self._block = np.zeros((0, self.channels), np.float32)
        self._decoded = self._played = 0
        self._thread = threading.Thread(target=self._decode, name="song", daemon=True)

    def _look_through(self) -> None:
        end = sound_file.SoundEnd()
        try:
            self._choice = sound_file.choose(self._path)
            for block in self._read(end):
                self.samples, self.channels = self.samples + len(block), block.shape[1]
        except MediaError as error:
            why = str(error).removeprefix("cannot be read: ")
            raise LivemoveError(f"{printable(self._path)}: cannot be played: {why}") from error
        if not self.samples:
            raise LivemoveError(f"{printable(self._path)}: cannot be played: it has no sound")
        notes = [self._choice.note]
        if self.samples < self._most:
            if end.promised_s - end.seconds > BREAKS_OFF_S:
                notes.append(f"it breaks off after {end.seconds:.1f} of {end.promised_s:.1f} s")
            if math.isfinite(self._most):
                notes.append(f"it ends after {self.samples / self.rate:.1f} of {self._most / self.rate:.1f} s")
        self.note = "; ".join(filter(None, notes))

    def _read(self, end: sound_file.SoundEnd) -> Iterator[Float32]:
        """float32 [n, channels] in -1..1, a second or so at a time. Raises MediaError."""
        left = self._most
        for part in sound_file.stereo_blocks(self._path, self.rate, self._choice, end):
            if part.shape[1] > self._most_channels:
                part = part.mean(axis=1, keepdims=True)
            part = np.clip(part, -1.0, 1.0)[: len(part) if math.isinf(left) else int(left)]
            yield part
            left -= len(part)
            if left <= 0:
                return

    @property
    def seconds(self) -> float:
        return self.samples / self.rate

    # --- its thread

    def start(self) -> None:
        """Begin to decode ahead; returns when there is enough to begin with."""
        self._thread.start()
        while self._thread.is_alive() and self._decoded < min(AHEAD_S * self.rate, self.samples):
            self._thread.join(LOOK_S)

    def _decode(self) -> None:
        try:
            for block in self._read(sound_file.SoundEnd()):
                while self._decoded - self._played > AHEAD_S * self.rate:
                    time.sleep(LOOK_S)
                self._blocks.append(block)
                self._decoded += len(block)
            if self._decoded < self.samples:
                self.trouble = f"{printable(self._path)}: has become shorter while it was played"
        except (MediaError, OSError) as error:
            self.trouble = f"{printable(self._path)}: {error}"

    # --- the callback

    @property
    def over(self) -> bool:
        return self._played >= self.samples

    def read(self, out: Float32) -> int:
        """Fill out [n, channels] with what comes next; how many there were: fewer at the end, or when decoding is late.
        Never waits."""
        done = 0
        while done < len(out):
            if not len(self._block):
                if not self._blocks:
                    break
                self._block = self._blocks.popleft()
            part = self._block[: len(out) - done]
            out[done : done + len(part)] = part
            self._block = self._block[len(part) :]
            done += len(part)
        self._played += done
        return done
