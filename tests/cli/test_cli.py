"""The command line as a person meets it: real processes, what they print, and their exit codes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from livemove.bundle import Bundle, save_bundle
from livemove.capture.capture_config import cameras_here
from livemove.cli import shared
from livemove.ipc.cpu_affinity import cores_here
from livemove.synthesis import architectures, engines
from livemove.synthesis.engines import engine_names
from livemove.synthesis.synthesis_config import ENGINES
from tests.support.bundles import MAPPING, random_bundle, small_spec
from tests.support.real_time import in_real_time, timed
from tests.support.servers import Jack
from tests.support.stereo import centred

NO_SERVERS = {
    "JACK_NO_START_SERVER": "1",
    "JACK_DEFAULT_SERVER": "none",
    "PULSE_SERVER": "unix:/nonexistent",
    "DISPLAY": "",
    "WAYLAND_DISPLAY": "",
}
"""An environment in which neither a sound server nor a display answers, whatever runs on the machine."""


def start(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "livemove.cli", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **NO_SERVERS, **environment},
    )


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    process = start(*arguments, **environment)
    try:
        out, error = process.communicate(timeout=90)
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out, error)


def refusal(*arguments: object, **environment: str) -> str:
    """The one line a command that cannot do what it is told leaves behind."""
    done = run(*arguments, **environment)
    assert done.returncode == 2, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("livemove: ")
    assert done.stdout == ""
    return lines[0]


@pytest.fixture
def demo(small_bundle: Bundle, tmp_path: Path) -> list[object]:
    """Options of a perform that works anywhere: no camera, no audio device, a tiny model."""
    return ["--model", small_bundle.path, "--camera", "demo", "--output", tmp_path / "take.wav", "--duration", 1]


# --- what works ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    ["perform", "calibrate", "teach", "record", "render", "devices", "features", "models", "bench", "soak", "doctor"],
)
def test_every_command_teaches_by_example(command: str) -> None:
    done = run(command, "--help")
    assert done.returncode == 0
    assert f"livemove {command}" in done.stdout.split("Options:")[0].split("\n", 1)[1]


def test_the_engines_offered_are_the_engines_there_are() -> None:
    assert engine_names() == shared.ENGINE_CHOICES
    assert set(engines._ENGINES) == set(ENGINES)


@in_real_time
def test_perform_demo_into_a_file_sounds_and_reports(demo: list[object], tmp_path: Path) -> None:
    done = run("perform", *demo, "--report", tmp_path / "r.json", "--no-monitor")
    assert done.returncode == 0, done.stderr
    audio, rate = centred(tmp_path / "take.wav")
    with timed():
        assert len(audio) / rate >= 0.9
        assert 0.001 < np.sqrt(np.mean(audio**2)) < 1.0
    assert np.abs(audio).max() <= 1.0
    report = json.loads((tmp_path / "r.json").read_text())
    assert set(report) == {
        "engine", "model", "seconds", "sample_rate", "block", "device", "frames_seen", "poses", "pose_fps",
        "pose_ms", "hops", "generate_realtime", "ring_starvations", "late_callbacks",
        "portaudio_underflows", "nonfinite_samples",
        "limiter_hits", "camera_faults", "restarts", "take_overs", "failed_engines", "motion_to_sound_ms",
        "lag_ms", "first_sound_s",
    }  # fmt: skip
    with timed():
        assert report["model"] == "small"
        assert report["seconds"] == pytest.approx(1.0, abs=0.3)
        assert report["poses"] > 10
    assert "written: " in done.stderr


def test_the_missing_window_is_announced_and_the_show_goes_on(demo: list[object]) -> None:
    done = run("perform", *demo, "--monitor")
    assert done.returncode == 0
    assert "window" in done.stderr


def test_a_report_on_standard_output_is_all_that_is_there(demo: list[object]) -> None:
    done = run("perform", *demo, "--report", "-")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["engine"] == "native"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@in_real_time
def test_a_signal_ends_the_show_cleanly(small_bundle: Bundle, tmp_path: Path, number: signal.Signals) -> None:
    take = tmp_path / "take.wav"
    process = start("perform", "--model", small_bundle.path, "--camera", "demo", "--output", take)
    deadline = time.monotonic() + 30
    while (not take.exists() or take.stat().st_size < 100_000) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(number)
    out, error = process.communicate(timeout=60)
    assert process.returncode in (0, 130), error
    assert "Traceback" not in out + error
    assert "played " in error
    with timed():
        assert len(centred(take)[0]) > 15_000  # the file was closed properly


@pytest.mark.real
def test_all_processes_together_stay_within_the_memory_promised(
    dancer_clip: Path, pose_model: Path, tmp_path: Path
) -> None:
    take = tmp_path / "take.wav"
    process = start("perform", "--camera", dancer_clip, "--pose-model", pose_model, "--output", take, "--no-monitor")
    try:
        deadline = time.monotonic() + 60
        while (not take.exists() or take.stat().st_size < 400_000) and time.monotonic() < deadline:
            time.sleep(0.1)
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        resident = sum(member.memory_info().rss for member in family)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
    assert "played " in error
    assert len(family) >= 4
    assert resident < 1.5e9


def test_models_lists_what_is_there_and_what_is_wrong_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "livemove" / "models"
    random_bundle(folder / "whole", small_spec("whole"))
    random_bundle(folder / "torn", small_spec("torn"))
    (folder / "torn" / "weights.safetensors").write_bytes(b"")
    done = run("models", "--json", XDG_DATA_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = {row["name"]: row for row in json.loads(done.stdout)}
    assert found["whole"]["channels"] == ["pitch", "loudness", "brightness"]
    assert "weights.safetensors" in found["torn"]["error"]
    assert "whole" in run("models", XDG_DATA_HOME=str(tmp_path)).stdout


def test_models_describes_one(small_bundle: Bundle) -> None:
    done = run("models", small_bundle.path)
    assert done.returncode == 0
    assert "Random weights" in done.stdout
    assert "channel pitch: 57 to 81 MIDI note" in done.stdout


def test_bench_measures_a_model(small_bundle: Bundle) -> None:
    done = run("bench", "--model", small_bundle.path, "--engine", "native", "--repeats", 1, "--json")
    result = json.loads(done.stdout)
    assert result["sgemm_gflops"] > 0
    (row,) = result["results"]
    assert {"engine", "setting", "steps_per_s", "samples_per_s", "realtime", "gflops", "fraction_of_sgemm"} <= set(row)
    assert row["samples_per_s"] == pytest.approx(16 * row["steps_per_s"])


@pytest.mark.real
def test_bench_times_the_pose_by_what_computes_it(pose_model: Path, dancer_clip: Path) -> None:
    done = run("bench", "--clip", dancer_clip, "--pose-model", pose_model, "--json")
    published, trimmed, *litert = json.loads(done.stdout)
    assert (published["silhouette"], trimmed["silhouette"]) == (True, False)
    assert {row["runtime"] for row in (published, trimmed)} == {"mediapipe"}
    assert [(row["runtime"], row["threads"]) for row in litert] == [("litert", n) for n in sorted({1, cores_here()})]
    for row in (published, trimmed, *litert):
        assert row["poses"] == published["poses"] > 150
        assert 0 < row["p50_ms"] <= row["p95_ms"]
        assert row["share_lowest"] <= row["share_of_mediapipe"] <= row["share_highest"]
    assert (trimmed["share_lowest"], trimmed["share_highest"], trimmed["apart_p95_px"]) == (1.0, 1.0, 0.0)
    assert published["apart_p95_px"] == 0.0
    assert all(0.0 < row["apart_p50_px"] < 0.5 for row in litert)


def test_bench_says_what_is_wrong_with_a_clip(tmp_path: Path) -> None:
    done = run("bench", "--clip", tmp_path / "none.mp4")
    assert done.returncode == 2
    assert done.stderr.strip().endswith("no such file")


def test_doctor_examines_every_part(tmp_path: Path) -> None:
    random_bundle(tmp_path / "livemove" / "models" / "mine", architectures.stage("mine"))
    done = run("doctor", "--json", XDG_DATA_HOME=str(tmp_path))
    findings = {finding["part"]: finding for finding in json.loads(done.stdout)}
    assert {"python", "native engine", "camera", "pose model", "audio device", "model mine"} <= set(findings)
    assert findings["mine on native"]["state"] == "ok", findings["mine on native"]
    assert findings["mine on onnx"]["state"] == "missing"


def test_doctor_calls_a_torn_model_broken(tmp_path: Path) -> None:
    mine = random_bundle(tmp_path / "livemove" / "models" / "mine", small_spec("mine"))
    (mine.path / "weights.safetensors").write_bytes(b"")
    done = run("doctor", XDG_DATA_HOME=str(tmp_path))
    assert done.returncode == 1
    assert "broken" in done.stdout


def test_models_check_proves_every_engine_here_on_the_shipped_model() -> None:
    done = run("models", "check", "theremin", "--json")
    assert done.returncode == 0, done.stderr
    states = {row["engine"]: row["state"] for row in json.loads(done.stdout)}
    assert {name for name, state in states.items() if state == "true"} >= {"native", "native-int8", "onnx", "reference"}
    assert "broken" not in states.values()


def test_models_check_all_means_every_model_found(small_bundle: Bundle, tmp_path: Path) -> None:
    mine = tmp_path / "livemove" / "models" / "mine"
    shutil.copytree(small_bundle.path, mine)
    done = run("models", "check", "--all", "--json", XDG_DATA_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {"mine", "theremin"} <= {row["model"] for row in found}
    coarse = {(row["model"], row["engine"]) for row in found if row["state"] == "coarse"}
    assert coarse == {("bodydrum", "native-int8"), ("dance", "native-int8")}
    (mine / "golden.npz").write_bytes(b"")
    assert run("models", "check", "--all", "--json", XDG_DATA_HOME=str(tmp_path)).returncode == 1
    assert "--all" in run("models", "--all").stderr
    assert "--all" in run("models", "check", "theremin", "--all").stderr


def test_perform_says_that_a_model_ignores_its_channels(demo: list[object], small_bundle: Bundle) -> None:
    assert "ignores its channels" not in run("perform", *demo, "--no-monitor").stderr
    b, measured = small_bundle, {"nll_bits": 1.0, "nll_bits_shuffled": 1.0}
    save_bundle(b.path, b.spec, b.weights, b.golden, None, MAPPING, "# small\n", measured)
    lines = [line for line in run("perform", *demo, "--no-monitor").stderr.splitlines() if "ignores" in line]
    assert len(lines) == 1
    assert b.path.name in lines[0]


def test_models_check_finds_a_model_that_sounds_otherwise(small_bundle: Bundle) -> None:
    golden = small_bundle.path / "golden.npz"
    arrays = dict(np.load(golden))
    np.savez(golden, **{**arrays, "audio": arrays["audio"][::-1]})
    done = run("models", "check", small_bundle.path)
    assert done.returncode == 1
    assert "broken" in done.stdout
    assert "golden" in done.stdout


def test_devices_lists_the_running_server() -> None:
    with Jack() as jack:
        done = run("devices", "--json", **jack.environment)
    assert done.returncode == 0, done.stderr
    assert any("JACK" in device["host"] for device in json.loads(done.stdout))


# --- what does not, in one line -----------------------------------------------------------------------------


@in_real_time
def test_a_camera_and_a_device_that_are_named_and_not_there_are_waited_for(
    small_bundle: Bundle, tmp_path: Path
) -> None:
    """It starts without them and says so; what stands in for those that nobody named stands in for none of these."""
    report = tmp_path / "r.json"
    options = ["--camera", "97", "--device", "USB", "--duration", 3, "--no-monitor", "--report", report]
    done = run("perform", "--model", small_bundle.path, *options)
    assert done.returncode == 0, done.stderr
    with timed():
        assert "camera 97 is not there: looked for until it is" in done.stderr
        assert "playing without sound until it is there: waiting for USB" in done.stderr
    assert "demo dancer" not in done.stderr
    found = json.loads(report.read_text())
    assert found["camera_faults"] == {"absent": 1}
    assert found["restarts"] == {"capture": 0, "synthesis": 0, "playback": 0, "monitor": 0}


@pytest.mark.skipif(bool(cameras_here()), reason="there is a webcam here")
@in_real_time
def test_without_camera_and_device_it_plays_all_the_same(
    small_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line for each, and a new file each time, beside those that are there."""
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.glob("*.wav"))
    done = run("perform", "--model", small_bundle.path, "--duration", 1, "--no-monitor")
    assert done.returncode == 0, done.stderr
    (new,) = set(tmp_path.glob("*.wav")) - before
    first, second, *_ = done.stderr.splitlines()
    assert "camera 0" in first
    assert "demo dancer" in first
    assert new.name in second
    audio, rate = centred(new)
    with timed():
        assert len(audio) / rate >= 0.9
        assert np.sqrt(np.mean(audio**2)) > 0.001


def test_an_unreadable_video_is_one_line(demo: list[object], tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_text("no video")
    assert "clip.mp4" in refusal("perform", *demo, "--camera", tmp_path / "clip.mp4")
    assert "clip.mp4" in refusal("render", tmp_path / "clip.mp4", "-o", tmp_path / "x.wav", "-m", demo[1])


def test_a_missing_video_is_one_line(demo: list[object], tmp_path: Path) -> None:
    assert "no such file" in refusal("perform", *demo, "--camera", tmp_path / "no.mp4")
    assert "no such file" in refusal("render", tmp_path / "no.mp4", "-o", tmp_path / "x.wav", "-m", demo[1])


@in_real_time
def test_a_url_that_stalls_is_not_waited_for_before_it_plays(demo: list[object]) -> None:
    """The server takes the connection and never answers. What the command needs anyway is measured on a closed port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        perform = ["perform", *demo[:2], "--camera", f"http://127.0.0.1:{port}/video", *demo[4:]]
        began_s = time.monotonic()
        stalled = run(*perform)
        stalled_s = time.monotonic() - began_s
    began_s = time.monotonic()
    closed = run(*perform)  # refused at once
    for done in (stalled, closed):
        assert done.returncode == 0, done.stderr
        assert f"camera http://127.0.0.1:{port}/video is not there: looked for until it is" in done.stderr
    with timed():
        assert stalled_s - (time.monotonic() - began_s) < 2.5


def test_a_device_that_refuses_the_rate_is_one_line(small_bundle: Bundle) -> None:
    with Jack(rate=48000) as jack:
        message = refusal(
            "perform", "--model", small_bundle.path, "--camera", "demo", "--samplerate", 44100, **jack.environment
        )
    assert "refuses 44100" in message
    assert "--samplerate 48000" in message


def damage_nothing(folder: Path) -> None:
    shutil.rmtree(folder)


def truncate(folder: Path) -> None:
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])


def newer(folder: Path) -> None:
    index = json.loads((folder / "model.json").read_text())
    index["format_version"] = 99
    (folder / "model.json").write_text(json.dumps(index))


MODEL_DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (damage_nothing, "models found"),
    "truncated": (truncate, "weights.safetensors: size: expected"),
    "newer": (newer, "update livemove"),
}


@pytest.mark.parametrize("damage", MODEL_DAMAGE)
def test_a_model_that_cannot_be_trusted_is_one_line(demo: list[object], small_bundle: Bundle, damage: str) -> None:
    """Wrong shapes, NaN weights and the rest: tests/test_bundle.py; they take the same way out."""
    change, expected = MODEL_DAMAGE[damage]
    change(small_bundle.path)
    assert expected in refusal("perform", *demo)


def test_a_mapping_with_an_unknown_source_is_one_line(demo: list[object], tmp_path: Path) -> None:
    mapping = tmp_path / "my.toml"
    mapping.write_text('[channels.pitch]\nsource = "third_hand_height"\nfrom = [0, 1]\n')
    message = refusal("perform", *demo, "--mapping", mapping)
    assert "my.toml" in message
    assert "third_hand_height" in message


@pytest.mark.parametrize("option", ["--output", "--report"])
def test_an_unwritable_output_is_one_line(demo: list[object], tmp_path: Path, option: str) -> None:
    assert "nowhere" in refusal("perform", *demo, option, tmp_path / "nowhere" / "x.wav")


def test_render_refuses_an_unknown_kind_of_output(small_bundle: Bundle, tmp_path: Path) -> None:
    assert ".wav or .mp4" in refusal("render", tmp_path / "c.mp4", "-o", tmp_path / "x.ogg", "-m", small_bundle.path)


def test_a_pose_model_with_another_hash_is_one_line(demo: list[object], tmp_path: Path) -> None:
    from tests.support.videos import make_clip

    clip, model = make_clip(tmp_path / "clip.mp4", "libx264"), tmp_path / "pose.task"
    model.write_bytes(b"not the pose model")
    perform = ["perform", "-m", demo[1], "--camera", clip, "--output", tmp_path / "x.wav"]
    assert "hash mismatch" in refusal(*perform, "--pose-model", model)
    render = ["render", clip, "-o", tmp_path / "x.wav", "-m", demo[1]]
    assert "hash mismatch" in refusal(*render, "--pose-model", model)


def test_an_unknown_style_lists_the_styles(demo: list[object]) -> None:
    assert "no styles" in refusal("perform", *demo, "--style", "tango")


def test_a_wrong_option_is_two_as_well(demo: list[object]) -> None:
    done = run("perform", *demo, "--engine", "steam")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
