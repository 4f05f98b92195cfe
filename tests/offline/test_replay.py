"""Takes of real sessions, demo dancer and native engine: killed, hurt and cut, they are made again to the bit."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from livemove.capture.capture_config import CaptureConfig
from livemove.capture.capture_process import follow
from livemove.contracts import Action, OutputError, PoseFrame, Request, TakeError
from livemove.offline.replay import ReplayConfig, again, same_stacks
from livemove.offline.take_video import FPS, write_take_video
from livemove.takes.folder import pcm24, samples24
from livemove.takes.reading import Take, load_take
from tests.support.bundles import MAPPING, STYLES, random_bundle, small_spec, two_voices
from tests.support.real_time import in_real_time, timed
from tests.support.sessions import asking, child, made

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes are stopped with signals here")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("models")
    return [random_bundle(folder / name, small_spec(name), seed).path for seed, name in enumerate(("one", "two"))]


def only(folder: Path) -> Path:
    """The take in it: the newest, for a test may have been tried before."""
    return max(folder.iterdir())


def same_again(take: Path, output: Path) -> Take:
    """The take, which was made again to the bit, and was not silent."""
    report = made(take, output)
    assert report["why_not"] is None
    assert report["identical"], f"differs after {report['differs_s']} s: {report}"
    read = load_take(take)
    sound, rate = soundfile.read(output, dtype="float32")
    assert rate == read.info.rate
    assert np.array_equal(sound, samples24(read.sound()))
    assert np.abs(sound).max() > 1e-3
    return read


@in_real_time
def test_a_take_from_the_start_is_made_again_to_the_bit(
    models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    takes, whole = tmp_path / "takes", tmp_path / "whole.wav"
    report, notices = asking(monkeypatch, models[0], {}, output=whole, record=True, folder=takes, duration_s=2.0)
    take = same_again(only(takes), tmp_path / "again.wav")
    with timed():
        assert take.seconds >= report["seconds"] - 0.3
        assert len(take.poses) >= 0.5 * report["frames_seen"]
    assert take.info.models[0].channels == ("pitch", "loudness", "brightness")
    assert any(line.startswith("recorded") for line in notices)


@in_real_time
def test_a_take_from_the_middle_of_all_that_can_happen_is_made_again_to_the_bit(
    models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Models hand over, controls move, panic, starvation, and both synthesis and playback die; recorded from within."""
    takes = tmp_path / "takes"
    todo = {
        0.8: Action.RECORD,
        1.0: Request(Action.MODEL, 1.0),
        1.3: Request(Action.GAIN, -6.0),
        1.5: Request(Action.MODEL, 1.0),
        1.7: Action.PANIC,
        1.9: Action.MUTE,
        2.1: lambda: os.kill(child(1), signal.SIGSTOP),
        2.3: lambda: os.kill(child(1), signal.SIGCONT),  # before its spare takes its place
        2.8: Request(Action.TEMPERATURE, 0.3),
        3.0: Request(Action.OCTAVE, 1.0),
        3.2: Action.FREEZE,
        3.4: lambda: os.kill(child(2), signal.SIGKILL),
        5.0: lambda: os.kill(child(1), signal.SIGKILL),
        8.0: Action.RECORD,
    }
    report, _ = asking(
        monkeypatch, models[0], todo, others=((models[1], None),), folder=takes, duration_s=8.5,
        output=tmp_path / "whole.wav", seed=7,
    )  # fmt: skip
    take = same_again(only(takes), tmp_path / "again.wav")
    with timed():
        assert report["ring_starvations"] > 0
        assert report["restarts"]["synthesis"] == report["restarts"]["playback"] == 1
        assert set(take.hops["sounding"]) == {0.0, 1.0}
        assert len(set(take.hops["life_s"])) == 2
        assert take.blocks["fresh"].sum() >= 1
        first_life = np.flatnonzero(np.diff(take.hops["life_s"]))
        assert len(first_life) == 1
    check_a_hop_that_was_told_and_not_written(take, int(first_life[0]))


def check_a_hop_that_was_told_and_not_written(take: Take, last: int) -> None:
    """Synthesis may be killed between the two; last: hop of the one that was killed. Nothing sounds otherwise."""
    told, then = take.hops[last : last + 1].copy(), take.hops[last + 1]
    if told["first_sample"][0] + told["samples"][0] == then["first_sample"]:  # else it was killed just there
        told["hop"] += 1
        told["first_sample"] = then["first_sample"]
        take = dataclasses.replace(take, hops=np.insert(take.hops, last + 1, told))
    blocks = again(take, same_stacks(take, ReplayConfig(take.path, Path("-"))))
    assert np.array_equal(np.concatenate([pcm24(block) for block in blocks]), take.sound())


@in_real_time
def test_a_blend_that_hand_and_body_move_is_made_again_to_the_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    takes = tmp_path / "takes"
    voices = two_voices(tmp_path / "voices", MAPPING + STYLES).path
    other = random_bundle(tmp_path / "other", small_spec("other")).path
    todo = {
        0.6: Action.RECORD,
        1.2: Request(Action.STYLE_2, 0.7, absolute=True),
        1.6: Request(Action.STYLE, 1.0, absolute=True),
        1.9: Request(Action.STYLE, 0.0, absolute=True),
        2.3: Request(Action.MODEL, 1.0),
        2.6: Request(Action.STYLE_1, 0.5, absolute=True),
        2.8: Request(Action.MODEL, 1.0),
        3.4: Action.RECORD,
    }
    _, notices = asking(
        monkeypatch, voices, todo, others=((other, None),), folder=takes, duration_s=3.8, output=tmp_path / "whole.wav"
    )
    take = same_again(only(takes), tmp_path / "again.wav")
    blend, set_by_hand = take.hops["blend"], take.hops["styles"]
    played = blend[np.isfinite(blend[:, 0])][:, :2]
    np.testing.assert_allclose(played.sum(1), 1.0, atol=1e-5)
    assert ((played > 0.05) & (played < 0.95)).any()
    assert np.isclose(set_by_hand[:, 1], 0.7).any()
    assert "other has no styles" in notices


@in_real_time
def test_the_last_minutes_are_exactly_what_was_played(
    models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second in place of five minutes. --output writes the tap from start to end by another way."""
    takes, whole = tmp_path / "takes", tmp_path / "whole.wav"
    asking(monkeypatch, models[0], {2.5: Action.SAVE_LAST}, output=whole, folder=takes, keep_s=1.0, duration_s=3.0)
    take = same_again(only(takes), tmp_path / "again.wav")
    with timed():
        assert 0.95 < take.seconds <= 1.0
    kept, played = samples24(take.sound()), soundfile.read(whole, dtype="float32")[0]
    wanted = kept[:64].tobytes()
    places = [at for at in range(len(played) - len(kept)) if played[at : at + 64].tobytes() == wanted]
    assert any(np.array_equal(played[at : at + len(kept)], kept) for at in places)


KILLED = """
import os, sys
from pathlib import Path
from livemove.session.perform import SessionConfig, run_session
model, takes, output = map(Path, sys.argv[1:])
config = SessionConfig.of(
    model=model, camera="demo", output=output, play=False, monitor=False, record=True, folder=takes
)
if __name__ == "__main__":
    run_session(config, lambda status: print(status.seconds, flush=True))
"""


@in_real_time
def test_what_was_recorded_until_a_kill_is_read_and_made_again_to_the_bit(models: list[Path], tmp_path: Path) -> None:
    takes = tmp_path / "takes"
    shutil.rmtree(takes, ignore_errors=True)  # of a try in which the machine stood still
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    command = [sys.executable, str(script), str(models[0]), str(takes), str(tmp_path / "whole.wav")]
    supervisor = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert supervisor.stdout is not None
        seconds = next(float(line) for line in supervisor.stdout if float(line) > 2.0)
    finally:
        supervisor.kill()
        supervisor.wait()
    take = same_again(only(takes), tmp_path / "again.wav")
    with timed():
        assert take.seconds > seconds - 1.0
    assert soundfile.info(tmp_path / "whole.wav").frames > (seconds - 1.0) * take.info.rate


@in_real_time
def test_at_another_rate_a_take_from_the_start_is_the_same_too(
    models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking(
        monkeypatch, models[0], {}, output=tmp_path / "whole.wav", record=True, folder=tmp_path / "takes",
        samplerate=44100, duration_s=1.5,
    )  # fmt: skip
    take = same_again(only(tmp_path / "takes"), tmp_path / "again.wav")
    assert take.info.rate == 44100


def test_takes_that_cannot_be_made_are_refused_before_the_show(
    models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file.*--takes"):
        asking(monkeypatch, models[0], {}, output=tmp_path / "w.wav", record=True, folder=tmp_path / "file")


@in_real_time
def test_a_take_that_cannot_be_made_in_the_show_is_told_and_the_sound_goes_on(
    models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    report, notices = asking(
        monkeypatch,
        models[0],
        {0.5: Action.RECORD},
        output=tmp_path / "w.wav",
        folder=tmp_path / "file",
        duration_s=1.5,
    )
    assert any("not recorded" in line and "--takes" in line for line in notices)
    with timed():
        assert report["seconds"] >= 1.5


# --- one take, used in many ways ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def take(models: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("takes")
    with pytest.MonkeyPatch.context() as monkeypatch:
        asking(monkeypatch, models[0], {}, output=folder / "w.wav", record=True, folder=folder / "t", duration_s=2.0)
    return only(folder / "t")


def test_another_model_plays_the_movement(models: list[Path], take: Path, tmp_path: Path) -> None:
    report = made(take, tmp_path / "other.wav", model=str(models[1]))
    assert report["model"] == "two"
    assert "not the one that played" in str(report["why_not"])
    assert not report["identical"]
    sound, rate = soundfile.read(tmp_path / "other.wav")
    assert abs(len(sound) / rate - load_take(take).seconds) < 0.01
    assert np.sqrt(np.mean(sound**2)) > 1e-3
    made(take, tmp_path / "twice.wav", model=str(models[1]))
    assert (tmp_path / "twice.wav").read_bytes() == (tmp_path / "other.wav").read_bytes()


def test_another_engine_says_so(take: Path, tmp_path: Path) -> None:
    report = made(take, tmp_path / "other.wav", engine="reference")
    assert report["why_not"] == "native played, not reference"


def test_a_take_without_its_hops_is_no_take_of_a_body(take: Path, tmp_path: Path) -> None:
    """A hole is told, and where: never sound that was not played under the name of what was."""
    read = load_take(take)
    lost = np.delete(read.hops, len(read.hops) // 2)
    stacks = same_stacks(read, ReplayConfig(take, tmp_path / "x.wav"))
    with pytest.raises(TakeError, match="a hop is missing"):
        list(again(dataclasses.replace(read, hops=lost), stacks))


def test_a_take_dances_in_place_of_the_camera(take: Path) -> None:
    """On a clock of our own: every pose of the take, in order, when it came."""
    read = load_take(take)
    clock, seen = [100.0], list[tuple[float, PoseFrame]]()

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    class Tally:
        def frame_seen(self, count: int = 1) -> None: ...
        def frame_used(self, pose_ms: float, people: int) -> None: ...

    config = CaptureConfig(camera=str(take))
    follow(config, lambda f: seen.append((clock[0], f)), lambda: False, Tally(), lambda: clock[0], sleep)
    frames = [frame for frame in read.frames() if frame.capture_s >= read.info.clock_s - 0.1]
    assert len(seen) == len(frames) > 30
    for (time_s, played), frame in zip(seen, frames, strict=True):
        assert time_s - 100.0 == pytest.approx(max(frame.capture_s - read.info.clock_s, 0.0), abs=1e-6)
        assert np.array_equal(played.world, frame.world)
    assert clock[0] - 100.0 == pytest.approx(read.seconds)


def test_a_film_shows_the_dancer_as_long_as_the_sound(take: Path, tmp_path: Path) -> None:
    read = load_take(take)
    write_take_video(read, tmp_path / "film.mp4", lambda _: None)
    with av.open(str(tmp_path / "film.mp4")) as container:
        video, sound = container.streams.video[0], container.streams.audio[0]
        assert (video.width, video.height) == (960, 720), "the demo's image is 4:3"
        assert sound.rate == read.info.rate
        images = [frame.to_ndarray(format="gray") for frame in container.decode(video)]
    assert abs(len(images) - read.seconds * FPS) <= 2
    lit = (images[-2] > 100).mean()
    assert 0.005 < lit < 0.2
    moved = np.abs(images[-2].astype(int) - images[-12].astype(int)) > 60
    assert moved.mean() > 1e-3
