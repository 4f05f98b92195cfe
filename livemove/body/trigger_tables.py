"""Tables [triggers.NAME] of a mapping.toml -> Trigger: every entry checked, every complaint one line.

In: parsed tables, which are a stranger's. Out: Triggers, or TriggerError without the file, which the reader of the
mapping adds. What can be asked for is what controls.py has. Knows no file and no process.

    [triggers.NAME]
    source = "hit:clap"             any source or expression
    on = 0.3                        it fires when the source rises to this
    off = 0.1                       and again only after it was below this (without it: on)
    after_s = 0.5                   once it has been held for so long, and let go for as long (without it: at once)
    refractory_s = 0.15             and no sooner
    posture = "arms_up"             in place of source: a posture shown by example, with POSTURE for what is left out
    quantize = 0.25                 it waits for the next quarter of a beat (4: a bar) of Link or a MIDI clock
    attack_s, hold_s, release_s     a note: the envelope that is the source "trigger:NAME"
    note = "A4"                     and its pitch, by name or as a MIDI number
    freeze = "toggle"               switches (freeze, mute, record): true, false or "toggle"
    preset = "loud"                 lists (preset, model, style, scale, root): a name, a number, "next" or "previous"
    octave = 1, temperature = 0.8   what has a value: the value; gain_db in decibels
    save_last = true                what happens once
    osc = "/cue/go"                 an OSC message to --osc-out, with the source's value,
                                    or { address = "/live/scene/fire", value = 2 } with that one
    midi = 60                       a note to --midi-out, or { note = 60, velocity = 100, seconds = 0.2 },
                                    or { program = 5 }, a program change
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import cast

from livemove import numbers
from livemove.body import postures
from livemove.body.beat import BAR, BEAT_INPUTS, part_of_bar
from livemove.body.expression_nodes import ExpressionError
from livemove.body.expressions import Expression
from livemove.body.mapped_triggers import REFRACTORY_S, Note, Trigger
from livemove.body.notes import NOTES, SCALES, midi_note, note_name, pitch_class
from livemove.body.sources import Sources, near
from livemove.contracts import Channel, Request, SentMessage
from livemove.controls import CONTROLS, Control, Kind

MOST = 32
"""Triggers of one mapping."""

NAME = re.compile(r"[A-Za-z]\w{0,39}", re.ASCII)
"""What a trigger may be called: a word that expressions can name."""

ADDRESS = re.compile(r"/[!-~]{1,200}")
"""An OSC address: printable ASCII without spaces."""

MOST_WHOLE = 2**31 - 1
"""Of an integer in an OSC message: it has 32 bits."""

ASKED = {
    name: control
    for control in CONTROLS.values()
    for name in (control.in_decibels or control.name,)
    if control.name != "panic"
}
"""Entry -> what it asks for: all that can be steered but panic, which is for hands."""

POSTURE = {"on": 0.5, "off": 0.15, "after_s": 0.2}
"""Of a trigger that a posture fires, what its table leaves out: who passes through it on the way to another one is
sooner out of it again, and who holds it trembles by less than lies between on and off."""

_NOTE = ("attack_s", "hold_s", "release_s")
_WHEN = ("source", "posture", "on", "off", "after_s", "refractory_s", "quantize")
_MIDI = {"note": (0, 127), "velocity": (1, 127)}
_OSC = ("address", "value")
ENTRIES = (*_WHEN, *_NOTE, "note", *ASKED, "osc", "midi")


class TriggerError(ValueError):
    """What is wrong with a trigger's table: entry and problem."""


def read_triggers(
    tables: dict[str, object], sources: Sources, styles: Sequence[str], pitch: Channel | None = None
) -> tuple[Trigger, ...]:
    """Of [triggers], in their order. styles: names of the model's; pitch: its channel of notes, if it has one. Raises
    TriggerError that names the trigger."""
    if len(tables) > MOST:
        raise TriggerError(f"triggers: expected up to {MOST} tables, [triggers.NAME]")
    found: list[Trigger] = []
    for name, table in tables.items():
        try:
            if not isinstance(table, dict):
                raise TriggerError("expected a table, [triggers.NAME]")
            found.append(_trigger(name, cast("dict[str, object]", table), sources, styles, pitch))
        except TriggerError as error:
            raise TriggerError(f"trigger {numbers.shown(name)}: {error}") from error
    return tuple(found)


def _trigger(
    name: str, table: dict[str, object], sources: Sources, styles: Sequence[str], pitch: Channel | None
) -> Trigger:
    if NAME.fullmatch(name) is None:
        raise TriggerError("a trigger is called by a word of up to 40 letters, digits and _")
    for entry in table:
        if entry not in ENTRIES:
            raise TriggerError(f"unknown entry {entry!r}{near(entry, ENTRIES)}")
    if "posture" in table:
        table = _of_posture(table)
    text = table.get("source")
    if not isinstance(text, str):
        raise TriggerError('source: expected a name or an expression, as in source = "hit:clap"')
    try:
        source = sources.read(text, triggers=False)
    except ExpressionError as error:
        raise TriggerError(f"source: {error}") from error
    on = _number("on", table.get("on"), -1e9, 1e9)
    off = _number("off", table.get("off", on), -1e9, 1e9)
    if off > on:
        raise TriggerError(f"off: {off:g} is above on, {on:g}: it could fire again while it is still high")
    note = None
    if any(entry in table for entry in _NOTE):
        note = Note(*(_number(entry, table.get(entry, 0.0), 0.0, 600.0) for entry in _NOTE))
        if note.attack_s + note.hold_s + note.release_s == 0.0:
            raise TriggerError("attack_s, hold_s, release_s: a note that lasts no time")
    elif "note" in table:
        raise TriggerError(f"note: how long does it sound? write {', '.join(_NOTE)}, or one of them, beside it")
    requests = tuple(_request(entry, ASKED[entry], table[entry], styles) for entry in table if entry in ASKED)
    messages = tuple(_message(entry, table[entry]) for entry in ("osc", "midi") if entry in table)
    if note is None and not requests and not messages:
        raise TriggerError(f"it does nothing: give it {', '.join(_NOTE)}, osc, midi, or one of {', '.join(ASKED)}")
    quantize = _part("quantize", table["quantize"]) if "quantize" in table else 0.0
    return Trigger(
        name=name,
        source=source,
        on=on,
        off=off,
        refractory_s=_number("refractory_s", table.get("refractory_s", REFRACTORY_S), 0.0, 600.0),
        bodily=sources.is_bodily(source.places if isinstance(source, Expression) else (source,)),
        note=note,
        pitch=_pitch(table["note"], pitch) if "note" in table else None,
        after_s=_number("after_s", table.get("after_s", 0.0), 0.0, 600.0),
        requests=requests,
        messages=messages,
        quantize=quantize,
        beat=tuple(sources.place(each) for each in BEAT_INPUTS) if quantize else (),
    )


def _of_posture(table: dict[str, object]) -> dict[str, object]:
    """The table with the source that its posture stands for."""
    name = table["posture"]
    if "source" in table:
        raise TriggerError("posture: it stands in place of a source; take one of the two out")
    if not isinstance(name, str) or postures.NAME.fullmatch(name) is None:
        raise TriggerError(f'posture: expected a name, as in posture = "arms_up", not {numbers.shown(name)}')
    filled = {**POSTURE, **table, "source": postures.PREFIX + name}
    if "off" not in table and isinstance(on := filled["on"], (int, float)) and on < POSTURE["off"]:
        filled["off"] = on
    return filled


def _pitch(value: object, channel: Channel | None) -> float:
    """A MIDI note number that the model can play."""
    if channel is None:
        raise TriggerError("note: the model has no pitch channel; leave it out, and the envelope plays alone")
    if isinstance(value, str):
        found = midi_note(value)
        if found is None:
            raise TriggerError(f'note: unknown note {value!r}; write it as "A4", "F#3" or "Bb2", or as a MIDI number')
        value = found
    number = _number("note", value, 0.0, 127.0)
    if not channel.minimum <= number <= channel.maximum:
        low, high = note_name(channel.minimum)[0], note_name(channel.maximum)[0]
        raise TriggerError(f"note: {note_name(number)[0]} is beyond what the model plays, {low} to {high}")
    return number


def _request(entry: str, control: Control, value: object, styles: Sequence[str]) -> Request:
    """What a key or OSC would ask for."""
    action = control.action
    if control.kind is Kind.TRIGGER:
        if value is not True:
            raise TriggerError(f"{entry}: expected true, not {numbers.shown(value)}")
        return Request(action)
    if control.kind is Kind.SWITCH:
        if value == "toggle":
            return Request(action)
        if not isinstance(value, bool):
            raise TriggerError(f'{entry}: expected true, false or "toggle", not {numbers.shown(value)}')
        return Request(action, float(value), absolute=True)
    if control.kind is Kind.VALUE:
        return Request(action, _number(entry, value, *control.limits), absolute=True)
    if value in ("next", "previous"):
        return Request(action, 1.0 if value == "next" else -1.0)
    if isinstance(value, str):
        return _named(entry, control, value, styles)
    if control.kind is Kind.STEPS:
        return Request(action, float(_whole(entry, value, int(control.low), int(control.high))), absolute=True)
    if control.by_name:
        return Request(action, absolute=True, text=str(_whole(entry, value, 0, 999)))
    return Request(action, float(_whole(entry, value, control.counts, 999) - control.counts), absolute=True)


def _named(entry: str, control: Control, name: str, styles: Sequence[str]) -> Request:
    """One of a list by its name; cameras, devices, models and presets are known to the supervisor only."""
    if entry == "root" and (pitch := pitch_class(name)) is not None:
        name = NOTES[pitch]
    known = {"scale": ("", *SCALES), "root": ("", *NOTES), "style": tuple(styles)}.get(entry)
    if known is None and control.kind is Kind.LIST:
        if not 0 < len(name.encode()) <= 200:
            raise TriggerError(f"{entry}: expected a name of up to 200 bytes")
        return Request(control.action, absolute=True, text=name)
    if known is None or name not in known:
        raise TriggerError(f"{entry}: unknown {entry} {name!r}{near(name, [each for each in known or () if each])}")
    return Request(control.action, float(known.index(name)), absolute=True)


def _message(entry: str, value: object) -> SentMessage:
    return _osc(value) if entry == "osc" else _midi(value)


def _osc(value: object) -> SentMessage:
    table = cast("dict[str, object]", value) if isinstance(value, dict) else {"address": value}
    for each in table:
        if each not in _OSC:
            raise TriggerError(f"osc: unknown entry {each!r}{near(each, _OSC)}")
    address, sent = table.get("address"), table.get("value")
    if not isinstance(address, str) or ADDRESS.fullmatch(address) is None:
        raise TriggerError(f'osc: expected an address, as in osc = "/cue/go", not {numbers.shown(address)}')
    if sent is None:
        return SentMessage(address=address)
    if isinstance(sent, int) and not isinstance(sent, bool):
        whole = _whole("osc: value", sent, -MOST_WHOLE, MOST_WHOLE)
        return SentMessage(address=address, value=float(whole), whole=True)
    return SentMessage(address=address, value=_number("osc: value", sent, -1e9, 1e9))


def _midi(value: object) -> SentMessage:
    table = cast("dict[str, object]", value) if isinstance(value, dict) else {"note": value}
    if "program" in table:
        if len(table) > 1:
            raise TriggerError("midi: a program change has nothing beside it; a second trigger can play the note")
        return SentMessage(program=_whole("midi: program", table["program"], 0, 127))
    for each in table:
        if each not in (*_MIDI, "seconds"):
            raise TriggerError(f"midi: unknown entry {each!r}{near(each, (*_MIDI, 'seconds', 'program'))}")
    note, velocity = (_whole(f"midi: {each}", table.get(each, 100), *_MIDI[each]) for each in _MIDI)
    if "note" not in table:
        raise TriggerError("midi: expected a note, as in midi = 60 or midi = { note = 60, velocity = 100 }")
    seconds = _number("midi: seconds", table.get("seconds", 0.2), 0.001, 600.0)
    return SentMessage(note=note, velocity=velocity, seconds=seconds)


def _number(entry: str, value: object, low: float, high: float) -> float:
    if value is None:
        raise TriggerError(f"{entry}: missing; write a number, as in {entry} = 0.5")
    try:
        return numbers.number(value, low, high)
    except ValueError as error:
        raise TriggerError(f"{entry}: {error}") from error


def _part(entry: str, value: object) -> float:
    """Beats."""
    part = part_of_bar(_number(entry, value, 1 / 32, BAR))
    if part is None:
        raise TriggerError(f"{entry}: expected 4 beats or what divides them, as 1, 0.5, 0.3333, not {value}")
    return part


def _whole(entry: str, value: object, low: int, high: int) -> int:
    try:
        return numbers.whole(value, low, high)
    except ValueError as error:
        raise TriggerError(f"{entry}: {error}") from error
