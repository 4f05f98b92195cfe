"""Sound for a take, in a process of its own: plays a song, or records a microphone, and tells when each sample was in
the air.

In: a SoundConfig, "go" and "stop". Out, through a pipe: Ready, Stretches, Over, or the LivemoveError that ended it.
Knows no camera and no file but the song. A sound server that dies can hang whoever uses it for minutes: that is killed.
"""

from __future__ import annotations

import math
import os
import signal
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from livemove.contracts import DeviceError, Float32, LivemoveError
from livemove.ipc.segment import now_s
from livemove.ipc.signals import STOPPING
from livemove.playback.song import Song

if TYPE_CHECKING:
    from livemove.playback.device import Device

BLOCK = 1024
LATENCY_S = 0.2
"""When a sample is in the air is known, so it may take its time: a machine busy with video then leaves no gaps."""
LEAD_S = 1.2
"""Silence before the song."""
SETTLE_S = 0.5
"""The first times a sound server gives are wrong by up to 30 ms: they are not told."""
SILENT_STREAM_S = 3.0
"""A stream whose callback is not called for so long is dead; a machine that stood still for a second may go on."""
FADE_S = 0.02
BEEP_S = 0.06


@dataclass(frozen=True)
class SoundConfig:
    """What a take sounds like. Picklable.

    sound        to play; None: nothing
    mic          record the microphone: then that is the take's sound
    device       to play on, input_device to record from: number or part of the name; None: the default
    count_in_s   one beep a second before it begins
    duration_s   None: as long as the song; without one, until told to stop
    """

    sound: Path | None = None
    mic: bool = False
    device: str | None = None
    input_device: str | None = None
    count_in_s: float = 0.0
    duration_s: float | None = None


@dataclass(frozen=True)
class Ready:
    """The devices are open. label names them; rate and channels are of the Stretches; seconds None: open end. note:
    what there is to say of the song, or ""."""

    label: str
    rate: int
    channels: int
    seconds: float | None
    note: str = ""


@dataclass(frozen=True)
class Stretch:
    """float32 [n, channels] from sample number first on, in the air since time_s; empty before the take begins.

    gap: PortAudio says that the device ran dry, or that samples were lost, shortly before.
    """

    first: int
    time_s: float
    samples: Float32
    gap: bool


@dataclass(frozen=True)
class Over:
    """Nothing more comes. until_s: when it was told to stop; None: it came to its end."""

    until_s: float | None


def run(pipe: Connection, config: SoundConfig) -> None:
    """The process. The supervisor decides about signals; when it is gone, so are we."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)  # ALSA and JACK tell the terminal what they could not find
    try:
        _run(pipe, config)
    except (EOFError, ConnectionError):
        os._exit(1)
    except LivemoveError as error:
        pipe.send(error)
    except Exception as error:
        pipe.send(LivemoveError(f"the sound process failed: {type(error).__name__}: {error}"))
    os._exit(0)  # closing a stream whose server has died can hang


def _run(pipe: Connection, config: SoundConfig) -> None:
    try:
        from livemove.playback import device as devices
    except OSError as error:
        raise DeviceError("the PortAudio library is missing: install it (Debian: libportaudio2)") from error
    player = None
    can_play = bool(devices.list_devices())
    if config.sound is not None and not can_play:
        raise DeviceError("no audio device found: connect one or start a sound server, or record the microphone: --mic")
    if config.sound is not None or (config.count_in_s and can_play):
        player = _Player(devices.find_device(config.device), config)
    microphone = _Microphone(devices.find_device(config.input_device, "input")) if config.mic else None
    source = microphone or player
    assert source is not None
    length_s = player.seconds if player and config.sound else config.duration_s
    note = player.song.note if player and player.song else ""
    pipe.send(Ready(source.label, source.rate, source.channels, length_s, note))
    if pipe.recv() == "stop":
        return
    started_s = now_s()
    lead_s = max(config.count_in_s, LEAD_S)
    begin_s = None if player else started_s + lead_s
    end_s, recorded_s = math.inf, -math.inf
    stopped = False
    if player:
        player.going = True
    while True:
        for stream in filter(None, (player, microphone)):
            stream.check_alive(started_s)
        if player:
            while player.heard:
                stretch = player.heard.popleft()
                begin_s = stretch.time_s + (player.lead - stretch.first) / player.rate
                if not microphone:
                    pipe.send(stretch)
        if begin_s is not None and not stopped:
            late_s = player.late / player.rate if player else 0.0
            end_s = begin_s + (math.inf if length_s is None else length_s + late_s)
        if microphone:
            while microphone.heard:
                stretch = microphone.heard.popleft()
                recorded_s = stretch.time_s + len(stretch.samples) / microphone.rate
                pipe.send(_between(stretch, begin_s, end_s, microphone.rate))
        if (recorded_s if microphone else now_s()) >= end_s:
            pipe.send(Over(end_s if stopped else None))
            break
        if pipe.poll(0.02) and pipe.recv() == "stop" and not stopped:
            stopped, end_s = True, now_s()
            if player:
                player.leave()
    time.sleep(LATENCY_S)  # the fade leaves the device


def _between(stretch: Stretch, begin_s: float | None, end_s: float, rate: int) -> Stretch:
    """The part of a stretch that belongs to the take; empty before it begins and after it ends."""
    if begin_s is None:
        return Stretch(stretch.first, stretch.time_s, stretch.samples[:0], stretch.gap)
    count = len(stretch.samples)
    skip = min(max(round((begin_s - stretch.time_s) * rate), 0), count)
    stop = count if math.isinf(end_s) else min(max(round((end_s - stretch.time_s) * rate), skip), count)
    return Stretch(stretch.first + skip, stretch.time_s + skip / rate, stretch.samples[skip:stop], stretch.gap)


# --- streams ------------------------------------------------------------------------------------------------


class _Stream:
    """What player and microphone share: an open PortAudio stream and what its callback has left in `heard`.

    The callbacks are Python. That is no way to play an instrument (see DESIGN), but nothing else runs in this process,
    and LATENCY_S is long.
    """

    def __init__(self, device: Device, rate: int, channels: int) -> None:
        self.label = f"{device.name} ({device.host})"
        self.rate = rate
        self.channels = channels
        self.heard: deque[Stretch] = deque()
        self.at = 0
        self.called_s = 0.0
        self.latency_s = 0.0

    def open(self, kind: str, device: Device, callback: Callable[..., None]) -> None:
        """Raises DeviceError."""
        import sounddevice

        opened = sounddevice.OutputStream if kind == "output" else sounddevice.InputStream
        try:
            stream = opened(
                samplerate=self.rate, blocksize=BLOCK, device=device.index, channels=self.channels, dtype="float32",
                latency=LATENCY_S, callback=callback,
            )  # fmt: skip
            self.latency_s = float(cast(Any, stream).latency)
            stream.start()
        except (sounddevice.PortAudioError, ValueError) as error:
            reason = str(error.args[0]) if error.args else type(error).__name__
            raise DeviceError(f"{self.label} cannot be opened: {reason}; try another") from error

    def air_time_s(self, given: float, current: float) -> float:
        """When the first sample of a callback is in the air, from the time PortAudio gives and its time now."""
        delay_s = given - current
        if given <= 0.0 or not -5.0 < delay_s < 5.0:  # some hosts give none
            delay_s = self.latency_s
        return self.called_s + delay_s

    def check_alive(self, started_s: float) -> None:
        """Raises DeviceError."""
        if now_s() - max(self.called_s, started_s) > SILENT_STREAM_S:
            raise DeviceError(f"{self.label} has stopped: the sound server or the device is gone")


class _Player(_Stream):
    """Plays silence, and once it is going, the count-in and the song. late: samples of silence where the song was not
    decoded in time."""

    def __init__(self, device: Device, config: SoundConfig) -> None:
        rate = round(device.rate)
        self.song: Song | None = None
        if config.sound is not None:
            self.song = Song(config.sound, rate, device.channels, config.duration_s)
        super().__init__(device, rate, self.song.channels if self.song else 1)
        self.seconds = self.song.seconds if self.song else 0.0
        self.lead = round(max(config.count_in_s, LEAD_S) * rate)
        self.late = 0
        self._count_in = _count_in(self.lead, config.count_in_s, rate, self.channels)
        self._fade = np.linspace(1.0, 0.0, round(FADE_S * rate), dtype=np.float32)[:, None]
        self.going = False
        self._leaving = False
        if self.song is not None:
            self.song.start()
        self.open("output", device, self._play)

    def leave(self) -> None:
        """Fade out."""
        self._leaving = True

    def check_alive(self, started_s: float) -> None:
        if self.song is not None and self.song.trouble:
            raise LivemoveError(self.song.trouble)
        super().check_alive(started_s)

    def _play(self, out: Float32, frames: int, times: Any, status: Any) -> None:
        self.called_s = now_s()
        out.fill(0.0)
        if not self.going:
            return
        before = min(max(self.lead - self.at, 0), frames)
        out[:before] = self._count_in[self.at : self.at + before]
        count, late = 0, False
        if self.song is not None and before < frames:
            count = self.song.read(out[before:])
            late = before + count < frames and not self.song.over
            if late:
                self.late += frames - before - count
                count = frames - before
        part = out[before : before + count].copy()
        if self._leaving:
            faded = min(len(self._fade), frames)
            out[:faded] *= self._fade[:faded]
            out[faded:] = 0.0
            self.going = False
        time_s = self.air_time_s(times.outputBufferDacTime, times.currentTime)
        if self.at >= SETTLE_S * self.rate:
            self.heard.append(Stretch(self.at + before, time_s + before / self.rate, part, late or bool(status)))
        self.at += frames


class _Microphone(_Stream):
    """Records one channel, all the time."""

    def __init__(self, device: Device) -> None:
        super().__init__(device, round(device.rate), 1)
        self.open("input", device, self._hear)

    def _hear(self, samples: Float32, frames: int, times: Any, status: Any) -> None:
        self.called_s = now_s()
        time_s = self.air_time_s(times.inputBufferAdcTime, times.currentTime)
        if self.at >= SETTLE_S * self.rate:
            self.heard.append(Stretch(self.at, time_s, samples.copy(), bool(status)))
        self.at += frames


# --- sounds -------------------------------------------------------------------------------------------------


def _count_in(samples: int, seconds: float, rate: int, channels: int) -> Float32:
    """float32 [samples, channels]: silence with a beep at each whole second before its end, as many as there are."""
    out = np.zeros((samples, channels), np.float32)
    at = np.arange(round(BEEP_S * rate)) / rate
    beep = 0.4 * np.sin(2 * np.pi * 1000 * at) * np.sin(np.pi * at / BEEP_S)
    for second in range(1, math.floor(seconds) + 1):
        place = samples - second * rate
        out[place : place + len(beep)] = beep[:, None]
    return out
