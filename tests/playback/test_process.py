"""The playback process on a machine without the PortAudio library."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from livemove.contracts import DeviceError
from livemove.ipc.segment import Segment
from livemove.native._realtime import Output
from livemove.playback import playback_process
from livemove.playback.playback_config import PlaybackConfig
from tests.support.threads import on_a_thread


@pytest.fixture
def no_portaudio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """sounddevice says OSError when it finds no library; a module of its name that does the same stands first."""
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("sounddevice", "livemove.playback.device"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.delattr("livemove.playback.device", raising=False)


@pytest.mark.usefixtures("no_portaudio")
def test_a_take_needs_no_portaudio(segment: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    played: list[float] = []
    monkeypatch.setattr(playback_process, "play_to_clock", lambda _segment, rate, _block: played.append(rate))
    on_a_thread(playback_process.run, segment, PlaybackConfig(model_rate=48000, fallback=True))
    assert played == [48000]


@pytest.mark.usefixtures("no_portaudio")
def test_without_portaudio_one_line_says_what_to_install(segment: Segment) -> None:
    with pytest.raises(DeviceError, match=r"libportaudio2.*--output take\.wav"):
        on_a_thread(playback_process.run, segment, PlaybackConfig(model_rate=48000))


def test_a_device_gets_the_block_that_it_held_and_later_ones_none_that_is_smaller(segment: Segment) -> None:
    config = PlaybackConfig(held={"Speaker (ALSA)": 128, "Beamer (ALSA)": 1024})
    assert playback_process._block(segment, config, "Speaker (ALSA)") == 128
    assert playback_process._block(segment, config, "Headphones (ALSA)") == 512
    segment.set_device_rate(48000.0, 256)
    assert playback_process._block(segment, config, "Speaker (ALSA)") == 256
    assert playback_process._block(segment, config) == 256
    assert playback_process._block(segment, config, "Beamer (ALSA)") == 1024


def test_what_a_device_does_not_tell_makes_everything_heard_so_much_later(segment: Segment) -> None:
    segment.set_device_rate(48000.0, 256)
    output = Output(segment.bytes, 48000.0, 1, 0.0)
    output.render(256, delay_s=0.020)
    output.untold_s = 0.015
    output.render(256, delay_s=0.020)
    before, after = segment.blocks.take()[0]
    assert before["dac_s"] - before["start_s"] == pytest.approx(0.020)
    assert after["dac_s"] - after["start_s"] == pytest.approx(0.035)
    assert segment.playback.output_latency_s == pytest.approx(0.035)
    assert segment.playback.late_callbacks == 0
