"""`livemove features`: the table, what a pipe gets, the bars of a terminal; and tables in general, into a pipe."""

from __future__ import annotations

import io
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from livemove.body.features import FEATURES, TABLE
from livemove.body.postures import Posture, seen_in
from livemove.capture.capture_config import CaptureConfig
from livemove.capture.demo import pose_at
from livemove.cli import feature_text
from livemove.cli.shared import print_table
from livemove.cli.text import Table
from livemove.diagnostics.feature_view import FeatureReading, watch_features
from tests.cli.test_cli import refusal, run


def reading(value: float = 0.5, people: int = 1, seen: bool = True) -> FeatureReading:
    return FeatureReading(3.0, people, dict.fromkeys(FEATURES, value), dict.fromkeys(FEATURES, seen), True)


def test_the_table_has_every_feature_with_its_range_and_meaning() -> None:
    done = run("features", COLUMNS="60")
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line for line in done.stdout.splitlines()[2:]}
    assert tuple(rows) == FEATURES
    for feature in TABLE:
        assert f"{feature.minimum:g} … {feature.maximum:g}" in rows[feature.name]
        assert rows[feature.name].endswith(feature.doc)
    assert "hit:" in done.stderr


def test_json_has_the_same() -> None:
    found = json.loads(run("features", "--json").stdout)
    assert [row["name"] for row in found] == list(FEATURES)
    assert found[1] == {
        "name": "left_hand_height", "meaning": TABLE[1].doc, "minimum": -1, "maximum": 1, "rest": -1,
    }  # fmt: skip


def test_a_pipe_gets_a_header_and_a_line_for_each_pose() -> None:
    done = run("features", "-c", "demo", "--duration", 1)
    assert done.returncode == 0, done.stderr
    header, *lines = done.stdout.splitlines()
    assert header.split("\t") == ["seconds", "people", *FEATURES]
    rows = [[float(cell) for cell in line.split("\t")] for line in lines]
    assert len(rows) >= 3
    assert {len(row) for row in rows} == {2 + len(FEATURES)}
    assert rows[0][0] == 0.0
    assert all(late[0] > early[0] for early, late in itertools.pairwise(rows))
    presence = header.split("\t").index("presence")
    assert rows[0][presence] < rows[-1][presence]


def test_with_json_there_is_an_object_for_each_pose() -> None:
    lines = run("features", "-c", "demo", "--duration", 1, "--json").stdout.splitlines()
    found = [json.loads(line) for line in lines]
    assert len(found) >= 3
    assert all(tuple(each["features"]) == FEATURES == tuple(each["measured"]) for each in found)
    assert found[-1]["people"] == 1
    assert found[-1]["measured"]["left_hand_height"] is True


def test_ctrl_c_is_its_ordinary_end() -> None:
    words = [sys.executable, "-m", "livemove.cli", "features", "-c", "demo"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("seconds\t")
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 0
    assert error == ""


def test_what_cannot_be_is_one_line() -> None:
    assert "--duration goes with --camera" in refusal("features", "--duration", 2)
    assert "nothing.mp4" in refusal("features", "-c", "nothing.mp4")


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal")
def test_a_terminal_shows_bars_and_is_left_as_it_was() -> None:
    import pty

    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "45"}
    words = [sys.executable, "-m", "livemove.cli", "features", "-c", "demo", "--duration", "1.5"]
    process = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    written, deadline_s = b"", time.monotonic() + 90
    while time.monotonic() < deadline_s:
        try:
            some = os.read(ours, 65536)
        except OSError:  # it has ended
            break
        if not some:
            break
        written += some
    os.close(ours)
    assert process.wait(60) == 0
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode())
    for name in FEATURES:
        assert name in shown
    assert "█" in shown
    assert "1 in view" in shown
    assert written.rindex(b"\x1b[?25h") > written.rindex(b"\x1b[?25l")  # the cursor is back


@pytest.mark.parametrize(("width", "height", "lines"), [(200, 24, 18), (120, 60, 34), (60, 20, 34)])
def test_bars_have_as_many_columns_as_the_terminal_needs_and_has_room_for(width: int, height: int, lines: int) -> None:
    drawn = Text.from_markup(feature_text.bars(TABLE, reading(), width, height)).plain.splitlines()
    assert len(drawn) == lines
    assert max(map(len, drawn)) <= width
    assert all(name in "\n".join(drawn) for name in FEATURES)


def test_a_bar_is_where_the_value_is() -> None:
    def bar(name: str, value: float) -> str:
        lines = Text.from_markup(feature_text.bars(TABLE, reading(value), 60, 60)).plain.splitlines()
        return next(line for line in lines if line.startswith(name)).split()[-1]

    assert bar("presence", 1.0) == "█" * feature_text.BAR
    assert bar("presence", 0.0) == "·" * feature_text.BAR
    assert bar("lean_side", -1.0) == "█" * 10 + "·" * 10
    assert bar("lean_side", 1.0) == "·" * 10 + "█" * 10


def test_what_is_not_seen_is_dim_and_nobody_is_said() -> None:
    shown = feature_text.bars(TABLE, reading(people=0, seen=False), 60, 60)
    assert "nobody in view" in shown
    assert shown.count("[dim]") == len(FEATURES)


def test_a_camera_that_shows_nobody_any_more_lets_the_features_rest() -> None:
    """Several readings a second come without a pose; here the demo's clock stands still after its first poses."""
    found: list[FeatureReading] = []
    clock = iter(range(10_000))
    watch_features(CaptureConfig(camera="demo"), found.append, 5.0, lambda: next(clock) / 50, lambda _: None)
    assert {each.new for each in found} == {True, False}
    assert found[-1].seconds >= 4.5


def test_postures_that_were_taught_stand_below_with_how_much_the_body_is_in_each() -> None:
    found: list[FeatureReading] = []
    clock = iter(range(10_000))
    seen = seen_in(pose_at(0.0))
    assert seen is not None
    taught = Posture("begin", 0.1, (seen.body,))
    watch_features(
        CaptureConfig(camera="demo"), found.append, 6.0, lambda: next(clock) / 100, lambda _: None, (taught,)
    )
    assert found[0].postures["begin"] == pytest.approx(1.0, abs=0.1)
    assert min(each.postures["begin"] for each in found) == 0.0
    shown = feature_text.bars(TABLE, found[0], 120, 60)
    assert "posture.begin" in shown
    assert feature_text.as_json(found[0])["postures"] == {"begin": pytest.approx(1.0, abs=0.1)}
    assert "postures" not in feature_text.as_json(reading())


# --- tables into a pipe -------------------------------------------------------------------------------------


def test_a_row_is_one_line_in_a_pipe_however_long_it_is(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    folder = "/" + "deep/" * 100 + "model"
    print_table(Table(("model", "rate>", "folder"), [("cello", "48000", folder), ("x", "1", "y")]))
    header, rule, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["model", "rate", "folder"]
    assert set(rule.strip()) == {"─"}
    assert [row.split() for row in rows] == [["cello", "48000", folder], ["x", "1", "y"]]
    assert all(row == row.rstrip() for row in rows)


def test_a_terminal_folds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    written = io.StringIO()
    make = Console.__init__

    def narrow(self: Console, **options: Any) -> None:
        make(self, **{**options, "file": written, "width": 40})

    monkeypatch.setattr(Console, "__init__", narrow)
    print_table(Table(("model", "folder"), [("cello", "/" + "deep/" * 30)]))
    lines = Text.from_ansi(written.getvalue()).plain.splitlines()
    assert max(map(len, lines)) <= 40
    assert sum("deep" in line for line in lines) > 3


def test_midi_ports_are_listed_without_an_audio_device(jack: Any, tmp_path: Any) -> None:
    """JACK carries MIDI here; PortAudio is told of no server, so that it finds no device."""
    rtmidi = pytest.importorskip("rtmidi")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in jack.environment.items():
            patch.setenv(name, value)
        there = rtmidi.MidiOut(rtmidi.API_UNIX_JACK)
        there.open_virtual_port("pedals")
        try:
            code = (
                "import livemove.diagnostics.doctor as d; d.audio_devices = lambda kind: []\n"
                "from livemove.cli import main; main(['devices'])"
            )
            environment = {**os.environ, **jack.environment, "RTMIDI_API": "UNIX_JACK"}
            done = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
            )
        finally:
            there.delete()
    assert done.returncode == 2
    assert "pedals" in done.stdout
    assert "--midi" in done.stdout
    assert done.stderr.splitlines()[-1].startswith("livemove: no audio device found")
