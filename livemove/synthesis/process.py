"""The synthesis process: newest pose -> features -> mapping -> engine -> ring, one hop at a time.

In: the pose and controls mailboxes. Out: audio hops, each marked with the pose it was made from. Knows nothing of
cameras and devices but the ring's rate. The loop allocates little, and the garbage collector stays out of it.
"""

# soxr has no type information; numpy's stubs need a newer Python than 3.10.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import gc
import math
import time

import numpy as np
import soxr

from livemove.bundle import load_bundle
from livemove.contracts import HOP, Engine, Float32, ModelSpec, PoseFrame
from livemove.exchange import AudioRing, Segment, State, now_s
from livemove.features import FEATURES, FeatureSpec, FeatureStream
from livemove.mapping import mapping_for
from livemove.synthesis import choose_engine
from livemove.synthesis.config import SynthesisConfig
from livemove.synthesis.pace import Lead, ask_for_real_time

STALE_POSE_S = 1.0
"""A pose older than this is nobody's: features have eased to rest by then, and no latency is claimed for them."""

REAL_TIME_FROM = 2.0
"""Engines at least so many times faster than needed may run before everybody else. One that needs most of a core must
not: Linux stops a core's real-time threads, the sound server's too, once they had 0.95 s of a second (measured: a late
callback every second with an engine at 0.8 times real time)."""


class HopWriter:
    """Hops at the model's rate -> the ring at the device's rate, each with its mark. The ring's one producer."""

    def __init__(self, ring: AudioRing, model_rate: int, device_rate: float) -> None:
        self._ring = ring
        self._ratio = device_rate / model_rate
        self._first = ring.written
        self._hops = 0
        self._resampler = None
        if device_rate != model_rate:
            # soxr gives its output in lumps. LQ's hold it back 5 ms on average, 10 at most (HQ: 11 and 19), and what it
            # adds to a 15 kHz sine at 44.1 kHz lies 113 dB down (HQ: the same).
            self._resampler = soxr.ResampleStream(model_rate, device_rate, 1, dtype="float32", quality="LQ")

    def write(self, hop: Float32, capture_s: float) -> None:
        self._ring.mark(self._first + round(self._hops * HOP * self._ratio), capture_s)
        self._hops += 1
        self._ring.write(hop if self._resampler is None else self._resampler.resample_chunk(hop))


def run(segment: Segment, config: SynthesisConfig) -> None:
    """Keep the ring filled until the supervisor asks to stop. Raises BundleError, EngineError, MappingError."""
    life = segment.lives["synthesis"]
    bundle = load_bundle(config.model)
    spec = bundle.spec
    mapping = mapping_for(config.mapping or bundle.mapping_path, spec, FEATURES)
    life.heartbeat()
    choice = choose_engine(config.engine, bundle, config.provider)
    engine = choice.engine
    random = np.random.Generator(np.random.SFC64(config.seed))
    _warm_up(engine, spec, random)
    life.heartbeat()
    while segment.device_rate == 0.0:  # playback opens its device at the same time
        if segment.stop_requested:
            return
        life.heartbeat()
        time.sleep(0.002)

    rate = segment.device_rate
    writer = HopWriter(segment.ring, spec.sample_rate, rate)
    stream = FeatureStream(FeatureSpec(look_ahead_s=config.lookahead_s))
    hop_s = HOP / spec.sample_rate
    lead = Lead(hop_s)
    segment.ring.set_pace(rate, config.block)
    frame = PoseFrame()
    seen_s = math.nan
    out = np.zeros(HOP, np.float32)
    noise = np.zeros((spec.steps_per_hop, spec.noise_width), np.float32)
    channels = np.zeros((1, len(spec.channels)), np.float32)

    life.running(engine.name)
    if choice.realtime > REAL_TIME_FROM:
        ask_for_real_time()
    gc.collect()
    gc.freeze()
    gc.disable()  # nothing below makes cycles; a full collection costs tens of ms
    while not segment.stop_requested or segment.lives["playback"].state is State.RUNNING:  # it fades out at the end
        life.heartbeat()
        played = segment.playback
        lead.adapt(played.callbacks, played.ring_starvations, played.margin_s, now_s())
        if not segment.ring.wait_due(lead.seconds, 0.1):
            continue
        began_s = now_s()
        if segment.pose.read(frame):
            stream.update(frame)
            seen_s = frame.capture_s
        if began_s - seen_s > STALE_POSE_S:
            seen_s = math.nan
        controls = segment.controls.read()
        features = stream.at(began_s)
        channels[0] = mapping.step(features, hop_s)
        random.random(out=noise, dtype=np.float32)
        style = min(max(controls.style, 0), max(len(spec.styles) - 1, 0))
        engine.generate(out, channels, noise, style=style, temperature=spec.temperature * controls.temperature)
        writer.write(out, seen_s)
        segment.synthesis.hop(now_s() - began_s, HOP, channels[0])
        segment.synthesis.felt(features)


def _warm_up(engine: Engine, spec: ModelSpec, random: np.random.Generator) -> None:
    """First calls are slow (pages, caches, lazy kernels): make them before anybody listens."""
    hops = 8
    rest = np.array([[channel.rest for channel in spec.channels]] * hops, np.float32)
    noise = random.random((hops * spec.steps_per_hop, spec.noise_width), np.float32)
    engine.generate(np.zeros(hops * HOP, np.float32), rest, noise)
    engine.reset()
