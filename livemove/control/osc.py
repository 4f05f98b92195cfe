"""OSC (Open Sound Control 1.0) over UDP: packets -> requests and inputs; features and channels -> packets.

In and out: datagrams. Knows no shared memory and no model. With the names of controls.py:

/livemove/NAME value        sets what has a value; gain is a factor, look_ahead milliseconds; model, preset and style
                            count from 1 or take a name; scale and root take a name, or a number: 0 is the mapping's;
                            camera and device take what the command line takes: a number, an address, part of a name
/livemove/NAME/by amount    changes it; model, preset, style, scale, root, camera and device go round
/livemove/mute, /freeze,
  /record                   1 is on, 0 off; without a value the switch is thrown
/livemove/style/NAME value  the weight of one of the model's styles, 0..1; also /livemove/style_1 .. style_8
/livemove/styles f f ...    the weights of all of them, in the model's order; those that are left out are 0; all 0: the
                            style that is set, or what the mapping plays
/livemove/panic, /reload,
  /save_last                does it; a value of 0 (a button that is let go) does nothing
/livemove/learn NAME        the next MIDI knob, pad or pedal that moves is bound to that name
/livemove/save_preset NAME  keeps what is set as a preset; without a name under a free one
any other address           a source, if a mapping.toml names it ("osc:/fader1"): its first number

What is wrong with a message is told once for each address and value, and sent back to where it came from:
/livemove/error ADDRESS MESSAGE, two strings.

A number may be of any type, in an array, or written out as text. A bundle whose time tag lies ahead waits for its time.
"""

from __future__ import annotations

import contextlib
import heapq
import math
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

from pythonosc.osc_packet import OscPacket, ParseError

from livemove.body.notes import NOTES, SCALES
from livemove.contracts import MAX_BLEND, Action, ControlError, Request
from livemove.control.presets import check_name
from livemove.control.styles import place
from livemove.control.vocabulary import SETS, SWITCHES, TRIGGERS, Received, learnable, note_number
from livemove.controls import BY_ACTION, STYLE_WEIGHTS, decibels
from livemove.numbers import maybe, of_text

PREFIX = "/livemove/"

BATCH = 50
"""Packets read at once that are all heard. Of more, the last of each address: a flood must not make us late."""

MOST = 2000
AHEAD_S = 60.0
"""A time tag further ahead is another clock's; it is said, and the message counts at once."""

MOST_TOLD = 200
"""Of different mistakes; a sender of more makes them on purpose, or by a fader."""
ERROR = "/livemove/error"

LONGEST = 65535
LONGEST_NAME = 496
"""What a request has room for."""
MALFORMED = (ParseError, ValueError, IndexError, TypeError, struct.error, RecursionError)
"""What python-osc raises on bytes that are not OSC."""


NO_ADDRESS = "there is no such address"

Place = tuple[Any, ...]
"""Where a packet came from, as the socket has it: host, port ..."""


class OscIn:
    """A UDP socket one may listen to without ever waiting. names: table -> names in the order of their numbers."""

    def __init__(self, host: str, port: int, names: Mapping[str, Sequence[str]]) -> None:
        """Raises ControlError when the address cannot be listened at."""
        self.names: dict[str, Sequence[str]] = {"scale": ("", *SCALES), "root": ("", *NOTES), **names}
        try:
            family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            self.socket = socket.socket(family, socket.SOCK_DGRAM)
            self.socket.bind(place)
        except OSError as error:
            raise ControlError(
                f"cannot listen for OSC at {host}:{port}: {error.strerror or error}; try another port, or end the "
                "program that has it"
            ) from error
        self.socket.setblocking(False)
        self._later: list[tuple[float, int, Place, str, list[object]]] = []  # (due, number, sender, address, values)
        self._count = 0
        self._told: set[tuple[str, str, str]] = set()
        with contextlib.suppress(OSError):  # as much as the system allows
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)

    def listen(self) -> Received:
        """Everything that came since the last time."""
        packets: list[tuple[bytes, Place]] = []
        received = Received()
        for _ in range(MOST):
            try:
                packet, sender = self.socket.recvfrom(LONGEST)
            except BlockingIOError:
                break
            except OSError:  # Windows: an earlier answer of ours met a closed port
                continue
            if packet.startswith((b"/", b"#bundle\0")):
                packets.append((packet, sender))
            else:  # most of any rubbish, without python-osc's cost
                self._complain(received, sender, "", "", "packets that are not OSC")
        if len(packets) > BATCH:
            # By length too: something broken on its way must not stand in for what is whole.
            last = {(packet.partition(b"\0")[0], len(packet)): (packet, sender) for packet, sender in packets}
            received.skipped = len(packets) - len(last)
            packets = list(last.values())
        for packet, sender in packets:
            self._handle(packet, sender, received)
        while self._later and self._later[0][0] <= time.time():
            _, _, sender, where, values = heapq.heappop(self._later)
            self._hear(sender, where, values, received)
        return received

    @property
    def due_in_s(self) -> float:
        """Until the next message that waits for its time; infinite if none does."""
        return max(self._later[0][0] - time.time(), 0.0) if self._later else math.inf

    def close(self) -> None:
        self.socket.close()

    def _complain(self, received: Received, sender: Place, where: str, value: str, problem: str) -> None:
        """Count it; tell it, and the sender, if it is new. value: what of the values makes it another mistake."""
        host = str(sender[0])
        line = f"{host} sends {_plain(where)}: {problem}" if where else f"{host} sends {problem}"
        received.complain(line)
        key = (host, where, value)
        if key in self._told or len(self._told) >= MOST_TOLD:
            return
        self._told.add(key)
        received.told.append(line if len(self._told) < MOST_TOLD else f"{line}; further mistakes are counted, not told")
        packet = _padded(ERROR) + _padded(",ss") + _padded(_plain(where)) + _padded(problem.replace("\0", "?"))
        with contextlib.suppress(OSError):  # nobody listens there
            self.socket.sendto(packet, sender)

    def _handle(self, packet: bytes, sender: Place, received: Received) -> None:
        try:
            messages = [
                (float(timed.time), str(timed.message.address), _flat(timed.message.params))
                for timed in OscPacket(readable(packet)).messages
            ]
        except MALFORMED:
            self._complain(received, sender, "", "", "packets that are not OSC")
            return
        now_s = time.time()
        for due_s, where, values in messages:
            ahead_s = due_s - now_s
            if not 0.0 < ahead_s <= AHEAD_S or len(self._later) >= MOST:
                if ahead_s > 0.0:
                    self._complain(
                        received,
                        sender,
                        where,
                        "time tag",
                        f"a time tag {ahead_s:.0f} s ahead: it counts at once; set the clocks of both machines",
                    )
                self._hear(sender, where, values, received)
                continue
            self._count += 1
            heapq.heappush(self._later, (due_s, self._count, sender, where, values))

    def _hear(self, sender: Place, where: str, values: list[object], received: Received) -> None:
        received.messages += 1
        number = next((n for n in map(_number, values) if n is not None), None)
        if number is not None:
            received.inputs["osc:" + where] = number
        try:
            received.requests.extend(requests_of(where, values, self.names))
        except (ValueError, ControlError) as error:
            value = "" if str(error) == NO_ADDRESS else _plain(repr(values))
            self._complain(received, sender, where, value, str(error))


def readable(packet: bytes) -> bytes:
    """The packet in the types that python-osc knows: characters (c) and symbols (S) as strings, impulses (I) as true.

    All keep their length. Raises what MALFORMED names.
    """
    if packet.startswith(b"#bundle\0"):
        parts, at = [packet[:16]], 16
        while at < len(packet):
            (size,) = struct.unpack_from(">i", packet, at)
            if not 0 <= size <= len(packet) - at - 4:
                raise ValueError("a bundle's part is longer than the bundle")
            parts += [packet[at : at + 4], readable(packet[at + 4 : at + 4 + size])]
            at += 4 + size
        return b"".join(parts)
    tags_at = _after_text(packet, 0)
    if packet[tags_at : tags_at + 1] != b",":
        return packet
    at = _after_text(packet, tags_at)
    out = bytearray(packet)
    for at_tag in range(tags_at + 1, packet.index(b"\0", tags_at)):
        tag = packet[at_tag : at_tag + 1]
        if tag in b"cS":
            out[at_tag : at_tag + 1] = b"s"
            if tag == b"c":
                out[at : at + 4] = bytes((packet[at + 3], 0, 0, 0))
        elif tag == b"I":
            out[at_tag : at_tag + 1] = b"T"
        if tag in b"sS":
            at = _after_text(packet, at)
        elif tag == b"b":
            (size,) = struct.unpack_from(">i", packet, at)
            at += 4 + (max(size, 0) + 3) // 4 * 4
        else:
            at += 8 if tag in b"hdt" else 4 if tag in b"ifrmc" else 0
    return bytes(out)


def _after_text(packet: bytes, at: int) -> int:
    """Where the string at a place ends, with its zeros. Raises ValueError."""
    return (packet.index(b"\0", at) // 4 + 1) * 4


def _flat(values: Sequence[Any]) -> list[object]:
    """Arrays opened."""
    found: list[object] = []
    for value in values:
        found.extend(_flat(cast("list[Any]", value)) if isinstance(value, list) else [value])
    return found


def requests_of(where: str, values: Sequence[object], names: Mapping[str, Sequence[str]]) -> list[Request]:
    """What a message asks for; nothing for an address that is not ours. Raises ValueError saying what is wrong."""
    if not where.startswith(PREFIX):
        return []
    name, _, relative = where.removeprefix(PREFIX).partition("/")
    value = values[0] if values else None
    number = _number(value)
    if name == "save_preset" and not relative and isinstance(value, str) and value and number is None:
        check_name(value)
        return [Request(TRIGGERS[name], text=value)]
    if name in TRIGGERS and not relative:
        return [Request(TRIGGERS[name])] if value is None or number else []
    if name in SWITCHES and not relative:
        if value is None:
            return [Request(SWITCHES[name])]
        if number is None:
            raise ValueError("it takes 1 or 0")
        return [Request(SWITCHES[name], float(number != 0.0), absolute=True)]
    if name == "learn" and not relative:
        return [Request(Action.LEARN, _learnable(value))]
    if name == "styles" and not relative:
        return _weights(values, names.get("style", ()))
    if name == "style" and relative not in ("", "by"):
        return [_weight(relative, number, names.get("style", ()))]
    if name not in SETS or relative not in ("", "by"):
        raise ValueError(NO_ADDRESS)
    control = BY_ACTION[SETS[name]]
    if control.action is Action.PRESET and "preset" in names and not names["preset"]:
        raise ValueError("no presets are loaded: livemove perform -p NAME -p NAME")
    factor = bool(control.in_decibels) and name == control.name  # linear, where requests are in decibels
    if relative:
        if number is None:
            raise ValueError("it takes a number")
        return [Request(control.action, decibels(number) if factor else number)]
    if control.by_name:
        return [Request(control.action, absolute=True, text=_called(value))]
    if isinstance(value, str) and (number is None or value in names.get(name, ())):
        number = _place(name, value, names)
    elif number is not None:
        number -= control.counts
    if number is None:
        raise ValueError("it takes a number")
    return [Request(control.action, decibels(number) if factor else number, absolute=True)]


def _weights(values: Sequence[object], styles: Sequence[str]) -> list[Request]:
    """One request for the weight of each style."""
    weights = [_number(value) for value in values]
    if not 0 < len(weights) <= len(styles):
        raise ValueError(f"it takes as many weights as there are styles: {', '.join(styles) or 'the model has none'}")
    found = [_checked(weight) for weight in weights] + [0.0] * (min(len(styles), MAX_BLEND) - len(weights))
    return [Request(action, weight, absolute=True) for action, weight in zip(STYLE_WEIGHTS, found, strict=False)]


def _weight(name: str, number: float | None, styles: Sequence[str]) -> Request:
    name, _, relative = name.partition("/")
    try:
        index = place(name, styles) if not name.isdecimal() else place(str(int(name) - 1), styles)
    except ControlError as error:
        raise ValueError(str(error)) from error
    if index >= MAX_BLEND or relative not in ("", "by"):
        raise ValueError(NO_ADDRESS)
    if relative and number is not None:
        return Request(STYLE_WEIGHTS[index], number)
    return Request(STYLE_WEIGHTS[index], _checked(number), absolute=True)


def _checked(weight: float | None) -> float:
    if weight is None or weight < 0.0:
        raise ValueError("a weight is a number from 0 to 1")
    return weight


def _called(value: object) -> str:
    """A camera or audio device, as typed."""
    number = _number(value)
    text = value if isinstance(value, str) else str(int(number)) if number is not None and number.is_integer() else ""
    if not 0 < len(text.encode(errors="replace")) <= LONGEST_NAME:
        raise ValueError("it takes a number or a name")
    return text


def _learnable(value: object) -> float:
    if value is None or value == "" or value == 0:
        return 0.0
    return float(learnable(_plain(str(value))))


def _place(name: str, value: str, names: Mapping[str, Sequence[str]]) -> float:
    known = names.get(name, ())
    if name == "root" and note_number(value):
        value = NOTES[note_number(value) - 1]
    if value not in known:
        there = f"; there are {', '.join(filter(None, known))}" if known else ""
        raise ValueError(f"there is no {name} {_plain(value)!r}{there}")
    return float(known.index(value))


def _number(value: object) -> float | None:
    """Finite numbers, also as text, and truth values; None for all else."""
    if isinstance(value, str):
        try:
            return of_text(value)
        except ValueError:
            return None
    return maybe(value)


def _plain(text: str) -> str:
    """At most 60 characters, all printable: it is somebody else's text."""
    return "".join(c if c.isprintable() else "?" for c in text[:60])


HEAD = b"#bundle\0" + struct.pack(">Q", 1)
"""A bundle's beginning; the time tag 1 means at once."""

FRAME = 1400


class OscOut:
    """Numbers to one address; nobody there is no trouble."""

    def __init__(self, host: str, port: int) -> None:
        """Raises ControlError for a host that has no address."""
        try:
            family, _, _, _, self._place = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        except OSError as error:
            raise ControlError(f"cannot send OSC to {host}:{port}: {error.strerror or error}") from error
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._heads: dict[tuple[str, str], bytes] = {}

    def send(self, values: Mapping[str, float]) -> None:
        """Address -> value, in bundles that fit an Ethernet frame each, one number in each message: an int32 for an
        int, else a float32."""
        bundle = HEAD
        for where, value in values.items():
            kind = "i" if isinstance(value, int) else "f"
            if (where, kind) not in self._heads:
                self._heads[where, kind] = _padded(where) + _padded("," + kind)
            message = self._heads[where, kind] + struct.pack(">" + kind, value)
            if len(bundle) + 4 + len(message) > FRAME:
                self._transmit(bundle)
                bundle = HEAD
            bundle += struct.pack(">i", len(message)) + message
        self._transmit(bundle)

    def _transmit(self, packet: bytes) -> None:
        with contextlib.suppress(OSError):  # nobody listens there now; somebody may later
            self._socket.sendto(packet, self._place)


def _padded(text: str) -> bytes:
    """An OSC string: ends in one to four zeros, its length a multiple of four."""
    data = text.encode()
    return data + b"\0" * (4 - len(data) % 4)
