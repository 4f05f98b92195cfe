"""A thread that has given up sockets opens none, nor does anything it starts; all others keep theirs."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from livemove.ipc import network
from livemove.ipc.network import can_deny, deny_sockets

enforced = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in network.MACHINES, reason="this kernel cannot be asked"
)

ASK = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)"


def alone(work: Callable[[], Any], local: bool = False) -> Any:
    """What work gives in a thread that has given up sockets."""
    found: list[Any] = []

    def run() -> None:
        assert deny_sockets(local)
        found.append(work())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]


def opens(*families: str) -> list[str]:
    """Those of which this thread gets a socket."""
    got: list[str] = []
    for family in families:
        try:
            socket.socket(getattr(socket, family), socket.SOCK_DGRAM).close()
            got.append(family)
        except PermissionError:
            pass
    return got


FAMILIES = ("AF_UNIX", "AF_NETLINK", "AF_INET", "AF_INET6", "AF_PACKET")


@enforced
def test_no_socket_at_all_or_only_those_within_the_machine() -> None:
    assert alone(lambda: opens(*FAMILIES)) == []
    assert alone(lambda: opens(*FAMILIES), local=True) == ["AF_UNIX", "AF_NETLINK"]
    assert alone(lambda: alone(lambda: opens(*FAMILIES)), local=True) == []  # the stricter one stands


@enforced
def test_the_thread_beside_it_keeps_its_sockets() -> None:
    alone(lambda: None)
    assert opens("AF_UNIX", "AF_INET") == ["AF_UNIX", "AF_INET"]


@enforced
def test_threads_and_programs_it_starts_have_none_either() -> None:
    def thread() -> list[str]:
        found: list[list[str]] = []
        started = threading.Thread(target=lambda: found.append(opens("AF_UNIX", "AF_INET")))
        started.start()
        started.join()
        return found[0]

    assert alone(thread) == []
    done = alone(lambda: subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True))
    assert "PermissionError" in done.stderr
    assert subprocess.run([sys.executable, "-c", ASK]).returncode == 0


@enforced
def test_a_name_is_not_looked_up() -> None:
    def look_up() -> Exception | None:
        try:
            socket.getaddrinfo("livemove.invalid", 443)
        except OSError as error:
            return error
        return None

    assert isinstance(alone(look_up), socket.gaierror)


@enforced
def test_no_ring_can_open_one_behind_the_filter() -> None:
    import ctypes
    import errno

    io_uring_setup = network.MACHINES[platform.machine()][2]

    def ring() -> int:
        libc = ctypes.CDLL(None, use_errno=True)
        return ctypes.get_errno() if libc.syscall(io_uring_setup, 1, ctypes.create_string_buffer(120)) < 0 else 0

    assert alone(ring) == errno.ENOSYS


@enforced
def test_what_a_filter_for_the_other_machine_says() -> None:
    """Its numbers cannot be run here; that it is built of the same steps can be seen."""
    programs = [network._program(*numbers, True) for numbers in network.MACHINES.values()]
    assert len({len(program) for program in programs}) == 1


@enforced
def test_it_says_whether_this_machine_enforces_it() -> None:
    assert can_deny()
    assert opens("AF_INET") == ["AF_INET"]  # and has not done it to us


def test_elsewhere_it_says_that_it_did_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not deny_sockets()
    assert not can_deny()
    monkeypatch.undo()
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert not deny_sockets()
    assert opens("AF_INET") == ["AF_INET"]


@pytest.mark.parametrize(
    ("server", "remote"),
    [
        ("", False),
        ("unix:/run/user/1000/pulse/native.sock", False),
        ("{9ab}unix:/run/native", False),
        ("/tmp/native", False),
        ("tcp:studio:4713", True),
        ("192.168.0.7", True),
        ("{9ab}unix:/run/native tcp:studio", True),
    ],
)
def test_a_sound_server_of_the_network_is_known_by_its_address(
    server: str, remote: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULSE_SERVER", server)
    assert network.sound_server_is_remote() == remote


@pytest.mark.parametrize(
    ("display", "remote"),
    [
        ("", False),
        (":0", False),
        ("unix:0", False),
        ("/tmp/launch/x:0", False),
        ("localhost:10.0", True),
        ("a:0", True),
    ],
)
def test_a_display_of_the_network_is_known_by_its_host(
    display: str, remote: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", display)
    assert network.display_is_remote() == remote


def test_no_socket_is_left_open_by_asking() -> None:
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    can_deny()
    assert (len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0) == before
