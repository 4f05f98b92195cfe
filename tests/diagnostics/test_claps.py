"""A camera's delay from claps: what was put in comes out, between the frames, and too little says nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from livemove.contracts import PoseFrame
from livemove.diagnostics import claps

RNG = np.random.default_rng(0)
CLAPS_S = 6.0 + np.cumsum(RNG.uniform(0.9, 1.6, 10))


def seen(delay_s: float, fps: float = 30.0, noise: float = 0.02) -> list[PoseFrame]:
    """Somebody who claps, as a camera of that delay shows it: each pose has the time at which its frame arrived."""
    rng, found = np.random.default_rng(1), []
    for number in range(round(claps.LENGTH_S * fps)):
        at_s = number / fps + rng.uniform(0.0, 0.004)
        apart = min(0.2 + 8.0 * float(np.abs(CLAPS_S - at_s).min()), 1.6) + rng.normal(0.0, noise)
        frame = PoseFrame(capture_s=at_s + delay_s, sequence=number, people=1)
        frame.world[0, [11, 12], :2] = (0.2, -0.5), (-0.2, -0.5)
        frame.world[0, [23, 24], :2] = (0.1, 0.0), (-0.1, 0.0)
        frame.world[0, [15, 16], :2] = (0.25 * apart, -0.4), (-0.25 * apart, -0.4)
        found.append(frame)
    return found


def heard(round_trip_s: float, clicks: bool = True, loudness: float = 0.4) -> np.ndarray:
    """What the microphone records: clicks that late, claps when they are, a room's noise and a hum."""
    rng = np.random.default_rng(2)
    times = np.arange(round((claps.LENGTH_S + 1.0) * claps.RATE)) / claps.RATE
    sound = 0.002 * rng.standard_normal(len(times)) + 0.05 * np.sin(2 * np.pi * 50 * times)
    if clicks:
        played = claps.clicks()[:, 0]
        late = round(round_trip_s * claps.RATE)
        sound[late : late + len(played)] += 0.5 * played
    burst = rng.standard_normal(2400) * np.exp(-np.arange(2400) / 400)
    for clap_s in CLAPS_S:
        place = round(clap_s * claps.RATE)
        sound[place : place + 2400] += loudness * burst
    return sound.astype(np.float32)


@pytest.mark.parametrize(("fps", "within_ms"), [(30.0, 4.0), (60.0, 2.0)])
@pytest.mark.parametrize("delay_s", [0.0, 0.043, 0.12])
def test_a_cameras_delay_is_found_between_its_frames(delay_s: float, fps: float, within_ms: float) -> None:
    found = claps.report(seen(delay_s, fps), heard(0.031))
    assert found.camera_ms == pytest.approx(1e3 * delay_s, abs=within_ms)
    assert found.claps >= 9
    assert found.camera_spread_ms < 8.0


def test_the_devices_round_trip_is_found_by_the_clicks() -> None:
    found = claps.report(seen(0.05), heard(0.031))
    assert found.round_trip_ms == pytest.approx(31.0, abs=0.5)
    assert found.clicks == len(claps.CLICKS_S)


def test_without_clicks_or_claps_nothing_is_claimed() -> None:
    deaf = claps.report(seen(0.05), heard(0.0, clicks=False))
    assert deaf.round_trip_ms is None
    assert deaf.camera_ms == pytest.approx(50.0, abs=4.0)
    still = claps.report([], heard(0.031))
    assert still.camera_ms is None
    assert math.isnan(still.camera_spread_ms)


def test_hands_that_pass_slowly_are_no_clap() -> None:
    frames = seen(0.0, noise=0.0)
    for frame in frames:
        frame.world[0, [15, 16], 0] = (0.2, -0.2)
    assert len(claps.meetings(frames)) == 0
