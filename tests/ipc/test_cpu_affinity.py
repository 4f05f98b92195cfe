"""The core for sound: one thread takes it, another stays off it, and a machine with one core has none to give."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from livemove.ipc.cpu_affinity import leave_sound_core, on_sound_core, sound_core, take_sound_core

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a program choose its cores")


def cores_after(settle: Callable[[], None]) -> set[int]:
    """Where a thread of its own may run then: affinity belongs to a thread, so the tests keep theirs."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(settle).result()
        return thread.submit(os.sched_getaffinity, 0).result()


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Cores 0, 1 and 4, whatever the machine has; what is set is what is got."""
    cores = {0, 1, 4}
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(cores))
    monkeypatch.setattr(os, "sched_setaffinity", lambda _pid, wanted: (cores.clear(), cores.update(wanted)))
    return cores


def test_sound_and_pose_share_no_core(allowed: set[int]) -> None:
    assert sound_core() == 1
    leave_sound_core()
    assert allowed == {0, 4}


def test_sound_has_one_core(allowed: set[int]) -> None:
    take_sound_core()
    assert allowed == {1}


def test_a_single_core_is_everybodys(allowed: set[int]) -> None:
    allowed.intersection_update({4})
    take_sound_core()
    leave_sound_core()
    assert allowed == {4}


def test_a_system_that_forbids_it_is_no_harm(allowed: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(_pid: int, _wanted: set[int]) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", forbidden)
    take_sound_core()
    leave_sound_core()
    assert allowed == {0, 1, 4}


def test_the_system_does_as_it_is_told() -> None:
    if len(os.sched_getaffinity(0)) < 2:
        assert cores_after(take_sound_core) == os.sched_getaffinity(0)
        return
    assert cores_after(take_sound_core).isdisjoint(cores_after(leave_sound_core))


def test_what_is_started_for_the_sound_core_runs_there_and_we_stay_where_we_were() -> None:
    here, core = os.sched_getaffinity(0), sound_core()
    command = [sys.executable, "-S", "-c", "import os; print(sorted(os.sched_getaffinity(0)))"]
    with on_sound_core():
        there = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert there.strip() == str(sorted(here) if core is None else [core])
    assert os.sched_getaffinity(0) == here
