"""Other cameras and audio devices while it plays.

In: requests of the performer, and the devices of presets. Out: children sent on with another configuration, and lines
for the person. Knows no camera and no audio device itself: the children open them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from livemove.capture.capture_config import CaptureConfig, cameras_here
from livemove.contracts import Action, ControlError, Request
from livemove.control.steering import choose
from livemove.ipc.segment import Segment, State
from livemove.session.session_config import PresetDevices
from livemove.session.supervisor import Child


class DeviceSwitching:
    """Which cameras and audio devices there are, which are in use, and the way from one to another."""

    def __init__(
        self,
        segment: Segment,
        capture: Child,
        playback: Child,
        cameras: Iterable[str],
        devices: tuple[str, ...],
        notices: deque[str],
    ) -> None:
        """cameras: to switch to, beside the one in use and the webcams that are there; devices: audio devices to switch
        to, empty: all there are; notices: where lines for the person go."""
        self._segment = segment
        self._capture = capture
        self._playback = playback
        self._given = devices
        self._notices = notices
        self._card: str | None = None
        self._last_camera: str = self.camera
        self.cameras = list(dict.fromkeys((self.camera, *cameras, *cameras_here())))

    def change(self, request: Request) -> None:
        """To the camera or audio device that is asked for."""
        try:
            if request.action is Action.CAMERA:
                asked = CaptureConfig(camera=request.text)
                if not request.text and self.cameras == [self.camera]:
                    self._notices.append(f"{self.camera} is the only camera: -c 0 -c NAME gives two to change between")
                    return
                anything = request.text and (asked.kind != "file" or Path(request.text).exists())
                camera = request.text if anything else choose(request, self.cameras, self.camera_place())
                self.switch_to(PresetDevices(camera=camera))
            elif not self._playback.config.play:
                self._notices.append("this performance goes into a file alone: there is no audio device to change")
            else:
                devices = self.devices()
                if not request.text and len(devices) < 2:
                    there = "there is no audio device" if not devices else f"{devices[0]} is the only audio device"
                    self._notices.append(f"{there} to change to; livemove devices lists them")
                    return
                card = choose(request, devices, self.device_place(devices))
                self.switch_to(PresetDevices(device=card))
        except ControlError as error:
            self._notices.append(str(error))

    def arrived(self) -> bool:
        """Whether another camera than at the last call is in use; it is one to switch to from then on."""
        camera = self.camera
        if self._capture.switching or camera == self._last_camera:
            return False
        self._last_camera = camera
        self.cameras = list(dict.fromkeys((*self.cameras, camera)))
        return True

    def settle(self) -> None:
        """Once it plays: a camera or device that goes is waited for from then on, a device by its whole name."""
        capture = self._capture
        if not capture.switching and capture.process_state.state is State.RUNNING:
            capture.config = replace(capture.config, patient=capture.config.kind in ("index", "url"))
        playback, state = self._playback, self._segment.processes["playback"]
        if playback.switching or state.state is not State.RUNNING or state.waits_for or not playback.config.play:
            return
        labels = [each.partition(" ")[2] for each in self._segment.devices]
        last = state.label if labels.count(state.label) == 1 else None  # of two with one name, the number tells which
        playback.config = replace(playback.config, patient=state.label in labels, last=last)

    @property
    def camera(self) -> str:
        """The one in use, or on its way."""
        return self._capture.config.camera

    def switch_to(self, wanted: PresetDevices) -> None:
        """Switch to what is not in use already."""
        capture, playback = self._capture, self._playback
        camera: CaptureConfig = capture.config
        config = camera
        if wanted.camera is not None and wanted.camera != camera.camera:
            # The end of a video is the end of the show, but not of one that is only looked at in between.
            config = replace(config, camera=wanted.camera, loop=True, patient=False)
        if wanted.mirror is not None:
            config = replace(config, mirror=wanted.mirror)
        if config != camera:
            capture.switch(config, f"camera: {config.camera}", f"going on with camera {camera.camera}")
        if wanted.device is None or not self._playback.config.play:
            return
        devices = self.devices()
        try:
            card = choose(Request(Action.DEVICE, text=wanted.device), devices, -1)
        except ControlError as error:
            self._notices.append(str(error))
            return
        now = self.device_place(devices)
        if card is None or (now >= 0 and card == devices[now]):
            return
        number, _, label = card.partition(" ")
        twins = [each for each in devices if each.partition(" ")[2] == label]
        device = card if card not in devices else label if len(twins) == 1 else number
        old = self._segment.processes["playback"].label or playback.config.device or "the default audio device"
        self._card = card
        playback.switch(
            replace(playback.config, device=device, samplerate=None, patient=False, last=None),
            f"audio device: {label or card}",
            f"going on with {old}",
        )

    def camera_place(self) -> int:
        """Of the camera that is in use, or on its way."""
        camera = self._capture.config.camera
        return self.cameras.index(camera) if camera in self.cameras else -1

    def devices(self) -> tuple[str, ...]:
        """Audio devices to switch to, "N NAME (HOST)"; one that was given and is not there, as it was given."""
        there = self._segment.devices
        given: dict[str, None] = {}
        for device in self._given:
            try:
                name = choose(Request(Action.DEVICE, text=device), there, -1)
            except ControlError:
                name = device
            given[name or device] = None
        return tuple(given) or there

    def device_place(self, devices: tuple[str, ...]) -> int:
        """Of the audio device that is in use, or on its way; -1: it is none of these."""
        label = self._segment.processes["playback"].label
        names = [each for each in devices if label in (each, each.partition(" ")[2])]
        card = self._card if self._playback.switching or self._card in names else next(iter(names), None)
        return devices.index(card) if card in devices else -1
