"""Accents of known movements: what stops or goes up is heard once, in its hop, and nothing else is."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from livemove.body.accents import (
    ACCENTS,
    APART_S,
    CHANNEL,
    FOOT,
    HAND,
    PLAYS_ITSELF,
    PREFIX,
    Accents,
)
from livemove.body.event_inputs import EventInputs
from livemove.body.features import FEATURES, REST
from livemove.body.mapping import identity_mapping, load_mapping
from livemove.body.triggers import DECAY_S, WEAKEST
from livemove.contracts import HOP, Channel, Float32, MappingError
from livemove.synthesis import architectures
from tests.support.paths import ROOT

HOP_S = HOP / 48000
HOPS = 400


def moving(**columns: np.ndarray) -> Float32:
    features = np.tile(REST, (HOPS, 1))
    for name, values in columns.items():
        features[:, FEATURES.index(name)] = values
    return features


def bump(peak: float, at: int = 200, width: int = 12) -> np.ndarray:
    """A speed that rises and falls around a hop."""
    return peak * np.exp(-0.5 * ((np.arange(HOPS) - at) / width) ** 2)


def struck(features: Float32) -> list[tuple[int, str, float]]:
    accents = Accents()
    found: list[tuple[int, str, float]] = []
    for hop, row in enumerate(features):
        accents.step(row, HOP_S)
        found += [(hop, ACCENTS[i], float(accents.strengths[i])) for i in np.flatnonzero(accents.strengths)]
    return found


@pytest.mark.parametrize(("limb", "bound"), [("left_foot", FOOT), ("right_foot", FOOT), ("left_hand", HAND)])
def test_a_limb_that_was_fast_and_stops_is_accented_once(limb: str, bound: float) -> None:
    ((hop, which, strength),) = struck(moving(**{f"{limb}_speed": bump(bound + 0.1)}))
    assert which == limb
    assert 200 < hop < 220  # a Gaussian has fallen to half 1.18 deviations after its peak
    assert WEAKEST < strength < 1.0
    ((_, _, harder),) = struck(moving(**{f"{limb}_speed": bump(0.95)}))
    assert harder == pytest.approx(1.0)
    assert not struck(moving(**{f"{limb}_speed": bump(bound - 0.02)}))


def test_a_limb_that_slows_down_gently_or_vanishes_does_not_stop() -> None:
    gently = np.concatenate([np.linspace(0.01, 0.62, 60), np.linspace(0.62, 0.05, 340)])
    assert not struck(moving(left_hand_speed=gently))
    vanished = np.where(np.arange(HOPS) < 200, 0.8, 0.0)
    assert not struck(moving(left_hand_speed=vanished))


def test_feet_do_not_strike_twice_within_a_fifth_of_a_second_but_hands_beside_feet_do() -> None:
    soon = round(0.5 * APART_S / HOP_S)
    both = moving(left_foot_speed=bump(0.8), right_foot_speed=bump(0.8, 200 + soon), left_hand_speed=bump(0.8, 205))
    assert [name for _, name, _ in struck(both)] == ["left_foot", "left_hand"]
    late = 200 + round(1.5 * APART_S / HOP_S)
    assert len(struck(moving(left_foot_speed=bump(0.8), right_foot_speed=bump(0.8, late)))) == 2


def test_a_hand_goes_up_once_until_it_was_down_again() -> None:
    height = np.full(HOPS, -0.5)
    height[100:150] = 0.6
    height[150:200] = 0.2  # not down
    height[200:250] = 0.6
    height[250:300] = -0.5
    height[300:] = 0.6
    assert [(hop, name) for hop, name, _ in struck(moving(right_hand_height=height))] == [
        (100, "right_raise"), (300, "right_raise"),
    ]  # fmt: skip


def test_numbers_that_are_none_accent_nothing() -> None:
    assert not struck(np.full((50, len(FEATURES)), np.nan, np.float32))


def test_an_accent_is_an_input_that_dies_away_by_the_hop_and_ends_where_the_body_is_held() -> None:
    features = moving(left_hand_speed=bump(0.9))
    events, heard = EventInputs(), []
    for row in features:
        events.step(row, HOP_S)
        values = np.zeros(2, np.float32)
        events.put(values, (PREFIX + "left_hand", "osc:/x"))
        heard.append(values[0])
    envelope = np.array(heard)
    first = int(np.argmax(envelope > 0))
    np.testing.assert_allclose(envelope[first + 12] / envelope[first], np.exp(-12 * HOP_S / DECAY_S), rtol=1e-5)
    assert (np.diff(envelope) > 0).sum() == 1
    for row in features[: first + 1]:
        events.step(row, HOP_S)
    events.silence()
    assert not events.accents.any()


def test_an_end_to_end_model_may_have_accents_among_its_channels() -> None:
    spec = architectures.stage("theremin")
    names = ("energy", CHANNEL.format("left_foot"), CHANNEL.format("right_raise"))
    assert set(names) <= PLAYS_ITSELF
    wide = tuple(Channel(name, "", 0.0, 1.0, 0.0) for name in names)
    mapping = identity_mapping(dataclasses.replace(spec, channels=wide), FEATURES)
    assert mapping.external == ("accent:left_foot", "accent:right_raise")
    inputs = np.zeros(len(FEATURES) + 2, np.float32)
    inputs[FEATURES.index("energy")], inputs[-2:] = 0.25, (0.5, 0.75)
    np.testing.assert_allclose(mapping.step(inputs, HOP_S), [0.25, 0.5, 0.75])


def test_a_wrong_name_is_told() -> None:
    spec = architectures.stage("theremin")
    text = (ROOT / "models" / "theremin" / "mapping.toml").read_text()
    wrong = text.replace('source = "left_hand_height"', 'source = "accent:left_fot"')
    with pytest.raises(MappingError, match="unknown accent 'accent:left_fot'; did you mean accent:left_foot"):
        load_mapping(wrong, spec, FEATURES)
