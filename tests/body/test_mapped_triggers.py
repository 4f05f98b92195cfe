"""[triggers.NAME] of a mapping: when they fire, and never twice; their notes; and that everything wrong is one line."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from livemove.body.event_inputs import EventInputs
from livemove.body.features import FEATURES, REST, FeatureStream
from livemove.body.mapped_triggers import MappedTriggers, Note, Trigger
from livemove.body.mapping import Mapping, load_mapping
from livemove.body.triggers import HITS, Hit
from livemove.contracts import Action, MappingError, Request, SentMessage
from livemove.synthesis import architectures
from training.metrics.scripted_hits import Camera, compare, script, truth, video

SPEC = architectures.stage("test")
HOP_S = 256 / 48000
JUMP = FEATURES.index("jump")

CHANNELS = """
[channels.pitch]
source = "right_hand_height"
from = [-1.0, 1.0]

[channels.loudness]
source = "LOUDNESS"
from = [0.0, 1.0]

[channels.brightness]
source = "hand_distance"
from = [0.0, 1.0]

[triggers.ping]
"""
PING = 'source = "crouch"\non = 0.6\noff = 0.4\n'


def mapping(table: str, loudness: str = "left_knee") -> Mapping:
    return load_mapping(CHANNELS.replace("LOUDNESS", loudness) + table, SPEC, FEATURES)


def inputs(mapping: Mapping, external: dict[str, float] | None = None, **values: float) -> np.ndarray:
    found = np.concatenate([REST, np.full(len(mapping.external), np.nan, np.float32)])
    for name, number in {"presence": 1.0, **values}.items():
        found[FEATURES.index(name)] = number
    for name, number in (external or {}).items():
        found[len(FEATURES) + mapping.external.index(name)] = number
    return found


def firings(values: list[float], dt_s: float = 0.05, **options: float) -> list[int]:
    """Hops in which a trigger of 0.6 and 0.4 fires."""
    triggers = MappedTriggers((Trigger("ping", 0, 0.6, 0.4, **options),), None)
    return [hop for hop, value in enumerate(values) if triggers.step([value], dt_s, held=False)]


# --- when it fires ------------------------------------------------------------------------------------------


def test_it_fires_once_when_it_rises_and_again_only_after_it_was_low() -> None:
    assert firings([0, 0, 0.61, 0.7, 0.5, 0.7, 0.41, 0.9, 0.39, 0.59, 0.6, 0.9]) == [2, 10]


def test_what_comes_sooner_is_left_out_and_does_not_fire_late() -> None:
    rows = [0, 1, 0, 1, 1, 1, 1, 0, 1]
    assert firings(rows, refractory_s=0.15) == [1, 8]
    assert firings(rows, refractory_s=0.0) == [1, 3, 8]


def test_what_must_be_held_fires_once_it_was_and_not_if_it_was_let_go_sooner() -> None:
    rows = [0, 0.7, 0.5, 0.7, 0.7, 0.7, 0.7, 0.3, 0.3, 0.3, 0.7, 0.7, 0.3, 0.7, 0.7, 0.7, 0.7]
    assert firings(rows, after_s=0.15) == [4, 16]
    assert firings(rows, after_s=0.0) == [1, 10, 13]
    assert firings([0.0, 0.7, math.nan, 0.7, 0.7, 0.7], after_s=0.1) == [3]  # nothing came for a hop
    assert firings([0.7] * 9, after_s=0.1) == []


def test_what_must_be_held_must_be_let_go_as_long_before_it_fires_again() -> None:
    held = [0.7] * 4
    assert firings([0.0, *held, 0.0, *held, 0.0, 0.0, *held], after_s=0.1) == [3, 14]
    assert firings([0.0, *held, 0.0, *held], after_s=0.0) == [1, 6]


def test_what_is_high_from_the_beginning_does_not_fire_but_a_button_that_was_never_pressed_does() -> None:
    assert firings([0.9, 0.9, 0.3, 0.9]) == [3]
    assert firings([math.nan, math.nan, 1.0]) == [2]
    assert firings([0.3, math.nan, 0.9, math.nan, 0.9]) == [2]


def test_a_model_that_comes_in_takes_what_is_high_for_high_since_long() -> None:
    played = mapping(PING + "freeze = true")
    played.step(inputs(played, crouch=0.0), HOP_S)
    played.step(inputs(played, crouch=0.9), math.inf)
    for _ in range(3):
        played.step(inputs(played, crouch=0.9), HOP_S)
        assert not played.fired
    played.step(inputs(played, crouch=0.0), HOP_S)
    played.step(inputs(played, crouch=0.9), HOP_S)
    assert [fired.trigger.name for fired in played.fired] == ["ping"]
    assert played.fired[0].value == pytest.approx(0.9)


def test_who_comes_back_into_view_crouching_has_not_crouched_again() -> None:
    """Features ease from rest to where they are as somebody comes into view: no movement."""
    played = mapping(PING + "freeze = true")
    rows = [(1.0, 0.0), (1.0, 0.9), *((p, 0.9 * p) for p in (0.5, 0.0, 0.3, 0.7, 0.98, 1.0)), (1.0, 0.9)]
    found: list[int] = []
    for i, (presence, crouch) in enumerate([*rows, (1.0, 0.2), (1.0, 0.9)]):
        played.step(inputs(played, presence=presence, crouch=crouch), 1.0)
        found += [i] * len(played.fired)
    assert found == [1, len(rows) + 1]


def test_a_fader_fires_with_nobody_in_view() -> None:
    played = mapping('source = "osc:/go"\non = 1\nfreeze = true')
    for value, expected in ((math.nan, 0), (1.0, 1), (1.0, 0), (0.0, 0)):
        played.step(inputs(played, {"osc:/go": value}, presence=0.0), HOP_S)
        assert len(played.fired) == expected


def test_a_source_that_divides_by_zero_is_said_once_and_fires_by_its_last_value() -> None:
    played = mapping('source = "1 / crouch"\non = 4\noff = 2\nfreeze = true')
    for crouch, expected in ((1.0, 0), (0.2, 1), (0.0, 0), (0.0, 0), (1.0, 0), (0.2, 1)):
        played.step(inputs(played, crouch=crouch), 1.0)
        assert len(played.fired) == expected
    assert played.notices == ["trigger 'ping': source '1 / crouch' divides by zero: it keeps its last value"]


def test_a_reload_goes_on_where_the_same_trigger_is() -> None:
    old, new = mapping(PING + "freeze = true"), mapping(PING + "mute = true")
    old.step(inputs(old, crouch=0.0), HOP_S)
    old.step(inputs(old, crouch=0.9), HOP_S)
    new.take_over(old)
    new.step(inputs(new, crouch=0.9), HOP_S)
    assert not new.fired
    new.step(inputs(new, crouch=0.0), 1.0)
    new.step(inputs(new, crouch=0.9), HOP_S)
    assert len(new.fired) == 1


KINDS = {
    "stomp": ("left_foot", "right_foot"),
    "clap": ("clap",),
    "jump": ("landing",),
    "sudden stop": ("left_hand", "right_hand"),
}


def hits_of_triggers(seed: int, seconds: float) -> tuple[list[Hit], list[Hit]]:
    """(what a trigger for each hit fires, what the script shows), through features, hits, mapping and triggers, hop by
    hop: the clip by which hits are tested."""
    acts = script(seed, seconds)
    tables = (f'[triggers.{name}]\nsource = "hit:{name}"\non = 0.15\noff = 0.1\nmidi = 60\n' for name in HITS)
    text = CHANNELS.replace("LOUDNESS", "left_knee").replace("[triggers.ping]\n", "".join(tables))
    played = load_mapping(text, SPEC, FEATURES)
    stream, events = FeatureStream(), EventInputs()
    waiting = list(reversed(video(acts, seconds, Camera(30.0), seed)))
    found: list[Hit] = []
    for hop in range(int(seconds / HOP_S)):
        now_s = hop * HOP_S
        while waiting and waiting[-1].capture_s <= now_s:
            frame = waiting.pop()
            events.update(frame, float(stream.update(frame)[JUMP]))
        given = np.concatenate([stream.at(now_s), np.zeros(len(played.external), np.float32)])
        events.step(given[: len(FEATURES)], HOP_S)
        events.put(given[len(FEATURES) :], played.external)
        played.step(given, HOP_S)
        found += [Hit(HITS.index(each.trigger.name), each.value, now_s) for each in played.fired]
    return found, truth(acts)


def test_of_a_scripted_dancer_every_stomp_clap_jump_and_sudden_stop_fires_once() -> None:
    """Three minutes, each kind by itself."""
    found: list[Hit] = []
    true: list[Hit] = []
    for place, seed in enumerate((4, 5, 6)):
        for all_of_them, own in zip((found, true), hits_of_triggers(seed, 60.0), strict=True):
            all_of_them += [replace(hit, time_s=hit.time_s + 1000.0 * place) for hit in own]
    for kind, names in KINDS.items():
        own = [[hit for hit in hits if HITS[hit.which] in names] for hits in (found, true)]
        figures = compare(*own)
        print(kind, {name: round(value, 3) for name, value in figures.items()})
        assert figures["hits"] >= 10
        assert figures["f1"] >= 0.95
        assert figures["doubled"] == 0


# --- notes --------------------------------------------------------------------------------------------------


def test_an_envelope_rises_holds_and_falls() -> None:
    note = Note(attack_s=0.1, hold_s=0.2, release_s=0.4)
    times = (0.0, 0.05, 0.1, 0.3, 0.5, 0.7, 9.0, math.inf)
    assert [note.value(t, 0.0) for t in times] == pytest.approx([0, 0.5, 1, 1, 0.5, 0, 0, 0])
    assert note.value(0.0, 0.4) == 0.4  # fired again while it sounds: no click
    assert [Note(0.0, 0.0, 0.1).value(t, 0.0) for t in (0.0, 0.05, 0.2)] == pytest.approx([1, 0.5, 0])
    assert [Note(0.0, 0.1, 0.0).value(t, 0.0) for t in (0.0, 0.05, 0.2)] == [1, 1, 0]


def test_a_note_plays_a_channel_from_the_hop_in_which_it_fires() -> None:
    played = mapping(PING + "hold_s = 0.02\nrelease_s = 0.01", loudness="max(left_knee * 0.1, trigger:ping)")
    rows = [inputs(played, crouch=0.9 if hop >= 2 else 0.0) for hop in range(10)]
    found = [float(played.step(row, 0.005)[1]) for row in rows]
    assert found == pytest.approx([0.1, 0.1, 1, 1, 1, 1, 0.5, 0.1, 0.1, 0.1])
    alone = mapping(PING + "hold_s = 0.02", loudness="trigger:ping")
    for crouch, expected in ((0.0, 0.0), (0.9, 1.0)):
        assert alone.step(inputs(alone, crouch=crouch), 0.005)[1] == expected


def test_a_note_with_a_pitch_plays_it_while_it_sounds_and_of_two_the_newer_one() -> None:
    table = PING + 'hold_s = 0.041\nnote = "A4"\n'
    table += '[triggers.pong]\nsource = "jump"\non = 0.5\nhold_s = 0.011\nnote = 60\n'
    played = mapping(table)
    crouched, both = {"crouch": 0.9}, {"crouch": 0.9, "jump": 0.9}
    found = [
        float(played.step(inputs(played, right_hand_height=0.3, **now), 0.005)[0])
        for now in ({}, crouched, crouched, *[both] * 7)
    ]
    hand = found[0]
    assert found == pytest.approx([hand, 69, 69, 60, 60, 69, 69, 69, 69, hand])
    assert hand not in (60, 69)


def test_a_freeze_holds_notes_and_begins_none_but_is_ended_by_a_trigger() -> None:
    played = mapping(PING + 'hold_s = 0.02\nfreeze = "toggle"', loudness="trigger:ping")
    low, high = inputs(played, crouch=0.0), inputs(played, crouch=0.9)
    played.step(low, 0.005)
    assert played.step(high, 0.005)[1] == 1.0
    for live, expected in ((high, 0), (low, 0)):
        for _ in range(40):
            assert played.step(high, 0.005, live, held=True)[1] == 1.0
            assert len(played.fired) == expected
    assert played.step(high, 0.005, high, held=True)[1] == 1.0
    assert [request.action for fired in played.fired for request in fired.trigger.requests] == [Action.FREEZE]
    for _ in range(10):
        played.step(high, 0.005)
    assert played.step(high, 0.005)[1] == 0.0


def test_a_note_sounds_on_when_its_dancer_leaves() -> None:
    played = mapping(PING + "hold_s = 1", loudness="trigger:ping")
    played.step(inputs(played), HOP_S)
    played.step(inputs(played, crouch=0.9), HOP_S)
    assert played.step(inputs(played, presence=0.0), HOP_S)[1] == 1.0


# --- what it asks for ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("freeze = true", Request(Action.FREEZE, 1.0, absolute=True)),
        ("mute = false", Request(Action.MUTE, 0.0, absolute=True)),
        ('record = "toggle"', Request(Action.RECORD)),
        ("save_last = true", Request(Action.SAVE_LAST)),
        ("preset = 2", Request(Action.PRESET, 1.0, absolute=True)),
        ('preset = "next"', Request(Action.PRESET, 1.0)),
        ('preset = "loud"', Request(Action.PRESET, absolute=True, text="loud")),
        ('model = "previous"', Request(Action.MODEL, -1.0)),
        ('scale = "major"', Request(Action.SCALE, 2.0, absolute=True)),
        ('root = "Bb"', Request(Action.ROOT, 11.0, absolute=True)),
        ("octave = -1", Request(Action.OCTAVE, -1.0, absolute=True)),
        ('octave = "next"', Request(Action.OCTAVE, 1.0)),
        ("gain_db = -6", Request(Action.GAIN, -6.0, absolute=True)),
        ("temperature = 0.5", Request(Action.TEMPERATURE, 0.5, absolute=True)),
        ("snap = 0.5", Request(Action.SNAP, 0.5, absolute=True)),
        ('camera = "demo"', Request(Action.CAMERA, absolute=True, text="demo")),
    ],
)
def test_what_can_be_steered_can_be_asked_for(entry: str, expected: Request) -> None:
    (trigger,) = mapping(PING + entry).triggers.triggers
    assert trigger.requests == (expected,)


def test_what_can_be_sent() -> None:
    (trigger,) = mapping(PING + 'osc = "/cue/go"\nmidi = 60').triggers.triggers
    assert trigger.messages == (SentMessage("/cue/go"), SentMessage(note=60))
    (trigger,) = mapping(PING + "midi = { note = 48, velocity = 20, seconds = 1.5 }").triggers.triggers
    assert trigger.messages == (SentMessage(note=48, velocity=20, seconds=1.5),)
    text = PING + 'osc = { address = "/live/scene/fire", value = 2 }\nmidi = { program = 5 }'
    (trigger,) = mapping(text).triggers.triggers
    assert trigger.messages == (SentMessage("/live/scene/fire", value=2.0, whole=True), SentMessage(program=5))
    (trigger,) = mapping(PING + 'osc = { address = "/dim", value = 0.25 }').triggers.triggers
    assert trigger.messages == (SentMessage("/dim", value=0.25),)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (PING, ["it does nothing", "osc", "preset"]),
        ('source = "crouch"\nfreeze = true', ["on: missing"]),
        ("on = 1\nfreeze = true", ["source: expected a name or an expression"]),
        ('source = "crouhc"\non = 1\nfreeze = true', ["source: unknown input 'crouhc'", "crouch"]),
        ('source = "max(crouch"\non = 1\nfreeze = true', ["source", "not closed", "place 4"]),
        ('source = "trigger:ping"\non = 1\nfreeze = true', ["a trigger cannot be fired by triggers"]),
        ('source = "1 - trigger:ping"\non = 1\nfreeze = true', ["a trigger cannot be fired by triggers"]),
        (PING.replace("0.4", "0.8") + "freeze = true", ["off: 0.8 is above on, 0.6"]),
        (PING + "freez = true", ["unknown entry 'freez'", "freeze"]),
        (PING + "panic = true", ["unknown entry 'panic'"]),
        (PING + "freeze = 1", ["freeze: expected true, false", "1"]),
        (PING + "save_last = false", ["save_last: expected true"]),
        (PING + "preset = 0", ["preset: 0 is outside"]),
        (PING + "preset = 1.5", ["preset: 1.5 is not a whole number"]),
        (PING + 'scale = "majr"', ["scale: unknown scale 'majr'", "major"]),
        (PING + 'style = "cello"', ["style: unknown style 'cello'"]),
        (PING + "octave = 9", ["octave: 9 is outside"]),
        (PING + "temperature = nan", ["temperature: nan"]),
        (PING + "attack_s = -1", ["attack_s: -1 is outside"]),
        (PING + "attack_s = 0", ["lasts no time"]),
        (PING + "refractory_s = -1\nfreeze = true", ["refractory_s"]),
        (PING + 'osc = "cue"', ["osc: expected an address", "'cue'"]),
        (PING + "osc = { address = 3 }", ["osc: expected an address", "3"]),
        (PING + 'osc = { address = "/a", scene = 3 }', ["osc: unknown entry 'scene'", "address"]),
        (PING + 'osc = { address = "/a", value = "x" }', ["osc: value: 'x' is not a number"]),
        (PING + 'osc = { address = "/a", value = 5000000000 }', ["osc: value", "outside"]),
        (PING + "midi = { program = 128 }", ["midi: program: 128 is outside 0..127"]),
        (PING + "midi = { program = 1, note = 60 }", ["a program change has nothing beside it"]),
        (PING + "after_s = -1\nfreeze = true", ["after_s: -1 is outside"]),
        (PING + 'note = "A4"\nfreeze = true', ["note: how long does it sound?", "hold_s"]),
        (PING + 'note = "H4"\nhold_s = 1', ["note: unknown note 'H4'", "Bb2"]),
        (PING + 'note = "C-1"\nhold_s = 1', ["note: C-1 is beyond what the model plays"]),
        (PING + "note = true\nhold_s = 1", ["note: True is not a number"]),
        (PING + "midi = 128", ["midi: note: 128 is outside 0..127"]),
        (PING + "midi = { velocity = 3 }", ["midi: expected a note"]),
        (PING + "midi = { note = 3, speed = 3 }", ["midi: unknown entry 'speed'", "velocity"]),
    ],
)
def test_what_is_wrong_is_one_line_that_names_the_trigger(table: str, words: list[str]) -> None:
    with pytest.raises(MappingError) as caught:
        mapping(table)
    message = str(caught.value)
    assert re.match(r"mapping: trigger 'ping': ", message)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("loudness", "words"),
    [
        ("trigger:pong", ["channel 'loudness'", "unknown trigger 'trigger:pong'", "trigger:ping"]),
        ("max(trigger:pong, crouch)", ["unknown trigger", "place 5"]),
    ],
)
def test_an_unknown_trigger_as_a_source(loudness: str, words: list[str]) -> None:
    with pytest.raises(MappingError) as caught:
        mapping(PING + "hold_s = 1", loudness)
    for word in words:
        assert word in str(caught.value)


def test_names_of_triggers() -> None:
    text = CHANNELS.replace("LOUDNESS", "crouch").replace("[triggers.ping]", '[triggers."a b"]') + PING
    with pytest.raises(MappingError, match="trigger 'a b': a trigger is called by a word"):
        load_mapping(text + "freeze = true", SPEC, FEATURES)
    with pytest.raises(MappingError, match="trigger 'ping': expected a table"):
        load_mapping(
            CHANNELS.replace("LOUDNESS", "crouch").replace("[triggers.ping]", "[triggers]\nping = 1"), SPEC, FEATURES
        )
    many = "".join(f"[triggers.t{i}]\n{PING}freeze = true\n" for i in range(40))
    with pytest.raises(MappingError, match="up to 32 tables"):
        load_mapping(CHANNELS.replace("LOUDNESS", "crouch").replace("[triggers.ping]\n", many), SPEC, FEATURES)
