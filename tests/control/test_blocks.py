"""The block that a device held: halved after good performances, doubled after bad ones, never to and fro."""

from __future__ import annotations

from pathlib import Path

import pytest

from livemove.contracts import ControlError
from livemove.control import blocks

DEVICE = "Speaker (ALSA)"


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    path = tmp_path / "blocks.toml"
    monkeypatch.setattr(blocks, "blocks_file", lambda: path)
    return path


def after(*performances: tuple[float, int]) -> int:
    """The block of the next performance after those of so many seconds and underruns."""
    for seconds, underruns in performances:
        blocks.learn(DEVICE, blocks.held_blocks().get(DEVICE, 512), seconds, underruns)
    return blocks.held_blocks().get(DEVICE, 512)


def test_good_performances_make_it_shorter_and_not_too_short() -> None:
    assert after((90.0, 0)) == 256
    assert after((90.0, 0)) == 128
    assert after((900.0, 0)) == 128


def test_a_short_one_and_one_with_an_underrun_or_two_change_nothing() -> None:
    assert after((20.0, 0), (20.0, 5), (600.0, 3)) == 512


def test_what_did_not_hold_is_not_tried_again() -> None:
    assert after((90.0, 0), (90.0, 4)) == 512
    assert after(*[(600.0, 0)] * 5) == 512


def test_a_slow_machine_gets_longer_ones_up_to_a_limit() -> None:
    assert after(*[(90.0, 9)] * 3) == 1024


def test_devices_are_known_by_their_names(kept: Path) -> None:
    blocks.learn("Headphones (ALSA)", 512, 90.0, 0)
    assert blocks.held_blocks() == {"Headphones (ALSA)": 256}
    assert after((90.0, 9)) == 1024
    assert blocks.held_blocks()["Headphones (ALSA)"] == 256


@pytest.mark.parametrize("content", ["blocks = 3", "[blocks]\nx = 0.5", "[failed]\nx = 1", "[[["])
def test_a_damaged_file_is_one_line(kept: Path, content: str) -> None:
    kept.write_text(content)
    with pytest.raises(ControlError, match=r"blocks\.toml") as caught:
        blocks.held_blocks()
    assert "\n" not in str(caught.value)
