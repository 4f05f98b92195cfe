"""kill -9 at random moments: `python -m tests.faults.kill --times 100` starts performances and ends them so, anywhere.

In: options. Out: a line for each that left something, a summary; exit code 1 if any did. After each: no process of it
lives, recordings can be read, and where a child survived the supervisor, it has tidied up; after all of them a start
that is clean leaves no shared memory of any.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import soundfile

from livemove.contracts import LivemoveError
from livemove.ipc.leftovers import SHARED_MEMORY, YOUNG_S
from livemove.takes.reading import load_take
from tests.faults.performance import NOBODY
from tests.support.bundles import random_bundle, small_spec
from tests.support.paths import ROOT

MARK = "LIVEMOVE_KILL_TEST"
"""An environment variable by which every process of a performance is known, whoever its parent is by now."""
PATIENCE_S = 60.0
GONE_S = 20.0
"""A child notices that its parent is dead at once, and leaves a second later; on a busy machine that takes longer."""
START_S, PLAYING_S = 4.0, 2.0
"""Half of them are killed at any moment of the first seconds after the command, the others of the first that play."""


@dataclass
class Killed:
    """How one was killed, and what it left."""

    victim: str
    after_s: float
    phase: str
    wrong: list[str] = field(default_factory=lambda: [])


class Killing:
    """Performances in a folder of their own, one after the other, each killed at a moment that the seed says."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.model = random_bundle(folder / "model", small_spec()).path
        self.random = np.random.default_rng(seed)
        self.segments: set[str] = set()
        self.count = 0

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, **NOBODY, "PYTHONPATH": str(ROOT), "TMPDIR": str(self.temporary),
                MARK: str(self.folder)}  # fmt: skip

    def command(self, *more: str) -> list[str]:
        options = ("--model", str(self.model), "--camera", "demo", "--no-monitor")
        return [sys.executable, "-m", "livemove.cli", "perform", *options, *more]

    def family(self) -> list[psutil.Process]:
        """Every process of any of these performances."""
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(MARK) == str(self.folder) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def once(self) -> Killed:
        self.count += 1
        place = self.folder / f"{self.count:03d}"
        place.mkdir()
        playing = bool(self.random.random() < 0.5)
        wait_s = float(self.random.uniform(0.0, PLAYING_S if playing else START_S))
        victim = str(self.random.choice(["supervisor", "everybody", "a child, then the supervisor"]))
        process = subprocess.Popen(
            self.command("-o", "played.wav", "--record", "--takes", "takes"), cwd=place, env=self.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        began_s = time.monotonic()
        while playing and not (place / "played.wav").exists() and time.monotonic() < began_s + PATIENCE_S:
            time.sleep(0.01)
        time.sleep(wait_s)
        after_s = time.monotonic() - began_s
        segment = segment_of(process.pid)
        self.segments |= segment
        phase = "starting" if not (place / "played.wav").exists() else "playing"
        if victim == "everybody":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            children = psutil.Process(process.pid).children()
            if victim.startswith("a child") and children:
                with contextlib.suppress(psutil.Error):
                    children[int(self.random.integers(len(children)))].kill()
                time.sleep(float(self.random.uniform(0.0, 0.5)))
            process.kill()
        process.wait()
        killed = Killed(victim, after_s, phase)
        deadline_s = time.monotonic() + GONE_S
        while (alive := self.family()) and time.monotonic() < deadline_s:
            time.sleep(0.05)
        killed.wrong += [f"process {each.pid} lives" for each in alive]
        for each in alive:
            each.kill()
        if victim != "everybody" and phase == "playing":
            killed.wrong += [f"/dev/shm/{name} is left" for name in segment if (SHARED_MEMORY / name).exists()]
        killed.wrong += unreadable(place)
        return killed

    def clean_start(self) -> list[str]:
        """What is wrong with a start after all of them: it plays, says nothing odd, and sweeps what was left."""
        time.sleep(YOUNG_S + 0.5)
        done = subprocess.run(
            self.command("-o", str(self.folder / "last.wav"), "--duration", "1"), cwd=self.folder, env=self.environment,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        wrong = [f"exit code {done.returncode}: {done.stderr[-300:]}"] if done.returncode else []
        wrong += ["a traceback"] if "Traceback" in done.stderr else []
        wrong += [f"/dev/shm/{name} is left" for name in self.segments if (SHARED_MEMORY / name).exists()]
        wrong += [f"{path.name} is left" for path in self.temporary.iterdir() if "running" in path.name]
        return wrong


def segment_of(pid: int) -> set[str]:
    """Names of the shared memory that this process has mapped."""
    with contextlib.suppress(OSError):
        return set(re.findall(r"/dev/shm/(livemove-\w+)", Path(f"/proc/{pid}/maps").read_text()))
    return set()


def unreadable(place: Path) -> list[str]:
    """What was recorded there and cannot be read: the WAV and every take that has a sample."""
    wrong: list[str] = []
    wav = place / "played.wav"
    if wav.exists() and wav.stat().st_size > 44:
        try:
            samples = len(soundfile.read(wav)[0])
            lost = (wav.stat().st_size - 44) // 6 - samples
            if lost > 4096:
                wrong.append(f"played.wav: {lost} samples of {samples + lost} are in the file and not in its header")
        except soundfile.LibsndfileError as error:
            wrong.append(f"played.wav: {error}")
    takes = place / "takes"
    for take in takes.iterdir() if takes.is_dir() else ():
        if not any(path.suffix == ".wav" and path.stat().st_size > 44 for path in take.iterdir()):
            continue
        try:
            load_take(take).sound()
        except LivemoveError as error:
            wrong.append(str(error))
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="livemove-kill-", ignore_cleanup_errors=True) as name:
        killing = Killing(Path(name), asked.seed)
        phases: collections.Counter[str] = collections.Counter()
        wrong = 0
        for number in range(asked.times):
            killed = killing.once()
            phases[f"{killed.victim}, {killed.phase}"] += 1
            wrong += bool(killed.wrong)
            for line in killed.wrong:
                print(f"{number}: {killed.victim} after {killed.after_s:.2f} s, {killed.phase}: {line}", flush=True)
        after = killing.clean_start()
        for line in after:
            print(f"the start after them: {line}")
        told = ", ".join(f"{count} {phase}" for phase, count in sorted(phases.items()))
        print(f"{asked.times} killed ({told}): {wrong} left something; the next start: {'not ' if after else ''}clean")
    sys.exit(bool(wrong or after))


if __name__ == "__main__":
    main()
