"""What a run of `livemove perform` is told: plain, picklable, importable without any process's libraries."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from livemove.contracts import Controls
from livemove.control.config import ControlConfig


@dataclass(frozen=True)
class PresetDevices:
    """What a preset plugs in while it plays; None: whatever is there."""

    camera: str | None = None
    mirror: bool | None = None
    device: str | None = None


@dataclass(frozen=True)
class SessionConfig:
    """What a run of `livemove perform` does; one field per command line option. Picklable.

    camera        index as text ("0"), video file, http/rtsp URL, or "demo"
    cameras       further ones to switch to while playing; those of the presets and the webcams there are come by
                  themselves
    device        None: the default output device; otherwise an index or part of a name
    devices       those to switch to while playing; empty: all there are
    samplerate    device rate in Hz; None: the model's own rate, or the device's own if it refuses that
    output        WAV of what is played; with output and device None, the sound goes to the default device too if there
                  is one, and to the file alone if there is none or play is False
    control       OSC and MIDI, in and out; models, presets and channels in it are filled in here
    muted         begins in silence
    presets       what each of the set list sets; control.presets are their names, plugs what each plugs in
    learn         Action that the first MIDI knob moved is to play; 0: none
    others        further models to switch to while playing, each with its mapping (None: its own)
    record        a take from the first sample on
    takes         folder in which takes are made, at any time
    keep_s        how much is kept in memory, to be made a take after the fact
    film          takes keep the camera's picture as well
    duration_s    None: until a signal, or until a camera file without loop ends
    started_s     when the command started, on the clock of `ipc.segment.now_s`; None: this process's own start
    """

    model: Path
    camera: str = "0"
    cameras: tuple[str, ...] = ()
    loop: bool = False
    mirror: bool = False
    pose: str = "full"
    pose_model: Path | None = None
    engine: str = "auto"
    provider: str = "cpu"
    mapping: Path | None = None
    others: tuple[tuple[Path, Path | None], ...] = ()
    lookahead_s: float = 0.0
    style: int = 0
    temperature: float = 1.0
    gain: float = 1.0
    seed: int = 0
    device: str | None = None
    devices: tuple[str, ...] = ()
    block: int = 512
    samplerate: int | None = None
    output: Path | None = None
    record: bool = False
    takes: Path = Path()
    keep_s: float = 300.0
    film: bool = False
    play: bool = True
    control: ControlConfig = field(default_factory=ControlConfig)
    learn: int = 0
    muted: bool = False
    presets: tuple[Controls, ...] = ()
    plugs: tuple[PresetDevices, ...] = ()
    duration_s: float | None = None
    monitor: bool = True
    started_s: float | None = None
