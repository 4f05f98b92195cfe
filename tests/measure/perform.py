"""Performances measured: `python -m tests.measure.perform --camera dancer.avi` plays one on a JACK of its own.

In: options. Out: a JSON line for every run: what the report says of it, resident memory (of the children; the
supervisor is this process, and counts in what all grew by from the 20th second on), and what JACK recorded: its peak,
its silent blocks, and how well its pitch, if it has one, follows the video's right hand (support/following.py). Engines
and models take turns, so that a machine's good and bad minutes fall on all of them; `stolen` is the share of all cores
that a shared host took away meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import soundfile

from livemove.bundle import load_bundle
from livemove.cli.layers import read_layers
from livemove.contracts import HOP, Float32
from livemove.ipc.segment import Segment, now_s
from livemove.session import perform
from livemove.session.perform import SessionConfig, Status, run_session
from livemove.synthesis.synthesis_config import Layer
from tests.support.calls import Calls
from tests.support.following import best_spearman, channels_of
from tests.support.real_time import cpu_ticks
from tests.support.servers import Jack

MOST_HOPS = 100_000
"""Nine minutes of a longer film are enough."""
SETTLED_S = 20.0
"""Seconds of playing after which no process should grow any more."""
REPORTED = (
    "engine", "seconds", "ring_starvations", "late_callbacks", "motion_to_sound_ms", "pose_ms", "pose_fps",
    "generate_realtime", "first_sound_s", "nonfinite_samples", "restarts",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--camera", type=Path, required=True, metavar="VIDEO", help="a dancer, played round and round")
    parser.add_argument("--pose-model", type=Path)
    parser.add_argument("--engine", action="append", help="several: in turn")
    parser.add_argument("--model", action="append", help="several: in turn; layers: cello+bodydrum")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each run; 10 at least")
    parser.add_argument("--dancers", type=int, action="append", help="1 or 2; several: in turn")
    parser.add_argument("--rounds", type=int, default=1)
    asked = parser.parse_args()
    asked_for: dict[str, Float32] = {}
    for _ in range(asked.rounds):
        for model, engine, dancers in product(
            asked.model or ["theremin"], asked.engine or ["auto"], asked.dancers or [1]
        ):
            layers = read_layers(model, print)
            line, audio, rate = measure(asked, layers, engine, dancers)
            line = {"model": model, "dancers": dancers, **line}
            pitched = "pitch" in load_bundle(layers[0].model).spec.channel_names
            if len(layers) > 1 or dancers > 1 or not pitched:  # whose pitch would be followed?
                print(json.dumps(line), flush=True)
                continue
            if model not in asked_for:  # in a process of its own: whom MediaPipe is loaded into counts as ours
                with ProcessPoolExecutor(1, get_context("spawn")) as child:
                    arguments = asked.camera, load_bundle(model), MOST_HOPS, asked.pose_model
                    asked_for[model] = child.submit(channels_of, *arguments).result()[0]
            line["recorded"]["spearman"] = round(best_spearman(audio, rate, asked_for[model]), 3)
            print(json.dumps(line), flush=True)


def measure(
    asked: argparse.Namespace, layers: tuple[Layer, ...], engine: str, dancers: int
) -> tuple[dict[str, Any], Float32, int]:
    """(what is printed, what JACK recorded, its rate)."""
    calls: list[Calls] = []
    memory: dict[float, list[float]] = {}
    create = Segment.create
    began = cpu_ticks()

    def created() -> Segment:
        segment = create()
        calls.append(Calls(segment.name))
        return segment

    with tempfile.TemporaryDirectory() as folder, Jack() as jack:
        recording = Path(folder) / "jack.wav"

        def on_status(status: Status) -> None:
            if status.phase == "playing" and status.seconds > max(memory, default=0.0) + 1.0:
                if not memory:
                    jack.record(recording, int(asked.seconds) - 3)
                memory[status.seconds] = resident_mb()
            if status.phase == "stopping":
                calls[0].stop()

        os.environ.update(jack.environment)
        config = SessionConfig.of(
            model=layers[0].model, layers=(layers,), engine=engine, camera=str(asked.camera), loop=True,
            pose_model=asked.pose_model, duration_s=asked.seconds, monitor=False, started_s=now_s(), dancers=dancers,
        )  # fmt: skip
        perform.Segment.create = created  # pyright: ignore[reportAttributeAccessIssue]
        try:
            report = run_session(config, on_status)
        finally:
            perform.Segment.create = create
        jack.recorded(5)
        audio, rate = soundfile.read(recording, dtype="float32", always_2d=True)
    audio = audio[:, 0]
    total, stolen = (now - then for now, then in zip(cpu_ticks(), began, strict=True))
    settled = [mb for at, mb in memory.items() if at >= min(SETTLED_S, asked.seconds / 2)]
    loudest = np.abs(audio[: len(audio) // HOP * HOP]).reshape(-1, HOP).max(1)
    line = {
        **{name: report[name] for name in REPORTED},
        "starved_on_time": calls[0].starved_on_time,
        "stolen": round(stolen / total, 4),
        "memory_mb": {"children": round(sum(settled[-1][1:])), "grown": round(sum(settled[-1]) - sum(settled[0]), 1)},
        "recorded": {
            "seconds": round(len(audio) / rate, 1),
            "peak": round(float(np.abs(audio).max()), 3),
            "silent_blocks": int((loudest == 0).sum()),
        },
    }
    return line, audio, rate


def resident_mb() -> list[float]:
    """Of this process, then of everything it started but for the sound server and its recorder."""
    me = psutil.Process()
    ours = [p for p in (me, *me.children(recursive=True)) if p.name() not in ("jackd", "jack_rec")]
    return [process.memory_info().rss / 1e6 for process in ours]


if __name__ == "__main__":
    main()
