"""The playback process on a machine without the PortAudio library."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from livemove.contracts import DeviceError
from livemove.ipc.segment import Segment
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
