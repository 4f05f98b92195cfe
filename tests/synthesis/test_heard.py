"""When a hop will be heard: the line through what the callback told of its blocks."""

from __future__ import annotations

import numpy as np
import pytest

from livemove.synthesis.heard import HeardTime

RATE, BLOCK = 48000.0, 512


def blocks(count: int, first_s: float, jitter_s: float = 0.0, first: int = 0) -> np.ndarray:
    rng = np.random.default_rng(0)
    rows = np.zeros(count, [("read", "<u8"), ("dac_s", "<f8")])
    rows["read"] = first + BLOCK * np.arange(count)
    rows["dac_s"] = first_s + np.arange(count) * BLOCK / RATE + rng.uniform(-jitter_s, jitter_s, count)
    return rows


def test_before_the_first_block_it_is_now() -> None:
    assert HeardTime().at(4096, RATE, 17.0) == 17.0


def test_it_follows_the_converter_and_its_jitter_hardly() -> None:
    heard = HeardTime()
    heard.add(blocks(400, 10.0, jitter_s=0.001), RATE)
    sample = 400 * BLOCK + 256
    assert heard.at(sample, RATE, 0.0) == pytest.approx(10.0 + sample / RATE, abs=0.0006)


def test_another_device_or_an_underrun_is_followed_at_once() -> None:
    heard = HeardTime()
    heard.add(blocks(100, 10.0), RATE)
    heard.add(blocks(1, 12.5, first=100 * BLOCK), RATE)
    assert heard.at(101 * BLOCK, RATE, 0.0) == pytest.approx(12.5 + BLOCK / RATE)


def test_nothing_is_heard_before_it_is_made() -> None:
    heard = HeardTime()
    heard.add(blocks(10, 10.0), RATE)
    assert heard.at(0, RATE, 11.0) == 11.0
