"""One rule for every file that a command writes: what is there is never overwritten, and a line says what is."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from livemove.cli import main
from livemove.cli.layers import mapped
from livemove.cli.shared import OTHER_NAMES, check_report, unused, write_report
from livemove.contracts import OutputError
from livemove.control import user_files
from livemove.synthesis.synthesis_config import Layer
from livemove.takes.folder import Sound


@pytest.mark.parametrize(
    ("name", "there", "written"),
    [
        ("take.wav", (), "take.wav"),
        ("take.wav", ("take.wav",), "take-002.wav"),
        ("take.wav", ("take.wav", "take-002.wav"), "take-003.wav"),
        ("take-001.wav", ("take-001.wav",), "take-002.wav"),
        ("take-009.wav", ("take-009.wav", "take-010.wav"), "take-011.wav"),
        ("my-song.mp4", ("my-song.mp4",), "my-song-002.mp4"),
        ("2026-01.wav", ("2026-01.wav",), "2026-01-002.wav"),  # a date is no number of ours
        ("report", ("report",), "report-002"),
    ],
)
def test_the_next_free_name_is_written_and_said(
    name: str, there: tuple[str, ...], written: str, tmp_path: Path
) -> None:
    for each in there:
        (tmp_path / each).write_text("mine")
    with click.Context(click.Command("render")) as context:
        assert unused(tmp_path / name) == tmp_path / written
    said = [f"{tmp_path / name} was there already: {tmp_path / written} is written"]
    assert context.meta.get(OTHER_NAMES, []) == (said if there else [])


@pytest.mark.parametrize("fails", [True, False])
def test_another_name_is_said_once_it_is_written(tmp_path: Path, fails: bool) -> None:
    (tmp_path / "x.wav").write_text("mine")

    @click.group(cls=type(main))
    def group() -> None:
        """As `livemove`."""

    @group.command()
    def render() -> None:
        unused(tmp_path / "x.wav")
        if fails:
            raise OutputError("the disk is full")

    done = CliRunner().invoke(group, ["render"])
    assert done.exit_code == (2 if fails else 0)
    assert ("x.wav was there already" in done.stderr) is not fails


def test_nothing_and_what_is_no_file_stay_as_they_are() -> None:
    assert unused(None) is None
    assert unused(Path("/dev/null")) == Path("/dev/null")
    assert check_report(Path("-")) == Path("-")


def test_a_report_beside_an_older_one(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text("mine")
    with click.Context(click.Command("render")):
        report = check_report(tmp_path / "r.json")
    assert report == tmp_path / "r-002.json"
    assert not report.exists()  # a start that fails leaves nothing behind
    write_report(report, {"a": 1})
    assert (tmp_path / "r.json").read_text() == "mine"
    assert report.read_text() == '{\n "a": 1\n}\n'
    with pytest.raises(OutputError):
        check_report(tmp_path / "missing" / "r.json")


def test_a_recording_that_goes_on_in_another_file_passes_those_that_are_there(tmp_path: Path) -> None:
    """Where the device's rate changes, -o goes on as take-002.wav: of an earlier evening, maybe."""
    (tmp_path / "take-002.wav").write_bytes(b"mine")
    sound = Sound(tmp_path / "take.wav", 48000)
    sound.change_rate(44100)
    assert sound.path == tmp_path / "take-003.wav"
    sound.write(np.zeros((4, 2, 3), np.uint8))
    sound.close()
    assert (tmp_path / "take-002.wav").read_bytes() == b"mine"


def test_a_calibrated_mapping_is_taken_from_then_on_and_a_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_files, "config_folder", lambda: tmp_path)
    plain, told = (Layer(Path("models/theremin")),), list[str]()
    assert mapped(plain, told.append) == plain
    assert told == []
    fitted = tmp_path / "mappings" / "theremin.toml"
    fitted.parent.mkdir()
    fitted.write_text("")
    assert fitted == user_files.fitted_file("theremin")
    assert mapped(plain, told.append) == (Layer(plain[0].model, fitted),)
    (line,) = told
    assert f"theremin: as calibrated, {fitted}" in line
    mine = Path("mine.toml")
    typed = (Layer(plain[0].model, mine),)
    assert mapped(typed, told.append) == typed, "what is typed comes first"
