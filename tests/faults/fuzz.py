"""Fuzzing of every parser: `python -m tests.faults.fuzz --seconds 60` gives each so long; `--only OSC` one of them.

In: options. Out: a line for each: how many examples, and what went wrong, with the smallest example of it; exit code 1
if anything did. Each parser is in a process of its own with 4 GB at most, so that a crash and a bomb are found, too.
As many run at a time as there are cores. The same seed and number of rounds give the same examples.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.faults.fuzz_files import FILES
from tests.faults.fuzz_messages import MESSAGES

PARSERS = {**FILES, **MESSAGES}
ROUND = 50
"""Examples of one round of hypothesis, which then begins elsewhere."""
MEMORY = 4 << 30
LATE_S = 120.0
"""So long after its time a parser hangs."""

Body = Callable[[Path, st.DataObject], None]
QUIET = settings(
    suppress_health_check=list(HealthCheck), deadline=None, database=None, print_blob=False, max_examples=ROUND
)


def search(body: Body, material: Path, first: int, seconds: float, **more: Any) -> int:
    """Rounds until the time is over, one at least; how many examples that were. Raises what the body raises on the
    smallest one it finds."""
    count = 0
    until_s = time.monotonic() + seconds

    def test(data: st.DataObject) -> None:
        nonlocal count
        count += 1
        body(material, data)

    while True:
        seed(first)(settings(QUIET, **more)(given(data=st.data())(test)))()
        first += 1
        if time.monotonic() > until_s:
            return count


def one(name: str, seconds: float, first: int) -> dict[str, Any]:
    """What came of one parser, in this process."""
    make, body = PARSERS[name]
    with tempfile.TemporaryDirectory(prefix="livemove-fuzz-") as folder:
        material = make(Path(folder))
        try:
            return {"examples": search(body, material, first, seconds, phases=[Phase.generate, Phase.shrink])}
        except Exception as error:  # whatever the parser let through is what we are here for
            notes = " ".join(getattr(error, "__notes__", []))
            return {"found": f"{type(error).__name__}: {error} {notes}".strip()}


def apart(name: str, seconds: float, first: int) -> dict[str, Any]:
    """The same in a process of its own, which may die of it."""
    command = [sys.executable, "-m", "tests.faults.fuzz", "--worker", name, "--seconds", str(seconds)]
    try:
        done = subprocess.run(
            [*command, "--seed", str(first)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="replace", timeout=seconds + LATE_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"found": f"hangs: not done {LATE_S:.0f} s after its time"}
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        return {"found": f"the process died ({done.returncode}): {done.stderr[-1500:]}"}
    return json.loads(lines[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="for each parser")
    parser.add_argument("--only", action="append", choices=list(PARSERS), metavar="NAME", help=", ".join(PARSERS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="parsers at a time")
    parser.add_argument("--worker", choices=list(PARSERS), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        faulthandler.enable()
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.RLIM_INFINITY))
        print(json.dumps(one(asked.worker, asked.seconds, asked.seed)))
        return
    wrong = 0
    with ThreadPoolExecutor(max(asked.jobs, 1)) as pool:
        running = {pool.submit(apart, name, asked.seconds, asked.seed): name for name in asked.only or PARSERS}
        for done in as_completed(running):
            result = done.result()
            wrong += "found" in result
            said = result.get("found") or f"{result['examples']:,} examples, nothing found"
            print(f"{running[done]}: {said}", flush=True)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
