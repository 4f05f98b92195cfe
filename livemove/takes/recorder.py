"""Keeps what is played: a WAV from start to end, takes with all that made them, and the last minutes at any time.

In: the tap of the callback and the logs of what happened. Out: files. Runs as threads of the supervisor, so that a take
survives a restart of any child; what gathers never touches a disk, and what writes may be minutes late.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from livemove import __version__
from livemove.contracts import HOP, LANDMARKS, OutputError
from livemove.ipc.segment import BLOCK_ROW, HOP_ROW, Segment, Tap, now_s
from livemove.takes.camera_track import BYTES_PER_S, FilmReceiver
from livemove.takes.folder import (
    FILM,
    WAV_BYTES,
    Rows,
    Snapshot,
    Sound,
    TakeInfo,
    TakenModel,
    TakeWriter,
    make_folder,
    part,
    pcm24,
)

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


class Recorder:
    """Writes everything the tap carries to path, from `start` to `stop`. Used by the supervisor."""

    def __init__(self, segment: Segment, path: Path) -> None:
        self.path = path
        self._troubles: deque[str] = deque()
        self._segment = segment
        self._tap: Tap = segment.tap
        self._rate = 0.0
        self._stop = threading.Event()
        self._at = 0
        self._chunk = np.zeros(CHUNK, np.float32)
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
                self._troubles.append(f"the sound card has {rate:.0f} samples a second: written on as {file.path}")
            upto = min(written, since) if rate != self._rate else written
            chunk = self._chunk[: min(upto - self._at, CHUNK)]
            if not self._tap.read(self._at, chunk):
                chunk[:] = 0.0
                self._troubles.append(f"{self.path} has a hole of {len(chunk)} samples: the disk was too slow")
            file.write(pcm24(chunk))
            self._at += len(chunk)


# --- the last minutes ---------------------------------------------------------------------------------------


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
SLACK_S = 15.0
"""A take of the last minutes may take so long to write before its beginning is overwritten."""

HISTORY = 2048
"""Samples before the first that may still matter to the callback: it keeps so many to fade out with."""


@dataclass(frozen=True)
class TakeSettings:
    """What takes need to know of the session.

    folder: where takes go. keep_s: how long everything is kept in memory. models: in the order of Controls.model, as
    far as known before they play; mappings: their files. features: names of the sources that every hop has.
    film: whether the camera's picture is kept as well.
    """

    folder: Path
    models: tuple[TakenModel, ...]
    mappings: tuple[Path | None, ...]
    features: tuple[str, ...]
    model_rate: int
    block: int
    seed: int
    camera: str
    keep_s: float = 300.0
    wav_bytes: int = WAV_BYTES
    film: bool = False


class Memory:
    """The last minutes: sound, blocks, hops, poses and engine states. One thread gathers, others read under the lock.

    Rows are those of the logs, narrowed: hops have the sources and channels that there are (a source from outside that
    is first wanted later is not kept), poses are one row per person, and a block's tap_at counts from the start here.
    rates: (first block, samples per second), one for every time that a device of another rate took over.
    """

    def __init__(self, segment: Segment, settings: TakeSettings, receiver: FilmReceiver | None = None) -> None:
        self.lock = threading.Lock()
        self.lost = 0
        rate = round(segment.device_rate)
        self.rates = [(0, rate)]
        self._segment = segment
        self._settings = settings
        keep_s = settings.keep_s + SLACK_S
        self.sound = Rolling(round(keep_s * rate), np.dtype(np.uint8), (3,))
        self.blocks = Rolling(round(keep_s * rate / settings.block) + 64, BLOCK_ROW)
        self.poses = Rolling(round(keep_s * POSES_PER_S), POSE)
        # Kept for longer: a take of the last minutes begins with the hops since a snapshot before it.
        self.outside = segment.sources.wanted
        row = _hop_row(len(settings.features) + len(self.outside), max(len(m.channels) for m in settings.models))
        self.hops = Rolling(round((keep_s + SLACK_S) * settings.model_rate / HOP), row)
        self.snapshots: deque[Snapshot] = deque()
        self._receiver = receiver
        self.stream = Rolling(round(keep_s * BYTES_PER_S) if receiver else 0, np.dtype(np.uint8))
        self.film = Rolling(round(keep_s * POSES_PER_S) if receiver else 0, FILM)

    def gather(self) -> None:
        """All that happened since the last call."""
        segment = self._segment
        snapshot = segment.snapshot.take()
        blocks, lost_blocks = segment.blocks.take()
        hops, lost_hops = segment.hops.take()
        poses, _ = segment.poses.take()
        pcm = self._listen(blocks)
        rate = self._new_rate(blocks)
        stream, pictures = self._receiver.take() if self._receiver else (np.zeros(0, np.uint8), np.zeros(0, FILM))
        pictures["begin"] += self.stream.end
        blocks["tap_at"] = self.sound.end + np.cumsum(blocks["frames"]) - blocks["frames"]
        with self.lock:
            self.lost += lost_blocks + lost_hops
            self.rates += rate
            if snapshot is not None:
                self.snapshots.append(Snapshot(*snapshot))
            self.sound.add(pcm)
            self.blocks.add(blocks)
            self.poses.add(_people(poses))
            self.hops.add(_narrow(hops, self.hops.row))
            if len(pictures):
                self.stream.add(stream)
                self.film.add(pictures)
            self._forget()

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

    def picture_at(self, time_s: float) -> int:
        """Under the lock: the picture from which on a film is decoded that shows that moment."""
        rows = self.film.read(self.film.start, self.film.end)
        rows = rows[rows["begin"] >= self.stream.start]
        keys = np.flatnonzero(rows["key"])
        before = keys[rows["capture_s"][keys] <= time_s]
        first = before[-1:] if len(before) else keys[:1]
        return self.film.end - len(rows) + int(first[0]) if len(first) else self.film.end

    def _listen(self, blocks: Rows) -> npt.NDArray[np.uint8]:
        """uint8 [samples, 3]: what these blocks played, silence where it is lost."""
        pieces = [np.zeros((0, 3), np.uint8)]
        for block in blocks:
            chunk = np.zeros(int(block["frames"]), np.float32)
            if not self._segment.tap.read(int(block["tap_at"]), chunk):
                chunk[:] = 0.0
                self.lost += 1
            pieces.append(pcm24(chunk))
        return np.concatenate(pieces)


POSE = np.dtype(
    [
        *(("capture_s", "<f8"), ("sequence", "<i8"), ("people", "<i8"), ("person", "<i8")),
        *(("image", "<f4", (LANDMARKS, 3)), ("world", "<f4", (LANDMARKS, 3)), ("visibility", "<f4", (LANDMARKS,))),
    ]
)
"""One person in one camera frame; with nobody in view, one row of zeros."""


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
    names = [name for name in HOP_ROW.names or () if name != "source_count"]
    return np.dtype([(name, "<f4", widths[name]) if name in widths else (name, "<f8") for name in names])


def _narrow(hops: Rows, row: np.dtype[Any]) -> Rows:
    rows = np.zeros(len(hops), row)
    for name in row.names or ():
        width = row[name].shape  # () for a number
        rows[name] = hops[name][:, : width[0]] if width else hops[name]
    return rows


# --- takes --------------------------------------------------------------------------------------------------


class _Following:
    """One take on its way to the disk: from a block on, up to another or until told."""

    STEP_S = 20.0

    def __init__(self, memory: Memory, settings: TakeSettings, first: int, last: int | None) -> None:
        """Raises OutputError. first: number of its first block, which is there; last: of the first one not in it."""
        self.last = last
        self.rest: int | None = None
        self.seconds = 0.0
        self._first = first
        self._memory = memory
        self._settings = settings
        self._lost = memory.lost
        with memory.lock:
            self._rate = memory.rate_of(first)
            block = memory.blocks.read(first, first + 1)[0]
            oldest_hop, oldest_pose = memory.hops.start, memory.poses.start
            hops = memory.hops.read(oldest_hop, memory.hops.end)
            snapshot = _before(memory.snapshots, hops, block, self._rate)
            poses = memory.poses.read(oldest_pose, memory.poses.end)["capture_s"]
            self._picture = memory.picture_at(float(block["dac_s"]))
        start = 0
        if snapshot is not None:
            start = int(np.flatnonzero(_is_at(hops, snapshot))[-1])
        elif len(hops):
            ends = hops["first_sample"] + hops["samples"]
            start = int(np.searchsorted(ends, block["read"], side="right"))  # pyright: ignore[reportUnknownArgumentType]
        self._block = first
        self._hop = oldest_hop + start
        since_s = float(hops["began_s"][start]) if start < len(hops) else float(block["start_s"])
        self._pose = oldest_pose + int(np.searchsorted(poses, since_s - 2.0))
        self._lives = {0.0 if snapshot is None else float(snapshot.head["life_s"])}
        started = datetime.now().astimezone() - timedelta(seconds=now_s() - float(block["start_s"]))
        info, texts = self._describe(started.replace(microsecond=0), float(block["start_s"]), snapshot)
        self.folder = make_folder(settings.folder, started)
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
                texts[name] = path.read_text(encoding="utf-8")
            speed = {"engine": head["engines"][i], "realtime": head["realtime"][i]} if head else {}
            models.append(dataclasses.replace(model, mapping=name, **speed))
        info = TakeInfo(
            livemove=__version__,
            started=started,
            clock_s=clock_s,
            rate=self._rate,
            model_rate=settings.model_rate,
            block=settings.block,
            seed=settings.seed,
            camera=settings.camera,
            sources=(*settings.features, *self._memory.outside),
            models=tuple(models),
        )
        return info, texts

    def follow(self) -> bool:
        """Write what there is, a part of it if it is much; True once all is written. Raises OSError, OutputError.

        A take has one rate. Where another begins it is over, and `rest` is the first block of the one that goes on.
        """
        memory = self._memory
        with memory.lock:
            end = memory.blocks.end if self.last is None else self.last
            if (rate_ends := memory.rate_ends(self._first)) < end:
                self.rest = end = int(rate_ends)
            upto = min(end, self._block + max(round(self.STEP_S * self._rate / self._settings.block), 1))
            hops_end, poses_end = memory.hops.end, memory.poses.end
            if min(self._block - memory.blocks.start, self._hop - memory.hops.start) < 0:
                raise OutputError("the disk was too slow for minutes")
            blocks = memory.blocks.read(self._block, upto)
            sound = np.zeros((0, 3), np.uint8)
            if len(blocks):
                first, behind = int(blocks["tap_at"][0]), int(blocks["tap_at"][-1] + blocks["frames"][-1])
                if first < memory.sound.start:
                    raise OutputError("the disk was too slow for minutes")
                sound = memory.sound.read(first, behind)
            hops = memory.hops.read(self._hop, hops_end)
            poses = memory.poses.read(max(self._pose, memory.poses.start), poses_end)
            lives = [each for each in memory.snapshots if each.head["hop"] == 0]
            pictures, stream = self._filmed()
        self._writer.sound(sound)
        self._writer.rows("hops", hops)
        self._writer.rows("poses", poses)
        self._writer.film(stream, pictures)
        for snapshot in lives:
            life_s = float(snapshot.head["life_s"])
            if life_s > max(self._lives) and (hops["life_s"] == life_s).any():
                self._writer.state(snapshot)
                self._lives.add(life_s)
        self._writer.rows("blocks", blocks)
        self._block, self._hop, self._pose = upto, hops_end, poses_end
        self.seconds += len(sound) / self._rate
        return upto == end and (self.last is not None or self.rest is not None)

    def _filmed(self) -> tuple[Rows, npt.NDArray[np.uint8]]:
        """Under the lock: pictures since the last time. Raises OutputError."""
        memory = self._memory
        pictures = memory.film.read(max(self._picture, memory.film.start), memory.film.end)
        self._picture = memory.film.end
        if not len(pictures):
            return pictures, np.zeros(0, np.uint8)
        if pictures["begin"][0] < memory.stream.start:
            raise OutputError("the disk was too slow for minutes")
        return pictures, memory.stream.read(int(pictures["begin"][0]), memory.stream.end)

    def close(self) -> None:
        """Raises OSError."""
        self._writer.close()

    @property
    def holes(self) -> int:
        """How often something was lost since the take began, by all that is known."""
        return self._memory.lost - self._lost


def _is_at(hops: Rows, snapshot: Snapshot) -> npt.NDArray[np.bool_]:
    """bool [hops]: the hop the snapshot was made before."""
    return (hops["life_s"] == snapshot.head["life_s"]) & (hops["hop"] == snapshot.head["hop"])


def _before(snapshots: deque[Snapshot], hops: Rows, block: np.void, rate: int) -> Snapshot | None:
    """The newest snapshot from which all that the block plays can be made again; None if there is none."""
    for snapshot in reversed(snapshots):
        head = snapshot.head
        if head.get("rate", rate) != rate:  # made for another device: its hops were of other lengths
            continue
        far = 0 if head["hop"] == 0 or block["fresh"] else HISTORY
        if head["first_sample"] + far <= block["read"] and _is_at(hops, snapshot).any():
            return snapshot
    return None


class Keeper:
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
        self.memory: Memory | None = None
        self._film = FilmReceiver() if settings.film else None
        self._recording: _Following | None = None
        self._saving: list[_Following] = []
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
        if self._film is not None:
            self._film.close()

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
    def film_address(self) -> str:
        """Where capture sends the film; "": none is wanted."""
        return self._film.address if self._film else ""

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
            if self.memory is None and self._segment.device_rate > 0.0 and self._segment.synthesis.hops:
                self.memory = Memory(self._segment, self._settings, self._film)
            if self.memory is not None:
                self.memory.gather()
        if self.memory is not None:
            self.memory.gather()
        self._gathered.set()

    def _write(self) -> None:
        while not self._gathered.wait(0.05):
            self._work()
        self._orders.append("off")
        self._work()
        while self._saving:
            self._work()

    def _work(self) -> None:
        memory = self.memory
        if memory is None or not memory.blocks.end:
            return
        try:
            while self._orders:
                self._obey(self._orders.popleft(), memory)
        except (OSError, OutputError) as error:
            self._notices.append(f"not recorded: {error}")
        for following in (*self._saving, *([self._recording] if self._recording else [])):
            self._follow(following)

    def _obey(self, order: str, memory: Memory) -> None:
        with memory.lock:
            end, start, oldest = memory.blocks.end, memory.blocks.start, memory.sound.start
            blocks = memory.blocks.read(start, end)
        if order == "save":
            rates = [memory.rate_of(block) for block in range(start, end)]
            left_s = np.cumsum((blocks["frames"] / rates)[::-1])[::-1]
            older = (left_s > self._settings.keep_s + 1e-6) | (blocks["tap_at"] < oldest)
            first = start + int(np.count_nonzero(older))
            self._saving.append(_Following(memory, self._settings, first, end))
        elif self._recording is None and order != "off":
            self._recording = _Following(memory, self._settings, start if order == "all" else end - 1, None)
            self._notices.append(f"recording: {self._recording.folder}")
        elif self._recording is not None and order in ("switch", "off"):
            self._recording.last = end
            self._saving.append(self._recording)
            self._recording = None

    def _follow(self, following: _Following) -> None:
        then: _Following | None = None
        try:
            done = following.follow()
            if done:
                following.close()
                holes = f", with {following.holes} holes: the machine was too busy" if following.holes else ""
                self._notices.append(f"recorded {following.seconds:.1f} s: {following.folder}{holes}")
                if following.rest is not None and self.memory is not None:
                    then = _Following(self.memory, self._settings, following.rest, following.last)
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
                self._notices.append(f"another sound card, another take: {then.folder}")
