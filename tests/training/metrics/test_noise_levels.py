"""Noise by band: a known level is measured."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.noisy_tones import HOPS, noisy_tone, small_spec
from training.metrics import noise_levels


@pytest.mark.parametrize("noise_db", [-30.0, -50.0])
def test_white_noise_is_measured_band_by_band(noise_db: float) -> None:
    audio, channels = noisy_tone(noise_db)
    hops, found = noise_levels.band_noise(audio, channels, np.ones(HOPS, bool), small_spec())
    assert len(hops) == len(found) > 50
    assert set(np.diff(hops)) == {noise_levels.EVERY}
    mean_db = 10 * np.log10((10 ** (found / 10)).mean(0))
    np.testing.assert_allclose(mean_db[:14], noise_db - 10 * np.log10(16), atol=1)
    # the splines lose a little near Nyquist, of whatever sound
    np.testing.assert_allclose(mean_db[14:], noise_db - 10 * np.log10(16), atol=3)


def test_white_noise_alone_is_not_voiced() -> None:
    audio, channels = noisy_tone(-40.0)
    hops, found = noise_levels.band_noise(audio, channels, np.zeros(HOPS, bool), small_spec())
    assert hops.shape == (0,)
    assert found.shape == (0, 16)
