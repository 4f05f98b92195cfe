"""A ready-made archive from the web, checked and unpacked so that nothing in it can reach outside its folder.

In: an http(s) address or a Google Drive link. Out: a folder, whole or not at all. What is inside is not trusted: no
links, no paths that climb, no more bytes than an honest archive of videos would hold. Knows no terminal.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import re
import shutil
import stat
import tarfile
import tempfile
import time
import urllib.parse
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

import requests

from livemove.contracts import LivemoveError, OutputError

Progress = Callable[[int, int], None]
"""Called with (bytes so far, bytes in all; 0 while not known)."""

BLOCK = 1 << 16
FREE_BYTES = 10**8
"""Archives may unpack to so much whatever their size; beyond, to `ratio` times it."""


class ArchiveError(LivemoveError):
    """An archive that cannot be fetched, or should not be unpacked; the message names it."""


@dataclass(frozen=True)
class Limits:
    """bytes_most: of the archive and of what is in it. ratio: videos hardly pack, so more is a bomb. tries, backoff_s:
    on a network that fails; timeout_s: a connection that is silent for so long has stalled."""

    bytes_most: int = 500 * 10**9
    files_most: int = 2_000_000
    ratio: float = 20.0
    tries: int = 6
    backoff_s: float = 2.0
    timeout_s: float = 30.0


def fetch(url: str, folder: Path, sha256: str | None, limits: Limits, on_progress: Progress) -> int:
    """Fetch the archive at url and unpack it into folder, which must not be there or be empty; how many files it held.

    sha256: what its checksum must be; with it, a later call goes on with what an earlier one fetched. Raises
    ArchiveError, OutputError.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder}: is there already, and not an empty folder; choose another")
    archive = folder.absolute().with_name(f".{folder.name}.archive")
    try:
        archive.parent.mkdir(parents=True, exist_ok=True)
        if sha256 is None:
            archive.unlink(missing_ok=True)  # nobody could tell whether what an earlier run left is of the same file
        _download(url, archive, limits, on_progress)
        _check(archive, url, sha256)
        files = _unpack_whole(archive, folder, url, limits)
        archive.unlink()
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror or error}") from error
    return files


# --- fetching -----------------------------------------------------------------------------------------------


def _download(url: str, archive: Path, limits: Limits, on_progress: Progress) -> None:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ArchiveError(f"{url}: not an http or https address")
    if parts.hostname in ("drive.google.com", "docs.google.com"):
        _from_drive(url, archive)
        return
    attempt = 0
    while again := _continue(url, archive, limits, on_progress):
        attempt += 1
        if attempt == limits.tries:
            raise ArchiveError(f"{url}: {again.why}, {attempt} times; try again later")
        time.sleep(max(limits.backoff_s * 2 ** (attempt - 1), min(again.after_s, 900.0)))


@dataclass(frozen=True)
class _TryAgain:
    """It may work in a while."""

    why: str
    after_s: float = 0.0


def _continue(url: str, archive: Path, limits: Limits, on_progress: Progress) -> _TryAgain | None:
    """Fetch what is not there yet; None when all of it is there. Raises ArchiveError."""
    have = archive.stat().st_size if archive.exists() else 0
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
    try:
        with requests.get(url, headers=headers, stream=True, timeout=(10.0, limits.timeout_s)) as answer:
            if answer.status_code == 416 and have:  # nothing is left to fetch
                return None
            if answer.status_code == 429 or answer.status_code >= 500:
                after = answer.headers.get("Retry-After", "")
                return _TryAgain(f"the server answers {answer.status_code}", float(after) if after.isdigit() else 0.0)
            if answer.status_code >= 400:
                raise ArchiveError(f"{url}: the server answers {answer.status_code} {answer.reason}")
            have = have if answer.status_code == 206 else 0
            total = have + int(answer.headers.get("Content-Length", 0))
            with archive.open("r+b" if have else "wb") as file:
                file.seek(have)
                for block in answer.iter_content(BLOCK):
                    have += len(block)
                    if max(have, total) > limits.bytes_most:
                        raise ArchiveError(f"{url}: larger than {limits.bytes_most / 1e9:g} GB (--max-gb)")
                    file.write(block)
                    on_progress(have, total)
            if total and have < total:
                return _TryAgain(f"broke off after {have} of {total} bytes")
    except requests.Timeout:
        return _TryAgain(f"nothing came for {limits.timeout_s:g} s")
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
        return _TryAgain("the connection failed")
    except requests.RequestException as error:
        raise ArchiveError(f"{url}: {error}") from error
    return None


def _from_drive(url: str, archive: Path) -> None:
    import gdown

    found = re.search(r"/d/([\w-]{10,})|[?&]id=([\w-]{10,})", url)
    if not found or "/folders/" in url:
        raise ArchiveError(f"{url}: not the link of one file on Google Drive (.../file/d/ID/view)")
    try:
        came = gdown.download(id=found[1] or found[2], output=str(archive), quiet=True)
    except (gdown.exceptions.FileURLRetrievalError, requests.RequestException) as error:
        raise ArchiveError(f"{url}: Google Drive does not give it: {' '.join(str(error).split())[:200]}") from error
    if not came:
        raise ArchiveError(f"{url}: Google Drive does not give it")


def _check(archive: Path, url: str, sha256: str | None) -> None:
    if sha256 is None:
        return
    digest = hashlib.sha256()
    with archive.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    if digest.hexdigest() != sha256.lower():
        archive.unlink()
        raise ArchiveError(f"{url}: sha256 is {digest.hexdigest()}, expected {sha256}; nothing was unpacked")


# --- unpacking ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Member:
    """One file of an archive: its path inside, and how to read it."""

    path: PurePosixPath
    open: Callable[[], IO[bytes]]


def _unpack_whole(archive: Path, folder: Path, url: str, limits: Limits) -> int:
    """Unpack into folder, which appears when everything was fine. A single folder around everything is left out."""
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=archive.parent))
    try:
        try:
            files = unpack(archive, draft, limits)
        except ArchiveError as error:
            raise ArchiveError(f"{url}: {error}") from error
        inside = list(draft.iterdir())
        wrapped = len(inside) == 1 and inside[0].is_dir() and inside[0].name not in ("train", "valid")
        content = inside[0] if wrapped else draft
        if folder.exists():
            folder.rmdir()
        content.chmod(0o755)
        os.replace(content, folder)
        return files
    finally:
        shutil.rmtree(draft, ignore_errors=True)


_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError)


def unpack(archive: Path, folder: Path, limits: Limits) -> int:
    """Write the files of a zip or tar archive below folder; how many. Raises ArchiveError without the archive's name.

    What the archive says of sizes is not believed: bytes are counted as they come.
    """
    left = min(limits.bytes_most, max(FREE_BYTES, int(limits.ratio * archive.stat().st_size)))
    count = 0
    try:
        for member in _members(archive):
            count += 1
            if count > limits.files_most:
                raise ArchiveError(f"holds more than {limits.files_most} files")
            target = folder.joinpath(*member.path.parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with member.open() as source, target.open("xb") as file:
                while block := source.read(BLOCK):
                    left -= len(block)
                    if left < 0:
                        raise ArchiveError("unpacks to far more than its size; such archives are made to fill disks")
                    file.write(block)
    except _DAMAGED as error:
        raise ArchiveError(f"is damaged: {error}") from error
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise ArchiveError(f"holds {Path(error.filename).name!r} twice") from error
    if not count:
        raise ArchiveError("holds no file")
    return count


def _members(archive: Path) -> Iterator[_Member]:
    """The files of an archive, one after the other. Raises ArchiveError for what no archive of videos holds."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            for info in packed.infolist():
                kind = stat.S_IFMT(info.external_attr >> 16)
                if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                    raise ArchiveError(f"holds {info.filename[:80]!r}, a link or a device")
                if not info.is_dir() and not info.filename.startswith("__MACOSX/"):
                    yield _Member(_inside(info.filename), lambda info=info: packed.open(info))
        return
    try:
        packed = tarfile.open(archive)  # noqa: SIM115 (closed below)
    except tarfile.ReadError as error:
        with archive.open("rb") as file:
            begin = file.read(40)
        raise ArchiveError(f"is neither zip nor tar; it begins {begin!r}") from error
    with packed:
        for info in packed:
            if info.isdir():
                continue
            if not info.isreg():
                raise ArchiveError(f"holds {info.name[:80]!r}, a link or a device")
            yield _Member(_inside(info.name), lambda info=info: packed.extractfile(info))


def _inside(name: str) -> PurePosixPath:
    """A member's path, if it stays inside. Raises ArchiveError."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or re.search(r"[\\:\0]", name):
        raise ArchiveError(f"holds {name[:80]!r}, a path that leads out of its folder")
    return path
