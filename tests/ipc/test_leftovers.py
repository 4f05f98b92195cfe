"""Who is killed leaves nothing behind for long: not in shared memory, not in the temporary folder."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from livemove.bundle import Bundle
from livemove.ipc import leftovers
from livemove.ipc.segment import Segment
from tests.support.paths import ROOT

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="shared memory is listed on Linux only")


def test_what_nobody_holds_goes_and_the_rest_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "YOUNG_S", 0.0)
    mine, dead, other = (tmp_path / name for name in ("livemove-a", "livemove-b", "thing-c"))
    for path in (mine, dead, other):
        path.touch()
    descriptor = leftovers.held(mine)
    assert descriptor is not None
    leftovers.sweep(tmp_path, "livemove-*")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["livemove-a", "thing-c"]
    os.close(descriptor)
    leftovers.sweep(tmp_path, "livemove-*")
    assert [path.name for path in tmp_path.iterdir()] == ["thing-c"]


def test_what_has_just_been_made_is_left_to_its_maker(tmp_path: Path) -> None:
    (tmp_path / "livemove-a").touch()
    leftovers.sweep(tmp_path, "livemove-*")
    assert (tmp_path / "livemove-a").exists()


@LINUX
def test_a_segment_is_held_while_its_supervisor_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "YOUNG_S", 0.0)
    first = Segment.create()
    second = Segment.create()
    assert {first.name, second.name} <= set(os.listdir("/dev/shm"))
    for segment in (first, second):
        segment.close()
        segment.unlink()
    assert not {first.name, second.name} & set(os.listdir("/dev/shm"))


@LINUX
@pytest.mark.parametrize("everybody", [False, True])
def test_a_performance_that_was_killed_leaves_nothing(
    small_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, everybody: bool
) -> None:
    """Killed alone, its children tidy up; killed with all its children, the next one does."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "livemove.cli", "perform", "--model", str(small_bundle.path), "--camera", "demo",
         "--output", str(tmp_path / "take.wav"), "--no-monitor"],
        cwd=ROOT, env={**os.environ, "TMPDIR": str(temporary)}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    take, deadline_s = tmp_path / "take.wav", time.monotonic() + 60
    while (not take.exists() or take.stat().st_size < 100_000) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    children = psutil.Process(process.pid).children(recursive=True)
    mapped = Path(f"/proc/{process.pid}/maps").read_text()  # tests beside this one have segments of their own
    ours = set(re.findall(r"/dev/shm/(livemove-\w+)", mapped))
    assert ours
    for victim in [process.pid, *([child.pid for child in children] if everybody else [])]:
        os.kill(victim, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(children, timeout=120)
    assert not alive
    if everybody:
        monkeypatch.setattr(leftovers, "YOUNG_S", 0.0)
        for name in ours:
            leftovers.sweep(Path("/dev/shm"), name)
        leftovers.sweep(temporary, "livemove-running-*.log")
    assert not ours & set(os.listdir("/dev/shm"))
    assert list(temporary.iterdir()) == []


@LINUX
@pytest.mark.parametrize("there", [False, True])
def test_a_child_that_begins_after_all_is_tidied_up_leaves_nothing(tmp_path: Path, there: bool) -> None:
    """there: whether the log is, still."""
    log = tmp_path / "livemove-running-x.log"
    if there:
        log.touch()
    program = f"from livemove.ipc.child import begin; begin('capture', 'none', 'livemove-gone', None, {str(log)!r})"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
    assert list(tmp_path.iterdir()) == []
