"""Every parser gives something sound or one line, on some hundred examples; and a planted fault in each is found.

`python -m tests.faults.fuzz --seconds 60` looks for as long as you like.
"""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase

from livemove import numbers
from livemove.cli.number_types import Number
from tests.faults import fuzz
from tests.faults.fuzz import PARSERS, search

EXAMPLES = {"videos and sounds": 15, "numeric options": 100}
"""Where it is not 60: a video takes longer."""


@pytest.fixture(params=list(PARSERS))
def parser(request: pytest.FixtureRequest) -> str:
    if request.param == "MIDI":
        pytest.importorskip("mido")
    return request.param


def test_it_is_sound_or_one_line(parser: str, tmp_path: Path) -> None:
    make, body = PARSERS[parser]
    assert search(body, make(tmp_path), 0, 0.0, max_examples=EXAMPLES.get(parser, 60), phases=[Phase.generate]) >= 1


def no_gate(value: object, low: float = -math.inf, high: float = math.inf) -> float:
    return float(value)  # type: ignore[arg-type]


PLANTED: dict[str, tuple[tuple[str, Any], ...]] = {
    "model.json": (("livemove.numbers.number", no_gate),),
    "safetensors": (("livemove.bundle.SafetensorError", MemoryError),),
    "mapping.toml": (("livemove.numbers.number", no_gate),),
    "presets": (("livemove.numbers.number", no_gate),),
    "postures": (("livemove.numbers.number", no_gate),),
    "takes": (("livemove.takes.reading.NO_ARRAYS", (KeyError,)),),
    "videos and sounds": (("livemove.media.video_file.UNREADABLE", (KeyError,)),),
    "OSC": (("livemove.control.osc.maybe", lambda value: value if isinstance(value, float) else None),),
    "numeric options": (("livemove.cli.number_types.Number.convert", lambda self, value, *_: float(value)),),
}
"""What is taken away: gates for numbers, and the nets that catch what a library throws."""


def test_a_planted_fault_is_found(parser: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control."""
    make, body = PARSERS[parser]
    material = make(tmp_path)
    if parser == "MIDI":  # as it was: a message that ends too soon ended the control process
        only_values = contextlib.suppress
        monkeypatch.setattr("livemove.control.midi.contextlib.suppress", lambda *_: only_values(ValueError))
    for place, fault in PLANTED.get(parser, ()):
        monkeypatch.setattr(place, fault)
    with pytest.raises((Exception, ExceptionGroup)) as found:
        search(body, material, 0, 60.0, max_examples=2000, phases=[Phase.generate])
    assert not isinstance(found.value, (NameError, ImportError))


def test_the_command_tells_what_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a process that dies of it is told, too."""
    assert "examples" in fuzz.apart("mapping.toml", 0.0, 1)
    monkeypatch.setattr(numbers, "number", no_gate)
    assert "found" in fuzz.one("mapping.toml", 30.0, 0)
    assert Number(0, 1).convert("0.5", None, None) == 0.5
    monkeypatch.setattr(fuzz.sys, "executable", "/bin/false")
    assert fuzz.apart("mapping.toml", 0.0, 1)["found"].startswith("the process died")
