"""Calibration: ranges move to what a body did, all else stays; who is not there or stops changes nothing."""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from livemove.body.features import FEATURES, FeatureStream
from livemove.body.mapping import Mapping, load_mapping
from livemove.bundle import Bundle
from livemove.capture import demo
from livemove.capture.landmarker import Landmarker
from livemove.cli import main, text
from livemove.contracts import CalibrationError, MappingError, PoseFrame
from livemove.control.presets import Preset, save_preset, set_list
from livemove.media import video_file
from livemove.session import calibrate
from livemove.session.calibrate import STEPS, STEPS_S, CalibrationConfig, Fitted, Movement, Progress, fit, with_ranges
from tests.support.bodies import body, nobody
from tests.support.bundles import random_bundle, small_spec
from tests.support.paths import THEREMIN

SPEC = small_spec()
TEXT = """\
# Mine.
[channels.pitch]              # the right hand
source = "right_hand_height"
from = [-1.0, 1.0]            # all of it
to = [57, 81]
curve = 1.5
scale = "minor"
root = "F#"
snap = 0.5

[channels.loudness]
source = "left_hand_height"
from = [0.8, -0.9]
smoothing_s = 0.02

[channels.brightness]
source = "crouch"
from = [0.0, 1.0]
curve = "root"
"""


def mapping_of(text: str) -> Mapping:
    return load_mapping(text, SPEC, FEATURES)


def moved(still: int = 0, **sources: np.ndarray) -> Movement:
    """Features of so many frames as these sources have, all others unseen; the first frames stood still."""
    (length,) = {len(values) for values in sources.values()}
    features = np.full((length, len(FEATURES)), np.nan, np.float32)
    features[:, FEATURES.index("presence")] = 1.0
    for name, values in sources.items():
        features[:, FEATURES.index(name)] = values
    return Movement(features, np.arange(length) < still)


def swing(low: float, high: float, frames: int = 500) -> np.ndarray:
    """To and fro, resting at both ends as people do when told to."""
    return low + (high - low) * np.clip(0.5 + 0.7 * np.sin(np.linspace(0, 20, frames)), 0, 1)


def refit(text: str, movement: Movement, tmp_path: Path) -> tuple[str, tuple[Fitted, ...]]:
    path = tmp_path / "mapping.toml"
    path.write_text(text)
    found = fit(mapping_of(text), movement)
    return with_ranges(path, {each.channel: each.after for each in found if not each.kept}), found


def channels_at(text: str, **values: float) -> np.ndarray:
    """What the mapping plays, settled, with somebody in view."""
    sources = np.zeros(len(FEATURES), np.float32)
    for name, value in {"presence": 1.0, **values}.items():
        sources[FEATURES.index(name)] = value
    return mapping_of(text).step(sources, 1e3)


# --- the fit ------------------------------------------------------------------------------------------------


def test_a_body_that_reaches_half_the_range_plays_the_whole_channel_afterwards(tmp_path: Path) -> None:
    text, _ = refit(TEXT, moved(right_hand_height=swing(-0.6, 0.4)), tmp_path)
    assert channels_at(TEXT, right_hand_height=0.4)[0] < 75
    assert channels_at(text, right_hand_height=-0.6)[0] == pytest.approx(57)
    assert channels_at(text, right_hand_height=0.4)[0] == pytest.approx(81)


def test_only_ranges_change_and_comments_stay(tmp_path: Path) -> None:
    text, _ = refit(TEXT, moved(right_hand_height=swing(-0.6, 0.4)), tmp_path)
    before, after = TEXT.splitlines(), text.splitlines()
    different = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert len(different) == 1
    assert different[0][1].startswith("from = [-0.5")
    assert different[0][1].endswith("# all of it")


def test_what_did_not_move_or_was_not_seen_keeps_its_range_and_says_so() -> None:
    movement = moved(right_hand_height=np.full(500, -0.9), left_hand_height=swing(-1, 1), crouch=np.full(500, np.nan))
    pitch, loudness, brightness = fit(mapping_of(TEXT), movement)
    assert (pitch.kept, pitch.after) == ("hardly moved", pitch.before)
    assert (brightness.kept, brightness.after) == ("not seen long enough", brightness.before)
    assert not loudness.kept


def test_a_range_that_is_turned_round_stays_so(tmp_path: Path) -> None:
    text, _ = refit(TEXT, moved(left_hand_height=swing(-0.5, 0.1)), tmp_path)
    assert channels_at(text, left_hand_height=0.1)[1] == pytest.approx(0.0)
    assert channels_at(text, left_hand_height=-0.5)[1] == pytest.approx(1.0)


def test_a_landmark_that_jumps_now_and_then_moves_nothing() -> None:
    values = swing(-0.6, 0.4)
    jumping = values.copy()
    jumping[::60] = 1.0
    jumping[30::60] = -1.0
    calm, wild = (fit(mapping_of(TEXT), moved(right_hand_height=v))[0].after for v in (values, jumping))
    assert wild == pytest.approx(calm, abs=0.02)


def test_hanging_arms_are_silent_however_they_tremble(tmp_path: Path) -> None:
    """A body of short reach: what would be a margin of its small range is less than the tremble."""
    straight = TEXT.replace("from = [0.8, -0.9]", "from = [-0.9, 0.8]")
    rest = -0.96 + 0.04 * np.random.default_rng(0).uniform(-1, 1, 100)
    movement = moved(100, left_hand_height=np.concatenate([rest, swing(-0.97, -0.55)]))
    text, _ = refit(straight, movement, tmp_path)
    assert max(channels_at(text, left_hand_height=float(value))[1] for value in rest) < 0.03
    assert channels_at(text, left_hand_height=-0.55)[1] == pytest.approx(1.0)


def test_channels_that_share_a_source_stay_where_they_were_to_each_other() -> None:
    text = TEXT.replace('"left_hand_height"\nfrom = [0.8, -0.9]', '"crouch"\nfrom = [0.0, 0.5]')
    text = text.replace('"crouch"\nfrom = [0.0, 1.0]', '"crouch"\nfrom = [0.5, 1.0]')
    _, first, second = fit(mapping_of(text), moved(crouch=swing(0.1, 0.5)))
    assert first.after[1] == second.after[0]
    assert first.after[1] - first.after[0] == pytest.approx(second.after[1] - second.after[0], abs=0.002)


def test_a_second_calibration_on_top_gives_the_same(tmp_path: Path) -> None:
    movement = moved(right_hand_height=swing(-0.6, 0.4), left_hand_height=swing(-1, 1), crouch=swing(0, 0.4))
    once, _ = refit(TEXT, movement, tmp_path)
    assert refit(once, movement, tmp_path)[0] == once


def test_midi_osc_and_presence_are_no_movements() -> None:
    text = TEXT.replace('"crouch"', '"midi:cc1"').replace('"left_hand_height"', '"presence"')
    pitch, loudness, brightness = fit(mapping_of(text), moved(right_hand_height=swing(-1, 1)))
    assert not pitch.kept
    assert loudness.kept == brightness.kept == "not a movement"
    assert brightness.input == "midi:cc1"


def test_a_mapping_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match=r"none\.toml"):
        with_ranges(tmp_path / "none.toml", {})


# --- the watching, on a clock of its own --------------------------------------------------------------------


class Stage:
    """A camera, a clock, and somebody in front of it: `dance` says what there is to see, and which step it is."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, dance: Callable[[float, Progress], PoseFrame]) -> None:
        self.time_s = 0.0
        self.told: list[Progress] = [Progress("starting")]
        self.frames = 0
        self.dance = dance
        self.ends_s = math.inf
        monkeypatch.setattr(calibrate, "follow", self.follow)
        monkeypatch.setattr(calibrate, "check_camera", lambda config: None)
        monkeypatch.setattr(calibrate, "now_s", lambda: self.time_s)

    def follow(
        self,
        config: object,
        publish: Callable[[PoseFrame], None],
        stop: Callable[[], bool],
        tally: object,
        now: Callable[[], float],
        sleep: object,
        show: object,
    ) -> None:
        while not stop() and self.time_s < self.ends_s:
            self.time_s += 0.04
            self.frames += 1
            publish(self.dance(self.time_s, self.told[-1]))

    def calibrate(self, model: Path, **options: object) -> calibrate.Calibration:
        return calibrate.calibrate(CalibrationConfig(model, **options), self.told.append, lambda: self.time_s)


def obedient(time_s: float, now: Progress) -> PoseFrame:
    """Does as told, as far as these shoulders and knees go."""
    words = now.step.words if now.step else ""
    phase = math.sin(3 * time_s)
    return {
        "ARMS UP": body(time_s, 0.4, 0.4),
        "ARMS WIDE": body(time_s, 0.0, 0.0, wide=0.5 + 0.5 * phase),
        "CROUCH": body(time_s, -0.9, -0.9, low=0.5),
        "MOVE FREELY": body(time_s, 0.4 * phase, -0.4 * phase),
    }.get(words, body(time_s))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return random_bundle(tmp_path / "small", SPEC).path


def test_who_follows_the_steps_plays_every_channel_to_its_ends(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, obedient)
    done = stage.calibrate(model)
    assert [each.kept for each in done.channels] == ["", "", ""]
    pitch = done.channels[0]
    assert pitch.after[0] < -0.9
    assert pitch.after[1] == pytest.approx(0.35, abs=0.1)
    resting = FeatureStream().update(body(0.0))[FEATURES.index("left_hand_height")]
    assert resting < done.channels[1].after[0]


def test_every_step_is_told_in_order_and_all_take_twenty_seconds(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, obedient)
    stage.calibrate(model)
    phases = list(dict.fromkeys(now.phase for now in stage.told))
    assert phases == ["starting", "waiting", "moving"]
    assert tuple(dict.fromkeys(now.step for now in stage.told if now.step)) == STEPS
    moving = [now for now in stage.told if now.phase == "moving"]
    assert moving[-1].done_s == pytest.approx(STEPS_S, abs=0.2)
    assert STEPS_S == 20.0
    assert moving[0].next_step is STEPS[1]
    assert moving[-1].next_step is None


def test_the_steps_begin_when_somebody_is_there(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, lambda t, now: nobody(t) if t < 8.0 else obedient(t, now))
    stage.calibrate(model)
    assert stage.time_s == pytest.approx(8.0 + calibrate.SETTLED_S + STEPS_S, abs=0.2)


def test_duration_stretches_the_steps(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, obedient)
    stage.calibrate(model, duration_s=40.0)
    assert stage.time_s == pytest.approx(calibrate.SETTLED_S + 40.0, abs=0.2)
    crouched = [now.done_s for now in stage.told if now.step == STEPS[4]]
    assert crouched[-1] - crouched[0] == pytest.approx(2 * STEPS[4].seconds, abs=0.3)


def test_a_film_is_watched_as_it_is_to_its_end(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, lambda t, now: demo.pose_at(t))
    stage.ends_s = 30.0
    done = stage.calibrate(model, camera="rehearsal.mp4")
    assert done.frames == pytest.approx(750, abs=3)
    assert {now.phase for now in stage.told} == {"starting", "watching"}


def test_an_arm_that_was_often_out_of_view_widens_no_range(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dance(time_s: float, now: Progress) -> PoseFrame:
        frame = body(time_s, math.sin(time_s), 0.2 + 0.2 * math.sin(time_s))
        frame.visibility[0, 16] = 0.1 if time_s % 5.0 > 3.0 else 1.0
        return frame

    stage = Stage(monkeypatch, dance)
    stage.ends_s = 30.0
    assert stage.calibrate(model, camera="rehearsal.mp4").channels[0].after[0] > -0.1


def test_a_camera_before_which_nobody_stands_is_given_up(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, lambda t, now: nobody(t))
    with pytest.raises(CalibrationError, match=r"nobody was seen by camera 0 .*doctor") as error:
        stage.calibrate(model)
    assert "\n" not in str(error.value)
    assert stage.time_s == pytest.approx(calibrate.WAIT_S, abs=0.2)


def test_a_film_without_anybody_is_one_line(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, lambda t, now: nobody(t))
    stage.ends_s = 5.0
    with pytest.raises(CalibrationError, match=r"nobody was seen by camera empty\.mp4 \(in 0 of"):
        stage.calibrate(model, camera="empty.mp4")


def test_who_does_not_move_changes_nothing(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, lambda t, now: body(t))
    with pytest.raises(CalibrationError, match=r"right_hand_height: hardly moved.*nothing is changed"):
        stage.calibrate(model)


def test_a_model_that_hears_the_body_as_it_is_has_nothing_to_fit(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    midi = model / "midi.toml"
    text = TEXT.replace("right_hand_height", "midi:note").replace("left_hand_height", "midi:cc1")
    midi.write_text(text.replace("crouch", "presence"))
    with pytest.raises(CalibrationError, match="no channel is played by the body"):
        Stage(monkeypatch, obedient).calibrate(model, mapping=midi)


@pytest.mark.real
def test_a_real_dancer_moves_every_range_of_the_theremin(dancer_clip: Path, pose_model: Path) -> None:
    stream, rows = FeatureStream(), []
    with Landmarker("full", pose_model) as landmarker:
        for time_s, image in video_file.frames(dancer_clip):
            if time_s >= 6.0:
                break
            if round(time_s * 25) % 2:
                continue
            values = stream.update(landmarker.find(image, time_s))
            rows.append(np.where(stream.seen(), values, np.nan))
    theremin = load_mapping(THEREMIN / "mapping.toml", SPEC, FEATURES)
    found = fit(theremin, Movement(np.array(rows, np.float32), np.zeros(len(rows), np.bool_)))
    assert [each.kept for each in found] == ["", "", ""]
    assert all(-1.0 <= end <= 1.0 for each in found for end in each.after)


def test_an_arm_out_of_view_is_not_measured_as_one_that_hangs() -> None:
    """Its features hold and ease to rest, which is for playing; a range must not be made of that."""
    stream = FeatureStream()
    seen: list[dict[str, bool]] = []
    for n in range(100):
        frame = body(n / 25, 0.3, 0.3)
        frame.visibility[0, 16] = 0.1 if 50 <= n < 70 else 1.0
        stream.update(frame)
        seen.append(dict(zip(FEATURES, stream.seen().tolist(), strict=True)))
    assert all(each["left_hand_height"] for each in seen[5:])
    assert [each["right_hand_height"] for each in seen[5:72]] == [True] * 45 + [False] * 22  # on its way back at 70
    assert seen[99]["right_hand_height"]
    assert not any(each["hand_distance"] for each in seen[50:70])
    stream.update(nobody(4.0))
    assert not stream.seen().any()


# --- the command --------------------------------------------------------------------------------------------


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The performer's settings, empty."""
    folder = tmp_path / "config"
    monkeypatch.setattr("livemove.control.user_files.config_folder", lambda: folder)
    monkeypatch.setattr("livemove.cli.performing.have_pose_model", lambda config: None)
    return folder


def run(stage: Stage, *arguments: object) -> Result:
    """The command in this process, its camera and clock those of the stage."""
    real, seconds = calibrate.calibrate, lambda: stage.time_s

    def timed(config: CalibrationConfig, on_progress: Callable[[Progress], None]) -> calibrate.Calibration:
        return real(config, lambda now: (stage.told.append(now), on_progress(now))[1], seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibrate, "calibrate", timed)
        return CliRunner().invoke(main, ["calibrate", "--no-monitor", *map(str, arguments)])


def test_the_command_says_each_step_and_how_to_play_with_it(
    config: Path, small_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run(Stage(monkeypatch, obedient), "--model", small_bundle.path)
    assert done.exit_code == 0, done.output
    written = config / "mappings" / "small.toml"
    assert f"livemove perform --camera 0 --model {small_bundle.path} --mapping {written}" in done.stdout
    assert load_mapping(written, SPEC, FEATURES).routes[0].from_range != (-1.0, 1.0)


def test_json_is_all_there_is_on_standard_output(
    config: Path, small_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run(Stage(monkeypatch, obedient), "-m", small_bundle.path, "-o", tmp_path / "me.toml", "--json")
    found = json.loads(done.stdout)
    assert found["mapping"] == str(tmp_path / "me.toml")
    assert [each["channel"] for each in found["channels"]] == ["pitch", "loudness", "brightness"]
    assert all(each["fitted"] and each["kept"] is None for each in found["channels"])
    assert not config.exists()


def test_a_preset_keeps_its_own_mapping_and_all_else_it_says(
    config: Path, small_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_preset(Preset("soft", model=str(small_bundle.path), gain=0.5))
    path.write_text(path.read_text() + "# mine\n[devices]\nmirror = true\n")
    text = path.read_text()
    done = run(Stage(monkeypatch, obedient), "--preset", "soft")
    assert done.exit_code == 0, done.output
    assert "livemove perform --camera 0 --mirror --preset soft" in done.stdout
    (preset,) = set_list(["soft"])
    assert Path(preset.mapping) == config / "presets" / "mappings" / "soft.toml"
    first = load_mapping(Path(preset.mapping), SPEC, FEATURES).routes[0].from_range
    assert first != (-1.0, 1.0)
    assert preset.gain == 0.5
    assert "# mine" in path.read_text()
    assert path.with_name("soft.toml.bak").read_text() == text

    again = run(Stage(monkeypatch, lambda t, now: body(t, 0.2 * math.sin(t), 0.2 * math.sin(t))), "--preset", "soft")
    assert again.exit_code == 0, again.output
    assert load_mapping(Path(f"{preset.mapping}.bak"), SPEC, FEATURES).routes[0].from_range == first


def test_a_set_list_and_a_preset_that_is_not_there_are_one_line(
    config: Path, small_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_preset(Preset("soft", model=str(small_bundle.path)))
    path.with_name("show.toml").write_text('presets = ["soft"]')
    for name, words in (("show", "is a set list; name one of its presets: soft"), ("sofd", "no preset 'sofd'")):
        done = run(Stage(monkeypatch, obedient), "--preset", name)
        assert done.exit_code == 2
        assert words in done.stderr


def test_a_place_that_cannot_be_written_is_found_before_anybody_moves(
    config: Path, small_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(monkeypatch, obedient)
    done = run(stage, "-m", small_bundle.path, "-o", tmp_path)
    assert done.exit_code == 2
    assert "cannot be written" in done.stderr
    assert stage.frames == 0


def test_control_c_leaves_everything_as_it_was(
    config: Path, small_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_preset(Preset("soft", model=str(small_bundle.path)))
    before = path.read_text()

    def stopped(time_s: float, now: Progress) -> PoseFrame:
        if now.step == STEPS[3]:
            signal.raise_signal(signal.SIGINT)
        return obedient(time_s, now)

    stage = Stage(monkeypatch, stopped)
    done = run(stage, "--preset", "soft")
    assert done.exit_code == 130
    assert stage.time_s < 14
    assert path.read_text() == before
    assert [each.name for each in path.parent.iterdir()] == ["soft.toml"]


# --- the words ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.words)
def test_a_step_is_told_in_big_letters_that_fit_a_terminal(step: calibrate.Step) -> None:
    shown = text.calibration(Progress("moving", step, None, 2.0, 1.0, 20.0, True), 80)
    assert step.how in shown
    assert "██" in shown
    assert max(len(line.replace("[bold]", "").replace("[/]", "")) for line in shown.splitlines()) <= 80


def test_a_narrow_terminal_has_the_words_in_plain() -> None:
    shown = text.calibration(Progress("moving", STEPS[0], STEPS[1], 2.0, 1.0, 20.0, False), 30)
    assert "██" not in shown
    assert "STAND STILL" in shown
    assert "nobody in view" in shown
