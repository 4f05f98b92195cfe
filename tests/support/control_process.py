"""The real control process on a segment, without a session around it."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from livemove.control.control_config import ControlConfig
from livemove.ipc.child import begin
from livemove.ipc.segment import Segment, State
from tests.support.real_time import TooLate


def wait_for(found: Callable[[], Any], patience_s: float = 20.0) -> Any:
    deadline_s = time.monotonic() + patience_s
    while not (value := found()):
        if time.monotonic() >= deadline_s:
            raise TooLate("it did not come")
        time.sleep(0.005)
    return value


@contextmanager
def control(segment: Segment, config: ControlConfig, log: Path) -> Generator[Any]:
    """The real process on a segment, without a session around it. log: made here, as a session makes it."""
    log.touch()
    process = multiprocessing.get_context("spawn").Process(
        target=begin, args=("control", "livemove.control.control_process", segment.name, config, str(log)), daemon=True
    )
    process.start()
    try:
        wait_for(lambda: segment.processes["control"].state is State.RUNNING or not process.is_alive())
        assert process.is_alive(), segment.processes["control"].error or log.read_text()
        yield process
    finally:
        segment.request_stop()
        process.join(5)
        process.kill()
        process.join()
