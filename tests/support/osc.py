"""OSC packets, and UDP on loopback to send them by. Knows nothing of livemove."""

from __future__ import annotations

import socket

from pythonosc.osc_message_builder import OscMessageBuilder


def packet(where: str, *values: object) -> bytes:
    builder = OscMessageBuilder(where)
    for value in values:
        builder.add_arg(value)
    return builder.build().dgram


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def send(port: int, *packets: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for each in packets:
            sender.sendto(each, ("127.0.0.1", port))
