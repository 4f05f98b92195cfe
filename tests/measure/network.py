"""Who asks for the network while it plays: `python -m tests.measure.network --camera dancer.avi --seconds 600`.

In: options. Out: a JSON line for every engine: how long it played with window, sound file and take with video, and
which sockets of the internet all its processes opened, or tried to open and were denied. The engines share the time.
Exit code 1: one was opened; or tried, unless MediaPipe, which does, was asked for (`--pose-runtime mediapipe`).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from pathlib import Path

from tests.support import network
from tests.support.servers import Jack


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--camera", type=Path, required=True, metavar="VIDEO", help="a dancer, played round and round")
    parser.add_argument("--engine", action="append", help="several: in turn; without it native, native-int8 and onnx")
    parser.add_argument("--pose-runtime", default="auto", choices=("auto", "litert", "mediapipe"))
    parser.add_argument("--seconds", type=float, default=600.0, help="of all engines together")
    asked = parser.parse_args()
    engines = asked.engine or ["native", "native-int8", "onnx"]
    wrong = 0
    for engine in engines:
        with tempfile.TemporaryDirectory() as folder, Jack() as jack:
            report = Path(folder) / "report.json"
            seconds = asked.seconds / len(engines)
            more = ("--loop", "--report", str(report), "--pose-runtime", asked.pose_runtime)
            found = network.perform(str(asked.camera), engine, seconds, Path(folder), jack.environment, *more)
            if found.code:
                raise SystemExit(found.said)
            played = json.loads(report.read_text())
        wrong += len(found.opened) + (len(found.denied) if asked.pose_runtime != "mediapipe" else 0)
        line = {
            "engine": played["engine"],
            "seconds": round(played["seconds"], 1),
            "poses": played["poses"],
            "opened": Counter(found.opened),
            "denied": Counter(found.denied),
        }
        print(json.dumps(line), flush=True)
    raise SystemExit(wrong > 0)


if __name__ == "__main__":
    main()
