"""Two dancers in the synthesis process: what each does reaches the channels that name them, and takes know it."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest

from livemove.body.features import FEATURES
from livemove.capture import demo
from livemove.contracts import HOP
from livemove.ipc.segment import Segment, State, now_s
from livemove.native._realtime import Output
from livemove.synthesis import architectures, standby, synthesis_process
from livemove.synthesis.engines import EngineChoice
from livemove.synthesis.reference import ReferenceEngine
from livemove.synthesis.synthesis_config import SynthesisConfig
from tests.support.bundles import random_bundle
from tests.support.threads import on_a_thread

MAPPING = """
[channels.pitch]
source = "right_hand_height"
from = [-1.0, 1.0]

[channels.loudness]
source = "dancer2.presence"
from = [0.0, 1.0]

[channels.brightness]
source = "dancer2.hand_distance"
from = [0.0, 1.0]
"""


def played(
    segment: Segment, folder: Path, monkeypatch: pytest.MonkeyPatch, looked_for: int, in_view: int
) -> np.ndarray:
    """float32 [hops, C] with that many dancers looked for and in view; a pose a hop."""
    found: list[np.ndarray] = []
    output = Output(segment.bytes, 48000, 1, 0.0)

    class Listener(ReferenceEngine):
        def generate(self, out, channels, noise, *, style=0, temperature=1.0, trace=None, forced=None) -> None:
            if len(channels) == 1:  # no warm-up
                found.append(channels[0].copy())
                frame = demo.pose_at(len(found) / demo.FPS, len(found), dancers=in_view)
                frame.capture_s = now_s()
                segment.pose.write(frame)
                output.render(2 * HOP)
            out[:] = 0
            if len(found) > 45:
                segment.request_stop()

    bundle = random_bundle(folder / "stage", architectures.stage("stage"))
    mapping = folder / "duet.toml"
    mapping.write_text(MAPPING)
    listener = Listener(bundle.spec, bundle.weights)
    monkeypatch.setattr(standby, "choose_engine", lambda *_: EngineChoice(listener, "", 1.0))
    segment.set_device_rate(48000.0)
    try:
        on_a_thread(synthesis_process.run, segment, SynthesisConfig(bundle.path, mapping=mapping, dancers=looked_for))
    finally:
        gc.enable()
        gc.unfreeze()
    assert segment.processes["synthesis"].state is State.RUNNING
    return np.array(found)


def test_both_play(segment: Segment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    channels = played(segment, tmp_path, monkeypatch, 2, 2)
    assert np.ptp(channels, axis=0).min() > 0.1
    names = segment.external_inputs.wanted
    row = segment.hops.last(1)[0]
    sources = dict(zip((*FEATURES, *names), row["sources"].tolist(), strict=False))
    assert sources["dancer2.presence"] == 1.0
    assert channels[-1][1] == pytest.approx(1.0)


def test_a_second_one_who_never_comes_rests(segment: Segment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    channels = played(segment, tmp_path, monkeypatch, 2, 1)
    assert np.ptp(channels[:, 0]) > 0.1
    assert np.ptp(channels[:, 1:], axis=0).max() < 1e-6


def test_one_whom_nobody_looks_for_is_said_once(
    segment: Segment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    channels = played(segment, tmp_path, monkeypatch, 1, 2)
    assert np.ptp(channels[:, 0]) > 0.1
    assert np.ptp(channels[:, 1:], axis=0).max() < 1e-6
    assert "--dancers 2 looks for two" in (segment.processes["synthesis"].remarks[1])
