"""Soak test of engines: generation in real time for minutes, as the synthesis process does it, beside busy cores.

In: a bundle, engines, minutes. Out: for each engine how late hops were and how long they took. The device is a clock
that takes a block at a time; the lead before it is the instrument's own. Prints nothing.
"""

from __future__ import annotations

import gc
import math
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import wait
from typing import Any

import numpy as np

from livemove.bundle import Bundle, load_bundle
from livemove.contracts import HOP, Engine, EngineError, Float32
from livemove.diagnostics.load import other_cores_busy
from livemove.ipc.cpu_affinity import take_sound_core
from livemove.synthesis.engines import choose_engine, proven
from livemove.synthesis.native import NativeEngine, NativeVoices
from livemove.synthesis.one_pass import Unison
from livemove.synthesis.pace import Lead, RealTime

BLOCK = 512
"""Frames the device takes at once: the command line's default."""

GIVEN_UP_S = 2.0
"""An engine so far behind will not catch up: its run ends there."""


@dataclass(frozen=True)
class SoakResult:
    """One engine's run. late: hops not whole when the device took the block they belong to; underruns: such blocks.

    Times in milliseconds: how long hops took, the longest lead before the device, how close the closest hop came, and
    how long after its time the latest hop was begun (more than a hop: the machine did not wake us, or we fell behind).
    """

    engine: str
    hops: int
    late: int
    underruns: int
    median_ms: float
    p99_9_ms: float
    max_ms: float
    hop_ms: float
    lead_ms: float
    least_margin_ms: float
    latest_start_ms: float


@dataclass(frozen=True)
class Report:
    """Runs of several engines; load: what the other cores did; absent: [{engine, why}]."""

    minutes: float
    model: str
    block: int
    load: str
    results: list[SoakResult]
    absent: list[dict[str, str]]

    def as_json(self) -> dict[str, Any]:
        """As `bench --soak --json` has always written it: there underruns are called "starved"."""
        written = asdict(self)
        written["results"] = [
            {"starved" if name == "underruns" else name: value for name, value in row.items()}
            for row in written["results"]
        ]
        return written


def run(
    bundle: Bundle,
    engines: Sequence[str] = ("native", "onnx"),
    minutes: float = 1.0,
    block: int = BLOCK,
    layers: int = 1,
) -> Report:
    """Each engine on its own for `minutes`, in a process of its own, all other cores busy; layers: so many of it play
    at once."""
    results: list[SoakResult] = []
    absent: list[dict[str, str]] = []
    with other_cores_busy() as load:
        for name in engines:
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as child:
                try:
                    results.append(child.submit(_hold, str(bundle.path), name, minutes, block, layers).result())
                except EngineError as error:
                    absent.append({"engine": name, "why": str(error)})
    return Report(minutes, bundle.spec.name, block, load, results, absent)


class Layers:
    """Engines that each make the same hop, one after the other, as those of layers do; as much of an Engine as `hold`
    asks for."""

    def __init__(self, engines: Sequence[Engine]) -> None:
        self.name, self.spec = engines[0].name, engines[0].spec
        self._engines = engines

    def generate(self, out: Float32, channels: Float32, noise: Float32, *, temperature: float = 1.0) -> None:
        for engine in self._engines:
            engine.generate(out, channels, noise, temperature=temperature)


def _hold(folder: str, name: str, minutes: float, block: int, layers: int) -> SoakResult:
    threading.Thread(target=_end_with_parent, name="parent watch", daemon=True).start()
    bundle = load_bundle(folder)
    choices = [choose_engine(name, bundle) for _ in range(layers)]
    engines: list[Engine] = [choice.engine for choice in choices]
    realtime = 1.0 / sum(1.0 / choice.realtime for choice in choices)
    if layers > 1 and isinstance(first := engines[0], NativeEngine):  # as a stack plays them
        together = Unison(NativeVoices(bundle.spec, bundle.weights, layers, precision=first.precision))
        engines = [together]
        realtime = proven(together, bundle)
    take_sound_core()
    real_time = RealTime(realtime, time.perf_counter())
    gc.collect()
    gc.disable()
    hops = round(minutes * 60 * bundle.spec.sample_rate / HOP)
    run = hold(Layers(engines), hops, block, realtime, after_hop=real_time.hop)
    return replace(run, engine=name)


def _end_with_parent() -> None:
    """Who was killed cannot say stop: nobody waits for the minutes that are left."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def hold(
    engine: Engine | Layers,
    hops: int,
    block: int = BLOCK,
    realtime: float = math.inf,
    now: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
    after_hop: Callable[[float], None] = lambda _: None,
) -> SoakResult:
    """Generate `hops` hops, each begun its lead before the device takes the block its last sample belongs to.

    Block k is taken k * block / rate after the start; what is not there then is late, and the device goes on, as a
    audio device does. Ends early GIVEN_UP_S behind. realtime: as `Lead` takes it; now and sleep: seconds;
    after_hop is told the time.
    """
    spec = engine.spec
    hop_s, block_s = HOP / spec.sample_rate, block / spec.sample_rate
    rng = np.random.default_rng(0)
    rest = np.array([[c.rest for c in spec.channels]], np.float32)
    noise = rng.random((64, spec.steps_per_hop, spec.noise_width), np.float32)
    out = np.zeros(HOP, np.float32)
    lead = Lead(hop_s, realtime)
    took_s = np.zeros(hops)
    late = underruns = callbacks = 0
    longest_lead_s, least_margin_s, latest_start_s, margin_s = 0.0, np.inf, 0.0, 0.0
    for _ in range(8):  # caches, lazy allocations
        engine.generate(out, rest, noise[0])
    started_s = due_s = now() + lead.seconds
    for hop in range(hops):
        lead.adapt(callbacks, underruns, margin_s, due_s, now())
        longest_lead_s = max(longest_lead_s, lead.seconds)
        taken_by = hop * HOP // block  # the block that holds this hop's first sample
        due_s = started_s + taken_by * block_s
        if due_s - lead.seconds > now():
            sleep(due_s - lead.seconds - now())
        began_s = now()
        latest_start_s = max(latest_start_s, began_s - (due_s - lead.seconds))
        engine.generate(out, rest, noise[hop % len(noise)], temperature=spec.temperature)
        ended_s = now()
        after_hop(ended_s)
        took_s[hop] = ended_s - began_s
        margin_s = max(due_s - ended_s, 0.0)
        least_margin_s = min(least_margin_s, due_s - ended_s)
        late += ended_s > due_s
        if (hop + 1) * HOP // block > taken_by:  # the last hop of its block
            callbacks += 1
            underruns += margin_s == 0.0
        if ended_s - due_s > GIVEN_UP_S:
            took_s = took_s[: hop + 1]
            break
    return SoakResult(
        engine=engine.name,
        hops=len(took_s),
        late=late,
        underruns=underruns,
        median_ms=1e3 * float(np.median(took_s)),
        p99_9_ms=1e3 * float(np.quantile(took_s, 0.999)),
        max_ms=1e3 * float(took_s.max()),
        hop_ms=1e3 * hop_s,
        lead_ms=1e3 * longest_lead_s,
        least_margin_ms=1e3 * float(least_margin_s),
        latest_start_ms=1e3 * latest_start_s,
    )
