"""Steering a sounding model: nothing that may be asked for clicks, and each does what it says. The shipped theremin."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from livemove.body.event_inputs import EventInputs
from livemove.body.features import FEATURES, REST
from livemove.body.mapping import load_mapping
from livemove.body.notes import SCALES
from livemove.body.routes import PLAIN_SNAP
from livemove.bundle import load_bundle
from livemove.contracts import HOP, Action, Controls
from livemove.controls import SNAP_AS_MAPPED
from livemove.ipc.segment import Segment
from livemove.synthesis.engines import choose_engine
from livemove.synthesis.model_slots import FADE_HOPS, ModelCrossfader, ModelSlot, Stack
from livemove.synthesis.synthesis_process import Reloader
from tests.support.bundles import random_bundle, small_spec
from tests.support.clicks import clicks
from tests.support.paths import THEREMIN

PLACES = 64
PLAIN = Controls()


def no_external(name: str) -> int:
    raise AssertionError(f"nothing from outside is expected, not {name}")


def theremin(seed: int = 0, realtime: float = 10.0) -> ModelSlot:
    bundle = load_bundle(THEREMIN)
    slot = ModelSlot(bundle, replace(choose_engine("native", bundle), realtime=realtime), None, seed, no_external)
    slot.warm_up()
    return slot


def body(**features: float) -> np.ndarray:
    found = np.concatenate([REST, np.full(PLACES, np.nan, np.float32)]).astype(np.float32)
    features = {"presence": 1.0, "left_hand_height": 0.2, "right_hand_height": 0.0, "hand_distance": 0.5, **features}
    for name, value in features.items():
        found[FEATURES.index(name)] = value
    return found


def switching(slots: list[ModelSlot], controls: Controls) -> ModelCrossfader:
    """Each alone, to be switched between."""
    return ModelCrossfader([Stack(slot) for slot in slots], controls)


def play(crossfader: ModelCrossfader, hops: int, controls: Controls, inputs: np.ndarray | None = None) -> np.ndarray:
    """One side, which is as the other one."""
    found = body() if inputs is None else inputs
    both = np.concatenate([crossfader.play(found, controls).copy() for _ in range(hops)])
    np.testing.assert_array_equal(both[:, 0], both[:, 1])
    return np.ascontiguousarray(both[:, 0])


def settled(crossfader: ModelCrossfader, controls: Controls = PLAIN, inputs: np.ndarray | None = None) -> np.ndarray:
    return play(crossfader, 150, controls, inputs)


def test_the_detector_hears_a_switch_without_crossfade_and_a_repeated_hop() -> None:
    one, other = switching([theremin(0)], Controls()), switching([theremin(1)], Controls())
    x, y = settled(one), settled(other, inputs=body(right_hand_height=0.6))
    assert not len(clicks(x))
    assert not len(clicks(y))
    half = len(x) // 2
    cut = [half + offset for offset in range(0, 400, 40)]
    heard = [bool(len(clicks(np.concatenate([x[:at], y[at:]])))) for at in cut]
    assert sum(heard) >= 7  # where both happen to pass through the same value there is nothing to hear


@pytest.mark.parametrize(
    "changed",
    [
        {"freeze": True},
        {"octave": 1},
        {"octave": -1},
        {"scale": 1 + list(SCALES).index("blues"), "root": 3},
        {"temperature": 2.0},
        {"temperature": 0.0},
        {"model": 1},
        {"panics": 1},
    ],
    ids=str,
)
def test_nothing_one_may_ask_for_clicks(changed: dict[str, float]) -> None:
    """There and back again, at ten places in the waveform."""
    crossfader = switching([theremin(0), theremin(1)], Controls())
    heard = [settled(crossfader)]
    moved = body(right_hand_height=0.3)
    for turn in range(10):
        controls = Controls(**{**changed, "panics": turn + 1}) if "panics" in changed else Controls(**changed)
        heard.append(play(crossfader, 40 + turn, controls, moved))
        if "panics" not in changed:
            heard.append(play(crossfader, 40 + turn, Controls(), moved))
    assert not len(clicks(np.concatenate(heard)))


def test_a_frozen_body_holds_its_channels_and_thaws_to_where_it_is() -> None:
    crossfader = switching([theremin()], Controls())
    settled(crossfader)
    before = crossfader.channels.copy()
    play(crossfader, 1, Controls(freeze=True))
    settled(crossfader, Controls(freeze=True), body(right_hand_height=0.7, presence=0.0))
    np.testing.assert_allclose(crossfader.channels, before, atol=1e-4)
    settled(crossfader, Controls(), body(right_hand_height=0.7))
    assert crossfader.channels[0] > before[0] + 5


def test_panic_is_silence_from_the_next_hop_and_everything_played_is_forgotten() -> None:
    crossfader = switching([theremin()], Controls())
    settled(crossfader)
    play(crossfader, 1, Controls(panics=1))
    (slot,) = crossfader.current.slots
    assert not np.any(slot.engine.state().queues)
    np.testing.assert_allclose(
        slot.mapping.step(np.full(len(FEATURES), np.nan, np.float32), 0.1), [c.rest for c in slot.spec.channels]
    )


def test_a_model_hands_over_within_50_ms_at_even_loudness() -> None:
    crossfader = switching([theremin(0), theremin(1)], Controls())
    settled(crossfader)
    before = play(crossfader, 8 * FADE_HOPS, Controls())
    during = play(crossfader, FADE_HOPS, Controls(model=1))
    after = play(crossfader, 8 * FADE_HOPS, Controls(model=1))
    assert FADE_HOPS * HOP / 48000 <= 0.050
    assert crossfader.current is crossfader.stacks[1]
    rms = [float(np.sqrt(np.mean(x**2))) for x in (before, during, after)]
    assert rms[2] == pytest.approx(rms[0], rel=0.3)
    assert 0.5 * rms[0] < rms[1] < 1.6 * rms[0]


def test_two_slow_models_never_play_at_once() -> None:
    slots = [theremin(0, realtime=1.1), theremin(1, realtime=1.1)]
    played: list[int] = []
    for number, slot in enumerate(slots):
        original = slot.sound

        def counted(number: int = number, original=original) -> None:
            played.append(number)
            original()

        slot.sound = counted
    crossfader = switching(slots, Controls())
    heard = [settled(crossfader)]
    played.clear()
    heard.append(play(crossfader, FADE_HOPS, Controls(model=1)))
    assert played == [0] * (FADE_HOPS // 2) + [1] * (FADE_HOPS // 2)
    heard.append(settled(crossfader, Controls(model=1)))
    assert not len(clicks(np.concatenate(heard)))


def test_fifty_switches_click_nowhere_and_leave_no_memory_behind() -> None:
    crossfader = switching([theremin(0), theremin(1)], Controls())

    def switch(times: int) -> list[np.ndarray]:
        return [play(crossfader, FADE_HOPS + 12, Controls(model=n % 2)) for n in range(times)]

    settled(crossfader)
    heard = switch(50)
    before = psutil.Process().memory_info().rss
    heard += switch(50)
    assert psutil.Process().memory_info().rss - before < 3e6  # 1 MB of it is what was heard
    assert not len(clicks(np.concatenate(heard)))


def test_the_first_of_several_plays_what_it_plays_alone() -> None:
    alone, among = switching([theremin()], Controls()), switching([theremin(), theremin(1)], Controls())
    np.testing.assert_array_equal(play(alone, 20, Controls()), play(among, 20, Controls()))


def test_a_number_from_outside_plays_a_channel_and_holds_until_it_comes(tmp_path: Path) -> None:
    bundle = random_bundle(tmp_path / "small", small_spec())
    path = tmp_path / "fader.toml"
    text = bundle.mapping_path.read_text().replace(
        '"left_hand_height"\nfrom = [-1.0, 1.0]', '"osc:/fader1"\nfrom = [0, 1]'
    )
    path.write_text(text)
    slot = ModelSlot(
        bundle, choose_engine("native", bundle), path, 0, lambda name: ["midi:cc1", "osc:/fader1"].index(name)
    )
    inputs = body()
    slot.play(inputs, Controls())
    assert slot.channels[0][1] == 0.0
    inputs[len(FEATURES) + 1] = 0.75
    slot.play(inputs, Controls())
    assert slot.channels[0][1] == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("octave", "expected"), [(0, (57.0, 81.0)), (1, (69.0, 81.0)), (-1, (57.0, 69.0)), (4, (69.0, 81.0))]
)
def test_an_octave_moves_the_range_as_far_as_the_model_goes(octave: int, expected: tuple[float, float]) -> None:
    mapping = load_mapping(THEREMIN / "mapping.toml", load_bundle(THEREMIN).spec, FEATURES)
    mapping.steer(octave)
    for height, pitch in zip((-0.9, 0.75), expected, strict=True):
        there = mapping.step(body(right_hand_height=height)[: len(FEATURES)], math.inf)[0]
        assert there == pytest.approx(pitch, abs=0.01)


def test_a_scale_chosen_while_playing_pulls_the_pitch_to_its_notes_and_goes_away_again() -> None:
    mapping = load_mapping(THEREMIN / "mapping.toml", load_bundle(THEREMIN).spec, FEATURES)
    heights = np.linspace(-0.85, 0.7, 60)

    def pitches() -> np.ndarray:
        return np.array(
            [mapping.step(body(right_hand_height=h)[: len(FEATURES)], math.inf)[0] for h in heights], np.float64
        )

    def distance(found: np.ndarray) -> float:
        notes = np.array([60 + step + 12 * octave for octave in (-1, 0, 1, 2) for step in SCALES["whole_tone"]])
        return float(np.abs(found[:, None] - notes).min(axis=1).mean())

    free = pitches()
    mapping.steer(scale=1 + list(SCALES).index("whole_tone"), root=1)
    assert distance(pitches()) < 0.5 * distance(free)
    mapping.steer()
    np.testing.assert_allclose(pitches(), free)


def test_snap_holds_a_scale_as_closely_as_is_set_and_lets_go_of_it_at_0() -> None:
    mapping = load_mapping(THEREMIN / "mapping.toml", load_bundle(THEREMIN).spec, FEATURES)
    major = 1 + list(SCALES).index("major")
    heights = np.linspace(-0.85, 0.7, 400)

    def pitches(snap: float) -> np.ndarray:
        mapping.steer(scale=major, root=1, snap=snap)
        return np.array(
            [mapping.step(body(right_hand_height=h)[: len(FEATURES)], math.inf)[0] for h in heights], np.float64
        )

    def off(found: np.ndarray) -> float:
        notes = np.array([48 + step + 12 * octave for octave in range(4) for step in SCALES["major"]])
        return float(np.abs(found[:, None] - notes).min(axis=1).mean())

    offs = [off(pitches(snap)) for snap in (0.0, 0.4, 0.8, 1.0)]
    assert offs == sorted(offs, reverse=True)
    assert offs[-1] == pytest.approx(0.0, abs=1e-5)
    np.testing.assert_allclose(pitches(SNAP_AS_MAPPED), pitches(PLAIN_SNAP))
    mapping.steer()
    np.testing.assert_allclose(
        pitches(0.0), np.interp(heights, (heights[0], heights[-1]), pitches(0.0)[[0, -1]]), atol=0.02
    )


def test_a_mapping_read_again_takes_over_and_a_broken_one_is_told_and_left_alone(tmp_path: Path) -> None:
    bundle, path = load_bundle(THEREMIN), tmp_path / "my.toml"
    text = (THEREMIN / "mapping.toml").read_text()
    path.write_text(text)
    slot = ModelSlot(bundle, choose_engine("native", bundle), path, 0, no_external)
    crossfader, segment = switching([slot], Controls()), Segment.create()
    process_state = segment.processes["synthesis"]
    reloader = Reloader([slot], process_state)

    def read_again(content: str) -> str:
        path.write_text(content)
        count, _ = process_state.remarks
        reloader.ask()
        while process_state.remarks[0] == count:
            time.sleep(0.002)
        reloader.apply(EventInputs())
        return process_state.remarks[1]

    try:
        heard = [settled(crossfader)]
        before = slot.mapping
        assert "unknown input 'rihgt_hand_height'" in read_again(text.replace("right_hand_height", "rihgt_hand_height"))
        assert slot.mapping is before
        assert "read again" in read_again(text.replace("to = [57.0, 81.0]", "to = [81.0, 57.0]"))
        assert slot.mapping is not before
        heard.append(settled(crossfader, inputs=body(right_hand_height=0.75)))
        assert crossfader.channels[0] == pytest.approx(57.0, abs=0.1)
        assert not len(clicks(np.concatenate(heard)))
    finally:
        segment.close()
        segment.unlink()


TRIGGERED = """
[channels.pitch]
source = "right_hand_height"
from = [-0.9, 0.75]

[channels.loudness]
source = "max(norm(left_hand_height, -0.97, 0.5), trigger:ping)"
from = [0.0, 1.0]

[channels.brightness]
source = "hand_distance"
from = [0.1, 0.85]

[triggers.ping]
source = "crouch"
on = 0.6
off = 0.4
hold_s = 0.02
model = "next"
freeze = "toggle"
"""


def test_a_trigger_of_two_models_fires_once_however_often_they_change(tmp_path: Path) -> None:
    """Each has it and switches to the other one, where the body is as low as it was: in the hops of the crossfade and
    after them only the one that comes in may ask, and only for what it has seen rise."""
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(TRIGGERED)
    bundle, slots = load_bundle(THEREMIN), list[ModelSlot]()
    for seed, realtime in ((0, 10.0), (1, 10.0)):
        choice = replace(choose_engine("native", bundle), realtime=realtime)
        slots.append(ModelSlot(bundle, choice, mapping, seed, no_external))
    controls, found = PLAIN, list[int]()
    crossfader = switching(slots, controls)
    low, high = body(crouch=0.0), body(crouch=0.9)
    for hop in range(400):
        crossfader.play(high if hop // 40 % 2 else low, controls)
        for fired in crossfader.fired:
            found.append(hop)
            assert [request.action for request in fired.trigger.requests] == [Action.MODEL, Action.FREEZE]
            controls = replace(controls, model=1 - controls.model, freeze=not controls.freeze)
    assert found == [40, 120, 200, 280, 360]


def test_a_freeze_holds_the_channels_while_triggers_look_at_the_body(tmp_path: Path) -> None:
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(TRIGGERED)
    bundle = load_bundle(THEREMIN)
    slot = ModelSlot(bundle, choose_engine("native", bundle), mapping, 0, no_external)
    crossfader = switching([slot], PLAIN)
    settled(crossfader)
    frozen, fired = Controls(freeze=True), 0
    play(crossfader, 1, frozen)
    before = crossfader.channels.copy()
    for hop in range(80):
        crossfader.play(body(crouch=0.9 if hop % 40 > 20 else 0.0, left_hand_height=1.0), frozen)
        fired += len(crossfader.fired)
        np.testing.assert_array_equal(crossfader.channels, before)
    assert fired == 2
    for _ in range(40):  # on the way from where it was held to where it is, nothing rises
        crossfader.play(body(crouch=0.9), PLAIN)
        assert not crossfader.fired


# --- swapped hands -------------------------------------------------------------------------------------------


def test_swapped_hands_play_what_the_other_played() -> None:
    bundle = load_bundle(THEREMIN)
    slot = ModelSlot(bundle, choose_engine("native", bundle), None, 0, lambda name: 0)
    here = body(right_hand_height=0.6, left_hand_height=-0.2)
    there = body(right_hand_height=-0.2, left_hand_height=0.6)
    slot.settle(here, Controls())
    slot.play(here, Controls())
    straight = slot.channels.copy()
    slot.settle(there, Controls(swap_hands=True))
    slot.play(there, Controls(swap_hands=True))
    np.testing.assert_array_equal(slot.channels, straight)
    slot.settle(there, Controls())
    slot.play(there, Controls())
    assert np.abs(slot.channels - straight).max() > 1.0


def test_hits_and_accents_are_swapped_and_what_comes_from_outside_is_not(tmp_path: Path) -> None:
    names: list[str] = []

    def want(name: str) -> int:
        names.extend([name] if name not in names else [])
        return names.index(name)

    text = (THEREMIN / "mapping.toml").read_text()
    for channel, source in (("loudness", "hit:left_foot"), ("brightness", "osc:/left_fader")):
        start = text.index(f"[channels.{channel}]")
        old = text[start:].split("source = ")[1].split("\n")[0]
        text = text[:start] + text[start:].replace(f"source = {old}", f'source = "{source}"', 1)
    (tmp_path / "mapping.toml").write_text(text)
    bundle = load_bundle(THEREMIN)
    slot = ModelSlot(bundle, choose_engine("native", bundle), tmp_path / "mapping.toml", 0, want)
    assert names == ["hit:left_foot", "osc:/left_fader", "hit:right_foot"]
    straight, crossed = slot._insides
    external = [place - len(FEATURES) for place in crossed[len(FEATURES) :]]
    assert [names[place] for place in external] == ["hit:right_foot", "osc:/left_fader"]
    assert [FEATURES[place] for place in crossed[: len(FEATURES)]] == [
        name.replace("left", "right") if name.startswith("left") else name.replace("right", "left") for name in FEATURES
    ]
    assert sorted(straight[: len(FEATURES)]) == sorted(crossed[: len(FEATURES)])


def test_beyond_the_voice_the_gesture_keeps_its_measure() -> None:
    """An octave up is twelve semitones for every height that the model can play, and its last note above."""
    mapping = load_mapping(THEREMIN / "mapping.toml", load_bundle(THEREMIN).spec, FEATURES)
    heights = np.linspace(-0.85, 0.7, 30)

    def pitches() -> np.ndarray:
        return np.array([mapping.step(body(right_hand_height=h)[: len(FEATURES)], math.inf)[0] for h in heights])

    plain = pitches()
    mapping.steer(1)
    highest = load_bundle(THEREMIN).spec.channels[0].maximum
    np.testing.assert_allclose(pitches(), np.minimum(plain + 12.0, highest), atol=1e-3)
