"""Audio devices: list them, find one by index or part of a name, open a stream on the native callback.

In: what the person typed. Out: Device records, an open PortAudio stream. Knows nothing of models, poses or processes.
kind is "output" (what plays) or "input" (what records).
"""

# sounddevice has no type information, and the route for C callbacks is its documented base class for library authors.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportPrivateUsage=false

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, cast

import sounddevice

from livemove import numbers
from livemove.contracts import AbsentDeviceError, DeviceError, MissingDeviceError
from livemove.native._realtime import Output

NO_DEVICE = "no audio device found: connect one or start a sound server, or write to a file with --output take.wav"
NO_INPUT = "no microphone or other sound input found: connect one or start a sound server"


class Stream(Protocol):
    """An open PortAudio stream, as far as we use it."""

    latency: float

    def start(self) -> None: ...

    def stop(self) -> None:
        """Play out what it holds. May hang, as close."""

    def close(self) -> None:
        """May hang for minutes when the sound server has died."""


@dataclass(frozen=True)
class Device:
    """A device as PortAudio names it, with its lowest latency. default: the one taken when none is asked for."""

    index: int
    name: str
    host: str
    channels: int
    rate: float
    latency_s: float
    default: bool

    @property
    def label(self) -> str:
        """What it is called wherever a person reads it."""
        return f"{self.name} ({self.host})"


def list_devices(kind: str = "output") -> list[Device]:
    """Every device of this kind, in PortAudio's order. Empty on a machine without any."""
    try:
        hosts = cast("list[dict[str, Any]]", sounddevice.query_hostapis())
        entries = cast("list[dict[str, Any]]", sounddevice.query_devices())
    except sounddevice.PortAudioError as error:
        raise DeviceError(f"PortAudio cannot list the audio devices: {error}") from error
    chosen = _default_index(hosts, kind)
    return [
        Device(
            index=index,
            name=str(entry["name"]),
            host=str(hosts[entry["hostapi"]]["name"]),
            channels=int(entry[f"max_{kind}_channels"]),
            rate=float(entry["default_samplerate"]),
            latency_s=float(entry[f"default_low_{kind}_latency"]),
            default=index == chosen,
        )
        for index, entry in enumerate(entries)
        if entry[f"max_{kind}_channels"] > 0
    ]


def find_device(text: str | None, kind: str = "output") -> Device:
    """The device with this index, or with this text in its name or host; None: the default one.

    Raises MissingDeviceError when there is no device at all, AbsentDeviceError when there is none of that name,
    DeviceError when the text fits several and none of them exactly.
    """
    devices = list_devices(kind)
    if not devices:
        raise MissingDeviceError(NO_DEVICE if kind == "output" else NO_INPUT)
    if text is None:
        return next((device for device in devices if device.default), devices[0])
    index = numbers.place(text)
    if index is not None:
        found = [device for device in devices if device.index == index]
    else:
        wanted = text.casefold()
        found = [d for d in devices if wanted in d.label.casefold()]
        exact = [d for d in devices if wanted in (d.name.casefold(), d.label.casefold())]
        found = exact or found
    if not found:
        listing = "livemove devices" if kind == "output" else "livemove devices --input"
        raise AbsentDeviceError(f"no audio device matches {text!r}: `{listing}` lists them")
    if len(found) > 1:
        names = ", ".join(f"{d.index} {d.label}" for d in found[:4])
        raise DeviceError(f"several audio devices match {text!r}: {names}; give the number")
    return found[0]


def look_again() -> None:
    """Let PortAudio find out anew which devices there are; no stream may be open."""
    sounddevice._terminate()
    sounddevice._initialize()


def open_stream(
    device: Device, output: Output, rate: float, channels: int, block: int, latency: str | None = None
) -> Stream:
    """A stream, not yet started, that calls output's C callback. latency: as in PlaybackConfig. Raises DeviceError when
    the device refuses."""
    ffi = sounddevice._ffi
    try:
        opened = sounddevice._StreamBase(
            kind="output",
            samplerate=rate,
            blocksize=block,
            device=device.index,
            channels=channels,
            dtype="float32",
            latency="high" if latency == "safe" else "low",
            extra_settings=_alone(device.host) if latency == "low" else None,
            clip_off=True,  # the limiter has seen to it
            dither_off=True,
            callback=ffi.cast("PaStreamCallback *", output.callback_address),
            userdata=ffi.cast("void *", output.userdata_address),
            wrap_callback=None,
        )
    except (sounddevice.PortAudioError, ValueError) as error:
        raise DeviceError(_refusal(device, rate, block, error)) from error
    stream = cast("Stream", opened)
    output.latency_s = stream.latency
    return stream


def _alone(host: str) -> Any:
    """What opens a device of this host for nobody else, past the system's mixer and its latency: WASAPI's exclusive
    mode, on macOS the device's own rate and buffer set to ours. ALSA's hardware devices and ASIO are exclusive anyway,
    and JACK's server alone says how long a block is; PulseAudio and others have no such thing: None."""
    if "WASAPI" in host:
        return sounddevice.WasapiSettings(exclusive=True)
    if "Core Audio" in host:
        return sounddevice.CoreAudioSettings(change_device_parameters=True)
    return None


def accepts(device: Device, rate: float, channels: int) -> bool:
    try:
        sounddevice.check_output_settings(device.index, channels, "float32", samplerate=rate)
    except (sounddevice.PortAudioError, ValueError):
        return False
    return True


def _refusal(device: Device, rate: float, block: int, error: Exception) -> str:
    if "sample rate" in str(error).lower():
        return f"{device.label} refuses {rate:.0f} samples per second: try --samplerate {device.rate:.0f}"
    reason = str(error.args[0]) if error.args else type(error).__name__
    return f"{device.label} refuses blocks of {block}: {reason}; try another --device, --block or --latency"


def _default_index(hosts: list[dict[str, Any]], kind: str) -> int:
    """JACK's default when its server runs (whoever starts one means it), else PortAudio's."""
    field = f"default_{kind}_device"
    for host in hosts:
        if "JACK" in str(host["name"]) and host[field] >= 0:
            return int(host[field])
    index = int(sounddevice.default.device[kind])
    if index >= 0:
        return index
    return next((int(h[field]) for h in hosts if h[field] >= 0), -1)
