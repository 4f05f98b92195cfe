"""What the window costs: `python -m tests.measure.monitor --seconds 600` plays on a JACK server of its own and tells.

In: options. Out: one JSON line: redraws a second, share of one core, memory, and what the same time cost the sound. The
window opens where DISPLAY says; without one, offscreen. `--no-monitor` gives the figures to compare with, `--rounds 5`
both in turn, so that a machine's good and bad minutes fall on both, and their sums in a last line.

A machine that stops altogether for 20 ms, as a shared host does, starves the sound whatever runs on it: then the sound
server's own call is late, too. `starved_on_time` are the starvations that had no such excuse.
"""

from __future__ import annotations

import argparse
import json
import os
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

from livemove.bundle import find_bundle
from livemove.ipc.segment import Segment, State
from livemove.session import perform
from livemove.session.perform import SessionConfig, Status, run_session
from tests.support.calls import Calls
from tests.support.servers import Jack


class Meter:
    """Follows the window: each redraw is a heartbeat. Its first seconds, in which it loads, do not count."""

    SETTLE_S = 3.0

    def __init__(self, segment: Segment) -> None:
        self._process_state = segment.processes["monitor"]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()
        self.redraws = self.seconds = self.checked_s = self.busy_s = self.memory_mb = 0.0

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _follow(self) -> None:
        while self._process_state.state is not State.RUNNING:
            if self._over.wait(0.05):
                return
        if self._over.wait(self.SETTLE_S):
            return
        process = psutil.Process(self._process_state.pid)
        last, began_s, busy_s = self._process_state.heartbeat_s, time.monotonic(), _busy_s(process)
        while not self._over.wait(0.004):
            if self._process_state.heartbeat_s != last:
                last = self._process_state.heartbeat_s
                self.redraws += 1
            self.seconds = time.monotonic() - began_s
            if self.seconds - self.checked_s > 1.0 and process.is_running():
                self.checked_s, self.busy_s = self.seconds, _busy_s(process) - busy_s
                self.memory_mb = process.memory_info().rss / 1e6


COUNTED = ("ring_starvations", "starved_on_time", "late_callbacks", "calls_half_a_block_late")


def _busy_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--camera", default="demo")
    parser.add_argument("--pose-model", type=Path)
    parser.add_argument("--no-monitor", action="store_true")
    parser.add_argument("--rounds", type=int, metavar="N", help="N times with the window and without, in turn")
    asked = parser.parse_args()
    if not os.environ.get("DISPLAY"):
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
    if not asked.rounds:
        print(json.dumps(measure(asked, not asked.no_monitor)))
        return
    sums = {"with": Counter[str](), "without": Counter[str]()}
    for _ in range(asked.rounds):
        for which, total in sums.items():
            line = measure(asked, which == "with")
            print(json.dumps(line), flush=True)
            total.update({name: line[name] for name in COUNTED})
    print(json.dumps(sums))


def measure(asked: argparse.Namespace, monitor: bool) -> dict[str, Any]:
    """One performance on a JACK server of its own."""
    meters: list[Meter] = []
    calls: list[Calls] = []
    create = Segment.create

    def measured() -> Segment:
        segment = create()
        meters.append(Meter(segment))
        calls.append(Calls(segment.name))
        return segment

    def ended(status: Status) -> None:
        if status.phase == "stopping":
            meters[0].stop()
            calls[0].stop()

    perform.Segment.create = measured  # pyright: ignore[reportAttributeAccessIssue]
    try:
        with Jack() as jack:
            os.environ.update(jack.environment)
            config = SessionConfig.of(
                model=find_bundle("theremin"), camera=asked.camera, loop=True, pose_model=asked.pose_model,
                duration_s=asked.seconds, monitor=monitor,
            )  # fmt: skip
            report = run_session(config, ended)
    finally:
        perform.Segment.create = create
    meter = meters[0]
    return {
        "seconds": round(meter.seconds, 1),
        "redraws_per_s": round(meter.redraws / max(meter.seconds, 1e-9), 2),
        "share_of_a_core": round(meter.busy_s / max(meter.checked_s, 1e-9), 4),
        "memory_mb": round(meter.memory_mb, 1),
        "platform": os.environ.get("QT_QPA_PLATFORM", "x11") if monitor else "no window",
        **{name: report[name] for name in ("pose_fps", "ring_starvations", "late_callbacks", "restarts")},
        "starved_on_time": calls[0].starved_on_time,
        "calls_half_a_block_late": calls[0].late,
        "motion_to_sound_ms": report["motion_to_sound_ms"],
    }


if __name__ == "__main__":
    main()
