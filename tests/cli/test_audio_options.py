"""The block of the next performance: said in a line, and kept for devices that can tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from livemove.cli.audio_options import learnt_block
from livemove.control import blocks
from livemove.playback.playback_config import CLOCK
from livemove.session.perform import Report


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    path = tmp_path / "blocks.toml"
    monkeypatch.setattr(blocks, "blocks_file", lambda: path)
    return path


def report(device: str | None, underruns: int = 0) -> Report:
    found: dict[str, Any] = {"device": device, "block": 512, "seconds": 300.0, "ring_starvations": underruns}
    return cast(Report, found)


def test_a_line_says_what_was_learnt() -> None:
    assert learnt_block(report("Speaker (ALSA)")) == [
        "Speaker (ALSA): not one underrun with blocks of 512; the next performance asks for 256 (--block)"
    ]
    (line,) = learnt_block(report("Beamer (ALSA)", 20))
    assert "20 underruns" in line
    assert "asks for 1024" in line
    assert blocks.held_blocks() == {"Speaker (ALSA)": 256, "Beamer (ALSA)": 1024}


@pytest.mark.parametrize("device", [None, CLOCK, "system (JACK Audio Connection Kit)"])
def test_a_file_the_clock_and_jack_teach_nothing(device: str | None, kept: Path) -> None:
    assert learnt_block(report(device)) == []
    assert not kept.exists()


def test_what_cannot_be_kept_is_a_line_and_no_error(kept: Path) -> None:
    kept.write_text("[[[")
    (line,) = learnt_block(report("Speaker (ALSA)"))
    assert "not kept" in line
    assert "blocks.toml" in line
