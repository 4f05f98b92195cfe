"""How a device is opened: what PortAudio is asked for by --latency, on every system."""

from __future__ import annotations

from typing import Any

import pytest
import sounddevice

from livemove.ipc.segment import Segment
from livemove.native._realtime import Output
from livemove.playback import device as devices
from livemove.playback.device import Device

RATE = 48000


class Opened:
    """Stands where PortAudio's stream would: keeps what it was asked for."""

    asked: dict[str, Any]
    latency = 0.01

    def __init__(self, **asked: Any) -> None:
        Opened.asked = asked


@pytest.fixture
def output(segment: Segment, monkeypatch: pytest.MonkeyPatch) -> Output:
    monkeypatch.setattr(sounddevice, "_StreamBase", Opened)
    return Output(segment.bytes, RATE, 2, 0.01)


def on(host: str) -> Device:
    return Device(0, "speakers", host, 2, RATE, 0.01, default=True)


class Settings:
    """Stands where settings of a system would that only its own PortAudio knows."""

    def __init__(self, **asked: bool) -> None:
        self.asked = asked


ALONE = {"Windows WASAPI": {"exclusive": True}, "Core Audio": {"change_device_parameters": True}}


@pytest.mark.parametrize("host", [*ALONE, "ALSA", "JACK Audio Connection Kit", "PulseAudio"])
@pytest.mark.parametrize(("latency", "suggested"), [(None, "low"), ("low", "low"), ("safe", "high")])
def test_only_low_latency_takes_the_device_for_itself(
    output: Output, monkeypatch: pytest.MonkeyPatch, host: str, latency: str | None, suggested: str
) -> None:
    for name in ("WasapiSettings", "CoreAudioSettings"):
        monkeypatch.setattr(sounddevice, name, Settings)
    devices.open_stream(on(host), output, RATE, 2, 256, latency)
    assert Opened.asked["latency"] == suggested
    assert Opened.asked["blocksize"] == 256
    settings = Opened.asked["extra_settings"]
    assert (settings and settings.asked) == (ALONE.get(host) if latency == "low" else None)
