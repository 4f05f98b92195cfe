"""Mutated containers through render and prepare: `python -m tests.measure.mutate --minutes 15`.

Each must end as asked, or with one line; in bounded memory and time. Prints what did not, with the seed that makes it
again, and a summary; exit code 1 if there was any. In: minutes, a seed to begin with. Out: lines on standard output.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import json
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil
import soundfile as sf

from livemove.contracts import LivemoveError, PoseFrame
from tests.support.bundles import random_bundle, small_spec
from tests.support.mutations import mutated
from tests.support.videos import RATE, tone, write_video

LIMIT_S = 120.0
"""A clip of a second takes no longer, however it is mutated, on a machine that is busy with other things."""
RESIDENT = 1.5e9
"""Bytes a worker may use: above it is ended at once, and that is wrong."""


def good_files(folder: Path) -> list[Path]:
    """One of each kind of container, one second each."""
    random = np.random.default_rng(0)
    still = random.integers(0, 255, (12, 16, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    images = [np.roll(still, 3 * i, 1) for i in range(25)]
    sound = tone(1.0)
    made = [
        write_video(folder / "h264.mp4", images, matrix=(0, 1, -1, 0), sound=sound, sound_codec="flac"),
        write_video(folder / "mpeg4.mov", images, "mpeg4", pixel_shape=Fraction(64, 45), sound=sound),
        write_video(folder / "mjpeg.avi", images, "mjpeg", "yuvj420p", sound=sound),
        write_video(folder / "mpeg4.avi", images, "mpeg4", options={"bf": "2"}, sound=sound),
        write_video(folder / "h264.mkv", images, sound=sound),
        write_video(folder / "h264.ts", images, sound=sound, sound_codec="mp2"),
        write_video(folder / "vp9.webm", images, "libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8"}),
        write_video(folder / "raw.h264", images, container_format="h264"),
        write_video(folder / "h264.flv", images),
    ]
    for name in ("x.wav", "x.flac", "x.ogg", "x.mp3"):
        sf.write(folder / name, sound, RATE)
        made.append(folder / name)
    with av.open(str(folder / "x.m4a"), "w") as container:
        stream = container.add_stream("aac", rate=RATE, layout="mono")
        for first in range(0, len(sound), 1024):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound[None, first : first + 1024]), "fltp", "mono")
            frame.sample_rate, frame.pts = RATE, first
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return [*made, folder / "x.m4a"]


@dataclasses.dataclass(frozen=True)
class Case:
    """What was tried, and how it ended: "right", "a line", or what is wrong."""

    seed: int
    name: str
    command: str
    ended: str
    seconds: float
    megabytes: float


def cases(good: list[Path], model: Path, pose_model: Path, folder: Path, first: int) -> Iterator[Case]:
    """Case after case, for ever; each in one worker process that is replaced when it dies or hangs."""
    with contextlib.ExitStack() as stack:
        worker: subprocess.Popen[str] | None = None
        for seed in range(first, 1 << 62):
            source = good[seed % len(good)]
            path = folder / f"case{source.suffix}"
            path.write_bytes(mutated(source.read_bytes(), seed))
            for command in ("render", "prepare"):
                if worker is None or worker.poll() is not None:
                    arguments = [sys.executable, "-m", "tests.measure.mutate", "--worker", str(model), str(pose_model)]
                    worker = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                              stderr=subprocess.DEVNULL, text=True)  # fmt: skip
                    stack.callback(worker.kill)
                began_s = time.monotonic()
                assert worker.stdin is not None
                worker.stdin.write(f"{command} {path}\n")
                worker.stdin.flush()
                answer = _line_within(worker, LIMIT_S)
                seconds = time.monotonic() - began_s
                if answer is None:
                    code = worker.poll()
                    worker.kill()
                    worker.wait()
                    worker = None
                    yield Case(seed, source.name, command, f"hung, died or took too much ({code})", seconds, 0.0)
                    continue
                said = json.loads(answer)
                yield Case(seed, source.name, command, said["ended"], seconds, said["megabytes"])


def _line_within(worker: subprocess.Popen[str], seconds: float) -> str | None:
    """What the worker says next; None if it dies, says nothing for so long, or takes more memory than it may."""
    assert worker.stdout is not None
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        if select.select([worker.stdout], [], [], 0.1)[0]:
            return worker.stdout.readline() or None
        with contextlib.suppress(psutil.NoSuchProcess):
            if psutil.Process(worker.pid).memory_info().rss > RESIDENT:
                return None
    return None


# --- the worker ---------------------------------------------------------------------------------------------


def work(model: Path, pose_model: Path) -> None:
    """Commands from standard input, one a line; an answer each."""
    from livemove.offline import render as rendering
    from training.data import clip

    for module in (rendering, clip):
        module.Landmarker = NobodyThere  # pyright: ignore[reportAttributeAccessIssue]
    say, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        command, _, name = line.strip().partition(" ")
        ended = tried(command, Path(name), model, pose_model)
        megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        say.write(json.dumps({"ended": ended, "megabytes": megabytes}) + "\n")
        say.flush()


def tried(command: str, path: Path, model: Path, pose_model: Path) -> str:
    """How "render" or "prepare" of a file ends: "right", "a line", or what is wrong with it."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            if command == "render":
                return _rendered(path, Path(folder) / "out.mp4", model, pose_model)
            return _prepared(path, Path(folder), pose_model)
        except LivemoveError as error:
            said = str(error)
            return "a line" if "\n" not in said and str(path) in said else f"no good line: {error!r}"
        except Exception as error:
            return f"traceback: {type(error).__name__}: {error}"


def _rendered(path: Path, output: Path, model: Path, pose_model: Path) -> str:
    from livemove.media import video_file
    from livemove.offline.render import RenderConfig, render

    done = render(RenderConfig(path, output, model, pose_model=pose_model), lambda _: None)
    shown = sum(1 for _ in video_file.some_frames(output, lambda _: False))
    if not 0 < done["seconds"] <= 660:
        return f"{done['seconds']} s long"
    return "right" if abs(shown - done["frames"]) <= 1 else f"{shown} frames of {done['frames']} in the video"


def _prepared(path: Path, folder: Path, pose_model: Path) -> str:
    from training.data.clip import Settings, prepare_item
    from training.data.items import VIDEO_SUFFIXES, Item

    kind = "film" if path.suffix in VIDEO_SUFFIXES else "sound"
    item = Item(kind, "train", "x", "y", str(path))
    rows = prepare_item(item, folder, Settings(16000, "full", pose_model, person=0.0))
    if any("\n" in row.skipped for row in rows):
        return f"more than one line: {rows}"
    if any(not 0 < row.seconds <= 610 for row in rows if not row.skipped):
        return f"no length: {rows}"
    return "a line" if rows[-1].skipped else "right"


class NobodyThere:
    """In place of the landmarker, which takes most of the time and sees images alone: containers are on trial."""

    def __init__(self, *_: object, **__: object) -> None:
        self.sequence = 0

    def __enter__(self) -> NobodyThere:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held."""

    def find(self, image: np.ndarray, capture_s: float) -> PoseFrame:
        assert image.shape[2:] == (3,)
        assert image.dtype == np.uint8
        assert image.size <= 3 * 8192 * 8192
        assert np.isfinite(capture_s)
        self.sequence += 1
        return PoseFrame(capture_s=capture_s, sequence=self.sequence)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--worker", nargs=2, type=Path)
    arguments = parser.parse_args()
    if arguments.worker:
        work(*arguments.worker)
        return
    from livemove.capture.posemodel import find_pose_model

    counts: collections.Counter[str] = collections.Counter()
    slowest = largest = 0.0
    deadline_s = time.monotonic() + 60 * arguments.minutes
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = random_bundle(folder / "model", small_spec()).path
        for case in cases(good_files(folder), model, find_pose_model("full"), folder, arguments.seed):
            counts[case.ended if case.ended in ("right", "a line") else "wrong"] += 1
            slowest, largest = max(slowest, case.seconds), max(largest, case.megabytes)
            if case.ended not in ("right", "a line"):
                print(f"seed {case.seed}, {case.name}, {case.command}: {case.ended}", flush=True)
            if time.monotonic() > deadline_s:
                break
    print(f"{sum(counts.values())} cases: {counts['right']} right, {counts['a line']} a line, {counts['wrong']} wrong; "
          f"slowest {slowest:.1f} s, most memory {largest:.0f} MB")  # fmt: skip
    sys.exit(1 if counts["wrong"] else 0)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main()
