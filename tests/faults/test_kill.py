"""The checks of `python -m tests.faults.kill` find what they are for: processes that live on, recordings that broke.

That performances pass them is what the command shows; tests/ipc/test_leftovers.py kills two in every run of the tests.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.faults.kill import MARK, Killing, segment_of, unreadable
from tests.takes.test_trust import whole

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")


@LINUX
def test_a_process_that_lives_on_is_found_by_whatever_name(tmp_path: Path) -> None:
    killing = Killing(tmp_path, 0)
    assert killing.family() == []
    orphan = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env={**killing.environment})
    other = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env={**killing.environment, MARK: "another"}
    )
    try:
        assert [process.pid for process in killing.family()] == [orphan.pid]
    finally:
        for process in (orphan, other):
            process.kill()
            process.communicate()
    assert killing.family() == []


@LINUX
def test_a_process_without_shared_memory_has_none() -> None:
    assert segment_of(1 << 30) == set()


def test_recordings_that_broke_are_told(tmp_path: Path) -> None:
    assert unreadable(tmp_path) == []
    soundfile.write(tmp_path / "played.wav", np.zeros((48000, 2)), 48000, "PCM_24")
    (tmp_path / "takes").mkdir()
    take = whole(tmp_path / "takes" / "take")
    assert unreadable(tmp_path) == []
    content = (tmp_path / "played.wav").read_bytes()
    (tmp_path / "played.wav").write_bytes(content + bytes(6 * 48000))  # sound that the header does not know of
    (take / "hops.npy").write_bytes(b"\x93NUMPY\x09\x09")
    found = unreadable(tmp_path)
    assert len(found) == 2
    assert "48000 samples of 96000" in found[0]
    assert "hops.npy" in found[1]
    (tmp_path / "played.wav").write_bytes(b"RIFF" + bytes(100))
    assert "played.wav" in unreadable(tmp_path)[0]
