"""Sources combined in a mapping: what expressions compute, how they end when no number comes, and their errors."""

from __future__ import annotations

import dataclasses
import math
import re
import time

import numpy as np
import pytest

from livemove.body.event_inputs import EventInputs
from livemove.body.expression_nodes import FUNCTIONS, ExpressionError
from livemove.body.expressions import DEEPEST, LONGEST, MOST_NODES, Expression
from livemove.body.features import FEATURES, REST
from livemove.body.mapping import Mapping, load_mapping
from livemove.contracts import MappingError
from livemove.synthesis import architectures

SPEC = architectures.stage("test")
HOP_S = 256 / 48000
NAMES = ("a", "b", "c")

GOOD = """
[channels.pitch]
source = "right_hand_height"
from = [-1.0, 1.0]
to = [60.0, 72.0]

[channels.loudness]
source = "SOURCE"
from = [0.0, 1.0]

[channels.brightness]
source = "hand_distance"
from = [0.0, 1.0]
"""


def place_of(name: str) -> int:
    if name not in NAMES:
        raise ExpressionError(f"unknown input {name!r}")
    return NAMES.index(name)


def value(text: str, *values: float, dt_s: float = HOP_S) -> float:
    return Expression(text, place_of).step(values, dt_s)


def follow(text: str, rows: list[tuple[float, ...]], dt_s: float = 0.01) -> list[float]:
    expression = Expression(text, place_of)
    return [expression.step(row, dt_s) for row in rows]


def mapping(source: str) -> Mapping:
    return load_mapping(GOOD.replace("SOURCE", source), SPEC, FEATURES)


def inputs(mapping: Mapping, external: dict[str, float] | None = None, **values: float) -> np.ndarray:
    found = np.concatenate([REST, np.full(len(mapping.external), np.nan, np.float32)])
    for name, number in {"presence": 1.0, **values}.items():
        found[FEATURES.index(name)] = number
    for name, number in (external or {}).items():
        found[len(FEATURES) + mapping.external.index(name)] = number
    return found


def loudness(mapping: Mapping, given: np.ndarray) -> float:
    return float(mapping.step(given, HOP_S)[1])


# --- what is computed ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", 2.0),
        ("1.5e-1", 0.15),
        ("a + b * c", 2 - 3 * 0.5),
        ("(a + b) * c", -0.5),
        ("a - b - c", 2 + 3 - 0.5),
        ("a / b / c", 2 / -3 / 0.5),
        ("-a * -b", -6.0),
        ("--a", 2.0),
        ("1 - -1/4", 1.25),
        ("min(a, b, c)", -3.0),
        ("max(a, b, c)", 2.0),
        ("abs(a - b)", 5.0),
        ("clip(a, -1, 1)", 1.0),
        ("clip(b, -1, 1)", -1.0),
        ("norm(c, -1, 1)", 0.75),
        ("norm(c, 1, 0)", 0.5),
        ("norm(a, 0, 1)", 1.0),
        ("mix(a, b, c)", -0.5),
        ("default(a, b)", 2.0),
        ("over(a, 2, 1)", 1.0),
        ("gate(b, a, 1)", -3.0),
        ("gate(b, c, 1)", 0.0),
        ("a*b+c", -5.5),
        ("norm(a, -1/2, 2*2)", 2.5 / 4.5),
    ],
)
def test_arithmetic(text: str, expected: float) -> None:
    assert value(text, 2.0, -3.0, 0.5) == pytest.approx(expected)


def test_what_is_no_number_spoils_what_is_made_of_it_in_whatever_order() -> None:
    for text in ("max(a, b)", "max(b, a)", "min(a, b)", "min(b, a)", "a + b", "norm(b, 0, 1)", "clip(b, 0, 1)"):
        assert math.isnan(value(text, 1.0, math.nan, 0.0)), text
    assert value("default(b, a)", 1.0, math.nan, 0.0) == 1.0


def test_hysteresis() -> None:
    rows = [(x,) for x in (0.0, 0.55, 0.65, 0.5, 0.41, 0.39, 0.59, math.nan, 0.6, math.nan)]
    assert follow("over(a, 0.6, 0.4)", rows) == [0, 0, 1, 1, 1, 0, 0, 0, 1, 1]
    gated = follow("gate(b, a, 0.6, 0.4)", [(x, 7.0) for (x,) in rows[:6]])
    assert gated == [0, 0, 7, 7, 7, 0]


def test_a_latch_takes_what_is_there_when_its_key_rises_and_before_that_the_first() -> None:
    rows = [(1.0, 0.0), (2.0, 0.0), (3.0, 1.0), (4.0, 1.0), (5.0, 0.2), (6.0, 0.9)]
    assert follow("latch(a, b, 0.5)", rows) == [1, 1, 3, 3, 3, 6]


def test_slew_is_so_fast_whatever_the_step_and_begins_where_its_input_is() -> None:
    assert follow("slew(a, 10, 5)", [(1.0,), (2.0,), (2.0,), (0.0,), (0.0,)]) == pytest.approx([1, 1.1, 1.2, 1.15, 1.1])
    for dt_s in (0.001, 0.01):
        found = follow("slew(a, 10, 5)", [(0.0,), *[(1.0,)] * round(0.05 / dt_s)], dt_s)
        assert found[-1] == pytest.approx(0.5)


def test_smoothing_has_its_time_constants() -> None:
    steps = round(0.1 / 0.001)
    up = follow("envelope(a, 0.1, 0.4)", [(0.0,), *[(1.0,)] * steps], 0.001)
    down = follow("envelope(a, 0.1, 0.4)", [(1.0,), *[(0.0,)] * steps], 0.001)
    assert up[-1] == pytest.approx(1 - math.exp(-1), abs=1e-3)
    assert down[-1] == pytest.approx(math.exp(-0.25), abs=1e-3)
    assert follow("lag(a, 0.1)", [(0.0,), *[(1.0,)] * steps], 0.001)[-1] == pytest.approx(1 - math.exp(-1), abs=1e-3)


def test_what_remembers_is_not_spoilt_by_what_is_no_number() -> None:
    for text in ("slew(a, 1, 1)", "lag(a, 0.1)", "envelope(a, 0.1, 0.2)", "latch(a, a, 2)"):
        found = follow(text, [(0.5,), (math.nan,), (math.inf,), (0.5,)])
        assert found == pytest.approx([0.5] * 4), text


def test_reset_is_as_before_the_first_hop() -> None:
    expression = Expression("slew(a, 1, 1) + over(b, 1) + latch(c, b, 1)", place_of)
    rows = [(0.0, 0.0, 1.0), (1.0, 1.0, 2.0), (1.0, 0.5, 3.0)]
    first = [expression.step(row, HOP_S) for row in rows]
    assert [expression.step(row, HOP_S) for row in rows] != first
    expression.reset()
    assert [expression.step(row, HOP_S) for row in rows] == first


# --- no number ----------------------------------------------------------------------------------------------


def test_a_division_by_zero_keeps_the_last_value_and_is_said_once() -> None:
    played = mapping("left_hand_side / right_hand_side")
    assert loudness(played, inputs(played, left_hand_side=0.25, right_hand_side=0.5)) == 0.5
    for _ in range(3):
        given = inputs(played, left_hand_side=0.25, right_hand_side=0.0, right_hand_height=1.0)
        pitch, loud, _ = played.step(given, HOP_S)
        assert (pitch, loud) == (72.0, 0.5)  # the rest plays
    assert played.notices == [
        "channel 'loudness': source 'left_hand_side / right_hand_side' divides by zero: it keeps its last value"
    ]
    assert loudness(played, inputs(played, left_hand_side=0.25, right_hand_side=1.0)) == 0.25


def test_before_any_number_a_channel_rests_and_nothing_is_said_of_a_fader_that_nobody_moved() -> None:
    played = mapping("left_knee * osc:/fader1")
    assert played.external == ("osc:/fader1",)
    assert loudness(played, inputs(played)) == SPEC.channels[1].rest
    assert loudness(played, inputs(played, {"osc:/fader1": 0.5})) == 0.5
    assert played.notices == []
    played = mapping("1 / right_hand_side")
    assert loudness(played, inputs(played)) == SPEC.channels[1].rest
    assert len(played.notices) == 1


def test_a_number_that_is_too_large_is_none() -> None:
    expression = Expression("a * a * a * b", place_of)
    assert expression.step((2.0, 1.0, 0.0), HOP_S) == 8.0
    assert expression.step((1e150, 1.0, 0.0), HOP_S) == 8.0
    assert expression.trouble == "gives a number that is too large"


# --- in a mapping -------------------------------------------------------------------------------------------


def test_every_kind_of_input_can_be_combined() -> None:
    text = "max(crouch, hit:clap, accent:left_foot) + osc:/a/b-1 * midi:cc1 / 127 + link.phase"
    played = mapping(text)
    assert played.external == ("hit:clap", "accent:left_foot", "osc:/a/b-1", "midi:cc1", "link.phase")
    external = {"hit:clap": 0.5, "accent:left_foot": 0.1, "osc:/a/b-1": 0.5, "midi:cc1": 12.7, "link.phase": 0.25}
    assert loudness(played, inputs(played, external, crouch=0.2)) == pytest.approx(0.8)


def test_a_name_by_itself_is_what_it_always_was() -> None:
    for name in ("osc:/fader-1", "osc:/a+b(c)", "midi:cc1", "hit:clap", "crouch"):
        assert mapping(name).routes[1].expression is None
    assert mapping("osc:/fader1*2").external == ("osc:/fader1",)  # no address has a * in it


def test_an_expression_of_the_body_rests_with_nobody_in_view_and_others_do_not() -> None:
    played = mapping("max(left_knee, osc:/fader1)")
    given = inputs(played, {"osc:/fader1": 0.0}, presence=0.0)
    assert loudness(played, given) == SPEC.channels[1].rest
    played = mapping("osc:/fader1 * 0.5")
    assert loudness(played, inputs(played, {"osc:/fader1": 1.0}, presence=0.0)) == 0.5


def test_styles_take_expressions() -> None:
    spec = dataclasses.replace(SPEC, styles=("cello", "flute"))
    text = GOOD.replace("SOURCE", "crouch") + '[styles.flute]\nsource = "crouch * jump"\nfrom = [0.0, 1.0]\n'
    played = load_mapping(text, spec, FEATURES)
    played.step(inputs(played, crouch=0.5, jump=0.5), HOP_S)
    assert played.styles is not None
    np.testing.assert_allclose(played.styles, [0.0, 0.25])


def test_a_mapping_that_is_read_again_goes_on_where_the_same_expressions_are() -> None:
    old = mapping("slew(crouch, 1, 1)")
    loudness(old, inputs(old, crouch=0.0))
    before = loudness(old, inputs(old, crouch=1.0))
    same, other = mapping("slew(crouch, 1, 1)"), mapping("slew(crouch, 1, 2)")
    for new in (same, other):
        new.take_over(old)
    assert loudness(same, inputs(same, crouch=1.0)) == pytest.approx(before + HOP_S)
    assert loudness(other, inputs(other, crouch=1.0)) == 1.0


def test_reset_and_steering_keep_what_a_mapping_promises() -> None:
    played = mapping("slew(crouch, 1, 1)")
    loudness(played, inputs(played, crouch=0.0))
    played.steer(octave=1)
    assert loudness(played, inputs(played, crouch=1.0)) == pytest.approx(HOP_S)
    played.reset()
    assert loudness(played, inputs(played, crouch=1.0)) == 1.0


def test_one_expression_costs_little_beside_the_hop() -> None:
    """Ten of them, each as long as anybody writes, take a tenth of a hop at most; one whole mapping without any is
    printed beside it, for the machine is never alone."""
    source = "max(norm(left_hand_height, -1, 1), envelope(hit:clap, 0.005, 0.3)) * slew(openness, 4, 2)"
    plain, combined = mapping("crouch"), mapping(source)
    given = {each: inputs(each, dict.fromkeys(each.external, 0.5)) for each in (plain, combined)}

    def best_us(each: Mapping) -> float:
        times: list[float] = []
        for _ in range(30):
            began_s = time.perf_counter()
            for _ in range(50):
                each.step(given[each], HOP_S)
            times.append((time.perf_counter() - began_s) / 50)
        return 1e6 * min(times)

    without, with_one = best_us(plain), best_us(combined)
    print(f"a mapping's step: {without:.1f} us; with that expression: {with_one:.1f} us")
    assert 10 * (with_one - without) < 0.1 * 1e6 * HOP_S


# --- errors -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max(left_hand_hight, crouch)", ["unknown input 'left_hand_hight'", "left_hand_height", "place 5"]),
        ("crouch * hit:clab", ["unknown hit 'hit:clab'", "hit:clap", "place 10"]),
        ("crouch * accent:left", ["unknown accent", "accent:left_foot"]),
        ("crouch * midi:cc128", ["midi:cc128", '"midi:cc1"']),
        ("crouch * midi.cc1", ["midi.cc1", '"midi:cc1"']),
        ("maks(crouch, jump)", ["unknown function 'maks'", "max", "place 1"]),
        ("frobnicate(crouch)", ["unknown function", "there are:", "envelope"]),
        ("max * 2", ["'max'", "it is a function, max(a, b, ...)"]),
        ("max(crouch)", ["max(a, b, ...)", "1 arguments are too few", "place 1"]),
        ("abs(crouch, jump)", ["abs(a)", "2 arguments are too many"]),
        ("slew(crouch, jump, 1)", ["slew(a, UP, DOWN)", "expected a number, not 'jump'", "place 14"]),
        ("slew(crouch, 0, 1)", ["slew", "0.0 is outside"]),
        ("lag(crouch, 100)", ["lag", "100.0 is outside"]),
        ("over(crouch, 0.4, 0.6)", ["over", "0.6", "0.4"]),
        ("norm(crouch, 1, 1)", ["norm", "empty range"]),
        ("clip(crouch, 1, 0)", ["clip", "below"]),
        ("crouch / 0", ["divides by zero", "place 8"]),
        ("crouch + 1e400", ["1e400", "not a finite number", "place 10"]),
        ("1e38 * 1e38 * 1e38 * 1e38 * 1e38 * 1e38 * 1e38 * 1e38 * 1e38", ["too large"]),
        ("crouch +", ["expected a number", "the end", "place 9"]),
        ("(crouch + jump", ["not closed", "place 1"]),
        ("crouch + jump)", ["unexpected ')'", "place 14"]),
        ("crouch jump", ["operator is missing", "'jump'", "place 8"]),
        ("crouch ** 2", ["expected a number", "'*'", "place 9"]),
        ("crouch > 0.5", ["cannot read '>'", "place 8"]),
        ("crouch + __import__('os')", ['cannot read "\'"']),
        ("crouch.real * 2", ["unknown input 'crouch.real'"]),
        ("(lambda: 0)()", ["cannot read ':'"]),
        ("  ", ["expected a number", "the end"]),
        ("(" * 60 + "crouch" + ")" * 60, [f"more than {DEEPEST}"]),
        ("-" * 60 + "crouch", [f"more than {DEEPEST}"]),
        ("+".join(["jump"] * 50), [f"more than {MOST_NODES}"]),
        ("crouch + " + " " * LONGEST + "1", [f"{LONGEST} at most"]),
        ("1 + ٣", ["cannot read"]),
    ],
)
def test_what_is_wrong_is_one_line_that_names_channel_and_place(text: str, words: list[str]) -> None:
    with pytest.raises(MappingError) as caught:
        mapping(text.replace('"', '\\"'))
    message = str(caught.value)
    assert re.match(r"mapping: channel 'loudness': source: ", message)
    assert "\n" not in message
    assert len(message) < 900
    for word in words:
        assert word in message


def test_no_text_whatever_makes_anything_but_an_expression_or_one_line() -> None:
    rng = np.random.default_rng(17)
    pieces = [
        *FUNCTIONS,
        *FEATURES[:4],
        *"()()(),,,+-*/ ..",
        "1",
        "0.5",
        "1e9",
        "osc:/a",
        "hit:clap",
        "\x00",
        "é",
        "#",
        "__",
    ]
    read, wrong = 0, list[str]()
    for _ in range(3000):
        text = "".join(rng.choice(pieces, rng.integers(1, 14)))
        try:
            Expression(text, lambda name: FEATURES.index(name) if name in FEATURES else 0).step(REST.tolist(), HOP_S)
            read += 1
        except ExpressionError as error:
            wrong.append(str(error))
    assert read > 50
    assert not [line for line in wrong if "\n" in line or len(line) > 900]


def test_hits_reach_an_expression_as_they_reach_a_channel() -> None:
    played = mapping("hit:clap * 0.5")
    events = EventInputs()
    events.hits[4] = 0.8
    given = inputs(played)
    events.put(given[len(FEATURES) :], played.external)
    assert loudness(played, given) == pytest.approx(0.4)
