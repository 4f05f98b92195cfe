"""mapping.toml: what it computes, and that everything wrong with one is a single clear line."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path

import numpy as np
import pytest

from livemove.body.features import FEATURES, REST, FeatureStream
from livemove.body.mapping import Mapping, identity_mapping, load_mapping
from livemove.capture import demo
from livemove.contracts import Channel, MappingError
from livemove.synthesis import architectures
from tests.support.paths import ROOT

SPEC = architectures.stage("test")
HOP_S = 256 / 48000
THEREMIN = ROOT / "models" / "theremin" / "mapping.toml"

GOOD = """
[channels.pitch]
source = "right_hand_height"
from = [-1.0, 1.0]
to = [60.0, 72.0]

[channels.loudness]
source = "left_hand_height"
from = [-1.0, 1.0]

[channels.brightness]
source = "hand_distance"
from = [0.0, 1.0]
"""


def inputs(**values: float) -> np.ndarray:
    """The rest pose with somebody in view, and these features changed."""
    found = REST.copy()
    for name, value in {"presence": 1.0, **values}.items():
        found[FEATURES.index(name)] = value
    return found


def settled(mapping: Mapping, given: np.ndarray) -> np.ndarray:
    return mapping.step(given, 1e3)


def pitch_of(extra: str, height: float) -> float:
    mapping = load_mapping(GOOD.replace("to = [60.0, 72.0]", "to = [60.0, 72.0]\n" + extra), SPEC, FEATURES)
    return float(settled(mapping, inputs(right_hand_height=height))[0])


def test_ranges_are_linear_and_clipped() -> None:
    assert [pitch_of("", height) for height in (-1.5, -1.0, 0.0, 0.5, 1.0, 1.5)] == [60, 60, 66, 69, 72, 72]


def test_a_range_can_be_turned_round() -> None:
    mapping = load_mapping(GOOD.replace("from = [0.0, 1.0]", "from = [1.0, 0.0]"), SPEC, FEATURES)
    assert settled(mapping, inputs(hand_distance=0.2))[2] == pytest.approx(0.8)


@pytest.mark.parametrize(("curve", "expected"), [('"square"', 63), ('"root"', 60 + 12 * 0.5**0.5), ("3", 61.5)])
def test_curves(curve: str, expected: float) -> None:
    assert pitch_of(f"curve = {curve}", 0.0) == pytest.approx(expected)


def test_smoothing_settles_with_its_time_constant_whatever_the_step() -> None:
    for step_s in (0.001, 0.01):
        mapping = load_mapping(
            GOOD.replace("to = [60.0, 72.0]", "smoothing_s = 0.1\nto = [60.0, 72.0]"), SPEC, FEATURES
        )
        for _ in range(round(0.1 / step_s)):
            found = mapping.step(inputs(right_hand_height=-1.0), step_s)
        assert found[0] == pytest.approx(60 + 9 * math.exp(-1), abs=1e-3)  # from rest, 69, towards 60


def test_free_pitch_glides() -> None:
    heights = np.linspace(-1, 1, 101)
    found = [pitch_of('scale = "major"\nroot = "C"\nsnap = 0.0', float(height)) for height in heights]
    np.testing.assert_allclose(found, 66 + 6 * heights, atol=1e-4)


def test_full_snap_plays_only_the_scale() -> None:
    found = {pitch_of('scale = "major"\nroot = "D"\nsnap = 1.0', float(h)) for h in np.linspace(-1, 1, 101)}
    assert found == {61, 62, 64, 66, 67, 69, 71}  # D major


def test_half_snap_rises_without_steps_and_leans_on_the_notes() -> None:
    heights = np.linspace(-1, 1, 401)
    found = np.array([pitch_of('scale = [0, 4, 7]\nroot = "C"\nsnap = 0.6', float(h)) for h in heights])
    free = 66 + 6 * heights
    notes = np.array([60, 64, 67, 72])
    away = np.abs(found[:, None] - notes).min(axis=1).mean()
    assert (np.diff(found) >= 0).all()
    assert np.diff(found).max() < 0.15
    assert away < 0.7 * np.abs(free[:, None] - notes).min(axis=1).mean()


def test_starts_at_rest() -> None:
    mapping = load_mapping(GOOD.replace("to = [60.0, 72.0]", "to = [60.0, 72.0]\nsmoothing_s = 1.0"), SPEC, FEATURES)
    settled(mapping, inputs(right_hand_height=1.0))
    mapping.reset()
    assert mapping.step(inputs(right_hand_height=1.0), 1e-6)[0] == pytest.approx(69.0, abs=1e-3)


def test_nobody_in_view_is_the_channels_rest_however_it_is_mapped() -> None:
    upside_down = GOOD.replace(
        "from = [-1.0, 1.0]\n\n[channels.brightness]", "from = [1.0, -1.0]\n\n[channels.brightness]"
    )
    mapping = load_mapping(upside_down, SPEC, FEATURES)
    assert settled(mapping, inputs(left_hand_height=-1.0))[1] == pytest.approx(1.0)
    np.testing.assert_allclose(settled(mapping, REST), [c.rest for c in SPEC.channels], atol=1e-6)


def test_a_source_from_outside_does_not_rest_with_the_dancer() -> None:
    text = GOOD.replace('"left_hand_height"\nfrom = [-1.0, 1.0]', '"midi:cc7"\nfrom = [0.0, 127.0]')
    mapping = load_mapping(text, SPEC, FEATURES)
    assert mapping.external == ("midi:cc7",)
    assert settled(mapping, np.append(REST, np.float32(127.0)))[1] == pytest.approx(1.0)


def test_a_source_that_is_not_a_number_holds_its_channel() -> None:
    mapping = load_mapping(GOOD, SPEC, FEATURES)
    before = settled(mapping, inputs(right_hand_height=0.5))
    found = mapping.step(inputs(right_hand_height=math.nan), HOP_S)
    np.testing.assert_allclose(found, before)


def test_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text(GOOD)
    np.testing.assert_array_equal(
        load_mapping(file, SPEC, FEATURES).step(inputs(), 1.0), load_mapping(GOOD, SPEC, FEATURES).step(inputs(), 1.0)
    )


def test_identity_passes_features_through() -> None:
    channels = (Channel("presence", "", 0, 1, 0), Channel("jump", "", 0, 1, 0), Channel("turn", "", -1, 1, 0))
    mapping = identity_mapping(dataclasses.replace(SPEC, channels=channels, phase=None), FEATURES)
    np.testing.assert_allclose(
        mapping.step(inputs(presence=0.5, jump=0.4, turn=-0.7), HOP_S), [0.5, 0.4, -0.7], atol=1e-6
    )


def test_identity_needs_channels_that_are_features() -> None:
    with pytest.raises(MappingError, match="'pitch' is no body feature"):
        identity_mapping(SPEC, FEATURES)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"right_hand_height"', '"right_hand_hight"', ["'pitch'", "source", "right_hand_hight", "right_hand_height"]),
        ('"hand_distance"', '"zzz"', ["'brightness'", "source", "zzz", "there are:", "openness"]),
        ("[channels.pitch]", "[channels.pich]", ["'pich'", "no such channel", "pitch"]),
        ("[channels.brightness]", "[channels.loudness.x]", ["'loudness'", "unknown entry", "'x'"]),
        ('[channels.brightness]\nsource = "hand_distance"\nfrom = [0.0, 1.0]', "", ["'brightness'", "missing"]),
        ("from = [0.0, 1.0]", "", ["'brightness'", "from", "two numbers"]),
        ("from = [0.0, 1.0]", "from = [0.0]", ["'brightness'", "from", "two numbers"]),
        ("from = [0.0, 1.0]", 'from = [0.0, "1"]', ["'brightness'", "from", "not a number"]),
        ("from = [0.0, 1.0]", "from = [0.0, nan]", ["'brightness'", "from", "nan"]),
        ("from = [0.0, 1.0]", "from = [0.0, true]", ["'brightness'", "from", "not a number"]),
        ("from = [0.0, 1.0]", "from = [0.5, 0.5]", ["'brightness'", "from", "empty"]),
        ("to = [60.0, 72.0]", "to = [40.0, 72.0]", ["'pitch'", "to", "57..81"]),
        ("to = [60.0, 72.0]", "smoothing_s = -1", ["'pitch'", "smoothing_s", "-1"]),
        ("to = [60.0, 72.0]", "smoothing = 1", ["'pitch'", "unknown entry", "smoothing_s"]),
        ("to = [60.0, 72.0]", 'curve = "squar"', ["'pitch'", "curve", "square"]),
        ("to = [60.0, 72.0]", "curve = 0", ["'pitch'", "curve", "0"]),
        ("to = [60.0, 72.0]", 'scale = "minr"', ["'pitch'", "scale", "minor"]),
        ("to = [60.0, 72.0]", "scale = []", ["'pitch'", "scale"]),
        ("to = [60.0, 72.0]", 'scale = "minor"\nroot = "H"', ["'pitch'", "root", "'H'"]),
        ("to = [60.0, 72.0]", "snap = 0.5", ["'pitch'", "snap", "scale"]),
        ("to = [60.0, 72.0]", 'scale = "minor"\nsnap = 2', ["'pitch'", "snap", "2"]),
        ("to = [60.0, 72.0]", "scale = [1]\nto = [60.0, 70.0]", ["'pitch'", "scale", "fewer than two"]),
        ('source = "hand_distance"', "source = 3", ["'brightness'", "source", "name"]),
        ("[channels.pitch]", "[channels.pitch", ["TOML", "line 2"]),
        ("[channels.pitch]", "[channel.pitch]", ["[channel]"]),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, old: str, new: str, words: list[str]) -> None:
    assert old in GOOD
    file = tmp_path / "my.toml"
    file.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(MappingError) as caught:
        load_mapping(file, SPEC, FEATURES)
    message = str(caught.value)
    assert "\n" not in message
    for word in [str(file), *words]:
        assert word in message


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match="No such file"):
        load_mapping(tmp_path / "none.toml", SPEC, FEATURES)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MappingError, match="cannot read"):
        load_mapping(file, SPEC, FEATURES)


def test_the_theremin_is_silent_with_hanging_arms_and_spans_its_range_when_danced() -> None:
    mapping = load_mapping(THEREMIN, architectures.stage("theremin"), FEATURES)
    hanging = settled(mapping, inputs(left_hand_height=-0.97, right_hand_height=-0.97))
    assert hanging[1] == 0.0
    stream = FeatureStream()
    frames = (demo.pose_at(i / demo.FPS, i) for i in range(round(30 * demo.FPS)))
    played = [mapping.step(stream.update(frame), 1 / demo.FPS) for frame in frames]
    pitch, loudness, brightness = np.array(played).T
    assert np.ptp(pitch) > 12.0
    assert np.mean(loudness > 0.3) > 0.7
    assert np.ptp(brightness) > 0.4


# --- styles -------------------------------------------------------------------------------------------------

THREE = dataclasses.replace(SPEC, styles=("cello", "flute", "tuba"))


def weights(text: str, **inputs: float) -> np.ndarray:
    mapping = load_mapping(GOOD + text, THREE, FEATURES)
    values = np.zeros(len(FEATURES) + len(mapping.external), np.float32)
    values[FEATURES.index("presence")] = 1.0
    for name, value in inputs.items():
        values[FEATURES.index(name) if name in FEATURES else len(FEATURES)] = value
    assert len(mapping.step(values, math.inf)) == len(THREE.channels)
    assert mapping.styles is not None
    return mapping.styles


@pytest.mark.parametrize(
    ("crouch", "expected"),
    [(0.0, (1, 0, 0)), (0.25, (0.5, 0, 0.5)), (0.5, (0, 0, 1)), (0.75, (0, 0.5, 0.5)), (2.0, (0, 1, 0))],
)
def test_an_axis_leads_from_style_to_style(crouch: float, expected: tuple[float, ...]) -> None:
    text = '[styles]\nbetween = ["cello", "tuba", "flute"]\nsource = "crouch"\nfrom = [0.0, 1.0]\n'
    np.testing.assert_allclose(weights(text, crouch=crouch), expected, atol=1e-6)


def test_each_style_may_have_its_own_input_range_and_curve() -> None:
    text = """
[styles.cello]
source = "crouch"
from = [0.0, 1.0]
[styles.flute]
source = "osc:/fader1"
from = [0.0, 1.0]
curve = "square"
to = [0.0, 0.5]
"""
    np.testing.assert_allclose(weights(text, crouch=0.4, fader=0.5), [0.4, 0.125, 0.0], atol=1e-6)
    assert weights(text, crouch=0.0).sum() == 0  # then the style that is set plays


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[styles]\n", "styles: expected names"),
        ('[styles]\nbetween = ["cello"]\nsource = "crouch"\nfrom = [0, 1]\n', "styles: expected names"),
        ('[styles]\nbetween = ["cello", "oboe"]\nsource = "crouch"\nfrom = [0, 1]\n', "no style 'oboe'"),
        ('[styles]\nbetween = ["cello", "cello"]\nsource = "crouch"\nfrom = [0, 1]\n', "twice"),
        ('[styles]\nbetween = ["cello", "flute"]\nsource = "croch"\nfrom = [0, 1]\n', "did you mean crouch"),
        ('[styles]\nbetween = ["cello", "flute"]\nsource = "crouch"\nfrom = [0, 1]\nto = [0, 1]\n', "to: an axis"),
        ('[styles.celo]\nsource = "crouch"\nfrom = [0, 1]\n', "did you mean cello"),
        ('[styles.cello]\nsource = "crouch"\nfrom = [0, nan]\n', "styles.cello"),
        ('[styles.cello]\nsource = "crouch"\nfrom = [0, 1]\nto = [-1, 1]\n', "leaves the model's range"),
    ],
)
def test_a_mistake_about_styles_is_one_clear_line(text: str, problem: str) -> None:
    with pytest.raises(MappingError, match=re.escape(problem)) as told:
        load_mapping(GOOD + text, THREE, FEATURES)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(("styles", "said"), [((), "no styles to blend"), (tuple(map(str, range(9))), "9 styles")])
def test_a_model_that_blends_nothing_says_so(styles: tuple[str, ...], said: str) -> None:
    with pytest.raises(MappingError, match=said):
        load_mapping(GOOD + "[styles.a]\n", dataclasses.replace(THREE, styles=styles), FEATURES)
