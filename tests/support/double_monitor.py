"""Stands in for livemove.monitor.monitor_process: a window that somebody closes after a moment. No Qt."""

from __future__ import annotations

import time

from livemove.ipc.segment import Segment
from livemove.monitor.monitor_config import MonitorConfig


def run(segment: Segment, config: MonitorConfig) -> None:
    segment.processes["monitor"].running("double")
    time.sleep(0.3)
