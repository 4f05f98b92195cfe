"""Hits of the body: each found once, at once and of the right limb; no hit where there is none; what mappings get."""

from __future__ import annotations

import dataclasses
import gc
import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from livemove.body.event_inputs import EventInputs
from livemove.body.features import FEATURES
from livemove.body.mapping import load_mapping
from livemove.body.triggers import (
    DECAY_S,
    HITS,
    REFRACTORY_S,
    SILENT,
    TAKES,
    VARIATION,
    WEAKEST,
    Hit,
    Triggers,
    TriggerSpec,
    variation,
)
from livemove.contracts import HOP, Channel, Controls, MappingError, ModelSpec, PoseFrame
from livemove.ipc.segment import Segment
from livemove.offline.render import Player, RenderConfig, Voice
from livemove.synthesis import architectures, standby, synthesis_process
from livemove.synthesis.engines import EngineChoice
from livemove.synthesis.reference import ReferenceEngine
from livemove.synthesis.synthesis_config import SynthesisConfig
from tests.support.bodies import nobody
from tests.support.bundles import random_bundle
from tests.support.paths import ROOT
from tests.support.threads import on_a_thread
from training.metrics import scripted_hits
from training.metrics.scripted_hits import GESTURES, Act, Camera, compare, detect, script, truth, video

HOP_S = HOP / 48000
STILL_CAMERA = Camera(fps=30.0, noise_m=0.0, jitter_s=0.0, lost=0.0)
CARDS = ROOT / "training" / "cards"


def drums(base: ModelSpec) -> ModelSpec:
    channels = tuple(Channel(name, "hit 0..1", 0.0, 1.0, 0.0) for name in (*HITS, VARIATION))
    return dataclasses.replace(base, channels=channels, phase=None)


def small_drums() -> ModelSpec:
    small = dataclasses.replace(
        architectures.stage("drums"), residual=16, skip=16, hidden=16, conditioning=4, mixtures=1
    )
    return dataclasses.replace(drums(small), dilations=(1, 2, 4))


def one(what: str, size: float = 0.7, fast: float = 0.7, right: bool = True) -> list[PoseFrame]:
    return video([Act(what, 1.5, size, fast, right)], 4.0, STILL_CAMERA, 0)


@pytest.mark.parametrize("what", HITS)
def test_every_kind_of_hit_is_found_once_and_within_two_frames(what: str) -> None:
    (hit,) = detect(one(what))
    assert HITS[hit.which] == what
    assert -1.5 / 30 < hit.time_s - 1.5 <= 2.2 / 30
    assert WEAKEST <= hit.strength <= 1.0


@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("what", GESTURES)
def test_what_is_no_hit_is_none(what: str, right: bool) -> None:
    assert detect(one(what, right=right)) == []


@pytest.mark.parametrize("what", HITS)
def test_a_harder_hit_is_stronger(what: str) -> None:
    soft, hard = (detect(one(what, size, fast))[0].strength for size, fast in ((0.2, 0.2), (1.0, 1.0)))
    assert hard > soft + 0.1


@pytest.mark.parametrize("fps", [25.0, 30.0])
def test_a_minute_of_noisy_frames_reaches_f1_of_nine_tenths_without_double_hits(fps: float) -> None:
    acts = script(3, 60.0)
    found = compare(detect(video(acts, 60.0, Camera(fps), 3)), truth(acts))
    assert found["f1"] >= 0.9
    assert found["doubled"] <= 1


def test_the_comparison_counts_late_and_double_and_foreign_hits_against_the_triggers() -> None:
    true = [Hit(0, 1.0, 1.0), Hit(4, 1.0, 2.0)]
    assert compare(true, true)["f1"] == 1.0
    found = compare([Hit(0, 1.0, 1.03), Hit(0, 1.0, 1.1), Hit(1, 1.0, 2.0), Hit(4, 1.0, 2.3)], true)
    assert (found["precision"], found["recall"], found["doubled"]) == (0.25, 0.5, 2.0)


def test_hits_do_not_depend_on_frames_to_come_and_repeat_exactly() -> None:
    acts = script(1, 20.0)
    frames = video(acts, 20.0, Camera(), 1)
    whole = detect(frames)
    assert detect(frames) == whole
    half = len(frames) // 2
    assert detect(frames[:half]) == [hit for hit in whole if hit.time_s <= frames[half - 1].capture_s]


def test_left_taken_for_right_hits_nothing() -> None:
    """What MediaPipe does now and then with a dancer who turns: all landmarks change sides for a few frames."""
    frames = video([], 3.0, STILL_CAMERA, 0)
    order = [0, 4, 5, 6, 1, 2, 3, 8, 7, 10, 9, *(i + (1 if i % 2 else -1) for i in range(11, 33))]
    for frame, share in zip(frames[40:45], (0.5, 1.0, 1.0, 1.0, 0.5), strict=True):
        for marks in (frame.world[0], frame.image[0]):
            marks[:] = (1.0 - share) * marks + share * marks[order]
    assert detect(frames) == []
    assert detect(frames, Triggers(TriggerSpec(turned=-2.0)))  # it would have been taken for a clap or two blows


def test_landmarks_that_jump_and_frames_that_are_missing_hit_nothing() -> None:
    frames = video([], 3.0, STILL_CAMERA, 0)
    for frame, down_m in zip(frames[40:], (0.5, *[1.0] * 50), strict=False):
        frame.world[0, 16, 1] += down_m
        frame.image[0, 16, 1] += 0.42 * down_m
    before, after = one("right_hand")[:44], one("right_hand")[54:]  # the stroke itself is not seen
    assert detect(frames) == []
    assert detect(frames, Triggers(TriggerSpec(implausible=100.0)))
    assert detect([*before, *after]) == []


def test_a_mirrored_image_shows_the_same_hits_and_a_hand_that_jumps_in_the_world_only_shows_none() -> None:
    frames, still = one("clap"), video([], 3.0, STILL_CAMERA, 0)
    (hit,) = detect(frames)
    for frame in frames:
        frame.image[0, :, 0] = 1.0 - frame.image[0, :, 0]
    (mirrored,) = detect(frames)
    assert (mirrored.which, mirrored.time_s) == (hit.which, hit.time_s)
    assert mirrored.strength == pytest.approx(hit.strength, rel=1e-3)
    for frame, share in zip(still[40:], (0.5, *[1.0] * 50), strict=False):
        frame.world[0, 15] += share * (frame.world[0, 16] - frame.world[0, 15])
    assert detect(still) == []


def test_nobody_and_hidden_limbs_hit_nothing() -> None:
    frames = one("right_hand")
    for frame in frames:
        frame.visibility[0, 16] = 0.1
    assert detect(frames) == []
    assert detect([nobody(frame.capture_s) for frame in frames]) == []


def test_frames_that_come_twice_or_late_change_nothing() -> None:
    frames = one("left_foot")
    twice = [frame for pair in zip(frames, [frames[0], *frames[:-1]], strict=True) for frame in pair]
    assert detect(twice) == detect(frames)


# --- inputs -------------------------------------------------------------------------------------------------


def test_a_hit_sounds_in_the_next_hop_and_dies_away_by_the_hop() -> None:
    inputs, frames = EventInputs(), one("clap")
    values, due = [], None
    for frame in frames:
        if inputs.update(frame, 0.0):
            due = len(values)
        for _ in range(6):
            inputs.step(np.zeros(len(FEATURES), np.float32), HOP_S)
            values.append(inputs.hits[4])
    (hit,) = detect(frames)
    assert due is not None
    envelope = np.array(values)
    assert not envelope[:due].any()
    assert envelope[due] == np.float32(hit.strength)
    np.testing.assert_allclose(envelope[due + 12] / envelope[due], math.exp(-12 * HOP_S / DECAY_S), rtol=1e-5)
    assert (np.diff(envelope) > 0).sum() == 1  # once only
    assert envelope[-1] == 0.0
    assert envelope[envelope > 0].min() >= SILENT


def test_even_the_weakest_hit_after_the_hardest_makes_the_envelope_rise() -> None:
    assert math.exp(-REFRACTORY_S / DECAY_S) < WEAKEST


def test_a_hit_is_an_input_of_any_channel_and_a_wrong_name_is_told() -> None:
    spec = architectures.stage("theremin")
    text = (ROOT / "models" / "theremin" / "mapping.toml").read_text()
    with_hit = text.replace('source = "left_hand_height"', 'source = "hit:clap"')
    mapping = load_mapping(with_hit, spec, FEATURES)
    assert mapping.external == ("hit:clap",)
    with pytest.raises(MappingError, match="unknown hit 'hit:clop'; did you mean hit:clap"):
        load_mapping(with_hit.replace("hit:clap", "hit:clop"), spec, FEATURES)


def test_the_drums_mapping_gives_each_limb_its_channel() -> None:
    mapping = load_mapping(CARDS / "bodydrum.toml", drums(architectures.stage("drums")), FEATURES)
    frames = one("left_foot")
    channels = scripted_hits.channels(frames, 4.0, mapping, HOP_S)
    struck = channels[:, HITS.index("left_foot")]
    assert struck.max() == np.float32(detect(frames)[0].strength)
    assert not np.delete(channels[:, : len(HITS)], HITS.index("left_foot"), axis=1).any()
    before, after = np.split(channels[:, len(HITS)], [int(np.argmax(struck > 0))])
    assert not before.any()
    assert (after == np.float32(variation(1))).all()


def test_no_two_hits_near_each_other_are_of_one_variation() -> None:
    """Every take comes equally often, from well within its part; inside a part no two of eight are alike."""
    numbers = np.array([variation(n) for n in range(1, 1001)])
    apart = np.abs(numbers[:, None] - numbers)
    for n in range(1000):
        assert np.delete(apart[n, n : n + 8], 0).min(initial=1.0) > 0.6 * 0.05
    assert np.abs(np.histogram(numbers, TAKES, (0.0, 1.0))[0] - 1000 / TAKES).max() <= 2
    inside = numbers * TAKES % 1.0
    assert 0.2 <= inside.min() < 0.21
    assert 0.79 < inside.max() <= 0.8


class Heard(ReferenceEngine):
    """Silence; keeps the channels it was given."""

    def __init__(self, spec: ModelSpec, weights: dict[str, np.ndarray]) -> None:
        super().__init__(spec, weights)
        self.channels: list[np.ndarray] = []

    def generate(self, out, channels, noise, *, style=0, temperature=1.0, trace=None, forced=None) -> None:
        out[:] = 0.0
        self.channels.append(channels.copy())


def test_render_gives_the_model_what_the_evaluation_gives_it(tmp_path: Path) -> None:
    spec = small_drums()
    engine = Heard(spec, architectures.random_weights(spec, 0))
    mapping = load_mapping(CARDS / "bodydrum.toml", spec, FEATURES)
    frames = one("right_hand")
    config = RenderConfig(tmp_path, tmp_path, tmp_path)
    player = Player(config, [Voice(config, spec, engine, mapping)])
    for frame, following in itertools.pairwise(frames):
        list(player.play(frame, following.capture_s))
    heard = np.concatenate(engine.channels)
    mapping.reset()
    np.testing.assert_array_equal(heard, scripted_hits.channels(frames, 4.0, mapping, HOP_S)[: len(heard)])
    assert (np.diff(heard[:, 1]) > 0).sum() == 1


def random_drums(folder: Path, spec: ModelSpec):
    """A bundle of that spec with random weights."""
    bundle = random_bundle(folder / "drums", architectures.stage("drums"))
    return dataclasses.replace(bundle, spec=spec, weights=architectures.random_weights(spec, 0))


@pytest.mark.parametrize("freeze", [False, True])
def test_the_synthesis_process_hears_a_hit_once_and_does_not_hold_it_in_a_freeze(
    segment: Segment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, freeze: bool
) -> None:
    spec = small_drums()
    frames = one("right_hand")[30:70]
    heard: list[np.ndarray] = []

    class Stage(Heard):
        """Plays what it is given, and brings the next pose every sixth hop."""

        def generate(self, out, channels, noise, *, style=0, temperature=1.0, trace=None, forced=None) -> None:
            out[:] = 0.0
            if len(channels) > 1:
                return  # warming up
            heard.append(channels[0].copy())
            segment.ring.seek(segment.ring.written)
            if freeze and channels[0].any():
                segment.controls.write(Controls(freeze=True))
            if len(heard) // 6 >= len(frames):
                segment.request_stop()
            elif len(heard) % 6 == 0:
                segment.pose.write(frames[len(heard) // 6])

    bundle = random_drums(tmp_path, spec)
    engine = Stage(spec, bundle.weights)
    monkeypatch.setattr(standby, "choose_engine", lambda *_: EngineChoice(engine, "", 1.0))
    monkeypatch.setattr(synthesis_process, "load_bundle", lambda _: bundle)
    segment.set_device_rate(48000.0)
    try:
        on_a_thread(synthesis_process.run, segment, SynthesisConfig(bundle.path, mapping=CARDS / "bodydrum.toml"))
    finally:
        gc.enable()
        gc.unfreeze()
    hand = np.array(heard)[:, HITS.index("right_hand")]
    (rise,) = np.flatnonzero(np.diff(hand) > 0) + 1
    assert hand[rise] == np.float32(strength_of(frames))
    assert hand[rise + 1] == (0.0 if freeze else pytest.approx(hand[rise] * math.exp(-HOP_S / DECAY_S)))
    assert hand[-1] == 0.0


def strength_of(frames: list[PoseFrame]) -> float:
    (hit,) = detect(frames, Triggers())
    return hit.strength
