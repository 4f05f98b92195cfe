"""Teaching a posture: shown three times before a camera, or at moments of a video; what is not shown is not taught."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from livemove.body.posture_files import Taught, read_posture, taught_in
from livemove.body.postures import Posture, Recogniser
from livemove.cli import main
from livemove.contracts import LivemoveError, PoseFrame, PostureError
from livemove.session import teach
from livemove.session.calibrate import SETTLED_S, WAIT_S, Progress
from livemove.session.teach import HOLD_S, HOLDS, READY_S, TeachConfig, steps_of
from tests.support.bodies import nobody
from tests.support.posed import OTHERS, TAUGHT, Body, frame_of, landmarks

POSES = {**TAUGHT, **OTHERS}
BODY = Body(careless=0.05)

Dance = Callable[[float, Progress], PoseFrame]


def as_told(name: str, attempts: dict[int, str] | None = None) -> Dance:
    """Holds that posture when told to, never quite as the last time, or another one at some attempts; else stands."""
    worlds = [
        landmarks(POSES[(attempts or {}).get(n, name)], BODY, 0.1 * n, np.random.default_rng(n)) for n in range(HOLDS)
    ]
    rng = np.random.default_rng(9)

    def dance(time_s: float, now: Progress) -> PoseFrame:
        if now.step is None or now.step.words != "HOLD STILL":
            return frame_of(landmarks(POSES["standing"], BODY, 0.0), time_s)
        world = worlds[int(now.step.how.split(" of ")[0][-1]) - 1]
        return frame_of(world + 0.003 * rng.standard_normal((33, 3)), time_s)

    return dance


class Stage:
    """A camera, the clock, and somebody before it who sees what is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, dance: Dance) -> None:
        self.time_s = 0.0
        self.told = [Progress("starting")]
        self._dance = dance
        monkeypatch.setattr(teach, "follow", self._follow)
        monkeypatch.setattr(teach, "check_camera", lambda config: None)

    def _follow(
        self,
        config: object,
        publish: Callable[[PoseFrame], None],
        stop: Callable[[], bool],
        tally: object,
        now: Callable[[], float],
        sleep: object,
    ) -> None:
        while not stop():
            self.time_s += 0.04
            publish(self._dance(self.time_s, self.told[-1]))

    def teach(self, name: str, taught: tuple[Posture, ...] = ()) -> Posture:
        return teach.teach(TeachConfig(name), Taught(taught), self.told.append, lambda: self.time_s)


# --- before a camera ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TAUGHT)
def test_who_holds_a_posture_three_times_has_taught_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    posture = Stage(monkeypatch, as_told(name)).teach(name)
    assert len(posture.examples) == HOLDS
    assert 0.01 < posture.spread < 0.15
    recogniser = Recogniser((posture,))
    for time_s, (other, expected) in enumerate([(name, True), *((each, False) for each in POSES if each != name)]):
        recogniser.update(frame_of(landmarks(POSES[other], BODY, 0.3), float(time_s)))
        assert (recogniser.confidence(name) > 0.5) == expected, other


def test_what_to_do_is_told_in_turn_and_takes_fifteen_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, as_told("arms_up"))
    stage.teach("arms_up")
    told = [now.step for now in stage.told if now.step]
    changes = [step for step, before in zip(told, [None, *told], strict=False) if step is not before]
    assert tuple(changes) == steps_of("arms_up")
    assert stage.time_s == pytest.approx(SETTLED_S + HOLDS * (READY_S + HOLD_S), abs=0.2)
    assert [now.phase for now in stage.told][:2] == ["starting", "starting"]


def test_before_an_empty_stage_nothing_is_taught(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, lambda time_s, now: nobody(time_s))
    with pytest.raises(PostureError, match="nobody was seen by camera 0 for 30 s: arms_up is not taught"):
        stage.teach("arms_up")
    assert stage.time_s == pytest.approx(WAIT_S, abs=0.2)


def test_who_leaves_while_it_is_held_has_not_taught_it(monkeypatch: pytest.MonkeyPatch) -> None:
    told = as_told("arms_up")

    def dance(time_s: float, now: Progress) -> PoseFrame:
        gone = now.step is not None and now.step.how.startswith("Hold it: 2")
        return nobody(time_s) if gone else told(time_s, now)

    with pytest.raises(PostureError, match=r"nobody was seen by camera 0 the 2nd time \(in 0 of \d+ frames\)"):
        Stage(monkeypatch, dance).teach("arms_up")


def test_who_moves_is_told_which_time(monkeypatch: pytest.MonkeyPatch) -> None:
    told = as_told("arms_up")

    def dance(time_s: float, now: Progress) -> PoseFrame:
        frame = told(time_s, now)
        if now.step is not None and now.step.how.startswith("Hold it: 3"):
            frame.world[0, [13, 15], 1] += 0.5 * np.sin(6 * time_s)
        return frame

    with pytest.raises(PostureError, match="you moved the 3rd time"):
        Stage(monkeypatch, dance).teach("arms_up")


def test_three_that_are_not_one_posture_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PostureError, match="the 2nd time is another posture than the other times"):
        Stage(monkeypatch, as_told("arms_up", {1: "arms_wide"})).teach("arms_up")


def test_what_could_not_be_told_from_another_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    up = Stage(monkeypatch, as_told("arms_up")).teach("arms_up")
    with pytest.raises(PostureError, match=r"hands_up is too like arms_up \(0\.\d\d torso lengths apart"):
        Stage(monkeypatch, as_told("arms_up")).teach("hands_up", (up,))
    Stage(monkeypatch, as_told("arms_up")).teach("arms_up", (up,))  # itself, anew


# --- from a video -------------------------------------------------------------------------------------------


class Video:
    """Forty seconds of images that are their own numbers; a landmarker that knows what they show."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, shows: Callable[[float], PoseFrame]) -> None:
        self.decoded: list[float] = []
        self._shows = shows
        monkeypatch.setattr(teach, "some_frames", self._frames)
        monkeypatch.setattr(teach, "Landmarker", lambda *_, **__: self)

    def __enter__(self) -> Video:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def _frames(self, path: Path, wanted: Callable[[float], bool]):
        for number in range(40 * 25):
            image = np.zeros((2, 2, 3), np.uint8)
            yield number / 25, image if wanted(number / 25) else None

    def find(self, image: np.ndarray, time_s: float) -> PoseFrame:
        self.decoded.append(time_s)
        return self._shows(time_s)


def holding(name: str) -> Callable[[float], PoseFrame]:
    """That posture between the 5th and the 6th second of every ten; else standing."""
    return lambda time_s: frame_of(
        landmarks(POSES[name] if 5.0 <= time_s % 10.0 <= 6.0 else POSES["standing"], BODY, 0.0), time_s
    )


def from_video(at_s: tuple[float, ...], name: str = "arms_up") -> Posture:
    return teach.teach(TeachConfig(name, camera="rehearsal.mp4", at_s=at_s), Taught(), lambda now: None)


def test_a_video_is_looked_at_where_it_is_said_to_be_held_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    video = Video(monkeypatch, holding("arms_up"))
    posture = from_video((5.5, 15.5, 25.5))
    assert len(posture.examples) == 3
    assert max(video.decoded) <= 26.0
    assert len(video.decoded) < 3 * 25 * 1.6
    with pytest.raises(PostureError, match="another posture than the other times"):
        from_video((5.5, 15.5, 22.0))
    with pytest.raises(PostureError, match="you moved at 5 s"):
        from_video((5.0, 15.5))
    with pytest.raises(PostureError, match="no frame at 60 s: it is not so long"):
        from_video((5.5, 60.0))
    with pytest.raises(PostureError, match=r"--at 3,8\.5,14 says so"):
        from_video(())


def test_a_video_in_which_nobody_is_seen_there_teaches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    Video(monkeypatch, nobody)
    with pytest.raises(PostureError, match=r"nobody was seen by camera rehearsal\.mp4 at 5\.5 s \(in 0 of 2\d frames"):
        from_video((5.5, 15.5, 25.5))


# --- the command --------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The performer's postures, none yet."""
    monkeypatch.setattr("livemove.control.user_files.config_folder", lambda: tmp_path / "config")
    monkeypatch.setattr("livemove.cli.teaching.have_pose_model", lambda config: None)
    return tmp_path / "config" / "postures"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["teach", *arguments])


def taught(monkeypatch: pytest.MonkeyPatch, name: str, *more: str) -> Result:
    Video(monkeypatch, holding(name if name in POSES else "arms_up"))
    return run(name, "--camera", "rehearsal.mp4", "--at", "5.5, 15.5,25.5", *more)


def test_the_command_keeps_it_lists_it_replaces_it_only_if_asked_and_forgets_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no postures in" in run("--list").stdout
    done = taught(monkeypatch, "arms_up")
    assert done.exit_code == 0, done.output
    assert 'source = "posture.arms_up"' in done.stdout
    path = folder / "arms_up.toml"
    first = path.read_text()

    again = taught(monkeypatch, "arms_up")
    assert again.exit_code == 2
    assert "arms_up is taught already" in again.stderr
    assert path.read_text() == first
    done = taught(monkeypatch, "arms_up", "--replace")
    assert done.exit_code == 0, done.output
    assert "arms_up.toml.bak" in done.stdout
    assert path.with_name("arms_up.toml.bak").read_text() == first

    assert taught(monkeypatch, "arms_wide", "--json").exit_code == 0
    rows = json.loads(run("--list", "--json").stdout)
    assert [row["name"] for row in rows] == ["arms_up", "arms_wide"]
    assert rows[0]["nearest"] == "arms_wide"
    assert "arms_wide" in run("--list").stdout

    done = run("--remove", "arms_up")
    assert done.exit_code == 0
    assert taught_in(folder).names == ("arms_wide",)
    assert path.with_name("arms_up.toml.bak").exists()
    done = run("--remove", "arms_up")
    assert done.exit_code == 2
    assert "there are: arms_wide" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "name one posture to teach"),
        (("arms_up", "--list"), "name one posture to teach"),
        (("arms up",), "is no name for a posture"),
        (("arms_up", "--at", "3"), "--at goes with a video or a take"),
        (("arms_up", "-c", "a.mp4", "--at", "3,x"), "'x' is not a number"),
        (("arms_up", "-c", "a.mp4", "--at", "nan"), "not a finite number"),
        (("arms_up", "-c", "a.mp4"), "when is arms_up held?"),
        (("--remove", "../x"), "no posture"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(folder: Path, arguments: tuple[str, ...], words: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not folder.exists()


def test_a_posture_taught_with_nobody_in_view_is_one_line_and_nothing_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Video(monkeypatch, nobody)
    done = run("arms_up", "--camera", "rehearsal.mp4", "--at", "5.5")
    assert done.exit_code == 2
    assert "nobody was seen" in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("livemove:")]) == 1
    assert not folder.exists()


def test_a_broken_file_is_listed_with_what_is_wrong_and_the_others_stay(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert taught(monkeypatch, "arms_up").exit_code == 0
    (folder / "broken.toml").write_text("format = 1\n")
    rows = json.loads(run("--list", "--json").stdout)
    assert [row["error"] is None for row in rows] == [True, False]
    assert "joints: expected" in rows[1]["error"]
    with pytest.raises(LivemoveError, match="joints"):
        read_posture(folder / "broken.toml")
