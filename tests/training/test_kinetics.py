"""Dance videos from a web that fails in every way: what comes is cut, what does not is on record, all of it resumes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest
import yt_dlp
from click.testing import CliRunner, Result

from livemove.contracts import OutputError
from livemove.media import video_file
from tests.support.paths import ROOT
from tests.support.videos import RATE, clicks, flashes, make_film, tone
from tests.support.videosite import VideoSite
from training import kinetics
from training.data import downloads
from training.data.annotations import CATEGORIES, Annotation, AnnotationError, choose, read_annotations
from training.data.clip import read_sound
from training.data.cut import CutError, cut
from training.data.downloads import Ledger, Limits, Outcome, Pace, download

SCRIPT = ROOT / "training" / "kinetics.py"
HASTY = Limits(timeout_s=2.0, backoff_s=0.01, backoff_most_s=0.1, refusals=4)


@pytest.fixture
def site() -> Generator[VideoSite]:
    with VideoSite() as site:
        yield site


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight seconds with a flash and a click at 3.2 and 5.0 s."""
    return make_film(tmp_path_factory.mktemp("video") / "video.mp4", 8.0, clicks(8.0, [3.2, 5.0]), [3.2, 5.0])


def named(letter: str) -> str:
    """An id of eleven letters."""
    return letter * 11


def clip(letter: str, start_s: float = 2.0, end_s: float = 6.0, style: str = "tango_dancing") -> Annotation:
    return Annotation("train", style, named(letter), start_s, end_s)


def obtained(
    site: VideoSite, root: Path, *letters: str, limits: Limits = HASTY, workers: int = 2
) -> dict[str, Outcome]:
    clips = [clip(letter) for letter in letters]
    outcomes = download(clips, root, limits, workers, site.url + "/{id}.mp4")
    return {outcome.key[-1]: outcome for outcome in outcomes}


# --- annotations --------------------------------------------------------------------------------------------


def annotate(path: Path, *rows: str) -> Path:
    path.write_text("label,youtube_id,time_start,time_end,split,is_cc\n" + "".join(row + "\n" for row in rows))
    return path


def test_annotations_are_read_and_what_is_wrong_is_said(tmp_path: Path) -> None:
    rows, troubles = read_annotations(annotate(
        tmp_path / "k.csv",
        "salsa dancing,-aB_9876543,10,20,train,0",
        "dancing ballet,bbbbbbbbbbb,0,10,validate,0",
        "salsa dancing,../../etc/p,0,10,train,0",
        "salsa dancing,ccccccccccc; rm -rf /,0,10,train,0",
        "salsa dancing,ddddddddddd,10,5,train,0",
        "salsa dancing,eeeeeeeeeee,nan,inf,train,0",
        "salsa dancing,fffffffffff,0,10,test,0",
        "salsa dancing,-aB_9876543,30,40,train,0",
        "../../../home/me,ggggggggggg,0,10,train,0",
        "short",
    ))  # fmt: skip
    assert [row.key for row in rows] == [
        "train/salsa_dancing/-aB_9876543", "valid/dancing_ballet/bbbbbbbbbbb", "train/_.._.._home_me/ggggggggggg",
    ]  # fmt: skip
    assert [trouble.partition(":")[0] for trouble in troubles] == [f"line {n}" for n in (4, 5, 6, 7, 8, 9, 11)]


def test_a_category_is_its_classes() -> None:
    rows = [Annotation("train", style, named("a"), 0, 10) for style in ("salsa_dancing", "zumba", "archery")]
    assert [row.style for row in choose(rows, ["dancing"], None)] == ["salsa_dancing", "zumba"]
    assert [row.style for row in choose(rows, ["all"], None)] == ["salsa_dancing", "zumba", "archery"]
    assert [row.style for row in choose(rows, ["Salsa Dancing"], None)] == ["salsa_dancing"]
    assert len(CATEGORIES["dancing"]) == 17
    with pytest.raises(AnnotationError, match=r"no class or category 'salza_dancing'.*there is salsa_dancing"):
        choose(rows, ["salza_dancing"], None)


def test_so_many_of_each_class_and_split() -> None:
    rows = [Annotation(split, "zumba", named(x), 0, 10) for split in ("train", "valid") for x in "abcde"]
    assert [(row.split, row.id[0]) for row in choose(rows, ["all"], 2)] == [
        ("train", "a"), ("train", "b"), ("valid", "a"), ("valid", "b"),
    ]  # fmt: skip


# --- cutting ------------------------------------------------------------------------------------------------


def clicked(path: Path) -> list[float]:
    """When the sound of a film clicks, counted from its first frame."""
    sound = np.abs(read_sound(path, RATE))
    loud = np.flatnonzero(sound > 0.1)
    starts = loud[np.diff(loud, prepend=-RATE) > RATE // 10]
    return [float(start / RATE) for start in starts]


def test_a_cut_begins_where_asked_with_sound_and_picture_together(video: Path, tmp_path: Path) -> None:
    seconds, sound = cut([video], 2.0, 6.0, tmp_path / "cut.mp4")
    assert seconds == pytest.approx(4.0, abs=0.05)
    assert sound
    assert flashes(tmp_path / "cut.mp4") == pytest.approx([1.2, 3.0], abs=0.001)
    assert clicked(tmp_path / "cut.mp4") == pytest.approx([1.2, 3.0], abs=0.01)
    assert video_file.probe(tmp_path / "cut.mp4").seconds == pytest.approx(4.0, abs=0.1)


def test_picture_and_sound_that_came_apart_are_joined(video: Path, tmp_path: Path) -> None:
    image = make_film(tmp_path / "picture.mp4", 8.0, None, [3.2, 5.0])
    sound = make_film(tmp_path / "sound.mkv", 8.0, clicks(8.0, [3.2, 5.0]))
    cut([image, sound], 2.5, 7.5, tmp_path / "cut.mp4")
    assert flashes(tmp_path / "cut.mp4") == pytest.approx([0.7, 2.5], abs=0.021)
    assert clicked(tmp_path / "cut.mp4") == pytest.approx([0.7, 2.5], abs=0.03)


def test_what_ends_too_early_is_no_clip(video: Path, tmp_path: Path) -> None:
    with pytest.raises(CutError, match="it ends before second"):
        cut([video], 7.5, 17.5, tmp_path / "cut.mp4")


# --- downloading --------------------------------------------------------------------------------------------


def test_clips_come_cut_and_in_their_places(site: VideoSite, tmp_path: Path, video: Path) -> None:
    for letter in "abc":
        site.on(f"/{named(letter)}.mp4", site.serve(video))
    outcomes = obtained(site, tmp_path, *"abc")
    assert {outcome.status for outcome in outcomes.values()} == {"done"}
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert files == [f"train/tango_dancing/{named(letter)}.mp4" for letter in "abc"]
    assert flashes(tmp_path / files[0]) == pytest.approx([1.2, 3.0], abs=0.001)


def test_what_the_web_does_is_told_apart(site: VideoSite, tmp_path: Path, video: Path) -> None:
    content = video.read_bytes()
    answers = {
        "a": site.serve(video),
        "b": site.status(404),
        "c": site.status(410),
        "d": site.status(401),
        "e": site.status(403),
        "f": site.serve(b"rubbish" * 1000),
        "g": site.serve(content[: len(content) // 3]),
        "h": site.status(500),
        "i": site.hang_up(content, 5000),
        "j": site.serve(b"<html>gone</html>", "text/html"),
        "k": site.stall(),
    }
    for letter, answer in answers.items():
        site.on(f"/{named(letter)}.mp4", answer)
    outcomes = obtained(site, tmp_path, *answers, workers=4)
    assert {letter: outcome.status for letter, outcome in outcomes.items()} == {
        "a": "done", "b": "gone", "c": "gone", "d": "private", **dict.fromkeys("efghijk", "failed"),
    }  # fmt: skip
    assert all(outcome.reason for letter, outcome in outcomes.items() if letter != "a")
    assert "no video" in outcomes["f"].reason
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [f"{named('a')}.mp4"]


def test_429_makes_everybody_wait_longer_each_time_and_then_succeeds(
    site: VideoSite, tmp_path: Path, video: Path
) -> None:
    path = f"/{named('a')}.mp4"
    site.on(path, site.status(429), site.status(429), site.status(429), site.serve(video))
    limits = Limits(timeout_s=5.0, backoff_s=0.2, refusals=6)
    outcomes = obtained(site, tmp_path, "a", limits=limits)
    assert outcomes["a"].status == "done"
    asked = [time_s for asked, time_s in site.asked if asked == path]
    gaps = np.diff(asked[:4])
    assert np.all(gaps >= [0.2, 0.4, 0.8])


def test_retry_after_is_honoured(site: VideoSite, tmp_path: Path, video: Path) -> None:
    path = f"/{named('a')}.mp4"
    site.on(path, site.status(429, Retry_After="1"), site.serve(video))
    limits = Limits(timeout_s=5.0, backoff_s=0.01, backoff_most_s=5.0)
    assert obtained(site, tmp_path, "a", limits=limits)["a"].status == "done"
    asked = [time_s for asked, time_s in site.asked if asked == path]
    assert asked[1] - asked[0] >= 1.0


def test_patience_ends(site: VideoSite, tmp_path: Path) -> None:
    site.on(f"/{named('a')}.mp4", site.status(429))
    outcome = obtained(site, tmp_path, "a")["a"]
    assert outcome.status == "failed"
    assert "asked to wait 4 times" in outcome.reason


def test_those_refused_together_wait_once() -> None:
    pace = Pace(Limits(backoff_s=1000.0, backoff_most_s=4000.0), threading.Event())
    for _ in range(5):
        pace.refused(0.0)
    assert pace._until_s - time.monotonic() <= 1300


def test_a_video_beyond_the_cap_is_given_up(site: VideoSite, tmp_path: Path) -> None:
    site.on(f"/{named('a')}.mp4", site.drip())
    outcome = obtained(site, tmp_path, "a", limits=Limits(bytes_most=200_000, timeout_s=5.0))["a"]
    assert (outcome.status, outcome.reason) == ("failed", "larger than 0.2 MB")


def test_a_video_that_takes_too_long_is_given_up(site: VideoSite, tmp_path: Path) -> None:
    site.on(f"/{named('a')}.mp4", site.drip())
    outcome = obtained(site, tmp_path, "a", limits=Limits(seconds_most=0.5, timeout_s=5.0))["a"]
    assert (outcome.status, outcome.reason) == ("failed", "took longer than 0.5 s")


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("[youtube] x: Private video. Sign in if you've been granted access to this video", "private"),
        ("[youtube] x: Sign in to confirm your age. This video may be inappropriate for some users.", "private"),
        ("[youtube] x: Join this channel to get access to members-only content", "private"),
        ("[youtube] x: Video unavailable. This video has been removed by the uploader", "gone"),
        ("[youtube] x: Video unavailable. The account associated with this video has been terminated", "gone"),
        ("[youtube] x: Requested format is not available. Use --list-formats", "failed"),
        ("Unable to download webpage: timed out", "failed"),
    ],
)
def test_what_youtube_says_is_understood(said: str, status: str) -> None:
    assert downloads._judge(yt_dlp.utils.DownloadError(f"ERROR: {said}")) == (status, said)


def test_a_site_that_takes_us_for_a_bot_asks_for_patience(
    site: VideoSite, tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """YouTube says so without a 429."""
    site.on(f"/{named('a')}.mp4", site.serve(video))
    real, said = yt_dlp.YoutubeDL.extract_info, ["Sign in to confirm you’re not a bot"]

    def extract(self: yt_dlp.YoutubeDL, *args: object, **options: object) -> object:
        if said:
            raise yt_dlp.utils.DownloadError(said.pop())
        return real(self, *args, **options)

    monkeypatch.setattr(yt_dlp.YoutubeDL, "extract_info", extract)
    assert obtained(site, tmp_path, "a")["a"].status == "done"


# --- the command --------------------------------------------------------------------------------------------


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(kinetics.main, [str(argument) for argument in arguments])


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return annotate(
        tmp_path / "k.csv",
        f"tango dancing,{named('a')},2,6,train,0",
        f"tango dancing,{named('b')},2,6,validate,0",
        f"salsa dancing,{named('c')},2,6,train,0",
        f"salsa dancing,{named('d')},2,6,train,0",
    )


def fetch_all(site: VideoSite, table: Path, root: Path, *more: str) -> Result:
    url = site.url + "/{id}.mp4"
    return call("download", "--annotations", table, "--url", url, "--workers", "2", *more, root)


def test_a_second_run_asks_only_for_what_failed(site: VideoSite, tmp_path: Path, table: Path, video: Path) -> None:
    for letter in "ab":
        site.on(f"/{named(letter)}.mp4", site.serve(video))
    site.on(f"/{named('d')}.mp4", site.status(403), site.serve(video))
    root = tmp_path / "kinetics"
    first = fetch_all(site, table, root)
    assert first.exit_code == 1, first.output
    assert "2 done, 1 gone, 0 private, 1 failed" in first.stdout
    assert f"failed train/salsa_dancing/{named('d')}: " in first.stderr
    site.asked.clear()
    second = fetch_all(site, table, root)
    assert second.exit_code == 0, second.output
    assert "3 done, 1 gone, 0 private, 0 failed" in second.stdout
    assert {path for path, _ in site.asked} == {f"/{named('d')}.mp4"}
    site.asked.clear()
    third = fetch_all(site, table, root, "--retry")
    assert {path for path, _ in site.asked} == {f"/{named('c')}.mp4"}
    assert "salsa_dancing                train     1  valid     0" in third.stdout


def test_killed_it_goes_on_where_it_was(site: VideoSite, tmp_path: Path, table: Path, video: Path) -> None:
    site.on(f"/{named('a')}.mp4", site.serve(video))
    for letter in "bcd":
        site.on(f"/{named(letter)}.mp4", site.stall(), site.serve(video))
    root = tmp_path / "kinetics"
    url = site.url + "/{id}.mp4"
    command = [sys.executable, str(SCRIPT), "download", "--annotations", str(table), "--url", url, str(root)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ledger = root / "downloads.jsonl"
    while process.poll() is None and not (
        ledger.exists() and ledger.read_text().endswith("\n") and len(site.asked) >= 4
    ):
        time.sleep(0.01)
    process.kill()
    process.wait()
    with ledger.open("a") as file:
        file.write('{"key": "train/sal')  # a kill may cut a line
    site.asked.clear()
    done = fetch_all(site, table, root)
    assert done.exit_code == 0, done.output
    assert site.count(f"/{named('a')}.mp4") == 0
    assert all(json.loads(line)["status"] == "done" for line in ledger.read_text().splitlines())
    assert sum(1 for _ in root.rglob("*.mp4")) == 4
    assert not (root / ".partial").exists()


def test_ctrl_c_is_one_line_and_code_130(site: VideoSite, tmp_path: Path, table: Path, video: Path) -> None:
    site.on(f"/{named('a')}.mp4", site.serve(video))
    for letter in "bcd":
        site.on(f"/{named(letter)}.mp4", site.stall())
    root = tmp_path / "kinetics"
    command = [sys.executable, str(SCRIPT), "download", "--annotations", str(table), "--timeout", "1",
               "--url", site.url + "/{id}.mp4", str(root)]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not (root / "train" / "tango_dancing" / f"{named('a')}.mp4").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130, said
    assert said.strip().splitlines()[-1].startswith("stopped; what is done is kept")
    assert "Traceback" not in said
    assert not (root / ".partial").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--annotations", "nowhere.csv", "root"), "nowhere.csv: cannot be read"),
        (("--annotations", "k.csv", "--categories", "archery", "root"), "no class or category 'archery'"),
        (("--annotations", "bad.csv", "root"), "no column youtube_id"),
        (("--annotations", "k.csv", "--url", "http://x/", "root"), "{id} must be in it"),
        (("--annotations", "k.csv", "bad.csv"), "cannot be written"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    tmp_path: Path, table: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    (tmp_path / "bad.csv").write_text("label,id\n")
    monkeypatch.chdir(tmp_path)
    done = call("download", *arguments)
    assert done.exit_code == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_full_disk_ends_the_run(
    site: VideoSite, tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the last step of a clip fails when no space is left."""
    site.on(f"/{named('a')}.mp4", site.serve(video))

    def full(source: object, target: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(downloads.os, "replace", full)
    with pytest.raises(OutputError, match="cannot be written: No space left"):
        obtained(site, tmp_path, "a")


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "downloads.jsonl").write_text("no json\n")
    with pytest.raises(OutputError, match=r"downloads\.jsonl: is damaged"):
        Ledger(tmp_path)


# --- curate, check ------------------------------------------------------------------------------------------


@pytest.fixture
def layout(tmp_path: Path, video: Path) -> Path:
    root = tmp_path / "kinetics"
    for name in ("train/tango/a", "train/tango/b", "train/salsa/c", "valid/tango/d"):
        path = root / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(video.read_bytes() + name.encode())
    return root


def test_a_list_chooses_clips_and_their_splits(layout: Path, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text("tango: [b, {id: d, split: train}]\nsalsa:\n  - c\n  - lost\n")
    done = call("curate", tmp_path / "good.yaml", layout, tmp_path / "good")
    assert done.exit_code == 1
    assert done.stderr.strip() == f"not in {layout}: salsa/lost"
    files = {str(path.relative_to(tmp_path / "good")) for path in (tmp_path / "good").rglob("*.mp4")}
    assert files == {"train/tango/b.mp4", "train/tango/d.mp4", "train/salsa/c.mp4"}
    assert (tmp_path / "good/train/tango/b.mp4").read_bytes() == (layout / "train/tango/b.mp4").read_bytes()


@pytest.mark.parametrize(
    "text", ["", "- a\n- b\n", "tango: [{name: a}]", "tango: [[a]]", "tango: [12]", "tango: {",
             "tango: [{id: a, split: test}]", "x: !!python/object/apply:os.system ['echo']"],
)  # fmt: skip
def test_a_list_that_is_none_is_one_line(layout: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    done = call("curate", tmp_path / "bad.yaml", layout, tmp_path / "good")
    assert done.exit_code == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "good").exists()


@pytest.mark.real
def test_check_finds_what_is_wrong_and_lists_what_is_good(tmp_path: Path, dancer_clip: Path, pose_model: Path) -> None:
    root = tmp_path / "kinetics"
    studio = root / "train" / "studio"
    studio.mkdir(parents=True)
    cut([dancer_clip], 5.0, 8.0, studio / "dancer.mp4")
    cut([dancer_clip], 5.0, 10.0, studio / "long.mp4")
    make_film(studio / "nobody.mp4", 3.0, tone(3.0))
    make_film(studio / "mute.mp4", 3.0)
    make_film(studio / "silent.mp4", 3.0, np.zeros(3 * RATE, np.float32))
    (studio / "broken.mp4").write_bytes(b"no film")
    report, good = tmp_path / "report.json", tmp_path / "good.yaml"
    done = call("check", root, "--seconds", "3", "--pose-model", pose_model, "--report", report, "--list", good)
    assert done.exit_code == 1, done.output
    found = {Path(f["path"]).stem: f["troubles"] for f in json.loads(report.read_text())}
    assert found == {
        "dancer": [], "long": ["wrong length"], "nobody": ["no person"], "mute": ["no person", "no sound"],
        "silent": ["no person", "silent"], "broken": ["unreadable"],
    }  # fmt: skip
    assert "1 of 6 clips good" in done.stdout
    assert call("curate", good, root, tmp_path / "good").exit_code == 0
    assert [path.name for path in (tmp_path / "good").rglob("*.mp4")] == ["dancer.mp4"]
