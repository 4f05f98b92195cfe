"""What a pose runtime is to the rest of capture: who is in an image. Types only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from livemove.contracts import Float32

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class FoundBody:
    """One body in an image, as `PoseFrame` has it: image and world float32 [33, 3], visibility float32 [33]. track: the
    same number as in the frame before for a body that the runtime has followed from there; -1: it does not say."""

    image: Float32
    world: Float32
    visibility: Float32
    track: int = -1


class PoseRuntime(Protocol):
    """What computes poses. Frames come in order; used from one thread."""

    def look(self, image: Image, capture_s: float) -> list[FoundBody]:
        """Who is in image, uint8 RGB [height, width, 3], seen at capture_s, in seconds of any clock."""
        ...

    def close(self) -> None: ...
