"""The last minutes in memory: sound, calls of the callback, hops, poses, engine states and the camera's video.

In: the tap and the logs of what happened, gathered many times a second. Out: any part of them that is still there. Its
memory is taken at once and never grows; it never touches a disk.
"""

# numpy's stubs need a newer Python than 3.10.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from livemove.contracts import HOP
from livemove.ipc.segment import BLOCK_ROW, HOP_ROW, POSE_ROW, Segment
from livemove.takes.camera_track import BYTES_PER_S, VideoReceiver
from livemove.takes.config import TakesConfig
from livemove.takes.folder import SIDES, VIDEO_ROW, WAV_BYTES, Pcm, Rows, Snapshot, TakenModel, pcm24, stacked


class Rolling:
    """The last rows of a stream, counted from its start; its memory is taken at once and never grows."""

    def __init__(self, count: int, row: np.dtype[Any], shape: tuple[int, ...] = ()) -> None:
        self.row = row
        self._rows: npt.NDArray[Any] = np.empty((count, *shape), row)
        self._rows.reshape(-1).view(np.uint8)[:] = 0  # touched now, not while it plays
        self.end = 0

    @property
    def start(self) -> int:
        """The oldest row that is still there."""
        return max(0, self.end - len(self._rows))

    def add(self, rows: npt.NDArray[Any]) -> None:
        size, kept = len(self._rows), rows[-len(self._rows) :]
        at = (self.end + len(rows) - len(kept)) % size
        first = min(size - at, len(kept))
        self._rows[at : at + first] = kept[:first]
        self._rows[: len(kept) - first] = kept[first:]
        self.end += len(rows)

    def read(self, start: int, end: int) -> npt.NDArray[Any]:
        """Copies of rows start.. end - 1, which must be there."""
        at = start % max(len(self._rows), 1)
        first = self._rows[at : at + end - start]
        return np.concatenate([first, self._rows[: end - start - len(first)]])


POSES_PER_S = 60
SNAPSHOT_EVERY_S = 5.0
"""Of the engine states that synthesis tells, one is kept so often: to be made again, a take is made from so long before
its beginning at most."""

SLACK_S = 15.0
"""A take of the last minutes may take so long to write before its beginning is overwritten."""


POSE = np.dtype(
    [
        *((name, POSE_ROW[name]) for name in ("capture_s", "sequence", "people")),
        ("person", "<i8"),
        *((name, POSE_ROW[name].base, POSE_ROW[name].shape[1:]) for name in ("image", "world", "visibility")),
    ]
)
"""One person in one camera frame; with nobody in view, one row of zeros."""


@dataclass(frozen=True)
class TakeSettings:
    """What takes need to know of the session.

    models: in the order of Controls.model, layer after layer, as far as known before they play; mappings: their files.
    features: names of
    the sources that every hop has.
    """

    config: TakesConfig
    models: tuple[TakenModel, ...]
    mappings: tuple[Path | None, ...]
    features: tuple[str, ...]
    model_rate: int
    seed: int
    camera: str
    wav_bytes: int = WAV_BYTES


class History:
    """The last minutes: sound, blocks, hops, poses and engine states. One thread gathers, others read under the lock.

    Rows are those of the logs, narrowed: hops have the sources and channels that there are (an external input that
    is first wanted later is not kept), poses are one row per person, and a block's tap_at counts from the start here.
    rates: (first block, samples per second), one for every time that a device of another rate took over. block: frames
    that the first device asks for at once; later ones ask for no fewer.
    """

    def __init__(self, segment: Segment, settings: TakeSettings, receiver: VideoReceiver | None = None) -> None:
        self.lock = threading.Lock()
        self.lost = 0
        rate = round(segment.device_rate)
        self.rates = [(0, rate)]
        self.block = segment.device_block
        self._segment = segment
        self._settings = settings
        keep_s = settings.config.keep_s + SLACK_S
        self.sound = Rolling(round(keep_s * rate), np.dtype(np.uint8), (SIDES, 3))
        self.blocks = Rolling(round(keep_s * rate / self.block) + 64, BLOCK_ROW)
        self.poses = Rolling(round(keep_s * POSES_PER_S), POSE)
        # Kept for longer: a take of the last minutes begins with the hops since a snapshot before it.
        self.external = segment.external_inputs.wanted
        stacks = stacked(settings.models, [len(model.channels) for model in settings.models])
        row = _hop_row(len(settings.features) + len(self.external), max(sum(counts) for counts in stacks))
        self.hops = Rolling(round((keep_s + SLACK_S) * settings.model_rate / HOP), row)
        self.snapshots: deque[Snapshot] = deque()
        self._receiver = receiver
        self.stream = Rolling(round(keep_s * BYTES_PER_S) if receiver else 0, np.dtype(np.uint8))
        self.video = Rolling(round(keep_s * POSES_PER_S) if receiver else 0, VIDEO_ROW)

    def gather(self) -> None:
        """All that happened since the last call."""
        segment = self._segment
        snapshot = segment.snapshot.take()
        blocks, lost_blocks = segment.blocks.take()
        hops, lost_hops = segment.hops.take()
        poses, _ = segment.poses.take()
        pcm = self._listen(blocks)
        rate = self._new_rate(blocks)
        stream, frames = self._receiver.take() if self._receiver else (np.zeros(0, np.uint8), np.zeros(0, VIDEO_ROW))
        frames["begin"] += self.stream.end
        blocks["tap_at"] = self.sound.end + np.cumsum(blocks["frames"]) - blocks["frames"]
        with self.lock:
            self.lost += lost_blocks + lost_hops
            self.rates += rate
            if snapshot is not None and self._due(snapshot[0]):
                self.snapshots.append(Snapshot(*snapshot))
            self.sound.add(pcm)
            self.blocks.add(blocks)
            self.poses.add(_people(poses))
            self.hops.add(_narrow(hops, self.hops.row))
            if len(frames):
                self.stream.add(stream)
                self.video.add(frames)
            self._forget()

    def _due(self, head: dict[str, Any]) -> bool:
        """Whether a snapshot is kept: one every so often is enough, and the first one of whoever begins to play, and
        the first one at another rate."""
        if not self.snapshots:
            return True
        last, apart = self.snapshots[-1].head, SNAPSHOT_EVERY_S * self._settings.model_rate / HOP
        same = (last["life_s"], last["rate"]) == (head["life_s"], head["rate"])
        return not same or float(head["hop"]) - float(last["hop"]) >= apart

    def _forget(self) -> None:
        """Snapshots (a quarter of a megabyte each) from before the hops that are kept, all but the last of them."""
        if not self.hops.end:
            return
        oldest = self.hops.read(self.hops.start, self.hops.start + 1)[0]
        since = (float(oldest["life_s"]), float(oldest["hop"]))
        while len(self.snapshots) > 1 and (self.snapshots[1].head["life_s"], self.snapshots[1].head["hop"]) <= since:
            self.snapshots.popleft()

    def _new_rate(self, blocks: Rows) -> list[tuple[int, int]]:
        """What is to be added to `rates` with these blocks, whose tap_at still counts in the tap."""
        rate, since = round(self._segment.device_rate), self._segment.rate_since
        new = np.flatnonzero(blocks["tap_at"] >= since)
        return [(self.blocks.end + int(new[0]), rate)] if rate != self.rates[-1][1] and len(new) else []

    def rate_of(self, block: int) -> int:
        """Samples per second of that block, which is there."""
        return next(rate for first, rate in reversed(self.rates) if first <= block)

    def rate_ends(self, block: int) -> float:
        """Under the lock: the first block after that one which has another rate; infinite where there is none."""
        return next((first for first, _ in self.rates if first > block), np.inf)

    def video_frame_at(self, time_s: float) -> int:
        """Under the lock: the frame from which the video must be decoded to show that moment."""
        rows = self.video.read(self.video.start, self.video.end)
        rows = rows[rows["begin"] >= self.stream.start]
        keys = np.flatnonzero(rows["key"])
        before = keys[rows["capture_s"][keys] <= time_s]
        first = before[-1:] if len(before) else keys[:1]
        return self.video.end - len(rows) + int(first[0]) if len(first) else self.video.end

    def _listen(self, blocks: Rows) -> Pcm:
        """What these blocks played, silence where it is lost."""
        pieces = [np.zeros((0, SIDES, 3), np.uint8)]
        for block in blocks:
            chunk = np.zeros((int(block["frames"]), SIDES), np.float32)
            if not self._segment.tap.read(int(block["tap_at"]), chunk):
                chunk[:] = 0.0
                self.lost += 1
            pieces.append(pcm24(chunk))
        return np.concatenate(pieces)


def _people(poses: Rows) -> Rows:
    """Rows of POSE_ROW as rows of POSE."""
    count = np.maximum(poses["people"], 1)
    frame = np.repeat(np.arange(len(poses)), count)
    rows = np.zeros(len(frame), POSE)
    rows["person"] = person = np.arange(len(frame)) - np.repeat(np.cumsum(count) - count, count)
    for name in ("capture_s", "sequence", "people"):
        rows[name] = poses[name][frame]
    for name in ("image", "world", "visibility"):
        rows[name] = poses[name][frame, person]
    return rows


def _hop_row(sources: int, channels: int) -> np.dtype[Any]:
    """HOP_ROW with so many of its sources and channels."""
    widths = {"sources": sources, "channels": channels, "leaving": channels}
    shapes = {name: widths.get(name, HOP_ROW[name].shape) for name in HOP_ROW.names or () if name != "source_count"}
    return np.dtype([(name, "<f4" if shape else "<f8", shape) for name, shape in shapes.items()])


def _narrow(hops: Rows, row: np.dtype[Any]) -> Rows:
    rows = np.zeros(len(hops), row)
    for name in row.names or ():
        width = row[name].shape  # () for a number
        rows[name] = hops[name][:, : width[0]] if width else hops[name]
    return rows
