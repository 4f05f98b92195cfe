"""The filter bank: near-perfect reconstruction, its stated delay, and streaming synthesis."""

from __future__ import annotations

import numpy as np
import pytest

from livemove.synthesis import pqmf

BANKS = [(16, 160), (8, 80), (4, 40)]


@pytest.mark.parametrize(("bands", "taps"), BANKS)
def test_reconstruction_error_is_below_minus_60_db(bands: int, taps: int) -> None:
    audio = np.random.default_rng(0).standard_normal(9600).astype(np.float32)
    values = pqmf.analysis(audio, bands, taps)
    back = pqmf.synthesis(np.zeros((taps // bands - 1, bands), np.float32), values, bands, taps)
    lag = pqmf.delay(bands, taps)
    inner = slice(taps, 9000)
    error = back[lag:][inner] - audio[inner]
    assert 10 * np.log10((error**2).mean() / (audio[inner] ** 2).mean()) < -60


@pytest.mark.parametrize(("bands", "taps"), BANKS)
def test_a_sinusoid_keeps_its_amplitude_in_the_middle_of_a_band(bands: int, taps: int) -> None:
    band = bands // 2
    audio = 0.5 * np.sin(np.pi * (band + 0.5) / bands * np.arange(4800) + 0.3).astype(np.float32)
    values = pqmf.analysis(audio, bands, taps)[20:-20]
    assert np.sqrt(2 * (values[:, band] ** 2).mean()) == pytest.approx(0.5, rel=0.01)
    others = np.delete(values, (band - 1, band, band + 1), axis=1)
    assert np.abs(others).max() < 0.5 * 10 ** (-40 / 20)


@pytest.mark.parametrize(("bands", "taps"), BANKS)
def test_chunked_synthesis_equals_whole(bands: int, taps: int) -> None:
    values = np.random.default_rng(0).standard_normal((60, bands)).astype(np.float32)
    overlap = taps // bands - 1
    history = np.zeros((overlap, bands), np.float32)
    whole = pqmf.synthesis(history, values, bands, taps)
    pieces = []
    for chunk in np.split(values, [7, 20, 45]):
        pieces.append(pqmf.synthesis(history, chunk, bands, taps))
        history = np.concatenate([history, chunk])[-overlap:]
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-6)


def test_a_bank_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="5 bands"):
        pqmf.filters(5, 50)
