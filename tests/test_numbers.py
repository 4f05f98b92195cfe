"""Every numeric option of every command, found by walking them: what is no number is one line and exit code 2."""

from __future__ import annotations

import math
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from livemove import numbers
from livemove.cli import main
from livemove.cli.number_types import Number, Whole
from tests.support.bad_numbers import NO_NUMBERS, NOTHING
from training import kinetics, prepare, sweep
from training.corpora import dance, hits, phrases

COMMANDS: dict[str, click.Command] = {
    "livemove": main,
    "kinetics": kinetics.main,
    "prepare": prepare.main,
    "sweep": sweep.main,
    "dance": dance.main,
    "hits": hits.main,
    "phrases": phrases.main,
}

Place = tuple[str, ...]


def leaves(command: click.Command, path: Place) -> Iterator[tuple[Place, click.Command]]:
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            yield from leaves(each, (*path, name))
    else:
        yield path, command


EVERY = [each for name, command in COMMANDS.items() for each in leaves(command, (name,))]
NUMERIC = [
    (path, parameter)
    for path, command in EVERY
    for parameter in command.params
    if isinstance(parameter.type, (type(click.FLOAT), type(click.INT)))
]
IDS = [f"{' '.join(path)} {parameter.opts[0]}" for path, parameter in NUMERIC]


def test_the_walk_finds_what_is_known_to_be_there() -> None:
    assert {
        "livemove perform --gain",
        "livemove bench --soak",
        "livemove soak --minutes",
        "livemove record --count-in",
    } <= set(IDS)
    assert len(IDS) >= 30


@pytest.mark.parametrize(("path", "parameter"), NUMERIC, ids=IDS)
def test_it_goes_through_the_gate(path: Place, parameter: click.Parameter) -> None:
    """click's own types let nan and inf through. The instrument's options end somewhere, too."""
    assert isinstance(parameter.type, (Number, Whole))
    if path[0] == "livemove":
        assert parameter.type.min is not None
        assert parameter.type.max is not None
        assert parameter.type.max < numbers.LARGEST


@pytest.mark.parametrize(("path", "parameter"), NUMERIC, ids=IDS)
def test_what_is_no_number_is_one_line_and_code_2(path: Place, parameter: click.Parameter) -> None:
    for text in NO_NUMBERS:
        done = CliRunner().invoke(COMMANDS[path[0]], [*path[1:], f"{parameter.opts[0]}={text}"])
        assert done.exit_code == 2, (text, done.output, done.exception)
        if path[0] == "livemove":
            assert len(done.stderr.splitlines()) == 1, done.stderr
            assert done.stderr.startswith("livemove: ")
            assert parameter.opts[0] in done.stderr
        assert len(done.output) < 1000
        assert "Traceback" not in done.output


@pytest.mark.parametrize(("path", "parameter"), NUMERIC, ids=IDS)
def test_what_is_nothing_is_zero_or_refused(path: Place, parameter: click.Parameter) -> None:
    for text in NOTHING:
        try:
            found = parameter.type.convert(text, parameter, None)
        except click.BadParameter:
            continue
        assert found == 0.0
        assert math.copysign(1.0, found) == 1.0


@pytest.mark.parametrize("text", ["nan", "inf", "1e308", "-1", "65536", "²", "٣", "9" * 5000, "host:nan", ":"])
@pytest.mark.parametrize("option", ["--osc", "--osc-out", "--style"])
def test_numbers_in_texts_are_one_line_too(option: str, text: str) -> None:
    done = CliRunner().invoke(main, ["perform", "--camera", "demo", f"{option}={text}"])
    assert done.exit_code == 2, (done.output, done.exception)
    assert len(done.stderr.splitlines()) == 1


def test_the_controls_of_these_tests() -> None:
    """click's own type takes what the gate refuses."""
    assert math.isnan(click.FloatRange(0, 4).convert("nan", None, None))
    assert click.FLOAT.convert("inf", None, None) == math.inf
