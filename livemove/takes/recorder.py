"""Takes with all that made them, recorded from now on or after the fact.

In: requests, and the shared memory. Out: takes' folders, and lines for the person. Runs as two threads of the
supervisor, so that a take survives a restart of any child: what gathers (history.py) never touches a disk, and what
writes (take_writing.py) may be minutes late.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections import deque
from pathlib import Path

import numpy as np

from livemove.contracts import OutputError
from livemove.ipc.segment import Segment, now_s
from livemove.takes.camera_track import VideoReceiver
from livemove.takes.history import History, TakeSettings
from livemove.takes.take_writing import TakeInProgress


def check_takes(folder: Path) -> None:
    """Raises OutputError unless takes can be made in that folder, which need not exist yet; leaves nothing behind."""
    probe = folder / f".livemove-{now_s():.6f}"
    new = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        probe.mkdir(parents=True)
        probe.rmdir()
        for each in new:
            each.rmdir()
    except OSError as error:
        raise OutputError(f"{folder}: takes cannot be made there: {error.strerror}; choose another --takes") from error


class TakeRecorder:
    """Takes at any time: recorded from now on, or the last minutes after the fact. Used by the supervisor.

    `record` and `save_last` only ask; what came of it is a line from `notice`. Where the device changes to one of
    another rate, a take ends and the next begins, without a sample between them.
    """

    def __init__(self, segment: Segment, settings: TakeSettings) -> None:
        self._segment = segment
        self._settings = settings
        self._notices: deque[str] = deque()
        self._orders: deque[str] = deque()
        self._over = threading.Event()
        self._gathered = threading.Event()
        self.history: History | None = None
        self._video = VideoReceiver() if settings.config.video else None
        self._recording: TakeInProgress | None = None
        self._saving: list[TakeInProgress] = []
        self._threads = [
            threading.Thread(target=self._gather, name="takes: memory", daemon=True),
            threading.Thread(target=self._write, name="takes: disk", daemon=True),
        ]

    def start(self) -> None:
        """Once playback may open its device; what is played from then on is kept."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """When nothing plays any more: write the rest."""
        self._over.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        if self._video is not None:
            self._video.close()

    def record_all(self) -> None:
        """Before `start`: a take from the first sample on."""
        self._orders.append("all")

    def record(self, on: bool | None = None) -> None:
        """Begin a take if none is recorded, else end it; True or False: only the one or the other."""
        self._orders.append("switch" if on is None else "on" if on else "off")

    def save_last(self) -> None:
        """Make a take of the last minutes."""
        self._orders.append("save")

    def name_camera(self, camera: str) -> None:
        """Takes that begin from now on are of this one."""
        self._settings = dataclasses.replace(self._settings, camera=camera)

    @property
    def video_address(self) -> str:
        """Where capture sends the video; "": none is wanted."""
        return self._video.address if self._video else ""

    @property
    def recording(self) -> Path | None:
        """The folder of the take that is recorded."""
        following = self._recording
        return None if following is None else following.folder

    def notice(self) -> str | None:
        """A line for the person about what happened since the last call."""
        return self._notices.popleft() if self._notices else None

    # --- the threads

    def _gather(self) -> None:
        while not self._over.wait(0.03):
            # Synthesis names its sources before its first hop, which the device's rate comes before.
            if self.history is None and self._segment.device_rate > 0.0 and self._segment.synthesis.hops:
                self.history = History(self._segment, self._settings, self._video)
            if self.history is not None:
                self.history.gather()
        if self.history is not None:
            self.history.gather()
        self._gathered.set()

    def _write(self) -> None:
        while not self._gathered.wait(0.05):
            self._work()
        self._orders.append("off")
        self._work()
        while self._saving:
            self._work()

    def _work(self) -> None:
        history = self.history
        if history is None or not history.blocks.end:
            return
        try:
            while self._orders:
                self._obey(self._orders.popleft(), history)
        except (OSError, OutputError) as error:
            self._notices.append(f"not recorded: {error}")
        for following in (*self._saving, *([self._recording] if self._recording else [])):
            self._follow(following)

    def _obey(self, order: str, history: History) -> None:
        with history.lock:
            end, start, oldest = history.blocks.end, history.blocks.start, history.sound.start
            blocks = history.blocks.read(start, end)
        if order == "save":
            rates = [history.rate_of(block) for block in range(start, end)]
            left_s = np.cumsum((blocks["frames"] / rates)[::-1])[::-1]
            older = (left_s > self._settings.config.keep_s + 1e-6) | (blocks["tap_at"] < oldest)
            first = start + int(np.count_nonzero(older))
            self._saving.append(TakeInProgress(history, self._settings, first, end))
        elif self._recording is None and order != "off":
            self._recording = TakeInProgress(history, self._settings, start if order == "all" else end - 1, None)
            self._notices.append(f"recording: {self._recording.folder}")
        elif self._recording is not None and order in ("switch", "off"):
            self._recording.last = end
            self._saving.append(self._recording)
            self._recording = None

    def _follow(self, following: TakeInProgress) -> None:
        then: TakeInProgress | None = None
        try:
            done = following.follow()
            if done:
                following.close()
                holes = f", with {following.holes} holes: the machine was too busy" if following.holes else ""
                self._notices.append(f"recorded {following.seconds:.1f} s: {following.folder}{holes}")
                if following.rest is not None and self.history is not None:
                    then = TakeInProgress(self.history, self._settings, following.rest, following.last)
        except (OSError, OutputError) as error:
            done = True
            why = error.strerror if isinstance(error, OSError) else str(error)
            self._notices.append(f"{following.folder} is no longer written: {why}; what was written is kept")
            with contextlib.suppress(OSError):  # the same again: it has been told
                following.close()
        if done:
            if following is self._recording:
                self._recording = then
            else:
                self._saving = [each for each in (*self._saving, then) if each not in (following, None)]
            if then is not None:
                self._notices.append(f"another audio device, another take: {then.folder}")
