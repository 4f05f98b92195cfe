"""Styles as a continuum: a blend lies between its ends, nothing clicks, and hand, body and choice have an order."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from livemove.body.features import FEATURES, REST
from livemove.body.mapping import load_mapping
from livemove.bundle import Bundle
from livemove.contracts import HOP, Controls, Float32
from livemove.ipc.logs import HOP_ROW
from livemove.offline.replay import RecordedBlend, controls_of
from livemove.synthesis.engines import choose_engine
from livemove.synthesis.model_slots import ModelCrossfader, ModelSlot, Stack
from livemove.synthesis.native import NativeEngine
from livemove.synthesis.reference import ReferenceEngine
from livemove.synthesis.style_blend import SMOOTHING_S, StyleBlend
from tests.support.bundles import MAPPING, STYLES, small_spec, two_voices
from tests.support.clicks import clicks

HOP_S = HOP / 48000
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return two_voices(tmp_path_factory.mktemp("models") / "voices", MAPPING + STYLES)


def amplitudes(bundle: Bundle, share: float, engine: type[NativeEngine] | type[ReferenceEngine]) -> np.ndarray:
    """[8]: of the harmonics of a held 480 Hz, whose period is 100 samples."""
    hops = 25  # the last 4,800 samples are 48 periods
    note = 69 + 12 * np.log2(480 / 440)
    channels = np.tile(np.float32([note, 1.0, 0.5]), (hops, 1))
    noise = np.full((hops * 16, bundle.spec.noise_width), 0.5, np.float32)
    audio = np.zeros(hops * HOP, np.float32)
    styles = np.float32([1 - share, share])
    engine(bundle.spec, bundle.weights).generate(audio, channels, noise, style=styles)
    return np.abs(np.fft.rfft(audio[-4800:]))[48 : 9 * 48 : 48] / 2400


@pytest.mark.parametrize("engine", [NativeEngine, ReferenceEngine])
def test_a_blend_moves_every_harmonic_in_a_straight_line_from_one_end_to_the_other(
    bundle: Bundle, engine: type[NativeEngine] | type[ReferenceEngine]
) -> None:
    found = np.array([amplitudes(bundle, share, engine) for share in SHARES])
    assert found[0, 0] > 0.15
    assert found[0, 1:].max() < 0.003
    assert found[-1].min() > 0.06
    straight = found[0] + np.array(SHARES)[:, None] * (found[-1] - found[0])
    np.testing.assert_allclose(found, straight, atol=0.002)
    decibels = 20 * np.log10(found[:, 1:])  # and so the spectrum goes away from one and towards the other
    away, towards = (np.sqrt(((decibels - end) ** 2).mean(1)) for end in (decibels[0], decibels[-1]))
    assert (np.diff(away) > 1).all()
    assert (np.diff(towards) < -1).all()


def slot_of(bundle: Bundle) -> ModelSlot:
    return ModelSlot(bundle, choose_engine("native", bundle), None, 0, lambda name: 0)


def body(crouch: float) -> Float32:
    found = np.append(REST, np.float32(np.nan)).astype(np.float32)
    for name, value in {"presence": 1.0, "left_hand_height": 0.5, "crouch": crouch}.items():
        found[FEATURES.index(name)] = value
    return found


def test_jumps_from_style_to_style_do_not_click(bundle: Bundle) -> None:
    crossfader = ModelCrossfader([Stack(slot_of(bundle))], Controls())
    heard: list[Float32] = []
    for turn in range(10):
        for controls in (Controls(style=1), Controls(styles=(1.0, 0.0)), Controls(styles=(0.2, 0.7))):
            heard += [crossfader.play(body(0.0), controls)[:, 0].copy() for _ in range(40 + turn)]
    sound = np.concatenate(heard)[50 * HOP :]
    assert np.abs(sound).max() > 0.05
    assert not len(clicks(sound))


def test_the_body_moves_the_blend_until_a_hand_does(bundle: Bundle) -> None:
    crossfader = ModelCrossfader([Stack(slot_of(bundle))], Controls())
    blend = crossfader.current.slots[0].blend

    def after(crouch: float, controls: Controls) -> Float32:
        for _ in range(150):
            crossfader.play(body(crouch), controls)
        assert blend.weights is not None
        return blend.weights.copy()

    np.testing.assert_allclose(after(0.25, Controls()), [0.75, 0.25], atol=0.01)
    np.testing.assert_allclose(after(1.0, Controls()), [0.0, 1.0], atol=0.01)
    np.testing.assert_allclose(after(1.0, Controls(freeze=True)), [0.0, 1.0], atol=0.01)
    np.testing.assert_allclose(after(0.0, Controls(freeze=True)), [0.0, 1.0], atol=0.01)  # it holds
    np.testing.assert_allclose(after(0.0, Controls(styles=(0.6, 0.2))), [0.75, 0.25], atol=0.01)  # a hand, normalised
    np.testing.assert_allclose(after(0.0, Controls(style=1)), [0.0, 1.0], atol=0.01)  # a style alone
    np.testing.assert_allclose(after(0.0, Controls(styles=(0.0, 0.0))), [1.0, 0.0], atol=0.01)  # the body again


def test_weights_have_the_stated_time_constant_and_arrive() -> None:
    spec = dataclasses.replace(small_spec(), styles=("a", "b", "c"))
    blend = StyleBlend(spec, HOP_S)
    assert np.array_equal(blend.step(Controls(), None), [1, 0, 0])
    hops = round(SMOOTHING_S / HOP_S)
    for _ in range(hops):
        weights = np.array(blend.step(Controls(style=2), None))
    assert weights[2] == pytest.approx(1 - np.exp(-hops * HOP_S / SMOOTHING_S), abs=1e-4)
    assert weights.sum() == pytest.approx(1.0, abs=1e-6)
    for _ in range(200):
        weights = np.array(blend.step(Controls(style=2), None))
    assert np.array_equal(weights, [0, 0, 1])


def test_a_style_that_a_model_does_not_have_is_its_first() -> None:
    for names, expected in (((), 0), (("a",), 0), (tuple(map(str, range(9))), 0)):
        blend = StyleBlend(dataclasses.replace(small_spec(), styles=names), HOP_S)
        assert blend.step(Controls(style=len(names) + 3), None) == expected
        assert blend.weights is None
    two = StyleBlend(dataclasses.replace(small_spec(), styles=("a", "b")), HOP_S)
    assert np.array_equal(two.step(Controls(style=5), None), [1, 0])
    nine = StyleBlend(dataclasses.replace(small_spec(), styles=tuple(map(str, range(9)))), HOP_S)
    assert nine.step(Controls(style=8, styles=(1.0,)), None) == 8


def test_a_mapping_that_is_read_again_goes_on_where_the_blend_is(bundle: Bundle, tmp_path: Path) -> None:
    text = MAPPING + STYLES
    one, two = (load_mapping(text, bundle.spec, FEATURES) for _ in range(2))
    one.step(body(1.0)[: len(FEATURES)], 1e3)
    two.take_over(one)
    two.step(body(0.0)[: len(FEATURES)], 0.0)
    assert two.styles is not None
    assert two.styles[1] == pytest.approx(1.0)
    without = load_mapping(MAPPING, bundle.spec, FEATURES)
    without.take_over(one)
    assert without.styles is None


def test_a_row_of_a_take_from_before_blends_has_its_style_by_number() -> None:
    names = [name for name in HOP_ROW.names or () if name not in ("styles", "blend", "leaving_blend")]
    row = np.zeros(1, [(name, HOP_ROW[name]) for name in names])
    row["style"] = 2
    assert controls_of(row[0]).style == 2
    assert controls_of(row[0]).styles == ()


def test_a_style_by_number_as_old_takes_have_it_sounds_to_the_bit_as_weights_do(bundle: Bundle) -> None:
    sounds: list[Float32] = []
    for recorded in (False, True):
        slot = slot_of(bundle)
        if recorded:
            slot.blend = RecordedBlend(bundle.spec)
        crossfader = ModelCrossfader([Stack(slot)], Controls(style=1))
        sounds.append(np.concatenate([crossfader.play(body(0.3), Controls(style=1))[:, 0].copy() for _ in range(60)]))
    assert np.abs(sounds[0]).max() > 0.05
    assert np.array_equal(*sounds)
