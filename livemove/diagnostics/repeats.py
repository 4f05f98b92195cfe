"""Repeats of one measurement, each between two runs of a reference, and whether their median may be called a figure.

In: speeds, the speed of the reference before and after each, what the cores were busy with meanwhile. Out: medians,
ratios, ranges, and why it is no figure. Measures nothing itself.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

import numpy as np

from livemove.diagnostics.cpu import CpuTime

ENOUGH = 7
"""Fewer repeats are no figure: their median and their range are hardly known."""
MOST_SPREAD = 0.06
MOST_WAITED = 0.05
MOST_STOLEN = 0.02
"""Bounds of a figure, which hold it to a tenth: see tests/README.md, *What counts as a figure*."""


@dataclass(frozen=True)
class Reference:
    """One run of the reference: its speed, and the share of it in which this thread was ready but had no core."""

    speed: float
    waited: float


@dataclass
class Repeats:
    """speeds: in any unit; before, after: the reference beside each; spent: by all cores during all repeats."""

    speeds: list[float] = field(default_factory=lambda: [])
    before: list[Reference] = field(default_factory=lambda: [])
    after: list[Reference] = field(default_factory=lambda: [])
    spent: CpuTime | None = None

    def add(self, speed: float, before: Reference, after: Reference, spent: CpuTime | None) -> None:
        self.speeds.append(speed)
        self.before.append(before)
        self.after.append(after)
        if spent is not None:
            self.spent = spent if self.spent is None else self.spent + spent

    @property
    def median(self) -> float:
        return statistics.median(self.speeds)

    @property
    def ratios(self) -> list[float]:
        """Each speed over the mean of the reference's before and after it."""
        return [2 * s / (b.speed + a.speed) for s, b, a in zip(self.speeds, self.before, self.after, strict=True)]

    @property
    def spread(self) -> float:
        """Of the reference: the middle half of its speeds, as a share of their median."""
        lower, middle, upper = np.quantile([r.speed for r in (*self.before, *self.after)], (0.25, 0.5, 0.75))
        return float((upper - lower) / middle)

    @property
    def waited(self) -> float:
        """Share of the reference's time in which other processes had its core."""
        return statistics.mean(r.waited for r in (*self.before, *self.after))

    @property
    def stolen(self) -> float | None:
        """Share of the time in which a core was wanted that the host gave to another machine; None: not told."""
        return None if self.spent is None else self.spent.stolen_share

    def why_no_figure(self) -> str:
        """What disturbed it, in words; "" if the median is a figure."""
        reasons: list[str] = []
        if len(self.speeds) < ENOUGH:
            reasons.append(f"{len(self.speeds)} repeats, not {ENOUGH}")
        if self.spread > MOST_SPREAD:
            reasons.append(f"sgemm varies by {100 * self.spread:.0f} %")
        if self.waited > MOST_WAITED:
            reasons.append(f"{100 * self.waited:.0f} % of the core went to others")
        if self.stolen is not None and self.stolen > MOST_STOLEN:
            reasons.append(f"{100 * self.stolen:.1f} % stolen by the host")
        return "noisy: " + ", ".join(reasons) if reasons else ""
