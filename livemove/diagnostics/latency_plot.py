"""The plot of `livemove latency --plot`: movement and sound over time, and the spectrum of the pitch's slope.

In: a LatencyReport and its Traces. Out: a file. Needs matplotlib (`livemove[plot]`).
"""

# matplotlib's stubs are partial.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from pathlib import Path

import numpy as np

from livemove.contracts import OutputError
from livemove.diagnostics.latency import LatencyReport, Traces


def draw(path: Path, report: LatencyReport, traces: Traces) -> None:
    """Raises OutputError without matplotlib, or where the file cannot be written."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise OutputError("--plot needs matplotlib: pip install 'livemove[plot]'") from error
    figure = Figure(figsize=(12, 8), layout="constrained")
    above, below = figure.subplots(2, 1)
    zero_s = traces.hop_s[0]
    above.plot(traces.asked_s - zero_s, traces.asked, color="0.6", marker=".", markersize=3, label="landmarks")
    above.plot(traces.hop_s - zero_s, traces.sound, color="tab:red", linewidth=0.8, label="sound")
    above.set(xlabel="seconds", ylabel="MIDI note", title=f"lag {report['lag_ms']['median']:.0f} ms")
    above.legend()
    hop_s = float(np.median(np.diff(traces.hop_s)))
    slope = np.diff(traces.channel)
    level = np.abs(np.fft.rfft(slope * np.hanning(len(slope))))
    hz = np.fft.rfftfreq(len(slope), hop_s)
    below.semilogy(hz, level, color="tab:blue", linewidth=0.6)
    below.axvline(report["camera_hz"], color="tab:red", linewidth=0.8)
    below.set(xlim=(0, 60), xlabel="Hz", ylabel="slope of the pitch", title="camera's rate in red")
    try:
        figure.savefig(path, dpi=110)
    except (OSError, ValueError) as error:
        raise OutputError(f"{path}: cannot be written: {error}") from error
