"""The latest value of a kind: poses, controls, the supervisor's news, a small camera image.

In and out: contracts' dataclasses, arrays. One process writes each, any number read, and nobody waits.
"""

# numpy's stubs need a newer Python than 3.10, which pyright checks for: its members come out half unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from livemove.contracts import MAX_BLEND, MAX_LAYERS, Controls, PoseFrame, SupervisorStatus
from livemove.controls import CONTROLS, EFFECT_VALUES, LOOP_PRESSES
from livemove.ipc.logs import POSE_ROW
from livemove.ipc.process_state import ROLES
from livemove.ipc.records import lines, names
from livemove.native import _realtime
from livemove.native._realtime import PICTURE_EDGE as IMAGE_EDGE


class PoseMailbox:
    """The newest pose. One writer (capture); a reader never waits for it."""

    def __init__(self, memory: npt.NDArray[np.uint8]) -> None:
        if POSE_ROW.itemsize != _realtime.POSE_BYTES:
            raise ValueError("PoseFrame in contracts.py and PosePayload in native/realtime/layout.hpp differ")
        self._native = _realtime.PoseMailbox(memory)
        self._log = _realtime.PoseLog(memory)
        row = np.zeros(1, POSE_ROW)
        self._bytes = row.view(np.uint8)
        self._row = row[0]
        self._arrays = [(name, row[name][0]) for name in ("image", "world", "visibility")]
        self._seen = 0

    def write(self, frame: PoseFrame) -> None:
        """Capture only. It is remembered in `Segment.poses` too."""
        self._row["capture_s"] = frame.capture_s
        self._row["sequence"] = frame.sequence
        self._row["people"] = frame.people
        for name, array in self._arrays:
            array[...] = getattr(frame, name)
        self._native.write(self._bytes)
        self._log.add(self._bytes)

    def read(self, frame: PoseFrame) -> bool:
        """Any process but capture: fill frame in place if there is a newer pose than at the last call; False if not."""
        sequence = self._native.read(self._bytes)
        if sequence in (0, self._seen):
            return False
        self._seen = sequence
        frame.capture_s = float(self._row["capture_s"])
        frame.sequence = int(self._row["sequence"])
        frame.people = int(self._row["people"])
        for name, array in self._arrays:
            getattr(frame, name)[...] = array
        return True


def pose_of(row: Any) -> PoseFrame:
    """A row of POSE_ROW as the frame it was."""
    frame = PoseFrame(float(row["capture_s"]), int(row["sequence"]), int(row["people"]))
    for name in ("image", "world", "visibility"):
        getattr(frame, name)[...] = row[name]
    return frame


MOST = (10 ** (CONTROLS["gain"].high / 20), CONTROLS["temperature"].high, CONTROLS["look_ahead"].high / 1e3)
"""Of gain, temperature and look-ahead, as the mailbox has them; none is less than 0."""


class ControlsMailbox:
    """What the performer has set. One writer: the supervisor."""

    CHOICES = (
        *("style", "freeze", "octave", "scale", "root", "model", "preset"),
        *("panics", "reloads", "learn", "swap_hands"),
    )
    """In this order in ControlsPayload of native/realtime/layout.hpp: the callback looks for panics in its place."""

    EFFECTS = (*(control.preset for control in EFFECT_VALUES), *LOOP_PRESSES.values())
    """At the end of it, as float64."""

    def __init__(self, memory: npt.NDArray[np.uint8]) -> None:
        self._native = _realtime.ControlsMailbox(memory)
        self._bytes = np.zeros(_realtime.CONTROLS_BYTES, np.uint8)
        self._numbers = self._bytes[:24].view(np.float64)
        ends = np.cumsum([0, len(self.EFFECTS), MAX_LAYERS, MAX_LAYERS, MAX_BLEND]) * 8
        effects, pans, gains, styles, integers = (len(self._bytes) - int(end) for end in ends)
        self._integers = self._bytes[24:integers].view(np.int64)
        self._styles = self._bytes[integers:styles].view(np.float64)
        self._gains = self._bytes[styles:gains].view(np.float64)
        self._pans = self._bytes[gains:pans].view(np.float64)
        self._effects = self._bytes[pans:effects].view(np.float64)
        self._weights = self._bytes[integers:].view(np.float64)  # all of these
        self._last = Controls()

    def write(self, controls: Controls) -> None:
        self._numbers[:] = controls.gain, controls.temperature, controls.look_ahead_s
        self._integers[0] = controls.mute
        self._integers[1:] = [*(getattr(controls, name) for name in self.CHOICES), len(controls.styles)]
        self._styles[: len(controls.styles)] = controls.styles
        self._gains[:], self._pans[:] = controls.gains, controls.pans
        self._effects[:] = [getattr(controls, name) for name in self.EFFECTS]
        self._native.write(self._bytes)

    def read(self) -> Controls:
        """Any process: the newest controls; the previous ones while a write is under way, and where a number of them is
        none, or beyond what anybody may set: memory that somebody broke."""
        if self._native.read(self._bytes) and self._believable():
            gain, temperature, look_ahead_s = self._numbers.tolist()
            mute, *integers, count = self._integers.tolist()
            choices: dict[str, Any] = dict(zip(self.CHOICES, integers, strict=True))
            choices.update({name: bool(choices[name]) for name in ("freeze", "swap_hands")})
            choices["styles"] = tuple(self._styles[:count].tolist())
            choices["gains"], choices["pans"] = tuple(self._gains.tolist()), tuple(self._pans.tolist())
            choices.update(zip(self.EFFECTS, self._effects.tolist(), strict=True))
            choices.update({name: int(choices[name]) for name in LOOP_PRESSES.values()})
            self._last = Controls(gain, temperature, mute=bool(mute), look_ahead_s=look_ahead_s, **choices)
        return self._last

    def _believable(self) -> bool:
        good = all(0.0 <= value <= most for value, most in zip(self._numbers.tolist(), MOST, strict=True))
        return good and bool(np.isfinite(self._weights).all())


class SupervisorStatusMailbox:
    """The supervisor's status for the monitor. One writer: the supervisor."""

    def __init__(self, memory: npt.NDArray[np.uint8]) -> None:
        self._native = _realtime.BulletinMailbox(memory)
        self._bytes = np.zeros(_realtime.BULLETIN_BYTES, np.uint8)
        self._times = self._bytes[:16].view(np.float64)
        at = 16 + 8 * len(ROLES)
        self._restarts = self._bytes[16:at].view(np.int64)
        self._notices = self._bytes[at : at + 8].view(np.int64)
        self._recording_since_s = self._bytes[at + 8 : at + 16].view(np.float64)
        self._places = self._bytes[at + 16 : at + 32].view(np.int64)
        devices = _realtime.BULLETIN_BYTES - _realtime.DEVICE_NAMES
        cameras = devices - _realtime.CAMERA_NAMES
        self._text = self._bytes[at + 32 : cameras].view(f"S{cameras - at - 32}")
        self._cameras = self._bytes[cameras:devices].view(f"S{_realtime.CAMERA_NAMES}")
        self._devices = self._bytes[devices:].view(f"S{_realtime.DEVICE_NAMES}")
        self._last = SupervisorStatus()

    def write(self, supervisor_status: SupervisorStatus) -> None:
        """Supervisor only. Of the notice at most 503 bytes are kept, and of the lists as many as find room."""
        self._times[:] = supervisor_status.written_s, supervisor_status.playing_since_s
        self._restarts[:] = [supervisor_status.restarts.get(role, 0) for role in ROLES]
        self._notices[0] = supervisor_status.notices
        self._recording_since_s[0] = supervisor_status.recording_since_s
        self._places[:] = supervisor_status.camera, supervisor_status.device
        self._text[0] = supervisor_status.notice.encode(errors="replace")[: self._text.itemsize - 1]
        self._cameras[0] = lines(supervisor_status.cameras, self._cameras.itemsize)
        self._devices[0] = lines(supervisor_status.devices, self._devices.itemsize)
        self._native.write(self._bytes)

    def read(self) -> SupervisorStatus:
        """Any process: the newest one; the previous one while a write is under way."""
        if self._native.read(self._bytes):
            restarts: dict[str, int] = dict(zip(ROLES, self._restarts.tolist(), strict=True))
            notice = bytes(self._text[0]).decode(errors="ignore")
            written_s, playing_since_s = self._times.tolist()
            recording_since_s = float(self._recording_since_s[0])
            notices = int(self._notices[0])
            cameras, devices = names(self._cameras), names(self._devices)
            camera, device = self._places.tolist()
            status = SupervisorStatus(written_s, playing_since_s, restarts, notices, notice, recording_since_s)
            self._last = dataclasses.replace(status, cameras=cameras, camera=camera, devices=devices, device=device)
        return self._last


class ImageMailbox:
    """The newest camera image, small, for the monitor. One writer: capture."""

    def __init__(self, memory: npt.NDArray[np.uint8]) -> None:
        self._native = _realtime.PictureMailbox(memory)
        self._bytes: npt.NDArray[np.uint8] | None = None
        self._seen = 0

    def _buffer(self) -> npt.NDArray[np.uint8]:
        """Made at the first use: most processes never look at an image."""
        if self._bytes is None:
            self._bytes = np.zeros(_realtime.PICTURE_BYTES, np.uint8)
        return self._bytes

    def write(self, image: npt.NDArray[np.uint8], capture_s: float) -> None:
        """Capture only: uint8 RGB [height, width, 3], neither edge longer than IMAGE_EDGE."""
        height, width, _ = image.shape
        if max(height, width) > IMAGE_EDGE:
            raise ValueError(f"an image of {width} x {height} does not fit: {IMAGE_EDGE} at most")
        payload = self._buffer()
        payload[:8].view(np.float64)[0] = capture_s
        payload[8:24].view(np.int64)[:] = width, height
        payload[24 : 24 + image.size].reshape(image.shape)[...] = image
        self._native.write(payload)

    def read(self) -> tuple[npt.NDArray[np.uint8], float] | None:
        """Any other process: image and capture time if there is a newer one than at the last call, else None.

        The image, uint8 RGB [height, width, 3], is good until the next call.
        """
        if self._native.sequence == self._seen:
            return None
        payload = self._buffer()
        sequence = self._native.read(payload)
        if sequence in (0, self._seen):
            return None
        self._seen = sequence
        width, height = payload[8:24].view(np.int64).tolist()
        return payload[24 : 24 + 3 * width * height].reshape(height, width, 3), float(payload[:8].view(np.float64)[0])
