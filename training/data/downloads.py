"""Clips fetched from where they are published, by yt-dlp as a library: resumable, patient, bounded in size and time.

In: annotations. Out: <root>/{train,valid}/<class>/<id>.mp4 and a line per clip in <root>/downloads.jsonl. Threads,
because all of it waits for a network or runs in native code. Knows no terminal.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import queue
import random
import shutil
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yt_dlp
from yt_dlp.utils import DownloadCancelled, GeoRestrictedError, YoutubeDLError

from livemove.contracts import OutputError
from training.data.annotations import Annotation
from training.data.cut import CutError, cut

YOUTUBE = "https://www.youtube.com/watch?v={id}"
FORMAT = "(bv[height<=480],ba)/b[height<=480]/b"
"""Video and sound apart, as YouTube keeps them (both are fetched), or one file with both. The landmarker looks at
256 x 256 pixels: more than 480 lines are of no use."""

# What sites say of videos that will not come back, and of those one has to be let in for.
GONE = ("unavailable", "removed", "terminated", "does not exist", "no longer available", "deleted", "not available")
PRIVATE = ("private", "members-only", "members only", "confirm your age", "inappropriate", "join this channel")
REFUSED = ("429", "too many requests", "rate-limit", "rate limit", "not a bot", "try again later")
"""Sentences that mean: slower, please. YouTube says some of them without a 429."""


@dataclass(frozen=True)
class Limits:
    """What one clip may cost. timeout_s: a connection that is silent for so long has stalled. backoff_s: first wait
    after a 429, doubled each time up to backoff_most_s; refusals: how many of them until a clip counts as failed."""

    bytes_most: int = 300 * 10**6
    seconds_most: float = 600.0
    timeout_s: float = 20.0
    backoff_s: float = 5.0
    backoff_most_s: float = 900.0
    refusals: int = 6


@dataclass(frozen=True)
class Outcome:
    """What came of a clip. status "done", "gone", "private" or "failed" (may work another time); reason: why."""

    key: str
    status: str
    reason: str = ""
    seconds: float = 0.0


class Ledger:
    """<root>/downloads.jsonl: the last line of a clip says what came of it. One thread writes. Raises OutputError."""

    def __init__(self, root: Path) -> None:
        path = root / "downloads.jsonl"
        self.outcomes: dict[str, Outcome] = {}
        try:
            root.mkdir(parents=True, exist_ok=True)
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
            for line in lines:
                if line.endswith("\n"):  # else a kill cut it off
                    outcome = Outcome(**json.loads(line))
                    self.outcomes[outcome.key] = outcome
            self._file = path.open("a", encoding="utf-8")
            if lines and not lines[-1].endswith("\n"):
                self._file.truncate(sum(len(line.encode()) for line in lines[:-1]))
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
        except (ValueError, TypeError) as error:
            raise OutputError(f"{path}: is damaged ({error}); delete it, clips that are there are kept") from error

    def record(self, outcome: Outcome) -> None:
        self.outcomes[outcome.key] = outcome
        try:
            self._file.write(json.dumps(dataclasses.asdict(outcome)) + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise OutputError(f"{self._file.name}: cannot be written: {error.strerror or error}") from error

    def close(self) -> None:
        self._file.close()


class Pace:
    """How fast all threads together may ask: not at all for a while after a 429, longer after each in a row."""

    def __init__(self, limits: Limits, stop: threading.Event) -> None:
        self._limits, self._stop = limits, stop
        self._lock = threading.Lock()
        self._wait_s, self._until_s = limits.backoff_s, 0.0

    def wait(self) -> None:
        """Until one may ask again, or everything stops."""
        while (left_s := self._until_s - time.monotonic()) > 0 and not self._stop.wait(left_s):
            pass

    def refused(self, retry_after_s: float) -> None:
        with self._lock:
            now_s = time.monotonic()
            if now_s >= self._until_s:  # those refused at the same time count once
                wait_s = max(self._wait_s * random.uniform(1.0, 1.3), min(retry_after_s, self._limits.backoff_most_s))
                self._until_s = now_s + wait_s
                self._wait_s = min(2 * self._wait_s, self._limits.backoff_most_s)

    def accepted(self) -> None:
        with self._lock:
            self._wait_s = self._limits.backoff_s


class _GaveUp(DownloadCancelled):
    """Raised inside yt-dlp: the clip costs too much, or everything stops."""


class _Refused(Exception):
    """The site asks for patience. retry_after_s: how much, 0 if it does not say."""

    def __init__(self, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s


def download(
    clips: Sequence[Annotation],
    root: Path,
    limits: Limits,
    workers: int,
    url: str = YOUTUBE,
    cookies: Path | None = None,
) -> Generator[Outcome]:
    """Fetch and cut clips into root; outcomes as they come. Closing the generator stops it. Raises OutputError.

    url: a template with {id}. cookies: a file in Netscape's format, for what needs an account.
    """
    todo: queue.SimpleQueue[Annotation] = queue.SimpleQueue()
    results: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()
    for clip in clips:
        todo.put(clip)
    stop = threading.Event()
    pace = Pace(limits, stop)
    drafts = root / ".partial"

    def work() -> None:
        while not stop.is_set():
            try:
                clip = todo.get_nowait()
            except queue.Empty:
                return
            try:
                results.put(_obtain(clip, root, drafts, url, cookies, limits, pace, stop))
            except BaseException as error:  # raised again where somebody sees it
                results.put(error)
                return

    # Daemons: one that hangs in a library on the way out must not keep the process.
    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(workers, len(clips)))]
    for thread in threads:
        thread.start()
    try:
        for _ in clips:
            result = results.get()
            if isinstance(result, BaseException):
                raise result
            yield result
    finally:
        stop.set()
        for thread in threads:
            thread.join(limits.timeout_s)
        shutil.rmtree(drafts, ignore_errors=True)


def _obtain(
    clip: Annotation,
    root: Path,
    drafts: Path,
    url: str,
    cookies: Path | None,
    limits: Limits,
    pace: Pace,
    stop: threading.Event,
) -> Outcome:
    """One clip, with all patience it may have. Raises OutputError, and _GaveUp when everything stops."""
    target = root / f"{clip.key}.mp4"
    folder = drafts / clip.key.replace("/", "_")
    refusals = 0
    while True:
        pace.wait()
        if stop.is_set():
            raise _GaveUp("stopped")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _fetch(clip, folder, url, cookies, limits, stop)
            pace.accepted()
            parts = sorted((path for path in folder.iterdir() if path.suffix != ".part"), key=lambda path: path.name)
            if not parts:
                return Outcome(clip.key, "failed", "nothing came")
            draft = folder / "cut.mp4.part"
            seconds, sound = cut(parts, clip.start_s, clip.end_s, draft)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(draft, target)
            return Outcome(clip.key, "done", "" if sound else "it has no sound", seconds)
        except _Refused as refused:
            refusals += 1
            pace.refused(refused.retry_after_s)
            if refusals >= limits.refusals:
                why = f"the site asked to wait {refusals} times; go on later, with fewer --workers"
                return Outcome(clip.key, "failed", why)
        except CutError as error:
            return Outcome(clip.key, "failed", str(error))
        except (YoutubeDLError, OSError) as error:
            _raise_if_unwritable(error, root)
            if stop.is_set():
                raise
            return Outcome(clip.key, *_judge(error))
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _fetch(
    clip: Annotation, folder: Path, url: str, cookies: Path | None, limits: Limits, stop: threading.Event
) -> None:
    """The video's files into folder. Raises _Refused, _GaveUp, or what yt-dlp raises."""
    began_s = time.monotonic()
    sizes: dict[str, int] = {}

    def watch(status: dict[str, Any]) -> None:
        sizes[status.get("filename") or ""] = max(status.get("downloaded_bytes") or 0, status.get("total_bytes") or 0)
        if stop.is_set():
            raise _GaveUp("stopped")
        if sum(sizes.values()) > limits.bytes_most:
            raise _GaveUp(f"larger than {limits.bytes_most / 1e6:g} MB")
        if time.monotonic() - began_s > limits.seconds_most:
            raise _GaveUp(f"took longer than {limits.seconds_most:g} s")

    options: dict[str, Any] = {
        "quiet": True, "no_warnings": True, "noprogress": True, "logger": _Silent(), "cachedir": False,
        "format": FORMAT, "outtmpl": "%(format_id)s.%(ext)s", "paths": {"home": str(folder)}, "noplaylist": True,
        "retries": 2, "fragment_retries": 2, "extractor_retries": 1, "socket_timeout": limits.timeout_s,
        "fixup": "never", "hls_prefer_native": True, "progress_hooks": [watch],
    }  # fmt: skip
    if url == YOUTUBE:
        options["allowed_extractors"] = ["youtube"]
    if cookies is not None:
        options["cookiefile"] = str(cookies)
    try:
        with yt_dlp.YoutubeDL(options) as loader:
            loader.extract_info(url.format(id=clip.id), download=True)
    except _GaveUp:
        raise
    except YoutubeDLError as error:
        answer = _http_error(error)
        if (answer is not None and answer.status == 429) or any(word in str(error).lower() for word in REFUSED):
            said = answer.response.headers.get("Retry-After") if answer is not None else None
            raise _Refused(_seconds(said)) from error
        raise


class _Silent:
    """yt-dlp's logger: what matters comes as an exception."""

    def debug(self, message: str) -> None: ...
    def warning(self, message: str) -> None: ...
    def error(self, message: str) -> None: ...


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it was made from, by Python's links and by yt-dlp's own."""
    waiting, seen = [error], set()
    while waiting:
        found = waiting.pop(0)
        if not isinstance(found, BaseException) or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        inner = getattr(found, "exc_info", None)
        waiting += [found.__cause__, found.__context__, getattr(found, "cause", None), inner[1] if inner else None]


def _http_error(error: BaseException) -> Any:
    return next((e for e in _chain(error) if isinstance(e, yt_dlp.networking.exceptions.HTTPError)), None)


def _seconds(header: str | None) -> float:
    """Retry-After, if it is a number of seconds; its other form, a date, counts as not said."""
    with contextlib.suppress(ValueError):
        return max(float(header or 0), 0.0)
    return 0.0


def _raise_if_unwritable(error: BaseException, root: Path) -> None:
    """A full disk is everybody's trouble, not this clip's. Raises OutputError."""
    for cause in _chain(error):
        full = isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
        if full or (isinstance(cause, PermissionError) and cause.filename):
            raise OutputError(f"{root}: cannot be written: {cause.strerror}") from error


def _judge(error: BaseException) -> tuple[str, str]:
    """(status, reason) of what yt-dlp or the network said."""
    text = " ".join(str(error).split()).removeprefix("ERROR: ")
    reason, lower = text[:200], text.lower()
    answer = _http_error(error)
    if any(isinstance(e, GeoRestrictedError) for e in _chain(error)):
        return "private", reason
    if any(word in lower for word in PRIVATE) or (answer is not None and answer.status == 401):
        return "private", reason
    if "requested format" in lower:
        return "failed", reason
    if (answer is not None and answer.status in (404, 410)) or (answer is None and any(word in lower for word in GONE)):
        return "gone", reason
    return "failed", reason
