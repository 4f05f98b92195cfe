"""One take on its way from the history to its folder.

In: the history, from a block on up to another, or until told. Out: a take's folder (folder.py), written part by part.
Runs in the thread that writes, which may be minutes late.
"""

# numpy's stubs need a newer Python than 3.10.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import dataclasses
from collections import deque
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from livemove import __version__
from livemove.contracts import OutputError
from livemove.ipc.segment import now_s
from livemove.takes.folder import SIDES, Rows, Snapshot, TakeInfo, TakenModel, TakeWriter, make_folder, part
from livemove.takes.history import History, TakeSettings

FADE_SAMPLES = 2048
"""Samples before the first that may still matter to the callback: it keeps so many to fade out with."""


class TakeInProgress:
    """One take on its way to the disk: from a block on, up to another or until told."""

    STEP_S = 20.0

    def __init__(self, history: History, settings: TakeSettings, first: int, last: int | None) -> None:
        """Raises OutputError. first: number of its first block, which is there; last: of the first one not in it."""
        self.last = last
        self.rest: int | None = None
        self.seconds = 0.0
        self._first = first
        self._history = history
        self._settings = settings
        self._lost = history.lost
        with history.lock:
            self._rate = history.rate_of(first)
            block = history.blocks.read(first, first + 1)[0]
            oldest_hop, oldest_pose = history.hops.start, history.poses.start
            hops = history.hops.read(oldest_hop, history.hops.end)
            snapshot = _before(history.snapshots, hops, block, self._rate)
            poses = history.poses.read(oldest_pose, history.poses.end)["capture_s"]
            self._video_frame = history.video_frame_at(float(block["dac_s"]))
        start = 0
        if snapshot is not None:
            start = int(np.flatnonzero(_is_at(hops, snapshot))[-1])
        elif len(hops):
            start = int(np.searchsorted(hops["first_sample"] + hops["samples"], block["read"], side="right"))
        self._block = first
        self._hop = oldest_hop + start
        since_s = float(hops["began_s"][start]) if start < len(hops) else float(block["start_s"])
        self._pose = oldest_pose + int(np.searchsorted(poses, since_s - 2.0))
        self._engine_starts = {0.0 if snapshot is None else float(snapshot.head["life_s"])}
        started = datetime.now().astimezone() - timedelta(seconds=now_s() - float(block["start_s"]))
        info, texts = self._describe(started.replace(microsecond=0), float(block["start_s"]), snapshot)
        self.folder = make_folder(settings.config.folder, started)
        self._writer = TakeWriter(self.folder, info, texts, settings.wav_bytes)
        if snapshot is not None:
            self._writer.state(snapshot)

    def _describe(
        self, started: datetime, clock_s: float, snapshot: Snapshot | None
    ) -> tuple[TakeInfo, dict[str, str]]:
        settings, models, texts = self._settings, list[TakenModel](), dict[str, str]()
        head: dict[str, Any] = snapshot.head if snapshot else {}
        for i, (model, path) in enumerate(zip(settings.models, settings.mappings, strict=True)):
            name = ""
            if path is not None and path.is_file():
                name = part(Path("mapping.toml"), i + 1).name
                texts[name] = path.read_text(encoding="utf-8-sig")
            speed = {"engine": head["engines"][i], "realtime": head["realtime"][i]} if head else {}
            models.append(dataclasses.replace(model, mapping=name, **speed))
        info = TakeInfo(
            livemove=__version__,
            started=started,
            clock_s=clock_s,
            rate=self._rate,
            model_rate=settings.model_rate,
            block=self._history.block,
            seed=settings.seed,
            camera=settings.camera,
            sources=(*settings.features, *self._history.external),
            models=tuple(models),
        )
        return info, texts

    def follow(self) -> bool:
        """Write what there is, a part of it if it is much; True once all is written. Raises OSError, OutputError.

        A take has one rate. Where another begins it is over, and `rest` is the first block of the one that goes on.
        """
        history = self._history
        with history.lock:
            end = history.blocks.end if self.last is None else self.last
            if (rate_ends := history.rate_ends(self._first)) < end:
                self.rest = end = int(rate_ends)
            upto = min(end, self._block + max(round(self.STEP_S * self._rate / history.block), 1))
            hops_end, poses_end = history.hops.end, history.poses.end
            if min(self._block - history.blocks.start, self._hop - history.hops.start) < 0:
                raise OutputError("the disk was too slow for minutes")
            blocks = history.blocks.read(self._block, upto)
            sound = np.zeros((0, SIDES, 3), np.uint8)
            if len(blocks):
                first, behind = int(blocks["tap_at"][0]), int(blocks["tap_at"][-1] + blocks["frames"][-1])
                if first < history.sound.start:
                    raise OutputError("the disk was too slow for minutes")
                sound = history.sound.read(first, behind)
            hops = history.hops.read(self._hop, hops_end)
            poses = history.poses.read(max(self._pose, history.poses.start), poses_end)
            first_hops = [each for each in history.snapshots if each.head["hop"] == 0]
            frames, stream = self._new_video()
        self._writer.sound(sound)
        self._writer.rows("hops", hops)
        self._writer.rows("poses", poses)
        self._writer.video(stream, frames)
        for snapshot in first_hops:
            life_s = float(snapshot.head["life_s"])
            if life_s > max(self._engine_starts) and (hops["life_s"] == life_s).any():
                self._writer.state(snapshot)
                self._engine_starts.add(life_s)
        self._writer.rows("blocks", blocks)
        self._block, self._hop, self._pose = upto, hops_end, poses_end
        self.seconds += len(sound) / self._rate
        return upto == end and (self.last is not None or self.rest is not None)

    def _new_video(self) -> tuple[Rows, npt.NDArray[np.uint8]]:
        """Under the lock: frames since the last time. Raises OutputError."""
        history = self._history
        frames = history.video.read(max(self._video_frame, history.video.start), history.video.end)
        self._video_frame = history.video.end
        if not len(frames):
            return frames, np.zeros(0, np.uint8)
        if frames["begin"][0] < history.stream.start:
            raise OutputError("the disk was too slow for minutes")
        return frames, history.stream.read(int(frames["begin"][0]), history.stream.end)

    def close(self) -> None:
        """Raises OSError."""
        self._writer.close()

    @property
    def holes(self) -> int:
        """How often something was lost since the take began, by all that is known."""
        return self._history.lost - self._lost


def _is_at(hops: Rows, snapshot: Snapshot) -> npt.NDArray[np.bool_]:
    """bool [hops]: the hop the snapshot was made before."""
    return (hops["life_s"] == snapshot.head["life_s"]) & (hops["hop"] == snapshot.head["hop"])


def _before(snapshots: deque[Snapshot], hops: Rows, block: np.void, rate: int) -> Snapshot | None:
    """The newest snapshot from which all that the block plays can be made again; None if there is none.

    The looper's content is in no snapshot: rather an older one, from before the loop was recorded.
    """
    while_looping: Snapshot | None = None
    for snapshot in reversed(snapshots):
        head = snapshot.head
        if head.get("rate", rate) != rate:  # made for another device: its hops were of other lengths
            continue
        far = 0 if head["hop"] == 0 or block["fresh"] else FADE_SAMPLES
        if head["first_sample"] + far <= block["read"] and _is_at(hops, snapshot).any():
            if not head.get("loop"):
                return snapshot
            while_looping = while_looping or snapshot
    return while_looping
