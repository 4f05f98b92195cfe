"""The items of a dataset to prepare: clips in the Kinetics layout, folders of videos and sounds, procedural sound.

In: SRC as the user gave it. Out: a list of Sources, always in the same order. Looks at names, not into files.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from livemove.contracts import LivemoveError

VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".avi", ".m4v", ".mpg", ".mpeg", ".flv", ".ts", ".3gp")
SOUNDS = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a", ".aac", ".aif", ".aiff", ".wma")
SPLITS = ("train", "valid")
VALID_SHARE = 0.1
"""Of files that are in no split; a file's name decides, so that more files change nothing for the others."""


class DatasetError(LivemoveError):
    """Nothing to prepare there; the message says what was expected."""


@dataclass(frozen=True)
class Item:
    """One clip to be: where it comes from and where it goes. kind: "film", "sound" or "procedural" (seed)."""

    kind: str
    split: str
    style: str
    name: str
    path: str
    seed: int = 0
    seconds: float = 0.0

    @property
    def key(self) -> str:
        """The key of its clip."""
        return f"{self.split}/{self.style}/{self.name}"


def find_items(src: str, known: Mapping[str, str], clips: int = 100, seconds: float = 10.0) -> list[Item]:
    """What SRC holds, sorted. Raises DatasetError.

    known: split of the files that were prepared before, by path; they stay there. clips, seconds: how much procedural
    sound to make.
    """
    if src.startswith("procedural:"):
        return _procedural(src.partition(":")[2], clips, seconds)
    root = Path(src).absolute()
    if not root.is_dir():
        raise DatasetError(f"{src}: no such folder; give a folder of videos or sounds, or procedural:theremin")
    layout = any((root / split).is_dir() for split in SPLITS)
    files = _usable(root)
    if layout:  # <root>/{train,valid}/<class>/<id>.mp4
        files = [
            path
            for path in files
            if path.relative_to(root).parts[0] in SPLITS and len(path.relative_to(root).parts) == 3
        ]
        sources = [_item(path, *path.relative_to(root).parts[:2], path.stem) for path in files]
    else:
        files = sorted(set(files) - _among_films(files))
        splits = _splits(files, root, known)
        sources = [_item(path, splits[path], *_style_and_name(path, root)) for path in files]
    if not sources:
        wanted = "{train,valid}/CLASS/*.mp4" if layout else f"files like *{VIDEO_SUFFIXES[0]} or *{SOUNDS[0]}"
        raise DatasetError(f"{src}: nothing to prepare there; expected {wanted}")
    return _apart(sources)


def songs(src: str) -> list[Path]:
    """Sounds of a folder that `find_items` leaves out: they lie among videos, whose dancers moved to them."""
    root = Path(src)
    if not root.is_dir() or any((root / split).is_dir() for split in SPLITS):
        return []
    return sorted(_among_films(_usable(root)))


def _among_films(files: list[Path]) -> set[Path]:
    """The sounds of folders that hold videos: a take has its song within it. Sounds to learn from have their folder."""
    folders = {path.parent for path in files if path.suffix.lower() in VIDEO_SUFFIXES}
    return {path for path in files if path.suffix.lower() in SOUNDS and path.parent in folders}


def _usable(root: Path) -> list[Path]:
    """Films and sounds at any depth, without hidden ones and raw downloads."""
    return sorted(
        path
        for path in root.rglob("*")
        if path.suffix.lower() in VIDEO_SUFFIXES + SOUNDS
        and "_raw" not in path.stem
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
        and path.is_file()
    )


def _item(path: Path, split: str, style: str, name: str) -> Item:
    kind = "film" if path.suffix.lower() in VIDEO_SUFFIXES else "sound"
    return Item(kind, split, as_name(style), as_name(name), str(path))


def _style_and_name(path: Path, root: Path) -> tuple[str, str]:
    """The first folder below root is the style (root's own name without one), the rest of the path the name."""
    parts = path.relative_to(root).with_suffix("").parts
    return (parts[0], "_".join(parts[1:])) if len(parts) > 1 else (root.name, parts[0])


def _splits(files: list[Path], root: Path, known: Mapping[str, str]) -> dict[Path, str]:
    """A file's split, by a hash of its name; of two files or more at least one is for validation."""
    rank = {path: hashlib.sha256(path.relative_to(root).as_posix().encode()).digest()[0] / 256 for path in files}
    splits = {path: known.get(str(path)) or ("valid" if rank[path] < VALID_SHARE else "train") for path in files}
    fresh = [path for path in files if str(path) not in known]
    if len(files) > 1 and fresh and "valid" not in splits.values():
        splits[min(fresh, key=lambda path: (rank[path], path))] = "valid"
    return splits


def _apart(sources: list[Item]) -> list[Item]:
    """Sources of one place and name get their file's kind behind it: jig.wav and jig.mp3."""
    count = collections.Counter(source.key for source in sources)
    return [
        dataclasses.replace(s, name=as_name(s.name + Path(s.path).suffix.lower())) if count[s.key] > 1 else s
        for s in sources
    ]


def _procedural(instrument: str, clips: int, seconds: float) -> list[Item]:
    if instrument != "theremin":
        raise DatasetError(f"procedural:{instrument}: no such instrument; there is procedural:theremin")
    digits = len(str(clips - 1))
    made = [
        Item("procedural", "valid" if i % 10 == 9 else "train", instrument, f"{i:0{digits}d}", "", i, seconds)
        for i in range(clips)
    ]
    return sorted(made, key=lambda source: (source.split, source.name))


def as_name(text: str) -> str:
    """Letters, digits, `_`, `-` and `.` only, no leading dot: fit for a file's or folder's name on every system."""
    return re.sub(r"[^\w.-]+", "_", text, flags=re.ASCII).lstrip(".") or "_"
