"""Soak test of a whole performance: minutes of it beside a bare JACK client as control, with faults if asked for.

In: whoever plays it, a few status lines a second from it. Out: a PerformanceSoak: underruns beside the moments in which
the control itself was late, memory and latency at the start and at the end, and the traces to plot. Must not know the
session: it is given. Prints nothing.
"""

# numpy's stubs need a newer Python than 3.10, which pyright checks for: its members come out half unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from livemove.diagnostics.jack_control import JackControl, NoControl, build, held_up
from livemove.ipc.segment import now_s

MEMORY_GROWTH, LATENCY_CHANGE = 0.02, 0.05
"""What is right: less than the one, within the other."""
SETTLE_S = 60.0
"""Caches fill, tables grow to their size: what "at the start" means begins here, or after a fifth of a shorter test."""
MEMORY_S = 2.0
"""How often memory is looked at."""
FAULT_S = 45.0
"""From one fault to the next."""
FAULT_COUNTS_S = 15.0
"""Underruns so long after a fault are its own."""
MARGIN_S = 0.1
"""An underrun is known to a status line, not to the sample: the control may have been late so much before."""
FAULTS = (
    ("synthesis", signal.SIGTERM if os.name == "nt" else signal.SIGKILL),
    ("capture", signal.SIGTERM if os.name == "nt" else signal.SIGKILL),
    ("playback", signal.SIGTERM if os.name == "nt" else signal.SIGKILL),
)
"""In turn: which child is ended, and how."""


class Seen(Protocol):
    """What a soak test reads of a status line; session.report.Status is one."""

    @property
    def phase(self) -> str: ...
    @property
    def seconds(self) -> float: ...
    @property
    def engine(self) -> str | None: ...
    @property
    def device(self) -> str | None: ...
    @property
    def underruns(self) -> int: ...
    @property
    def nonfinite_samples(self) -> int: ...
    @property
    def latency_p50_ms(self) -> float | None: ...
    @property
    def latency_p95_ms(self) -> float | None: ...
    @property
    def restarts(self) -> dict[str, int]: ...


ROW = np.dtype([("at_s", "f8"), ("seconds", "f8"), ("underruns", "f8"), ("p50_ms", "f8"), ("p95_ms", "f8"),
                ("memory_mb", "f8")])  # fmt: skip
"""One status line: when (CLOCK_MONOTONIC), seconds of playing, underruns so far, latency; memory where it was read."""

Span = npt.NDArray[np.float64]
R = TypeVar("R")


@dataclass(frozen=True)
class PerformanceSoak:
    """What it was like.

    minutes             that it played
    without_control     why there is no control; "": there is one
    control_late        how often that was called late, or not at all, by half a period and more
    underruns           of the ring, all; of these: while the control was late, after a fault, and without an excuse
    memory_mb           of all processes, at the start and at the end: medians of a tenth of the time
    latency_ms          motion to sound, medians of the same times
    faults              [(seconds of playing, which child)] that were injected
    """

    minutes: float
    engine: str
    device: str
    without_control: str
    control_late: int
    underruns: int
    underruns_control_late: int
    underruns_after_faults: int
    underruns_unexcused: int
    nonfinite_samples: int
    memory_mb: tuple[float, float]
    latency_ms: tuple[float, float]
    restarts: dict[str, int]
    faults: list[tuple[float, str]]

    @property
    def memory_growth(self) -> float:
        """Share of the start; nan where the system does not tell."""
        return self.memory_mb[1] / self.memory_mb[0] - 1.0

    @property
    def latency_change(self) -> float:
        """Share of the start; nan without a pose."""
        return self.latency_ms[1] / self.latency_ms[0] - 1.0

    def wrong(self) -> list[str]:
        """What was not as it should be, a line each."""
        found: list[str] = []
        if self.underruns_unexcused:
            found.append(f"{self.underruns_unexcused} underruns without an excuse")
        if self.nonfinite_samples:
            found.append(f"{self.nonfinite_samples} samples that were no numbers")
        if self.memory_growth >= MEMORY_GROWTH:
            found.append(f"memory grew by {self.memory_growth:.1%}")
        if abs(self.latency_change) > LATENCY_CHANGE:
            found.append(f"latency changed by {self.latency_change:+.1%}")
        return found

    def as_json(self) -> dict[str, Any]:
        """What was never measured is None."""
        found: dict[str, Any] = {
            **asdict(self), "memory_growth": self.memory_growth, "latency_change": self.latency_change,
        }  # fmt: skip
        for name in ("memory_mb", "latency_ms"):
            start, end = found[name]
            found[name] = {"start": start, "end": end}
        return {**_without_nan(found), "wrong": self.wrong()}


@dataclass(frozen=True)
class Traces:
    """rows ROW [n] of the performance; control float64 [spans, 2]: when the control was late; faults_s: when."""

    rows: npt.NDArray[np.void]
    control: Span
    faults_s: list[float]


def run(
    play: Callable[[Callable[[Seen], None]], R], minutes: float, faults: bool = False
) -> tuple[PerformanceSoak, Traces, R]:
    """play: plays so long, calling what it is given with every status line, and gives its own report, which is the
    third of what this gives."""
    watch = _Watch(minutes, faults)
    with tempfile.TemporaryDirectory(prefix="livemove-soak-", ignore_cleanup_errors=True) as folder:
        control, why = _control(Path(folder))
        try:
            report = play(watch.see)
        finally:
            if control is not None:
                control.stop()
        late = np.zeros((0, 2)) if control is None else held_up(control.calls, _rate(control))
    rows = watch.rows[: watch.count]
    traces = Traces(rows, late, [at for at, _, _ in watch.done])
    return _judged(watch, traces, why), traces, report


def _control(folder: Path) -> tuple[JackControl | None, str]:
    try:
        control = JackControl(build(folder), folder)
        control.start()
    except (NoControl, OSError) as reason:
        return None, str(reason)
    return control, ""


def _rate(control: JackControl) -> float:
    """Frames a second, from the calls themselves."""
    calls = control.calls
    if len(calls) < 2:
        return 48000.0
    return float(np.median(calls["frames"][1:] / np.maximum(np.diff(calls["called_s"]), 1e-6)))


class _Watch:
    """Keeps what it sees in arrays that are there from the beginning: it must not grow itself."""

    def __init__(self, minutes: float, faults: bool) -> None:
        self.rows = np.full(round(minutes * 60 * 8) + 600, np.nan, ROW)
        self.count = 0
        self.engine = self.device = ""
        self.nonfinite = 0
        self.restarts: dict[str, int] = {}
        self.done: list[tuple[float, float, str]] = []  # when, seconds of playing, which child
        self._due_s = FAULT_S if faults else np.inf
        self._faults: Iterator[tuple[str, int]] = cycle(FAULTS)
        self._memory_s = 0.0

    def see(self, status: Seen) -> None:
        if status.phase != "playing":
            return
        self.engine, self.device = status.engine or self.engine, status.device or self.device
        self.nonfinite, self.restarts = status.nonfinite_samples, status.restarts
        now = now_s()
        memory_mb = np.nan
        if now >= self._memory_s:
            self._memory_s = now + MEMORY_S
            memory_mb = resident_mb()
        if self.count < len(self.rows):
            latency = status.latency_p50_ms or np.nan, status.latency_p95_ms or np.nan
            self.rows[self.count] = (now, status.seconds, status.underruns, *latency, memory_mb)
            self.count += 1
        if status.seconds >= self._due_s:
            self._due_s += FAULT_S
            role, number = next(self._faults)
            if _end_child(role, number):
                self.done.append((now, status.seconds, role))


def _end_child(role: str, number: int) -> bool:
    """Whether there was one to end."""
    for process in multiprocessing.active_children():
        if process.name == f"livemove-{role}" and process.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)
                return True
    return False


def resident_mb() -> float:
    """Of this process and its children, each shared page in full for everybody; nan where the system does not tell."""
    total = 0
    for pid in (os.getpid(), *(child.pid for child in multiprocessing.active_children())):
        try:
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except (OSError, ValueError, IndexError):
            return float("nan")
    return total * os.sysconf("SC_PAGE_SIZE") / 1e6


def _judged(watch: _Watch, traces: Traces, why: str) -> PerformanceSoak:
    rows = traces.rows
    last_s = float(rows["seconds"][-1]) if len(rows) else 0.0  # who presses Ctrl-C gets a report, too
    settle_s = min(SETTLE_S, last_s / 5)
    tenth_s = max((last_s - settle_s) / 10, 1.0)
    first = (rows["seconds"] >= settle_s) & (rows["seconds"] < settle_s + tenth_s)
    last = rows["seconds"] >= last_s - tenth_s
    new = np.diff(rows["underruns"], prepend=0.0)
    before_s = np.concatenate([rows["at_s"][:1] - 1.0, rows["at_s"][:-1]]) - MARGIN_S
    by_fault = np.zeros(len(rows), bool)
    for fault_s in traces.faults_s:
        by_fault |= (rows["at_s"] >= fault_s) & (rows["at_s"] < fault_s + FAULT_COUNTS_S)
    excused = np.array([overlaps(traces.control, a, b) for a, b in zip(before_s, rows["at_s"], strict=True)], bool)
    excused &= ~by_fault
    return PerformanceSoak(
        minutes=last_s / 60,
        engine=watch.engine,
        device=watch.device,
        without_control=why,
        control_late=len(traces.control),
        underruns=int(new.sum()),
        underruns_control_late=int(new[excused].sum()),
        underruns_after_faults=int(new[by_fault].sum()),
        underruns_unexcused=int(new[~excused & ~by_fault].sum()),
        nonfinite_samples=watch.nonfinite,
        memory_mb=(_median(rows["memory_mb"][first]), _median(rows["memory_mb"][last])),
        latency_ms=(_median(rows["p50_ms"][first]), _median(rows["p50_ms"][last])),
        restarts=dict(watch.restarts),
        faults=[(seconds, role) for _, seconds, role in watch.done],
    )


def overlaps(spans: Span, since_s: float, until_s: float) -> bool:
    """Whether any of the spans, float64 [n, 2], lies in that time, if only in part."""
    return bool(((spans[:, 1] >= since_s) & (spans[:, 0] <= until_s)).any())


def _without_nan(values: dict[str, Any]) -> dict[str, Any]:
    """nan, which JSON does not know, as None."""
    return {
        name: _without_nan(value) if isinstance(value, dict) else None if value != value else value
        for name, value in values.items()
    }


def _median(values: npt.NDArray[np.float64]) -> float:
    """nan of nothing."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def written(report: PerformanceSoak, session: Mapping[str, Any]) -> dict[str, Any]:
    """What goes into the file: this report, and the session's own."""
    return {"soak": report.as_json(), "performance": dict(session)}
