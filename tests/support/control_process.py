"""The real control process on a segment, without a session around it."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from livemove.control.config import ControlConfig
from livemove.ipc.child import begin
from livemove.ipc.segment import Segment, State


def wait_for(found: Callable[[], Any], patience_s: float = 20.0) -> Any:
    deadline_s = time.monotonic() + patience_s
    while not (value := found()):
        assert time.monotonic() < deadline_s, "it did not come"
        time.sleep(0.005)
    return value


@contextmanager
def control(segment: Segment, config: ControlConfig, log: Path) -> Generator[Any]:
    """The real process on a segment, without a session around it."""
    process = multiprocessing.get_context("spawn").Process(
        target=begin, args=("control", "livemove.control.process", segment.name, config, str(log)), daemon=True
    )
    process.start()
    try:
        wait_for(lambda: segment.lives["control"].state is State.RUNNING or not process.is_alive())
        assert process.is_alive(), segment.lives["control"].error or log.read_text()
        yield process
    finally:
        segment.request_stop()
        process.join(5)
        process.kill()
        process.join()
