"""Two dancers in a video, real poses: each keeps the own place and plays the own voice, through crossings, also where
both are one dancer twice, in the same clothes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from livemove.body.features import FEATURES
from livemove.body.mapping import load_mapping
from livemove.bundle import find_bundle, load_bundle
from livemove.contracts import HOP, PoseFrame
from livemove.offline.render import Player, RenderConfig, Voice
from livemove.synthesis.engines import make_engine
from livemove.synthesis.synthesis_config import Layer
from tests.support.duets import FPS, WAYS, Duet, Moment, duet, each_alone, followed, judged, moments
from training.metrics import pitched

pytestmark = pytest.mark.real

MAPPING = """
[channels.pitch]
source = "right_hand_height"
from = [-0.9, 0.75]
to = [57.0, 81.0]

[channels.loudness]
source = "presence"
from = [0.0, 1.0]
to = [0.0, 0.9]

[channels.brightness]
source = "hand_distance"
from = [0.1, 0.85]
"""

Seen = Callable[[str, bool], tuple[list[Duet], list[PoseFrame]]]


@pytest.fixture(scope="module")
def source(dancer_clip: Path, pose_model: Path) -> list[Moment]:
    return moments(dancer_clip, pose_model, 230)


@pytest.fixture(scope="module")
def seen(source: list[Moment], pose_model: Path) -> Seen:
    """Of a way to go, and whether they are dressed differently: the duet and what was made of it, once."""
    made: dict[tuple[str, bool], tuple[list[Duet], list[PoseFrame]]] = {}

    def see(way: str, recoloured: bool) -> tuple[list[Duet], list[PoseFrame]]:
        if (way, recoloured) not in made:
            duets = list(duet(source, WAYS[way], recoloured))
            made[way, recoloured] = duets, followed(duets, pose_model)
        return made[way, recoloured]

    return see


@pytest.mark.parametrize(
    ("way", "recoloured", "places", "found"),
    [
        ("crossing", True, 0.99, 0.9),
        ("crossing", False, 0.99, 0.9),
        ("meeting", False, 0.98, 0.8),
        ("leaving", True, 0.99, 0.9),
    ],
)
def test_two_dancers_keep_their_places_in_a_video(
    way: str, recoloured: bool, places: float, found: float, seen: Seen
) -> None:
    kept = judged(*seen(way, recoloured))
    assert kept.kept >= places, kept.wrong  # tests/README.md has what was measured
    assert kept.found >= found  # one who is half covered is not to be found


def heard(frames: Sequence[PoseFrame], mapping: Path) -> tuple[np.ndarray, int]:
    """(float32 [samples, 2], rate): dancer 1's voice on the left, dancer 2's on the right."""
    bundle = load_bundle(find_bundle("theremin"))
    layers = (Layer(bundle.path, mapping, pan=-1.0), Layer(bundle.path, mapping, pan=1.0, dancer=1))
    config = RenderConfig(Path(), Path(), bundle.path, dancers=2, layers=layers)
    voices = [
        Voice(config, bundle.spec, make_engine("native", bundle, "cpu"), load_mapping(mapping, bundle.spec, FEATURES),
              number, layer.dancer)
        for number, layer in enumerate(layers)
    ]  # fmt: skip
    player = Player(config, voices)
    made = [part for frame in frames for part in player.play(frame, frame.capture_s + 1 / FPS)]
    return np.concatenate(made), bundle.spec.sample_rate


def test_after_a_crossing_each_voice_still_follows_its_own_dancer(
    source: list[Moment], seen: Seen, tmp_path: Path
) -> None:
    """Heard in the sound: what each sings after they have crossed, dressed alike, is what it sings where each dances
    alone, and not what the other one does."""
    (mapping := tmp_path / "duet.toml").write_text(MAPPING)
    duets, frames = seen("crossing", False)
    sung, rate = heard(frames, mapping)
    alone, _ = heard(each_alone(source), mapping)
    hops = len(sung) // HOP
    pitches, expected = (
        [pitched.track_pitch(np.ascontiguousarray(sound[:, side]), rate, 0, hops) for side in (0, 1)]
        for sound in (sung, alone)
    )
    apart = np.array([abs(np.diff(each.marks[:, 23, 0])[0]) > 0.4 * each.image.shape[0] for each in duets])
    times_s = (np.arange(hops) + 0.5) * HOP / rate
    after = apart[np.minimum((times_s * FPS).astype(int), len(apart) - 1)] & (times_s > 2.0)
    told = after & (np.abs(expected[0] - expected[1]) > 2.0)
    assert told.mean() > 0.25, "they hardly differ, or are hardly apart again: the test would prove nothing"
    for dancer in (0, 1):
        own, other = (np.abs(pitches[dancer] - expected[who])[told] for who in (dancer, 1 - dancer))
        assert np.median(own) <= 0.5, dancer  # semitones
        assert np.median(other) >= 3.0, dancer
        assert (own < other).mean() >= 0.95, dancer
