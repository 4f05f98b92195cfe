"""Ableton Link as sources: where the bar will be when it is heard; and aalink itself, alone on its network."""

from __future__ import annotations

import builtins
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from livemove.body.features import FEATURES
from livemove.body.mapping import load_mapping
from livemove.contracts import ControlError, MappingError
from livemove.control.control_config import ControlConfig
from livemove.control.link import Link
from livemove.ipc.segment import Segment
from tests.support.bundles import small_spec
from tests.support.control_process import control, wait_for


@dataclass
class Beats:
    """As aalink.Link shows itself."""

    tempo: float
    phase: float
    num_peers: int = 1
    beat: float = 0.0
    playing: bool = False


def test_sources_are_of_the_moment_they_are_heard() -> None:
    """At 120 bpm, half a second is a beat: beat 3.75 of the bar becomes 0.75 of the next one."""
    link = Link(Beats(120.0, 3.75))
    assert link.inputs(0.0) == pytest.approx({"link.tempo": 120.0, "link.beat": 0.75, "link.phase": 0.9375})
    assert link.inputs(0.5) == pytest.approx({"link.tempo": 120.0, "link.beat": 0.75, "link.phase": 0.1875})
    assert link.label == "Link at 120.0 bpm with 1 other"


def test_it_plays_until_those_who_share_start_and_stop_have_stopped() -> None:
    beats = Beats(120.0, 0.0)
    link = Link(beats)
    assert link.playing, "nobody shares them: the beat simply goes on"
    for playing in (True, False, False, True):
        beats.playing = playing
        assert link.playing == playing


def test_a_beat_plays_a_channel() -> None:
    text = (
        '[channels.pitch]\nsource = "link.tempo"\nfrom = [60, 180]\n'
        '[channels.loudness]\nsource = "link.beat"\nfrom = [1, 0]\n'
        '[channels.brightness]\nsource = "link.phase"\nfrom = [0, 1]\n'
    )
    mapping = load_mapping(text, small_spec("m"), FEATURES)
    assert mapping.external == ("link.tempo", "link.beat", "link.phase")
    with pytest.raises(MappingError, match=r"link\.bar"):
        load_mapping(text.replace("link.phase", "link.bar"), small_spec("m"), FEATURES)


def test_without_aalink_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "aalink":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.delitem(sys.modules, "aalink", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ControlError, match=r"pip install 'livemove\[link\]'"):
        Link()


def test_the_real_beat_goes_on_in_the_sources(segment: Segment, tmp_path: Path) -> None:
    places = {name: segment.external_inputs.want(f"link.{name}") for name in ("tempo", "beat", "phase")}
    with control(segment, ControlConfig(link=True), tmp_path / "log"):
        values = segment.external_inputs.values
        wait_for(lambda: values[places["tempo"]] > 0.0)
        seen = set[int]()
        wait_for(lambda: seen.add(int(4 * values[places["phase"]])) or len(seen) > 1)
        assert 0.0 <= values[places["beat"]] < 1.0
        assert "Link at" in segment.processes["control"].label


def test_the_real_beat_is_one_that_a_clock_can_follow() -> None:
    link = Link()
    first, began_s = link.beat, time.monotonic()
    time.sleep(0.25)
    assert link.beat - first == pytest.approx((time.monotonic() - began_s) * link.tempo / 60.0, abs=0.1)
    assert link.inputs(0.0)["link.phase"] * 4 == pytest.approx(link.beat % 4, abs=0.1)
    assert link.playing
    link.close()
