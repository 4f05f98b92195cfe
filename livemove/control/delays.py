"""What claps told about cameras, kept for the performer: each camera's own delay, by its name.

In: a camera as --camera names it. Out: milliseconds. `livemove latency --clap` writes it; performances, recordings and
the lag of takes read it.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, cast

import tomli_w

from livemove import numbers
from livemove.contracts import ControlError
from livemove.control.user_files import delays_file, write_whole

MOST_MS = 1000.0


def camera_name(camera: str) -> str:
    """What a camera is kept under: a webcam's own name where the system tells it, for its number changes with the
    socket; else what --camera says."""
    if camera.isdecimal():
        try:
            return Path(f"/sys/class/video4linux/video{int(camera)}/name").read_text(encoding="utf-8").strip() or camera
        except (OSError, UnicodeDecodeError):
            return camera
    return camera


def camera_delay_ms(camera: str) -> float | None:
    """None: nobody clapped for it. Raises ControlError: the file is damaged."""
    return _read().get(camera_name(camera))


def keep_camera_delay(camera: str, delay_ms: float) -> Path:
    """From now on this is that camera's; where it is kept. Raises ControlError."""
    cameras = {**_read(), camera_name(camera): round(delay_ms, 1)}
    path = delays_file()
    try:
        write_whole(path, tomli_w.dumps({"cameras": cameras}))
    except OSError as error:
        raise ControlError(f"{path} cannot be written: {error.strerror}") from error
    return path


def _read() -> dict[str, float]:
    path = delays_file()
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ControlError(f"{path}: cannot be read: {error}; delete it, or clap again") from error
    cameras = document.get("cameras", {})
    if not isinstance(cameras, dict):
        raise ControlError(f"{path}: cameras: expected a table; delete the file, or clap again")
    found: dict[str, float] = {}
    for name, value in cast("dict[str, Any]", cameras).items():
        try:
            found[name] = numbers.number(value, 0.0, MOST_MS)
        except ValueError as error:
            raise ControlError(f"{path}: cameras: {name!r:.60}: {error}; delete the file, or clap again") from error
    return found
