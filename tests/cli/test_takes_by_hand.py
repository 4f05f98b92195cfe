"""Takes by hand: the real command in a real terminal, its keys pressed and OSC sent, and what lies on the disk then."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from livemove.cli.keyboard import typed_keys
from livemove.contracts import Action, Request
from livemove.control.keys import understood
from livemove.takes.folder import samples24
from livemove.takes.reading import load_take
from tests.support.bundles import random_bundle, small_spec
from tests.support.osc import free_port, packet, send
from tests.support.real_time import TooLate, in_real_time, timed
from tests.support.sessions import made
from tests.support.stereo import centred

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals that tests could open")


def test_letters_are_those_of_the_window_and_shift_goes_back() -> None:
    assert understood("\x1b[A\x1b[B").requests == [Request(Action.GAIN, 1.0), Request(Action.GAIN, -1.0)]
    assert understood("m M").requests == [Request(Action.MUTE), Request(Action.FREEZE), Request(Action.MUTE)]
    assert understood("nNR\x7f").requests == [
        Request(Action.MODEL, 1.0), Request(Action.MODEL, -1.0), Request(Action.RECORD), Request(Action.PANIC),
    ]  # fmt: skip
    assert understood("\x1b[5~\x1b[6~\x1b[15~").requests == [
        Request(Action.STYLE, -1.0), Request(Action.STYLE, 1.0), Request(Action.RELOAD),
    ]  # fmt: skip
    assert understood("\x1bx\x1b[2~é").requests == [], "half a key, another key, no key"


def test_where_nobody_can_type_there_are_no_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("mmm")
    with (tmp_path / "in").open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        with typed_keys() as typed:
            assert typed is None
    monkeypatch.setattr(sys, "stdin", None)
    with typed_keys() as typed:
        assert typed is None


class Terminal:
    """A pseudo-terminal, a command of livemove in it, and what it has written."""

    def __init__(self, *arguments: str) -> None:
        import pty

        self._ours, theirs = pty.openpty()
        self.before = self.settings(theirs)
        quiet = {"JACK_DEFAULT_SERVER": "livemove-nobody", "PULSE_SERVER": "unix:/nonexistent", "TERM": "xterm"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", LEADER, *arguments], stdin=theirs, stdout=theirs, stderr=theirs,
            env={**os.environ, **quiet}, start_new_session=True,
        )  # fmt: skip
        self._theirs = theirs
        self.text = ""

    @staticmethod
    def settings(terminal: int) -> list[object]:
        import termios

        return termios.tcgetattr(terminal)

    def after(self) -> list[object]:
        return self.settings(self._theirs)

    def press(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def wait(self, pattern: str, patience_s: float = 60.0) -> re.Match[str]:
        """Until it has said that after what was waited for before."""
        import select

        deadline_s = time.monotonic() + patience_s
        while (found := re.search(pattern, self.text)) is None:
            if time.monotonic() >= deadline_s:
                raise TooLate(f"it never said {pattern!r}:\n{self.text}")
            assert self.process.poll() is None, self.text
            if select.select([self._ours], [], [], 0.1)[0]:
                some = os.read(self._ours, 65536).decode(errors="replace")
                self.text += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", some)
        self.text = self.text[found.end() :]
        return found

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)


LEADER = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from livemove.cli import main
main(prog_name="livemove")
"""
"""The terminal becomes the one of the command, as a shell would have it."""


def place(sound: np.ndarray, played: np.ndarray) -> int:
    """Where in what was played a take begins, by 256 samples of its middle; the file may begin after it."""
    middle = len(sound) // 2
    at = played.tobytes().find(sound[middle : middle + 256].tobytes())
    assert at >= 0, "it was never played"
    return at // 4 - middle


@posix
@in_real_time
def test_takes_asked_for_by_osc_and_by_keys_hold_what_was_played(tmp_path: Path) -> None:
    takes, whole, port = tmp_path / "takes", tmp_path / "whole.wav", free_port()
    shutil.rmtree(takes, ignore_errors=True)
    model = random_bundle(tmp_path / "one", small_spec("one")).path
    terminal = Terminal(
        "perform", "--no-monitor", "--camera", "demo", "-m", str(model), "-o", str(whole), "--takes", str(takes),
        "--osc", str(port),
    )  # fmt: skip

    def recorded(begin: Callable[[], None], end: Callable[[], None]) -> None:
        begin()
        terminal.wait(r"recording: ")
        time.sleep(1.0)
        end()
        terminal.wait(r"recorded [\d.]+ s")

    try:
        terminal.wait("keys: ")
        terminal.wait("native  ")
        recorded(lambda: send(port, packet("/livemove/record", 1)), lambda: send(port, packet("/livemove/record", 0)))
        recorded(lambda: terminal.press("r"), lambda: terminal.press("R"))
        terminal.press("o")
        time.sleep(0.5)
        terminal.press("w")
        terminal.wait(r"recorded [\d.]+ s")
        terminal.process.send_signal(signal.SIGINT)
        terminal.wait("written: ")
        assert terminal.process.wait(20) == 0
        assert terminal.after() == terminal.before, "the terminal is left as it was"
    finally:
        terminal.close()
    played, rate = centred(whole)
    found = [load_take(folder) for folder in sorted(takes.iterdir(), key=lambda folder: folder.stat().st_ctime)]
    with timed():
        assert len(found) == 3
    for take in found:
        sound = samples24(take.sound())[:, 0]
        begin = place(sound, played)
        first, last = max(begin, 0), min(begin + len(sound), len(played))
        assert np.array_equal(played[first:last], sound[first - begin : last - begin])
        with timed():
            assert last - first > 0.9 * len(sound)
            assert len(take.poses)
        assert made(take.path, tmp_path / "again.wav")["identical"]
    with timed():
        assert [round(take.seconds) >= 1 for take in found] == [True] * 3
        assert found[-1].seconds > found[0].seconds + found[1].seconds, "all of it: it did not last five minutes"
    assert found[-1].hops["octave"][-1] == 1.0
    assert rate == found[0].info.rate
