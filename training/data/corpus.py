"""The corpus on disk: what `prepare` writes and training reads. Paired streams of channels and audio, clip by clip.

    DATA/corpus.json       format version, sample rate, hop, pose model, the channels of every track with their ranges
    DATA/clips.parquet     one row per clip (the fields of `Clip`), also for those that were skipped, and why
    DATA/clips/SPLIT/STYLE/NAME.flac   mono, 16 bits, whole hops
    DATA/clips/SPLIT/STYLE/NAME.npz    not compressed, so that it can be mapped. One float32 [hops, C] per track
        ("features", "descriptors", "controls"), row i about samples i * hop .. (i + 1) * hop. Videos also keep what
        MediaPipe saw: frame_s float64 [frames], people int8 [frames], image and world float32 [frames, 33, 3],
        visibility float32 [frames, 33], so that features can be computed again from disturbed landmarks.
        Clips with descriptors also have phase float32 [hops], in cycles 0..1: the running phase of the pitched sound at
        each hop's start. The stored pitch integrates to it, hop by hop. Older corpora lack it
    DATA/journal.jsonl     rows not yet in clips.parquet: there only while `prepare` runs, or after it was killed

Knows files and arrays only: no torch, no decoder, no terminal.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import json
import math
import os
import struct
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile as sf

from livemove.contracts import HOP, Channel, Float32, LivemoveError, OutputError, PoseFrame
from livemove.printable import is_text, printable

FORMAT = 1
"""Version of the corpus format this code writes, and the only one it reads."""

TRACKS = ("features", "accents", "descriptors", "controls")
"""Body features of videos, and their accents; sound descriptors; the exact controls that made procedural sound. No two
channels have one name: controls and descriptors are never in one corpus."""

POSES = ("frame_s", "people", "image", "world", "visibility")


class CorpusError(LivemoveError):
    """A corpus that cannot be read, or holds nothing that was asked for; the message names the folder or the file."""


@dataclass(frozen=True)
class Clip:
    """One row of the manifest: a prepared clip, or one that was skipped.

    source, start_s   the file it comes from and where in it; source_bytes and source_mtime_ns tell a changed file
    tracks            which of TRACKS it has
    hops, seconds     its length; frames, fps: of the video, 0 for sound alone
    person, voiced    share of frames with somebody in view, share of hops with a pitch
    level_dbfs        RMS of the whole; gain: what it was multiplied by to stay within -1..1
    skipped           why there is no such clip; empty if there is
    note              what was done to it that nobody would expect; empty if nothing was
    """

    split: str
    style: str
    name: str
    source: str
    source_bytes: int = 0
    source_mtime_ns: int = 0
    start_s: float = 0.0
    tracks: tuple[str, ...] = ()
    hops: int = 0
    seconds: float = 0.0
    frames: int = 0
    fps: float = 0.0
    person: float = 0.0
    voiced: float = 0.0
    level_dbfs: float = -120.0
    gain: float = 1.0
    skipped: str = ""
    note: str = ""

    @property
    def key(self) -> str:
        """Its place under clips/, without suffix: unique in a corpus."""
        return f"{self.split}/{self.style}/{self.name}"


_SCHEMA = pa.schema(
    [(f.name, {"str": pa.string(), "int": pa.int64(), "float": pa.float64()}.get(f.type, pa.list_(pa.string())))
     for f in dataclasses.fields(Clip)]
)  # fmt: skip


# --- writing ------------------------------------------------------------------------------------------------


class Writer:
    """A corpus being made. Clips may be written by any process; rows are recorded by one. Raises OutputError.

    A row recorded is on the disk: whoever is killed after that need not do the clip again. `close` folds the journal
    into clips.parquet, whose bytes depend on the rows alone, not on their order or on how often one was interrupted.
    """

    def __init__(self, root: Path, sample_rate: int, pose: str, tracks: Mapping[str, Sequence[Channel]]) -> None:
        self.root = root
        if not is_text(root.absolute()):
            raise OutputError(f"{printable(root)}: its name is no text: libsndfile would not find it again; rename it")
        header = {
            "format": FORMAT,
            "sample_rate": sample_rate,
            "hop": HOP,
            "pose": pose,
            "tracks": {name: [dataclasses.asdict(channel) for channel in tracks[name]] for name in sorted(tracks)},
        }
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{root}: cannot be made: {error.strerror or error}") from error
        if (root / "corpus.json").exists():
            header["tracks"] = _joined(root, _header(root), header)
        elif any(not path.name.startswith(".") for path in root.iterdir()):
            raise OutputError(
                f"{root}: holds other things than a corpus; give an empty folder, or one that is not there"
            )
        replace_file(root / "corpus.json", (json.dumps(header, indent=1) + "\n").encode())
        self._fold()  # what a killed run left may end in half a line
        try:
            self._journal = (root / "journal.jsonl").open("a", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"{root / 'journal.jsonl'}: cannot be written: {error.strerror or error}") from error

    def record(self, clip: Clip) -> None:
        """The clip is done, or skipped for good; its files, if any, are there."""
        self._say(dataclasses.asdict(clip))
        self.rows[clip.key] = clip

    def forget(self, begin: str, but: Iterable[Clip]) -> None:
        """Rows of former times whose keys begin so, and their files, but for these: their source has become shorter."""
        kept = {clip.key for clip in but}
        for key in [key for key in self.rows if key.startswith(begin) and key not in kept]:
            self._say({"gone": key})
            for suffix in (".flac", ".npz"):
                _file(self.root, self.rows[key], suffix).unlink(missing_ok=True)
            del self.rows[key]

    def _say(self, row: dict[str, Any]) -> None:
        """A line of the journal, on the disk when this returns."""
        try:
            self._journal.write(json.dumps(row) + "\n")
            self._journal.flush()
            os.fsync(self._journal.fileno())
        except OSError as error:
            raise OutputError(f"{self._journal.name}: cannot be written: {error.strerror or error}") from error

    def close(self) -> None:
        """Fold the journal into the manifest."""
        self._journal.close()
        self._fold()

    def _fold(self) -> None:
        """Read back rather than trust memory: Ctrl-C may come between a row's way to the disk and into `rows`."""
        self.rows = {clip.key: clip for clip in recorded(self.root)}
        rows = [dataclasses.asdict(self.rows[key]) for key in sorted(self.rows)]
        packed = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, _SCHEMA), packed)
        replace_file(self.root / "clips.parquet", packed.getvalue())
        (self.root / "journal.jsonl").unlink(missing_ok=True)


def write_clip(root: Path, clip: Clip, audio: Float32, rate: int, arrays: Mapping[str, np.ndarray]) -> None:
    """Put a clip's two files in place, each whole or not at all. Raises OutputError.

    audio float32 [hops * HOP] within -1..1; arrays: its tracks, and for videos what POSES names.
    """
    sound, rest = io.BytesIO(), io.BytesIO()
    sf.write(sound, audio, rate, format="FLAC", subtype="PCM_16")
    np.savez(rest, **arrays)
    replace_file(_file(root, clip, ".flac"), sound.getvalue())
    replace_file(_file(root, clip, ".npz"), rest.getvalue())


def replace_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, through a draft beside it. Raises OutputError."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(content)
        os.replace(draft, path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error


def _joined(root: Path, old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The tracks of a corpus that gets more clips. Raises OutputError if they would not fit together."""
    for field, option in (("sample_rate", "--sample-rate"), ("pose", "--pose"), ("hop", "another version")):
        if old[field] != new[field]:
            raise OutputError(
                f"{root}: was prepared with {field} {old[field]}, not {new[field]}: give it the same ({option}), or "
                "prepare into another folder"
            )
    tracks = {**old["tracks"], **new["tracks"]}
    if changed := [name for name in old["tracks"] if old["tracks"][name] != tracks[name]]:
        raise OutputError(
            f"{root}: its {' and '.join(changed)} have other channels or ranges than this version makes; delete it and "
            "prepare it again, or prepare into another folder"
        )
    if "controls" in tracks and len(tracks) > 1:
        raise OutputError(
            f"{root}: holds {' and '.join(old['tracks'])}, which do not go with {' and '.join(new['tracks'])}; prepare "
            "into another folder"
        )
    return tracks


# --- reading ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Window:
    """A stretch of a clip: channels float32 [hops, C] in natural units, audio float32 [hops * HOP], style's index.

    first: its first hop in the clip.
    """

    clip: Clip
    first: int
    style: int
    channels: Float32
    audio: Float32


class Corpus:
    """A prepared corpus, for reading. Holds the manifest only; windows are read from disk, and can be pickled."""

    def __init__(self, root: Path) -> None:
        """Raises CorpusError."""
        header = _header(root)
        self.root = root
        self.sample_rate: int = header["sample_rate"]
        self.tracks = {name: tuple(Channel(**c) for c in channels) for name, channels in header["tracks"].items()}
        rows = sorted(recorded(root), key=lambda clip: clip.key)
        self.clips = tuple(clip for clip in rows if not clip.skipped)
        self.skipped = tuple(clip for clip in rows if clip.skipped)
        self.styles = tuple(sorted({clip.style for clip in self.clips}))
        if not self.clips:
            raise CorpusError(f"{root}: holds no clip ({len(self.skipped)} skipped); prepare something into it")

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Every channel of every track, in order."""
        return tuple(c for track in TRACKS for c in self.tracks.get(track, ()))

    def find(self, names: Sequence[str]) -> tuple[Channel, ...]:
        """The channels of these names. Raises CorpusError naming one that is not there."""
        known = {channel.name: channel for channel in self.channels}
        for name in names:
            if name not in known:
                raise CorpusError(f"{self.root}: has no channel {name!r}; there are: {', '.join(known)}")
        return tuple(known[name] for name in names)

    def select(self, split: str | None, names: Sequence[str]) -> tuple[Clip, ...]:
        """The clips of a split ("train", "valid", None: all) that have all these channels."""
        self.find(names)
        needed = {track for track, channels in self.tracks.items() for c in channels if c.name in names}
        return tuple(c for c in self.clips if split in (None, c.split) and needed <= set(c.tracks))

    def read(self, clip: Clip, names: Sequence[str], first: int = 0, hops: int | None = None) -> Window:
        """Hops first .. first + hops (to the end) of a clip, with the channels of these names in this order.

        Raises CorpusError naming the file that is damaged, too short or holds numbers that are none.
        """
        hops = clip.hops - first if hops is None else hops
        tracks = {
            track: _mapped(_file(self.root, clip, ".npz"), track)[first : first + hops]
            for track, channels in self.tracks.items()
            if any(c.name in names for c in channels)
        }
        columns = {
            c.name: tracks[t][:, i] for t, all_of in self.tracks.items() if t in tracks for i, c in enumerate(all_of)
        }
        channels = np.empty((hops, len(names)), np.float32)
        path = _file(self.root, clip, ".flac")
        try:
            for i, name in enumerate(names):
                channels[:, i] = columns[name]
            with sf.SoundFile(path) as sound:
                sound.seek(first * HOP)
                audio = sound.read(hops * HOP, dtype="float32")
        except (OSError, RuntimeError, ValueError) as error:
            raise CorpusError(f"{path}: cannot be read ({error}); delete the corpus and prepare it again") from error
        if len(audio) != hops * HOP or not np.isfinite(channels).all():
            raise CorpusError(f"{path}: too short, or not all numbers; delete the corpus and prepare it again")
        return Window(clip, first, self.styles.index(clip.style), channels, audio)

    def phase(self, clip: Clip) -> Float32 | None:
        """The running phase float32 [hops] in cycles at each hop's start, mapped; None where the clip has none.

        Raises CorpusError."""
        path = _file(self.root, clip, ".npz")
        try:
            return _mapped(path, "phase")
        except CorpusError as error:
            if isinstance(error.__cause__, KeyError):
                return None
            raise

    def poses(self, clip: Clip) -> list[PoseFrame]:
        """What MediaPipe saw in each frame of a video's clip, times from the clip's start. Empty for sound alone."""
        if not clip.frames:
            return []
        return [unpacked(i, *row) for i, row in enumerate(zip(*self.landmarks(clip).values(), strict=True))]

    def landmarks(self, clip: Clip) -> dict[str, np.ndarray]:
        """The same as arrays, mapped, named and in order as in POSES. Raises CorpusError if the clip is no video."""
        path = _file(self.root, clip, ".npz")
        return {name: _mapped(path, name) for name in POSES}


def packed(poses: Sequence[PoseFrame]) -> dict[str, np.ndarray]:
    """Poses as arrays, named as in POSES; the first person only, the one who plays."""
    return {
        "frame_s": np.array([p.capture_s for p in poses], np.float64),
        "people": np.array([min(p.people, 1) for p in poses], np.int8),
        "image": np.array([p.image[0] for p in poses], np.float32),
        "world": np.array([p.world[0] for p in poses], np.float32),
        "visibility": np.array([p.visibility[0] for p in poses], np.float32),
    }


def unpacked(
    sequence: int, frame_s: float, people: int, image: Float32, world: Float32, visibility: Float32
) -> PoseFrame:
    """The inverse of `packed`, for one frame."""
    pose = PoseFrame(capture_s=float(frame_s), sequence=sequence, people=int(people))
    pose.image[0], pose.world[0], pose.visibility[0] = image, world, visibility
    return pose


class RandomWindows:
    """Endless windows from random places, the i-th always the same for one seed: every hop is as likely as any other.

    Indexed like a sequence of `count`; works as a map-style data set of any framework. Raises CorpusError if no clip of
    that split has these channels and is as long as a window.
    """

    def __init__(
        self, corpus: Corpus, split: str | None, names: Sequence[str], hops: int, seed: int, count: int = 2**62
    ) -> None:
        self.corpus, self.names, self.hops, self.seed, self.count = corpus, tuple(names), hops, seed, count
        self.clips = _long_enough(corpus, split, names, hops)
        self._ends = np.cumsum([clip.hops - hops + 1 for clip in self.clips])

    def __len__(self) -> int:
        return self.count

    def place(self, index: int) -> tuple[int, int]:
        """(which of `clips`, first hop in it) window `index` is."""
        if not 0 <= index < self.count:
            raise IndexError(index)
        place = int(np.random.default_rng((self.seed, index)).integers(self._ends[-1]))
        which = int(np.searchsorted(self._ends, place, "right"))
        return which, int(place - (self._ends[which] - (self.clips[which].hops - self.hops + 1)))

    def __getitem__(self, index: int) -> Window:
        which, first = self.place(index)
        return self.corpus.read(self.clips[which], self.names, first, self.hops)


class AllWindows:
    """Every clip of a split once, in windows side by side; what is left at a clip's end is left out. For validation."""

    def __init__(self, corpus: Corpus, split: str | None, names: Sequence[str], hops: int) -> None:
        self.corpus, self.names, self.hops = corpus, tuple(names), hops
        self.clips = _long_enough(corpus, split, names, hops)
        self._ends = np.cumsum([clip.hops // hops for clip in self.clips])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> Window:
        if not 0 <= index < len(self):
            raise IndexError(index)
        which = int(np.searchsorted(self._ends, index, "right"))
        first = index - int(self._ends[which]) + self.clips[which].hops // self.hops
        return self.corpus.read(self.clips[which], self.names, first * self.hops, self.hops)


def _long_enough(corpus: Corpus, split: str | None, names: Sequence[str], hops: int) -> tuple[Clip, ...]:
    clips = corpus.select(split, names)
    longest = max((clip.hops for clip in clips), default=0)
    if longest < hops:
        hop_s = HOP / corpus.sample_rate
        raise CorpusError(
            f"{corpus.root}: no clip{f' in {split}' if split else ''} has {', '.join(names)} and lasts "
            f"{hops * hop_s:.2f} s; {len(clips)} have these channels, the longest lasts {longest * hop_s:.2f} s"
        )
    return tuple(clip for clip in clips if clip.hops >= hops)


# --- files --------------------------------------------------------------------------------------------------


def _file(root: Path, clip: Clip, suffix: str) -> Path:
    return root / "clips" / f"{clip.key}{suffix}"


def has_files(root: Path, clip: Clip) -> bool:
    """Whether a clip's two files are there."""
    return all(_file(root, clip, suffix).is_file() for suffix in (".flac", ".npz"))


def _header(root: Path) -> dict[str, Any]:
    path = root / "corpus.json"
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
        if header["format"] != FORMAT:
            raise CorpusError(
                f"{path}: corpus format {header['format']}, this version reads {FORMAT}; prepare it again"
            )
        if header["hop"] != HOP:
            raise CorpusError(f"{path}: hops of {header['hop']} samples, this version has {HOP}; prepare it again")
    except FileNotFoundError as error:
        raise CorpusError(f"{root}: no corpus there; make one with training/prepare.py SRC -o {root}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorpusError(f"{path}: not the header of a corpus ({error}); prepare it again") from error
    return header


def recorded(root: Path) -> Iterable[Clip]:
    """What manifest and journal say, later rows in place of earlier ones of the same key; nothing if there are none."""
    rows: dict[str, Clip] = {}
    manifest, journal = root / "clips.parquet", root / "journal.jsonl"
    try:
        found: list[dict[str, Any]] = pq.read_table(manifest).to_pylist() if manifest.exists() else []
        if journal.exists():
            lines = journal.read_text(encoding="utf-8").split("\n")
            found += [json.loads(line) for line in lines[:-1]]  # the last one is empty, or was cut off by a kill
        for row in found:
            if "gone" in row:
                rows.pop(row["gone"], None)
                continue
            clip = Clip(**{**row, "tracks": tuple(row["tracks"])})
            rows[clip.key] = clip
    except (OSError, ValueError, TypeError, pa.ArrowException) as error:
        raise CorpusError(f"{root}: its manifest is damaged ({error}); prepare it again") from error
    return rows.values()


@functools.lru_cache(4096)
def _placed(path: Path, mtime_ns: int, name: str) -> tuple[int, tuple[int, ...], np.dtype[Any]]:
    """(offset, shape, dtype) of an array in an uncompressed npz."""
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(f"{name}.npy")
        if info.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{name} is compressed")
    with path.open("rb") as file:
        file.seek(info.header_offset + 26)
        file.seek(sum(struct.unpack("<HH", file.read(4))), os.SEEK_CUR)  # the member's name and extra field
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"{name} has npy version {version}")
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        return file.tell(), shape, dtype


def _mapped(path: Path, name: str) -> np.ndarray:
    """An array of an uncompressed npz, mapped: only what is looked at is read. Raises CorpusError."""
    try:
        offset, shape, dtype = _placed(path, path.stat().st_mtime_ns, name)
        if math.prod(shape) == 0:
            return np.zeros(shape, dtype)
        return np.memmap(path, dtype, "r", offset, shape)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise CorpusError(f"{path}: cannot be read ({error}); delete the corpus and prepare it again") from error
