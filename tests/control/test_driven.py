"""Whole performances driven by OSC and MIDI as they come over UDP and JACK, judged by the sound that was recorded."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livemove.body.features import FEATURES
from livemove.control.clock_out import ClockOut, OwnClock
from livemove.controls import CONTROLS, Kind
from livemove.diagnostics.pitch import yin
from livemove.synthesis.effects import SETTINGS
from tests.control.test_midi_clock import to_port
from tests.support.bundles import PLAYED
from tests.support.heard import Heard, level_db, note_of, partial_db, repeats
from tests.support.osc import packet, send
from tests.support.playing import FIRST, MARGIN, SECOND, check_looping, instrument, looping, note
from tests.support.program import Steps, performing
from tests.support.real_time import in_real_time, timed

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a terminal of its own")


@in_real_time
def test_a_loop_and_a_tail_by_osc(tmp_path: Path) -> None:
    with performing(tmp_path, "-m", str(instrument(tmp_path / "sines"))) as program:

        def press(name: str, times: int = 1) -> None:
            control = CONTROLS[name]
            if control.kind is Kind.TRIGGER:
                send(program.port, packet(f"/livemove/{name}"))
            else:
                send(program.port, packet(f"/livemove/{name}/by", control.step * times))

        program.go_through(looping(program.port, press))
    check_looping(program.takes)


@pytest.fixture
def keyboard(backend: None) -> Iterator[Any]:
    """A virtual MIDI port on JACK that livemove finds as "knobs"."""
    import rtmidi

    made = rtmidi.MidiOut(rtmidi.API_UNIX_JACK, name="knobs")
    made.open_virtual_port("out")
    yield made
    made.close_port()
    made.delete()


FIRST_CC = 70


def turn(keyboard: Any, number: int, value: int) -> None:
    keyboard.send_message([0xB0, number, value])


def learning(port: int, keyboard: Any, names: tuple[str, ...]) -> Steps:
    """Each is asked for by OSC and bound to the next knob."""
    steps: list[Any] = []
    for number, name in enumerate(names, FIRST_CC):
        steps.append((0.2, functools.partial(send, port, packet("/livemove/learn", name))))
        steps.append((0.2, functools.partial(turn, keyboard, number, 127)))
        steps.append((0.0, functools.partial(turn, keyboard, number, 0)))
    return steps


@in_real_time
def test_a_loop_and_a_tail_by_midi_knobs_that_were_taught(tmp_path: Path, keyboard: Any) -> None:
    names = ("loop", "loop_undo", "loop_stop", "loop_clear", "reverb")

    def press(name: str, times: int = 1) -> None:
        number, control = FIRST_CC + names.index(name), CONTROLS[name]
        if control.knob is None:
            turn(keyboard, number, 127)
            turn(keyboard, number, 0)
        else:
            low, high = control.knob
            turn(keyboard, number, round(127 * (control.step * times - low) / (high - low)))

    with performing(tmp_path, "-m", str(instrument(tmp_path / "sines")), "--midi", "knobs") as program:
        program.go_through(learning(program.port, keyboard, names))
        program.go_through(looping(program.port, press))
    check_looping(program.takes)
    assert all(f"plays {name} from now on" in program.said for name in names)


TEMPO = 100.0


@in_real_time
def test_a_loop_on_the_beat_of_a_midi_clock_by_keys(tmp_path: Path, keyboard: Any) -> None:
    """Pressed off the beat, it begins and ends on it, and what was played comes again whole beats later."""
    with performing(tmp_path, "-m", str(instrument(tmp_path / "sines")), "--midi", "knobs") as program:
        clock = ClockOut(OwnClock(TEMPO), to_port(keyboard))
        program.go_through(
            [
                (2.0, lambda: program.type(CONTROLS["loop_quantize"].key)),
                (0.23, functools.partial(note, program.port, FIRST)),
                (0.2, lambda: program.type(CONTROLS["loop"].key)),
                (0.8, functools.partial(note, program.port, SECOND)),
                (0.3, lambda: program.type(CONTROLS["loop"].key)),
                (0.8, functools.partial(note, program.port, None)),
                (3.2, lambda: None),
            ]
        )
        clock.close()
    heard = Heard(program.takes)
    told = heard.hops["effects"][:, SETTINGS.index("loop_pressed")]
    with timed():
        assert np.count_nonzero(told) == 2
        assert heard.hops["loop_quantize"][-1] == 1.0
        assert "loop: waits for the beat" in program.said
    begin, close = np.flatnonzero(told)
    with timed():
        assert heard.gaps(int(heard.at[begin])) == 0
    beats = 4.0 * heard.source("clock.phase")[[begin, close]]
    print(f"pressed at {beats[0]:.3f} and {beats[1]:.3f} beats of the bar")
    with timed():
        assert np.abs((beats + 0.5) % 1.0 - 0.5).max() < 0.04, "24 ms; the nearest hop is within 3"
    beat = float(heard.hops["effects"][close, SETTINGS.index("loop_beat")])
    count = round((heard.at[close] - heard.at[begin]) / beat)
    with timed():
        assert beat == pytest.approx(60.0 * heard.rate / TEMPO, rel=0.01)
    alone = heard.sound[heard.falls_silent(int(heard.at[close])) + MARGIN : -heard.rate // 4]
    assert level_db(alone) > -50.0
    assert repeats(alone, round(count * beat)) > 0.99
    assert repeats(alone, round(count * beat) - round(0.002 * heard.rate)) < 0.95, "and not 2 ms sooner"


HANDS = PLAYED.replace(
    'source = "osc:/pitch"\nfrom = [57, 81]', 'source = "right_hand_height"\nfrom = [-1, 1]'
).replace("osc:/loudness", "osc:/hands")
"""As OSC plays it, but for the pitch, which a hand has; heard where /hands says so."""
DRONE = 76.0


@in_real_time
def test_layers_scale_octave_preset_and_swapped_hands_by_osc_and_midi(tmp_path: Path, keyboard: Any) -> None:
    """Three layers: a voice that OSC plays, a drone, and one that a hand plays; pitches and levels of each side."""
    model = instrument(tmp_path / "sines")
    (tmp_path / "hands.toml").write_text(HANDS)
    presets = [tmp_path / f"{name}.toml" for name in ("loud", "soft")]
    for preset, drone, values in zip(presets, ("", ",gain=-60"), ("", "gain = 0.25\noctave = -1\n"), strict=True):
        preset.write_text(f'model = "{model}+{model}:note={DRONE:g}{drone}+{model}:mapping=hands.toml"\n{values}')
    with performing(tmp_path, *(f"-p{each}" for each in presets), "--midi", "knobs") as program:
        port = program.port

        def tell(name: str, *values: object) -> Any:
            return functools.partial(send, port, packet(f"/livemove/{name}", *values))

        program.go_through(learning(port, keyboard, ("gain_2", "pan_2")))
        program.go_through(
            [
                (0.2, functools.partial(turn, keyboard, FIRST_CC, 112)),  # about 0 dB
                (0.0, functools.partial(note, port, 60.4)),
                (0.6, tell("pan_1", -1.0)),
                (0.0, functools.partial(turn, keyboard, FIRST_CC + 1, 127)),
                (0.6, tell("gain_1_db", -12.0)),
                (0.0, functools.partial(turn, keyboard, FIRST_CC, 0)),  # -48 dB
                (0.6, tell("scale", "major")),
                (0.0, tell("root", "C")),
                (0.0, tell("snap", 1.0)),
                (0.6, tell("octave", 1)),
                (0.6, lambda: keyboard.send_message([0xC0, 1])),  # the second preset
                (0.6, functools.partial(note, port, None)),
                (0.2, lambda: send(port, packet("/hands", 0.6))),
                (1.5, tell("swap_hands", 1)),
                (1.5, lambda: None),
            ]
        )

    heard = Heard(program.takes)
    rate = heard.rate
    panned = max(heard.reaches("pan_1", -1.0), heard.reaches("pan_2", 1.0))
    softer, tuned = heard.reaches("gain_1", 10 ** (-12 / 20)), heard.reaches("snap", 1.0)
    octave, preset, swapped = heard.reaches("octave", 1.0), heard.reaches("preset", 2.0), heard.reaches("swap_hands", 1)
    with timed():
        assert heard.gaps(panned) == 0

    def part(first: int, last: int) -> np.ndarray:
        """What was heard between, but for its beginning."""
        with timed():
            assert last - first > 3 * MARGIN
        return heard.sound[first + 2 * MARGIN : last]

    apart = part(panned, softer)
    voice, drone = ([partial_db(apart[:, side], each, rate) for side in (0, 1)] for each in (60.4, DRONE))
    assert voice[0] > voice[1] + 40.0
    assert drone[1] > drone[0] + 40.0
    assert abs(voice[0] - drone[1]) < 3.0
    quieter = part(softer, tuned)
    assert partial_db(quieter[:, 0], 60.4, rate) - voice[0] == pytest.approx(-12.0, abs=0.5)
    assert partial_db(quieter[:, 1], DRONE, rate) < drone[1] - 40.0
    assert note_of(quieter[:, 0], rate) == pytest.approx(60.4, abs=0.05)
    in_scale = part(tuned, octave)
    assert note_of(in_scale[:, 0], rate) == pytest.approx(60.0, abs=0.05)
    assert note_of(part(octave, preset)[:, 0], rate) == pytest.approx(72.0, abs=0.05)
    # The preset brings all of its own: an octave down, which this voice plays as its lowest note, in the middle.
    recalled = part(preset, heard.falls_silent(preset))
    assert note_of(recalled[:, 0], rate) == pytest.approx(57.0, abs=0.05)
    assert np.abs(recalled[:, 0] - recalled[:, 1]).max() < 1e-5, "but for what the DC block remembers of before"
    assert level_db(recalled) - voice[0] == pytest.approx(-12.0, abs=1.5)

    # Whose hand it is: the heard pitch is where the take's own feature puts it.
    for side, first, last in (("right", heard.falls_silent(preset), swapped), ("left", swapped, len(heard.sound))):
        inside = (heard.at > first + 2 * MARGIN) & (heard.at < last - MARGIN) & (heard.source("osc:/hands") > 0.0)
        height = heard.hops["sources"][inside, FEATURES.index(f"{side}_hand_height")]
        asked = np.clip(57.0 + 12.0 * (height + 1.0) - 12.0, 57.0, 81.0).astype(np.float64)
        found = yin(heard.sound[:, 0].astype(np.float32), rate, heard.at[inside].astype(np.float64), asked)
        assert np.ptp(asked) > 1.0, "the hand moves"
        assert np.nanmedian(np.abs(found - asked)) < 0.3
        assert np.isfinite(found).mean() > 0.8
