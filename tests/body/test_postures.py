"""Postures shown by example: recognised on other bodies, at other angles, none of them where it is none; as sources and
triggers of a mapping; and their files."""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from livemove.body.event_inputs import EventInputs
from livemove.body.features import FEATURES, REST
from livemove.body.landmarks import ELBOWS, WRISTS
from livemove.body.mapping import Mapping, load_mapping
from livemove.body.posture_files import Taught, as_text, check_taught, read_posture, taught_in
from livemove.body.postures import (
    JOINTS,
    LEAST_FAR,
    LEAST_NEAR,
    LOST_S,
    MOST_FAR,
    TOO_LIKE,
    Posture,
    Recogniser,
    apart,
    distances,
    limits,
    seen_in,
)
from livemove.capture.landmarker import Landmarker
from livemove.contracts import HOP, MappingError, PoseFrame, PostureError
from livemove.media.video_file import some_frames
from livemove.session.teach import Hold, posture_of
from livemove.synthesis import architectures
from tests.support.bodies import nobody
from tests.support.posed import OTHERS, TAUGHT, Body, Held, frame_of, landmarks, script, video

SPEC = architectures.stage("test")
HOP_S = HOP / 48000
TEACHER = Body(size=1.0, careless=0.1)

CHANNELS = """
[channels.pitch]
source = "right_hand_height"
from = [-1.0, 1.0]

[channels.loudness]
source = "LOUDNESS"
from = [0.0, 1.0]

[channels.brightness]
source = "hand_distance"
from = [0.0, 1.0]
"""


def shown(name: str, seed: int = 0, body: Body = TEACHER) -> Posture:
    """As `livemove teach` takes it from somebody who holds it three times."""
    rng = np.random.default_rng((seed, *name.encode()))
    holds: list[Hold] = []
    for when in ("1st", "2nd", "3rd"):
        there = landmarks(TAUGHT[name], body, rng.uniform(-0.2, 0.2), rng)
        noise = 0.5 * rng.standard_normal((36, 33, 3)) * (0.006, 0.006, 0.02)
        frames = [frame_of(there + each, t / 30) for t, each in enumerate(noise)]
        seen = [each for frame in frames if (each := seen_in(frame)) is not None]
        holds.append(Hold(when, len(frames), seen))
    return posture_of(name, holds, "0")


ALL = tuple(shown(name) for name in TAUGHT)


def seen_as(name: str, frame: PoseFrame) -> float:
    recogniser = Recogniser(ALL)
    recogniser.update(frame)
    return recogniser.confidence(name)


def posed(name: str, body: Body = TEACHER, yaw: float = 0.0, time_s: float = 0.0) -> PoseFrame:
    return frame_of(landmarks({**TAUGHT, **OTHERS}[name], body, yaw), time_s)


# --- what it is measured by ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TAUGHT)
@pytest.mark.parametrize("body", [Body(0.6), Body(1.2), Body(1.0, arms=0.85), Body(1.0, arms=1.15)])
@pytest.mark.parametrize("yaw", [0.0, 0.8, -0.8, math.pi])
def test_a_posture_is_one_whatever_the_size_the_distance_and_the_way_one_faces(
    name: str, body: Body, yaw: float
) -> None:
    assert seen_as(name, posed(name, body, yaw)) >= 0.8
    assert [seen_as(other, posed(name, body, yaw)) for other in TAUGHT if other != name] == [0.0] * (len(TAUGHT) - 1)


@pytest.mark.parametrize("name", OTHERS)
def test_what_was_not_taught_is_none_of_them(name: str) -> None:
    assert [seen_as(other, posed(name)) for other in TAUGHT] == [0.0] * len(TAUGHT)


def test_where_the_body_stands_in_the_room_does_not_count() -> None:
    frame = posed("arms_up")
    frame.world[0] += (3.0, 1.0, 5.0)
    moved, there = seen_in(frame), seen_in(posed("arms_up"))
    assert moved is not None
    assert there is not None
    np.testing.assert_allclose(moved.body.places, there.body.places, atol=1e-5)


def test_depth_counts_half_as_it_is_seen_by_the_camera_and_not_as_the_body_faces() -> None:
    """The same error of a wrist along the camera's axis, of a body that faces it and of one that stands sideways."""
    for yaw in (0.0, 1.2):
        taught = seen_in(posed("arms_wide", yaw=yaw))
        assert taught is not None
        found: list[float] = []
        for axis in (1, 2):
            frame = posed("arms_wide", yaw=yaw)
            frame.world[0, 15, axis] += 0.2
            seen = seen_in(frame)
            assert seen is not None
            found.append(float(distances([taught.body], seen)[0]))
        assert found[1] == pytest.approx(0.5 * found[0], rel=1e-3)


def test_limbs_out_of_view_are_left_out_until_too_few_are_seen() -> None:
    frame = posed("arms_up")
    frame.visibility[0, 25:] = 0.1
    assert seen_as("arms_up", frame) >= 0.8  # the legs are behind a table
    frame.visibility[0, [13, 15]] = 0.1
    assert seen_as("arms_up", frame) == 0.0
    trunk = posed("arms_up")
    trunk.visibility[0, 23] = 0.1
    assert seen_as("arms_up", trunk) == 0.0


def test_where_the_joints_that_tell_two_postures_apart_are_hidden_it_is_neither() -> None:
    frame = posed("arms_wide")
    assert seen_as("arms_wide", frame) >= 0.8
    frame.visibility[0, 25:] = 0.1
    assert seen_as("arms_wide", frame) < 0.3
    assert seen_as("low_and_wide", frame) < 0.3


def test_who_was_taught_without_legs_is_compared_without() -> None:
    frames = [posed("arms_wide") for _ in range(5)]
    for frame in frames:
        frame.visibility[0, 25:] = 0.1
    posture = posture_of("half", [Hold("", 5, [seen for frame in frames if (seen := seen_in(frame))])], "0")
    recogniser = Recogniser((posture,))
    recogniser.update(posed("low_and_wide"))
    assert recogniser.confidence("half") > 0.9


def test_limits_follow_the_spread() -> None:
    wide = shown("arms_wide")
    found = [limits(dataclasses.replace(wide, spread=spread)) for spread in (0.0, 0.05, 0.11, 9.0)]
    assert [each.far for each in found] == [LEAST_FAR, LEAST_FAR, pytest.approx(0.22), MOST_FAR]
    assert [each.near for each in found] == [LEAST_NEAR, LEAST_NEAR, pytest.approx(0.11), 0.5 * MOST_FAR]


def test_between_two_postures_it_is_neither() -> None:
    """Two that are nearer to each other than the reach of either."""
    wide = shown("arms_wide")
    arms = np.isin(np.array(list(JOINTS.values())), [*ELBOWS, *WRISTS])[:, None]
    lower = tuple(dataclasses.replace(e, places=e.places + arms * [0.0, 0.4, 0.0]) for e in wide.examples)
    recogniser = Recogniser((wide, Posture("lower", wide.spread, lower)))
    assert apart(wide.examples, lower) < 2 * LEAST_FAR
    frame, found = posed("arms_wide"), list[tuple[float, float]]()
    for i, down in enumerate(np.linspace(0.0, 0.4, 21)):
        shifted = dataclasses.replace(frame, capture_s=float(i), world=frame.world.copy())
        shifted.world[0, [*ELBOWS, *WRISTS], 1] += 0.5 * down
        recogniser.update(shifted)
        found.append((recogniser.confidence("arms_wide"), recogniser.confidence("lower")))
    assert found[0][0] > 0.8
    assert found[-1][1] > 0.8
    assert min(max(pair) for pair in found) < 0.2
    assert all(min(pair) == 0.0 for pair in found)


# --- the clip -----------------------------------------------------------------------------------------------


def firing(
    frames: list[PoseFrame], seconds: float, tables: str, taught: Sequence[Posture] = ALL
) -> list[tuple[str, float]]:
    """(trigger, when) of a mapping with these tables, through postures and triggers, hop by hop; one is in view."""
    played = load_mapping(CHANNELS.replace("LOUDNESS", "left_knee") + tables, SPEC, FEATURES)
    events, features = EventInputs(taught), REST.copy()
    features[FEATURES.index("presence")] = 1.0
    waiting, found = list(reversed(frames)), list[tuple[str, float]]()
    for hop in range(int(seconds / HOP_S)):
        now_s = hop * HOP_S
        while waiting and waiting[-1].capture_s <= now_s:
            events.update(waiting.pop(), 0.0)
        given = np.concatenate([features, np.zeros(len(played.external), np.float32)])
        events.step(features, HOP_S)
        events.put(given[len(FEATURES) :], played.external)
        played.step(given, HOP_S)
        found += [(fired.trigger.name, now_s) for fired in played.fired]
    return found


def scores(found: list[tuple[str, float]], true: list[Held]) -> dict[str, float]:
    """F1 of firings, each of which may stand for one posture, from just before it is reached to its end; doubled: more
    of one posture; latency from when it was reached."""
    free, late = list(found), list[float]()
    for held in true:
        own = [f for f in free if f[0] == held.name and held.from_s - 0.25 <= f[1] <= held.to_s + 0.1]
        if own:
            free.remove(own[0])
            late.append(own[0][1] - held.from_s)
    doubled = sum(any(n == h.name and h.from_s - 0.25 <= t <= h.to_s + 0.3 for h in true) for n, t in free)
    precision, recall = len(late) / max(len(found), 1), len(late) / max(len(true), 1)
    return {
        "postures": len(true), "precision": precision, "recall": recall, "doubled": doubled,
        "f1": 2 * precision * recall / max(precision + recall, 1e-9),
        "latency_ms_median": 1e3 * float(np.median(late)), "latency_ms_p95": 1e3 * float(np.percentile(late, 95)),
    }  # fmt: skip


TABLES = "".join(f'[triggers.{name}]\nposture = "{name}"\nmidi = 60\n' for name in TAUGHT)


@pytest.mark.parametrize(
    ("seed", "body"), [(0, Body(careless=0.1)), (1, Body(0.7, 0.9, 0.12)), (2, Body(1.1, 1.1, 0.12))]
)
def test_of_a_scripted_dancer_each_posture_fires_once_and_what_is_none_of_them_does_not(seed: int, body: Body) -> None:
    """Six postures among eight others, two minutes of other bodies than the one that taught them."""
    seconds = 120.0
    acts = script(seed, seconds, [*TAUGHT, *OTHERS])
    true = [act for act in acts if act.name in TAUGHT]
    figures = scores(firing(video(acts, seconds, body, seed), seconds, TABLES), true)
    print({name: round(value, 3) for name, value in figures.items()})
    assert figures["postures"] >= 20
    assert len(acts) - len(true) >= 20
    assert figures["f1"] >= 0.95
    assert figures["doubled"] == 0
    assert figures["latency_ms_median"] <= 250


def test_who_passes_through_a_posture_on_the_way_to_another_one_fires_nothing() -> None:
    """From hanging arms to raised ones, sideways: wide for a moment."""
    body, frames = Body(careless=0.0), list[PoseFrame]()
    for i in range(90):
        part = min(max((i / 30 - 1.0) / 0.6, 0.0), 1.0)
        angle = math.pi * part**3 * (10 - 15 * part + 6 * part * part)
        arm = (math.sin(angle), math.cos(angle), 0.0)
        pose = dataclasses.replace(TAUGHT["arms_wide"], left=(arm, arm), right=(arm, arm))
        frames.append(frame_of(landmarks(pose, body, 0.0), i / 30))
    assert [name for name, _ in firing(frames, 3.0, TABLES)] == ["arms_up"]
    assert {name for name, _ in firing(frames, 3.0, TABLES.replace('wide"\n', 'wide"\nafter_s = 0\n'))} == {
        "arms_wide",
        "arms_up",
    }


def test_nobody_for_a_moment_does_not_end_a_posture_and_for_long_does() -> None:
    recogniser = Recogniser(ALL)
    recogniser.update(posed("arms_up", time_s=0.0))
    for step in range(100):
        recogniser.step(0.01)
        recogniser.update(nobody(0.01 * (step + 1)))
        assert (recogniser.confidence("arms_up") > 0.8) == (0.01 * (step + 1) < LOST_S)
    recogniser.update(posed("arms_up", time_s=2.0))
    assert recogniser.confidence("arms_up") > 0.8


def test_postures_that_are_read_again_go_on_with_the_one_the_body_is_in() -> None:
    before, after, without = Recogniser(ALL), Recogniser(ALL[::-1]), Recogniser(ALL[1:])
    before.update(posed("arms_up"))
    for each in (after, without):
        each.take_over(before)
    assert after.confidence("arms_up") == before.confidence("arms_up") > 0.8
    assert [without.confidence(name) for name in TAUGHT] == [0.0] * len(TAUGHT)


def test_frames_that_come_twice_or_late_change_nothing() -> None:
    recogniser = Recogniser(ALL)
    recogniser.update(posed("arms_up", time_s=1.0))
    recogniser.update(posed("arms_wide", time_s=1.0))
    recogniser.update(posed("arms_wide", time_s=0.5))
    assert recogniser.confidence("arms_up") > 0.8


def test_it_costs_little_and_nothing_where_nothing_was_taught() -> None:
    frames = [posed("arms_up", time_s=t / 30) for t in range(300)]
    costs: list[float] = []
    for postures in (ALL, ()):
        recogniser = Recogniser(postures)
        began_s = time.perf_counter()
        for frame in frames:
            recogniser.update(frame)
        costs.append((time.perf_counter() - began_s) / len(frames))
    print(f"{1e6 * costs[0]:.0f} µs a pose for {len(ALL)} postures, {1e6 * costs[1]:.1f} for none")
    assert costs[1] < 0.1 * costs[0]
    assert costs[0] < 0.002


# --- a real dancer ------------------------------------------------------------------------------------------

MOMENTS = {"wide": (6.0, 34.0), "up": (9.2, 28.2), "standing": (0.9, 21.6), "vee": (27.4, 35.4)}
"""When the dancer of the clip takes each posture, in seconds, by eye: twice, and not quite alike ..."""

AGAIN = {"wide": (26.4, 34.2), "up": (9.5, 28.4), "standing": (1.6, 22.8), "vee": (27.6, 27.2)}
"""... when again ..."""

NONE = (10.8, 11.4, 12.6, 13.8, 16.8, 17.4, 18.0, 19.2, 29.4, 30.2, 30.6, 36.0)
"""... and when none of them."""


def images_at(clip: Path, moments: list[float]) -> dict[float, list[np.ndarray]]:
    """The images within 0.2 s of each moment."""
    found: dict[float, list[np.ndarray]] = {moment: [] for moment in moments}
    for time_s, image in some_frames(clip, lambda t: any(abs(t - moment) <= 0.2 for moment in moments)):
        for moment in moments:
            if image is not None and abs(time_s - moment) <= 0.2:
                found[moment].append(image)
        if time_s > max(moments) + 0.2:
            break
    return found


@pytest.mark.real
def test_of_a_real_dancer_seen_by_the_real_landmarker_each_posture_fires_once(
    dancer_clip: Path, pose_model: Path
) -> None:
    """Images of the clip, cut together: postures at other moments than they were taught at, and what is none of them,
    each held for a while by a camera that is nearer or further, aside, brighter or darker, and noisy."""
    import cv2

    rng = np.random.default_rng(3)
    images = images_at(
        dancer_clip, sorted({*NONE, *(t for own in (MOMENTS, AGAIN) for ts in own.values() for t in ts)})
    )
    fps, now_s, true = 12.5, 0.0, list[Held]()
    frames: list[PoseFrame] = []
    with Landmarker("full", pose_model) as landmarker:
        postures: list[Posture] = []
        for number, (name, moments) in enumerate(MOMENTS.items()):
            holds: list[Hold] = []
            for moment in moments:
                seen = [
                    seen_in(landmarker.find(image, 100.0 * number + moment + i / 25))
                    for i, image in enumerate(images[moment])
                ]
                holds.append(Hold(f"at {moment:g} s", len(seen), [each for each in seen if each]))
            postures.append(posture_of(name, holds, "clip"))
        shown = [(name, moment) for name, moments in AGAIN.items() for moment in moments] * 3
        shown += [("", moment) for moment in NONE] * 2
        order = rng.permutation(len(shown)).tolist()
        # No posture after itself, and none at the very beginning, where what is high has not risen.
        while shown[order[0]][0] or any(a == b and a for a, b in itertools.pairwise(shown[i][0] for i in order)):
            order = rng.permutation(len(shown)).tolist()
        for name, moment in (shown[i] for i in order):
            image = images[moment][len(images[moment]) // 2]
            height, width, _ = image.shape
            scale, light = rng.uniform(0.75, 1.05), rng.uniform(0.8, 1.15)
            move = np.array([[scale, 0.0, rng.uniform(-0.05, 0.05) * width + 0.5 * (1 - scale) * width],
                             [0.0, scale, rng.uniform(-0.03, 0.03) * height + 0.5 * (1 - scale) * height]])  # fmt: skip
            moved = cv2.warpAffine(image, move, (width, height), borderMode=cv2.BORDER_REPLICATE)
            held_s = rng.uniform(0.9, 1.4)
            if name:
                true.append(Held(name, now_s, now_s + held_s))
            for _ in range(round(held_s * fps)):
                noisy = np.clip(light * moved + 3.0 * rng.standard_normal(moved.shape), 0, 255).astype(np.uint8)
                frames.append(landmarker.find(noisy, 1000.0 + now_s))
                frames[-1].capture_s = now_s
                now_s += 1 / fps
    tables = "".join(f'[triggers.{name}]\nposture = "{name}"\nmidi = 60\n' for name in MOMENTS)
    figures = scores(firing(frames, now_s, tables, postures), true)
    print({name: round(value, 3) for name, value in figures.items()})
    assert figures["postures"] == 24
    assert figures["f1"] >= 0.95
    assert figures["doubled"] == 0


# --- in a mapping -------------------------------------------------------------------------------------------


def mapping(loudness: str, tables: str = "") -> Mapping:
    return load_mapping(CHANNELS.replace("LOUDNESS", loudness) + tables, SPEC, FEATURES)


def test_a_posture_is_a_source_alone_and_in_expressions() -> None:
    assert mapping("posture.arms_up").external == ("posture.arms_up",)
    played = mapping("max(0.25, 0.5 * posture.arms_up)")
    events = EventInputs(ALL)
    events.update(posed("arms_up"), 0.0)
    given = np.concatenate([np.zeros(len(FEATURES), np.float32), np.full(1, np.nan, np.float32)])
    events.put(given[len(FEATURES) :], played.external)
    assert float(played.step(given, HOP_S)[1]) == pytest.approx(0.5, abs=0.05)


def test_a_trigger_of_a_posture_has_what_its_table_leaves_out() -> None:
    (trigger,) = mapping("crouch", '[triggers.x]\nposture = "arms_up"\nfreeze = true\n').triggers.triggers
    assert (trigger.on, trigger.off, trigger.after_s) == (0.5, 0.15, 0.2)
    text = '[triggers.x]\nposture = "arms_up"\non = 0.1\nafter_s = 1.0\nfreeze = true\n'
    (trigger,) = mapping("crouch", text).triggers.triggers
    assert (trigger.on, trigger.off, trigger.after_s) == (0.1, 0.1, 1.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('posture = "arms_up"\nsource = "crouch"', "stands in place of a source"),
        ("posture = 1", "posture: expected a name"),
        ('posture = "arms up"', "posture: expected a name"),
    ],
)
def test_what_is_wrong_with_a_posture_in_a_trigger_is_one_line(text: str, words: str) -> None:
    with pytest.raises(MappingError, match=words):
        mapping("crouch", f"[triggers.x]\n{text}\non = 0.5\nfreeze = true\n")


def test_a_posture_that_is_named_and_was_never_shown_is_one_line() -> None:
    played = mapping("posture.arm_up")
    with pytest.raises(MappingError) as caught:
        check_taught(played.external, Taught(ALL), "my.toml")
    line = "my.toml: posture 'arm_up' was never shown: `livemove teach arm_up`; did you mean posture.arms_up or"
    assert str(caught.value).startswith(line)
    with pytest.raises(MappingError, match="none was taught yet"):
        check_taught(played.external, Taught(), "my.toml")
    check_taught(mapping("posture.arms_up").external, Taught(ALL), "my.toml")


# --- their files --------------------------------------------------------------------------------------------


def test_a_file_gives_back_what_was_taught(tmp_path: Path) -> None:
    for posture in ALL:
        (tmp_path / f"{posture.name}.toml").write_text(as_text(posture))
    found = taught_in(tmp_path)
    assert not found.broken
    assert found.names == tuple(sorted(TAUGHT))
    for posture in found.postures:
        own = next(each for each in ALL if each.name == posture.name)
        assert posture.spread == pytest.approx(own.spread, abs=1e-4)
        for mine, theirs in zip(own.examples, posture.examples, strict=True):
            np.testing.assert_allclose(mine.places, theirs.places, atol=1e-4)
            np.testing.assert_allclose(mine.visibility, theirs.visibility, atol=1e-3)
    assert taught_in(tmp_path / "nowhere") == taught_in(None) == Taught()


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("format = 1", "format = 2", "format: expected 1"),
        ('"nose", ', "", "joints: expected nose"),
        ("spread = 0", "spread = -9", "spread"),
        ("[[examples]]", "[[example]]", "examples: expected 1 to 32"),
        ("visibility = [0", "visibility = [nan, 0", "visibility: expected 11 numbers"),
        ("places = [", "places = [\n  [0.0, nan, 0.0],", "places: expected 11 rows"),
        ("format", "format = = 1", "cannot be read"),
    ],
)
def test_a_file_that_is_broken_names_itself_and_how_to_mend_it(
    tmp_path: Path, before: str, after: str, words: str
) -> None:
    path = tmp_path / "arms_up.toml"
    path.write_text(as_text(ALL[0]).replace(before, after))
    with pytest.raises(PostureError, match=words) as caught:
        read_posture(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    found = taught_in(tmp_path)
    assert found.names == ()
    with pytest.raises(MappingError, match=words):
        check_taught(("posture.arms_up",), found, "my.toml")


def test_postures_of_the_script_can_be_told_apart() -> None:
    """Else the clip above would ask for what cannot be."""
    assert min(apart(a.examples, b.examples) for a in ALL for b in ALL if a is not b) > TOO_LIKE
