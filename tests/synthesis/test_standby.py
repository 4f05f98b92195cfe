"""Engines that fail while they play: the next one goes on at the hop, nobody hears it, and none comes back."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from livemove.body.features import FEATURES, REST
from livemove.bundle import load_bundle
from livemove.contracts import HOP, Controls, EngineError, EngineState
from livemove.synthesis.engines import EngineChoice, choose_engine
from livemove.synthesis.model_slots import ModelCrossfader, ModelSlot, Stack
from livemove.synthesis.standby import Standby
from tests.support.clicks import clicks
from tests.support.paths import THEREMIN

CONTROLS = Controls()


def body(right_hand_height: float = 0.0) -> np.ndarray:
    inputs = np.concatenate([REST, np.full(64, np.nan, np.float32)]).astype(np.float32)
    for name, value in {"presence": 1.0, "left_hand_height": 0.2, "right_hand_height": right_hand_height}.items():
        inputs[FEATURES.index(name)] = value
    return inputs


class Failing:
    """An engine that does so from a hop on, the way that is given."""

    def __init__(self, choice: EngineChoice, at: int, how: str) -> None:
        self._engine, self._left, self._how = choice.engine, at, how
        self.name, self.spec = choice.engine.name, choice.engine.spec

    def reset(self) -> None:
        self._engine.reset()

    def state(self) -> EngineState:
        state = self._engine.state()
        if self._how == "state" and self._left < 0:
            state.queues[:] = math.nan
        return state

    def set_state(self, state: EngineState) -> None:
        self._engine.set_state(state)

    def generate(self, out, channels, noise, **options) -> None:
        self._left -= 1
        self._engine.generate(out, channels, noise, **options)
        if self._left < 0:
            if self._how == "raises":
                raise RuntimeError("the device was\n lost")
            out[7] = math.nan


class Told:
    """What a session keeps of failures."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self.lines: list[tuple[str, str, str]] = []

    def tell(self, engine: str, trouble: str, following: str) -> None:
        self.failed.append(engine)
        self.lines.append((engine, trouble, following))


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def made(told: Told) -> Callable[[int, str], tuple[ModelCrossfader, ModelSlot]]:
    """A theremin on the native engine, which fails in that hop of playing in that way."""
    bundle = load_bundle(THEREMIN)

    def make(at: int, how: str) -> tuple[ModelCrossfader, ModelSlot]:
        standby = Standby(bundle, "cpu", lambda: tuple(told.failed), told.tell)
        choice = standby.first("native")
        slot = ModelSlot(bundle, choice, None, 0, lambda _: 0, follower=standby.follower)
        slot.warm_up()
        slot.engine = Failing(choice, at, how)  # type: ignore[assignment]
        standby.prepare("native", at_leisure=False)
        return ModelCrossfader([Stack(slot)], CONTROLS), slot

    return make


def test_the_next_engine_goes_on_with_the_very_wave(
    made: Callable[[int, str], tuple[ModelCrossfader, ModelSlot]], told: Told
) -> None:
    whole, _ = made(10**9, "raises")
    want = np.concatenate([whole.play(body(), CONTROLS)[:, 0].copy() for _ in range(100)])
    player, slot = made(60, "raises")
    heard = np.concatenate([player.play(body(), CONTROLS)[:, 0].copy() for _ in range(100)])
    assert told.lines == [("native", "the device was lost", "native-int8")]
    assert slot.engine.name == "native-int8"
    assert (heard[: 60 * HOP] == want[: 60 * HOP]).all()
    assert np.isfinite(heard).all()
    assert not len(clicks(heard))
    soon = slice(60 * HOP, 62 * HOP)
    error_db = 10 * np.log10(np.sum((heard[soon] - want[soon]) ** 2) / np.sum(want[soon] ** 2))
    assert error_db < -20.0, "the same wave: state and noise were handed over"


@pytest.mark.parametrize("how", ["nan", "state"])
def test_what_is_not_a_number_is_not_heard(
    how: str, made: Callable[[int, str], tuple[ModelCrossfader, ModelSlot]], told: Told
) -> None:
    """Also where the state it leaves behind is none: then the next one begins anew, under a fade."""
    player, _ = made(60, how)
    heard = np.concatenate([player.play(body(), CONTROLS)[:, 0].copy() for _ in range(100)])
    assert told.lines == [("native", "its sound is not a number", "native-int8")]
    assert np.isfinite(heard).all()
    assert np.abs(heard[-20 * HOP :]).max() > 0.01
    assert np.abs(np.diff(heard)).max() < 2 * np.abs(np.diff(heard[: 59 * HOP])).max(), "no step"


def test_one_that_was_given_up_is_not_taken_again(told: Told) -> None:
    bundle = load_bundle(THEREMIN)
    told.failed.append("native")
    standby = Standby(bundle, "cpu", lambda: tuple(told.failed), told.tell)
    assert standby.first("native").engine.name == standby.first("auto").engine.name == "native-int8"


def test_the_last_one_that_fails_says_so(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = load_bundle(THEREMIN)
    monkeypatch.setattr("livemove.synthesis.engines.ENGINES", ("native",))
    standby = Standby(bundle, "cpu", lambda: tuple(told.failed), told.tell)
    standby.prepare("native", at_leisure=True)
    with pytest.raises(EngineError, match=r"engine native failed \(it broke\), and no engine can play theremin"):
        standby.follower("native", "it broke")


# --- another process takes over -----------------------------------------------------------------------------


def fresh(controls: Controls = CONTROLS) -> ModelCrossfader:
    bundle = load_bundle(THEREMIN)
    slot = ModelSlot(bundle, choose_engine("native", bundle), None, 0, lambda _: 0)
    slot.warm_up()
    return ModelCrossfader([Stack(slot)], controls)


def test_who_takes_over_plays_the_note_on() -> None:
    """From the snapshot of the one that died, the very samples that it would have played."""
    old, new = fresh(), fresh()
    for _ in range(100):
        old.play(body(), CONTROLS)
    new.take_over(body(), body(), CONTROLS, old.state())
    for _ in range(20):
        np.testing.assert_allclose(new.play(body(), CONTROLS), old.play(body(), CONTROLS), atol=2e-3)


def test_a_freeze_is_still_held_and_a_panic_forgets(tmp_path: Path) -> None:
    frozen = Controls(freeze=True)
    old, new = fresh(), fresh(frozen)
    for _ in range(50):
        old.play(body(0.5), CONTROLS)
    new.take_over(body(-0.5), body(0.5), frozen, old.state())
    new.play(body(-0.5), frozen)
    np.testing.assert_allclose(new.channels, old.channels, rtol=1e-3)
    panicked = Controls(panics=1)
    silent = fresh(panicked)
    silent.take_over(body(), body(), panicked, old.state())
    assert not silent.current.slots[0].engine.state().queues.any()


def test_a_state_that_is_no_state_is_not_taken_over() -> None:
    old, new = fresh(), fresh()
    old.play(body(), CONTROLS)
    snapshot = old.state()
    assert snapshot is not None
    for spoilt in ({"queues": snapshot[1]["queues"] * np.float32(math.nan)}, {"phase": np.zeros(2)}):
        new.take_over(body(), body(), CONTROLS, (snapshot[0], {**snapshot[1], **spoilt}))
        assert not new.current.slots[0].engine.state().queues.any()
