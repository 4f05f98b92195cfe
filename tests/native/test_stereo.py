"""Left and right through the callback: what is alike stays alike to the bit, what is not keeps its place."""

from __future__ import annotations

import platform
from pathlib import Path

import numpy as np
import pytest

from livemove.contracts import Controls, Float32
from livemove.ipc.segment import Segment
from livemove.native._realtime import Output

RATE = 48000.0
BLOCK = 256
MONO = Path(__file__).with_name("mono_output.npy")
"""float32 [20 * BLOCK]: what the callback made of `sound()` when it knew one channel only (commit 4fab13c)."""


def sound(samples: int = 20 * BLOCK) -> Float32:
    """A tone, first soft, then far above the ceiling; whole numbers make it, so that it is the same everywhere."""
    steps = np.arange(samples)
    triangle = np.abs((steps * 37) % 4096 - 2048) / 1024 - 1.0
    level = np.where(steps < samples // 3, 0.25, 2.0)
    return (level * triangle).astype(np.float32)


def played(segment: Segment, frames: Float32, channels: int = 2, output: Output | None = None) -> Float32:
    """float32 [n, channels] of frames float32 [n] or [n, 2]."""
    output = output or Output(segment.bytes, RATE, channels, 0.0)
    pieces: list[Float32] = []
    for at in range(0, len(frames), BLOCK):
        assert segment.ring.write(np.ascontiguousarray(frames[at : at + BLOCK]))
        pieces.append(output.render(BLOCK))
    return np.concatenate(pieces)


def test_a_dry_centred_voice_is_what_mono_was(segment: Segment) -> None:
    """On both sides, and on a device of one channel: DC block, fade, gain and limiter at work."""
    x, expected = sound(), np.load(MONO)
    for channels in (1, 2):
        y = played(segment, np.stack([x, x], axis=1), channels)
        for side in y.T:
            if platform.machine() in ("x86_64", "AMD64"):
                np.testing.assert_array_equal(side, expected)
            np.testing.assert_allclose(side, expected, atol=1e-6)  # elsewhere sums may be rounded once less
    assert segment.playback.limiter_hits > 0


def test_the_sides_do_not_mix(segment: Segment) -> None:
    left, right = 0.3 * sound(), 0.1 * sound()[::-1]
    y = played(segment, np.stack([left, right], axis=1))
    alone = [played(segment, side)[:, 0] for side in (left, right)]
    np.testing.assert_array_equal(y, np.stack(alone, axis=1))
    assert segment.playback.limiter_hits == 0


def test_the_limiter_does_not_move_the_image(segment: Segment) -> None:
    """Both sides are turned down alike: a side that is a quarter of the other stays so to the bit."""
    x = sound()
    y = played(segment, np.stack([x, 0.25 * x], axis=1))
    assert segment.playback.limiter_hits > 0
    np.testing.assert_array_equal(y[:, 1], np.float32(0.25) * y[:, 0])


def test_the_louder_side_decides_whichever_it_is(segment: Segment) -> None:
    x = sound()
    one, other = (played(segment, np.stack(pair, axis=1)) for pair in ((x, 0.25 * x), (0.25 * x, x)))
    np.testing.assert_array_equal(one, other[:, ::-1])


def test_a_device_of_one_channel_gets_the_mean(segment: Segment) -> None:
    x = np.stack([0.4 * sound(), 0.2 * sound()[::-1]], axis=1)
    both, one = played(segment, x), played(segment, x, channels=1)
    np.testing.assert_array_equal(one[:, 0], np.float32(0.5) * (both[:, 0] + both[:, 1]))


def test_further_channels_of_a_device_are_left_and_right_in_turn(segment: Segment) -> None:
    x = np.stack([0.4 * sound(), 0.2 * sound()[::-1]], axis=1)
    both, five = played(segment, x), played(segment, x, channels=5)
    np.testing.assert_array_equal(five, both[:, [0, 1, 0, 1, 0]])


def test_the_tap_gives_both_sides_or_their_mean(segment: Segment) -> None:
    y = played(segment, np.stack([sound(), 0.5 * sound()[::-1]], axis=1))
    both, mean = np.zeros_like(y), np.zeros(len(y), np.float32)
    assert segment.tap.read(0, both)
    assert segment.tap.read(0, mean)
    np.testing.assert_array_equal(both, y)
    np.testing.assert_array_equal(mean, np.float32(0.5) * (y[:, 0] + y[:, 1]))


@pytest.mark.parametrize("side", [0, 1])
def test_a_side_that_is_no_number_takes_the_other_into_the_fade(side: int, segment: Segment) -> None:
    x = np.stack([0.4 * sound(), 0.4 * sound()], axis=1)
    x[10 * BLOCK : 10 * BLOCK + 5, side] = np.nan
    y = played(segment, x)
    assert np.isfinite(y).all()
    assert segment.playback.nonfinite_samples == 5
    np.testing.assert_array_equal(y[:, 0], y[:, 1])


def test_a_block_says_all_that_the_next_ones_depend_on(segment: Segment) -> None:
    """From its row another output makes the same blocks, both sides, in the middle of a fade, limited."""
    segment.blocks.skip()
    x = np.stack([sound(), np.roll(sound(), 1000)], axis=1)
    output = Output(segment.bytes, RATE, 2, 0.0)
    first = played(segment, x[: 12 * BLOCK], output=output)
    segment.controls.write(Controls(gain=0.5))
    rest = played(segment, x[12 * BLOCK :], output=output)
    rows, _ = segment.blocks.take()
    again = Output(segment.bytes, RATE, 2, 0.0)
    again.restore(rows[12:13].view(np.uint8))
    made = np.concatenate([again.render(BLOCK) for _ in range(len(rest) // BLOCK)])
    np.testing.assert_array_equal(made, rest)
    assert first.any()


@pytest.mark.parametrize("shape", [(BLOCK, 3), (2, BLOCK // 2, 2), ()])
def test_frames_of_another_shape_are_refused(shape: tuple[int, ...], segment: Segment) -> None:
    with pytest.raises((TypeError, ValueError)):
        segment.ring.write(np.zeros(shape, np.float32))
