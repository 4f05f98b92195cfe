"""A take on disk: the sound of a performance, and all it was made from, on one clock; readable after a kill -9.

In: sound, rows and engine states, as they come. Out: a folder of WAV, NumPy arrays and one TOML; reading.py reads it.
Knows no process, no shared memory and no engine: the rows bring their own field names.

    take-20260131-203000/
      take.toml       what played: models with their sha256 and engines, rates, clock, names of sources and channels
      take.wav        24 bits, left and right, exactly what came out (takes of earlier versions: mono);
                      take-002.wav ... where one file would pass 4 GB
      blocks.npy      one row per call of the audio device: when, how many samples, gain, what the ring held
      hops.npy        one row per hop of the model: when, sources, channels, controls
      poses.npy       one row per person and camera frame: when, landmarks
      film.h264       what the camera saw, if that was wanted: a plain stream that players open; a little from before
                      the take begins, for it can be decoded from some frames only
      film.npy        one row per frame of it: when, and which bytes
      state-001.npz   the engine before a hop (`head` says which), so that the same sound can be made again
      mapping.toml    as it was when the take began; mapping-002.toml ... for further models
      unfinished      there while it is written: what is still there afterwards was broken off
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
import numpy.typing as npt
import tomli_w

from livemove.contracts import Float32, OutputError
from livemove.printable import printable_content

FORMAT = 1
INDEX = "take.toml"
STREAM = "film.h264"
UNFINISHED = "unfinished"

WAV_BYTES = 4_000_000_000
"""A WAV counts its bytes in 32 bits: the next file begins before that."""

Rows = npt.NDArray[np.void]
"""Structured array; its fields say what is in it."""

SIDES = 2
"""Left, right."""

Pcm = npt.NDArray[np.uint8]
"""uint8 [samples, sides, 3]: 24-bit little-endian."""


VIDEO_ROW = np.dtype([("capture_s", "<f8"), ("begin", "<i8"), ("size", "<i8"), ("key", "<i8")])
"""One frame of the camera's video: when it was captured, its bytes in the stream, whether decoding may begin with
it."""


@dataclass(frozen=True)
class TakenModel:
    """A model that could be played: sha256 is its model.json's, which names all its other files' own.

    realtime: how fast its engine was, in multiples of real time. mapping: file in the take; "": the model has none.
    layer: 1 where something begins that could be switched to, 2 .. for what plays with the one before it; transpose,
    note (-1: none), dancer: as `Layer` of synthesis_config has them; gains and pans are in the hops. Takes of earlier
    versions say nothing of layers.
    """

    name: str
    path: str
    sha256: str
    engine: str
    realtime: float
    channels: tuple[str, ...]
    mapping: str
    layer: int = 1
    transpose: float = 0.0
    note: float = -1.0
    dancer: int = 0


Kept = TypeVar("Kept")


def stacked(models: Sequence[TakenModel], of: Sequence[Kept]) -> list[list[Kept]]:
    """What there is for each model, as the layers that play at once."""
    stacks: list[list[Kept]] = []
    for model, each in zip(models, of, strict=True):
        if model.layer == 1 or not stacks:
            stacks.append([])
        stacks[-1].append(each)
    return stacks


@dataclass(frozen=True)
class TakeInfo:
    """take.toml. started: local time; clock_s: the same moment on the clock of all rows; rate: of the sound, in Hz."""

    livemove: str
    started: datetime
    clock_s: float
    rate: int
    model_rate: int
    block: int
    seed: int
    camera: str
    sources: tuple[str, ...]
    models: tuple[TakenModel, ...]
    format: int = FORMAT


@dataclass(frozen=True)
class Snapshot:
    """What the engines were before a hop. head: when the engine began (life_s), hop and model, and their noise; arrays:
    an EngineState."""

    head: dict[str, Any]
    arrays: dict[str, npt.NDArray[Any]]


def pcm24(samples: Float32) -> Pcm:
    """uint8 [..., 3] from float32 [...]: rounded to the nearest of 2^24 steps, clipped at full scale."""
    steps = np.clip(np.rint(samples.astype(np.float64) * 2**23), -(2**23), 2**23 - 1).astype("<i4")
    return steps.view(np.uint8).reshape(*samples.shape, 4)[..., :3]


def samples24(pcm: Pcm) -> Float32:
    """float32 [...] in -1..1 from uint8 [..., 3]."""
    wide = np.zeros((*pcm.shape[:-1], 4), np.uint8)
    wide[..., 1:] = pcm
    return (wide.view("<i4")[..., 0] / 2**31).astype(np.float32)


class Sound:
    """A 24-bit WAV that is whole after every write; further files NAME-002.wav ... before one is too long, and where
    the rate changes. sides: 2, or 1 for mono."""

    def __init__(self, path: Path, rate: int, limit_bytes: int = WAV_BYTES, sides: int = SIDES) -> None:
        self._path = path
        self._rate = rate
        self._sides = sides
        self._limit = limit_bytes // (3 * sides)
        self._count = 0
        self._open()

    @property
    def path(self) -> Path:
        """The file that is written."""
        return part(self._path, self._count)

    def change_rate(self, rate: int) -> None:
        """What follows has this rate, in the next file. Raises OSError, OutputError; what was written before stays."""
        self._rate = rate
        self.close()
        self._open()

    def _open(self) -> None:
        self._count += 1
        while self._count > 1 and self.path.exists():  # of an earlier performance, beside a file of --output
            self._count += 1
        path = self.path
        try:
            self._file: BinaryIO = path.open("wb")
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror}; choose another place") from error
        self._wave = wave.open(self._file, "wb")  # noqa: SIM115  (closed by close)
        self._wave.setparams((self._sides, 3, self._rate, 0, "NONE", ""))
        self._room = self._limit
        self._put(np.zeros((0, self._sides, 3), np.uint8))

    def write(self, pcm: Pcm) -> None:
        """Raises OSError; what was written before stays."""
        while len(pcm) > self._room:
            fits, pcm = pcm[: self._room], pcm[self._room :]
            self._put(fits)
            self.close()
            self._open()
        self._put(pcm)

    def _put(self, pcm: Pcm) -> None:
        self._wave.writeframes(pcm.tobytes())  # says in the header how long it is now
        self._file.flush()
        self._room -= len(pcm)

    def close(self) -> None:
        """Raises OSError."""
        try:
            self._wave.close()
        finally:
            self._file.close()


def part(path: Path, number: int) -> Path:
    """name.ext, name-002.ext, name-003.ext ..."""
    return path if number == 1 else path.with_name(f"{path.stem}-{number:03d}{path.suffix}")


class Table:
    """Rows appended to an .npy file, whose header NumPy leaves room in for just that."""

    def __init__(self, path: Path, row: np.dtype[Any]) -> None:
        self._row = row
        self._count = 0
        self._file = path.open("wb")
        self._write_header()
        self._file.flush()  # a table that gets no row, as when nobody is seen, can be read, too

    def _write_header(self) -> None:
        descr = np.lib.format.dtype_to_descr(self._row)
        header: dict[str, Any] = {"descr": descr, "fortran_order": False, "shape": (self._count,)}
        np.lib.format.write_array_header_1_0(self._file, header)

    def write(self, rows: Rows) -> None:
        """Raises OSError; what was written before stays."""
        if not len(rows):
            return
        self._file.write(rows.tobytes())
        self._file.flush()
        self._count += len(rows)
        self._file.seek(0)
        self._write_header()
        self._file.seek(0, os.SEEK_END)
        self._file.flush()

    def close(self) -> None:
        """Raises OSError."""
        self._file.close()


def make_folder(takes: Path, started: datetime) -> Path:
    """takes/take-YYYYMMDD-HHMMSS, made now; of two in one second the later gets -2. Raises OutputError."""
    name = f"take-{started:%Y%m%d-%H%M%S}"
    for number in range(1, 100):
        folder = takes / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise OutputError(
                f"{folder} cannot be made: {error.strerror}; choose another folder with --takes"
            ) from error
        return folder
    raise OutputError(f"{takes} holds a hundred takes of this second: clear it up")


class TakeWriter:
    """A take while it is written; everything that was given is on disk when the method returns."""

    def __init__(self, folder: Path, info: TakeInfo, mappings: dict[str, str], wav_bytes: int = WAV_BYTES) -> None:
        """mappings: file name -> text. Raises OutputError."""
        self.folder = folder
        try:
            (folder / UNFINISHED).touch()
            (folder / INDEX).write_text(_index(info), encoding="utf-8")
            for name, text in mappings.items():
                (folder / name).write_text(text, encoding="utf-8")
            self._sound = Sound(folder / "take.wav", info.rate, wav_bytes)
        except OSError as error:
            raise OutputError(f"{folder}: cannot be written: {error.strerror}; choose another folder") from error
        self._tables: dict[str, Table] = {}
        self._states = 0
        self._video: BinaryIO | None = None
        self._video_bytes = 0

    def sound(self, pcm: Pcm) -> None:
        """Raises OSError, as all that follow."""
        self._sound.write(pcm)

    def rows(self, name: str, rows: Rows) -> None:
        """Append to name.npy; a table keeps the fields of its first rows."""
        if name not in self._tables:
            self._tables[name] = Table(self.folder / f"{name}.npy", rows.dtype)
        self._tables[name].write(rows)

    def video(self, stream: npt.NDArray[np.uint8], rows: Rows) -> None:
        """Append frames: their bytes, uint8, and their VIDEO_ROWs, which are on disk only after those."""
        if not len(rows):
            return
        if self._video is None:
            self._video = (self.folder / STREAM).open("wb")
        self._video.write(stream.tobytes())
        self._video.flush()
        placed = rows.copy()
        placed["begin"] += self._video_bytes - rows["begin"][0]
        self._video_bytes += len(stream)
        self.rows("film", placed)

    def state(self, snapshot: Snapshot) -> None:
        """Whole or not at all."""
        self._states += 1
        path = self.folder / f"state-{self._states:03d}.npz"
        partial = path.with_suffix(".part")
        with partial.open("wb") as file:
            np.savez(file, allow_pickle=False, head=np.array(json.dumps(snapshot.head)), **snapshot.arrays)
        os.replace(partial, path)

    def close(self) -> None:
        """Raises OSError, after having closed all it can."""
        with contextlib.ExitStack() as stack:
            for each in (self._sound, *self._tables.values(), *([self._video] if self._video else [])):
                stack.callback(each.close)
        (self.folder / UNFINISHED).unlink(missing_ok=True)


def _index(info: TakeInfo) -> str:
    return tomli_w.dumps(printable_content(dataclasses.asdict(info)))


def model_sha256(folder: Path) -> str:
    """Of a model's model.json. Raises OSError."""
    return hashlib.sha256((folder / "model.json").read_bytes()).hexdigest()


def is_take(path: Path) -> bool:
    return (path / INDEX).is_file()


def unfinished(path: Path) -> str:
    """A line about a take that was never finished; "" for one that was."""
    if not (path / UNFINISHED).exists():
        return ""
    return f"{path} was never finished (broken off, or it is still being recorded): it goes as far as it was written"
