"""[effects] of a mapping: what plays sends, delay and pan; and that everything wrong with it is one clear line."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from livemove.body.effect_routes import PLAYED
from livemove.body.features import FEATURES
from livemove.body.mapping import Mapping, load_mapping
from livemove.contracts import MappingError
from livemove.synthesis import architectures
from tests.body.test_mapping import GOOD, SPEC, inputs


def mapped(table: str) -> Mapping:
    return load_mapping(GOOD + table, SPEC, FEATURES)


def played(mapping: Mapping, **values: float) -> dict[str, float]:
    mapping.step(inputs(**values), 1e3)
    assert mapping.effects is not None
    return dict(zip(PLAYED, mapping.effects.tolist(), strict=True))


def test_without_the_table_nothing_of_the_effects_is_played() -> None:
    assert load_mapping(GOOD, SPEC, FEATURES).effects is None


def test_a_source_alone_plays_all_of_a_send() -> None:
    mapping = mapped('[effects]\nreverb = "crouch"\npan = "lean_side"\n')
    assert mapping.played_effects == ("reverb", "pan")
    found = played(mapping, crouch=0.25, lean_side=-0.5)
    assert found["reverb"] == pytest.approx(0.25)
    assert found["pan"] == pytest.approx(-0.5)
    assert np.isnan([found["delay"], found["delay_s"]]).all()


def test_a_table_has_what_a_channel_has_and_times_become_seconds() -> None:
    table = '[effects.delay_time]\nsource = "right_hand_height"\nfrom = [-1, 1]\nto = [100, 500]\ncurve = 1.0\n'
    mapping = mapped(table + '[effects.delay]\nsource = "max(crouch, 0.5)"\nfrom = [0, 1]\nto = [0, 0.6]\n')
    found = played(mapping, right_hand_height=0.5)
    assert found["delay_s"] == pytest.approx(0.4)
    assert found["delay"] == pytest.approx(0.3)


def test_with_nobody_in_view_it_is_dry_and_in_the_middle() -> None:
    mapping = mapped('[effects]\nreverb = "crouch"\npan = "lean_side"\n')
    played(mapping, crouch=1.0, lean_side=1.0)
    found = played(mapping, crouch=1.0, lean_side=1.0, presence=0.0)
    assert (found["reverb"], found["pan"]) == (0.0, 0.0)


def test_styles_beside_it_are_played_as_ever() -> None:
    spec = dataclasses.replace(architectures.stage("test"), styles=("a", "b"))
    both = '[styles]\nbetween = ["a", "b"]\nsource = "crouch"\nfrom = [0, 1]\n[effects]\nreverb = "crouch"\n'
    mapping = load_mapping(GOOD + both, spec, FEATURES)
    assert played(mapping, crouch=0.25)["reverb"] == pytest.approx(0.25)
    assert mapping.styles is not None
    assert mapping.styles.tolist() == pytest.approx([0.75, 0.25])


def test_a_mapping_that_is_read_again_goes_on_where_it_was() -> None:
    slow = '[effects.reverb]\nsource = "crouch"\nfrom = [0, 1]\nsmoothing_s = 1.0\n'
    before, after, other = mapped(slow), mapped(slow), mapped('[effects]\npan = "lean_side"\n')
    for _ in range(50):
        before.step(inputs(crouch=1.0), 0.02)
    after.take_over(before)
    other.take_over(before)
    assert before.effects is not None
    after.step(inputs(crouch=1.0), 1e-6)
    assert after.effects is not None
    assert after.effects[0] == pytest.approx(before.effects[0], abs=1e-3)
    assert 0.5 < after.effects[0] < 0.7


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ('[effects]\necho = "crouch"', "there is no 'echo' to play; there are: reverb, delay, delay_time, pan"),
        ('[effects]\nreverbs = "crouch"', "there is no 'reverbs' to play; did you mean reverb?"),
        ('[effects]\nreverb = "croutch"', "'effects.reverb': source: unknown input 'croutch'; did you mean crouch"),
        ("[effects]\nreverb = 0.5", "'effects.reverb': expected a source, as in reverb = \"crouch\", or a table"),
        ("[effects]", 'effects: expected what plays them, as in reverb = "crouch"'),
        ("effects = 1", 'effects: expected what plays them, as in reverb = "crouch"'),
        ('[effects.delay_time]\nsource = "crouch"\nfrom = [0, 1]\nto = [0, 9e3]', "to: [0.0, 9000.0] leaves"),
        ('[effects.pan]\nsource = "crouch"', "channel 'effects.pan': from"),
        ('[effects.pan]\nsource = "crouch"\nfrom = [0, 1]\nscale = "major"', "channel 'effects.pan': scale: for pitch"),
        ('[effects.reverb]\nsource = "crouch / 0 +"\nfrom = [0, 1]', "channel 'effects.reverb': source"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(table: str, problem: str) -> None:
    text = table + "\n" + GOOD if table.startswith("effects =") else GOOD + table + "\n"
    with pytest.raises(MappingError) as raised:
        load_mapping(text, SPEC, FEATURES)
    assert problem in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_division_by_zero_keeps_the_last_value_and_is_said_once() -> None:
    mapping = mapped('[effects]\nreverb = "crouch / lean_side"\n')
    assert played(mapping, crouch=0.25, lean_side=0.5)["reverb"] == pytest.approx(0.5)
    assert played(mapping, crouch=0.25, lean_side=0.0)["reverb"] == pytest.approx(0.5)
    assert sum("effects.reverb" in line for line in mapping.notices) == 1
