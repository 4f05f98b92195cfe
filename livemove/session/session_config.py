"""What a run of `livemove perform` is told: plain, picklable, importable without any process's libraries."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from livemove.capture.capture_config import CaptureConfig
from livemove.contracts import Controls
from livemove.control.control_config import ControlConfig
from livemove.playback.playback_config import PlaybackConfig
from livemove.synthesis.synthesis_config import SynthesisConfig
from livemove.takes.config import TakesConfig


@dataclass(frozen=True)
class PresetDevices:
    """The devices a preset switches to while it plays; None: no change."""

    camera: str | None = None
    mirror: bool | None = None
    device: str | None = None


SET_AT_START = (
    *("gain", "temperature", "style", "styles", "mute", "look_ahead_s", "learn", "swap_hands"),
    *("reverb", "delay"),
)
"""Of Controls, what can be set before it plays; the rest is set while it does."""


@dataclass(frozen=True)
class SessionConfig:
    """What a run of `livemove perform` does. Each option stands in the configuration of the process that it is for.

    capture, synthesis,   what these processes are told, but for what they say the session fills in
    playback, control
    takes                 what is kept
    start                 what is set when it begins: SET_AT_START of it
    monitor               whether there is a window
    audience              whether the window has a second one beside it, for the audience
    spare                 whether a second synthesis waits, to take over if the first one dies or stands still
    output                WAV of what is played; with it and no device, the sound goes to the default device too if
                          there is one, and to the file alone if there is none or play is False
    cameras               further ones to switch to while playing; those of the presets and the webcams there are
                          come by themselves
    devices               audio devices to switch to while playing; empty: all there are
    presets               what each of the set list sets; control.presets are their names, preset_devices the
                          devices each switches to
    duration_s            None: until a signal, or until a camera file without loop ends
    started_s             when the command started, on the clock of `ipc.segment.now_s`; None: this process's own start
    """

    synthesis: SynthesisConfig
    capture: CaptureConfig = field(default_factory=CaptureConfig)
    playback: PlaybackConfig = field(default_factory=PlaybackConfig)
    control: ControlConfig = field(default_factory=ControlConfig)
    takes: TakesConfig = field(default_factory=TakesConfig)
    start: Controls = field(default_factory=Controls)
    monitor: bool = True
    audience: bool = False
    spare: bool = True
    output: Path | None = None
    cameras: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    presets: tuple[Controls, ...] = ()
    preset_devices: tuple[PresetDevices, ...] = ()
    duration_s: float | None = None
    started_s: float | None = None

    @staticmethod
    def of(**options: Any) -> SessionConfig:
        """From options by their names, each put into the configuration that declares it.

        An option that several declare goes to the first of capture, playback, synthesis and takes: the session passes
        it on. Raises TypeError for one that nobody declares.
        """
        sections: dict[str, type[Any]] = {
            "capture": CaptureConfig, "playback": PlaybackConfig, "synthesis": SynthesisConfig, "takes": TakesConfig,
        }  # fmt: skip
        found: dict[str, dict[str, Any]] = {name: {} for name in (*sections, "start")}
        rest: dict[str, Any] = {}
        for option, value in options.items():
            homes = (name for name, kind in sections.items() if option in {each.name for each in fields(kind)})
            home = "start" if option in SET_AT_START else next(homes, None)
            (rest if home is None else found[home])[option] = value
        made = {name: kind(**found[name]) for name, kind in sections.items()}
        return SessionConfig(**made, start=Controls(**found["start"]), **rest)
