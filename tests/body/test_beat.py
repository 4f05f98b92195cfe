"""Triggers that wait for the beat: for which, how long, whose it is, and what happens without one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from livemove.body.beat import BEAT_INPUTS, LATE_S, part_of_bar, until_part
from livemove.body.features import FEATURES, REST
from livemove.body.mapping import Mapping, load_mapping
from livemove.contracts import MappingError
from livemove.synthesis import architectures
from tests.support.bundles import MAPPING

HOP_S = 256 / 48000
NAN = math.nan
TRIGGER = """
[triggers.go]
source = "osc:/go"
on = 0.5
refractory_s = 0.0
attack_s = 0.001
hold_s = 10
freeze = "toggle"
quantize = PART
"""


def link(beats: float, tempo: float = 120.0) -> tuple[float, ...]:
    """What Link says so many beats into a bar."""
    return (tempo, beats % 4.0 / 4.0, NAN, NAN, NAN)


def quantized(part: object) -> Mapping:
    return load_mapping(MAPPING + TRIGGER.replace("PART", str(part)), architectures.stage("test"), FEATURES)


@pytest.mark.parametrize(
    ("beats", "part", "seconds"),
    [
        (0.5, 1.0, 0.25), (0.5, 0.25, 0.0), (0.55, 0.25, 0.0), (0.6, 0.25, 0.075), (3.5, 4.0, 0.25), (1.0, 2.0, 0.5),
        (0.99, 1.0, 0.005), (0.1, 1 / 3, (1 / 3 - 0.1) / 2), (0.0, 4.0, 0.0), (3.9, 0.5, 0.05),
    ],
)  # fmt: skip
def test_the_wait_is_until_the_next_part_of_the_beat(beats: float, part: float, seconds: float) -> None:
    assert until_part(link(beats), part) == pytest.approx(seconds, abs=1e-9)


def test_what_comes_a_little_late_was_meant_for_it() -> None:
    assert until_part(link(2 * (LATE_S - 0.001)), 1.0) == 0.0
    assert until_part(link(2 * (LATE_S + 0.001)), 1.0) > 0.4
    assert until_part(link(2 * (LATE_S - 0.001)), 0.125) > 0.0, "of a part of 62 ms a quarter at most"


def test_link_comes_before_a_midi_clock_and_a_clock_that_stands_is_none() -> None:
    both = (120.0, 0.5 / 4, 60.0, 0.25 / 4, 1.0)
    assert until_part(both, 1.0) == pytest.approx(0.25)
    assert until_part((NAN, NAN, *both[2:]), 1.0) == pytest.approx(0.75)
    assert until_part((NAN, NAN, 60.0, 0.25 / 4, 0.0), 1.0) == 0.0
    assert until_part((NAN,) * 5, 1.0) == 0.0


@pytest.mark.parametrize(("beats", "exact"), [(4, 4.0), (0.3333, 1 / 3), (0.25, 0.25), (3, None), (0.7, None)])
def test_parts_are_those_that_make_a_bar(beats: float, exact: float | None) -> None:
    assert part_of_bar(beats) == (None if exact is None else pytest.approx(exact))


@pytest.mark.parametrize("part", ["3", "0", "-1", "8", "0.001", "true", '"1/4"', "nan"])
def test_what_is_no_part_is_one_line(part: str) -> None:
    with pytest.raises(MappingError, match=r"trigger 'go': quantize: ") as error:
        quantized(part)
    assert "\n" not in str(error.value)


def played(
    mapping: Mapping, presses: list[float], seconds: float, tempo: float = 120.0
) -> tuple[list[float], list[float]]:
    """When it fires and when its note begins, if /go is pressed then for 20 ms; a beat of Link goes on from 0."""
    places = {name: len(FEATURES) + mapping.external.index(name) for name in mapping.external}
    inputs = np.concatenate([REST, np.full(len(mapping.external), np.nan, np.float32)])
    fired: list[float] = []
    notes: list[float] = []
    before = 0.0
    for hop in range(round(seconds / HOP_S)):
        at_s = hop * HOP_S
        for name, value in zip(BEAT_INPUTS, link(at_s * tempo / 60.0, tempo), strict=True):
            inputs[places[name]] = value
        inputs[places["osc:/go"]] = any(press <= at_s < press + 0.02 for press in presses)
        mapping.step(inputs, HOP_S)
        fired += [at_s] * len(mapping.fired)
        note = mapping.triggers.envelopes[0]
        notes += [at_s] * (note > 0.0 and before == 0.0)
        before = note
    return fired, notes


@pytest.mark.parametrize(("part", "beats"), [("0.25", [1.25, 3.0]), ("1", [2.0, 3.0]), ("4", [4.0])])
def test_note_and_requests_come_in_the_hop_nearest_to_the_beat(part: str, beats: list[float]) -> None:
    mapping = quantized(part)
    fired, notes = played(mapping, [0.57, 1.45], 2.5)  # beats 1.14 and 2.9
    assert fired == pytest.approx([beat / 2 for beat in beats], abs=0.5 * HOP_S + 1e-6)
    assert notes == fired[:1]


def test_of_several_before_one_beat_it_fires_once() -> None:
    fired, _ = played(quantized("1"), [0.55, 0.65, 0.75, 0.85, 1.2], 2.5)
    assert fired == pytest.approx([1.0, 1.5], abs=0.5 * HOP_S + 1e-6)


def test_a_model_that_comes_in_meanwhile_forgets_what_waits() -> None:
    mapping = quantized("4")
    played(mapping, [0.3], 0.5)
    inputs = np.concatenate([REST, np.zeros(len(mapping.external), np.float32)])
    mapping.step(inputs, math.inf)
    fired, _ = played(mapping, [], 3.0)
    assert fired == []


def test_without_a_beat_it_fires_at_once_and_without_quantize_no_beat_is_asked_for() -> None:
    mapping = quantized("1")
    inputs = np.concatenate([REST, np.full(len(mapping.external), np.nan, np.float32)])
    place = len(FEATURES) + mapping.external.index("osc:/go")
    for value, count in ((0.0, 0), (1.0, 1), (1.0, 0)):
        inputs[place] = value
        mapping.step(inputs, HOP_S)
        assert len(mapping.fired) == count
    plain = load_mapping(MAPPING + TRIGGER.replace("quantize = PART", ""), architectures.stage("test"), FEATURES)
    assert plain.external == ("osc:/go",)
