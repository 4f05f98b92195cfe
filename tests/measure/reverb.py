"""`python -m tests.measure.reverb`: decay of the reverb in octave bands beside what was set, density of its echoes,
evenness of its spectrum, and what the three effects cost. Exit code 1 if a decay is more than a tenth off."""

from __future__ import annotations

import sys
import time

import numpy as np

from livemove.contracts import HOP, Float32
from livemove.native._effects import REVERB_CROSSOVER, REVERB_HIGH_SHARE, Delay, Looper, Reverb
from tests.support.effects import impulse, noise, settled, through
from tests.support.reverberation import OCTAVES, decay_s, echo_density, flatness, octave_band

RATE = 48000
SETTINGS = ((0.6, 0.0), (2.0, 0.0), (2.0, 0.5), (5.0, 0.3), (10.0, 0.5))


def set_decay_s(decay: float, damping: float, hertz: float, rate: int = RATE) -> float:
    """What reverb.hpp promises at a frequency: its decay rate goes from that of the lows to that of the highs."""
    t, crossover = np.tan(np.pi * np.array([hertz, REVERB_CROSSOVER]) / rate)
    highs = 1.0 / (1.0 - REVERB_HIGH_SHARE * damping) - 1.0
    return float(decay / (1.0 + highs * t**2 / (t**2 + crossover**2)))


def response(decay: float, damping: float, left: float = 1.0, right: float = 0.0) -> Float32:
    """float32 [samples, 2]: what an impulse becomes."""
    reverb = Reverb(RATE)
    sound = impulse(1.1 * decay + 0.3, RATE, left, right)
    return settled(lambda block, _: reverb.process(block, 1.0, decay, damping), sound)


def decays(decay: float, damping: float) -> list[list[float]]:
    """Seconds in each of OCTAVES: both sides for an impulse on the left, both for one on the right."""
    tails = [response(decay, damping, *sides)[round(0.1 * RATE) :] for sides in ((1.0, 0.0), (0.0, 1.0))]
    return [
        [decay_s(octave_band(tail[:, side], RATE, hertz), RATE) for tail in tails for side in (0, 1)]
        for hertz in OCTAVES
    ]


def late_flatness(heard: Float32, decay: float) -> float:
    """Of the second from 0.3 s on, made even in time."""
    late = heard[round(0.3 * RATE) : round(1.3 * RATE), 0].astype(np.float64)
    return flatness(late * 10 ** (3.0 * np.arange(len(late)) / RATE / decay), RATE)


def cost() -> dict[str, float]:
    """Seconds of audio that each makes in a busy second, all of it in use."""
    sound = noise(10.0, RATE)
    reverb, delay, looper = Reverb(RATE), Delay(RATE), Looper(RATE)
    works = {
        "reverb": lambda block, _: reverb.process(block, 0.5, 2.0, 0.5),
        "delay": lambda block, hop: delay.process(block, 0.5, 0.3 + 0.1 * (hop // 100 % 2), 0.5),
        "looper": lambda block, hop: looper.process(block, int(hop in (0, 100, 300)), 0.0, 1.0),
    }
    found: dict[str, float] = {}
    for name, work in works.items():
        began_s = time.thread_time()
        through(work, sound)
        found[name] = 10.0 / (time.thread_time() - began_s)
    return found


def main() -> int:
    worst = 0.0
    print(
        "decay in seconds, mean of both sides for an impulse on each: found / set, for octaves around",
        *(f"{hertz:g}" for hertz in OCTAVES),
        "Hz",
    )
    for decay, damping in SETTINGS:
        heard = response(decay, damping)
        cells: list[str] = []
        for hertz, each in zip(OCTAVES, decays(decay, damping), strict=True):
            found = np.mean(each)
            wanted = set_decay_s(decay, damping, hertz)
            worst = max(worst, abs(found / wanted - 1.0))
            cells.append(f"{found:.2f}/{wanted:.2f}")
        density = echo_density(heard[:, 0], RATE)
        dense_s = 0.01 * int(np.argmax(density > 0.9))
        print(f"  {decay:4.1f} s, damping {damping:.1f}:", "  ".join(cells))
        even = late_flatness(heard, decay)
        print(f"      echo density above 0.9 from {dense_s:.2f} s on; flatness {even:.3f} (noise: 0.56)")
    print(f"most that a decay is off: {100 * worst:.1f} %")
    for name, speed in cost().items():
        print(f"{name}: {speed:.0f} times real time, {1e6 * HOP / RATE / speed:.1f} us a hop")
    return int(worst > 0.1)


if __name__ == "__main__":
    sys.exit(main())
