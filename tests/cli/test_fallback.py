"""What stands in for a camera or a device that is not there: never for one that was named, never over another file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from livemove.cli.fallback import free_file, instead
from livemove.contracts import CameraError, DeviceError, MissingDeviceError
from livemove.session.perform import SessionConfig

CONFIG = SessionConfig.of(model=Path("model"))


def test_the_demo_dancer_stands_in_for_a_camera_and_nothing_else_changes() -> None:
    found = instead(CONFIG, CameraError("camera 0: in use"), camera_named=False, device_named=False)
    assert found is not None
    assert found[0] == replace(CONFIG, capture=replace(CONFIG.capture, camera="demo"))
    assert "demo dancer" in found[1]


def test_a_file_that_is_not_there_yet_stands_in_for_a_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "take-001.wav").touch()
    found = instead(CONFIG, MissingDeviceError("none"), camera_named=True, device_named=False)
    assert found is not None
    assert found[0] == replace(CONFIG, output=Path("take-002.wav"))
    assert "take-002.wav" in found[1]


@pytest.mark.parametrize(
    ("config", "error", "camera_named", "device_named"),
    [
        (CONFIG, CameraError(""), True, False),
        (SessionConfig.of(model=Path("model"), camera="demo"), CameraError(""), False, False),
        (
            SessionConfig.of(model=Path("model"), video=True),
            CameraError(""),
            False,
            False,
        ),  # the demo dancer gives no image to keep
        (CONFIG, MissingDeviceError(""), False, True),
        (replace(CONFIG, output=Path("x.wav")), MissingDeviceError(""), False, False),
        (CONFIG, DeviceError("refuses the rate"), False, False),
    ],
)
def test_what_was_named_or_is_there_is_no_case_for_a_stand_in(
    config: SessionConfig, error: CameraError | DeviceError, camera_named: bool, device_named: bool
) -> None:
    assert instead(config, error, camera_named, device_named) is None


def test_numbers_go_on_past_those_that_are_taken(tmp_path: Path) -> None:
    for number in (1, 2, 4):
        (tmp_path / f"take-{number:03d}.wav").touch()
    assert free_file(tmp_path) == tmp_path / "take-003.wav"
