"""Tables [triggers.NAME] of a mapping.toml -> Trigger: every entry checked, every complaint one line.

In: parsed tables, which are a stranger's. Out: Triggers, or TriggerError without the file, which the reader of the
mapping adds. What can be asked for is what controls.py has. Knows no file and no process.

    [triggers.NAME]
    source = "hit:clap"             any source or expression
    on = 0.3                        it fires when the source rises to this
    off = 0.1                       and again only after it was below this (without it: on)
    refractory_s = 0.15             and no sooner
    quantize = 0.25                 it waits for the next quarter of a beat (4: a bar) of Link or a MIDI clock
    attack_s, hold_s, release_s     a note: the envelope that is the source "trigger:NAME"
    freeze = "toggle"               switches (freeze, mute, record): true, false or "toggle"
    preset = "loud"                 lists (preset, model, style, scale, root): a name, a number, "next" or "previous"
    octave = 1, temperature = 0.8   what has a value: the value; gain_db in decibels
    save_last = true                what happens once
    osc = "/cue/go"                 an OSC message to --osc-out, with the source's value
    midi = 60                       a note to --midi-out, or { note = 60, velocity = 100, seconds = 0.2 }
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import cast

from livemove import numbers
from livemove.body.beat import BAR, BEAT_INPUTS, part_of_bar
from livemove.body.expression_nodes import ExpressionError
from livemove.body.expressions import Expression
from livemove.body.mapped_triggers import REFRACTORY_S, Note, Trigger
from livemove.body.notes import NOTES, SCALES, pitch_class
from livemove.body.sources import Sources, near
from livemove.contracts import Request, SentMessage
from livemove.controls import CONTROLS, Control, Kind

MOST = 32
"""Triggers of one mapping."""

NAME = re.compile(r"[A-Za-z]\w{0,39}", re.ASCII)
"""What a trigger may be called: a word that expressions can name."""

ADDRESS = re.compile(r"/[!-~]{1,200}")
"""An OSC address: printable ASCII without spaces."""

ASKED = {
    name: control
    for control in CONTROLS.values()
    for name in (control.in_decibels or control.name,)
    if control.name != "panic"
}
"""Entry -> what it asks for: all that can be steered but panic, which is for hands."""

_NOTE = ("attack_s", "hold_s", "release_s")
_WHEN = ("source", "on", "off", "refractory_s", "quantize")
_MIDI = {"note": (0, 127), "velocity": (1, 127)}
ENTRIES = (*_WHEN, *_NOTE, *ASKED, "osc", "midi")


class TriggerError(ValueError):
    """What is wrong with a trigger's table: entry and problem."""


def read_triggers(tables: dict[str, object], sources: Sources, styles: Sequence[str]) -> tuple[Trigger, ...]:
    """Of [triggers], in their order. styles: names of the model's. Raises TriggerError that names the trigger."""
    if len(tables) > MOST:
        raise TriggerError(f"triggers: expected up to {MOST} tables, [triggers.NAME]")
    found: list[Trigger] = []
    for name, table in tables.items():
        try:
            if not isinstance(table, dict):
                raise TriggerError("expected a table, [triggers.NAME]")
            found.append(_trigger(name, cast("dict[str, object]", table), sources, styles))
        except TriggerError as error:
            raise TriggerError(f"trigger {numbers.shown(name)}: {error}") from error
    return tuple(found)


def _trigger(name: str, table: dict[str, object], sources: Sources, styles: Sequence[str]) -> Trigger:
    if NAME.fullmatch(name) is None:
        raise TriggerError("a trigger is called by a word of up to 40 letters, digits and _")
    for entry in table:
        if entry not in ENTRIES:
            raise TriggerError(f"unknown entry {entry!r}{near(entry, ENTRIES)}")
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
        requests=requests,
        messages=messages,
        quantize=quantize,
        beat=tuple(sources.place(each) for each in BEAT_INPUTS) if quantize else (),
    )


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
    if entry == "osc":
        if not isinstance(value, str) or ADDRESS.fullmatch(value) is None:
            raise TriggerError(f'osc: expected an address, as in osc = "/cue/go", not {numbers.shown(value)}')
        return SentMessage(address=value)
    table = cast("dict[str, object]", value) if isinstance(value, dict) else {"note": value}
    for each in table:
        if each not in (*_MIDI, "seconds"):
            raise TriggerError(f"midi: unknown entry {each!r}{near(each, (*_MIDI, 'seconds'))}")
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
