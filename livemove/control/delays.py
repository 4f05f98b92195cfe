"""What claps told about cameras and audio devices, kept for the performer: what each adds to the lag, by its name.

In: a camera as --camera names it, a device by its whole name. Out: milliseconds. `livemove latency --clap` writes
them; performances, recordings and the lag of takes read them.
"""

from __future__ import annotations

from pathlib import Path

from livemove import numbers
from livemove.control.user_files import delays_file, read_tables, write_tables

MOST_MS = 1000.0
AGAIN = "delete it, or clap again"


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
    return _read()["cameras"].get(camera_name(camera))


def device_delays_s() -> dict[str, float]:
    """By the whole name of an audio device: seconds from when it says that a sample is heard to when it is.

    It is the round trip of loudspeaker and microphone beyond what both say. What of it is the microphone's is missing
    in the delay of the camera, which was clapped into the same microphone; so camera and device together are right.
    Raises ControlError.
    """
    return {name: delay_ms / 1e3 for name, delay_ms in _read()["devices"].items()}


def keep_delays(camera: str, camera_ms: float | None, device: str, device_ms: float | None) -> Path:
    """From now on these are theirs, where they are known; where they are kept. Raises ControlError."""
    tables = _read()
    for table, name, delay_ms in (("cameras", camera_name(camera), camera_ms), ("devices", device, device_ms)):
        if delay_ms is not None:
            tables[table][name] = round(delay_ms, 1)
    return write_tables(delays_file(), tables)


def _read() -> dict[str, dict[str, float]]:
    return read_tables(delays_file(), ("cameras", "devices"), lambda value: numbers.number(value, 0.0, MOST_MS), AGAIN)
