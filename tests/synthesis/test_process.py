"""The synthesis process: from its loop's parts to a session with the real engine and the demo dancer."""

from __future__ import annotations

import dataclasses
import gc
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

from livemove.contracts import HOP, Controls, Float32
from livemove.ipc.segment import BIN_MS, RING_CAPACITY, Segment, now_s
from livemove.native._realtime import Output
from livemove.synthesis import architectures, standby, synthesis_process
from livemove.synthesis.engines import EngineChoice
from livemove.synthesis.reference import ReferenceEngine
from livemove.synthesis.synthesis_config import SynthesisConfig
from livemove.synthesis.synthesis_process import HopWriter
from tests.support.bundles import random_bundle
from tests.support.real_time import in_real_time, timed
from tests.support.servers import Jack
from tests.support.sessions import perform, use
from tests.support.stereo import centred
from tests.support.threads import on_a_thread


def put(writer: HopWriter, hop: Float32, capture_s: float) -> bool:
    """Whether it went into the ring."""
    samples = writer.prepare(hop)
    if samples is not None:
        writer.write(samples, capture_s)
    return samples is not None


@pytest.mark.parametrize("rate", [44100.0, 48000.0, 96000.0])
def test_hops_keep_their_pitch_and_place_at_any_device_rate(rate: float, segment: Segment) -> None:
    """A sine through the writer is the same sine at the device's rate, and every hop's mark is where the hop begins."""
    output = Output(segment.bytes, rate, 1, 0.0)
    writer = HopWriter(segment.ring, 48000, rate)
    x = (0.5 * np.sin(2 * np.pi * 1000 / 48000 * np.arange(200 * HOP))).astype(np.float32)
    played = []
    for hop in x.reshape(-1, HOP):
        assert put(writer, np.stack([hop, hop], axis=1), math.nan)
        if segment.ring.fill >= 512:
            played.append(output.render(512)[:, 0])
    y = np.concatenate(played)
    assert segment.playback.underruns == 0
    middle = y[len(y) // 2 :]
    w = 2 * np.pi * 1000 / rate
    assert np.abs(middle[2:] - 2 * np.cos(w) * middle[1:-1] + middle[:-2]).max() < 2e-4
    assert abs(segment.ring.written - 200 * HOP * rate / 48000) < 0.01 * rate


def test_a_hop_without_room_is_dropped_and_moves_no_mark_behind_it(segment: Segment) -> None:
    """Nobody listens for longer than the ring holds; then every hop that is played has the latency of its own pose."""
    writer = HopWriter(segment.ring, 48000, 48000)
    hop = np.full((HOP, 2), 0.1, np.float32)
    written = [put(writer, hop, now_s()) for _ in range(RING_CAPACITY // HOP + 40)]
    assert written == [True] * (RING_CAPACITY // HOP) + [False] * 40, "dropped, and said so"
    output = Output(segment.bytes, 48000, 1, 0.0)  # starts with what comes from now on
    place = segment.ring.written
    assert all(put(writer, hop, now_s() - 0.05 * (i + 1)) for i in range(8))
    output.render(8 * HOP)
    marks = segment.playback.latency_histogram
    assert marks.sum() == 8
    assert segment.ring.written == place + 8 * HOP
    apart_ms = np.flatnonzero(marks) * BIN_MS  # 50 ms older each, and one hop later
    assert np.abs(np.diff(apart_ms) - (50 + 1e3 * HOP / 48000)).max() <= 2 * BIN_MS + 1


def test_the_model_plays_at_its_own_temperature_times_the_performers(
    segment: Segment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    class Listener(ReferenceEngine):
        def generate(self, out, channels, noise, *, style=0, temperature=1.0, trace=None, forced=None) -> None:
            asked.append(temperature)
            out[:] = 0
            if len(asked) > 3:
                segment.request_stop()

    bundle = random_bundle(tmp_path / "stage", dataclasses.replace(architectures.stage("stage"), temperature=0.25))
    listener = Listener(bundle.spec, bundle.weights)
    monkeypatch.setattr(standby, "choose_engine", lambda *_: EngineChoice(listener, "", 1.0))
    segment.controls.write(Controls(temperature=1.2))
    segment.set_device_rate(48000.0)
    try:
        on_a_thread(synthesis_process.run, segment, SynthesisConfig(bundle.path))
    finally:
        gc.enable()
        gc.unfreeze()
    assert asked[1:] == pytest.approx([0.25 * 1.2] * len(asked[1:]))


def test_another_audio_device_gets_its_own_rate(
    segment: Segment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Synthesis says from when on, and from there on a take can begin."""
    calls = 0

    class Player(ReferenceEngine):
        def generate(self, out, channels, noise, *, style=0, temperature=1.0, trace=None, forced=None) -> None:
            nonlocal calls
            calls += 1
            out[:] = 0
            if calls == 3:
                assert segment.synthesis.rate == 48000.0
                segment.set_device_rate(44100.0)
            if calls > 5:
                segment.request_stop()

    bundle = random_bundle(tmp_path / "stage", architectures.stage("stage"))
    player = Player(bundle.spec, bundle.weights)
    monkeypatch.setattr(standby, "choose_engine", lambda *_: EngineChoice(player, "", 1.0))
    segment.set_device_rate(48000.0)
    try:
        on_a_thread(synthesis_process.run, segment, SynthesisConfig(bundle.path))
    finally:
        gc.enable()
        gc.unfreeze()
    assert segment.synthesis.rate == 44100.0
    snapshot = segment.snapshot.take()
    assert snapshot is not None
    assert snapshot[0]["rate"] == 44100.0
    assert snapshot[0]["first_sample"] == 2 * HOP


@in_real_time
def test_a_dancer_without_camera_plays_a_network_without_sound_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All processes real, the whole size of the stage model; the weights are random, so it is noise."""
    monkeypatch.setenv("JACK_DEFAULT_SERVER", "livemove-nobody")
    monkeypatch.setenv("PULSE_SERVER", "unix:/nonexistent")
    model = random_bundle(tmp_path / "stage", architectures.stage("stage"))
    take = tmp_path / "take.wav"
    report, seen = perform(model.path, camera="demo", output=take, duration_s=3.0)
    with timed():
        assert report["engine"] == "native"
        assert report["pose_fps"] is not None
        assert report["pose_fps"] > 20
        assert report["hops"] > 2.5 * 48000 / HOP
        assert report["motion_to_sound_ms"]["p50"] is not None
        assert report["restarts"] == {"capture": 0, "synthesis": 0, "playback": 0, "monitor": 0}
    assert set(seen[-1].channels) == {"pitch", "loudness", "brightness"}
    x, _ = centred(take)
    with timed():
        assert np.sqrt(np.mean(x[48000:] ** 2)) > 0.01


@pytest.mark.real
@in_real_time
def test_a_real_dancer_plays_a_real_server(
    dancer_clip: Path, pose_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Film, MediaPipe, features, mapping, native engine, callback, JACK: everything but the training of the weights."""
    model = random_bundle(tmp_path / "stage", architectures.stage("stage"))
    heard_path = tmp_path / "heard.wav"

    with Jack() as jack:
        use(jack, monkeypatch)
        at = {0.2: lambda _: jack.record(heard_path, 4)}
        report, _ = perform(
            model.path, at, camera=str(dancer_clip), pose_model=pose_model, engine="native", duration_s=5.0
        )
        jack.recorded(10)
    with timed():
        assert report["poses"] >= 20
        assert report["restarts"] == {"capture": 0, "synthesis": 0, "playback": 0, "monitor": 0}
    assert report["nonfinite_samples"] == 0
    heard, _ = soundfile.read(heard_path)
    assert np.abs(heard).max() <= 1.0
    with timed():
        assert np.sqrt(np.mean(heard**2)) > 0.01
