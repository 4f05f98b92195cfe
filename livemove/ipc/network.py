"""Who may reach the network: a thread gives up sockets for good, with all that it starts; asked of the kernel on Linux.

In: whether sockets within this machine are still wanted. Out: whether the kernel enforces it. Knows no library that
would send something. MediaPipe's posts to play.googleapis.com, ONNX Runtime's to mobile.events.data.microsoft.com, both
unless they cannot (strace of mediapipe 1.2.3 and onnxruntime 1.32.0); what a later release of any other sends nobody
knows, and whoever cannot open a socket cannot send.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import socket
import struct
import sys
import threading

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, JUMP_EQUAL, JUMP_AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16
"""Where they stand in the kernel's struct seccomp_data; both machines are little-endian, so the lower half comes
first."""
ALLOW, REFUSE = 0x7FFF0000, 0x00050000
AF_UNIX, AF_NETLINK = 1, 16
X32 = 0x40000000
"""System calls of x86-64 from here on are those of another ABI with other numbers, which nothing here uses."""

MACHINES = {"x86_64": (0xC000003E, 41, 425), "aarch64": (0xC00000B7, 198, 425)}
"""As the kernel names a machine, and there the numbers of socket and io_uring_setup: a ring opens sockets past any
filter."""

CLOSED_PORT = "http://127.0.0.1:9"
"""Where nobody listens. As a proxy it keeps MediaPipe's curl from its name lookup (seen on Linux) where there is no
filter."""


def deny_sockets(local: bool = False) -> bool:
    """From here on neither the calling thread nor any thread or process it starts opens a socket; nothing undoes it.

    local: but for those that never leave this machine, as sound servers and displays have them. Without, name lookups
    through a local service cannot happen either. Threads that run already keep what they had. Returns whether it is
    so: True on Linux on x86-64 and aarch64, False on other systems and where a container forbids filters.
    """
    machine = MACHINES.get(platform.machine())
    if sys.platform != "linux" or machine is None or sys.maxsize < 2**32:
        return False
    program = _program(*machine, local)
    held = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: how many instructions of 8 bytes, and where they stand
    described = struct.pack("@HP", len(program) // 8, ctypes.addressof(held))
    given = ctypes.create_string_buffer(described, len(described))
    prctl = ctypes.CDLL(None).prctl
    prctl.argtypes = (ctypes.c_int, *4 * (ctypes.c_ulong,))
    # Without new privileges no program that it starts is above the filter; the kernel wants that first.
    return (
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
        and prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(given), 0, 0) == 0
    )


def _program(architecture: int, socket_call: int, io_uring_setup: int, local: bool) -> bytes:
    """The filter as classic BPF, struct sock_filter each: code, steps to skip if true and if false, value."""
    families = (AF_UNIX, AF_NETLINK) if local else ()
    refused, absent = REFUSE | errno.EACCES, REFUSE | errno.ENOSYS
    steps = [
        (LOAD, 0, 0, ARCHITECTURE),
        (JUMP_EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, absent),
        (LOAD, 0, 0, NUMBER),
        (JUMP_AT_LEAST, 1, 0, X32),
        (JUMP_EQUAL, 0, 1, io_uring_setup),
        (RETURN, 0, 0, absent),
        (JUMP_EQUAL, 1, 0, socket_call),
        (RETURN, 0, 0, ALLOW),
        (LOAD, 0, 0, FIRST_ARGUMENT),
        *((JUMP_EQUAL, len(families) - place, 0, family) for place, family in enumerate(families)),
        (RETURN, 0, 0, refused),
        (RETURN, 0, 0, ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def can_deny() -> bool:
    """Whether `deny_sockets` keeps what it says on this machine: a thread that ends at once tries it."""
    found: list[bool] = []

    def attempt() -> None:
        kept = deny_sockets()
        try:
            socket.socket().close()
        except PermissionError:
            found.append(kept)

    trying = threading.Thread(target=attempt)
    trying.start()
    trying.join()
    return found == [True]


def sound_server_is_remote() -> bool:
    """Whether PULSE_SERVER names one that is reached through the network: playback then needs it."""
    named = (server.rpartition("}")[2] for server in os.environ.get("PULSE_SERVER", "").split())
    return any(not server.startswith(("unix:", "/")) for server in named)


def display_is_remote() -> bool:
    """Whether the X11 display is reached through the network, as under `ssh -X`."""
    host = os.environ.get("DISPLAY", "").rpartition(":")[0]
    return bool(host) and host != "unix" and not host.startswith("/")
