"""MIDI: messages of one port -> requests, inputs and learnt bindings; channels -> notes or controls at another.

In and out: MIDI; mido knows its messages, rtmidi the system's ports. Without them everything else plays on. Clock and
timecode go to midi_clock.py and midi_timecode.py as they come. Knows no shared memory and no model.
"""

# mido and rtmidi have no type information.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from __future__ import annotations

import contextlib
import math
import threading
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from livemove import numbers
from livemove.contracts import Action, Channel, ControlError, Request
from livemove.control.midi_clock import MidiClockIn
from livemove.control.midi_timecode import TimecodeIn
from livemove.control.mpe import Mpe
from livemove.control.user_files import write_whole
from livemove.control.vocabulary import LEARNABLE, Received
from livemove.controls import CONTROLS, Kind

KINDS = ("cc", "note")
"""What may be bound: control changes (knobs, faders, pedals) and notes (pads, keys)."""

SILENCING = (120, 123, 124, 125, 126, 127)
"""Channel mode messages that end every note of their channel (MIDI 1.0): all sound off, all notes off, and the changes
of mode."""
RESET_CONTROLLERS = 121
ACTIVE_SENSING = 0xFE
SYSEX = 0xF0

LONGEST_WAIT_S = 0.1
"""No message waits longer for control to look."""

SENSING_S = 0.33
"""Who sends active sensing sends something at least every 300 ms; after that it is unplugged (MIDI 1.0)."""

FIRST_CC = 20
"""The first channel goes out as this control change: 20 to 31 have no meaning of their own in MIDI."""

DRAIN_S = 0.1
"""JACK sends with its next period; a port that closes before that loses what was sent."""

BINDINGS = {("cc", c.controller): name for name, c in CONTROLS.items() if c.controller is not None}
"""Bound from the start: the sustain pedal freezes, "all sound off" is panic."""


def port_names() -> tuple[list[str], list[str]]:
    """Ports one may listen to, and ports one may send to. Raises ControlError where there is no MIDI."""
    found: list[list[str]] = []
    for kind in ("MidiIn", "MidiOut"):
        client = _client(kind)
        found.append(list(client.get_ports()))
        client.delete()
    return found[0], found[1]


def find_port(wanted: str, names: Sequence[str]) -> str:
    """The first port with that in its name, in small or capital letters; for "" the first that is a device.

    Raises ControlError naming those there are.
    """
    through = [name for name in names if "through" not in name.lower()]
    for name in through if not wanted else names:
        if wanted.lower() in name.lower():
            return name
    there = f"there are: {', '.join(names)}" if names else "there is none"
    raise ControlError(f"no MIDI port {wanted!r}; {there} (`livemove devices` lists them)")


class MidiBindings:
    """Which knob, pad or pedal does what: (kind, number) -> name, kept in a file that is written whole or not at
    all."""

    def __init__(self, path: Path | None) -> None:
        """Raises ControlError for a file that is not what `learn` writes."""
        self._path = path
        self.bindings = dict(BINDINGS)
        if path is None or not path.exists():
            return
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError, RecursionError) as error:  # ValueError: also a number of thousands of digits
            raise ControlError(f"{path}: cannot be read: {error}") from error
        for kind, table in document.items():
            if kind not in KINDS or not isinstance(table, dict):
                raise ControlError(f"{path}: unknown entry {kind!r}; there are the tables [cc] and [note]")
            for number, name in cast("dict[str, Any]", table).items():
                place = numbers.place(number)
                if place is None or not 0 <= place <= 127 or not isinstance(name, str) or name not in LEARNABLE:
                    raise ControlError(
                        f"{path}: [{kind}] {number:.40} = {numbers.shown(name)}: expected a number up to 127 and one "
                        f"of {', '.join(LEARNABLE)}"
                    )
                self.bindings[kind, place] = name

    def learn(self, kind: str, number: int, name: str) -> str:
        """Bind it from now on; what to tell the person."""
        self.bindings[kind, number] = name
        said = f"MIDI {kind} {number} plays {name} from now on"
        if self._path is None:
            return said
        try:
            self._write(self._path)
        except OSError as error:
            return f"{said}, until the end: {self._path} cannot be written: {error.strerror}"
        return f"{said}; kept in {self._path}"

    def _write(self, path: Path) -> None:
        lines: list[str] = []
        for kind in KINDS:
            bound = sorted((number, name) for (each, number), name in self.bindings.items() if each == kind)
            lines += [f"[{kind}]", *(f'{number} = "{name}"' for number, name in bound), ""]
        write_whole(path, "\n".join(lines))


class MidiInterpreter:
    """MIDI messages of a keyboard, knobs and pedals -> requests and inputs, one message at a time.

    presets: whether a program change is a preset; otherwise it is a model.
    """

    def __init__(self, learnt: MidiBindings, presets: bool) -> None:
        self.learnt = learnt
        self._program = Action.PRESET if presets else Action.MODEL
        self._held: dict[tuple[int, int], int] = {}  # (MIDI channel, note) -> velocity, in the order of pressing
        self._pressed: set[int] = set()  # control changes that are beyond the middle

    def handle(self, message: Any, received: Received, learning: str = "") -> str:
        """Add to received what a mido message means. learning: what the next thing moved is to do; told when it did."""
        received.messages += 1
        kind = message.type
        if kind == "note_on" and message.velocity > 0:
            if learning:
                return self.learnt.learn("note", message.note, learning)
            self._note_on(message.channel, message.note, message.velocity, received)
        elif kind in ("note_on", "note_off"):
            self._held.pop((message.channel, message.note), None)
            self._tell_notes(received)
        elif kind == "reset":
            self.silence(received)
            self._at_rest(received)
        elif kind == "control_change":
            if learning:
                self._pressed.add(message.control)  # letting go of the pedal that taught is not a second press
                return self.learnt.learn("cc", message.control, learning)
            received.inputs[f"midi:cc{message.control}"] = float(message.value)
            if message.control in SILENCING:
                self.silence(received, message.channel)
            elif message.control == RESET_CONTROLLERS:
                self._at_rest(received)
            name = self.learnt.bindings.get(("cc", message.control))
            if name is not None:
                self._turn(message.control, message.value, name, received)
        elif kind == "program_change":
            received.requests.append(Request(self._program, float(message.program), absolute=True))
        elif kind == "pitchwheel":
            received.inputs["midi:bend"] = message.pitch / 8192.0
        elif kind == "aftertouch":
            received.inputs["midi:pressure"] = float(message.value)
        return ""

    def silence(self, received: Received, channel: int | None = None) -> None:
        """No key of a MIDI channel is down any more (None: of none), whether its note-off came or not."""
        held = {key: velocity for key, velocity in self._held.items() if channel not in (None, key[0])}
        if held != self._held:
            self._held = held
            self._tell_notes(received)

    @staticmethod
    def _at_rest(received: Received) -> None:
        """Bend, pressure and the pedals as MIDI's recommended practice RP-015 has them after a reset."""
        received.inputs.update({"midi:bend": 0.0, "midi:pressure": 0.0})
        received.inputs.update({f"midi:cc{number}": 0.0 for number in (1, 64, 65, 66, 67)})

    def _note_on(self, channel: int, note: int, velocity: int, received: Received) -> None:
        name = self.learnt.bindings.get(("note", note))
        if name is not None:  # a pad that does something is no music
            amount = 0.0 if CONTROLS[name].kind in (Kind.SWITCH, Kind.TRIGGER) else 1.0
            received.requests.append(Request(LEARNABLE[name], amount))
            return
        self._held.pop((channel, note), None)
        self._held[channel, note] = velocity
        self._tell_notes(received)

    def _tell_notes(self, received: Received) -> None:
        """The last key still down sounds; without any, velocity is 0 and the note stays where it was."""
        if self._held:
            (_, note), velocity = next(reversed(self._held.items()))
            received.inputs["midi:note"] = float(note)
            received.inputs["midi:velocity"] = float(velocity)
        else:
            received.inputs["midi:velocity"] = 0.0

    def _turn(self, number: int, value: int, name: str, received: Received) -> None:
        control = CONTROLS[name]
        pressed = value >= 64
        press = pressed and number not in self._pressed
        (self._pressed.add if pressed else self._pressed.discard)(number)
        if control.kind is Kind.SWITCH:
            received.requests.append(Request(control.action, float(pressed), absolute=True))
        elif control.kind is Kind.TRIGGER:
            received.requests.extend([Request(control.action)] if press else [])
        elif control.knob is not None:
            low, high = control.knob
            received.requests.append(Request(control.action, low + value / 127 * (high - low), absolute=True))
        else:  # a list: every press goes on
            received.requests.extend([Request(control.action, 1.0)] if press else [])


class ActiveSensing:
    """Whether a keyboard that says all the time that it is there has fallen silent."""

    def __init__(self) -> None:
        self._last_s: float | None = None  # None: it never said so

    def heard(self, sensing: bool, now_s: float) -> None:
        """Something came; sensing: an active sensing message."""
        if sensing or self._last_s is not None:
            self._last_s = now_s

    def ceased(self, now_s: float) -> bool:
        """Once, when it is over."""
        if self._last_s is None or now_s - self._last_s <= SENSING_S:
            return False
        self._last_s = None
        return True


class ArrivalTimes:
    """When messages came, from the seconds that rtmidi counts between two: what waited for us to look is not late.

    The clock's zero is not told; it is taken from the message that waited least.
    """

    def __init__(self) -> None:
        self._at_s = math.inf

    def stamp(self, since_s: float, now_s: float) -> float:
        """since_s: from the message before; now_s: when it was taken, on the monotonic clock."""
        self._at_s = min(self._at_s + since_s, now_s)
        if now_s - self._at_s > LONGEST_WAIT_S:  # a port that was opened again counts anew
            self._at_s = now_s
        return self._at_s


class MidiIn:
    """One port, listened to without waiting; it may come later, and when it goes and comes back it is heard again.

    clock, timecode: what came of them.
    """

    def __init__(self, wanted: str) -> None:
        """trouble: what to tell the person where there is no such port yet. Raises ControlError where there is no MIDI,
        or another program has the port."""
        self._client = _client("MidiIn")  # one for good: under JACK, to make one holds the whole graph up
        self._client.ignore_types(sysex=False, timing=False, active_sense=False)
        self._wanted = wanted
        self.clock, self.timecode = MidiClockIn(), TimecodeIn()
        self._arrivals = ArrivalTimes()
        self._sensing = ActiveSensing()
        self._gone = self._was_there = False
        self._open = False
        self.name, self.trouble = _port(wanted, self._client)
        if not self.trouble:
            self._reopen()

    def messages(self) -> list[Any]:
        """Every mido message that came since the last time, but for those of clock, timecode and sensing, and what
        only its maker understands."""
        from mido import Message

        found: list[Any] = []
        while self._open and (received := self._client.get_message()) is not None:
            message, since_s = received
            now_s = time.monotonic()
            at_s = self._arrivals.stamp(since_s, now_s)
            sensing = message[:1] == [ACTIVE_SENSING]
            self._sensing.heard(sensing, now_s)
            if not message or sensing or self.clock.handle(message, at_s) or self.timecode.handle(message, at_s):
                continue
            if message[0] == SYSEX:
                continue
            with contextlib.suppress(ValueError, IndexError):  # not MIDI: there are devices that send bits of messages
                found.append(Message.from_bytes(message))
        return found

    def timing(self, ahead_s: float) -> dict[str, float]:
        """Clock and timecode as sources, as they will be in so many seconds."""
        now_s = time.monotonic()
        return {**self.clock.inputs(now_s, ahead_s), **self.timecode.inputs(now_s, ahead_s)}

    @property
    def ceased(self) -> bool:
        """Once, when what played is gone: its port, or the active sensing it sent."""
        gone, self._gone = self._gone, False
        return self._sensing.ceased(time.monotonic()) or gone

    def check(self) -> str:
        """Once a second: whether it went or came back; what to tell the person."""
        if self.trouble:
            self.name, self.trouble = _port(self._wanted, self._client)
        there = self.name in self._client.get_ports()
        if there == self._open:
            return ""
        if there:
            try:
                self._reopen()
            except ControlError:  # another program was quicker: it is tried again
                return ""
            return f"MIDI: {self.name} is {'back' if self._was_there else 'there'}"
        self._open = False
        self._gone = self._was_there = True
        self.clock.stop()
        self.timecode.stop()
        self._client.close_port()
        return f"MIDI: {self.name} is gone; its notes end, and it is heard again when it comes back"

    def _reopen(self) -> None:
        _open_port(self._client, self.name)
        self._open = True


class ControlChanges:
    """Channels as control changes FIRST_CC .. on MIDI channel 1, only when they change. Used like `Mpe`."""

    def __init__(self) -> None:
        self._last: dict[int, int] = {}

    def setup_messages(self) -> list[list[int]]:
        return []

    def messages(self, channels: Sequence[Channel], values: Sequence[float]) -> list[list[int]]:
        """values in natural units: a channel's range is 0..127."""
        found: list[list[int]] = []
        for place, (channel, value) in enumerate(zip(channels, values, strict=False)):
            share = (value - channel.minimum) / (channel.maximum - channel.minimum)
            control, coarse = FIRST_CC + place, round(127 * min(max(share, 0.0), 1.0))
            if control < 120 and self._last.get(control) != coarse:
                self._last[control] = coarse
                found.append([0xB0, control, coarse])
        return found

    def end(self) -> list[list[int]]:
        return []


class MidiOut:
    """A port one plays by channels, as MPE or else as control changes; it may come later, go, and come back. A clock
    may be sent beside it by another thread."""

    def __init__(self, wanted: str, mpe: bool = False) -> None:
        """trouble: what to tell the person where there is no such port yet. Raises ControlError where there is no MIDI,
        or another program has the port."""
        self._client = _client("MidiOut")
        self._wanted = wanted
        self._mpe = mpe
        self._encoder: Mpe | ControlChanges | None = None  # None: not open
        self._notes: dict[int, float] = {}  # those of triggers that sound -> when they end
        self._sending = threading.Lock()
        self.name, self.trouble = _port(wanted, self._client)
        if not self.trouble:
            self._reopen()

    def send(self, channels: Sequence[Channel], values: Sequence[float]) -> None:
        """values in natural units."""
        if self._encoder is not None:
            self._transmit(self._encoder.messages(channels, values))

    def send_clock(self, messages: list[list[int]]) -> bool:
        """The clock's thread; False: the port is not there."""
        with self._sending:
            if self._encoder is None:
                return False
            for message in messages:
                self._client.send_message(message)
        return True

    def play(self, note: int, velocity: int, until_s: float) -> None:
        """A note on channel 1; `end_notes` ends it. The same one that still sounds ends first."""
        if self._encoder is not None:
            self._transmit([*([[0x80, note, 0]] if note in self._notes else []), [0x90, note, velocity]])
            self._notes[note] = until_s

    def end_notes(self, now_s: float) -> None:
        """Those whose time is over."""
        over = [note for note, until_s in self._notes.items() if now_s >= until_s]
        for note in over:
            del self._notes[note]
        if self._encoder is not None:
            self._transmit([[0x80, note, 0] for note in over])

    def check(self) -> str:
        """Once a second: whether it went or came; what to tell the person. Who comes back begins anew."""
        if self.trouble:
            self.name, self.trouble = _port(self._wanted, self._client)
        there = self.name in self._client.get_ports()
        if there == (self._encoder is not None):
            return ""
        if there:
            try:
                self._reopen()
            except ControlError:  # another program was quicker: it is tried again
                return ""
            return f"MIDI out: {self.name} is there"
        with self._sending:
            self._encoder = None
            self._notes.clear()
            self._client.close_port()
        return f"MIDI out: {self.name} is gone; it is played again when it comes back"

    def close(self) -> None:
        """No note hangs."""
        if self._encoder is not None:
            self._transmit([*([0x80, note, 0] for note in self._notes), *self._encoder.end()])
            time.sleep(DRAIN_S)
        self._client.close_port()

    def _reopen(self) -> None:
        _open_port(self._client, self.name)
        self._encoder = Mpe() if self._mpe else ControlChanges()
        self._transmit(self._encoder.setup_messages())

    def _transmit(self, messages: list[list[int]]) -> None:
        with self._sending:
            for message in messages:
                self._client.send_message(message)


def _port(wanted: str, client: Any) -> tuple[str, str]:
    """(name, "") of the port that is wanted, or, where it is not there, (what is wanted, in words; why not)."""
    try:
        return find_port(wanted, client.get_ports()), ""
    except ControlError as error:
        return wanted or "a MIDI port", str(error)


def _client(kind: str) -> Any:
    """An rtmidi.MidiIn or MidiOut, on the system's MIDI or the one RTMIDI_API names."""
    try:
        import mido as _  # noqa: F401  (needed soon, and missing together)
        import rtmidi
        from rtmidi.midiutil import get_api_from_environment
    except ImportError as error:
        raise ControlError("MIDI is not installed: pip install 'livemove[midi]'") from error
    try:
        return getattr(rtmidi, kind)(get_api_from_environment(), name="livemove")
    except (rtmidi.RtMidiError, RuntimeError) as error:
        raise ControlError(
            f"no MIDI on this machine ({' '.join(str(error).split())}); beside JACK, try RTMIDI_API=UNIX_JACK"
        ) from error


def _open_port(client: Any, name: str) -> None:
    import rtmidi

    try:
        client.open_port(client.get_ports().index(name), name="control")
    except (rtmidi.RtMidiError, RuntimeError, ValueError) as error:
        raise ControlError(f"MIDI port {name} cannot be opened ({error}): another program may have it") from error
