"""What the processes share: one segment of shared memory, seen through typed views.

In and out: pose frames, controls, audio hops, counters and heartbeats; every method says which process may call it.
Knows nothing of cameras, models, devices or windows; numpy and the native extension only.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from multiprocessing import resource_tracker, shared_memory
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from livemove import contracts
from livemove.contracts import Action, Bulletin, Controls, Float32, LivemoveError, PoseFrame, Request
from livemove.native import _realtime
from livemove.native._realtime import BIN_MS, PICTURE_EDGE, RING_CAPACITY, SNAPSHOT_BYTES, TEXT_BYTES, now_s

__all__ = [
    "BIN_MS",
    "BLOCK_ROW",
    "HOP_ROW",
    "PICTURE_EDGE",
    "POSE_ROW",
    "RING_CAPACITY",
    "ROLES",
    "SNAPSHOT_BYTES",
    "TEXT_BYTES",
    "Life",
    "Segment",
    "State",
    "now_s",
    "percentile_ms",
]

ROLES = ("capture", "synthesis", "playback", "monitor", "control")
"""The children, in the order of their records."""

Record = dict[str, npt.NDArray[Any]]
"""Field name -> view of shared memory, [1] or [count]. An aligned 8-byte store is one store: never half-written."""


_BODY = (contracts.MAX_PEOPLE, contracts.LANDMARKS)

POSE_ROW = np.dtype(
    [
        *(("capture_s", "<f8"), ("sequence", "<i8"), ("people", "<i8")),
        *(("image", "<f4", (*_BODY, 3)), ("world", "<f4", (*_BODY, 3)), ("visibility", "<f4", _BODY)),
    ]
)
"""A PoseFrame, as the mailbox and the log hold it."""

BLOCK_ROW = np.dtype([(name, f"<{kind}") for name, kind, _, _ in _realtime.BLOCK])
"""One call of the callback, as realtime.hpp says."""

_STEERED = tuple(field.name for field in dataclasses.fields(Controls))

_HOP = (
    # The engine's life (when it began, on the clock), the hop's number in it, when it was begun.
    *("life_s", "hop", "began_s"),
    # The pose it was made from: its sequence number, and when it was captured (NaN: none).
    *("pose", "capture_s"),
    # Its place in the ring, at the device's rate; number of the model that sounds or comes in.
    *("first_sample", "samples", "sounding"),
    # How many of the sources and channels there are (of the model that sounds, of one that leaves); all controls.
    *("source_count", "channel_count", "leaving_count", *_STEERED),
)

HOP_ROW = np.dtype(
    {
        "names": [*_HOP, "sources", "channels", "leaving"],
        "formats": ["<f8"] * len(_HOP) + [("<f4", 128), ("<f4", 64), ("<f4", 64)],
        "itemsize": _realtime.HOP_BYTES,
    }
)
"""One hop as synthesis made it: sources as the mapping got them, channels as the engine did."""


class State(enum.IntEnum):
    """Where a child is in its life. FINISHED: there is nothing more to do (a film ended); FAILED: see Life.error."""

    NONE = 0
    STARTING = 1
    RUNNING = 2
    FINISHED = 3
    FAILED = 4


def percentile_ms(histogram: npt.NDArray[np.uint64], quantile: float) -> float | None:
    """The quantile (0..1) of a histogram of BIN_MS bins, in ms: upper edge of its bin; None if nothing was counted."""
    total = int(histogram.sum())
    if not total:
        return None
    index = int(np.searchsorted(np.cumsum(histogram), max(1.0, np.ceil(quantile * total))))
    return (index + 1) * BIN_MS


class Life:
    """One child's heartbeat, state and last words. Written by that child, cleared by the supervisor."""

    def __init__(self, record: Record) -> None:
        self._record = record

    # --- the child

    def starting(self, pid: int) -> None:
        self._record["pid"][0] = pid
        self.heartbeat()  # first: who looks at the state looks at how old this is
        self._record["state"][0] = State.STARTING

    def running(self, label: str) -> None:
        """label names what it runs on: the engine, the device, the camera. At most 127 bytes are kept."""
        self._put("label", label)
        self.heartbeat()
        self._record["state"][0] = State.RUNNING

    def heartbeat(self) -> None:
        """A few times a second at least, from the loop that does the work."""
        self._record["heartbeat_s"][0] = now_s()

    def remark(self, text: str) -> None:
        """Something the person should read that ends nothing. At most 511 bytes are kept, and only the newest."""
        self._put("remark", text)
        self._record["remarks"][0] += np.uint64(1)

    def finished(self) -> None:
        self._record["state"][0] = State.FINISHED

    @property
    def asked_to_leave(self) -> bool:
        return bool(self._record["leave"][0])

    def failed(self, error: LivemoveError) -> None:
        self._put("error", type(error).__name__)
        self._put("message", str(error))
        self._record["state"][0] = State.FAILED

    # --- the supervisor

    def ask_to_leave(self) -> None:
        """The child is to end as at a stop; another one takes its place."""
        self._record["leave"][0] = 1

    def clear(self) -> None:
        for field in self._record.values():
            field[...] = np.zeros(1, field.dtype)

    # --- anyone

    @property
    def state(self) -> State:
        return State(int(self._record["state"][0]))

    @property
    def pid(self) -> int:
        return int(self._record["pid"][0])

    @property
    def remarks(self) -> tuple[int, str]:
        """How many there were since it started, and the newest."""
        return int(self._record["remarks"][0]), self._get("remark")

    @property
    def label(self) -> str:
        return self._get("label")

    @property
    def heartbeat_s(self) -> float:
        return float(self._record["heartbeat_s"][0])

    @property
    def error(self) -> LivemoveError | None:
        """What `failed` was given, as the same class, once state is FAILED."""
        if self.state is not State.FAILED:
            return None
        kind = cast("type[LivemoveError]", getattr(contracts, self._get("error"), LivemoveError))
        return kind(self._get("message"))

    def _put(self, name: str, text: str) -> None:
        field = self._record[name]
        room = field.dtype.itemsize - 1
        field[0] = text.encode()[:room]

    def _get(self, name: str) -> str:
        return bytes(self._record[name][0]).decode(errors="ignore")


class PoseMailbox:
    """The newest pose. One writer (capture); a reader never waits for it."""

    def __init__(self, memory: npt.NDArray[np.uint8]) -> None:
        self._native = _realtime.PoseMailbox(memory)
        self._log = _realtime.PoseLog(memory)
        self._bytes = np.zeros(_realtime.POSE_BYTES, np.uint8)
        people = contracts.MAX_PEOPLE
        points = contracts.LANDMARKS
        place = {"image": (people, points, 3), "world": (people, points, 3), "visibility": (people, points)}
        self._arrays: dict[str, Float32] = {}
        offset = 24
        for name, shape in place.items():
            size = 4 * int(np.prod(shape))
            self._arrays[name] = self._bytes[offset : offset + size].view(np.float32).reshape(shape)
            offset += size
        if offset != _realtime.POSE_BYTES:
            raise ValueError("PoseFrame in contracts.py and PosePayload in realtime.hpp differ")
        self._capture_s = self._bytes[:8].view(np.float64)
        self._numbers = self._bytes[8:24].view(np.int64)
        self._seen = 0

    def write(self, frame: PoseFrame) -> None:
        """Capture only. It is remembered in `Segment.poses` too."""
        self._capture_s[0] = frame.capture_s
        self._numbers[0] = frame.sequence
        self._numbers[1] = frame.people
        self._arrays["image"][...] = frame.image
        self._arrays["world"][...] = frame.world
        self._arrays["visibility"][...] = frame.visibility
        self._native.write(self._bytes)
        self._log.add(self._bytes)

    def read(self, frame: PoseFrame) -> bool:
        """Any process but capture: fill frame in place if there is a newer pose than at the last call; False if not."""
        sequence = self._native.read(self._bytes)
        if sequence in (0, self._seen):
            return False
        self._seen = sequence
        frame.capture_s = float(self._capture_s[0])
        frame.sequence = int(self._numbers[0])
        frame.people = int(self._numbers[1])
        frame.image[...] = self._arrays["image"]
        frame.world[...] = self._arrays["world"]
        frame.visibility[...] = self._arrays["visibility"]
        return True


class ControlsMailbox:
    """What the performer has set. One writer: the supervisor."""

    CHOICES = ("style", "freeze", "octave", "scale", "root", "model", "preset", "panics", "reloads", "learn")

    def __init__(self, memory: npt.NDArray[np.uint8]) -> None:
        self._native = _realtime.ControlsMailbox(memory)
        self._bytes = np.zeros(_realtime.CONTROLS_BYTES, np.uint8)
        self._numbers = self._bytes[:24].view(np.float64)
        self._integers = self._bytes[24:].view(np.int64)
        self._last = Controls()

    def write(self, controls: Controls) -> None:
        self._numbers[:] = controls.gain, controls.temperature, controls.look_ahead_s
        self._integers[0] = controls.mute
        self._integers[1:] = [getattr(controls, name) for name in self.CHOICES]
        self._native.write(self._bytes)

    def read(self) -> Controls:
        """Any process: the newest controls; the previous ones while a write is under way."""
        if self._native.read(self._bytes):
            gain, temperature, look_ahead_s = self._numbers.tolist()
            mute, *integers = self._integers.tolist()
            choices: dict[str, Any] = dict(zip(self.CHOICES, integers, strict=True))
            choices["freeze"] = bool(choices["freeze"])
            self._last = Controls(gain, temperature, mute=bool(mute), look_ahead_s=look_ahead_s, **choices)
        return self._last


class BulletinMailbox:
    """The supervisor's news for the monitor. One writer: the supervisor."""

    def __init__(self, memory: npt.NDArray[np.uint8]) -> None:
        self._native = _realtime.BulletinMailbox(memory)
        self._bytes = np.zeros(_realtime.BULLETIN_BYTES, np.uint8)
        self._times = self._bytes[:16].view(np.float64)
        self._restarts = self._bytes[16:56].view(np.int64)
        self._notices = self._bytes[56:64].view(np.int64)
        self._recording_since_s = self._bytes[64:72].view(np.float64)
        self._places = self._bytes[72:88].view(np.int64)
        devices = _realtime.BULLETIN_BYTES - _realtime.DEVICE_NAMES
        cameras = devices - _realtime.CAMERA_NAMES
        self._text = self._bytes[88:cameras].view(f"S{cameras - 88}")
        self._cameras = self._bytes[cameras:devices].view(f"S{_realtime.CAMERA_NAMES}")
        self._devices = self._bytes[devices:].view(f"S{_realtime.DEVICE_NAMES}")
        self._last = Bulletin()

    def write(self, bulletin: Bulletin) -> None:
        """Supervisor only. Of the notice at most 503 bytes are kept, and of the lists as many as find room."""
        self._times[:] = bulletin.written_s, bulletin.playing_since_s
        self._restarts[:] = [bulletin.restarts.get(role, 0) for role in ROLES]
        self._notices[0] = bulletin.notices
        self._recording_since_s[0] = bulletin.recording_since_s
        self._places[:] = bulletin.camera, bulletin.device
        self._text[0] = bulletin.notice.encode()[: self._text.itemsize - 1]
        self._cameras[0] = _lines(bulletin.cameras, self._cameras.itemsize)
        self._devices[0] = _lines(bulletin.devices, self._devices.itemsize)
        self._native.write(self._bytes)

    def read(self) -> Bulletin:
        """Any process: the newest one; the previous one while a write is under way."""
        if self._native.read(self._bytes):
            restarts: dict[str, int] = dict(zip(ROLES, self._restarts.tolist(), strict=True))
            notice = bytes(self._text[0]).decode(errors="ignore")
            written_s, playing_since_s = self._times.tolist()
            recording_since_s = float(self._recording_since_s[0])
            notices = int(self._notices[0])
            cameras, devices = _names(self._cameras), _names(self._devices)
            camera, device = self._places.tolist()
            news = Bulletin(written_s, playing_since_s, restarts, notices, notice, recording_since_s)
            self._last = dataclasses.replace(news, cameras=cameras, camera=camera, devices=devices, device=device)
        return self._last


def _lines(names: Sequence[str], room: int) -> bytes:
    """As many of the names as find room, one a line."""
    kept = b""
    for name in names:
        line = name.replace("\n", " ").encode() + b"\n"
        if len(kept) + len(line) >= room:
            break
        kept += line
    return kept


def _names(field: npt.NDArray[Any]) -> tuple[str, ...]:
    return tuple(bytes(field[0]).decode(errors="ignore").split("\n")[:-1])


class PictureMailbox:
    """The newest camera picture, small, for the monitor. One writer: capture."""

    def __init__(self, memory: npt.NDArray[np.uint8]) -> None:
        self._native = _realtime.PictureMailbox(memory)
        self._bytes: npt.NDArray[np.uint8] | None = None
        self._seen = 0

    def _buffer(self) -> npt.NDArray[np.uint8]:
        """Made at the first use: most processes never look at a picture."""
        if self._bytes is None:
            self._bytes = np.zeros(_realtime.PICTURE_BYTES, np.uint8)
        return self._bytes

    def write(self, picture: npt.NDArray[np.uint8], capture_s: float) -> None:
        """Capture only: uint8 RGB [height, width, 3], neither edge longer than PICTURE_EDGE."""
        height, width, _ = picture.shape
        if max(height, width) > PICTURE_EDGE:
            raise ValueError(f"a picture of {width} x {height} does not fit: {PICTURE_EDGE} at most")
        payload = self._buffer()
        payload[:8].view(np.float64)[0] = capture_s
        payload[8:24].view(np.int64)[:] = width, height
        payload[24 : 24 + picture.size].reshape(picture.shape)[...] = picture
        self._native.write(payload)

    def read(self) -> tuple[npt.NDArray[np.uint8], float] | None:
        """Any other process: picture and capture time if there is a newer one than at the last call, else None.

        The picture, uint8 RGB [height, width, 3], is good until the next call.
        """
        if self._native.sequence == self._seen:
            return None
        payload = self._buffer()
        sequence = self._native.read(payload)
        if sequence in (0, self._seen):
            return None
        self._seen = sequence
        width, height = payload[8:24].view(np.int64).tolist()
        return payload[24 : 24 + 3 * width * height].reshape(height, width, 3), float(payload[:8].view(np.float64)[0])


class Log:
    """All that happened of one kind, in order, as rows; the supervisor reads it for takes, and nobody waits for it."""

    def __init__(self, native: _realtime.PoseLog | _realtime.HopLog | _realtime.BlockLog, row: np.dtype[Any]) -> None:
        self._native = native
        self.row = row
        self._seen = native.written

    def take(self) -> tuple[npt.NDArray[Any], int]:
        """Supervisor only: rows added since the last call, and how many before them were lost."""
        lost = 0
        while True:
            rows = np.zeros(self._native.written - self._seen, self.row)
            if not len(rows) or self._native.read(self._seen, rows.view(np.uint8)):
                self._seen += len(rows)
                return rows, lost
            # The writer went round: what is left is what it cannot reach while we copy.
            step = max(len(rows) // 2, 1)
            self._seen += step
            lost += step


class HopLog:
    """Where synthesis says what it made; one row, filled in place and added."""

    def __init__(self, memory: npt.NDArray[np.uint8]) -> None:
        self._native = _realtime.HopLog(memory)
        row = np.zeros(1, HOP_ROW)
        self._bytes = row.view(np.uint8)
        self._head = self._bytes[: 8 * len(_HOP)].view(np.float64)
        self._vectors = [row[name][0] for name in ("sources", "channels", "leaving")]

    def add(self, head: tuple[float, ...], controls: Controls, *vectors: Float32) -> None:
        """Synthesis only. head: HOP_ROW's fields up to sounding; vectors: its sources, channels, leaving, float32."""
        counts = [len(vector) for vector in vectors]
        self._head[:] = (*head, *counts, *(getattr(controls, name) for name in _STEERED))
        for place, vector, count in zip(self._vectors, vectors, counts, strict=True):
            place[:count] = vector
        self._native.add(self._bytes)


class SnapshotBox:
    """What the engines are before a hop, now and then, so that a take can begin anywhere. One writer: synthesis."""

    def __init__(self, memory: npt.NDArray[np.uint8]) -> None:
        self._native = _realtime.Snapshot(memory)
        self._seen = 0

    def write(self, head: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> bool:
        """Synthesis only. head: plain numbers and names. False: it has no room."""
        shapes = {name: (array.dtype.str, array.shape) for name, array in arrays.items()}
        text = json.dumps([head, shapes]).encode()
        text += b" " * (-len(text) % 8)
        size = len(text) + sum(array.nbytes for array in arrays.values())
        words = np.zeros(2 + -(-size // 8), np.uint64)
        if words.nbytes > SNAPSHOT_BYTES:
            return False
        words[:2] = size, len(text)
        room = words[2:].view(np.uint8)
        room[: len(text)] = np.frombuffer(text, np.uint8)
        at = len(text)
        for array in arrays.values():
            room[at : at + array.nbytes] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            at += array.nbytes
        self._native.write(words.view(np.uint8))
        return True

    def take(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]] | None:
        """Supervisor only: what was written, if that is newer than at the last call."""
        if self._native.sequence == self._seen:
            return None
        start = np.zeros(2, np.uint64)
        if not self._native.read(start.view(np.uint8)):
            return None
        words = np.zeros(2 + -(-int(start[0]) // 8), np.uint64)
        sequence = self._native.read(words.view(np.uint8))
        if sequence == 0 or (words[:2] != start).any():
            return None  # another one came in between: next time
        self._seen = sequence
        room, at = words[2:].view(np.uint8), int(start[1])
        head, shapes = json.loads(room[:at].tobytes())
        arrays: dict[str, npt.NDArray[Any]] = {}
        for name, (kind, shape) in shapes.items():
            size = np.dtype(kind).itemsize * math.prod(shape)
            arrays[name] = np.frombuffer(room[at : at + size].tobytes(), kind).reshape(shape)
            at += size
        return head, arrays


class RequestQueue:
    """What the performer asks of the supervisor, in order and once. One asker, one taker."""

    def __init__(self, native: _realtime.Requests | _realtime.Commands) -> None:
        self._native = native

    def ask(self, request: Request) -> bool:
        """The asker only. False: the supervisor has not listened to the last 64."""
        text = request.text.encode()
        if len(text) > TEXT_BYTES:
            raise ValueError(f"a request has room for {TEXT_BYTES} bytes of text, not {len(text)}")
        return self._native.push(-request.action if request.absolute else request.action, request.amount, text)

    def take(self) -> Request | None:
        """Supervisor only: the oldest one not taken yet."""
        asked = self._native.pop()
        if asked is None:
            return None
        action, amount, text = asked
        return Request(Action(abs(action)), amount, absolute=action < 0, text=text.decode(errors="ignore"))


class Sources:
    """Numbers from outside, OSC and MIDI, that play channels: synthesis says which it wants, control fills them in.

    Places are given once and stay: a name keeps its place, and its last value, whoever is started again.
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        self._names: tuple[str, ...] = ()

    def want(self, name: str) -> int:
        """Synthesis only: the place of that source. Raises LivemoveError when there is no room for another one."""
        names = self.wanted
        if name in names:
            return names.index(name)
        text = "\n".join([*names, name]).encode()
        if len(names) == len(self._record["value"]) or len(text) >= self._record["names"].dtype.itemsize:
            raise LivemoveError(f"source {name!r}: there is no room for more than {len(names)} sources from outside")
        self._record["value"][len(names)] = np.nan
        self._record["names"][0] = text
        self._record["wanted"][0] = len(names) + 1
        return len(names)

    @property
    def wanted(self) -> tuple[str, ...]:
        """Names by place. Anyone."""
        count = int(self._record["wanted"][0])
        if count != len(self._names):
            self._names = tuple(bytes(self._record["names"][0]).decode().split("\n")[:count])
        return self._names

    def give(self, place: int, value: float) -> None:
        """Control only."""
        self._record["value"][place] = value

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """float64 [64] by place, a view; NaN until something came. Anyone."""
        return self._record["value"]


class CaptureTelemetry:
    """What the camera and the landmarker do. Written by capture only; read by anyone.

    frames_seen: frames the camera gave. frames_used: those the landmarker looked at. poses: those with
    somebody in them.
    """

    def __init__(self, record: Record) -> None:
        self._record = record

    def frame_seen(self, count: int = 1) -> None:
        self._record["frames_seen"][0] += np.uint64(count)

    def frame_used(self, pose_ms: float, people: int) -> None:
        """One frame went through the landmarker in pose_ms."""
        r = self._record
        r["frames_used"][0] += np.uint64(1)
        r["poses"][0] += np.uint64(people > 0)
        r["people"][0] = people
        r["last_pose_ms"][0] = pose_ms
        r["pose_ms"][min(int(pose_ms / BIN_MS), len(r["pose_ms"]) - 1)] += np.uint64(1)
        now = now_s()
        if people > 0 and r["first_pose_s"][0] == 0.0:
            r["first_pose_s"][0] = now
        r["last_used_s"][0] = now

    @property
    def frames_seen(self) -> int:
        return int(self._record["frames_seen"][0])

    @property
    def frames_used(self) -> int:
        return int(self._record["frames_used"][0])

    @property
    def poses(self) -> int:
        return int(self._record["poses"][0])

    @property
    def people(self) -> int:
        return int(self._record["people"][0])

    @property
    def last_used_s(self) -> float:
        """When the landmarker was last done with a frame; 0 while it never was."""
        return float(self._record["last_used_s"][0])

    @property
    def pose_ms(self) -> float:
        """The last one."""
        return float(self._record["last_pose_ms"][0])

    @property
    def pose_ms_histogram(self) -> npt.NDArray[np.uint64]:
        return self._record["pose_ms"].copy()

    @property
    def pose_fps(self) -> float | None:
        """Poses per second since the first one; None before the second."""
        elapsed_s = float(self._record["last_used_s"][0] - self._record["first_pose_s"][0])
        return (self.poses - 1) / elapsed_s if self.poses > 1 and elapsed_s > 0 else None


class SynthesisTelemetry:
    """What the engine does. Written by synthesis only; read by anyone."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def hop(self, busy_s: float, samples: int, channels: Float32) -> None:
        """One hop of `samples` model-rate samples took busy_s; channels float32 [C <= 64], as the engine got them."""
        r = self._record
        r["hops"][0] += np.uint64(1)
        r["audio_samples"][0] += np.uint64(samples)
        r["busy_s"][0] += busy_s
        count = min(len(channels), len(r["channels"]))
        r["channel_count"][0] = count
        r["channels"][:count] = channels[:count]

    def keeps(self, rate: float) -> None:
        """What is written into the ring from now on has this rate."""
        self._record["rate"][0] = rate

    def felt(self, features: Float32) -> None:
        """features float32 [F <= 64], as the mapping of the last hop got them."""
        r = self._record
        count = min(len(features), len(r["features"]))
        r["feature_count"][0] = count
        r["features"][:count] = features[:count]

    @property
    def rate(self) -> float:
        """Of the samples that are written into the ring; 0 before the first."""
        return float(self._record["rate"][0])

    @property
    def hops(self) -> int:
        return int(self._record["hops"][0])

    @property
    def audio_samples(self) -> int:
        return int(self._record["audio_samples"][0])

    @property
    def busy_s(self) -> float:
        return float(self._record["busy_s"][0])

    @property
    def channels(self) -> npt.NDArray[np.float64]:
        """float64 [C]: the last hop's."""
        return self._record["channels"][: int(self._record["channel_count"][0])].copy()

    @property
    def features(self) -> npt.NDArray[np.float64]:
        """float64 [F]: the last hop's."""
        return self._record["features"][: int(self._record["feature_count"][0])].copy()


class PlaybackTelemetry:
    """What the callback counts. Written by the callback only; read by anyone. Survives a restart of playback."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def _count(self, name: str) -> int:
        return int(self._record[name][0])

    def _number(self, name: str) -> float:
        return float(self._record[name][0])

    @property
    def heartbeat_s(self) -> float:
        return self._number("heartbeat_s")

    @property
    def callbacks(self) -> int:
        return self._count("callbacks")

    @property
    def late_callbacks(self) -> int:
        return self._count("late_callbacks")

    @property
    def portaudio_underflows(self) -> int:
        return self._count("portaudio_underflows")

    @property
    def ring_starvations(self) -> int:
        """Episodes: the ring ran dry while playing."""
        return self._count("ring_starvations")

    @property
    def ring_starvations_settled(self) -> int:
        """Those later than one second after playing began."""
        return self._count("ring_starvations_settled")

    @property
    def starved_samples(self) -> int:
        """Device samples without material, fades included."""
        return self._count("starved_samples")

    @property
    def limiter_hits(self) -> int:
        """Samples above -1 dBFS."""
        return self._count("limiter_hits")

    @property
    def nonfinite_samples(self) -> int:
        return self._count("nonfinite_samples")

    @property
    def peak(self) -> float:
        return self._number("peak")

    @property
    def rms(self) -> float:
        return self._number("rms")

    @property
    def first_sound_s(self) -> float:
        """DAC time of the first sample above -80 dBFS; 0 while there was none."""
        return self._number("first_sound_s")

    @property
    def output_latency_s(self) -> float:
        return self._number("output_latency_s")

    @property
    def margin_s(self) -> float:
        """How long the newest sample of the last block had been in the ring; 0 after a starvation."""
        return self._number("margin_s")

    @property
    def latency_max_ms(self) -> float:
        return self._number("latency_max_ms")

    @property
    def latency_histogram(self) -> npt.NDArray[np.uint64]:
        """uint64 [4096] counts of BIN_MS bins: motion-to-sound latency of every hop played."""
        return self._record["latency_ms"].copy()


class AudioRing:
    """Samples on their way out, float32 mono at the device's rate. Producer: synthesis. Consumer: the callback.

    When it runs dry the callback fades out, counts a starvation, and starts again once the fill reaches `target`.
    """

    def __init__(self, memory: npt.NDArray[np.uint8]) -> None:
        self._native = _realtime.Ring(memory)

    def write(self, samples: Float32) -> bool:
        """Producer only: all of samples float32 [n], or, when there is no room, nothing and False."""
        return self._native.write(samples)

    def mark(self, first_sample: int, capture_s: float) -> None:
        """Producer only, before the hop it describes.

        Sample first_sample, counted like `written`, begins a hop made from the pose captured at capture_s (NaN: none).
        """
        self._native.mark(first_sample, capture_s)

    def set_pace(self, rate: float, block: int) -> None:
        """Producer only, before the first sample of that rate: the consumer takes `block` samples, `rate` a second."""
        self._native.set_pace(rate, block)

    def wait_due(self, lead_s: float, timeout_s: float) -> bool:
        """Producer only: sleep, without the GIL, until a hop is due; False if timeout_s passed first.

        Due: the ring holds less than the callbacks of the next lead_s seconds will take.
        """
        return self._native.wait_due(lead_s, timeout_s)

    def seek(self, sample: int) -> None:
        """Replay only, nobody else being there: all before this sample was written and played."""
        self._native.seek(sample)

    def set_target(self, fill: int) -> None:
        """Replay only: `target`, which is otherwise set by `wait_due`."""
        self._native.set_target(fill)

    @property
    def written(self) -> int:
        """Samples written since the segment was made."""
        return self._native.written

    @property
    def fill(self) -> int:
        """Samples not yet played. Anyone."""
        return self._native.fill

    @property
    def target(self) -> int:
        """The fill at which the callback begins to play, samples. Anyone."""
        return self._native.target


class Tap:
    """What was really played, float32 mono at the device's rate; the callback never waits for its readers. Anyone."""

    def __init__(self, memory: npt.NDArray[np.uint8]) -> None:
        self._native = _realtime.Tap(memory)

    @property
    def written(self) -> int:
        return self._native.written

    def read(self, start: int, out: Float32) -> bool:
        """Fill out float32 [n] with samples start.. (start + n <= written); False: some were lost, out is no use."""
        return self._native.read(start, out)


class _Mapping(shared_memory.SharedMemory):
    """Memory that views may outlive, in a traceback for instance: then the mapping goes with the process."""

    def view(self, dtype: npt.DTypeLike = np.uint8, count: int = -1, offset: int = 0) -> npt.NDArray[Any]:
        assert self.buf is not None
        return np.frombuffer(self.buf, dtype, count, offset)

    def close(self) -> None:
        with contextlib.suppress(BufferError):
            super().close()


def _do_not_register(name: str, rtype: str) -> None:
    """In place of resource_tracker.register while a child attaches."""


class Segment:
    """The shared memory of one session and its views. Made by the supervisor, attached by every child."""

    def __init__(self, memory: _Mapping) -> None:
        self._shared = memory
        self.name = memory.name
        self.bytes = memory.view()
        """uint8 [SIZE]: for the native extension only."""
        layout = _realtime.layout()

        def record(fields: Any) -> Record:
            views: Record = {}
            for name, kind, count, offset in cast("list[tuple[str, str, int, int]]", fields):
                dtype = np.dtype(f"S{count}") if kind == "S" else np.dtype(f"<{kind}")
                views[name] = memory.view(dtype, 1 if kind == "S" else count, offset)
            return views

        self.lives = {role: Life(record(fields)) for role, fields in zip(ROLES, layout["lives"], strict=True)}
        self._supervisor = record(layout["supervisor"])
        self._devices = record(layout["devices"])["names"]
        self.pose = PoseMailbox(self.bytes)
        self.controls = ControlsMailbox(self.bytes)
        self.requests = RequestQueue(_realtime.Requests(self.bytes))
        """The monitor's."""
        self.commands = RequestQueue(_realtime.Commands(self.bytes))
        """Control's."""
        self.sources = Sources(record(layout["sources"]))
        self.bulletin = BulletinMailbox(self.bytes)
        self.picture = PictureMailbox(self.bytes)
        self.poses = Log(_realtime.PoseLog(self.bytes), POSE_ROW)
        self.made = HopLog(self.bytes)
        self.hops = Log(_realtime.HopLog(self.bytes), HOP_ROW)
        self.blocks = Log(_realtime.BlockLog(self.bytes), BLOCK_ROW)
        self.snapshot = SnapshotBox(self.bytes)
        self.ring = AudioRing(self.bytes)
        self.tap = Tap(self.bytes)
        self.capture = CaptureTelemetry(record(layout["capture"]))
        self.synthesis = SynthesisTelemetry(record(layout["synthesis"]))
        self.playback = PlaybackTelemetry(record(layout["playback"]))

    @staticmethod
    def create() -> Segment:
        """Supervisor only."""
        memory = _Mapping(f"livemove-{os.urandom(4).hex()}", create=True, size=_realtime.SIZE)
        _realtime.initialise(memory.view())
        return Segment(memory)

    @staticmethod
    def attach(name: str) -> Segment:
        """Children. The segment stays the supervisor's: a child that ends must not unlink it."""
        if sys.version_info >= (3, 13):
            return Segment(_Mapping(name, track=False))
        # Before 3.13 attaching registers the segment with the resource tracker, as if we had made it.
        register: Callable[[str, str], None] = resource_tracker.register
        resource_tracker.register = _do_not_register
        try:
            return Segment(_Mapping(name))
        finally:
            resource_tracker.register = register

    def close(self) -> None:
        """Drop every view and the mapping; nothing of this segment may be used afterwards. Any process."""
        for name in tuple(vars(self)):
            if name not in ("_shared", "name"):
                delattr(self, name)
        self._shared.close()

    def unlink(self) -> None:
        """Supervisor only, at the very end."""
        self._shared.unlink()

    def wait_asked(self, timeout_s: float) -> bool:
        """Supervisor only: sleep, without the GIL, until somebody asked for something; False if nobody did in time."""
        return _realtime.wait_asked(self.bytes, timeout_s)

    # --- what the supervisor tells everybody

    def request_stop(self) -> None:
        """Supervisor only: everybody finishes; playback fades out first."""
        self._supervisor["stop"][0] = 1

    @property
    def stop_requested(self) -> bool:
        return bool(self._supervisor["stop"][0])

    def set_device_rate(self, rate: float) -> None:
        """Playback only, before its first block: samples per second the ring is read at from now on."""
        if rate != self.device_rate:
            self._supervisor["rate_since"][0] = self.tap.written
            self._supervisor["device_rate"][0] = rate

    @property
    def device_rate(self) -> float:
        """0 until playback has opened its device."""
        return float(self._supervisor["device_rate"][0])

    @property
    def rate_since(self) -> int:
        """The first sample of the tap that has that rate, if any has yet; to be read after it.

        Whoever looks at what the tap holds and then at the rate knows the rate of all it saw: a device is opened less
        often than anybody looks.
        """
        return int(self._supervisor["rate_since"][0])

    def set_devices(self, names: Sequence[str]) -> None:
        """Playback only, before the state becomes RUNNING: the sound cards there are."""
        self._devices[0] = _lines(names, self._devices.itemsize)

    @property
    def devices(self) -> tuple[str, ...]:
        """The sound cards there were when playback last opened one; those that can be played at, "N NAME (HOST)"."""
        return _names(self._devices)
