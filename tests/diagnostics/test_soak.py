"""Generation at real-time pace, on a clock of the test's own; and the processes that keep other cores busy."""

from __future__ import annotations

import dataclasses
import math
import multiprocessing
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from livemove.contracts import HOP, EngineState, Float32, ModelSpec, Trace, initial_state
from livemove.diagnostics import load, soak
from livemove.synthesis import architectures

SPEC = dataclasses.replace(architectures.stage("slow"), residual=16, skip=16, hidden=16, dilations=(1,))
HOP_S = HOP / SPEC.sample_rate


class Clock:
    """Virtual seconds; sleeping is what makes them pass."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def now(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now_s += seconds


class TimedEngine:
    """Takes as long for a hop as it is told to: usual_s, but at some hops longer."""

    name = "timed"
    spec: ModelSpec = SPEC

    def __init__(self, clock: Clock, usual_s: float, longer_s: dict[int, float] | None = None) -> None:
        self.clock, self.usual_s, self.longer_s = clock, usual_s, longer_s or {}
        self.hop = -8  # the engine is warmed up before it counts

    def generate(
        self,
        out: Float32,
        channels: Float32,
        noise: Float32,
        *,
        style: int = 0,
        temperature: float = 1.0,
        trace: Trace | None = None,
    ) -> None:
        assert out.shape == (HOP,)
        assert noise.shape == (SPEC.steps_per_hop, SPEC.noise_width)
        self.clock.now_s += self.longer_s.get(self.hop, self.usual_s)
        self.hop += 1

    def reset(self) -> None: ...

    def state(self) -> EngineState:
        return initial_state(SPEC)

    def set_state(self, state: EngineState) -> None: ...


def hold(
    usual_s: float, hops: int = 600, longer_s: dict[int, float] | None = None, realtime: float = math.inf
) -> soak.SoakResult:
    clock = Clock()
    return soak.hold(TimedEngine(clock, usual_s, longer_s), hops, 512, realtime, clock.now, clock.sleep)


def test_an_engine_with_time_to_spare_is_never_late() -> None:
    run = hold(HOP_S / 4)
    assert (run.hops, run.late, run.underruns) == (600, 0, 0)
    assert run.median_ms == pytest.approx(1e3 * HOP_S / 4)
    assert run.max_ms == pytest.approx(1e3 * HOP_S / 4)
    assert run.least_margin_ms > 0
    assert run.latest_start_ms == pytest.approx(1e3 * HOP_S / 4)  # a block's second hop waits for its first


def test_one_hop_longer_than_the_lead_is_late_and_the_lead_grows() -> None:
    run = hold(HOP_S / 4, longer_s={300: 0.08})
    assert run.late >= 1
    assert run.underruns >= 1
    assert run.max_ms == pytest.approx(80.0)
    assert run.p99_9_ms < 80.0
    assert run.lead_ms > 25.0


def test_a_hop_within_the_lead_is_not_late() -> None:
    assert hold(HOP_S / 4, longer_s={2: 0.012}).late == 0


def test_an_engine_that_is_just_fast_enough_begins_as_far_ahead_as_on_stage() -> None:
    """A hop of 50 ms among its first ones finds a slow engine ready and a fast one not yet."""
    assert hold(HOP_S / 1.5, longer_s={2: 0.050}).late > 0
    assert hold(HOP_S / 1.5, longer_s={2: 0.050}, realtime=1.5).late == 0


def test_an_engine_slower_than_real_time_is_given_up() -> None:
    run = hold(3 * HOP_S, hops=100_000)
    assert run.hops < 1000
    assert run.late > run.hops / 2
    assert run.least_margin_ms < -1e3


def test_layers_take_the_time_of_all_their_engines() -> None:
    clock = Clock()
    engines = [TimedEngine(clock, HOP_S / 10, None) for _ in range(4)]
    run = soak.hold(soak.Layers(engines), 600, 512, math.inf, clock.now, clock.sleep)
    assert run.late == 0
    assert run.median_ms == pytest.approx(1e3 * HOP_S * 0.4)
    assert len({engine.hop for engine in engines}) == 1


def test_company_works_until_it_is_no_longer_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "pose_kind", lambda: None)
    before = set(multiprocessing.active_children())
    with load.other_cores_busy(2) as what:
        company = set(multiprocessing.active_children()) - before
        assert what == "matrix products"
        assert len(company) == 2
        assert all(process.is_alive() for process in company)
    assert not any(process.is_alive() for process in company)


ABANDONED = """
import os
from livemove.diagnostics import load

load.pose_kind = lambda: None
if __name__ == "__main__":
    with load.other_cores_busy(1):
        print(*[p.pid for p in load.multiprocessing.active_children()], flush=True)
        os._exit(0)
"""


def test_company_goes_when_whoever_asked_for_it_was_killed(tmp_path: Path) -> None:
    """It holds the other end of our pipe: `run` comes back when it has gone, or this test's time limit passes."""
    script = tmp_path / "abandoned.py"
    script.write_text(ABANDONED)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert done.stdout.strip().isdecimal()  # it was there


ABANDONED_ENGINE = """
import contextlib, os, threading, time
from livemove.diagnostics import soak
from livemove.bundle import load_bundle

if __name__ == "__main__":
    soak.other_cores_busy = lambda: contextlib.nullcontext("nothing")
    threading.Timer(4.0, lambda: os._exit(0)).start()
    soak.run(load_bundle("theremin"), ("native",), minutes=60.0)
"""


def test_an_engine_that_is_held_goes_when_whoever_held_it_was_killed(tmp_path: Path) -> None:
    """It holds the other end of our pipe, as above."""
    script = tmp_path / "abandoned.py"
    script.write_text(ABANDONED_ENGINE)
    subprocess.run([sys.executable, str(script)], capture_output=True, check=True, timeout=60)


def test_noise_is_not_always_the_same() -> None:
    """A model that hears the same numbers every hop would play one note for ever; its branches would be too easy."""
    seen: list[Float32] = []

    class Listening(TimedEngine):
        def generate(self, out: Float32, channels: Float32, noise: Float32, **how: object) -> None:
            seen.append(noise.copy())

    clock = Clock()
    soak.hold(Listening(clock, 0.0), 3, 512, now=clock.now, sleep=clock.sleep)
    assert not np.array_equal(seen[-1], seen[-2])
