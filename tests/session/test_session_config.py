"""One home for every option of a session: the configuration of the process that it is for."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path

import pytest

from livemove.capture.capture_config import CaptureConfig
from livemove.control.control_config import ControlConfig
from livemove.playback.playback_config import PlaybackConfig
from livemove.session.session_config import SET_AT_START, SessionConfig
from livemove.synthesis.synthesis_config import SynthesisConfig
from livemove.takes.config import TakesConfig


def test_each_option_goes_where_it_is_declared() -> None:
    config = SessionConfig.of(
        model=Path("m"), camera="demo", loop=True, device="usb", block=256, folder=Path("t"), record=True, gain=0.5,
        mute=True, look_ahead_s=0.04, cameras=("1",), duration_s=3.0, control=ControlConfig(link=True),
    )  # fmt: skip
    assert config.synthesis == SynthesisConfig(Path("m"))
    assert config.capture == CaptureConfig(camera="demo", loop=True)
    assert config.playback == PlaybackConfig(device="usb", block=256)
    assert config.takes == TakesConfig(folder=Path("t"), record=True)
    assert (config.start.gain, config.start.mute, config.start.look_ahead_s) == (0.5, True, 0.04)
    assert (config.cameras, config.duration_s, config.control.link) == (("1",), 3.0, True)
    assert pickle.loads(pickle.dumps(config)) == config


def test_an_option_that_nobody_declares_is_an_error() -> None:
    with pytest.raises(TypeError, match="wheels"):
        SessionConfig.of(model=Path("m"), wheels=4)
    with pytest.raises(TypeError, match="model"):
        SessionConfig.of(camera="demo")


def test_no_option_has_two_homes_but_what_the_session_passes_on() -> None:
    kinds = (CaptureConfig, PlaybackConfig, SynthesisConfig, TakesConfig, SessionConfig)
    homes = [each.name for kind in kinds for each in dataclasses.fields(kind)] + list(SET_AT_START)
    assert {name for name in homes if homes.count(name) > 1} == {"patient", "dancers"}
