"""MIDI: what a keyboard, knobs and pedals mean, what they can be taught, and a real port that comes and goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mido
import pytest

from livemove.contracts import Action, ControlError, Request, SentMessage
from livemove.control.control_config import ControlConfig
from livemove.control.midi import ActiveSensing, MidiBindings, MidiInterpreter, find_port
from livemove.control.vocabulary import Received
from livemove.ipc.segment import Segment
from livemove.synthesis import architectures
from tests.support.control_process import control, wait_for
from tests.support.real_time import in_real_time


def hear(*messages: mido.Message, hands: MidiInterpreter | None = None) -> Received:
    received = Received()
    ears = hands or MidiInterpreter(MidiBindings(None), presets=True)
    for message in messages:
        ears.handle(message, received)
    return received


def cc(number: int, value: int) -> mido.Message:
    return mido.Message("control_change", control=number, value=value)


def on(note: int, velocity: int = 100) -> mido.Message:
    return mido.Message("note_on", note=note, velocity=velocity)


def off(note: int) -> mido.Message:
    return mido.Message("note_off", note=note)


@pytest.mark.parametrize(
    ("played", "sources"),
    [
        ([on(60)], {"midi:note": 60.0, "midi:velocity": 100.0}),
        ([on(60), off(60)], {"midi:note": 60.0, "midi:velocity": 0.0}),
        ([on(60), on(60, 0)], {"midi:note": 60.0, "midi:velocity": 0.0}),
        ([on(60, 80), on(64, 90), off(64)], {"midi:note": 60.0, "midi:velocity": 80.0}),
        ([on(60, 80), on(64, 90), off(60)], {"midi:note": 64.0, "midi:velocity": 90.0}),
        ([cc(1, 64)], {"midi:cc1": 64.0}),
        ([mido.Message("pitchwheel", pitch=-8192)], {"midi:bend": -1.0}),
        ([mido.Message("aftertouch", value=127)], {"midi:pressure": 127.0}),
        ([on(60), on(64), cc(123, 0)], {"midi:note": 64.0, "midi:velocity": 0.0, "midi:cc123": 0.0}),
        ([on(60), cc(120, 0)], {"midi:note": 60.0, "midi:velocity": 0.0, "midi:cc120": 0.0}),
        ([on(60), cc(126, 1)], {"midi:note": 60.0, "midi:velocity": 0.0, "midi:cc126": 1.0}),
        ([on(60), cc(123, 0).copy(channel=1)], {"midi:note": 60.0, "midi:velocity": 100.0, "midi:cc123": 0.0}),
        ([on(60).copy(channel=1), on(60), off(60)], {"midi:note": 60.0, "midi:velocity": 100.0}),
        ([mido.Message("clock"), mido.Message("sysex", data=[1, 2])], {}),
    ],
)
def test_keys_and_knobs_are_sources(played: list[mido.Message], sources: dict[str, float]) -> None:
    assert hear(*played).inputs == sources


@pytest.mark.parametrize(
    ("bindings", "played", "expected"),
    [
        ({}, [cc(64, 127), cc(64, 0)], [Request(Action.FREEZE, 1.0, True), Request(Action.FREEZE, 0.0, True)]),
        ({}, [cc(120, 0)], []),
        ({}, [cc(120, 127), cc(120, 127), cc(120, 0), cc(120, 127)], [Request(Action.PANIC)] * 2),
        ({}, [mido.Message("program_change", program=3)], [Request(Action.PRESET, 3.0, True)]),
        ({("cc", 7): "gain"}, [cc(7, 0), cc(7, 127)], [Request(Action.GAIN, -48, True), Request(Action.GAIN, 6, True)]),
        ({("cc", 9): "model"}, [cc(9, 100), cc(9, 110), cc(9, 0), cc(9, 64)], [Request(Action.MODEL, 1.0)] * 2),
        ({("note", 36): "mute"}, [on(36), off(36)], [Request(Action.MUTE)]),
        ({("note", 36): "preset"}, [on(36)], [Request(Action.PRESET, 1.0)]),
    ],
)
def test_what_is_bound_is_asked_for(bindings: dict[Any, str], played: list[Any], expected: list[Request]) -> None:
    learnt = MidiBindings(None)
    learnt.bindings.update(bindings)
    assert hear(*played, hands=MidiInterpreter(learnt, presets=True)).requests == expected


def test_a_pad_that_does_something_is_no_music() -> None:
    learnt = MidiBindings(None)
    learnt.bindings["note", 36] = "mute"
    assert hear(on(36), hands=MidiInterpreter(learnt, presets=True)).inputs == {}


def test_without_presets_a_program_is_a_model() -> None:
    hands = MidiInterpreter(MidiBindings(None), presets=False)
    assert hear(mido.Message("program_change", program=1), hands=hands).requests == [Request(Action.MODEL, 1.0, True)]


def test_a_knob_turns_an_octave_in_five_even_steps() -> None:
    learnt = MidiBindings(None)
    learnt.bindings["cc", 5] = "octave"
    hands = MidiInterpreter(learnt, presets=False)
    places = [round(request.amount) for request in hear(*(cc(5, n) for n in range(128)), hands=hands).requests]
    assert sorted(set(places)) == [-2, -1, 0, 1, 2]
    assert all(24 <= places.count(place) <= 27 for place in range(-2, 3))


@pytest.mark.parametrize("message", [cc(121, 0), mido.Message("reset")])
def test_a_reset_puts_bend_pressure_and_pedals_back(message: mido.Message) -> None:
    heard = hear(
        on(60), mido.Message("pitchwheel", pitch=4000), cc(1, 90), mido.Message("aftertouch", value=5), message
    )
    assert [heard.inputs[f"midi:{name}"] for name in ("bend", "pressure", "cc1")] == [0.0, 0.0, 0.0]
    assert heard.inputs["midi:velocity"] == (0.0 if message.type == "reset" else 100.0)


def test_active_sensing_that_ceases_is_a_cable_pulled_once() -> None:
    sensing = ActiveSensing()
    sensing.heard(False, 0.0)
    assert not sensing.ceased(100.0)  # it never sent any: silence says nothing
    for time_s in (100.0, 100.3, 100.6):
        sensing.heard(True, time_s)
        assert not sensing.ceased(time_s + 0.3)
    sensing.heard(False, 100.8)
    assert not sensing.ceased(101.1)
    assert sensing.ceased(101.2)
    assert not sensing.ceased(105.0)


def test_what_was_learnt_is_kept_and_the_next_start_knows_it(tmp_path: Path) -> None:
    path = tmp_path / "config" / "midi.toml"
    hands, received = MidiInterpreter(MidiBindings(path), presets=False), Received()
    assert "cc 7 plays gain" in hands.handle(cc(7, 100), received, learning="gain")
    assert "note 36 plays mute" in hands.handle(on(36), received, learning="mute")
    assert received.requests == []  # the move that teaches does nothing else
    assert MidiBindings(path).bindings == {
        ("cc", 64): "freeze",
        ("cc", 120): "panic",
        ("cc", 7): "gain",
        ("note", 36): "mute",
    }
    assert sorted(each.name for each in path.parent.iterdir()) == ["midi.toml", "midi.toml.bak"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[cc]\n7 = 'tuba'", "tuba"),
        ("[cc]\n200 = 'gain'", "200"),
        ("[knob]\n7 = 'gain'", "knob"),
        ("cc = 7", "cc"),
        ("[cc", "cannot be read"),
    ],
)
def test_a_file_that_was_edited_wrongly_is_named(text: str, word: str, tmp_path: Path) -> None:
    path = tmp_path / "midi.toml"
    path.write_text(text)
    with pytest.raises(ControlError, match=word) as error:
        MidiBindings(path)
    assert str(path) in str(error.value)


def test_a_port_is_found_by_part_of_its_name() -> None:
    names = ["Midi Through Port-0", "nanoKONTROL2 1", "KeyStation"]
    assert find_port("", names) == "nanoKONTROL2 1"
    assert find_port("keys", names) == "KeyStation"
    with pytest.raises(ControlError, match="nanoKONTROL2 1"):
        find_port("tuba", names)


# --- real ports, on JACK's MIDI -----------------------------------------------------------------------------


class Keyboard:
    """A virtual port that plays and can be pulled out."""

    def __init__(self) -> None:
        import rtmidi

        self._out = rtmidi.MidiOut(rtmidi.API_UNIX_JACK, name="keyboard")
        self._out.open_virtual_port("keys")

    def play(self, message: mido.Message) -> None:
        self._out.send_message(message.bytes())

    def pull(self) -> None:
        self._out.close_port()
        self._out.delete()


@in_real_time
@pytest.mark.usefixtures("backend")
def test_a_real_keyboard_plays_teaches_goes_and_comes_back(segment: Segment, tmp_path: Path) -> None:
    from dataclasses import replace

    process_state, learnt = segment.processes["control"], tmp_path / "midi.toml"
    place = segment.external_inputs.want("midi:note")
    velocity = segment.external_inputs.want("midi:velocity")
    keyboard = Keyboard()
    with control(segment, ControlConfig(midi="keyboard", learnt=learnt), tmp_path / "log"):
        keyboard.play(on(61))
        wait_for(lambda: segment.external_inputs.values[place] == 61.0)
        keyboard.play(mido.Message("program_change", program=2))
        assert wait_for(segment.commands.take) == Request(Action.MODEL, 2.0, True)

        segment.controls.write(replace(segment.controls.read(), learn=Action.GAIN))
        keyboard.play(cc(7, 10))
        assert wait_for(segment.commands.take) == Request(Action.LEARN, 0.0, True)
        segment.controls.write(replace(segment.controls.read(), learn=0))
        wait_for(lambda: "cc 7 plays gain" in process_state.remarks[1])
        keyboard.play(cc(7, 127))
        assert wait_for(segment.commands.take) == Request(Action.GAIN, 6.0, True)

        wait_for(lambda: segment.external_inputs.values[velocity] == 100.0)
        keyboard.play(mido.Message("active_sensing"))
        wait_for(lambda: segment.external_inputs.values[velocity] == 0.0)  # and nothing more comes
        keyboard.play(on(61))
        wait_for(lambda: segment.external_inputs.values[velocity] == 100.0)
        keyboard.pull()
        wait_for(lambda: "is gone" in process_state.remarks[1])
        wait_for(lambda: segment.external_inputs.values[velocity] == 0.0)
        keyboard = Keyboard()
        wait_for(lambda: "is back" in process_state.remarks[1])
        keyboard.play(on(62))
        wait_for(lambda: segment.external_inputs.values[place] == 62.0)
    keyboard.pull()


@in_real_time
@pytest.mark.usefixtures("backend")
def test_channels_go_out_as_control_changes(segment: Segment, tmp_path: Path) -> None:
    import numpy as np
    import rtmidi

    ear = rtmidi.MidiIn(rtmidi.API_UNIX_JACK, name="synthesizer")
    ear.open_virtual_port("in")
    config = ControlConfig(midi_out="synthesizer", channels=((architectures.PITCH, architectures.LOUDNESS),))
    got: list[list[int]] = []
    steps = [
        ((57.0, 0.0), [[0xB0, 20, 0], [0xB0, 21, 0]]),
        ((81.0, 0.0), [[0xB0, 20, 127]]),
        ((81.0, 0.5), [[0xB0, 21, 64]]),
    ]
    with control(segment, config, tmp_path / "log"):
        for values, expected in steps:
            segment.capture.frame_used(10.0, 1)
            got.clear()

            def received(values: tuple[float, float] = values, count: int = len(expected)) -> bool:
                """The hops go on until synthesis is seen to have made some of this pose."""
                segment.synthesis.hop(0.001, 256, np.array(values, np.float32))
                while message := ear.get_message():
                    got.append(message[0])
                return len(got) >= count

            wait_for(received)
            assert got == expected
    ear.close_port()
    ear.delete()


@in_real_time
@pytest.mark.usefixtures("backend")
def test_notes_of_triggers_begin_and_end_once_and_none_hangs(segment: Segment, tmp_path: Path) -> None:
    import rtmidi

    ear = rtmidi.MidiIn(rtmidi.API_UNIX_JACK, name="synthesizer")
    ear.open_virtual_port("in")
    got: list[list[int]] = []

    def received(count: int) -> bool:
        while message := ear.get_message():
            got.append(message[0])
        return len(got) >= count

    with control(segment, ControlConfig(midi_out="synthesizer"), tmp_path / "log"):
        segment.outbox.put(SentMessage(note=60, velocity=90, seconds=0.05))
        wait_for(lambda: received(2))
        segment.outbox.put(SentMessage(note=61, seconds=60.0))
        segment.outbox.put(SentMessage(note=61, velocity=1, seconds=60.0))
        wait_for(lambda: received(5))
        segment.outbox.put(SentMessage(program=5))
        wait_for(lambda: received(6))
    wait_for(lambda: received(7))
    assert got == [
        [0x90, 60, 90], [0x80, 60, 0], [0x90, 61, 100], [0x80, 61, 0], [0x90, 61, 1], [0xC0, 5], [0x80, 61, 0]
    ]  # fmt: skip
    ear.close_port()
    ear.delete()


@in_real_time
@pytest.mark.usefixtures("backend")
def test_a_port_that_is_not_there_is_waited_for_in_words(segment: Segment, tmp_path: Path) -> None:
    """In and out: it starts, says which ports there are, and connects when they come."""
    import rtmidi

    process_state = segment.processes["control"]
    place = segment.external_inputs.want("midi:note")
    with control(segment, ControlConfig(midi="keyboard", midi_out="tuba"), tmp_path / "log"):
        wait_for(lambda: "no MIDI port 'tuba'" in process_state.remarks[1])
        assert "no MIDI port 'keyboard'" in process_state.remarks[1]
        assert process_state.waits_for.startswith("MIDI from keyboard; MIDI to tuba")
        keyboard = Keyboard()
        ear = rtmidi.MidiIn(rtmidi.API_UNIX_JACK, name="tuba")
        ear.open_virtual_port("in")

        def played() -> bool:
            keyboard.play(on(61))
            return segment.external_inputs.values[place] == 61.0

        wait_for(played)
        wait_for(lambda: process_state.waits_for == "")
    keyboard.pull()
    ear.close_port()
    ear.delete()
