"""Every fault, injected into the real program, and what a listener hears of it: `python -m tests.faults.matrix`.

In: options. Out: a table in markdown (or JSON), a line on standard error for each row as it is done; exit code 1 if a
row failed. Needs JACK and PulseAudio (jackd2, pulseaudio, pulseaudio-utils) and a C compiler.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

from livemove.diagnostics.jack_control import build
from tests.faults.judging import Result, measured
from tests.faults.rows import ROWS
from tests.support.material import fetch_dancer
from tests.support.mjpeg import NetworkCamera


def dancing_camera() -> Callable[[], NetworkCamera]:
    """Makes network cameras that show the real dancer's first four seconds, round and round."""
    images: list[np.ndarray] = []

    def made() -> NetworkCamera:
        if not images:
            with av.open(str(fetch_dancer())) as video:
                for _, frame in zip(range(100), video.decode(video=0), strict=False):
                    images.append(frame.to_ndarray(format="rgb24"))
        place = iter(range(1 << 62))
        return NetworkCamera(draw=lambda: images[next(place) % len(images)])

    return made


COLUMNS = "| fault | injected | expected | recovery | longest silence | clicks | true peak | verdict |"


def as_line(result: Result) -> str:
    """A row of the table in tests/README.md."""
    recovery = "–" if result.recovery_s is None else f"{1e3 * result.recovery_s:.0f} ms"
    silence = f"{1e3 * result.silence_s:.0f} ms"
    verdict = "ok" if result.verdict == "ok" else f"**{result.verdict}**: {'; '.join(result.why)}"
    peak = f"{result.peak_db:.1f} dB"
    cells = [result.name, result.fault, result.expected, recovery, silence, str(result.clicks), peak, verdict]
    return "| " + " | ".join(each.replace("|", "/") for each in cells) + " |"


def matching(part: str, names: set[str]) -> list[str]:
    return [name for name in names if part in name]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="NAME", help="a row, or all whose name holds it; repeatable")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--list", action="store_true", help="the rows, without doing anything")
    asked = parser.parse_args()
    names = {row.name for row in ROWS}
    wanted = [each for name in asked.only or [""] for each in ([name] if name in names else matching(name, names))]
    rows = [row for row in ROWS if row.name in wanted]
    if not rows:
        parser.error(f"no row is called {asked.only}: --list names them")
    if asked.list:
        for row in rows:
            print(f"{row.name}: {row.fault}: {row.expected}")
        return
    camera = dancing_camera()
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as folder:
        program = build(Path(folder))
        for row in rows:
            result = measured(row, program, camera)
            results.append(result)
            print(f"{len(results)}/{len(rows)} {as_line(result)}", file=sys.stderr, flush=True)
            if result.verdict != "ok":
                print("   it said: " + " / ".join(result.said), file=sys.stderr, flush=True)
    if asked.json:
        print(json.dumps([dataclasses.asdict(result) for result in results], indent=1))
    else:
        print(COLUMNS)
        print("|" + "---|" * (COLUMNS.count("|") - 1))
        print("\n".join(map(as_line, results)))
    failed = [result.name for result in results if result.verdict != "ok"]
    print(f"{len(results)} rows, {len(failed)} failed{': ' + ', '.join(failed) if failed else ''}", file=sys.stderr)
    sys.exit(bool(failed))


if __name__ == "__main__":
    # In the background of a script Ctrl-C is ignored, also by all that we start; and whoever ends us leaves no server.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main()
