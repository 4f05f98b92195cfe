"""What `livemove perform` plays with where the camera or the audio device is not there and nobody named one.

In: a session's configuration and the error it met at its start. Out: another configuration, and a line that says so:
the demo dancer stands in for a camera, a numbered WAV file for a device. Prints nothing itself.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from livemove.contracts import CameraError, LivemoveError, MissingDeviceError

if TYPE_CHECKING:
    from livemove.session.perform import SessionConfig


def free_file(folder: Path) -> Path:
    """The first of take-001.wav, take-002.wav ... in the folder that does not exist yet."""
    names = (folder / f"take-{number:03d}.wav" for number in itertools.count(1))
    return next(path for path in names if not path.exists())


def instead(
    config: SessionConfig, error: LivemoveError, camera_named: bool, device_named: bool
) -> tuple[SessionConfig, str] | None:
    """(what to play with now, the line to print), or None: what is missing was asked for, or nothing stands in for it.

    camera_named, device_named: whether the person, or a preset, said which one.
    """
    camera = config.capture.camera
    if isinstance(error, CameraError) and not (camera_named or config.takes.video or camera == "demo"):
        line = f"camera {camera} gives no image: the demo dancer plays; --camera names another camera or a video"
        return replace(config, capture=replace(config.capture, camera="demo")), line
    if isinstance(error, MissingDeviceError) and not device_named and config.output is None:
        output = free_file(Path())
        return replace(config, output=output), f"no audio device: what is played goes into {output}"
    return None
