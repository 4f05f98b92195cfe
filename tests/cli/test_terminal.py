"""Losing the terminal: a show goes on, ends faded, and writes its report, whoever reads what it says."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from livemove.bundle import Bundle
from livemove.cli.streams import ended_tidily, lasting
from tests.support.paths import ROOT
from tests.support.real_time import in_real_time, timed
from tests.support.stereo import centred

COMMAND = [sys.executable, "-m", "livemove.cli"]


def show(bundle: Bundle, folder: Path, duration: str, shell: str = "", **how: object) -> subprocess.Popen[bytes]:
    """A performance of the demo dancer into take.wav and r.json; shell: what stands behind the command."""
    words = [*COMMAND, "perform", "--model", str(bundle.path), "--camera", "demo", "--output", str(folder / "take.wav"),
             "--report", str(folder / "r.json"), "--duration", duration, "--no-monitor"]  # fmt: skip
    line = ["bash", "-c", 'exec "$@" ' + shell, "bash", *words] if shell else words
    return subprocess.Popen(line, cwd=ROOT, **how)  # pyright: ignore[reportCallIssue, reportArgumentType]


def check(folder: Path, least_s: float) -> None:
    audio, rate = centred(folder / "take.wav")
    with timed():
        assert len(audio) / rate > least_s
    assert np.abs(audio).max() > 0.01
    assert np.abs(audio[-8:]).max() < 0.01, "cut off"
    assert json.loads((folder / "r.json").read_text())["model"] == "small"


@in_real_time
def test_a_terminal_that_hangs_up_ends_the_show_like_ctrl_c(small_bundle: Bundle, tmp_path: Path) -> None:
    process = show(small_bundle, tmp_path, "60", stderr=subprocess.DEVNULL)
    take, deadline_s = tmp_path / "take.wav", time.monotonic() + 40
    while (not take.exists() or take.stat().st_size < 100_000) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    process.send_signal(signal.SIGHUP)
    assert process.wait(30) == 0
    check(tmp_path, 0.2)


@in_real_time
@pytest.mark.parametrize("shell", ["2>&-", ">&- 2>&-", "<&- >&- 2>&-", "2>&1 | head -c 1 >/dev/null"])
def test_a_show_nobody_listens_to_is_complete(small_bundle: Bundle, tmp_path: Path, shell: str) -> None:
    process = show(small_bundle, tmp_path, "7", shell if "|" not in shell else "", stderr=subprocess.PIPE)
    assert process.stderr is not None
    if "|" in shell:  # the reader goes after its first line, as head does; the status comes every five seconds
        process.stderr.close()
    assert process.wait(120) == 0
    check(tmp_path, 6.0)


def test_a_hangup_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    """nohup."""
    code = "import os, signal; from livemove.ipc.signals import stop_signals\n"
    code += "with stop_signals() as stop: os.kill(os.getpid(), signal.SIGHUP); print(stop.wait(0.2))"
    done = subprocess.run(
        ["bash", "-c", 'trap "" HUP; exec "$@"', "bash", sys.executable, "-c", code],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert done.stdout.strip() == "False"


def test_no_file_gets_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    code = "from livemove.cli.streams import keep_streams; keep_streams(); import sys\n"
    code += f"f = open({str(tmp_path / 'x')!r}, 'w'); print('noise'); print('noise', file=sys.stderr)\n"
    code += "sys.exit(f.fileno() < 3)"
    shell = ["bash", "-c", 'exec "$@" <&- >&- 2>&-', "bash", sys.executable, "-c", code]
    assert subprocess.run(shell, cwd=ROOT, check=False).returncode == 0
    assert (tmp_path / "x").read_text() == ""


def test_a_stream_whose_reader_went_takes_everything() -> None:
    reader, writer = os.pipe()
    stream = lasting(writer, close=True)
    os.close(reader)
    for _ in range(3):
        stream.write("\udcff and a line\n")
    stream.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_commands_end_by_an_exception_and_throw_their_drafts_away(number: signal.Signals) -> None:
    done: list[str] = []

    def work() -> None:
        with ended_tidily(), contextlib.ExitStack() as stack:
            stack.callback(done.append, "tidied")
            signal.raise_signal(number)

    before = signal.signal(number, signal.SIG_DFL)  # nohup ignores a lost terminal
    try:
        with pytest.raises(SystemExit) as ended:
            work()
    finally:
        signal.signal(number, before)
    assert ended.value.code == 128 + number
    assert done == ["tidied"]
