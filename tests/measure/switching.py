"""Models switched while they play: `python -m tests.measure.switching` does it 50 times by OSC, on a JACK of its own.

In: options. Out: one JSON line: starvations (starved_on_time: those in which the sound server was on time), clicks
(support/clicks.py) in what was played, and how the memory of the synthesis process grew from the first switches to the
last. The two models are the shipped one, loaded twice.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import tempfile
import threading
import time
from pathlib import Path

import psutil

from livemove.bundle import find_bundle
from livemove.control.control_config import ControlConfig
from livemove.ipc.segment import Segment
from livemove.session import perform
from livemove.session.perform import SessionConfig, Status, run_session
from tests.support.calls import Calls
from tests.support.clicks import clicks
from tests.support.osc import packet
from tests.support.servers import Jack
from tests.support.stereo import centred


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--every", type=float, default=0.4, metavar="SECONDS")
    options = parser.parse_args()
    segments: list[Segment] = []
    calls: list[Calls] = []
    create = Segment.create

    def created() -> Segment:
        segments.append(create())
        calls.append(Calls(segments[0].name))
        return segments[0]

    perform.Segment.create = staticmethod(created)
    memory_mb: list[float] = []
    switched: list[int] = []

    def switch(port: int) -> None:
        synthesis = psutil.Process(segments[0].processes["synthesis"].pid)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(options.count):
                time.sleep(options.every)
                sender.sendto(packet("/livemove/model/by", 1), ("127.0.0.1", port))
                time.sleep(0.05)
                memory_mb.append(synthesis.memory_info().rss / 1e6)
                switched.append(segments[0].controls.read().model)
        os.kill(os.getpid(), 2)

    with tempfile.TemporaryDirectory() as folder, Jack() as jack:
        os.environ.update(jack.environment)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        thread = threading.Thread(target=switch, args=(port,))

        def on_status(status: Status) -> None:
            if status.phase == "stopping":
                calls[0].stop()
            if status.phase == "playing" and thread.ident is None:
                thread.start()

        theremin, take = find_bundle("theremin"), Path(folder) / "take.wav"
        config = SessionConfig.of(
            model=theremin, others=((theremin, None),), camera="demo", monitor=False, output=take,
            control=ControlConfig(osc=("127.0.0.1", port)),
        )  # fmt: skip
        report = run_session(config, on_status)
        thread.join()
        x, rate = centred(take)
    found = clicks(x)
    print(
        json.dumps(
            {
                "switched": sum(one != other for one, other in zip(switched, [0, *switched], strict=False)),
                "seconds": round(len(x) / rate, 1),
                "ring_starvations": report["ring_starvations"],
                "starved_on_time": calls[0].starved_on_time,
                "late_callbacks": report["late_callbacks"],
                "clicks": len(found),
                "clicks_s": [round(at / rate, 3) for at in found[:10].tolist()],
                "memory_mb": [round(memory_mb[min(9, len(memory_mb) - 1)], 2), round(memory_mb[-1], 2)],
            }
        )
    )


if __name__ == "__main__":
    main()
