"""Delays of cameras and audio devices, kept: by name, whole, and refused in one line where somebody broke the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from livemove.contracts import ControlError
from livemove.control import delays


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    path = tmp_path / "delays.toml"
    monkeypatch.setattr(delays, "delays_file", lambda: path)
    return path


def test_what_is_kept_is_found_again_by_the_camera_it_is_of(kept: Path) -> None:
    assert delays.camera_delay_ms("7") is None
    assert delays.keep_delays("7", 43.21, "Speaker (ALSA)", None) == kept
    assert delays.device_delays_s() == {}
    delays.keep_delays("http://phone:8080/video", 120.0, "Speaker (ALSA)", 12.34)
    assert delays.camera_delay_ms("7") == 43.2
    assert delays.camera_delay_ms("http://phone:8080/video") == 120.0
    assert delays.camera_delay_ms("demo") is None
    delays.keep_delays("7", None, "Headphones (ALSA)", 180.0)
    assert delays.camera_delay_ms("7") == 43.2
    assert delays.device_delays_s() == {"Speaker (ALSA)": 0.0123, "Headphones (ALSA)": 0.18}


@pytest.mark.parametrize(
    "content",
    ["cameras = 3", "[cameras]\n0 = 'late'", "[cameras]\n0 = -5.0", "[cameras]\n0 = nan", "[devices]\nx = inf", "[[["],
)
def test_a_damaged_file_is_one_line(kept: Path, content: str) -> None:
    kept.write_text(content)
    with pytest.raises(ControlError, match=r"delays\.toml") as caught:
        delays.camera_delay_ms("0")
    assert "\n" not in str(caught.value)
