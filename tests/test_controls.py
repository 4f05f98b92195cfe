"""One table for everything that can be steered, and every way to it: OSC, MIDI, the terminal's keys, presets."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
from mido import Message

from livemove.body.features import FEATURES
from livemove.body.mapping import load_mapping
from livemove.body.notes import NOTES, note_name, pitch_class
from livemove.contracts import Action, Controls, Request
from livemove.control import keys, midi, vocabulary
from livemove.control.osc import requests_of
from livemove.control.presets import Preset, set_list
from livemove.control.steering import steer
from livemove.controls import BY_ACTION, CONTROLS, LAYER_GAINS, LAYER_PANS, STYLE_WEIGHTS, Control, Kind, key_press
from livemove.synthesis import architectures
from tests.support.paths import ROOT

every = pytest.mark.parametrize("control", CONTROLS.values(), ids=list(CONTROLS))


def test_the_table_has_every_action_once_but_those_that_are_no_control() -> None:
    assert set(BY_ACTION) == set(Action) - {Action.STOP, Action.LEARN}
    assert len(BY_ACTION) == len(CONTROLS)
    pressed = [key for control in CONTROLS.values() for key in (control.key, control.back_key) if key]
    assert len(pressed) == len(set(pressed)), "no key asks for two things"


@every
def test_every_control_has_an_osc_address(control: Control) -> None:
    requests = requests_of(f"/livemove/{control.name}", [1], {})
    assert [request.action for request in requests] == [control.action]
    by = (
        requests_of(f"/livemove/{control.name}/by", [1.0], {})
        if control.kind.value in ("value", "steps", "list")
        else []
    )
    assert [request.action for request in by] == [control.action] * len(by)
    assert len(by) == (control.kind not in (Kind.SWITCH, Kind.TRIGGER))


@every
def test_every_control_can_be_learned_by_a_knob_and_a_pad(control: Control) -> None:
    assert vocabulary.learnable(control.name) is control.action
    hands = midi.MidiInterpreter(midi.MidiBindings(None), presets=False)
    hands.learnt.learn("cc", 21, control.name)
    hands.learnt.learn("note", 40, control.name)
    heard = vocabulary.Received()
    hands.handle(Message("control_change", control=21, value=127), heard)
    hands.handle(Message("note_on", note=40, velocity=64), heard)
    turned, struck = heard.requests
    assert {turned.action, struck.action} == {control.action}
    if control.kind is Kind.SWITCH:
        assert turned == Request(control.action, 1.0, absolute=True)
    if control.knob is not None:
        assert turned == Request(control.action, control.knob[1], absolute=True)


def test_without_being_taught_a_pedal_holds_and_all_sound_off_is_silence() -> None:
    assert midi.BINDINGS == {("cc", 64): "freeze", ("cc", 120): "panic"}


def test_what_a_knob_plays_from_end_to_end() -> None:
    assert {name: control.knob for name, control in CONTROLS.items() if control.knob} == {
        "gain": (-48.0, 6.0), "temperature": (0.0, 2.0), "octave": (-2.4, 2.4), "look_ahead": (0.0, 80.0),
        "snap": (0.0, 1.0),
        **{f"style_{i}": (0.0, 1.0) for i in range(1, 9)}, **{f"gain_{i}": (-48.0, 6.0) for i in range(1, 5)},
        **{f"pan_{i}": (-1.0, 1.0) for i in range(1, 5)},
        "reverb": (0.0, 1.0), "reverb_decay": (0.2, 8.0), "reverb_damping": (0.0, 1.0), "delay": (0.0, 1.0),
        "delay_time": (50.0, 1000.0), "delay_beats": (0.0, 2.0), "delay_feedback": (0.0, 0.95), "tempo": (60.0, 187.0),
        "loop_level": (0.0, 1.0), "loop_quantize": (0.0, 4.0),
    }  # fmt: skip


def test_every_control_that_has_a_key_has_it_in_the_terminal_too() -> None:
    typed = {
        "up": "\x1b[A", "down": "\x1b[B", "space": " ", "backspace": "\x7f", "page_up": "\x1b[5~",
        "page_down": "\x1b[6~", "f5": "\x1b[15~",
    }  # fmt: skip
    reached = {
        request.action
        for control in CONTROLS.values()
        for key in (control.key, control.back_key)
        for request in keys.understood(typed.get(key, key if len(key) == 1 else "")).requests
    }
    assert set(BY_ACTION) - reached == {*STYLE_WEIGHTS, *LAYER_GAINS, *LAYER_PANS}
    for action in reached:
        assert f"{BY_ACTION[action].key_label} {BY_ACTION[action].help}" in keys.HELP


def test_shift_goes_back_where_there_is_a_way_back() -> None:
    assert key_press("t", False) == (CONTROLS["temperature"], 0.05)
    assert key_press("t", True) == (CONTROLS["temperature"], -0.05)
    assert key_press("up", True) == (CONTROLS["gain"], 1.0)
    assert key_press("down", False) == (CONTROLS["gain"], -1.0)
    assert key_press("m", True) == (CONTROLS["mute"], 0.0)
    assert key_press("", False) is None
    assert key_press("#", False) is None


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("gain", -60.0, 20.0),
        ("temperature", 0.0, 4.0),
        ("octave", -4, 4),
        ("look_ahead", 0.0, 80.0),
        ("snap", -0.05, 1.0),
    ],
)
def test_steering_ends_where_the_table_says(name: str, low: float, high: float) -> None:
    def got(controls: Controls) -> float:
        values = {
            "gain": 20 * math.log10(controls.gain), "temperature": controls.temperature, "octave": controls.octave,
            "look_ahead": 1e3 * controls.look_ahead_s, "snap": controls.snap,
        }  # fmt: skip
        return values[name]

    assert CONTROLS[name].limits == (low, high)
    for end in (low, high):
        asked = Request(CONTROLS[name].action, end * 10 - (1000 if end == low else -1000), absolute=True)
        assert got(steer(Controls(), asked, styles=1)) == pytest.approx(end)


def test_every_entry_of_the_table_for_presets_is_one() -> None:
    known = {field.name for field in dataclasses.fields(Preset)}
    entries = {control.preset for control in CONTROLS.values() if control.preset}
    assert known - entries == {"name", "mapping", "devices"}
    assert entries <= known


@pytest.mark.parametrize(
    ("entry", "beyond"), [("gain", 10.1), ("temperature", 4.1), ("look_ahead_ms", 80.5), ("snap", 1.1)]
)
def test_presets_end_where_steering_ends(tmp_path: Path, entry: str, beyond: float) -> None:
    path = tmp_path / "far.toml"
    path.write_text(f"{entry} = {beyond}\n")
    with pytest.raises(vocabulary.ControlError, match="outside"):
        set_list([str(path)])
    path.write_text(f"{entry} = {CONTROLS[entry.removesuffix('_ms')].high / (1 if entry != 'gain' else 2)}\n")
    assert len(set_list([str(path)])) == 1


# --- notes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("flat", "sharp"), [("Db", "C#"), ("Eb", "D#"), ("Gb", "F#"), ("Ab", "G#"), ("Bb", "A#")])
def test_flats_and_sharps_are_the_same_notes_wherever_they_are_written(tmp_path: Path, flat: str, sharp: str) -> None:
    assert pitch_class(flat) == pitch_class(sharp)
    names = {"root": ("", *NOTES)}
    assert requests_of("/livemove/root", [flat], names) == requests_of("/livemove/root", [sharp], names)
    roots: list[int] = []
    for note in (flat, sharp):
        path = tmp_path / "preset.toml"
        path.write_text(f'root = "{note}"\n')
        roots.append(set_list([str(path)])[0].controls(0, 0).root)
        mapping = (ROOT / "models" / "theremin" / "mapping.toml").read_text()
        text = mapping.replace('root = "A"', f'root = "{note}"')
        roots.append(round(load_mapping(text, architectures.stage("test"), FEATURES).routes[0].root) + 1)
    assert len(set(roots)) == 1


def test_notes_have_one_spelling() -> None:
    assert [note_name(60 + number)[0] for number in range(12)] == [f"{note}4" for note in NOTES]
    assert note_name(69.1) == ("A4", 10)
    assert note_name(60.6) == ("C#4", -40)
    assert pitch_class("H") is None
    assert pitch_class("") is None
