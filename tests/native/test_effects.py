"""Reverberation and delay: they do what is set, ring evenly, glide, heal, sleep, go on from their state to the bit."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from livemove.contracts import HOP, Float32
from livemove.native._effects import DELAY_LONGEST, Delay, Reverb
from tests.measure.reverb import decays, late_flatness, response, set_decay_s
from tests.support.clicks import clicks
from tests.support.effects import impulse, noise, settled, through
from tests.support.paths import ROOT
from tests.support.reverberation import OCTAVES, decay_s, echo_density, flatness, octave_band

RATE = 48000


@pytest.mark.parametrize(("decay", "damping"), [(0.6, 0.0), (2.0, 0.0), (2.0, 0.5), (5.0, 0.3)])
def test_it_decays_as_set_in_every_octave(decay: float, damping: float) -> None:
    """Within a tenth: the mean of both sides, for an impulse on each."""
    for centre, found in zip(OCTAVES, decays(decay, damping), strict=True):
        assert np.mean(found) == pytest.approx(set_decay_s(decay, damping, centre), rel=0.1), (centre, found)


def test_it_decays_as_set_at_other_rates() -> None:
    for rate in (16000, 44100, 96000):
        reverb = Reverb(rate)
        heard = settled(lambda block, _, e=reverb: e.process(block, 1.0, 1.5, 0.0), impulse(2.0, rate))
        band = octave_band(heard[round(0.1 * rate) :, 0], rate, 1000.0)
        assert decay_s(band, rate) == pytest.approx(1.5, rel=0.1), rate


def test_its_echoes_are_dense_and_none_of_its_resonances_stands_out() -> None:
    heard = response(3.0, 0.0)
    assert (echo_density(heard[:, 0], RATE)[20:200] > 0.8).all()  # from 0.2 s on
    assert late_flatness(heard, 3.0) > 0.45  # noise: 0.56


def test_one_comb_is_found_out_by_the_same_measures() -> None:
    delay = Delay(RATE)
    heard = settled(lambda block, _: delay.process(block, 1.0, 0.03, 0.95), impulse(3.0, RATE))[:, 0]
    assert echo_density(heard, RATE)[20:60].mean() < 0.6
    assert flatness(heard[RATE // 2 : RATE + RATE // 2], RATE) < 0.2


def test_both_sides_ring_alike_and_differ() -> None:
    heard = response(2.0, 0.0, 1.0, 1.0)[round(0.2 * RATE) : 2 * RATE].astype(np.float64)
    left, right = np.sqrt((heard**2).mean(axis=0))
    assert left == pytest.approx(right, rel=0.15)
    assert abs(np.corrcoef(heard.T)[0, 1]) < 0.1


def test_a_long_decay_is_no_louder_than_a_short_one() -> None:
    levels: list[float] = []
    for decay in (0.5, 2.0, 8.0):
        reverb = Reverb(RATE)
        heard = through(lambda block, _, e=reverb, d=decay: e.process(block, 1.0, d, 0.0), noise(6.0, RATE))
        wet = heard[4 * RATE :] - noise(6.0, RATE)[4 * RATE :]
        levels.append(20 * np.log10(np.sqrt((wet[: len(wet) - HOP].astype(np.float64) ** 2).mean()) / 0.1))
    assert max(levels) - min(levels) < 3.0, levels
    assert -3.0 < np.mean(levels) < 3.0, levels


# --- the delay ----------------------------------------------------------------------------------------------


def test_an_echo_comes_when_it_is_set_and_as_it_was() -> None:
    delay = Delay(RATE)
    heard = settled(lambda block, _: delay.process(block, 1.0, 0.25, 0.5), impulse(1.0, RATE, 0.5, 0.25))
    assert heard[RATE // 4].tolist() == [0.5, 0.25]
    assert np.flatnonzero(np.abs(heard[1 : RATE // 2]).max(axis=1))[0] + 1 == RATE // 4
    second = heard[RATE // 2 : RATE // 2 + 2000, 0].astype(np.float64)
    assert abs(second).max() < 0.25  # half of it, through the filters
    assert np.abs(np.fft.rfft(second, RATE))[1000] == pytest.approx(0.25, rel=0.1)


def test_echoes_fall_by_the_feedback_each_time() -> None:
    delay = Delay(RATE)
    tone = np.sin(2 * np.pi * 800 * np.arange(4800) / RATE)
    heard = through(lambda block, _: delay.process(block, 1.0, 0.2, 0.7), np.pad(tone, (0, 3 * RATE)))[:, 0]
    levels = [np.sqrt((heard[k * 9600 : k * 9600 + 4800] ** 2).mean()) for k in range(1, 8)]
    falls = np.diff(20 * np.log10(levels))
    assert np.allclose(falls, falls[0], atol=0.6)
    assert falls.mean() == pytest.approx(20 * np.log10(0.7), abs=0.6)  # the filters' share at 800 Hz


@pytest.mark.parametrize("jumps", [(0.5, 0.2), (0.1, 1.5), (0.3, 0.301), (1.9, 0.01)])
def test_a_time_that_is_changed_glides_without_a_click(jumps: tuple[float, float]) -> None:
    delay = Delay(RATE)
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(4 * RATE) / RATE)
    tone[:4800] *= np.linspace(0, 1, 4800)
    heard = through(lambda block, hop: delay.process(block, 1.0, jumps[(hop // 90) % 2], 0.3), tone)
    assert len(clicks(heard[:, 0])) == 0
    planted, at = heard[:, 0].copy(), 2 * RATE + int(np.abs(heard[2 * RATE : 2 * RATE + 200, 0]).argmax())
    planted[at:] *= 0.9
    assert len(clicks(planted)) > 0


def test_sends_and_feedback_move_without_a_click() -> None:
    delay, reverb = Delay(RATE), Reverb(RATE)
    tone = 0.4 * np.sin(2 * np.pi * 330 * np.arange(3 * RATE) / RATE) * np.minimum(1, np.arange(3 * RATE) / 4800)

    def work(block: Float32, hop: int) -> None:
        on = float(hop // 50 % 2)
        delay.process(block, on, 0.11, 0.9 * on)
        reverb.process(block, on, 0.5 + 7 * on, on)

    heard = through(work, tone)
    assert len(clicks(heard[:, 0])) == 0


# --- both ---------------------------------------------------------------------------------------------------

Effect = tuple[type[Reverb] | type[Delay], tuple[float, float]]
each = pytest.mark.parametrize("effect", [(Reverb, (1.0, 0.4)), (Delay, (0.137, 0.6))], ids=["reverb", "delay"])


def player(
    made: Reverb | Delay, set_: tuple[float, float], send: Callable[[int], float]
) -> Callable[[Float32, int], None]:
    return lambda block, hop: made.process(block, send(hop), *set_)


@each
def test_dry_is_bit_identical(effect: Effect) -> None:
    made, (a, b) = effect[0](RATE), effect[1]
    dry = noise(1.0, RATE)
    dry[::7] *= -0.0
    heard = through(lambda block, _: made.process(block, 0.0, a, b), dry)
    assert heard[: len(dry)].tobytes() == dry.tobytes()
    assert not made.awake


@each
def test_it_sleeps_again_and_is_dry_to_the_bit(effect: Effect) -> None:
    made = effect[0](RATE)
    through(player(made, effect[1], lambda hop: 1.0 if hop < 20 else 0.0), noise(0.5, RATE))
    assert made.awake
    through(player(made, effect[1], lambda hop: 0.0), np.zeros((20 * RATE, 2), np.float32))
    assert not made.awake
    dry = noise(0.3, RATE, 3)
    assert through(player(made, effect[1], lambda hop: 0.0), dry)[: len(dry)].tobytes() == dry.tobytes()


@each
def test_the_same_again_is_the_same_to_the_bit_also_from_its_state(effect: Effect) -> None:
    kind, set_ = effect
    sound = noise(2.0, RATE)
    one, two, three = kind(RATE), kind(RATE), kind(RATE)
    states: list[Float32] = []

    def work(block: Float32, hop: int) -> None:
        if hop in (0, 150):
            states.append(one.state())
        one.process(block, 0.8 if hop > 30 else 0.0, set_[0] * (1 + hop // 120), set_[1])

    def later(block: Float32, hop: int) -> None:
        three.process(block, 0.8, set_[0] * (1 + (hop + 150) // 120), set_[1])

    first = through(work, sound)
    again = through(lambda b, h: two.process(b, 0.8 if h > 30 else 0.0, set_[0] * (1 + h // 120), set_[1]), sound)
    assert first.tobytes() == again.tobytes()
    three.set_state(states[1])
    assert through(later, sound[150 * HOP :]).tobytes() == first[150 * HOP :].tobytes()
    assert len(states[0]) < 100 < len(states[1])


@each
def test_numbers_that_are_none_heal_and_are_counted(effect: Effect) -> None:
    kind, set_ = effect
    made = kind(RATE)
    sound = noise(1.0, RATE)
    sound[5000] = np.nan, np.inf
    heard = through(player(made, set_, lambda _: 1.0), sound)
    assert np.isfinite(heard).all()
    assert made.nonfinite == 2
    state = made.state()
    assert len(state) > 100
    state[150::97] = np.nan
    state[151::997] = 3e38
    made.set_state(state)
    heard = through(player(made, set_, lambda _: 1.0), noise(3.0, RATE))
    assert np.isfinite(heard).all()
    assert made.nonfinite > 10
    through(player(made, set_, lambda _: 0.0), np.zeros((30 * RATE, 2), np.float32))
    assert not made.awake


@each
def test_a_strangers_state_is_taken_or_refused_and_never_rings_for_ever(effect: Effect) -> None:
    kind, set_ = effect
    made = kind(RATE)
    through(player(made, set_, lambda _: 1.0), noise(0.2, RATE))
    whole = made.state()
    for wrong in (whole[:-1], whole[:3], np.zeros(0, np.float32)):
        with pytest.raises(ValueError, match="no state"):
            made.set_state(wrong)
    random = np.random.default_rng(1)
    for _ in range(20):
        kept = whole.copy()
        places = random.integers(0, 100, 20)
        kept[places] = random.choice([np.nan, np.inf, -1e9, 1e9, 0.99, -3.0], 20)
        made.set_state(kept)
        heard = through(player(made, set_, lambda _: 0.0), np.zeros((RATE, 2), np.float32))
        assert np.isfinite(heard).all()
    through(player(made, set_, lambda _: 0.0), np.zeros((60 * RATE, 2), np.float32))
    assert not made.awake


@each
def test_settings_that_are_no_numbers_or_out_of_range_do_no_harm(effect: Effect) -> None:
    made = effect[0](RATE)
    for values in ((np.nan, 1.0, 0.5), (1.0, np.nan, np.inf), (5.0, -3.0, 9.0), (-1.0, 1e9, -1e9)):
        heard = through(lambda block, _, v=values: made.process(block, *v), noise(0.3, RATE))
        assert np.isfinite(heard).all()
        assert np.abs(heard).max() < 20.0


@each
def test_blocks_that_are_no_hop_of_stereo_are_refused(effect: Effect) -> None:
    made = effect[0](RATE)
    for shape in ((HOP, 1), (HOP - 1, 2), (2, HOP)):
        with pytest.raises(ValueError, match="one hop of stereo"):
            made.process(np.zeros(shape, np.float32), 0.5, 1.0, 0.5)
    with pytest.raises(ValueError, match="rate"):
        effect[0](100.0)


def test_the_longest_delay_is_reached_and_nothing_is_longer() -> None:
    delay = Delay(RATE)
    heard = settled(lambda block, _: delay.process(block, 1.0, 99.0, 0.0), impulse(2.5, RATE))
    assert np.flatnonzero(heard[1:, 0])[0] + 1 == round(DELAY_LONGEST * RATE)


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp is Linux's")
def test_effects_allocate_nothing_and_make_no_system_call(tmp_path: Path) -> None:
    """The C++ alone: through waking, ringing, NaN, sleep, and a loop's whole life; a jail that shows that it kills."""
    program = tmp_path / "alone"
    source = ROOT / "tests" / "native" / "effects_alone.cpp"
    subprocess.run(
        ["c++", "-std=c++17", "-O2", f"-I{ROOT / 'livemove' / 'native'}", "-o", str(program), str(source)], check=True
    )
    assert subprocess.run([str(program)], check=False).returncode == 0
    assert subprocess.run([str(program), "allocate"], check=False).returncode == 1
    assert subprocess.run([str(program), "call"], check=False).returncode < 0
