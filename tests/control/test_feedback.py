"""What a request did, or why it did nothing: every key has a line for when it can do nothing."""

from __future__ import annotations

import dataclasses

import pytest

from livemove.body.features import FEATURES
from livemove.body.mapping import identity_mapping, load_mapping
from livemove.contracts import Action, Channel, Controls, ModelSpec, Request
from livemove.control import feedback, keys
from livemove.control.feedback import Loaded
from livemove.control.steering import steer
from livemove.controls import CONTROLS, STYLE_WEIGHTS, Kind
from tests.support.bundles import MAPPING, small_spec

SPEC = small_spec("theremin")
ONE_STYLE = dataclasses.replace(SPEC, styles=("cello",))


def loaded(spec: ModelSpec = SPEC, mapping: str = MAPPING, **others: object) -> Loaded:
    made = Loaded(("theremin",), (), "theremin", spec, load_mapping(mapping, spec, FEATURES))
    return dataclasses.replace(made, **others)


def features_only() -> Loaded:
    channels = tuple(Channel(name, "0..1", -1.0, 1.0, 0.0) for name in ("presence", "energy"))
    spec = dataclasses.replace(SPEC, channels=channels, phase=None)
    return Loaded(("dance",), (), "dance", spec, identity_mapping(spec, FEATURES), from_file=False)


def refused(before: Controls, request: Request, there: Loaded) -> str:
    after = steer(before, request, len(there.spec.styles), len(there.models))
    return feedback.refusal(before, after, request, there)


@pytest.mark.parametrize(
    ("request_", "before", "there", "words"),
    [
        (Request(Action.MODEL, 1.0), Controls(), loaded(), "the only model that is loaded: -m theremin -m NAME"),
        (Request(Action.PRESET, 1.0), Controls(), loaded(), "no presets are loaded: -p NAME -p NAME"),
        (Request(Action.STYLE, 1.0), Controls(), loaded(), "theremin has no styles"),
        (Request(Action.STYLE_2, 1.0, True), Controls(), loaded(), "theremin has no styles"),
        (Request(Action.STYLE, 1.0), Controls(), loaded(ONE_STYLE), "one style, cello"),
        (Request(Action.GAIN, 1.0), Controls(gain=10.0), loaded(), "gain is +20.0 dB: it goes no further"),
        (Request(Action.GAIN, -1.0), Controls(gain=1e-3), loaded(), "gain is −∞ dB: it goes no further"),
        (Request(Action.TEMPERATURE, -0.05), Controls(temperature=0.0), loaded(), "temperature is 0.00: it goes no"),
        (Request(Action.LOOK_AHEAD, 10.0), Controls(), loaded(), "look-ahead is auto: it goes no further"),
        (Request(Action.OCTAVE, 1.0), Controls(octave=4), loaded(), "octave is +4: it goes no further"),
        (Request(Action.ROOT, 1.0), Controls(), loaded(), "a root counts only in a scale: K chooses one"),
        (Request(Action.OCTAVE, 1.0), Controls(), features_only(), "dance has no pitch channel"),
        (Request(Action.SCALE, 1.0), Controls(), features_only(), "dance has no pitch channel"),
        (Request(Action.RELOAD), Controls(), features_only(), "it has no mapping to read"),
        (Request(Action.SWAP_HANDS), Controls(), features_only(), "there is nothing to swap"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_says_why(request_: Request, before: Controls, there: Loaded, words: str) -> None:
    assert words in refused(before, request_, there)


@pytest.mark.parametrize(
    "request_",
    [
        Request(Action.GAIN, 1.0), Request(Action.MUTE), Request(Action.FREEZE), Request(Action.PANIC, 1.0),
        Request(Action.TEMPERATURE, 0.05), Request(Action.OCTAVE, 1.0), Request(Action.SCALE, 1.0),
        Request(Action.LOOK_AHEAD, -10.0), Request(Action.SWAP_HANDS), Request(Action.RELOAD),
    ],
)  # fmt: skip
def test_what_can_be_done_is_not_refused_and_is_told(request_: Request) -> None:
    there = loaded()
    assert refused(Controls(), request_, there) == ""
    after = steer(Controls(), request_, 0)
    assert bool(feedback.change(after, request_, there)) == (request_.action is not Action.RELOAD)


def test_every_control_that_a_key_moves_is_told_or_tells_itself() -> None:
    """Takes, cameras, devices, models, presets and the loop have lines of their own where they are changed."""
    there, themselves = loaded(dataclasses.replace(SPEC, styles=("a", "b"))), {
        "record", "save_last", "save_preset", "model", "preset", "camera", "device", "reload",
        "loop", "loop_undo", "loop_stop", "loop_clear",
    }  # fmt: skip
    for name, control in CONTROLS.items():
        if control.action in STYLE_WEIGHTS:
            continue
        request = Request(control.action, control.amount(back=control.kind is Kind.VALUE))
        assert bool(feedback.change(steer(Controls(), request, 2), request, there)) == (name not in themselves), name


def test_what_the_mapping_plays_is_not_set_by_hand() -> None:
    there = loaded(mapping=MAPPING + '\n[effects]\nreverb = "crouch"\n')
    said = "reverb is played by the mapping of theremin, which comes before what is set"
    assert refused(Controls(), Request(Action.REVERB, 0.05), there) == said
    assert refused(Controls(), Request(Action.DELAY, 0.05), there) == ""
    assert feedback.change(Controls(delay_beats=0.75), Request(Action.DELAY_BEATS, 0.25), there) == (
        "delay-beats 0.75 beats"
    )
    assert feedback.change(Controls(tempo=0.0), Request(Action.TEMPO, -1.0), there) == "tempo none"


def test_the_level_of_a_layer_is_told_and_of_one_that_is_not_there_refused() -> None:
    alone, both = loaded(), loaded(layers=2, model="theremin+cello")
    for action in (Action.GAIN_2, Action.PAN_2):
        assert refused(Controls(), Request(action, 0.1), alone) == "theremin has one layer: -m theremin+NAME adds one"
        assert refused(Controls(), Request(action, 0.1), both) == ""
    assert "theremin+cello has 2 layers" in refused(Controls(), Request(Action.PAN_4, 0.1), both)
    after = steer(steer(Controls(), Request(Action.PAN_2, -0.3), 0), Request(Action.GAIN_2, -6.0), 0)
    assert feedback.change(after, Request(Action.PAN_2, -0.3), both) == "pan-2 0.30 left"
    assert feedback.change(after, Request(Action.GAIN_2, -6.0), both) == "gain-2 -6.0 dB"
    assert feedback.change(after, Request(Action.PAN_1, 0.0), both) == "pan-1 in the middle"


# --- how far the voice reaches --------------------------------------------------------------------------------


def ranged(low: float, high: float) -> Loaded:
    """The mapping plays A3 to A5; a voice from low to high."""
    pitch = dataclasses.replace(SPEC.channels[0], minimum=low, maximum=high, rest=min(max(69.0, low), high))
    spec = dataclasses.replace(SPEC, channels=(pitch, *SPEC.channels[1:]))
    return loaded(spec, mapping_of(low, high))


def mapping_of(low: float, high: float) -> str:
    return MAPPING.replace("to = [57, 81]", f"to = [{max(57, low):g}, {min(81, high):g}]")


def test_an_octave_within_the_voice_is_only_named() -> None:
    assert feedback.reach(Controls(octave=1), ranged(36.0, 96.0)) == "octave +1"
    assert feedback.reach(Controls(), ranged(36.0, 96.0)) == "octave 0"


def test_what_the_voice_cannot_reach_is_said() -> None:
    assert feedback.reach(Controls(octave=1), ranged(57.0, 88.0)) == (
        "octave +1: theremin plays up to E6, the highest 5 semitones of your range stay there"
    )
    assert feedback.reach(Controls(octave=-1), ranged(50.0, 88.0)) == (
        "octave −1: theremin plays from D3 up, the lowest 5 semitones of your range stay there".replace("−", "-")
    )
    assert "octave +4, no further than +1: theremin plays up to A5, the highest 12" in (
        feedback.reach(Controls(octave=4), ranged(57.0, 81.0))
    )


# --- keys of the terminal -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("z", "Z does nothing here: ? lists the keys"), ("q", "here Ctrl-C does"), ("é", "É does nothing here"),
        ("s", "the stage view: in the window only"), ("c", "body features: in the window only"),
        ("I", "the mirrored image"), ("?", "M mute"), ("\x1b[17~", "this key"), ("\x1b", "Esc does nothing"),
    ],
)  # fmt: skip
def test_a_key_that_means_nothing_in_the_terminal_says_so(typed: str, words: str) -> None:
    found = keys.understood(typed)
    assert found.requests == []
    assert len(found.lines) == 1
    assert words in found.lines[0]


def test_a_sequence_is_one_key_and_a_held_one_is_one_line() -> None:
    assert [r.action for r in keys.understood("\x1b[A\x1b[2~m").requests] == [Action.GAIN, Action.MUTE]
    assert len(keys.understood("zzzzz").lines) == 1
