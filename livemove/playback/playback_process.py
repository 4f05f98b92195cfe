"""The playback process: keeps a stream on the native callback alive, or plays to the clock: without a device, and while
one that was named is not there.

In: the ring, through the callback. Out: sound, and the tap that a recorder reads. Never runs per sample itself, and
never waits for a stream that hangs: then it exits hard, and the supervisor starts another.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from livemove.contracts import AbsentDeviceError, DeviceError, MissingDeviceError
from livemove.ipc.network import deny_sockets, sound_server_is_remote
from livemove.ipc.segment import Segment, State, now_s
from livemove.native._realtime import Output
from livemove.playback.playback_config import CLOCK, PlaybackConfig

if TYPE_CHECKING:
    from livemove.playback.device import Device, Stream

SILENT_STREAM_S = 0.7
"""A stream whose callback is not called for so long is dead: what is left of a second is for starting anew."""
SEEN_S = 0.05
"""Between two looks no more than this counts as seen."""
BEHIND_S = 0.2
"""Without a device, the clock makes up for so much that it was held up."""
LOOK_AGAIN_S = 0.25
"""How often a device that is not there is looked for."""
ELSEWHERE_S = 3.0
"""A device that was not named, and is gone, is waited for so long before another one plays."""


def run(segment: Segment, config: PlaybackConfig) -> None:
    """Play until the supervisor asks to stop or to leave, then fade out.

    Raises DeviceError; may end the process itself.
    """
    if not sound_server_is_remote():
        deny_sockets(local=True)
    if not config.play:
        play_to_clock(segment, config.samplerate or config.model_rate, _block(segment, config))
        return
    fallback = config.fallback and config.device is None
    try:  # Imported here: it starts PortAudio, which a session without a device must not need.
        from livemove.playback import device as devices
    except OSError as error:
        if not fallback:
            raise MissingDeviceError(
                "the PortAudio library is missing: install it (Debian: libportaudio2), or write to a file with "
                "--output take.wav"
            ) from error
        devices = None
    if devices is None or (fallback and not devices.list_devices()):
        play_to_clock(segment, config.samplerate or config.model_rate, _block(segment, config))
        return
    device = _find(segment, config)
    if device is None:
        return
    segment.set_devices([f"{each.index} {each.label}" for each in devices.list_devices()])
    channels = min(device.channels, 2)
    rate = float(config.samplerate or config.model_rate)
    if config.samplerate is None and not devices.accepts(device, rate, channels):
        rate = device.rate
    block = _block(segment, config, device.label)
    _agree_on(rate, block, segment)
    output = Output(segment.bytes, rate, channels, device.latency_s)
    output.untold_s = config.untold_s.get(device.label, 0.0)
    stream = devices.open_stream(device, output, rate, channels, block, config.latency)
    output.catch_up()  # opening may have taken half a second
    stream.start()
    process_state = segment.processes["playback"]
    process_state.running(device.label)
    silence = Silence(segment)
    while not (segment.stop_requested or process_state.asked_to_leave):
        process_state.heartbeat()
        if silence.look(now_s()) > SILENT_STREAM_S:
            process_state.failed(DeviceError(f"{device.label} stopped taking sound"))
            os._exit(1)  # close() of a stream whose server died can hang for minutes
        time.sleep(0.02)
    output.stop()
    _wait_for_fade(output)
    time.sleep(segment.playback.output_latency_s + block / rate)  # the fade has left the device
    process_state.finished()
    _leave(stream)


class Silence:
    """How long the callback was not called, as far as we were there to see it: a laptop that slept stops us, too."""

    def __init__(self, segment: Segment) -> None:
        self._playback = segment.playback
        self._callbacks = segment.playback.callbacks
        self._looked_s = now_s()
        self.seconds = 0.0

    def look(self, now: float) -> float:
        """Seconds until now, asked for many times a second."""
        callbacks = self._playback.callbacks
        self.seconds = 0.0 if callbacks != self._callbacks else self.seconds + min(now - self._looked_s, SEEN_S)
        self._callbacks, self._looked_s = callbacks, now
        return self.seconds


def _find(segment: Segment, config: PlaybackConfig) -> Device | None:
    """The device to play on, now or when it is there; None: it ended before. Raises DeviceError."""
    from livemove.playback import device as devices

    try:
        device = devices.find_device(config.last or config.device)
        if not config.patient or _opens(device):
            return device
        trouble = f"{device.label} cannot be opened now"
    except DeviceError as error:
        may_come = config.last is not None or isinstance(error, (AbsentDeviceError, MissingDeviceError))
        if not (config.patient and may_come):
            raise
        trouble = str(error)
    name = config.last or config.device or "an audio device"
    process_state = segment.processes["playback"]
    process_state.remark(f"{trouble}; playing without sound until it is there: waiting for {name}")
    found = Lookout(config)
    threading.Thread(target=found.look, args=(_opens,), daemon=True).start()
    rate = segment.device_rate or config.samplerate or config.model_rate
    play_to_clock(segment, rate, _block(segment, config), name, found.there.is_set)
    found.over.set()
    if found.device is None:
        return None
    process_state.remark(
        f"audio device: {found.device.label}"
        + (f", for {config.last} is gone" if config.last not in (None, found.device.label) else "")
    )
    return found.device


def _opens(device: Device) -> bool:
    from livemove.playback import device as devices

    return devices.accepts(device, device.rate, min(device.channels, 2))


class Lookout:
    """Looks for the device that is waited for, on a thread of its own: a sound server may take its time to answer.

    The one that was named, or else the one that played last; where none was named, any other one after ELSEWHERE_S.
    """

    def __init__(self, config: PlaybackConfig) -> None:
        self.device: Device | None = None
        self.there = threading.Event()
        self.over = threading.Event()
        self._config = config

    def look(self, opens: Callable[[Device], bool]) -> None:
        from livemove.playback import device as devices

        began_s, config = now_s(), self._config
        while not self.over.wait(LOOK_AGAIN_S):
            elsewhere = config.device is None and now_s() - began_s > ELSEWHERE_S
            try:
                devices.look_again()
                device = devices.find_device(None if elsewhere else config.last or config.device)
            except Exception:  # PortAudio's, whatever it says of a server that is about to come or go
                continue
            if opens(device):
                self.device = device
                self.there.set()
                return


def play_to_clock(
    segment: Segment, rate: float, block: int, waits_for: str = "", over: Callable[[], bool] = lambda: False
) -> None:
    """The very same callback, called when a device of this rate and block would: for recording without one.

    waits_for: the device that it stands in for, until over() says that it is there.
    """
    _agree_on(rate, block, segment)
    output = Output(segment.bytes, rate, 2, 0.0)
    process_state = segment.processes["playback"]
    process_state.running(CLOCK)
    if waits_for:
        process_state.waiting(waits_for)
    due_s = now_s()
    while not output.faded:
        if segment.stop_requested or process_state.asked_to_leave or over():
            output.stop()
        output.render(block)
        process_state.heartbeat()
        due_s = max(due_s + block / rate, now_s() - BEHIND_S)  # after a sleep of the machine nothing is made up for
        time.sleep(max(0.0, due_s - now_s()))
    if segment.stop_requested or process_state.asked_to_leave:
        process_state.finished()


def _block(segment: Segment, config: PlaybackConfig, label: str = "") -> int:
    """Frames that the device of this name is asked to take at once; without a name, the clock that stands in for it."""
    held = config.held.get(label, config.block) if label or not segment.device_block else 0
    return max(held, segment.device_block)


def _agree_on(rate: float, block: int, segment: Segment) -> None:
    """Tell everybody rate and block, and wait until what comes through the ring has that rate: with another device it
    had another.

    Synthesis looks every tenth of a second. Where it is being started itself, it begins with the rate it finds.
    """
    segment.set_device_rate(rate, block)
    deadline_s = now_s() + 1.0
    synthesis = segment.processes["synthesis"]
    while synthesis.state is State.RUNNING and segment.synthesis.rate != rate and now_s() < deadline_s:
        time.sleep(0.002)


def _wait_for_fade(output: Output) -> None:
    """At most a third of a second: a dead stream never fades."""
    deadline_s = now_s() + 0.35
    while not output.faded and now_s() < deadline_s:
        time.sleep(0.005)


def _leave(stream: Stream) -> None:
    """Close the stream if it lets us within half a second, and end the process either way.

    It is played out first: a sound server may hold more than it says (PulseAudio), and the end of the fade would click.
    """

    def close() -> None:
        stream.stop()
        stream.close()

    closing = threading.Thread(target=close, daemon=True)
    closing.start()
    closing.join(0.5)
    os._exit(0)
