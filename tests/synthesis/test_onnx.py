"""The onnx engine against the reference: same distributions, same draws, same audio; and its errors, one line each."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
import time
from collections import deque
from functools import lru_cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import soundfile
from onnx import helper

from livemove.contracts import (
    HOP,
    EngineError,
    Float32,
    Gate,
    HarmonicPath,
    ModelSpec,
    Phase,
    Trace,
    initial_state,
)
from livemove.synthesis import architectures
from livemove.synthesis.native import NativeEngine
from livemove.synthesis.onnx import PROVIDERS, OnnxEngine, available_providers
from livemove.synthesis.reference import ReferenceEngine
from tests.support.paths import ROOT, THEREMIN
from training.metrics import pitched
from training.model import onnx_graph

SMALL = dataclasses.replace(
    architectures.stage("small"), residual=16, skip=32, hidden=16, conditioning=4, dilations=(1, 2, 3, 16, 4, 40, 48, 1)
)
SMALL_MULAW = dataclasses.replace(
    architectures.classic("small mulaw"),
    residual=16,
    skip=32,
    hidden=16,
    conditioning=4,
    dilations=(1, 2, 4, 32, 40),
    classes=32,
)
SPECS = {
    "two mixtures": SMALL,
    "one mixture": dataclasses.replace(SMALL, mixtures=1),
    "four mixtures": dataclasses.replace(SMALL, mixtures=4),
    "four bands": dataclasses.replace(SMALL, bands=4, pqmf_taps=40),
    "one band": dataclasses.replace(SMALL, bands=1, pqmf_taps=0),
    "no phase, two styles": dataclasses.replace(SMALL, phase=None, styles=("a", "b")),
    "mulaw": SMALL_MULAW,
    "delayed layers only": dataclasses.replace(SMALL, dilations=(16, 48)),
    "no delayed layer": dataclasses.replace(SMALL, dilations=(1, 2, 3, 4, 40, 1)),
    "mulaw with phase": dataclasses.replace(SMALL_MULAW, phase=Phase("pitch", 3)),
    "harmonic path and gate": dataclasses.replace(
        SMALL,
        phase=Phase("pitch", 5),
        harmonic_path=HarmonicPath(40, 8, "loudness"),
        gate=Gate("loudness", 0.0, 0.5),
        styles=("a", "b"),
    ),
    "harmonic path of eight bands": dataclasses.replace(
        SMALL, bands=8, pqmf_taps=80, harmonic_path=HarmonicPath(3, 8, "")
    ),
}
HOPS = 4


@lru_cache
def graph(spec: ModelSpec) -> bytes:
    return onnx_graph.build(spec, architectures.random_weights(spec))


def engine(spec: ModelSpec) -> OnnxEngine:
    return OnnxEngine(spec, graph(spec))


def reference(spec: ModelSpec) -> ReferenceEngine:
    return ReferenceEngine(spec, architectures.random_weights(spec))


def material(spec: ModelSpec, hops: int = HOPS) -> tuple[Float32, Float32]:
    """Channels that move, a little beyond their ranges too, and noise."""
    rng = np.random.default_rng(7)
    low = np.array([c.minimum for c in spec.channels])
    high = np.array([c.maximum for c in spec.channels])
    channels = low + (high - low) * rng.uniform(-0.2, 1.2, (hops, len(spec.channels)))
    return channels.astype(np.float32), rng.random((hops * spec.steps_per_hop, spec.noise_width), np.float32)


def play(player: OnnxEngine | ReferenceEngine | NativeEngine, channels: Float32, noise: Float32) -> Float32:
    out = np.empty(len(channels) * HOP, np.float32)
    player.generate(out, channels, noise, temperature=0.7)
    return out


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_distributions_draws_audio_and_state_are_the_references(spec: ModelSpec) -> None:
    channels, noise = material(spec)
    ours, theirs = engine(spec), reference(spec)
    style = np.float32([0.3, 0.7]) if spec.styles else 0
    audio, trace = np.empty((2, HOPS * HOP), np.float32), [Trace.empty(spec, HOPS) for _ in range(2)]
    ours.generate(audio[0], channels, noise, style=style, temperature=0.7, trace=trace[0])
    theirs.generate(audio[1], channels, noise, style=style, temperature=0.7, trace=trace[1], forced=trace[0].values)
    np.testing.assert_allclose(trace[0].parameters, trace[1].parameters, rtol=0, atol=1e-5)
    np.testing.assert_allclose(trace[0].values, trace[1].values, rtol=0, atol=1e-4)
    np.testing.assert_allclose(audio[0], audio[1], rtol=0, atol=1e-5)
    for name in ("inputs", "queues", "overlap", "phase"):
        mine, reference_state = getattr(ours.state(), name), getattr(theirs.state(), name)
        assert mine.dtype == reference_state.dtype
        np.testing.assert_allclose(mine, reference_state, rtol=0, atol=1e-5, err_msg=name)


def test_stage_and_classic_agree_with_the_reference_at_full_size() -> None:
    for spec in (architectures.stage(), architectures.classic()):
        channels, noise = material(spec, 2)
        audio, trace = np.empty((2, 2 * HOP), np.float32), [Trace.empty(spec, 2) for _ in range(2)]
        engine(spec).generate(audio[0], channels, noise, trace=trace[0])
        reference(spec).generate(audio[1], channels, noise, trace=trace[1], forced=trace[0].values)
        np.testing.assert_allclose(trace[0].parameters, trace[1].parameters, rtol=0, atol=1e-4, err_msg=spec.name)
        np.testing.assert_allclose(audio[0], audio[1], rtol=0, atol=1e-4, err_msg=spec.name)


@pytest.mark.parametrize("spec", [SMALL, SPECS["four mixtures"], SMALL_MULAW], ids=lambda s: f"{s.head} {s.mixtures}")
@pytest.mark.parametrize("edge", [0.0, 1.0])
def test_noise_at_its_edges_draws_what_the_reference_draws(spec: ModelSpec, edge: float) -> None:
    channels, noise = material(spec, 1)
    noise[:] = edge
    audio, trace = np.empty((2, HOP), np.float32), [Trace.empty(spec, 1) for _ in range(2)]
    engine(spec).generate(audio[0], channels, noise, trace=trace[0])
    reference(spec).generate(audio[1], channels, noise, trace=trace[1], forced=trace[0].values)
    np.testing.assert_allclose(trace[0].values, trace[1].values, rtol=0, atol=1e-4)


@pytest.mark.parametrize("spec", [SMALL, SMALL_MULAW], ids=lambda s: s.head)
def test_temperature_is_floored_as_in_the_reference(spec: ModelSpec) -> None:
    channels, noise = material(spec, 1)
    audio, trace = np.empty((2, HOP), np.float32), [Trace.empty(spec, 1) for _ in range(2)]
    engine(spec).generate(audio[0], channels, noise, temperature=0.0, trace=trace[0])
    reference(spec).generate(audio[1], channels, noise, temperature=0.0, trace=trace[1], forced=trace[0].values)
    np.testing.assert_allclose(trace[0].values, trace[1].values, rtol=0, atol=1e-4)


@pytest.mark.parametrize("spec", [SMALL, SMALL_MULAW], ids=lambda s: s.head)
def test_hop_by_hop_equals_all_at_once(spec: ModelSpec) -> None:
    channels, noise = material(spec)
    whole = play(engine(spec), channels, noise)
    player, steps = engine(spec), spec.steps_per_hop
    single = [play(player, channels[i : i + 1], noise[i * steps : (i + 1) * steps]) for i in range(HOPS)]
    np.testing.assert_array_equal(np.concatenate(single), whole)


def test_reset_forgets_everything() -> None:
    channels, noise = material(SMALL)
    player = engine(SMALL)
    first = play(player, channels, noise)
    assert not np.array_equal(play(player, channels, noise), first)
    player.reset()
    np.testing.assert_array_equal(play(player, channels, noise), first)


def test_a_new_engine_is_at_the_start() -> None:
    state, start = engine(SMALL_MULAW).state(), initial_state(SMALL_MULAW)
    for name in ("inputs", "queues", "overlap", "phase"):
        np.testing.assert_array_equal(getattr(state, name), getattr(start, name))


def test_state_is_a_copy() -> None:
    channels, noise = material(SMALL)
    player = engine(SMALL)
    before = player.state()
    kept = before.queues.copy()
    play(player, channels, noise)
    np.testing.assert_array_equal(before.queues, kept)


@pytest.mark.parametrize("spec", [SMALL, SMALL_MULAW], ids=lambda s: s.head)
def test_engines_take_over_from_one_another_mid_note(spec: ModelSpec) -> None:
    hops, steps = 9, spec.steps_per_hop
    channels, noise = material(spec, hops)
    uninterrupted = play(reference(spec), channels, noise)
    players = [reference(spec), engine(spec), NativeEngine(spec, architectures.random_weights(spec))]
    pieces: list[Float32] = []
    for hop in range(hops):
        player = players[hop % 3]
        pieces.append(play(player, channels[hop : hop + 1], noise[hop * steps : (hop + 1) * steps]))
        players[(hop + 1) % 3].set_state(player.state())
    np.testing.assert_allclose(np.concatenate(pieces), uninterrupted, rtol=0, atol=1e-4)


def test_the_file_plays_in_plain_onnxruntime() -> None:
    spec = SMALL
    channels, noise = material(spec)
    session = ort.InferenceSession(graph(spec))
    about = json.loads(session.get_modelmeta().custom_metadata_map["livemove"])
    dtypes = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64}
    feed = {i.name: np.zeros(i.shape, dtypes[i.type]) for i in session.get_inputs()}
    for name, value in about["start"].items():
        feed[name][...] = value
    feed["temperature"][...] = 0.7
    feed["style"][0] = 1.0
    waiting = {name: deque([feed[name]] * about["delays"].get(name, 1)) for name in about["start"]}
    names = [o.name for o in session.get_outputs()]
    audio: list[Float32] = []
    for at in range(0, len(noise), about["steps"]):
        feed["channels"] = channels[at // spec.steps_per_hop]
        feed["noise"] = noise[at : at + about["steps"]]
        result = dict(zip(names, session.run(None, feed), strict=True))
        audio.append(result["audio"])
        for name, queue in waiting.items():
            queue.append(result[f"{name}_out"])
            queue.popleft()
            feed[name] = queue[0]
    np.testing.assert_allclose(np.concatenate(audio), play(engine(spec), channels, noise), rtol=0, atol=1e-5)


@pytest.mark.parametrize("spec", [architectures.stage(), architectures.classic()], ids=lambda s: s.name)
def test_the_graph_is_small_and_loads_at_once(spec: ModelSpec) -> None:
    assert len(graph(spec)) <= 20e6
    before_s = time.process_time()  # of this process alone: other load does not count
    engine(spec)
    assert time.process_time() - before_s <= 2.0


def test_an_unknown_provider_names_those_there_are() -> None:
    with pytest.raises(EngineError, match="'tpu'; there are cpu, cuda"):
        OnnxEngine(SMALL, graph(SMALL), provider="tpu")


def test_a_provider_missing_here_says_what_is_here() -> None:
    missing = next(name for name in PROVIDERS if name not in available_providers())
    with pytest.raises(EngineError, match=f"no {missing} provider, only .*cpu"):
        OnnxEngine(SMALL, graph(SMALL), provider=missing)


def test_a_missing_or_damaged_file_is_named(tmp_path: Path) -> None:
    damaged = tmp_path / "generator.onnx"
    damaged.write_bytes(graph(SMALL)[:500])
    for path, why in (
        (damaged, "not an ONNX model"),
        (tmp_path / "absent.onnx", "cannot be read: the file is missing"),
    ):
        with pytest.raises(EngineError, match=f"{path.name}: {why}"):
            OnnxEngine(SMALL, path)


def test_a_graph_of_someone_else_is_refused() -> None:
    value = helper.make_tensor_value_info("x", 1, [1])
    nodes = [helper.make_node("Neg", ["x"], ["y"])]
    other = helper.make_graph(nodes, "other", [value], [helper.make_tensor_value_info("y", 1, [1])])
    model = helper.make_model(other, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(EngineError, match="no livemove metadata"):
        OnnxEngine(SMALL, model.SerializeToString())


def test_a_graph_of_another_spec_names_the_input_that_differs() -> None:
    with pytest.raises(EngineError, match="input queues"):
        OnnxEngine(dataclasses.replace(SMALL, dilations=(1, 2)), graph(SMALL))


def about_delays(content: bytes, delays: object) -> bytes:
    """The graph with these delays in its metadata; None: with none, as graphs before them."""
    model = onnx.load_from_string(content)
    about = json.loads(model.metadata_props[0].value)
    about.pop("delays")
    if delays is not None:
        about["delays"] = delays
    helper.set_model_props(model, {"livemove": json.dumps(about)})
    return model.SerializeToString()


def test_a_graph_without_word_of_delays_still_plays() -> None:
    spec = SPECS["no delayed layer"]
    channels, noise = material(spec, 1)
    older = OnnxEngine(spec, about_delays(graph(spec), None))
    np.testing.assert_array_equal(play(older, channels, noise), play(engine(spec), channels, noise))


@pytest.mark.parametrize("delays", [{}, {"past_3": 2, "past_6": 3}, {"past_3": 1, "past_6": "3"}, 3])
def test_delays_that_are_not_the_specs_are_refused(delays: object) -> None:
    with pytest.raises(EngineError, match=r"look back .* export both again"):
        OnnxEngine(SMALL, about_delays(graph(SMALL), delays))


def test_the_example_in_the_models_readme_plays_a_glide_without_livemove(tmp_path: Path) -> None:
    text = (ROOT / "models" / "README.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- ci: plain-onnxruntime -->\n```python\n(.*?)```", text, re.DOTALL)
    assert found
    assert "livemove" not in re.sub(r'"livemove"', "", found[1])
    (tmp_path / "generator.onnx").write_bytes((THEREMIN / "generator.onnx").read_bytes())
    subprocess.run([sys.executable, "-c", found[1]], cwd=tmp_path, check=True)
    audio, rate = soundfile.read(tmp_path / "take.wav", dtype="float32")
    hops = len(audio) // HOP
    assert (rate, hops) == (48000, 375)
    notes = pitched.track_pitch(audio, rate, 0, hops)[20:-20]
    np.testing.assert_allclose(notes, 57 + 24 * np.arange(hops)[20:-20] / hops, atol=0.5)
