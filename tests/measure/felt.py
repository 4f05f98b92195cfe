"""What is felt: `python -m tests.measure.felt --camera dancer.avi` plays takes on a JACK of its own and measures them.

In: options. Out: a JSON line for every run (the lag from movement to sound and its parts, as `livemove latency TAKE`
has them, its standard deviation over 2 s windows, what of that is the estimator's own, underruns, the share of the
cores that a shared host took away), and last a line with the median and the range of each over the runs. Settings take
turns, so that a machine's good and bad minutes fall on all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from livemove.bundle import find_bundle
from livemove.diagnostics import latency
from livemove.ipc.segment import now_s
from livemove.session.perform import SessionConfig, run_session
from livemove.takes.reading import load_take
from tests.support.real_time import cpu_ticks
from tests.support.servers import Jack


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--camera", action="append", required=True, metavar="VIDEO", help="several: in turn")
    parser.add_argument("--pose-model", type=Path)
    parser.add_argument("--pose", default="full", choices=["full", "lite"])
    parser.add_argument("--block", type=int, action="append", help="frames of JACK's period; several: in turn")
    parser.add_argument("--look-ahead", action="append", help="auto or milliseconds; several: in turn")
    parser.add_argument("--model", default="theremin")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each run; 15 at least")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where the takes are kept")
    asked = parser.parse_args()
    found: dict[tuple[str, int, str], list[dict[str, float]]] = {}
    settings = list(product(asked.camera, asked.block or [512], asked.look_ahead or ["auto"]))
    for run in range(asked.runs):
        for setting in settings:
            line = measure(asked, *setting)
            found.setdefault(setting, []).append(line)
            print(json.dumps({"run": run, "camera": Path(setting[0]).name, "block": setting[1],
                              "look_ahead": setting[2], **line}), flush=True)  # fmt: skip
    for (camera, block, ahead), lines in found.items():
        spread = {name: over([line[name] for line in lines]) for name in lines[0]}
        print(json.dumps({"runs": len(lines), "camera": Path(camera).name, "block": block, "look_ahead": ahead,
                          "median, lowest, highest": spread}), flush=True)  # fmt: skip


def over(values: list[float]) -> list[float]:
    known = [value for value in values if value is not None]
    return [round(float(x), 3) for x in (np.median(known), min(known), max(known))] if known else []


def rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def measure(asked: argparse.Namespace, camera: str, block: int, ahead: str) -> dict[str, Any]:
    """One performance, kept as a take, and what `livemove latency` says of it."""
    began = cpu_ticks()
    with tempfile.TemporaryDirectory() as passing, Jack(period=block) as jack:
        folder = asked.keep or Path(passing)
        folder.mkdir(parents=True, exist_ok=True)
        os.environ.update(jack.environment)
        look_ahead = {} if ahead == "auto" else {"look_ahead_s": float(ahead) / 1e3}
        config = SessionConfig.of(
            model=find_bundle(asked.model), camera=camera, loop=True, pose=asked.pose, pose_model=asked.pose_model,
            duration_s=asked.seconds, monitor=False, record=True, folder=folder, block=block, started_s=now_s(),
            **look_ahead,
        )  # fmt: skip
        said = run_session(config, lambda _: None)
        take = load_take(max(folder.glob("take-*"), key=lambda path: path.stat().st_mtime))
        report, _ = latency.measure(take)
    total, stolen = (now - then for now, then in zip(cpu_ticks(), began, strict=True))
    return {
        "lag_ms": round(report["lag_ms"]["median"], 1),
        "confidence": round(report["lag_ms"]["confidence"], 3),
        "jitter_ms": rounded(report["jitter_ms"]["sd"]),
        "jitter_own_ms": rounded(report["jitter_ms"]["own"]),
        **{f"{name} ms": rounded(ms) for name, ms in report["parts_ms"].items()},
        "age_ms": round(report["age_ms"]["p50"], 1),
        "overshoot_share": report["stops"]["overshoot_share"],
        "overshoot_cents": report["stops"]["overshoot_cents"],
        "settled_ms": report["stops"]["settled_ms"],
        "still_cents": report["still_cents_rms"],
        "ripple": report["ripple"],
        "underruns": said["ring_starvations"],
        "late_callbacks": said["late_callbacks"],
        "pose_fps": said["pose_fps"],
        "stolen": round(stolen / total, 4),
    }


if __name__ == "__main__":
    main()
