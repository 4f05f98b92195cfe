"""The items of a dataset to prepare: clips in the Kinetics layout, folders of videos and sounds, procedural sound.

In: SRC as the user gave it. Out: a list of Sources, always in the same order. Looks at names, not into files.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import os
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from livemove.contracts import LivemoveError

VIDEO_SUFFIXES = (
    ".mp4", ".mkv", ".webm", ".mov", ".avi", ".m4v", ".mpg", ".mpeg", ".flv", ".ts", ".3gp", ".mts", ".m2ts", ".wmv",
    ".ogv", ".asf", ".vob", ".m2v", ".mxf", ".dv", ".3g2", ".f4v", ".divx", ".qt", ".h264", ".h265", ".hevc", ".264",
    ".265",
)  # fmt: skip
SOUNDS = (
    ".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a", ".aac", ".aif", ".aiff", ".wma", ".caf", ".oga", ".mka", ".mp2",
    ".ac3", ".amr", ".au", ".snd", ".aifc", ".w64", ".rf64", ".ape", ".wv", ".tta", ".spx", ".weba",
)  # fmt: skip
SPLITS = ("train", "valid")
VALID_NAMES = ("valid", "val", "validation")
"""What others call the folder of validation."""
VALID_SHARE = 0.1
"""Of files that are in no split; a file's name decides, so that more files change nothing for the others."""
NO_TEXT = "its name is no text that can be written down: rename it"
DANCED_TO = "it lies among videos, so it is what was danced to"
LONGEST_NAME = 100
"""Bytes of a name: systems allow 255, and suffixes come to it."""
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Names no file can have on Windows."""


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


@dataclass(frozen=True)
class Found:
    """What a folder holds: items to prepare, sorted; and what is left out, with the reason: every other file."""

    items: list[Item]
    left_out: list[tuple[str, str]] = dataclasses.field(default_factory=list[tuple[str, str]])


def find_items(src: str, known: Mapping[str, str], clips: int = 100, seconds: float = 10.0) -> list[Item]:
    """The items of `find_all`."""
    return find_all(src, known, clips, seconds).items


def find_all(src: str, known: Mapping[str, str], clips: int = 100, seconds: float = 10.0) -> Found:
    """What SRC holds, without hidden files. Raises DatasetError where there is nothing to prepare.

    known: keys, or splits alone, of the files that were prepared before, by path: they keep them. clips, seconds: how
    much procedural sound to make.
    """
    if src.startswith("procedural:"):
        return Found(_procedural(src.partition(":")[2], clips, seconds))
    root = Path(src).absolute()
    if not root.is_dir():
        raise DatasetError(f"{src}: no such folder; give a folder of videos or sounds, or procedural:theremin")
    left_out: list[tuple[str, str]] = []
    files = usable_files(root, left_out)
    layout = any((root / name).is_dir() for name in ("train", *VALID_NAMES))
    if layout:  # <root>/{train,valid}/<class>/<id>.mp4
        sources = [item for path in files if (item := _in_layout(path, root, left_out)) is not None]
    else:
        songs = _among_films(files)
        left_out += [(str(path), DANCED_TO) for path in sorted(songs)]
        files = sorted(set(files) - songs)
        splits = _splits(files, root, {path: key.partition("/")[0] for path, key in known.items()})
        sources = [_item(path, splits[path], *_style_and_name(path, root)) for path in files]
    if not sources:
        wanted = "{train,valid}/CLASS/*.mp4" if layout else f"files like *{VIDEO_SUFFIXES[0]} or *{SOUNDS[0]}"
        also = f" ({len(left_out)} files left out: {left_out[0][0]}: {left_out[0][1]} ...)" if left_out else ""
        raise DatasetError(f"{src}: nothing to prepare there; expected {wanted}{also}")
    return Found(_apart(sources, known), left_out)


def usable_files(root: Path, left_out: list[tuple[str, str]]) -> list[Path]:
    """Videos and sounds below root, sorted; every other file goes to left_out, with the reason."""
    return [path for path in _files(root, left_out) if is_usable(path, left_out)]


def _files(root: Path, left_out: list[tuple[str, str]]) -> list[Path]:
    """All files at any depth, sorted, through links to folders, too, but each folder once; without hidden ones."""
    found: list[Path] = []
    links: list[Path] = []
    seen: set[str] = set()

    def look(folder: Path) -> None:
        seen.add(os.path.realpath(folder))
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            left_out.append((str(folder), f"cannot be read: {error.strerror}"))
            return
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                look(Path(entry.path))
            elif entry.is_dir():
                links.append(Path(entry.path))
            else:
                found.append(Path(entry.path))

    look(root)
    while links:  # after all that is really there: a link never takes a folder's place
        link = links.pop(0)
        if os.path.realpath(link) in seen:
            left_out.append((str(link), "a link to a folder that is looked at already"))
        else:
            look(link)
    return sorted(found)


def is_usable(path: Path, left_out: list[tuple[str, str]]) -> bool:
    """Whether a file is a video or sound by its name, that can be kept in a table; else it goes to left_out."""
    if not path.is_file():
        why = "a link to nothing" if path.is_symlink() else "no file"
    elif path.suffix.lower() not in VIDEO_SUFFIXES + SOUNDS:
        why = f"{path.suffix or 'no ending'}: no video or sound, by its name"
    elif not is_text(path):
        why = NO_TEXT
    else:
        return True
    left_out.append((str(path), why))
    return False


def is_text(path: Path) -> bool:
    """Whether its name can be kept in a table, a list, a line: isprintable is False for lone surrogates, too."""
    return str(path).isprintable()


def _in_layout(path: Path, root: Path, left_out: list[tuple[str, str]]) -> Item | None:
    """A file below {train,valid}/CLASS/, at any depth."""
    split, *inside = path.relative_to(root).with_suffix("").parts
    if split == "test":
        why = "kept for tests: what is in test/ is not trained on"
    elif split not in ("train", *VALID_NAMES):
        why = "in no split: expected train/ or valid/"
    elif len(inside) < 2:
        why = f"in no class: expected {split}/CLASS/"
    elif path.suffix.lower() in VIDEO_SUFFIXES and path.stem.endswith("_raw"):
        why = "a raw download, of which a clip is made"
    else:
        return _item(path, "train" if split == "train" else "valid", inside[0], "_".join(inside[1:]))
    left_out.append((str(path), why))
    return None


def _among_films(files: list[Path]) -> set[Path]:
    """The sounds of folders that hold videos: a take has its song within it. Sounds to learn from have their folder."""
    folders = {path.parent for path in files if path.suffix.lower() in VIDEO_SUFFIXES}
    return {path for path in files if path.suffix.lower() in SOUNDS and path.parent in folders}


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


def _apart(sources: list[Item], known: Mapping[str, str]) -> list[Item]:
    """Every source under a key of its own, on systems without capital letters as well.

    A file that was prepared before keeps its key, whatever lies beside it by now, and nobody gets the key of a file
    that is still there somewhere else. Of the others, those of one name get their file's kind behind it (jig.wav and
    jig.mp3), and what is still the same a sign made from the path.
    """
    ours = {source.path for source in sources}
    mine = {path: key for path, key in known.items() if "/" in key and "+" not in key}
    taken = {_same(key) for path, key in mine.items() if path not in ours and os.path.exists(path)}
    count = collections.Counter(_same(source.key) for source in sources)
    found: dict[str, Item] = {}
    for source in sources:
        place, _, name = mine.get(source.path, "").rpartition("/")
        if place == f"{source.split}/{source.style}":
            found[source.path] = dataclasses.replace(source, name=name)
            taken.add(_same(found[source.path].key))
    for source in sorted(sources, key=lambda s: (s.name != Path(s.path).stem, s.path)):
        if source.path in found:
            continue
        item = source
        if count[_same(source.key)] > 1:
            item = dataclasses.replace(source, name=as_name(source.name + Path(source.path).suffix.lower()))
        if _same(item.key) in taken:
            item = dataclasses.replace(item, name=f"{item.name}-{_sign(source.path)}")
        taken.add(_same(item.key))
        found[source.path] = item
    return [found[source.path] for source in sources]


def _same(key: str) -> str:
    """Equal for keys that are one file on some system."""
    return unicodedata.normalize("NFC", key).casefold()


def _sign(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


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
    """Letters and digits of any script, `_`, `-` and `.`: fit for a file's or folder's name on every system."""
    name = re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", text)).strip(".") or "_"
    if len(name.encode()) > LONGEST_NAME:
        name = name.encode()[: LONGEST_NAME - 9].decode("utf-8", "ignore") + "-" + _sign(text)
    return f"_{name}" if RESERVED.fullmatch(name) else name
