"""Company for measurements: processes that keep the other cores busy as the instrument's own pose estimation does.

In: how many cores. Out: processes that run flat out until the context ends, and what they do. Pose estimation where its
model is at hand (nothing is fetched for a measurement), else matrix products, which load a core no less.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Generator
from multiprocessing.synchronize import Event

import numpy as np

from livemove.ipc.cpu_affinity import leave_sound_core

IMAGE_SHAPE = (480, 640, 3)
START_S = 20.0
"""How long a landmarker may take to load; after that the measurement begins all the same."""


def pose_kind() -> str | None:
    """The kind of pose model at hand, the full one first."""
    from livemove.capture.posemodel import MODELS, cache_folder

    kinds = sorted(MODELS, key=lambda kind: kind != "full")
    return next((kind for kind in kinds if (cache_folder() / MODELS[kind].file).exists()), None)


@contextlib.contextmanager
def other_cores_busy(cores: int | None = None) -> Generator[str]:
    """Busy processes on `cores` cores, by default all but one; gives what they do, in words."""
    count = max((os.cpu_count() or 2) - 1, 1) if cores is None else cores
    kind = pose_kind()
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    busy = [context.Event() for _ in range(count)]
    processes = [
        context.Process(target=_work, args=(kind if n == 0 else None, busy[n], stop), daemon=True) for n in range(count)
    ]
    for process in processes:
        process.start()
    try:
        for event in busy:
            event.wait(START_S)
        yield "matrix products" if kind is None else f"pose estimation ({kind} model)"
    finally:
        stop.set()
        for process in processes:
            process.join(5.0)
            process.kill()
            process.join()


def _work(kind: str | None, busy: Event, stop: Event) -> None:
    leave_sound_core()  # MediaPipe would spread over every core: one is left to what is measured
    rng = np.random.default_rng(0)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wanted() -> bool:
        return not stop.is_set() and parent.is_alive()  # who was killed cannot say stop

    if kind is None:
        matrix = rng.standard_normal((256, 256), np.float32)
        busy.set()
        while wanted():
            matrix = np.clip(matrix @ matrix, -1.0, 1.0)
        return
    from livemove.capture.landmarker import Landmarker

    # Nobody is in such an image, so the detector looks again in every one.
    images = rng.integers(0, 256, (4, *IMAGE_SHAPE), np.uint8)
    with Landmarker(kind) as landmarker:
        sequence = 0
        while wanted():
            landmarker.find(images[sequence % len(images)], sequence / 30)
            sequence += 1
            busy.set()
