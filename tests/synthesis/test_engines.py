"""Choosing an engine: by name, by speed, and never one that does not play the golden vector."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from livemove.bundle import Bundle
from livemove.contracts import EngineError
from livemove.synthesis import architectures, engines
from livemove.synthesis.engines import choose_engine, engine_names, make_engine
from tests.support.bundles import random_bundle

SPEC = dataclasses.replace(
    architectures.stage("tiny"), residual=16, skip=16, hidden=16, dilations=(1, 2, 4), mixtures=1
)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return random_bundle(tmp_path / "tiny", SPEC)


@pytest.mark.parametrize("name", ["native", "reference"])
def test_the_engine_named_is_the_engine_made(bundle: Bundle, name: str) -> None:
    engine = make_engine(name, bundle)
    assert engine.name == name
    assert not engine.state().queues.any()  # the trial left no trace


def test_auto_takes_the_fastest_and_says_why(bundle: Bundle) -> None:
    choice = choose_engine("auto", bundle)
    assert choice.engine.name == "native"
    assert choice.why.startswith("native: ")
    assert choice.realtime > 2


def test_a_file_is_made_by_the_same_engine_however_busy_the_machine(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Live, one that seems slow gives way to the next; a file made twice must be the same file."""
    speeds = iter([0.5, 40.0, 0.5, 40.0])
    monkeypatch.setattr(engines, "_realtime", lambda engine, bundle: next(speeds))
    assert choose_engine("auto", bundle).why.startswith("native-int8")
    assert make_engine("auto", bundle).name == "native"


def test_one_interruption_does_not_make_an_engine_slow(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the golden vector is short: the median is of as many hops as of a long one."""
    ticks = iter([tick for hop in range(9) for tick in (float(hop), hop + (0.5 if hop == 1 else 1e-4))])
    monkeypatch.setattr(engines.time, "perf_counter", lambda: next(ticks))
    assert choose_engine("native", bundle).realtime > 2


def test_auto_goes_on_to_the_next_when_one_cannot_play_the_model(tmp_path: Path) -> None:
    """8 channels are not for the vectors of the native engine, and there is no graph for the onnx engine."""
    choice = choose_engine("auto", random_bundle(tmp_path / "thin", dataclasses.replace(SPEC, residual=8)))
    assert choice.engine.name == "reference"
    assert "residual 8" in choice.why
    assert "generator.onnx" in choice.why


def test_an_engine_untrue_to_the_golden_vector_is_refused(bundle: Bundle) -> None:
    audio = bundle.golden.audio.copy()
    audio[len(audio) // 2 :] += np.float32(0.1)
    other = dataclasses.replace(bundle, golden=dataclasses.replace(bundle.golden, audio=audio))
    with pytest.raises(EngineError, match="native does not reproduce"):
        make_engine("native", other)
    with pytest.raises(EngineError, match="no engine can play tiny"):
        make_engine("auto", other)


def test_an_unknown_engine_lists_the_known(bundle: Bundle) -> None:
    with pytest.raises(EngineError, match=", ".join(engine_names())):
        make_engine("gpu", bundle)


def test_an_engine_without_its_graph_says_so(bundle: Bundle) -> None:
    with pytest.raises(EngineError, match=r"has no generator\.onnx"):
        make_engine("onnx", bundle)
