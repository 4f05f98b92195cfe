"""Several voices of one body at once: each as it plays alone, in its place, through all that may happen to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from livemove.body.features import FEATURES, REST
from livemove.body.mapping import load_mapping
from livemove.body.notes import SCALES
from livemove.bundle import load_bundle
from livemove.contracts import HOP, Controls, EngineState, Float32
from livemove.synthesis.engines import choose_engine
from livemove.synthesis.mixing import sides
from livemove.synthesis.model_slots import FADE_HOPS, ModelCrossfader, ModelSlot, Stack
from livemove.synthesis.standby import Standby
from livemove.synthesis.synthesis_config import Layer, SynthesisConfig, levels
from tests.support.clicks import clicks
from tests.support.paths import THEREMIN

PLAIN = Controls()


def theremin(seed: int = 0, transpose: float = 0.0, note: float | None = None) -> ModelSlot:
    bundle = load_bundle(THEREMIN)
    choice = replace(choose_engine("native", bundle), realtime=20.0)
    slot = ModelSlot(bundle, choice, None, seed, lambda name: 0, transpose=transpose, note=note)
    slot.warm_up()
    return slot


def body(right_hand_height: float = 0.0) -> Float32:
    found = np.append(REST, np.float32(np.nan)).astype(np.float32)
    values = {"presence": 1.0, "left_hand_height": 0.2, "hand_distance": 0.5, "right_hand_height": right_hand_height}
    for name, value in values.items():
        found[FEATURES.index(name)] = value
    return found


def mix(gains: Sequence[float] = (), pans: Sequence[float] = ()) -> Controls:
    gains, pans = (*gains, *(1.0,) * (4 - len(gains))), (*pans, *(0.0,) * (4 - len(pans)))
    return Controls(gains=tuple(gains), pans=tuple(pans))


def played(crossfader: ModelCrossfader, hops: int, controls: Controls = PLAIN, height: float = 0.0) -> Float32:
    """float32 [hops * HOP, 2]"""
    return np.concatenate([crossfader.play(body(height), controls).copy() for _ in range(hops)])


def stacked(*slots: ModelSlot, controls: Controls = PLAIN) -> ModelCrossfader:
    return ModelCrossfader([Stack(*slots)], controls)


# --- the mix ------------------------------------------------------------------------------------------------


def test_each_layer_plays_what_it_plays_alone() -> None:
    """To the bit where it alone is heard; and together they are their sum."""
    alone = [played(stacked(theremin(seed)), 60)[:, 0] for seed in (0, 1)]
    apart = played(stacked(theremin(0), theremin(1)), 60, mix(pans=(-1.0, 1.0)))
    np.testing.assert_array_equal(apart, np.stack(alone, axis=1))
    together = played(stacked(theremin(0), theremin(1)), 60, mix(gains=(1.0, 0.5)))
    np.testing.assert_allclose(together[:, 0], alone[0] + 0.5 * alone[1], atol=1e-6)
    np.testing.assert_array_equal(together[:, 0], together[:, 1])
    assert np.abs(alone[0] - alone[1]).max() > 1e-3, "two of one model draw noise of their own"


def test_gain_and_pan_move_without_a_click() -> None:
    crossfader = stacked(theremin(0), theremin(1, transpose=7.0))
    heard = [played(crossfader, 150)]
    for turn in range(10):
        heard.append(played(crossfader, 20 + turn, mix((0.25, 1.0), (-1.0, 1.0))))
        heard.append(played(crossfader, 20 + turn, mix((1.0, 0.0), (1.0, 0.3))))
    for side in np.concatenate(heard).T:
        assert not len(clicks(side))


def test_the_levels_of_a_configuration_are_what_it_begins_with() -> None:
    layers = Layer(Path("a"), gain_db=-6.0, pan=0.5), Layer(Path("b"), gain_db=6.0)
    found = Controls(**levels(layers))
    assert found.gains == pytest.approx((10 ** (-0.3), 10**0.3, 1.0, 1.0))
    assert found.pans == (0.5, 0.0, 0.0, 0.0)
    assert sides(1.0, 0.5)[1] == 1.0
    plain = SynthesisConfig(Path("a"), mapping=Path("m"), others=((Path("b"), None),))
    assert plain.stacks == ((Layer(Path("a"), Path("m")),), (Layer(Path("b")),))
    assert SynthesisConfig(Path("a"), layers=(layers,)).stacks == (layers,)


# --- pitch --------------------------------------------------------------------------------------------------


def heights() -> Float32:
    return np.linspace(-0.85, 0.7, 40).astype(np.float32)


def pitches(octave: int = 0, scale: int = 0, transpose: float = 0.0, note: float | None = None) -> np.ndarray:
    mapping = load_mapping(THEREMIN / "mapping.toml", load_bundle(THEREMIN).spec, FEATURES)
    mapping.steer(octave, scale, 0, transpose, note)
    return np.array([mapping.step(body(float(h))[: len(FEATURES)], math.inf)[0] for h in heights()])


def test_a_transposed_layer_is_so_many_semitones_away_as_far_as_its_model_goes() -> None:
    pitch = load_bundle(THEREMIN).spec.channels[0]
    plain = pitches()
    for transpose in (7.0, -5.0, 12.0):
        np.testing.assert_allclose(
            pitches(transpose=transpose), np.clip(plain + transpose, pitch.minimum, pitch.maximum), atol=1e-3
        )
    np.testing.assert_allclose(pitches(octave=-1, transpose=12.0), plain, atol=1e-4)


@pytest.mark.parametrize("name", ["major", "pentatonic"])
def test_a_chord_keeps_its_intervals_in_a_scale(name: str) -> None:
    """Where the model can play both, the upper voice rests a fifth above the lower one's notes."""
    scale = 1 + list(SCALES).index(name)
    low, high = pitches(scale=scale), pitches(scale=scale, transpose=7.0)
    inside = high < load_bundle(THEREMIN).spec.channels[0].maximum - 5.0
    assert inside.sum() > 15
    np.testing.assert_allclose((high - low)[inside], 7.0, atol=0.02)


def test_a_drone_stays_at_its_note_and_follows_only_the_octave() -> None:
    np.testing.assert_allclose(pitches(note=60.0), 60.0, atol=1e-4)
    np.testing.assert_allclose(pitches(note=60.0, octave=1, scale=2), 72.0, atol=1e-4)
    np.testing.assert_allclose(pitches(note=60.0, octave=3), 72.0, atol=1e-4)  # the highest that it can play


@pytest.mark.parametrize(
    ("transpose", "note", "expected"),
    [
        (7.0, None, (0, 0.0, 7.0)), (-12.0, None, (0, 12.0, 0.0)), (0.0, 62.0, (0, 0.0, 0.0)),
        (0.0, 50.0, (0, 7.0, 0.0)), (0.0, 90.0, (0, 0.0, 9.0)),
    ],
)  # fmt: skip
def test_what_the_model_cannot_reach_is_known(
    transpose: float, note: float | None, expected: tuple[int, float, float]
) -> None:
    """The theremin plays from A3 to A5, and so does its mapping."""
    mapping = load_mapping(THEREMIN / "mapping.toml", load_bundle(THEREMIN).spec, FEATURES)
    mapping.steer(transpose=transpose, note=note)
    assert mapping.pitch_reach() == pytest.approx(expected)


def test_a_transposition_stays_when_the_mapping_is_read_again() -> None:
    slot = theremin(transpose=5.0)
    slot.play(body(), PLAIN)
    before = slot.channels[0][0]
    again = load_mapping(THEREMIN / "mapping.toml", slot.spec, FEATURES)
    again.take_over(slot.mapping)
    slot.set_mapping(again)
    for _ in range(200):
        slot.play(body(), PLAIN)
    plain = theremin()
    for _ in range(200):
        plain.play(body(), PLAIN)
    assert slot.channels[0][0] - plain.channels[0][0] == pytest.approx(5.0, abs=1e-3)
    assert before > 0


# --- what may happen to them --------------------------------------------------------------------------------


def test_stacks_hand_over_without_a_click_and_the_leaving_one_keeps_its_place() -> None:
    """From two layers, one at the far left, to one in the middle, whose levels are those that are set by then."""
    stacks = [Stack(theremin(0), theremin(1, transpose=7.0)), Stack(theremin(2))]
    crossfader = ModelCrossfader(stacks, PLAIN)
    first, second = mix((1.0, 0.5), (-1.0, -1.0)), replace(mix(), model=1)
    heard = [played(crossfader, 150, first)]
    for turn in range(10):
        heard.append(played(crossfader, FADE_HOPS + 20 + turn, second))
        heard.append(played(crossfader, FADE_HOPS + 20 + turn, first))
    for side in np.concatenate(heard).T:
        assert not len(clicks(side))
    settled = played(crossfader, 20, first)
    leaving = played(crossfader, 1, second)
    assert np.abs(settled[:, 1]).max() < 1e-6, "all of it is on the left"
    comes_in = np.abs(leaving[:, 1]).max()
    assert comes_in < 0.3 * np.abs(leaving[:, 0]).max(), "on the right there is only who comes in, still soft"


def test_panic_forgets_every_layer() -> None:
    crossfader = stacked(theremin(0), theremin(1))
    played(crossfader, 100)
    played(crossfader, 1, Controls(panics=1))
    for slot in crossfader.current.slots:
        assert not slot.engine.state().queues.any()


def test_a_freeze_holds_every_layer() -> None:
    crossfader = stacked(theremin(0), theremin(1, transpose=7.0))
    played(crossfader, 100)
    frozen = Controls(freeze=True)
    played(crossfader, 1, frozen)
    before = crossfader.current.channels.copy()
    played(crossfader, 100, frozen, height=0.7)
    np.testing.assert_allclose(crossfader.current.channels, before, atol=1e-4)
    assert len(before) == 6, "three channels of each, one after the other"


def test_from_the_state_of_another_process_all_layers_play_on() -> None:
    controls = mix((0.5, 1.0), (-0.3, 0.8))
    old, new = (stacked(theremin(0), theremin(1, transpose=7.0), controls=controls) for _ in range(2))
    played(old, 200, controls)
    state = old.state()
    new.take_over(body(), body(), controls, state)
    np.testing.assert_allclose(played(new, 20, controls), played(old, 20, controls), atol=2e-3)


def test_a_state_with_a_layer_missing_is_not_taken_over() -> None:
    old, new = (stacked(theremin(0), theremin(1)) for _ in range(2))
    played(old, 50)
    state = old.state()
    assert state is not None
    head, arrays = state
    new.take_over(body(), body(), PLAIN, (head, {k: v for k, v in arrays.items() if not k.endswith("_2")}))
    for slot in new.current.slots:
        assert not slot.engine.state().queues.any()


TRIGGERED = """
[channels.pitch]
source = "right_hand_height"
from = [-0.9, 0.75]

[channels.loudness]
source = "left_hand_height"
from = [-0.97, 0.5]

[channels.brightness]
source = "hand_distance"
from = [0.1, 0.85]

[triggers.NAME]
source = "right_hand_height"
on = 0.5
model = "next"
"""


def test_a_trigger_of_a_mapping_that_two_layers_have_fires_once(tmp_path: Path) -> None:
    """Those of another mapping fire, too."""
    bundle, paths = load_bundle(THEREMIN), (tmp_path / "one.toml", tmp_path / "other.toml")
    for path, name in zip(paths, ("one", "other"), strict=True):
        path.write_text(TRIGGERED.replace("NAME", name))
    slots = [
        ModelSlot(bundle, choose_engine("native", bundle), path, 0, lambda name: 0)
        for path in (paths[0], paths[0], paths[1])
    ]
    crossfader, found = stacked(*slots), list[str]()
    for hop in range(60):
        crossfader.play(body(0.7 if hop > 30 else 0.0), PLAIN)
        found += [fired.trigger.name for fired in crossfader.fired]
    assert found == ["one", "other"]


class Failing:
    """A native engine that raises from a hop on."""

    def __init__(self, slot: ModelSlot, at: int) -> None:
        self._engine, self._left = slot.engine, at
        self.name, self.spec = slot.engine.name, slot.engine.spec

    def reset(self) -> None:
        self._engine.reset()

    def state(self) -> EngineState:
        return self._engine.state()

    def set_state(self, state: EngineState) -> None:
        self._engine.set_state(state)

    def generate(self, out, channels, noise, **options) -> None:
        self._left -= 1
        if self._left < 0:
            raise RuntimeError("the device was lost")
        self._engine.generate(out, channels, noise, **options)


def test_a_layer_whose_engine_fails_plays_on_and_the_others_hear_nothing_of_it() -> None:
    bundle, failed = load_bundle(THEREMIN), list[str]()
    standby = Standby(bundle, "cpu", lambda: tuple(failed), lambda engine, why, following: failed.append(engine))
    second = ModelSlot(bundle, standby.first("native"), None, 1, lambda name: 0, follower=standby.follower)
    second.warm_up()
    second.engine = Failing(second, 60)  # type: ignore[assignment]
    standby.prepare("native", at_leisure=False)
    controls = mix(pans=(-1.0, 1.0))
    crossfader = stacked(theremin(0), second, controls=controls)
    heard = played(crossfader, 120, controls)
    assert failed == ["native"]
    assert second.engine.name == "native-int8"
    np.testing.assert_array_equal(heard[:, 0], played(stacked(theremin(0)), 120)[:, 0])
    assert np.isfinite(heard).all()
    assert np.abs(heard[-20 * HOP :, 1]).max() > 0.01
    assert not len(clicks(heard[:, 1]))
