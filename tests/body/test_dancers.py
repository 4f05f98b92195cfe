"""The second dancer as inputs of a mapping: the same numbers as if they were alone, under names of their own."""

from __future__ import annotations

import numpy as np
import pytest

from livemove.body.dancers import Dancer, not_looked_for
from livemove.body.event_inputs import EventInputs
from livemove.body.features import FEATURES, REST, FeatureSpec, FeatureStream
from livemove.body.mapping import load_mapping
from livemove.body.sources import other_side
from livemove.capture import demo
from livemove.contracts import HOP, MappingError, PoseFrame
from livemove.synthesis import architectures

SPEC = architectures.stage("test")
HOP_S = HOP / 48000
NAMES = ("dancer2.right_hand_height", "osc:/x", "dancer2.hit:left_foot", "dancer2.accent:left_raise", "hit:clap")
MAPPING = """
[channels.pitch]
source = "right_hand_height"
from = [-1.0, 1.0]
to = [60.0, 72.0]

[channels.loudness]
source = "max(left_hand_height, dancer2.left_hand_height) * dancer2.presence"
from = [-1.0, 1.0]

[channels.brightness]
source = "dancer2.hand_distance"
from = [0.0, 1.0]
"""


def alone(frame: PoseFrame, person: int) -> PoseFrame:
    """That person of a frame, as if nobody else were there."""
    made = PoseFrame(frame.capture_s, frame.sequence, 1)
    for name in ("image", "world", "visibility"):
        getattr(made, name)[0] = getattr(frame, name)[person]
    return made


def test_both_are_as_they_would_be_alone() -> None:
    streams = [FeatureStream(), FeatureStream(dancer=1)]
    singles = [FeatureStream(), FeatureStream()]
    events, expected = Dancer(1, FeatureSpec()), EventInputs()
    values, wanted = np.full(len(NAMES), np.nan), np.full(len(NAMES), np.nan)
    hits = 0
    for i in range(300):
        frame = demo.pose_at(i / demo.FPS, i, dancers=2)
        both = [stream.update(frame) for stream in streams]
        single = [stream.update(alone(frame, person)) for person, stream in enumerate(singles)]
        np.testing.assert_array_equal(both, single)
        events.update(frame)
        expected.update(alone(frame, 1), float(single[1][FEATURES.index("jump")]))
        for hop in range(6):
            at_s = i / demo.FPS + hop * HOP_S
            events.step(at_s, HOP_S)
            features = singles[1].at(at_s)
            expected.step(features, HOP_S)
            events.put(values, NAMES)
            expected.put(wanted, ("", "", "hit:left_foot", "accent:left_raise", ""))
            wanted[0] = features[FEATURES.index("right_hand_height")]
            np.testing.assert_array_equal(values, wanted)
            hits += bool(values[3] > 0)
    assert hits > 0
    assert np.isnan(values[[1, 4]]).all(), "what is not theirs is left alone"


def test_who_is_out_of_sight_rests_while_the_other_plays() -> None:
    """Place 0 is empty: zeros, with visibility 0."""
    first, second = FeatureStream(), FeatureStream(dancer=1)
    for i in range(90):
        frame = demo.pose_at(i / demo.FPS, i, dancers=2)
        if i >= 30:
            for name in ("image", "world", "visibility"):
                getattr(frame, name)[0] = 0.0
            assert (frame.shows(0), frame.shows(1), frame.in_view) == (False, True, 1)
        gone, there = first.update(frame), second.update(frame)
    np.testing.assert_array_equal(gone, REST)
    assert there[FEATURES.index("presence")] == 1.0


def test_a_mapping_has_both() -> None:
    mapping = load_mapping(MAPPING, SPEC, FEATURES)
    assert mapping.external == ("dancer2.left_hand_height", "dancer2.presence", "dancer2.hand_distance")
    inputs = np.append(REST, np.float32([0.6, 1.0, 0.5]))
    inputs[0] = 1.0
    loudness = SPEC.channels[SPEC.channel_names.index("loudness")]
    brightness = SPEC.channels[SPEC.channel_names.index("brightness")]
    found = mapping.step(inputs.astype(np.float32), 1e3)
    assert found[1] == pytest.approx(loudness.minimum + 0.8 * (loudness.maximum - loudness.minimum))
    assert found[2] == pytest.approx(brightness.minimum + 0.5 * (brightness.maximum - brightness.minimum))


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("dancer2.right_hand", "unknown input 'dancer2.right_hand'; did you mean right_hand"),
        ("dancer2.hit:knee", "unknown hit 'dancer2.hit:knee'"),
        ("dancer3.crouch", "'dancer3.crouch'; the first dancer's have plain names"),
        ("dancer2.link.beat", "unknown input 'dancer2.link.beat'"),
    ],
)
def test_what_a_dancer_does_not_have_is_one_line(source: str, complaint: str) -> None:
    with pytest.raises(MappingError) as failure:
        load_mapping(MAPPING.replace("dancer2.hand_distance", source), SPEC, FEATURES)
    assert complaint in str(failure.value)
    assert "\n" not in str(failure.value)


def test_hands_are_swapped_for_both() -> None:
    assert other_side("dancer2.left_hand_height") == "dancer2.right_hand_height"
    assert other_side("dancer2.hit:right_foot") == "dancer2.hit:left_foot"
    assert other_side("dancer2.crouch") == "dancer2.crouch"


def test_a_dancer_nobody_looks_for_is_told() -> None:
    assert not_looked_for(["crouch", "dancer2.crouch"], 2) == []
    (line,) = not_looked_for(["crouch", "dancer2.crouch"], 1)
    assert line.startswith("dancer2.crouch plays nothing")
