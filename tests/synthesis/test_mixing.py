"""Voices into stereo: nothing is added to what a dry, centred voice is, and no change clicks."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from livemove.contracts import HOP, Float32
from livemove.synthesis.mixing import Mixer, sides


def voice(seed: int = 0) -> Float32:
    return np.random.default_rng(seed).uniform(-1, 1, HOP).astype(np.float32)


def test_a_centred_voice_is_itself_on_both_sides() -> None:
    mixer, x = Mixer(1), voice()
    for _ in range(3):
        out = mixer.mix([x], [1.0], [0.0])
        np.testing.assert_array_equal(out, np.stack([x, x], axis=1))
        assert out.flags.c_contiguous


@pytest.mark.parametrize("pan", [-1.0, 1.0])
def test_at_an_end_the_other_side_is_silent(pan: float) -> None:
    out = Mixer(1).mix([voice()], [1.0], [pan])
    here, there = (0, 1) if pan < 0 else (1, 0)
    np.testing.assert_array_equal(out[:, here], voice())
    assert not out[:, there].any()


def test_a_balance_falls_evenly_and_never_rises() -> None:
    pans = np.linspace(-1, 1, 41)
    levels = np.array([sides(1.0, pan) for pan in pans])
    assert (np.diff(levels[:, 0]) <= 0).all()
    assert (np.diff(levels[:, 1]) >= 0).all()
    np.testing.assert_allclose(levels, levels[::-1, ::-1], atol=1e-12)
    assert levels.max() == 1.0


def test_voices_are_summed_each_with_its_gain() -> None:
    a, b = voice(1), voice(2)
    out = Mixer(4).mix([a, b], [0.5, 2.0], [0.0, 0.0])
    np.testing.assert_allclose(out[:, 0], 0.5 * a + 2.0 * b, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(out[:, 0], out[:, 1])


def test_a_change_is_followed_within_a_hop_without_a_step() -> None:
    mixer, ones = Mixer(1), np.ones(HOP, np.float32)
    levels = (1.0, 0.0), (0.25, 0.5), (2.0, -1.0), (2.0, -1.0)
    heard = [mixer.mix([ones], [gain], [pan]).copy() for gain, pan in levels]
    joined = np.concatenate(heard)
    assert np.abs(np.diff(joined, axis=0)).max() <= 2.0 / HOP + 1e-6
    for (gain, pan), hop in zip(levels, heard, strict=True):
        np.testing.assert_allclose(hop[-1], sides(gain, pan), atol=1e-6)


def test_a_voice_begins_with_the_levels_it_is_given() -> None:
    mixer, ones = Mixer(2), np.ones(HOP, np.float32)
    np.testing.assert_array_equal(mixer.mix([ones], [0.5], [0.0]), np.full((HOP, 2), 0.5, np.float32))
    mixer.jump()
    np.testing.assert_array_equal(mixer.mix([ones], [0.25], [0.0]), np.full((HOP, 2), 0.25, np.float32))


def test_from_its_state_the_same_follows_to_the_bit() -> None:
    one, other, x = Mixer(3), Mixer(3), voice()
    one.mix([x, x], [1.0, 0.3], [0.1, -0.7])
    other.set_state(one.state())
    after = (0.2, 0.9), (-0.4, 0.4)
    np.testing.assert_array_equal(one.mix([x, x], *after).copy(), other.mix([x, x], *after))


def test_it_keeps_no_memory() -> None:
    mixer, x = Mixer(4), [voice(i) for i in range(4)]
    mixer.mix(x, [1.0] * 4, [0.1] * 4)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for hop in range(200):
        mixer.mix(x, [1.0, 0.5 + 0.001 * hop, 1.0, 1.0], [0.0, 0.1, -0.001 * hop, 0.5])
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 2048, "no array of a hop stays behind"
