"""Layers of one model play in one pass, to the bit what each plays alone, through states, failures and hand-overs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from livemove.bundle import load_bundle
from livemove.contracts import Controls, EngineError, Float32
from livemove.synthesis import one_pass
from livemove.synthesis.engines import UntrueEngineError, choose_engine, proven
from livemove.synthesis.model_slots import ModelCrossfader, ModelSlot, Stack
from livemove.synthesis.native import NativeEngine, NativeVoices
from livemove.synthesis.one_pass import SharedVoice, Unison
from livemove.synthesis.standby import Standby
from tests.support.bundles import random_bundle, small_spec
from tests.support.clicks import clicks
from tests.support.paths import THEREMIN
from tests.synthesis.test_layers import body, mix

APART = mix(pans=(-1.0, 1.0))
"""The first of two layers on the left, the second on the right, as they are to the bit."""


def slot(seed: int, engine: str = "native", model: Path = THEREMIN, transpose: float = 0.0) -> ModelSlot:
    bundle = load_bundle(model)
    return ModelSlot(bundle, choose_engine(engine, bundle), None, seed, lambda name: 0, transpose=transpose)


def apart(monkeypatch: pytest.MonkeyPatch, *slots: ModelSlot) -> ModelCrossfader:
    """Each with an engine of its own."""
    with monkeypatch.context() as patch:
        patch.setattr("livemove.synthesis.model_slots.in_one_pass", lambda _: [])
        return ModelCrossfader([Stack(*slots)], Controls())


def together(*slots: ModelSlot) -> ModelCrossfader:
    return ModelCrossfader([Stack(*slots)], Controls())


def heights(hops: int) -> Float32:
    """A body that moves."""
    return np.sin(np.arange(hops) / 7.0).astype(np.float32)


def played(crossfader: ModelCrossfader, hops: int, controls: Controls = APART) -> Float32:
    """float32 [hops * HOP, 2]"""
    return np.concatenate([crossfader.play(body(float(height)), controls).copy() for height in heights(hops)])


def shares(crossfader: ModelCrossfader) -> list[bool]:
    return [isinstance(slot.engine, SharedVoice) for slot in crossfader.current.slots]


@pytest.mark.parametrize("engine", ["native", "native-int8"])
def test_what_is_heard_does_not_depend_on_it(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    each = apart(monkeypatch, slot(0, engine), slot(1, engine, transpose=7.0))
    whole = together(slot(0, engine), slot(1, engine, transpose=7.0))
    assert shares(whole) == [True, True]
    assert shares(each) == [False, False]
    assert [s.engine.name for s in whole.current.slots] == [engine, engine]
    np.testing.assert_array_equal(played(whole, 60), played(each, 60))


def test_a_state_goes_from_a_pass_to_engines_and_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A take that was made with either is made again by either; a spare goes on from either."""
    whole, each = together(slot(0), slot(1)), apart(monkeypatch, slot(0), slot(1))
    played(whole, 40)
    for old, new in ((whole, each), (each, whole)):
        snapshot = old.state()
        assert snapshot is not None
        head, arrays = snapshot
        new.set_state(head, {name: array.copy() for name, array in arrays.items()})
        for one, other in zip(old.current.slots, new.current.slots, strict=True):
            other.mapping.take_over(one.mapping)
        np.testing.assert_array_equal(played(new, 20), played(old, 20))


def test_only_the_same_network_in_the_same_precision_is_shared(tmp_path: Path) -> None:
    other = random_bundle(tmp_path / "other", small_spec()).path
    found = together(slot(0), slot(1, "native-int8"), slot(2), slot(3, model=other))
    assert shares(found) == [True, False, True, False]
    assert shares(together(slot(0), slot(1, "reference"))) == [False, False]
    weights = dict(load_bundle(THEREMIN).weights)
    weights["skip.bias"] = weights["skip.bias"] + 1e-3
    changed = slot(1)
    changed.bundle = replace(changed.bundle, weights=weights)
    assert shares(together(slot(0), changed)) == [False, False]


def test_the_speeds_of_layers_add_up_to_that_of_the_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_pass, "proven", lambda unison, bundle: 12.0)
    found = together(slot(0), slot(1), slot(2))
    assert [s.realtime for s in found.current.slots] == [36.0] * 3
    assert found.current.realtime == pytest.approx(12.0)


def test_a_pass_that_is_untrue_is_not_played(monkeypatch: pytest.MonkeyPatch) -> None:
    def untrue(unison: Unison, bundle: object) -> float:
        raise UntrueEngineError("wrong here")

    monkeypatch.setattr(one_pass, "proven", untrue)
    assert shares(together(slot(0), slot(1))) == [False, False]


def test_a_pass_is_proven_voice_by_voice(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = load_bundle(THEREMIN)
    voices = NativeVoices(bundle.spec, bundle.weights, 3)
    assert proven(Unison(voices), bundle) > 0.0
    generate = voices.generate

    def spoilt(out: Float32, *arguments: object, **options: object) -> None:
        generate(out, *arguments, **options)  # type: ignore[arg-type]
        out[2, 5] += 1e-6

    monkeypatch.setattr(voices, "generate", spoilt)
    with pytest.raises(UntrueEngineError, match="do not play alike"):
        proven(Unison(voices), bundle)


# --- failures -----------------------------------------------------------------------------------------------


def followed(failed: list[str], seed: int) -> ModelSlot:
    """A slot whose native engine another one follows."""
    bundle = load_bundle(THEREMIN)
    standby = Standby(bundle, "cpu", lambda: tuple(failed), lambda engine, why, following: failed.append(why))
    found = ModelSlot(bundle, standby.first("native"), None, seed, lambda name: 0, follower=standby.follower)
    standby.prepare("native", at_leisure=False)
    return found


def spoil(crossfader: ModelCrossfader, at: int, how: str, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """From that hop on the pass fails: it raises, or voice 1 is no number. What comes back counts its hops."""
    (whole,) = crossfader.current._passes
    native, hops = whole._native, list[int]()
    generate = native.generate

    def failing(out: Float32, channels: Float32, noise: Float32, **options: Sequence[object]) -> None:
        hops.append(1)
        generate(out, channels, noise, **options)  # type: ignore[arg-type]
        if len(hops) > at and how == "raises":
            raise RuntimeError("the memory is gone")
        if len(hops) > at:
            out[1, 7] = math.nan

    monkeypatch.setattr(native, "generate", failing)
    return hops


def test_one_voice_that_fails_leaves_and_the_others_hear_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    failed: list[str] = []
    whole, alone = together(followed(failed, 0), followed(failed, 1)), together(slot(0), slot(1))
    spoil(whole, 30, "nan", monkeypatch)
    heard, want = played(whole, 60), played(alone, 60)
    assert failed == ["its sound is not a number"]
    assert [s.engine.name for s in whole.current.slots] == ["native", "native-int8"]
    np.testing.assert_array_equal(heard[:, 0], want[:, 0])
    assert np.isfinite(heard).all()
    assert np.abs(heard[-2000:, 1]).max() > 0.01
    assert not len(clicks(heard[:, 1]))


def test_a_pass_that_raises_is_left_by_all_and_played_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    failed: list[str] = []
    whole = together(followed(failed, 0), followed(failed, 1))
    hops = spoil(whole, 30, "raises", monkeypatch)
    heard = played(whole, 60)
    assert failed == ["the memory is gone"] * 2
    assert all(isinstance(s.engine, NativeEngine) for s in whole.current.slots)
    assert len(hops) == 31
    assert not len(clicks(heard[:, 0]))
    assert not len(clicks(heard[:, 1]))


def test_a_voice_makes_no_hop_by_itself() -> None:
    found = together(slot(0), slot(1)).current.slots[0]
    with pytest.raises(EngineError, match="makes no hop by itself"):
        found.sound()
