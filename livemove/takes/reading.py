"""A take read: as much of it as was written whole, and nothing that is no take's. It may be a stranger's.

In: a folder. Out: a Take, or one TakeError that names the file. Reads plain files of that folder only, looks at sizes
before it unpacks, and runs nothing. Must not know how takes are played.
"""

from __future__ import annotations

import dataclasses
import io
import json
import stat
import tomllib
import typing
import wave
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, cast

import numpy as np
import numpy.typing as npt

from livemove import numbers
from livemove.bundle import NO_ARRAYS
from livemove.contracts import LANDMARKS, MAX_PEOPLE, PoseFrame, TakeError
from livemove.takes.folder import (
    FORMAT,
    INDEX,
    SIDES,
    STREAM,
    VIDEO_ROW,
    Pcm,
    Rows,
    Snapshot,
    TakeInfo,
    TakenModel,
    part,
)
from livemove.takes.row_limits import BLOCK_LIMITS, HOP_LIMITS, INDEX_LIMITS, MODEL_LIMITS, POSE_LIMITS, check_rows

MOST_BYTES = {".toml": 1 << 20, ".npz": 1 << 26}
"""Largest index, and largest engine state, packed and unpacked; theremin-full's state is half a megabyte."""

MOST_STATES_BYTES = 1 << 30

DISAGREE = (KeyError, ValueError, IndexError, TypeError, OverflowError)
"""What code that plays a take meets where its files do not fit together."""

MOST_FRAMES = 1 << 16
"""In one call of the audio device; livemove asks for 8192 at most."""


@dataclass(frozen=True)
class Take:
    """A take as read: as much as all its parts hold. blocks, hops, poses: rows, in the order of time. sides: of its
    WAV, 2, or 1 in a take from before livemove played in stereo."""

    path: Path
    info: TakeInfo
    blocks: Rows
    hops: Rows
    poses: Rows
    snapshots: tuple[Snapshot, ...]
    sides: int = SIDES

    @property
    def samples(self) -> int:
        """Of the sound, at info.rate."""
        return int(self.blocks["frames"].sum())

    @property
    def seconds(self) -> float:
        return self.samples / self.info.rate

    def sound(self) -> Pcm:
        """uint8 [samples, 2, 3]: what came out, to the bit; of a mono take the same on both sides."""
        pieces: list[Pcm] = []
        for path in _parts(self.path / "take.wav"):
            with wave.open(str(path), "rb") as file:
                content = file.readframes(file.getnframes())
            frame = 3 * self.sides
            pieces.append(np.frombuffer(content[: len(content) // frame * frame], np.uint8).reshape(-1, self.sides, 3))
        sound = np.concatenate(pieces)[: self.samples]
        return sound if self.sides == SIDES else np.repeat(sound, SIDES, axis=1)

    def video(self) -> Rows:
        """Rows of VIDEO_ROW; none if the camera's video was not kept. Raises TakeError."""
        path = self.path / "film.npy"
        if not path.exists():
            return cast(Rows, np.zeros(0, VIDEO_ROW))
        rows = _read_table(path)
        size = plain_file(self.path / STREAM).stat().st_size
        if rows.dtype != VIDEO_ROW or ((rows["begin"] < 0) | (rows["size"] < 0) | (rows["begin"] > size)).any():
            raise TakeError(f"{path}: these are no frames of a video")
        return rows

    def frames(self) -> Iterator[PoseFrame]:
        """The pose frames, in order, each with the people that were seen."""
        frame: PoseFrame | None = None
        for row in self.poses:
            if frame is None or frame.sequence != int(row["sequence"]) or frame.capture_s != float(row["capture_s"]):
                if frame is not None:
                    yield frame
                frame = PoseFrame(float(row["capture_s"]), int(row["sequence"]), int(row["people"]))
            person = int(row["person"])
            frame.image[person] = row["image"]
            frame.world[person] = row["world"]
            frame.visibility[person] = row["visibility"]
        if frame is not None:
            yield frame


def load_take(path: Path) -> Take:
    """Read a take, one that was never finished too. Raises TakeError."""
    info = _read_index(path / INDEX)
    blocks, hops, poses = (_read_table(path / f"{name}.npy") for name in ("blocks", "hops", "poses"))
    if not len(blocks):
        raise TakeError(f"{path}: this take holds no sound")
    _check_blocks(path / "blocks.npy", blocks)
    if len(poses):
        _check_poses(path / "poses.npy", poses)
    check_rows(path / "blocks.npy", blocks, BLOCK_LIMITS)
    check_rows(path / "hops.npy", hops, HOP_LIMITS, finite=("channels", "leaving"))
    check_rows(path / "poses.npy", poses, POSE_LIMITS)
    sounds = [_sound(file) for file in _parts(path / "take.wav")]
    sides = {each for each, _ in sounds} or {SIDES}
    if len(sides) > 1:
        raise TakeError(f"{path / 'take.wav'}: one of its files is mono and another one is not")
    frames = sum(count for _, count in sounds)
    whole = int(np.searchsorted(np.cumsum(blocks["frames"]), frames, side="right"))
    return Take(path, info, blocks[:whole], hops, poses, tuple(_read_states(path)), sides.pop())


def plain_file(path: Path) -> Path:
    """path, if it is a plain file of its folder: a link may lead anywhere, a pipe never ends. Raises TakeError."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise TakeError(f"{path}: is no plain file; copy it there")
        size, most = path.stat().st_size, MOST_BYTES.get(path.suffix)
    except OSError as error:
        raise TakeError(f"{path}: cannot be read: {error.strerror}") from error
    if most is not None and size > most:
        raise TakeError(f"{path}: is {size} bytes long, and at most {most} in a take")
    return path


def _parts(path: Path) -> Iterator[Path]:
    number = 1
    while (each := part(path, number)).exists():
        yield plain_file(each)
        number += 1


def _sound(path: Path) -> tuple[int, int]:
    """(sides, frames) of a WAV."""
    try:
        with wave.open(str(path), "rb") as file:
            if file.getnchannels() not in (1, SIDES) or file.getsampwidth() != 3:
                raise TakeError(f"{path}: the sound of a take is stereo or mono, with 24 bits")
            return file.getnchannels(), file.getnframes()
    except (OSError, EOFError, wave.Error, RuntimeError, ValueError) as error:
        raise TakeError(f"{path}: cannot be read: {error}") from error


# --- take.toml ----------------------------------------------------------------------------------------------


def _read_index(path: Path) -> TakeInfo:
    if not path.exists():
        raise TakeError(f"{path.parent}: no {INDEX} in there, so it is no take")
    try:
        document: dict[str, Any] = tomllib.loads(plain_file(path).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise TakeError(f"{path}: cannot be read: {error}") from error
    if document.get("format") != FORMAT:
        raise TakeError(f"{path}: format {document.get('format')!r:.40}; this livemove reads format {FORMAT}")

    def fail(entry: str, expected: str) -> NoReturn:
        raise TakeError(f"{path}: {entry}: expected {expected}")

    models = document.get("models")
    if not isinstance(models, list) or not models:
        fail("models", "at least one")
    made: list[TakenModel] = []
    for number, model in enumerate(cast("list[Any]", models), 1):
        found = TakenModel(**_checked(model, TakenModel, f"models {number}: ", fail))
        if found.mapping and (Path(found.mapping).name != found.mapping or "\\" in found.mapping):
            fail(f"models {number}: mapping", "the name of a file in the take")
        if found.path.startswith(("\\\\", "//")):  # Windows would ask that machine, and say who asks
            fail(f"models {number}: path", "a folder of this machine")
        made.append(found)
    info = TakeInfo(**_checked({**document, "models": tuple(made)}, TakeInfo, "", fail))
    name = "realtime of a model"
    try:
        for model in made:
            numbers.number(model.realtime, 0.0, 1e9)
        for name, (low, high) in MODEL_LIMITS.items():
            for model in made:
                numbers.number(getattr(model, name), low, high)
        for name, (low, high) in INDEX_LIMITS.items():
            value = getattr(info, name)
            numbers.number(value, low, high) if isinstance(low, float) else numbers.whole(value, int(low), int(high))
    except ValueError as error:
        raise TakeError(f"{path}: {name}: {error}") from error
    return info


def _checked(table: Any, kind: type[Any], where: str, fail: Callable[[str, str], NoReturn]) -> dict[str, Any]:
    """The entries of a table as that dataclass has them, lists as tuples; what has a default there may be missing, as
    in takes of earlier versions."""
    wanted = {name: each for name, each in typing.get_type_hints(kind).items() if name != "models"}
    later = {each.name: each.default for each in dataclasses.fields(kind) if each.default is not dataclasses.MISSING}
    if not isinstance(table, dict):
        fail(f"{where}entries", "a table")
    given = cast("dict[str, Any]", table)
    for name in (*wanted, *given):
        if name not in given and name not in later:
            fail(where + name, "an entry of that name")
        if name not in wanted and name != "models":
            fail(f"{where}{name!r:.40}", "no such entry")
    found = dict(given)
    for name, each in wanted.items():
        value = found.get(name, later.get(name))
        if typing.get_origin(each) is tuple and isinstance(value, list):
            texts = cast("list[Any]", value)
            if not all(isinstance(text, str) for text in texts):
                fail(where + name, "texts")
            found[name] = tuple(texts)
        elif each is float and type(value) is int and abs(value) < 1 << 53:
            found[name] = float(value)
        elif typing.get_origin(each) is tuple or type(value) is not each:
            fail(where + name, str(getattr(each, "__name__", each)))
    return found


# --- rows and states ----------------------------------------------------------------------------------------


def _read_table(path: Path) -> Rows:
    """All whole rows, those too that came after the header was last written."""
    try:
        with plain_file(path).open("rb") as file:
            version = np.lib.format.read_magic(file)
            if version != (1, 0):
                raise ValueError(f"version {version}")
            _, _, row = np.lib.format.read_array_header_1_0(file)
            if row.hasobject or not row.names or not row.itemsize:
                raise ValueError("rows of plain numbers with names are expected")
            content = file.read()
        return cast(Rows, np.frombuffer(content[: len(content) // row.itemsize * row.itemsize], row))
    except NO_ARRAYS as error:
        raise TakeError(f"{path}: cannot be read: {_short(error)}") from error


def _check_blocks(path: Path, blocks: Rows) -> None:
    row = blocks.dtype
    frames = row["frames"] if "frames" in (row.names or ()) else None
    if frames is None or frames.kind not in "iu" or frames.shape:
        raise TakeError(f"{path}: frames: expected a whole number in every row")
    if (blocks["frames"] < 0).any() or (blocks["frames"] > MOST_FRAMES).any():
        raise TakeError(f"{path}: frames: expected 0..{MOST_FRAMES} in a block")


def _check_poses(path: Path, poses: Rows) -> None:
    shapes = {"capture_s": (), "sequence": (), "people": (), "person": (), "image": (LANDMARKS, 3),
              "world": (LANDMARKS, 3), "visibility": (LANDMARKS,)}  # fmt: skip
    for name, shape in shapes.items():
        if name not in (poses.dtype.names or ()) or poses.dtype[name].shape != shape:
            raise TakeError(f"{path}: {name}: expected numbers of shape {list(shape)} in every row")
        if poses.dtype[name].base.kind not in "iuf":
            raise TakeError(f"{path}: {name}: expected numbers")
    for name, most in (("person", MAX_PEOPLE - 1), ("people", MAX_PEOPLE)):
        if (poses[name] < 0).any() or (poses[name] > most).any() or poses.dtype[name].kind == "f":
            raise TakeError(f"{path}: {name}: expected 0..{most}")
    if not np.isfinite(poses["sequence"]).all():
        raise TakeError(f"{path}: sequence: expected numbers")


def _read_states(path: Path) -> Iterator[Snapshot]:
    left = MOST_STATES_BYTES
    for each in sorted(path.glob("state-*.npz")):
        snapshot = _read_state(each)
        left -= sum(array.nbytes for array in snapshot.arrays.values())
        if left < 0:
            raise TakeError(f"{path}: its engine states are larger than {MOST_STATES_BYTES} bytes")
        yield snapshot


def _read_state(path: Path) -> Snapshot:
    try:
        content = plain_file(path).read_bytes()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:  # a compressed bomb says its size before it is unpacked
            if sum(entry.file_size for entry in archive.infolist()) > MOST_BYTES[".npz"]:
                raise ValueError("it would unpack to more than an engine state")
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays: dict[str, npt.NDArray[Any]] = {name: file[name] for name in file.files}
        head = json.loads(str(arrays.pop("head")))
        if not isinstance(head, dict):
            raise ValueError("its head is no table")
        return Snapshot(cast("dict[str, Any]", head), arrays)
    except NO_ARRAYS as error:
        raise TakeError(f"{path}: cannot be read: {_short(error)}") from error


def _short(error: BaseException) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:200]
