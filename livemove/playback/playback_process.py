"""The playback process: keeps a stream on the native callback alive, or, without a device, plays to the clock.

In: the ring, through the callback. Out: sound, and the tap that a recorder reads. Never runs per sample itself, and
never waits for a stream that hangs: then it exits hard, and the supervisor starts another.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

from livemove.contracts import DeviceError, MissingDeviceError
from livemove.ipc.network import deny_sockets, sound_server_is_remote
from livemove.ipc.segment import Segment, State, now_s
from livemove.native._realtime import Output
from livemove.playback.playback_config import PlaybackConfig

if TYPE_CHECKING:
    from livemove.playback.device import Stream

SILENT_STREAM_S = 1.0
"""A stream whose callback is not called for so long is dead. Sound servers come back within less, or not at all."""


def run(segment: Segment, config: PlaybackConfig) -> None:
    """Play until the supervisor asks to stop or to leave, then fade out.

    Raises DeviceError; may end the process itself.
    """
    if not sound_server_is_remote():
        deny_sockets(local=True)
    if not config.play:
        play_to_clock(segment, config.samplerate or config.model_rate, config.block)
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
        play_to_clock(segment, config.samplerate or config.model_rate, config.block)
        return
    segment.set_devices([f"{device.index} {device.label}" for device in devices.list_devices()])
    device = devices.find_device(config.device)
    channels = min(device.channels, 2)
    rate = float(config.samplerate or config.model_rate)
    if config.samplerate is None and not devices.accepts(device, rate, channels):
        rate = device.rate
    _agree_on(rate, segment)
    output = Output(segment.bytes, rate, channels, device.latency_s)
    stream = devices.open_stream(device, output, rate, channels, config.block)
    output.catch_up()  # opening may have taken half a second
    opened_s = now_s()
    stream.start()
    process_state = segment.processes["playback"]
    process_state.running(device.label)
    while not (segment.stop_requested or process_state.asked_to_leave):
        process_state.heartbeat()
        if now_s() - max(segment.playback.heartbeat_s, opened_s) > SILENT_STREAM_S:
            process_state.failed(DeviceError(f"{device.label} stopped taking sound"))
            os._exit(1)  # close() of a stream whose server died can hang for minutes
        time.sleep(0.02)
    output.stop()
    _wait_for_fade(output)
    time.sleep(segment.playback.output_latency_s + config.block / rate)  # the fade has left the device
    process_state.finished()
    _leave(stream)


def play_to_clock(segment: Segment, rate: float, block: int) -> None:
    """The very same callback, called when a device of this rate and block would: for recording without one."""
    _agree_on(rate, segment)
    output = Output(segment.bytes, rate, 1, 0.0)
    process_state = segment.processes["playback"]
    process_state.running("no device")
    due_s = now_s()
    while not output.faded:
        if segment.stop_requested or process_state.asked_to_leave:
            output.stop()
        output.render(block)
        process_state.heartbeat()
        due_s += block / rate
        time.sleep(max(0.0, due_s - now_s()))
    process_state.finished()


def _agree_on(rate: float, segment: Segment) -> None:
    """Tell everybody the rate, and wait until what comes through the ring has it: with another device it had another.

    Synthesis looks every tenth of a second. Where it is being started itself, it begins with the rate it finds.
    """
    segment.set_device_rate(rate)
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
