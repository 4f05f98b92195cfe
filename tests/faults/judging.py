"""Rows of the fault matrix: a fault, what is expected of the instrument, and how it is judged by what was measured.

In: a Row. Out: a Result: how long recovery took, what a listener heard, the verdict. Knows no single fault.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from livemove.ipc.segment import now_s
from tests.faults.listening import Heard
from tests.faults.performance import Performance, Unready
from tests.support.mjpeg import NetworkCamera
from tests.support.real_time import Watch

Act = Callable[[Performance], object]
Judge = Callable[["Moment"], tuple[float | None, list[str]]]

SETTLED_S = 1.5
"""Of playing before a fault."""
HELD_UP_S = 0.03
"""Where the server called nobody, or a real-time thread on the sound core did not run, for so long, the machine stood
still: the row is judged again."""
CUT_S = 0.1
"""After it the last sample of a process that was killed has been heard."""
TRIES = 2
BLOCK = 512
"""Frames of a period of JACK, as the tests start it: the callback's blocks begin with it."""


@dataclass(frozen=True)
class Row:
    """One fault.

    name, fault, expected   what it is called, what happens, what must come of it, in words
    inject                  makes it happen; what it gives, if a number, is when (s), else it is when it began
    judge                   measures recovery and says what is wrong; see the functions below
    mend, mend_after_s      what ends the fault, if anything does, and how long after
    watch_s                 how long it goes on afterwards
    server, camera, options of the performance; camera "network": an MJPEG camera on loopback that can fail
    files                   makes what the options name in the performance's folder, and gives those options
    prepare                 is done once the server runs, before the performance starts
    code                    with which it must end; None: it is killed
    cuts                    it ends the process that fades, or stops the server: the sound is cut off, and nobody can
                            keep that from clicking, nor the rest that is let out once it is mended
    server_suffers          the fault itself holds the sound server up: that is no excuse
    """

    name: str
    fault: str
    expected: str
    inject: Act
    judge: Judge
    mend: Act | None = None
    mend_after_s: float = 2.0
    watch_s: float = 2.0
    server: str = "jack"
    camera: str = "demo"
    options: tuple[str, ...] = ()
    prepare: Act | None = None
    code: int | None = 0
    cuts: bool = False
    server_suffers: bool = False
    files: Callable[[Path], tuple[str, ...]] | None = None


@dataclass
class Moment:
    """What a judge sees: the performance after its end, what was heard, and when things happened (CLOCK_MONOTONIC)."""

    show: Performance
    heard: Heard
    fault_s: float
    mend_s: float | None
    until_s: float
    pose_s: float | None = None


@dataclass(frozen=True)
class Result:
    """verdict: "ok", "FAIL", or "held up": it failed while the machine itself stood still, on each try.

    recovery_s None: it never came, or there was nothing to recover from. silence_s: the longest from the fault on.
    """

    name: str
    fault: str
    expected: str
    recovery_s: float | None
    silence_s: float
    peak_db: float
    clicks: int
    held_up_s: float
    verdict: str
    why: list[str] = field(default_factory=lambda: [])
    said: list[str] = field(default_factory=lambda: [])
    seconds: float = 0.0


# --- judges -------------------------------------------------------------------------------------------------


def sound_back(limit_s: float, after_mend: bool = False) -> Judge:
    """Recovery: from the fault (or its mending) to the end of the last silence; sound to the end."""

    def judge(moment: Moment) -> tuple[float | None, list[str]]:
        began_s = (moment.mend_s or moment.fault_s) if after_mend else moment.fault_s
        silences = moment.heard.silences(began_s, moment.until_s)
        if len(silences) and silences[-1, 1] >= moment.until_s:
            return None, ["silent at the end"]
        recovery_s = float(silences[-1, 1]) - began_s if len(silences) else 0.0
        return recovery_s, [f"{recovery_s:.2f} s, not {limit_s:g}"] if recovery_s > limit_s else []

    return judge


def goes_on(most_s: float = 0.0) -> Judge:
    """No silence of more than most_s from the fault on; recovery is the longest one."""

    def judge(moment: Moment) -> tuple[float | None, list[str]]:
        longest_s = moment.heard.longest_silence_s(moment.fault_s, moment.until_s)
        return longest_s, [f"silent for {longest_s:.2f} s"] if longest_s > most_s else []

    return judge


def pose_back(limit_s: float) -> Judge:
    """Recovery: from the mending (without one, the fault) to the first pose that is there to be played; the sound never
    stops."""

    def judge(moment: Moment) -> tuple[float | None, list[str]]:
        _, wrong = goes_on()(moment)
        if moment.pose_s is None:
            return None, ["no pose came", *wrong]
        recovery_s = moment.pose_s - (moment.mend_s or moment.fault_s)
        return recovery_s, [*([f"{recovery_s:.2f} s, not {limit_s:g}"] if recovery_s > limit_s else []), *wrong]

    return judge


def silent_within(fade_s: float, limit_s: float) -> Judge:
    """Panic: recovery is the time from asking to the last sample that is heard; the fade ends fade_s after the
    beginning of the block in which it began, and it stays silent until the end."""

    def judge(moment: Moment) -> tuple[float | None, list[str]]:
        last_s = moment.heard.last_sound_s(moment.fault_s, moment.until_s)
        if last_s > moment.until_s - 0.5:
            return None, ["never silent"]
        took_s, wrong = last_s - moment.fault_s, list[str]()
        piece = moment.heard.pieces[-1]
        place = int((piece.at_s <= last_s).sum()) - 1
        faded_s = (place % BLOCK + 1) / piece.rate
        if faded_s > fade_s:
            wrong.append(f"faded {1e3 * faded_s:.1f} ms into its block")
        if took_s > limit_s:
            wrong.append(f"silent after {1e3 * took_s:.0f} ms, not {1e3 * limit_s:.0f}")
        return took_s, wrong

    return judge


def ends(limit_s: float) -> Judge:
    """It ends: recovery is how long that took."""

    def judge(moment: Moment) -> tuple[float | None, list[str]]:
        took_s, wrong = moment.show.ended_in_s, list[str]()
        if took_s is None:
            return None, ["it does not end"]
        if took_s > limit_s:
            wrong.append(f"{took_s:.2f} s, not {limit_s:g}")
        return took_s, wrong

    return judge


def both(*judges: Judge) -> Judge:
    """All must be content; recovery is that of the first."""

    def judge(moment: Moment) -> tuple[float | None, list[str]]:
        found = [each(moment) for each in judges]
        return found[0][0], [line for _, wrong in found for line in wrong]

    return judge


def says(text: str) -> Judge:
    """A line for the person holds the text."""
    return lambda moment: (None, [] if text in moment.show.said else [f"it does not say {text!r}"])


def holds(what: str, test: Callable[[Performance], bool]) -> Judge:
    """Something else about the performance or its files, in words."""
    return lambda moment: (None, [] if test(moment.show) else [what])


# --- one row ------------------------------------------------------------------------------------------------


def measured(row: Row, program: Path, camera: Callable[[], NetworkCamera]) -> Result:
    """One performance with the fault of this row; again if it failed while the machine itself stood still."""
    for left in reversed(range(TRIES)):
        result = _once(row, program, camera)
        if result.verdict != "held up" or not left:
            return result
    raise AssertionError


def _once(row: Row, program: Path, camera: Callable[[], NetworkCamera]) -> Result:
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="livemove-fault-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        options = (*row.options, *(row.files(folder) if row.files else ()))
        try:
            if row.camera == "network":
                with camera() as eye:
                    return _judged(row, Performance(folder, program, options, row.server, eye, row.prepare), began_s)
            return _judged(row, Performance(folder, program, options, row.server, None, row.prepare), began_s)
        except Unready as reason:
            why = [" ".join(str(reason).split())]
            return Result(row.name, row.fault, row.expected, None, 0.0, -180.0, 0, 0.0, "FAIL", why)


def _judged(row: Row, show: Performance, began_s: float) -> Result:
    with show:
        if row.camera == "network":
            show.until(lambda: show.pose_after(now_s() - 1.0, 1.0), 30.0, "the first pose")
        watch = show.cleanup.enter_context(Watch())
        time.sleep(SETTLED_S)
        fault_s = now_s()
        told = row.inject(show)
        fault_s = told if isinstance(told, float) else fault_s
        mend_s: float | None = None
        if row.mend is not None:
            time.sleep(max(fault_s + row.mend_after_s - now_s(), 0.0))
            mend_s = now_s()
            told = row.mend(show)
            mend_s = told if isinstance(told, float) else mend_s
        since_s = mend_s or fault_s
        pose_s = show.pose_after(since_s, row.watch_s + 3.0) if row.camera == "network" else None
        time.sleep(max(since_s + row.watch_s - now_s(), 0.0))
        until_s = now_s() - 0.2  # what leaves the server now may not have been heard yet
        show.stop()
    heard = show.heard
    if show.ear is not None:
        until_s = min(until_s, heard.end_s())
    moment = Moment(show, heard, fault_s, mend_s, until_s, pose_s)
    recovery_s, wrong = row.judge(moment)
    wrong += heard.troubles(since_s=fault_s, until_s=since_s + CUT_S) if row.cuts else heard.troubles()
    wrong += [f"left behind: {thing}" for thing in show.left()]
    if "Traceback" in show.said:
        wrong.append("a traceback")
    if row.code is not None and show.code != row.code:
        wrong.append(f"exit code {show.code}")
    held_up_s = heard.held_up_s(fault_s - SETTLED_S, fault_s if row.server_suffers else until_s)
    # PulseAudio here has no priority: it waits as everybody does.
    held_up_s = max(held_up_s, watch.longest_s if row.server == "pulse" else watch.sound_stall_s)
    verdict = "ok" if not wrong else "held up" if held_up_s > HELD_UP_S else "FAIL"
    notices = [line for line in show.said.splitlines() if line and "underruns" not in line]  # but for its status
    silence_s = heard.longest_silence_s(fault_s, until_s) if show.ear is not None else 0.0
    return Result(
        row.name, row.fault, row.expected, recovery_s, silence_s, heard.true_peak_db, len(heard.clicks_s), held_up_s,
        verdict, wrong, notices, time.monotonic() - began_s,
    )  # fmt: skip
