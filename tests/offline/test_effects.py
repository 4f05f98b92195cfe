"""Effects and loops in whole sessions, takes and rendered clips: the same again to the bit, and dry where asked."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from livemove.contracts import Action, Request
from livemove.offline.replay import ReplayConfig, replay
from livemove.takes.reading import load_take
from tests.support.bundles import MAPPING, random_bundle, small_spec
from tests.support.real_time import in_real_time, timed
from tests.support.sessions import asking, child, made

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes are stopped with signals here")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_bundle(tmp_path_factory.mktemp("models") / "one", small_spec("one"), 0).path


WET = {0.3: Request(Action.REVERB, 0.5, absolute=True), 0.4: Request(Action.DELAY, 0.5, absolute=True)}


@in_real_time
def test_a_take_with_effects_and_a_loop_is_made_again_to_the_bit_and_dry_if_asked(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    takes, mapping = tmp_path / "takes", tmp_path / "mapping.toml"
    mapping.write_text(MAPPING + '\n[effects]\npan = "lean_side"\n[effects.delay_time]\nsource = "right_hand_height"\n'
                       "from = [-1, 1]\nto = [50, 400]\n")  # fmt: skip
    todo = {
        **WET, 0.6: Action.LOOP, 1.1: Action.LOOP, 1.4: Action.LOOP, 1.8: Action.LOOP, 2.1: Action.LOOP_UNDO,
        2.4: Request(Action.REVERB_DECAY, 5.0, absolute=True), 2.6: Action.LOOP_STOP, 2.8: Action.LOOP_CLEAR,
    }  # fmt: skip
    _, notices = asking(
        monkeypatch, model, todo, output=tmp_path / "whole.wav", mapping=mapping, folder=takes, record=True,
        duration_s=3.4,
    )  # fmt: skip
    take = max(takes.iterdir())
    report = made(take, tmp_path / "again.wav")
    assert report["identical"], report
    for line in ("loop: records", "loop: overdubs", "loop: undo", "loop: silent", "loop: cleared"):
        assert any(each.startswith(line) for each in notices), (line, notices)
    wet, rate = soundfile.read(tmp_path / "again.wav", dtype="float32")
    assert wet.shape[1] == 2
    done = replay(ReplayConfig(take, tmp_path / "dry.wav", dry=True), lambda *_: None)
    assert done["exact"]
    assert not done["identical"]
    dry, _ = soundfile.read(tmp_path / "dry.wav", dtype="float32")
    assert dry.shape == wet.shape
    assert np.abs(wet - dry)[rate:].max() > 1e-3
    hops = load_take(take).hops
    assert (hops["reverb"][-1], hops["loops"][-1]) == (0.5, 4)


@in_real_time
def test_a_take_begun_while_a_loop_goes_round_is_made_again_from_before_it(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    takes = tmp_path / "takes"
    todo = {**WET, 5.6: Action.LOOP, 6.2: Action.LOOP, 11.4: Action.RECORD, 12.2: Action.LOOP, 12.8: Action.LOOP}
    asking(monkeypatch, model, todo, output=tmp_path / "whole.wav", folder=takes, duration_s=13.4)
    report = made(max(takes.iterdir()), tmp_path / "again.wav")
    assert report["why_not"] is None
    assert report["identical"], report


@in_real_time
def test_a_spare_plays_on_with_what_rings_and_says_that_the_loop_is_lost(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    takes = tmp_path / "takes"
    todo = {**WET, 0.8: Action.LOOP, 1.4: Action.LOOP, 3.5: lambda: os.kill(child(1), signal.SIGKILL), 4.5: Action.LOOP,
            5.0: Action.LOOP}  # fmt: skip
    _, notices = asking(
        monkeypatch, model, todo, output=tmp_path / "whole.wav", folder=takes, record=True, duration_s=6.0
    )
    with timed():
        assert any("the loop is lost" in line for line in notices), notices
    report = made(max(takes.iterdir()), tmp_path / "again.wav")
    assert report["identical"], report
